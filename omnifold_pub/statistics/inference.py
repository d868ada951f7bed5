"""chi2 and a p-value that knows how many replicas the covariance was estimated from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from omnifold_pub.errors import StatisticsError
from omnifold_pub.statistics.components import ComponentResult

__all__ = ["Chi2", "Method", "chi2_test", "squared_distance"]

Matrix = NDArray[np.float64]
Method = Literal["chi2", "hotelling", "simulation"]

_TOYS = 20_000
_TOY_SEED = 20_191_107  # fixed: the same question has the same answer
_RELATIVE_RANK = 1e-10


@dataclass(frozen=True)
class Chi2:
    """Outcome of a goodness-of-fit test.

    Attributes
    ----------
    chi2 : float
        d^T V^-1 d.
    bins : int
        Number of bins; the degrees of freedom.
    p_value : float
        Probability of a larger chi2 if the prediction is true.
    replicas : int
        The smallest number of replicas behind an estimated part of V; 0 where all is analytic.
    method : {"chi2", "hotelling", "simulation"}
        Where the p-value comes from.
    """

    chi2: float
    bins: int
    p_value: float
    replicas: int
    method: Method


def _root(covariance: Matrix) -> Matrix:
    """Return B with B B^T = covariance, as many columns as its rank."""
    values, vectors = np.linalg.eigh(covariance)
    keep = values > _RELATIVE_RANK * max(float(values[-1]), 0.0)
    root: Matrix = vectors[:, keep] * np.sqrt(values[keep])
    return root


def _rank(covariance: Matrix) -> int:
    """Return the rank of the matrix in units of its own errors, so that small bins count as much as large ones."""
    errors = np.sqrt(np.diag(covariance))
    if not (errors > 0).all():
        msg = (
            f"bin {int(np.flatnonzero(~(errors > 0))[0])} has no uncertainty at all, so there is no chi2; "
            "merge it with a neighbour or leave it out"
        )
        raise StatisticsError(msg)
    values = np.linalg.eigvalsh(covariance / np.outer(errors, errors))
    return int((values > _RELATIVE_RANK * values[-1]).sum())


def squared_distance(residual: Matrix, covariance: Matrix) -> float:
    """Return d^T V^-1 d: chi2 without its distribution.

    Raises
    ------
    StatisticsError
        If V has a rank below the number of bins; it is not inverted then.

    Examples
    --------
    >>> squared_distance(np.array([2.0, 0.0]), np.diag([4.0, 1.0]))
    1.0
    """
    bins, rank = len(residual), _rank(covariance)
    if rank < bins:
        msg = (
            f"the covariance of {bins} bins has rank {rank} and cannot be inverted; "
            f"merge bins down to {rank} or fewer, or add a component that is missing"
        )
        raise StatisticsError(msg)
    return float(residual @ np.linalg.solve(covariance, residual))


def _shrink(estimate: Matrix, freedom: int) -> Matrix:
    """Draw the eigenvalues of an estimated covariance together, to the spread that the true ones are expected to have.

    Those of an estimate from few replicas are spread too far; taken for the truth they would make the
    pseudo-experiments too optimistic. The spread of the true ones follows from the unbiased estimate of
    tr(C^2), f^2 / ((f - 1) (f + 2)) (tr(S^2) - tr(S)^2 / f) for f degrees of freedom (Bai and Saranadasa,
    Statistica Sinica 6 (1996) 311). The trace is kept.
    """
    bins, trace, square = len(estimate), float(np.trace(estimate)), float((estimate**2).sum())
    spread = square - trace**2 / bins
    if freedom < 2 or spread <= 0:
        return estimate
    unbiased = freedom**2 / ((freedom - 1) * (freedom + 2)) * (square - trace**2 / freedom)
    keep = min(1.0, max(0.0, (unbiased - trace**2 / bins) / spread) ** 0.5)
    shrunk: Matrix = keep * estimate + (1 - keep) * trace / bins * np.eye(bins)
    return shrunk


def _simulate(total: Matrix, estimated: Sequence[ComponentResult], chi2: float) -> float:
    """Return the p-value of chi2 when parts of the covariance are Wishart-distributed estimates.

    Pseudo-experiments: a residual from N(0, V), and for each estimated part C_i of N_i replicas a new estimate
    from as many replicas of N(0, C_i), with the published parts, shrunk, as the truth. It errs to the
    conservative side where N_i is near the number of bins and the estimated part dominates.
    """
    rng = np.random.default_rng(_TOY_SEED)
    bins = len(total)
    errors = np.sqrt(np.diag(total))
    units = np.outer(errors, errors)  # bins in units of their errors: a p-value has no unit
    analytic = (total - np.sum([part.covariance for part in estimated], axis=0)) / units
    truths = [_shrink(part.covariance / units, part.replicas - 1) for part in estimated]
    roots = [_root(truth) for truth in truths]
    root = _root(analytic + np.sum(truths, axis=0))
    larger = 0
    block = max(1, 2_000_000 // (bins * bins + bins * max(part.replicas for part in estimated)))
    for start in range(0, _TOYS, block):
        toys = min(block, _TOYS - start)
        residual = rng.standard_normal((toys, root.shape[1])) @ root.T
        covariance = np.repeat(analytic[np.newaxis], toys, axis=0)
        for part, part_root in zip(estimated, roots, strict=True):
            freedom = part.replicas - 1
            replicas = rng.standard_normal((toys, freedom, part_root.shape[1])) @ part_root.T
            covariance += replicas.transpose(0, 2, 1) @ replicas / freedom
        solved = np.linalg.solve(covariance, residual[:, :, np.newaxis])[:, :, 0]
        larger += int(np.count_nonzero((residual * solved).sum(axis=1) >= chi2))
    return (larger + 1) / (_TOYS + 1)  # never zero: the experiment itself counts (Davison and Hinkley, 1997, ch. 4)


def chi2_test(residual: Matrix, components: Sequence[ComponentResult], extra: Matrix | None = None) -> Chi2:
    """Test whether a residual is compatible with zero.

    The total covariance V is the sum of the components' and of ``extra``. The p-value is that of

    - a chi2 distribution, where no part of V is estimated from replicas;
    - Hotelling's T-squared, T^2 (N - p) / (p (N - 1)) ~ F(p, N - p), where V is one replica component alone
      (Hotelling, Ann. Math. Statist. 2 (1931) 360; in this field Percival et al., arXiv:2108.10402);
    - pseudo-experiments over the finite number of replicas, for any other sum. A blanket factor on V^-1
      would be wrong there: only a part of V is noisy.

    Parameters
    ----------
    residual : numpy.ndarray
        ``measured[bin] - predicted[bin]``.
    components : sequence of ComponentResult
        What the covariance of the measurement is the sum of.
    extra : numpy.ndarray, optional
        ``covariance[bin, bin]`` known without replicas: the prediction's own.

    Raises
    ------
    StatisticsError
        If V has a rank below the number of bins; it is not inverted then.
    """
    bins = len(residual)
    parts = [part.covariance for part in components] + ([extra] if extra is not None else [])
    if not parts:
        msg = "no component is left to make a covariance of"
        raise StatisticsError(msg)
    total: Matrix = np.sum(parts, axis=0)
    chi2 = squared_distance(residual, total)
    estimated = [part for part in components if part.replicas]
    replicas = min((part.replicas for part in estimated), default=0)
    method: Method
    if not estimated:
        method, p_value = "chi2", float(special.chdtrc(bins, chi2))
    elif len(parts) == 1:
        method = "hotelling"
        f = chi2 * (replicas - bins) / (bins * (replicas - 1))
        p_value = float(special.fdtrc(bins, replicas - bins, f))
    else:
        method, p_value = "simulation", _simulate(total, estimated, chi2)
    return Chi2(chi2=chi2, bins=bins, p_value=p_value, replicas=replicas, method=method)
