"""Sums of weights in bins, for all members and all observables in one pass over the weights."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

__all__ = ["BinIndex"]


class BinIndex:
    """Which bins each event falls into, over one or several observables.

    Parameters
    ----------
    indices : list of numpy.ndarray
        For each observable ``bin[event]``, -1 where the event is in none.
    bins : list of int
        Number of bins of each observable; bins are numbered through in this order.
    """

    def __init__(self, indices: list[NDArray[np.int64]], bins: list[int]) -> None:
        offsets = np.concatenate([[0], np.cumsum(bins)])
        self.bins = int(offsets[-1])
        self.size = len(indices[0])
        table = np.stack([np.where(i >= 0, i + start, -1) for i, start in zip(indices, offsets[:-1], strict=True)], 1)
        hit = table >= 0
        pointers = np.concatenate([[0], np.cumsum(hit.sum(axis=1))])
        # Column-compressed, an event a column: the product below runs through the weights in their own order.
        self._matrix = sparse.csc_array(
            (np.ones(int(pointers[-1])), table[hit], pointers), shape=(self.bins, self.size), dtype=np.float64
        )

    def sums(self, weights: NDArray[np.floating], start: int = 0) -> NDArray[np.float64]:
        """Return ``sum[bin, member]`` (or ``sum[bin]``) of a block of events, accumulated in float64.

        Parameters
        ----------
        weights : numpy.ndarray
            ``weights[event, member]`` or ``weights[event]`` of the events from ``start`` on.
        """
        block = self._matrix if len(weights) == self.size else self._matrix[:, start : start + len(weights)]
        return np.asarray(block @ weights.astype(np.float64, copy=False))

    def overlaps(self, squares: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return ``sum[bin, bin]`` of w**2 over the events in both bins: the event-sampling covariance.

        Between the bins of one observable it is diagonal, between observables it is not.
        """
        weighted = self._matrix * squares.astype(np.float64)[np.newaxis, :]
        return np.asarray((sparse.csc_array(weighted) @ self._matrix.T).todense())
