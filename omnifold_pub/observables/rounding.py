"""Round numbers: those that a person would choose for an edge."""

from __future__ import annotations

import math
from collections.abc import Iterator

__all__ = ["coarseness", "roundest"]

_STEPS = (5.0, 2.5, 2.0, 1.0)
_DIGITS = 15


def _grids(largest: float, smallest: float) -> Iterator[float]:
    """Yield 5, 2.5, 2 and 1 times powers of ten, falling, from about one number to another."""
    top, bottom = math.floor(math.log10(largest)), math.floor(math.log10(smallest)) - 1
    for power in range(min(top, 300), max(bottom, -300, top - _DIGITS) - 1, -1):
        for step in _STEPS:
            yield float(f"{step}e{power}")


def roundest(low: float, high: float) -> float:
    """Return the roundest x with low < x <= high: a multiple of the largest 1, 2, 2.5 or 5 times a power of ten.

    0 is rounder than all others; ``high`` itself is returned where floats leave no choice.

    Examples
    --------
    >>> roundest(283.2, 301.7), roundest(0.4817, 0.5333), roundest(-0.2, 0.1), roundest(7.6, 8)
    (300.0, 0.5, 0.0, 8.0)
    """
    if low < 0 <= high:
        return 0.0
    if not high > low:
        return high
    for grid in _grids(max(abs(low), abs(high)), high - low):
        steps = high / grid
        whole = math.floor(steps + 1e-14 * abs(steps))  # 1.001 / 0.001 is less than 1001
        x = float(f"{whole * grid:.{_DIGITS}g}")
        if low < x <= high:
            return x
    return high


def coarseness(x: float) -> float:
    """Return the largest 1, 2, 2.5 or 5 times a power of ten that x is a multiple of; infinite for 0.

    Examples
    --------
    >>> coarseness(300), coarseness(225), coarseness(0.07), coarseness(0.0)
    (100.0, 25.0, 0.01, inf)
    """
    if x == 0:
        return math.inf
    size = abs(x)
    for grid in _grids(size, size * 1e-13):
        if abs(size / grid - round(size / grid)) <= 1e-9 * max(1, size / grid * 1e-3):
            return grid
    return size * 1e-14
