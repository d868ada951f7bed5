"""Predictions to be drawn beside a measurement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.measurement import Measurement
from omnifold_pub.plots.styles import line_of
from omnifold_pub.reinterpret.prediction import Predicting

__all__ = ["Curve", "curves_of"]


@dataclass(frozen=True, eq=False)
class Curve:
    """A prediction to be drawn beside a measurement.

    Attributes
    ----------
    label : str
        For the legend.
    values : numpy.ndarray
        ``T[bin]``, integrated over each bin.
    colour, linestyle : str
        As matplotlib names them.
    errors : numpy.ndarray, optional
        ``error[bin]``.
    """

    label: str
    values: NDArray[np.float64]
    colour: str
    linestyle: str | tuple[float, tuple[float, ...]] = "-"
    errors: NDArray[np.float64] | None = None


def curves_of(measurement: Measurement, theories: Sequence[Predicting]) -> tuple[Curve, ...]:
    """Return the curve of each theory, each with a colour and a dash pattern of its own.

    Parameters
    ----------
    measurement : Measurement
        What it is to be drawn beside.
    theories : sequence of Theory
        The prior is one: `omnifold_pub.closure.prior_theory`.

    Raises
    ------
    InputError
        If a theory is in another unit.

    Examples
    --------
    >>> import omnifold_pub
    >>> from omnifold_pub.closure import prior_theory
    >>> with omnifold_pub.open_release("release/zjets/zjets.h5") as release:
    ...     spectrum = release.measure("pT_ll", [200, 230, 270, 350, 1000])
    ...     curves = curves_of(spectrum, [prior_theory(release)])
    >>> curves[0].label, curves[0].values.shape
    ('MC prior', (4,))
    """
    curves = []
    for number, theory in enumerate(theories):
        line = line_of(number)
        values, covariance = theory.predict(measurement)
        errors = np.sqrt(np.diag(covariance))
        curves.append(Curve(theory.name, values, line.colour, line.linestyle, errors))
    return tuple(curves)
