"""The distribution of chi2 when parts of its covariance are estimates from few replicas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

__all__ = ["EstimatedPart", "effective_freedom", "simulated_p_value"]

Matrix = NDArray[np.float64]

_NUMBERS_AT_ONCE = 400_000  # in one array of a block of toys: it should stay in the processor's cache
_NEGLIGIBLE = 1e-12  # of the total variance in a direction


@dataclass(frozen=True, eq=False)
class EstimatedPart:
    """A part of a covariance that is an estimate from replicas.

    Attributes
    ----------
    share : numpy.ndarray
        Its ``covariance[direction, direction]``, in a basis where the total covariance is the unit matrix.
    freedom : int
        Degrees of freedom of its Wishart distribution: one less than its replicas.
    """

    share: Matrix
    freedom: int


def effective_freedom(parts: Sequence[EstimatedPart]) -> float:
    r"""Return the degrees of freedom that a sum of covariances V has, taken for a single Wishart matrix.

    .. math:: \nu = (p + p^2) / \sum_i \left[tr(M_i^2) + tr(M_i)^2\right] / \nu_i, \quad M_i = C_i V^{-1}

    so that :math:`\chi^2 (\nu - p + 1) / (\nu p)` follows F(p, nu - p + 1) nearly (Nel and van der Merwe,
    Commun. Statist. A 15 (1986) 3719, in the form that does not depend on the basis: Krishnamoorthy and Yu,
    Statist. Probab. Lett. 66 (2004) 161). Analytic parts add nothing to the denominator. For one estimated part
    alone it is exact; it takes the estimates for the truth and is too optimistic where replicas are few.

    Parameters
    ----------
    parts : sequence of EstimatedPart
        Those parts of V that are estimates; at least one.

    Examples
    --------
    >>> effective_freedom([EstimatedPart(np.eye(3), 24)])
    24.0
    >>> effective_freedom([EstimatedPart(np.eye(3) / 2, 24)])  # the other half is analytic
    96.0
    """
    bins = len(parts[0].share)
    return float((bins + bins**2) / sum(_noise(part.share, part.freedom) for part in parts))


def _noise(share: Matrix, freedom: int) -> Any:
    """Return (tr(M^2) + tr(M)^2) / nu of shares ``M[..., bin, bin]`` of the total covariance."""
    trace = np.trace(share, axis1=-2, axis2=-1)
    square: NDArray[np.float64] = np.einsum("...ij,...ji->...", share, share)
    return (square + trace**2) / freedom


def _tail(chi2: Any, bins: int, noise: Any) -> Any:
    """Return the probability of a larger chi2, by `effective_freedom`."""
    freedom = (bins + bins**2) / noise
    rest = np.maximum(freedom - bins + 1, 1e-6)  # positive but for rounding
    return special.fdtrc(bins, rest, chi2 * rest / (freedom * bins))


def _root(share: Matrix) -> Matrix:
    """Return B with B B^T = share, as many columns as its rank."""
    values, vectors = np.linalg.eigh(share)
    keep = values > _NEGLIGIBLE
    root: Matrix = vectors[:, keep] * np.sqrt(values[keep])
    return root


def _wishart(rng: np.random.Generator, toys: int, root: Matrix, freedom: int) -> Matrix:
    """Draw ``covariance[toy, bin, bin]``: estimates of B B^T from freedom + 1 replicas.

    By Bartlett's decomposition (Proc. R. Soc. Edinburgh 53 (1933) 260): a triangle of normal numbers with chi
    numbers on its diagonal in place of the replicas. The triangle is cut where they are fewer than the bins.
    """
    rank = root.shape[1]
    columns = min(rank, freedom)
    triangle = np.tril(rng.standard_normal((toys, rank, columns)))
    place = np.arange(columns)
    triangle[:, place, place] = np.sqrt(rng.chisquare(freedom - place, (toys, columns)))
    factor = root @ triangle
    covariance: Matrix = factor @ factor.transpose(0, 2, 1) / freedom
    return covariance


def simulated_p_value(chi2: float, parts: Sequence[EstimatedPart], *, toys: int, seed: int) -> float:
    """Return the p-value of chi2 when parts of the covariance are Wishart-distributed estimates.

    A prepivoted bootstrap (Beran, J. Amer. Statist. Assoc. 83 (1988) 687). Each pseudo-experiment draws a
    residual from N(0, V) and, for each estimated part, a new estimate from as many replicas, with the published
    covariances as the truth. What is compared is not chi2 itself but its p-value by `effective_freedom`,
    computed anew in each pseudo-experiment. That quantity hardly depends on what the true covariances are, so
    that it does little harm to take the estimates for them; the distribution of chi2 itself depends on them,
    and a plain bootstrap of it rejects up to four times too often where replicas are hardly more than bins.

    Exact where one estimated part is all there is, and where nothing is estimated.

    Parameters
    ----------
    chi2 : float
        Of the experiment.
    parts : sequence of EstimatedPart
        At least one; what they leave of the unit matrix is known without replicas.
    toys : int
        Pseudo-experiments; the p-value is off by sqrt(p (1 - p) / toys).
    seed : int
        Of the random numbers.

    Returns
    -------
    float
        At least 1 / (toys + 1): the experiment itself counts (Davison and Hinkley, Bootstrap Methods and their
        Application, 1997, ch. 4).

    Examples
    --------
    >>> part = EstimatedPart(0.5 * np.eye(2), 24)
    >>> round(simulated_p_value(5.99, [part], toys=20_000, seed=1), 2)  # 0.05 if all were analytic
    0.06
    """
    bins = len(parts[0].share)
    basis = np.linalg.eigh(parts[0].share)[1]  # one part alone is then diagonal: no other basis changes a number
    shares = [basis.T @ part.share @ basis for part in parts]
    roots = [_root(share) for share in shares]
    known: Matrix = np.eye(bins) - np.sum(shares, axis=0)
    freedoms = [part.freedom for part in parts]
    noise = sum(_noise(share, freedom) for share, freedom in zip(shares, freedoms, strict=True))
    observed = _tail(chi2, bins, noise)
    rng = np.random.default_rng(seed)
    smaller = 0
    block = max(1, _NUMBERS_AT_ONCE // bins**2)
    for start in range(0, toys, block):
        count = min(block, toys - start)
        residuals = rng.standard_normal((count, bins))
        estimates = [_wishart(rng, count, root, freedom) for root, freedom in zip(roots, freedoms, strict=True)]
        inverse = np.linalg.inv(known + np.sum(estimates, axis=0))
        noises = sum(_noise(part @ inverse, freedom) for part, freedom in zip(estimates, freedoms, strict=True))
        distances = np.einsum("ti,ti->t", residuals, (inverse @ residuals[:, :, np.newaxis])[:, :, 0])
        smaller += int(np.count_nonzero(_tail(distances, bins, noises) <= observed))
    return (smaller + 1) / (toys + 1)
