"""A measurement's covariance as a fit uses it: whitened, its estimated parts known, its degrees of freedom counted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import ObservableError, StatisticsError
from omnifold_pub.measurement import Estimate
from omnifold_pub.messages import shorten, suggest
from omnifold_pub.statistics.components import ComponentResult
from omnifold_pub.statistics.covariances import checked_covariance, checked_two_points, rank_of, spectrum
from omnifold_pub.statistics.pseudo_experiments import EstimatedPart, effective_freedom

__all__ = ["Whitened", "used_results", "whiten"]

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Whitened:
    """A covariance V that was inverted.

    Attributes
    ----------
    results : tuple of ComponentResult
        The parts of V that are the measurement's.
    extra : numpy.ndarray
        ``covariance[bin, bin]``: the part that is the prediction's.
    transform : numpy.ndarray
        ``W[direction, bin]`` with W V W^T = 1.
    freedom : float
        Degrees of freedom of V, taken for a single Wishart matrix; infinite where no part is estimated from replicas.
    """

    results: tuple[ComponentResult, ...]
    extra: Matrix
    transform: Matrix
    freedom: float

    @property
    def rank(self) -> int:
        """Number of directions."""
        return len(self.transform)

    def chi2(self, residual: Vector) -> float:
        """Return d^T V^-1 d."""
        return float(((self.transform @ residual) ** 2).sum())


def used_results(
    measurement: Estimate, *, leave_out: Sequence[str] = (), decorrelate: Sequence[str] = ()
) -> tuple[ComponentResult, ...]:
    """Return the components of a measurement that count, two-points bin by bin where asked for.

    Raises
    ------
    ObservableError
        If a component to leave out is unknown.
    StatisticsError
        If one to decorrelate is unknown, or no two-point.
    """
    there = [component.name for component in measurement.components]
    for name in leave_out:
        if name not in there:
            msg = f"no component {shorten(name)} to leave out; {suggest(name, there)}"
            raise ObservableError(msg)
    kept = [result for result in measurement.results if result.component.name not in leave_out]
    names = checked_two_points(kept, decorrelate)
    return tuple(
        ComponentResult(r.component, r.members, np.diag(np.diag(r.covariance))) if r.component.name in names else r
        for r in kept
    )


def whiten(results: Sequence[ComponentResult], extra: Matrix, *, pseudo_inverse: bool = False) -> Whitened:
    """Invert the sum of a measurement's covariances and that of a prediction.

    Parameters
    ----------
    results : sequence of ComponentResult
        Those of the measurement that count.
    extra : numpy.ndarray
        ``covariance[bin, bin]`` of the prediction.
    pseudo_inverse : bool
        True: where the rank is below the number of bins, use the directions that V knows.

    Raises
    ------
    StatisticsError
        If V cannot be inverted; with the pseudo-inverse too, if replicas are too few to know all directions.

    Examples
    --------
    >>> whiten([], np.diag([4.0, 1.0])).chi2(np.array([2.0, 1.0]))
    2.0
    """
    bins = len(extra)
    checked = checked_covariance(extra, bins, "the covariance of the prediction", semidefinite="checked")
    total = sum((result.covariance for result in results), checked)
    modes = spectrum(total, zero_errors=pseudo_inverse)
    if modes.rank < bins:
        few = [r for r in results if r.replicas and rank_of(r.covariance) >= r.replicas - 1]
        if few or not pseudo_inverse:
            names = ", ".join(f"{r.component.name!r} has {r.replicas} replicas" for r in few)
            hint = f"; {names}" if few else ", or ask for the directions that it knows (pseudo_inverse=True)"
            raise StatisticsError(modes.shortage() + hint)
    white = modes.transform
    parts = [
        EstimatedPart(white @ r.covariance @ white.T, r.replicas - 1)
        for r in results
        if r.replicas and r.covariance.any()
    ]
    freedom = effective_freedom(np.eye(modes.rank), parts) if parts else math.inf
    return Whitened(tuple(results), checked, white, freedom)
