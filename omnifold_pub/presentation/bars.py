"""Histograms in lines of text: a bar for each bin, with the interval of its uncertainty."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["ASCII", "BLOCKS", "Scale", "Signs", "bar", "share_bar"]

Array = NDArray[np.float64]

_LARGE_RANGE = 50
"""From here on, the largest value over the smallest asks for a logarithmic scale."""


@dataclass(frozen=True)
class Signs:
    """What bars are made of.

    Attributes
    ----------
    full, interval : str
        One cell up to the interval of the uncertainty, and one inside of it.
    parts : str
        The first cell that is not full, by how full it is: nothing, an eighth, two eighths; or nothing alone.
    """

    full: str
    interval: str
    parts: str


BLOCKS = Signs("\N{FULL BLOCK}", "\N{MEDIUM SHADE}", " \u258f\u258e\u258d\u258c\u258b\u258a\u2589")
ASCII = Signs("#", "=", " ")


@dataclass(frozen=True)
class Scale:
    """Where values are on a bar.

    Attributes
    ----------
    low, high : float
        Its ends.
    logarithmic : bool
        Whether equal lengths are equal factors.
    """

    low: float
    high: float
    logarithmic: bool

    @classmethod
    def of(cls, values: Array, errors: Array) -> Scale:
        """Return a scale for bars: from 0 if the values allow, logarithmic if they differ by a factor of 50.

        >>> Scale.of(np.array([1.0, 4.0]), np.array([0.1, 1.0]))
        Scale(low=0.0, high=5.0, logarithmic=False)
        >>> Scale.of(np.array([1.0, 100.0]), np.array([0.1, 0.0])).logarithmic
        True
        """
        known = np.isfinite(values) & np.isfinite(errors)
        if not known.any():
            return cls(0.0, 1.0, logarithmic=False)
        v, e = values[known], errors[known]
        high = float((v + e).max())
        if v.min() > 0 and v.max() > _LARGE_RANGE * v.min():
            return cls(10.0 ** math.floor(math.log10(float(v.min()))), high, logarithmic=True)
        low = min(0.0, float((v - e).min()))
        return cls(low, high if high > low else low + 1.0, logarithmic=False)

    def place(self, value: float) -> float:
        """Return where a value is, from 0 to 1."""
        if not self.logarithmic:
            found = (value - self.low) / (self.high - self.low)
        elif value <= self.low:
            found = 0.0
        else:
            low, high = math.log(self.low), math.log(self.high)  # their ratio may be beyond a float64
            found = (math.log(value) - low) / (high - low)
        return min(max(found, 0.0), 1.0)


def bar(value: float, error: float, *, scale: Scale, width: int, signs: Signs = BLOCKS) -> str:
    """Return a bar: full up to value - error, shaded up to value + error, at least one cell of it.

    Parameters
    ----------
    value, error : float
        Not finite: no bar.
    scale : Scale
        Common to all bars.
    width : int
        Cells of the longest bar.

    Returns
    -------
    str
        At most ``width`` characters.

    Examples
    --------
    >>> scale = Scale(0.0, 10.0, logarithmic=False)
    >>> bar(8.0, 2.0, scale=scale, width=10, signs=ASCII), bar(3.0, 0.0, scale=scale, width=10, signs=ASCII)
    ('######====', '###')
    >>> bar(8.0, 0.1, scale=scale, width=10, signs=ASCII), bar(float("nan"), 1.0, scale=scale, width=10)
    ('#######=', '')
    """
    if not (math.isfinite(value) and math.isfinite(error)):
        return ""
    if error <= 0:
        steps = len(signs.parts)
        whole, rest = divmod(round(steps * width * scale.place(value)), steps)
        return (signs.full * whole + signs.parts[rest]).rstrip()
    start = width * scale.place(value - error)
    stop = width * scale.place(value + error)
    first, last = round(start), round(stop)
    if last <= first:  # narrower than a cell: the one that the value is in
        first = min(int(width * scale.place(value) - 1e-9), width - 1)
        last = first + 1
    return signs.full * first + signs.interval * (last - first)


def share_bar(share: float, *, width: int, signs: Signs = BLOCKS) -> str:
    """Return a bar of a share of one.

    >>> share_bar(0.25, width=8, signs=ASCII), share_bar(1.0, width=4, signs=ASCII)
    ('##', '####')
    """
    return bar(share, 0.0, scale=Scale(0.0, 1.0, logarithmic=False), width=width, signs=signs)
