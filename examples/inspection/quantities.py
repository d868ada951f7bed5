"""The quantities that a decision needs: what each is of parts, of readings, and in a release."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from line import MISSING
from numpy.typing import NDArray
from periods import SHIFTS
from stones import LIMITS

from omnifold_pub.estimators import Histogram, Moments
from omnifold_pub.estimators.base import Statistic

__all__ = ["QUANTITIES", "Quantity", "Raw"]

Array = NDArray[np.float64]

MIDDLE, HALF = sum(LIMITS) / 2, (LIMITS[1] - LIMITS[0]) / 2
OUT = f"abs(proportion - {MIDDLE:g})"
TALL = 4.005
"""mm, between two steps of the heights; somebody asks later which parts fit into a box: no column holds a height."""


class Properties(Protocol):
    """Of parts: true ones, or readings."""

    @property
    def diameter(self) -> Array:
        """In mm."""

    @property
    def proportion(self) -> Array:
        """In percent."""

    @property
    def mass(self) -> Array:
        """In mg."""


@dataclass(frozen=True)
class Raw:
    """What the records say as they are.

    Attributes
    ----------
    value, error : float
        The quantity, and its standard error from the number of records.
    """

    value: float
    error: float


@dataclass(frozen=True)
class Quantity:
    """One number for a decision.

    Attributes
    ----------
    name, unit, digits
        For the page.
    statistic : Statistic
        What is measured in a release.
    number : int
        Which of its numbers it is.
    scale : float
        Factor to the unit.
    rule : callable
        The same of parts or readings, one number per part: the quantity is their mean, or their sum per shift.
    change : float
        Of this size it would matter, in the unit.
    per_shift : bool
        Whether it is a sum.
    """

    name: str
    unit: str
    digits: int
    statistic: Statistic
    number: int
    scale: float
    rule: Callable[[Properties], Array]
    change: float
    per_shift: bool = False

    def of(self, parts: Properties) -> Raw:
        """Return it of parts or of readings as they are; readings that are missing are left out."""
        values = self.rule(parts)
        if self.per_shift:
            return Raw(float(values.sum()) / SHIFTS, float(np.sqrt((values**2).sum())) / SHIFTS)
        return Raw(float(values.mean()) * self.scale, float(values.std(ddof=1) / np.sqrt(len(values))) * self.scale)


def _out(parts: Properties) -> Array:
    return (np.abs(parts.proportion - MIDDLE) >= HALF).astype(np.float64)


def _every(parts: Properties) -> Array:
    return np.ones(len(parts.diameter))


def _tall(parts: Properties) -> Array:
    return (parts.proportion * parts.diameter / 100 >= TALL).astype(np.float64)


def _mass(parts: Properties) -> Array:
    there: Array = parts.mass[parts.mass != MISSING]
    return there


QUANTITIES = {
    "out": Quantity(
        f"Out of tolerance: below {LIMITS[0]:g} % or above {LIMITS[1]:g} %",
        "%",
        1,
        Histogram(OUT, [0, HALF, 40], normalise=True),
        1,
        100,
        _out,
        2.0,
    ),
    "diameter": Quantity("Mean diameter", "mm", 3, Moments("diameter"), 0, 1, lambda parts: parts.diameter, 0.03),
    "mass": Quantity("Mean mass", "mg", 1, Moments("mass"), 0, 1, _mass, 3.0),
    "rate": Quantity(
        "Parts made", "per shift", 0, Histogram("diameter", [3.6, 11]), 0, 1, _every, 20.0, per_shift=True
    ),
    "out_rate": Quantity(
        "Out of tolerance", "per shift", 0, Histogram(OUT, [HALF, 40]), 0, 1, _out, 10.0, per_shift=True
    ),
    "tall": Quantity(
        f"Taller than {TALL:.0f} mm (asked later: no column holds it)",
        "%",
        1,
        Histogram("proportion * diameter / 100", [0, TALL, 9], normalise=True),
        1,
        100,
        _tall,
        2.0,
    ),
}
