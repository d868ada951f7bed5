"""Events as points whose coordinates can be compared: standardised, absent objects included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import StatisticsError

__all__ = ["Points", "points_of"]

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

_ROUNDING = 1e-12  # of a value: a spread below it is none


@dataclass(frozen=True, eq=False)
class Points:
    """Two samples in the same coordinates.

    Attributes
    ----------
    unfolded, truth : numpy.ndarray
        ``value[event, coordinate]``.
    """

    unfolded: Matrix
    truth: Matrix


def _standardised(values: Vector, other: Vector, weights: Vector, name: str) -> tuple[Vector, Vector]:
    """Scale two samples by mean and deviation of the second; absent values are at the mean, 0."""
    there = ~np.isnan(other)
    share = weights[there] / weights[there].sum()
    mean = float(share @ other[there])
    variance = float(share @ (other[there] - mean) ** 2)
    rounding = (_ROUNDING * float(np.abs(other[there]).max(initial=0))) ** 2
    if not rounding < variance < np.inf:
        msg = (
            f"{name}: its values in the reference have the variance {variance:.1g}; expected one above 0; leave it out"
        )
        raise StatisticsError(msg)

    def scaled(x: Vector) -> Vector:
        return np.where(np.isnan(x), 0.0, (x - mean) / np.sqrt(variance))

    return scaled(values), scaled(other)


def _ranked(values: Vector, other: Vector, weights: Vector, name: str) -> tuple[Vector, Vector]:
    """Replace values by their rank in the second sample, which has variance 1 there; absent values are at 0."""
    there = ~np.isnan(other)
    ordered = np.sort(other[there])

    def ranks(x: Vector) -> Vector:
        middle = (np.searchsorted(ordered, x, "left") + np.searchsorted(ordered, x, "right")) / (2 * len(ordered))
        return np.where(np.isnan(x), np.nan, middle)

    return _standardised(ranks(values), ranks(other), weights, name)


def points_of(
    unfolded: Sequence[Vector], truth: Sequence[Vector], weights: Vector, names: Sequence[str], *, ranks: bool = False
) -> Points:
    """Make points of columns.

    Each column is shifted and scaled to mean 0 and variance 1 of the truth. An event without the value is at the mean,
    and a further coordinate says for each pattern of absence, standardised too, which events lack it.

    Parameters
    ----------
    unfolded, truth : sequence of numpy.ndarray
        ``value[event]`` of each observable; NaN where an event lacks it.
    weights : numpy.ndarray
        ``weight[event]`` of the truth.
    names : sequence of str
        Of the observables.
    ranks : bool
        Take the rank among the truth's values for the value, first: a network learns long tails no better than this.

    Raises
    ------
    StatisticsError
        If an observable is the same for all events of the truth.
    """
    scale = _ranked if ranks else _standardised
    pairs, patterns = [], set()
    for x, y, name in zip(unfolded, truth, names, strict=True):
        pairs.append(scale(x, y, weights, name))
        absent, lacking = np.isnan(x), np.isnan(y)
        pattern = absent.tobytes() + lacking.tobytes()
        if lacking.any() and not lacking.all() and pattern not in patterns:
            patterns.add(pattern)
            pairs.append(_standardised(absent.astype(np.float64), lacking.astype(np.float64), weights, name))
    return Points(np.stack([a for a, _ in pairs], axis=1), np.stack([b for _, b in pairs], axis=1))
