"""The distribution of chi2 when parts of its covariance are estimates from few replicas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.statistics.distributions import f_tail

__all__ = ["EstimatedPart", "effective_freedom", "simulated_p_value"]

Matrix = NDArray[np.float64]

_NUMBERS_AT_ONCE = 400_000  # in one array of a block of toys: it should stay in the processor's cache
_NEGLIGIBLE = 1e-12  # beside the largest: rounding


@dataclass(frozen=True, eq=False)
class EstimatedPart:
    """A part of a covariance that is an estimate from replicas.

    Attributes
    ----------
    covariance : numpy.ndarray
        ``covariance[bin, bin]``.
    freedom : int
        Degrees of freedom of its Wishart distribution: one less than its replicas.
    """

    covariance: Matrix
    freedom: int


def effective_freedom(total: Matrix, parts: Sequence[EstimatedPart]) -> float:
    r"""Return the degrees of freedom that a sum of covariances V has, taken for a single Wishart matrix.

    .. math:: \nu = (p + p^2) / \sum_i \left[tr(M_i^2) + tr(M_i)^2\right] / \nu_i, \quad M_i = C_i V^{-1}

    so that :math:`\chi^2 (\nu - p + 1) / (\nu p)` follows F(p, nu - p + 1) nearly (Nel and van der Merwe,
    Commun. Statist. A 15 (1986) 3719, in the form that does not depend on the basis: Krishnamoorthy and Yu,
    Statist. Probab. Lett. 66 (2004) 161). Analytic parts add nothing to the denominator. For one estimated part
    alone it is exact; it takes the estimates for the truth and is too optimistic where replicas are few.

    Parameters
    ----------
    total : numpy.ndarray
        ``V[bin, bin]``, invertible.
    parts : sequence of EstimatedPart
        Those parts of V that are estimates; at least one.

    Examples
    --------
    >>> effective_freedom(np.eye(3), [EstimatedPart(np.eye(3), 24)])
    24.0
    >>> effective_freedom(np.eye(3), [EstimatedPart(np.eye(3) / 2, 24)])  # the other half is analytic
    96.0
    """
    bins, inverse = len(total), np.linalg.inv(total)
    return float((bins + bins**2) / sum(_noise(part.covariance @ inverse, part.freedom) for part in parts))


def _noise(share: Matrix, freedom: int) -> Any:
    """Return (tr(M^2) + tr(M)^2) / nu of shares ``M[..., bin, bin]`` of the total covariance."""
    trace = np.trace(share, axis1=-2, axis2=-1)
    square: NDArray[np.float64] = np.einsum("...ij,...ji->...", share, share)
    return (square + trace**2) / freedom


def _tail(chi2: Any, bins: int, noise: Any) -> Any:
    """Return the probability of a larger chi2, by `effective_freedom`."""
    freedom = (bins + bins**2) / noise
    rest = np.maximum(freedom - bins + 1, 1e-6)  # positive but for rounding
    return f_tail(chi2 * rest / (freedom * bins), bins, rest)


def _root(covariance: Matrix) -> Matrix:
    """Return the symmetric B with B B^T = covariance.

    It is unique: signs and rotations of eigenvectors, which differ between processors, fall out, and the same random
    numbers are the same pseudo-experiments everywhere.
    """
    values, vectors = np.linalg.eigh(covariance)
    sizes = np.sqrt(np.where(values > _NEGLIGIBLE * values[-1], values, 0.0))
    root: Matrix = (vectors * sizes) @ vectors.T
    return root


def _shrink(estimate: Matrix, freedom: int) -> Matrix:
    """Draw the eigenvalues of an estimated covariance together, to the spread that the true ones are expected to have.

    Those of an estimate from few replicas are spread too far, and are zero in some directions where the replicas are
    fewer than the bins; taken for the truth they would make the pseudo-experiments too optimistic. The spread of the
    true ones follows from the unbiased estimate of tr(C^2), f^2 / ((f - 1) (f + 2)) (tr(S^2) - tr(S)^2 / f) for f
    degrees of freedom (Bai and Saranadasa, Statistica Sinica 6 (1996) 311). The trace is kept.
    """
    bins, trace, square = len(estimate), float(np.trace(estimate)), float((estimate**2).sum())
    spread = square - trace**2 / bins
    if freedom < 2 or spread <= _NEGLIGIBLE * square:
        return estimate
    unbiased = freedom**2 / ((freedom - 1) * (freedom + 2)) * (square - trace**2 / freedom)
    keep = min(1.0, max(0.0, (unbiased - trace**2 / bins) / spread) ** 0.5)
    shrunk: Matrix = keep * estimate + (1 - keep) * trace / bins * np.eye(bins)
    return shrunk


def _wishart(rng: np.random.Generator, toys: int, root: Matrix, freedom: int) -> Matrix:
    """Draw ``covariance[toy, bin, bin]``: estimates of B B^T from freedom + 1 replicas.

    By Bartlett's decomposition (Proc. R. Soc. Edinburgh 53 (1933) 260): a triangle of normal numbers with chi numbers
    on its diagonal in place of the replicas. The triangle is cut where they are fewer than the bins.
    """
    bins = len(root)
    columns = min(bins, freedom)
    triangle = np.tril(rng.standard_normal((toys, bins, columns)))
    place = np.arange(columns)
    triangle[:, place, place] = np.sqrt(rng.chisquare(freedom - place, (toys, columns)))
    factor = root @ triangle
    covariance: Matrix = factor @ factor.transpose(0, 2, 1) / freedom
    return covariance


def simulated_p_value(chi2: float, total: Matrix, parts: Sequence[EstimatedPart], *, toys: int, seed: int) -> float:
    """Return the p-value of chi2 when parts of the covariance are Wishart-distributed estimates.

    A prepivoted bootstrap (Beran, J. Amer. Statist. Assoc. 83 (1988) 687). Each pseudo-experiment draws a residual and,
    for each estimated part, a new estimate from as many replicas, with the published covariances, shrunk as Bai and
    Saranadasa estimate their spread (Statistica Sinica 6 (1996) 311), as the truth. What is compared is not chi2 itself
    but its p-value by `effective_freedom`, computed anew in each pseudo-experiment. That quantity depends little on
    what the true covariances are, so that it does little harm to have only estimates of them; a bootstrap of chi2
    itself rejects up to four times too often where replicas are hardly more than bins.

    It has no preferred unit of a bin. Only shrinking looks at the bins as such, in units of their total errors.

    Parameters
    ----------
    chi2 : float
        Of the experiment.
    total : numpy.ndarray
        ``V[bin, bin]``, invertible; what the parts do not account for is known without replicas.
    parts : sequence of EstimatedPart
        At least one.
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
    >>> round(simulated_p_value(5.99, np.eye(2), [part], toys=20_000, seed=1), 2)  # 0.05 if all were analytic
    0.06
    """
    bins = len(total)
    errors = np.sqrt(np.diag(total))
    units = np.outer(errors, errors)
    published = [part.covariance / units for part in parts]
    freedoms = [part.freedom for part in parts]
    known: Matrix = total / units - np.sum(published, axis=0)
    inverse = np.linalg.inv(total / units)
    noise = sum(_noise(part @ inverse, freedom) for part, freedom in zip(published, freedoms, strict=True))
    observed = _tail(chi2, bins, noise)
    truths = [_shrink(part, freedom) for part, freedom in zip(published, freedoms, strict=True)]
    roots = [_root(truth) for truth in truths]
    root = _root(known + np.sum(truths, axis=0))
    rng = np.random.default_rng(seed)
    smaller = 0
    block = max(1, _NUMBERS_AT_ONCE // bins**2)
    for start in range(0, toys, block):
        count = min(block, toys - start)
        residuals = rng.standard_normal((count, bins)) @ root
        estimates = [_wishart(rng, count, *of) for of in zip(roots, freedoms, strict=True)]
        inverses = np.linalg.inv(known + np.sum(estimates, axis=0))
        noises = sum(_noise(part @ inverses, freedom) for part, freedom in zip(estimates, freedoms, strict=True))
        distances = np.einsum("ti,ti->t", residuals, (inverses @ residuals[:, :, np.newaxis])[:, :, 0])
        smaller += int(np.count_nonzero(_tail(distances, bins, noises) <= observed))
    return (smaller + 1) / (toys + 1)
