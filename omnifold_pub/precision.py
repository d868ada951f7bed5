"""Weights with fewer bits: rounding, and what it does to weights and covariances, as measured."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.statistics.sums import BinIndex

__all__ = ["ALLOWED_BITS", "PrecisionMeter", "round_mantissa"]

ALLOWED_BITS = range(10, 15)
"""Bits of a significand that may be kept: fewer show in covariances, more save nothing to speak of."""

_SIGNIFICAND = 23  # bits stored of a float32's


def round_mantissa(weights: NDArray[np.float32], bits: int) -> NDArray[np.float32]:
    """Round to ``bits`` bits of the significand: to the nearest, halves to even, so that sums are not biased.

    The relative error of a normal number is at most ``2**-(bits + 1)``.

    >>> round_mantissa(np.array([1 + 2**-11, 1 + 2**-10], dtype=np.float32), 10).tolist()
    [1.0, 1.0009765625]
    """
    drop = _SIGNIFICAND - bits
    words = weights.view(np.uint32)
    half = np.uint32((1 << (drop - 1)) - 1) + ((words >> np.uint32(drop)) & np.uint32(1))
    rounded: NDArray[np.float32] = ((words + half) & np.uint32(~((1 << drop) - 1) & 0xFFFFFFFF)).view(np.float32)
    finite = np.isfinite(weights)
    return rounded if finite.all() else np.where(finite, rounded, weights)  # a NaN's bits may carry into the sign


@dataclass
class PrecisionMeter:
    """Measures what rounding a family does, block by block.

    Attributes
    ----------
    bin_of : numpy.ndarray
        ``bin[event]`` of a histogram whose covariance is compared; -1 where an event is in none.
    bins : int
        Number of its bins.
    members : int
        Of the family.
    worst_relative_error : float
        Largest relative change of a weight so far.
    """

    bin_of: NDArray[np.int8]
    bins: int
    members: int
    worst_relative_error: float = 0.0
    _exact: NDArray[np.float64] = field(init=False)
    _rounded: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        """Begin with empty histograms."""
        self._exact = np.zeros((self.bins, self.members))
        self._rounded = np.zeros_like(self._exact)

    def add(self, start: int, exact: NDArray[np.float32], rounded: NDArray[np.float32]) -> None:
        """Take the block of rows that begins with row ``start``."""
        counted = (np.abs(exact) >= np.finfo(np.float32).tiny) & np.isfinite(rounded)
        before = exact[counted].astype(np.float64)
        change = np.abs(rounded[counted] - before) / np.abs(before)
        self.worst_relative_error = max(self.worst_relative_error, float(change.max(initial=0.0)))
        index = BinIndex([self.bin_of[start : start + len(exact)].astype(np.int64)], [self.bins])
        self._exact += index.sums(exact)
        self._rounded += index.sums(rounded)

    @property
    def worst_covariance_error(self) -> float:
        """Largest change of the members' sample covariance, relative to the deviations of its two bins."""
        if self.members < 2 or not (np.isfinite(self._exact).all() and np.isfinite(self._rounded).all()):
            return 0.0  # weights that are not finite are refused by the validation
        before, after = np.atleast_2d(np.cov(self._exact)), np.atleast_2d(np.cov(self._rounded))
        deviations = np.sqrt(np.diag(before))
        scale = np.outer(deviations, deviations)
        return float((np.abs(after - before) / np.where(scale > 0, scale, np.inf)).max())
