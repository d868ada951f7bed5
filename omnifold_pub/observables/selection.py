"""Intervals of values, and the requirements that a fiducial region is made of."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import ObservableError
from omnifold_pub.messages import suggest
from omnifold_pub.observables.expressions import Expression, parse

__all__ = ["Interval", "Requirement"]

FLOAT32_ROUNDING = 1e-6
"""Relative; a little more than float32's."""


@dataclass(frozen=True)
class Interval:
    """A closed interval.

    Attributes
    ----------
    minimum, maximum : float
        Bounds, infinite where there is none.
    """

    minimum: float = -math.inf
    maximum: float = math.inf

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Self:
        """Take the bounds of a document that its schema has accepted, as they are; null is no bound."""
        minimum, maximum = entry["minimum"], entry["maximum"]
        return cls(-math.inf if minimum is None else float(minimum), math.inf if maximum is None else float(maximum))

    @classmethod
    def from_document(cls, entry: Mapping[str, Any]) -> Self:
        """Take the bounds of a document that its schema has accepted; null is no bound.

        Raises
        ------
        ValueError
            If no number lies between them.

        Examples
        --------
        >>> Interval.from_document({"minimum": 10, "maximum": None})
        Interval(minimum=10.0, maximum=inf)
        """
        interval = cls.of(entry)
        if interval.minimum > interval.maximum:
            msg = f"expected a minimum of at most the maximum; found {interval.minimum:g} and {interval.maximum:g}"
            raise ValueError(msg)
        return interval

    def contains(self, values: NDArray[Any], tolerance: float = 0.0) -> NDArray[np.bool_]:
        """Tell for ``values[event]`` whether they are finite and inside, or at most ``tolerance`` beyond.

        What rounding to float32 does is granted on top.
        """
        lowest = self.minimum - tolerance - FLOAT32_ROUNDING * abs(self.minimum)
        highest = self.maximum + tolerance + FLOAT32_ROUNDING * abs(self.maximum)
        inside: NDArray[np.bool_] = np.isfinite(values) & (values >= lowest) & (values <= highest)
        return inside


@dataclass(frozen=True)
class Requirement:
    """One requirement of the fiducial selection.

    Attributes
    ----------
    expression : Expression
        Of the particle-level columns.
    interval : Interval
        Where it lies in the fiducial region.
    tolerance : float
        How far beyond a bound the stored precision may carry an event that is inside.
    """

    expression: Expression
    interval: Interval
    tolerance: float

    @classmethod
    def from_document(cls, entry: Mapping[str, Any], columns: Collection[str]) -> Self:
        """Read one entry of ``fiducial.selection``; ``columns`` are the observables there are.

        Raises
        ------
        ValueError
            If the expression is not allowed, uses a column that is not there, or the bounds are the wrong way round.

        Examples
        --------
        >>> entry = {"expression": "abs(eta_l1)", "minimum": None, "maximum": 2.5, "tolerance": 0}
        >>> Requirement.from_document(entry, ["eta_l1"]).expression.columns
        ('eta_l1',)
        """
        try:
            expression = parse(entry["expression"])
        except ObservableError as error:
            raise ValueError(str(error)) from None
        unknown = [name for name in expression.columns if name not in columns]
        if unknown:
            msg = f"{unknown[0]!r} is no observable of the analysis; {suggest(unknown[0], sorted(columns))}"
            raise ValueError(msg)
        return cls(expression, Interval.from_document(entry), float(entry["tolerance"]))
