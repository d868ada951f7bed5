"""What of a measurement can be drawn along one axis, and in which measure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import ObservableError
from omnifold_pub.estimators import Histogram
from omnifold_pub.measurement import Measurement
from omnifold_pub.messages import shorten
from omnifold_pub.observables.binning import Axis

__all__ = ["axes_of", "axis_of", "over", "per_width"]

Vector = NDArray[np.float64]


def axes_of(measurement: Measurement, number: int) -> tuple[Axis, ...]:
    """Return the axes of what can be drawn.

    Raises
    ------
    ObservableError
        If there are more or fewer than so many, or bins of infinite width.
    """
    axes = measurement.axes
    wanted = "one axis" if number == 1 else f"{number} axes"
    if len(axes) != number or not all(np.isfinite(axis.edges).all() for axis in axes):
        several = "1 axis" if len(axes) == 1 else f"{len(axes)} axes"
        found = several if len(axes) != number else "under- or overflow: draw measurement.inner()"
        msg = f"{shorten(measurement.name)}: expected {wanted} with finite edges to draw; found {found}"
        raise ObservableError(msg)
    return axes


def axis_of(measurement: Measurement) -> Axis:
    """Return the one axis of what can be drawn.

    Raises
    ------
    ObservableError
        If it has several, or bins of infinite width.
    """
    return axes_of(measurement, 1)[0]


def per_width(measurement: Measurement, values: Vector) -> Vector:
    """Return contents of bins over the widths (areas) of the bins; what is no content of bins as it is."""
    statistic = measurement.statistic
    if not isinstance(statistic, Histogram) or statistic.density:
        return values
    volume = np.ones(1)
    for axis in measurement.axes:
        volume = np.outer(volume, axis.widths).ravel()
    divided: Vector = values / volume.reshape(values.shape)
    return divided


def over(numerator: Vector, values: Vector) -> Vector:
    """Divide by the measured values; NaN, which draws nothing, for empty bins.

    >>> over(np.array([1.0, 1.0]), np.array([2.0, 0.0]))
    array([0.5, nan])
    """
    quotient: Vector = np.divide(numerator, values, out=np.full_like(values, np.nan), where=values != 0)
    return quotient
