"""One observable under the weights of a closure test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.estimators.base import BinnedStatistic

__all__ = ["ClosureSpectra"]

Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ClosureSpectra:
    """One observable under the weights of a closure test.

    Attributes
    ----------
    statistic : BinnedStatistic
        What was histogrammed.
    unit : str
        Of the spectra.
    unfolded : numpy.ndarray
        ``[bin]``: what the unfolding found.
    target : numpy.ndarray
        ``[bin]``: what it should have found.
    """

    statistic: BinnedStatistic
    unit: str
    unfolded: Vector
    target: Vector
