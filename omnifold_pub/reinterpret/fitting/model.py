"""What a fit needs of a model: parameters, and what it predicts of a measurement under their values."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import InputError
from omnifold_pub.measurement import Estimate
from omnifold_pub.messages import repeated, shorten
from omnifold_pub.statistics.components import Component, ComponentResult

__all__ = ["BoundModel", "Function", "Model", "Parameter", "check_parameters"]

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Parameter:
    """A number that a fit looks for.

    Attributes
    ----------
    name : str
        Of the parameter.
    start : float
        Where the search begins.
    lower, upper : float
        Limits; infinite where there are none.
    step : float
        First step of the search; 0 for a tenth of the range, or of the start, or 0.1.

    Raises
    ------
    InputError
        If the start is not finite or not within the limits.

    Examples
    --------
    >>> Parameter("alpha_s", 0.118, lower=0.11, upper=0.13).first_step
    0.002
    """

    name: str
    start: float = 0.0
    lower: float = -math.inf
    upper: float = math.inf
    step: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start) and self.lower <= self.start <= self.upper and self.lower < self.upper):
            msg = (
                f"parameter {shorten(self.name)}: expected a finite start within limits that leave room; "
                f"found {self.start:g} in [{self.lower:g}, {self.upper:g}]"
            )
            raise InputError(msg)

    @property
    def first_step(self) -> float:
        """First step of the search."""
        width = self.upper - self.lower
        return self.step or round(0.1 * (width if math.isfinite(width) else abs(self.start) or 1.0), 12)


@dataclass(frozen=True, eq=False)
class BoundModel:
    """A model of one measurement: predictions of its bins.

    Attributes
    ----------
    parameters : tuple of Parameter
        What moves it.
    predict : callable
        ``predict(value[parameter]) -> T[bin]``.
    parts : callable
        ``parts(value[parameter])``: what the covariance of the prediction itself is the sum of; each is called
        ``theory``, or ``theory: ...``.
    """

    parameters: tuple[Parameter, ...]
    predict: Callable[[Vector], Vector]
    parts: Callable[[Vector], Sequence[ComponentResult]]

    def covariance(self, values: Vector) -> Matrix:
        """Return the sum of all parts, ``covariance[bin, bin]``."""
        total: Matrix = np.sum([part.covariance for part in self.parts(values)], axis=0)
        return total


class Model(ABC):
    """Predicts any measurement under the values of its parameters."""

    @abstractmethod
    def of(self, measurement: Estimate) -> BoundModel:
        """Return the predictions of one measurement.

        Raises
        ------
        InputError
            If a part of the model is in another unit, or cannot predict this measurement.
        """


@dataclass(frozen=True, eq=False)
class Function(Model):
    """A model that is a function of the parameters: predictions from any other program.

    Parameters
    ----------
    parameters : sequence of Parameter
        What moves it.
    function : callable
        ``function(value[parameter]) -> T[bin]``, in the measurement's unit.
    own_covariance : callable, optional
        ``own_covariance(value[parameter]) -> covariance[bin, bin]`` of the prediction; by default it has none.

    Examples
    --------
    >>> line = Function([Parameter("offset", 1), Parameter("slope")], lambda p: p[0] + p[1] * np.arange(3))
    >>> [parameter.name for parameter in line.parameters]
    ['offset', 'slope']
    """

    parameters: Sequence[Parameter]
    function: Callable[[Vector], Vector]
    own_covariance: Callable[[Vector], Matrix] | None = None

    def __post_init__(self) -> None:
        check_parameters(self.parameters)

    def of(self, measurement: Estimate) -> BoundModel:
        """Return the function, its results checked.

        Raises
        ------
        InputError
            When it is called, if it returns another number of bins or what is not finite.
        """
        bins = len(measurement.nominal)

        def predict(values: Vector) -> Vector:
            found: Vector = np.asarray(self.function(values), dtype=np.float64)
            if found.shape != (bins,) or not np.isfinite(found).all():
                msg = f"model: expected {bins} finite numbers at {values.tolist()}; found {shorten(found)}"
                raise InputError(msg)
            return found

        def parts(values: Vector) -> list[ComponentResult]:
            own = np.zeros((bins, bins)) if self.own_covariance is None else self.own_covariance(values)
            matrix: Matrix = np.asarray(own, dtype=np.float64)
            if matrix.shape != (bins, bins) or not np.isfinite(matrix).all():
                msg = f"model: expected a finite covariance of {bins} bins at {values.tolist()}; found {shorten(own)}"
                raise InputError(msg)
            return [ComponentResult(Component("theory", "event_sampling"), np.empty((0, bins)), matrix)]

        return BoundModel(tuple(self.parameters), predict, parts)


def check_parameters(parameters: Sequence[Parameter]) -> None:
    """Refuse a model without parameters, or with two of one name.

    Raises
    ------
    InputError
        If so.
    """
    names = [parameter.name for parameter in parameters]
    if not names or repeated(names):
        found = f"{', '.join(repeated(names))} more than once" if names else "none"
        msg = f"model: expected parameters, each with a name of its own; found {found}"
        raise InputError(msg)
