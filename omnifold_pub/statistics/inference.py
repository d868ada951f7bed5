"""chi2 and a p-value that knows how many replicas the covariance was estimated from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from omnifold_pub.errors import StatisticsError
from omnifold_pub.statistics.components import ComponentResult
from omnifold_pub.statistics.covariances import (
    Spectrum,
    checked_covariance,
    checked_two_points,
    fewest,
    rank_of,
    spectrum,
)
from omnifold_pub.statistics.distributions import chi2_tail, f_tail
from omnifold_pub.statistics.pseudo_experiments import EstimatedPart, simulated_p_value

__all__ = ["Chi2", "Method", "chi2_test", "squared_distance"]

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Method = Literal["chi2", "hotelling", "simulation"]

_TOYS = 20_000
_FEWEST_TOYS = 2_000
_FULL_TOYS_BINS = 30  # a toy costs the third power of the bins: 100 bins with all toys would take half a minute
_TOY_SEED = 20_191_107  # fixed: the same question has the same answer


@dataclass(frozen=True)
class Chi2:
    """Outcome of a goodness-of-fit test.

    Attributes
    ----------
    chi2 : float
        d^T V^-1 d.
    bins : int
        Number of bins.
    dof : int
        Degrees of freedom: the bins, or the rank of V under the pseudo-inverse.
    rank : int
        Rank of V.
    replicas : int
        The smallest number of replicas behind an estimated part of V; 0 where all is analytic.
    p_value : float
        Probability of a larger chi2 if the prediction is true.
    method : {"chi2", "hotelling", "simulation"}
        Where the p-value comes from.
    effective_events : numpy.ndarray or None
        ``[bin]``, as handed to the test: how many events the bins stand on.
    """

    chi2: float
    bins: int
    dof: int
    rank: int
    replicas: int
    p_value: float
    method: Method
    effective_events: Vector | None = field(default=None, compare=False)


@dataclass(frozen=True, eq=False)
class _Part:
    """One term of the covariance; analytic where it has no replicas."""

    name: str
    covariance: Matrix
    replicas: int


def squared_distance(residual: ArrayLike, covariance: ArrayLike) -> float:
    """Return d^T V^-1 d: chi2 without its distribution.

    Raises
    ------
    StatisticsError
        If V has a rank below the number of bins; it is not inverted then. If an argument is not finite or has
        another shape.

    Examples
    --------
    >>> squared_distance(np.array([2.0, 0.0]), np.diag([4.0, 1.0]))
    1.0
    """
    vector = _checked_residual(residual)
    modes = spectrum(checked_covariance(covariance, len(vector), "the covariance"))
    if modes.rank < len(vector):
        raise StatisticsError(modes.shortage())
    return float(((modes.transform @ vector) ** 2).sum())


def _checked_residual(residual: ArrayLike) -> Vector:
    vector: Vector = np.asarray(residual, dtype=np.float64)
    if vector.ndim != 1 or len(vector) == 0:
        msg = f"the residual has shape {vector.shape}; expected one number for each bin"
        raise StatisticsError(msg)
    bad = np.flatnonzero(~np.isfinite(vector))
    if len(bad):
        msg = (
            f"the residual is {vector[bad[0]]} in bin {bad[0]} ({len(bad)} such in all); expected finite numbers; "
            "leave out bins where the measurement or the prediction is undefined"
        )
        raise StatisticsError(msg)
    return vector


def _checked_events(effective_events: ArrayLike | None, bins: int) -> Vector | None:
    if effective_events is None:
        return None
    events: Vector = np.asarray(effective_events, dtype=np.float64)
    if events.shape != (bins,):
        msg = f"the effective events have shape {events.shape}; expected one number for each of {bins} bins"
        raise StatisticsError(msg)
    return events


def _parts(
    components: Sequence[ComponentResult], extra: ArrayLike | None, bins: int, decorrelate: Sequence[str]
) -> list[_Part]:
    """Return the terms of the covariance, checked; those that are zero everywhere are no terms."""
    names = checked_two_points(components, decorrelate)
    parts = []
    for result in components:
        name = result.component.name
        covariance = checked_covariance(result.covariance, bins, f"the covariance of component {name!r}")
        if name in names:
            covariance = np.diag(np.diag(covariance))
        parts.append(_Part(name, covariance, result.replicas))
    if extra is not None:
        what = "the covariance of the prediction"
        parts.append(_Part(what, checked_covariance(extra, bins, what, semidefinite="checked"), 0))
    if not parts:
        msg = "no component is left to make a covariance of; leave fewer of them out"
        raise StatisticsError(msg)
    return [part for part in parts if part.covariance.any()]


def _check_rank(modes: Spectrum, parts: Sequence[_Part], events: Vector | None, *, pseudo_inverse: bool) -> None:
    """Refuse a covariance that cannot be inverted, unless its pseudo-inverse is wanted and has a p-value."""
    if modes.rank == modes.bins:
        return
    short = modes.bins - modes.rank
    exhausted = [p for p in parts if p.replicas and rank_of(p.covariance) >= p.replicas - 1]
    few = "".join(f"; {p.name!r} has {p.replicas} replicas, enough for rank {p.replicas - 1}" for p in exhausted)
    which = None
    if exhausted:  # which directions are missing is then an accident: it says nothing of the bins
        which = "" if events is None else fewest(events, short)
    if not pseudo_inverse:
        offer = "" if exhausted else ", or ask for the directions that it knows (pseudo_inverse=True)"
        raise StatisticsError(modes.shortage(which) + few + offer)
    if exhausted:
        msg = (
            f"the covariance of {modes.bins} bins has rank {modes.rank}{few}: the directions that are missing may "
            "be for want of replicas alone, so that the pseudo-inverse has no honest p-value; "
            f"merge bins down to {modes.rank} or fewer"
        )
        raise StatisticsError(msg)


def _toys(bins: int) -> int:
    return min(_TOYS, max(_FEWEST_TOYS, int(_TOYS * (_FULL_TOYS_BINS / bins) ** 2)))


def chi2_test(
    residual: ArrayLike,
    components: Sequence[ComponentResult],
    extra: ArrayLike | None = None,
    *,
    decorrelate: Sequence[str] = (),
    pseudo_inverse: bool = False,
    effective_events: ArrayLike | None = None,
    toys: int | None = None,
    seed: int = _TOY_SEED,
) -> Chi2:
    r"""Test whether a residual is compatible with zero.

    The total covariance V is the sum of the components' and of ``extra``. The p-value is that of

    - a chi2 distribution, where no part of V is estimated from replicas;
    - Hotelling's T-squared, :math:`T^2 (N - p) / (p (N - 1)) \sim F(p, N - p)`, where V is one replica component
      alone (Hotelling, Ann. Math. Statist. 2 (1931) 360; in this field Percival et al., arXiv:2108.10402);
    - pseudo-experiments over the finite number of replicas, for any other sum, see
      `omnifold_pub.statistics.pseudo_experiments.simulated_p_value`. A blanket factor on V^-1 would be wrong
      there: only a part of V is noisy.

    All of them take residual and replicas to be normally distributed and independent of each other.

    Parameters
    ----------
    residual : numpy.ndarray
        ``measured[bin] - predicted[bin]``.
    components : sequence of ComponentResult
        What the covariance of the measurement is the sum of.
    extra : numpy.ndarray, optional
        ``covariance[bin, bin]`` known without replicas: the prediction's own.
    decorrelate : sequence of str
        Two-point components of which this test uses the diagonal alone: a difference of two models says how
        large an effect may be, hardly how it is shared between bins.
    pseudo_inverse : bool
        True: where V has a rank below the number of bins, test the residual in the directions that V knows, with
        as many degrees of freedom. The directions are eigenvectors of the correlation matrix; what the residual
        has outside of them is ignored, however large. The p-value is had as above, of the residual and all parts
        in these directions. It is refused where V might be short of rank for want of replicas: the directions
        are then an accident of the replicas, and what they leave out has a variance after all.
    effective_events : numpy.ndarray, optional
        ``[bin]``: passed on to the result, and used to say which bins to merge.
    toys : int, optional
        Pseudo-experiments, where there are any: by default 20,000, and fewer from 30 bins on (2,000 for 100).
        The p-value is off by sqrt(p (1 - p) / toys).
    seed : int
        Of the pseudo-experiments; the same question has the same answer.

    Raises
    ------
    StatisticsError
        If V has a rank below the number of bins (it is not inverted then, unless the pseudo-inverse is asked for
        and has a p-value), or a bin has no uncertainty at all; if an argument is not finite, has another shape,
        or ``extra`` is not symmetric or not positive; if a component to decorrelate is unknown or no two-point.

    Examples
    --------
    >>> test = chi2_test(np.array([2.0, 1.0]), [], np.diag([4.0, 1.0]))
    >>> test.chi2, test.dof, round(test.p_value, 3), test.method
    (2.0, 2, 0.368, 'chi2')
    """
    vector = _checked_residual(residual)
    bins = len(vector)
    events = _checked_events(effective_events, bins)
    parts = _parts(components, extra, bins, decorrelate)
    total: Matrix = sum((part.covariance for part in parts), np.zeros((bins, bins)))
    modes = spectrum(total, zero_errors=pseudo_inverse)
    _check_rank(modes, parts, events, pseudo_inverse=pseudo_inverse)
    dof, white = modes.rank, modes.transform
    chi2 = float(((white @ vector) ** 2).sum())
    estimated = [part for part in parts if part.replicas]
    replicas = min((part.replicas for part in estimated), default=0)
    method: Method
    if not estimated:
        method, p_value = "chi2", chi2_tail(chi2, dof)
    elif len(parts) == 1:
        method = "hotelling"
        p_value = float(f_tail(chi2 * (replicas - dof) / (dof * (replicas - 1)), dof, replicas - dof))
    else:
        method = "simulation"
        # in bins as they are, or else in the directions of the pseudo-inverse, where V is the unit matrix
        basis = np.eye(bins) if dof == bins else white
        wishart = [EstimatedPart(basis @ part.covariance @ basis.T, part.replicas - 1) for part in estimated]
        matrix = total if dof == bins else np.eye(dof)
        p_value = simulated_p_value(chi2, matrix, wishart, toys=_toys(dof) if toys is None else toys, seed=seed)
    return Chi2(chi2, bins, dof, modes.rank, replicas, p_value, method, events)
