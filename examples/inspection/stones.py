"""The parts: some 53,900 round cut stones that were really measured, one by one.

The table ``diamonds`` comes with plotnine (MIT), which has it from ggplot2 (MIT): length, width and height in mm with a
vernier's two decimals, mass in carat. They are the true properties of the parts here, as they are; nothing is drawn
from a model.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.extras import require

__all__ = ["LIMITS", "Parts", "parts_out_of_tolerance", "read_parts"]

Array = NDArray[np.float64]

LIMITS = (59.0, 63.0)
"""Tolerance of the proportion, height over diameter, in percent."""

_MILLIGRAM = 200.0  # in a carat
_DIAMETER = (3.6, 11.0)  # mm; the line takes nothing else
_PROPORTION = (50.0, 75.0)  # percent
_DENSITY = (0.9, 1.6)  # mg / mm^3 of the box around a stone: beyond, one of the four numbers is mistyped
_OVAL = 0.5  # mm between length and width, likewise


@dataclass(frozen=True)
class Parts:
    """True properties of parts.

    Attributes
    ----------
    number : numpy.ndarray
        Serial numbers, ``[part]``.
    diameter : numpy.ndarray
        Mean of length and width in mm, ``[part]``.
    proportion : numpy.ndarray
        Height over diameter in percent, ``[part]``.
    mass : numpy.ndarray
        In mg, ``[part]``.
    """

    number: NDArray[np.int64]
    diameter: Array
    proportion: Array
    mass: Array

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.number)

    @property
    def height(self) -> Array:
        """In mm."""
        return self.proportion * self.diameter / 100

    def select(self, rows: NDArray[np.integer] | NDArray[np.bool_]) -> Parts:
        """Return some of them."""
        return Parts(self.number[rows], self.diameter[rows], self.proportion[rows], self.mass[rows])

    def taller(self, factor: float) -> Parts:
        """Return the same parts, their height and mass times a factor: what a worn tool leaves standing."""
        return Parts(self.number, self.diameter, self.proportion * factor, self.mass * factor)


def parts_out_of_tolerance(parts: Parts) -> float:
    """Return the share of parts whose proportion is beyond the limits.

    >>> parts_out_of_tolerance(Parts(np.arange(2), np.full(2, 5.0), np.array([58.0, 61.0]), np.full(2, 90.0)))
    0.5
    """
    low, high = LIMITS
    return float(np.mean((parts.proportion < low) | (parts.proportion >= high)))


def _table() -> Path:
    """Return the file of the installed package, without importing it."""
    require("plotnine", extra="examples", purpose="The inspection example")
    return Path(str(metadata.distribution("plotnine").locate_file("plotnine/data/diamonds.csv")))


def read_parts() -> Parts:
    """Read all stones whose four numbers fit each other; about 40 of 53,940 do not (zeros, swapped decimals).

    Raises
    ------
    MissingExtraError
        If plotnine is not installed.
    """
    with _table().open(encoding="utf-8", newline="") as file:
        rows = [[float(row[name]) for name in ("x", "y", "z", "carat")] for row in csv.DictReader(file)]
    length, width, height, carat = np.array(rows).T
    diameter, mass = (length + width) / 2, carat * _MILLIGRAM
    there = (length > 0) & (width > 0) & (height > 0)
    proportion = np.divide(100 * height, diameter, out=np.zeros_like(height), where=there)
    density = np.divide(mass, diameter**2 * height, out=np.zeros_like(height), where=there)
    good = there & (np.abs(length - width) < _OVAL)
    for values, (low, high) in ((diameter, _DIAMETER), (proportion, _PROPORTION), (density, _DENSITY)):
        good &= (values >= low) & (values < high)
    return Parts(np.arange(len(good))[good], diameter[good], proportion[good], mass[good])
