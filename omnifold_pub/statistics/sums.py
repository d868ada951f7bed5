"""Sums of weights in bins, for all members and all observables in one pass over the weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy import sparse

__all__ = ["BinIndex"]

_TILE_VALUES = 512 * 1024
"""Weights that are converted to float64 and summed at a time: they stay in the processor's cache."""


class BinIndex:
    """Which sums each event of a block adds to, over one or several observables.

    Parameters
    ----------
    indices : sequence of numpy.ndarray
        For each observable ``bin[event]``, -1 where the event is in none.
    bins : sequence of int
        Number of bins of each observable; bins are numbered through in this order.
    factors : sequence of numpy.ndarray, optional
        For each observable ``factor[event]`` that its weights are multiplied with, or None for 1.
    """

    def __init__(
        self,
        indices: Sequence[NDArray[np.integer]],
        bins: Sequence[int],
        factors: Sequence[NDArray[np.float64] | None] | None = None,
    ) -> None:
        self.bins = sum(bins)
        self.size = len(indices[0])
        table = np.empty((len(indices), self.size), dtype=np.int32)
        start = 0
        for row, index, count in zip(table, indices, bins, strict=True):
            np.add(index, start, out=row, casting="same_kind")
            row[index < 0] = -1
            start += count
        values = np.ones(table.size)
        if factors is not None and any(factor is not None for factor in factors):
            values = np.stack([np.ones(self.size) if f is None else f for f in factors], axis=1).ravel()
        # Column-compressed, an event a column: the product below runs through the weights in their own order.
        self._starts = np.arange(0, table.size + 1, len(indices), dtype=np.int32)
        self._rows, self._values = table.T.ravel(), values
        if table.min() < 0:
            hit = self._rows >= 0
            inside = np.count_nonzero(hit.reshape(self.size, -1), axis=1)
            self._starts = np.concatenate([[0], np.cumsum(inside)]).astype(np.int32)
            self._rows, self._values = self._rows[hit], values[hit]
        self._last: tuple[int, int, sparse.csc_array] | None = None

    def _matrix(self, start: int, stop: int) -> sparse.csc_array:
        """Return ``factor[bin, event]`` of some events; the last answer is kept."""
        from scipy import sparse  # slow to import: only for those who measure

        last = self._last
        if last is not None and last[:2] == (start, stop):
            return last[2]
        first, end = self._starts[start], self._starts[stop]
        matrix = sparse.csc_array(
            (self._values[first:end], self._rows[first:end], self._starts[start : stop + 1] - first),
            shape=(self.bins, stop - start),
        )
        self._last = start, stop, matrix
        return matrix

    def sums(self, weights: NDArray[np.floating], start: int = 0) -> NDArray[np.float64]:
        """Return ``sum[bin, member]`` (or ``sum[bin]``) of a block of events, accumulated in float64.

        The weights are gone through once, in stretches that stay in the cache: the cost is that of reading them,
        and one addition for each event, member and observable.

        Parameters
        ----------
        weights : numpy.ndarray
            ``weights[event, member]`` or ``weights[event]`` of the events from ``start`` on.
        """
        step = max(512, _TILE_VALUES // (weights.shape[1] if weights.ndim == 2 else 1))
        total: NDArray[np.float64] = np.zeros((self.bins, *weights.shape[1:]))
        buffer = np.empty((min(step, len(weights)), *weights.shape[1:]))
        for first in range(0, len(weights), step):
            tile = buffer[: min(step, len(weights) - first)]
            np.copyto(tile, weights[first : first + step])
            total += self._matrix(start + first, start + first + len(tile)) @ tile
        return total

    def overlaps(self, squares: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return ``sum[bin, bin]`` of w**2 over the events in both bins: the event-sampling covariance.

        Between the bins of one observable it is diagonal, between observables it is not.
        """
        from scipy import sparse

        matrix = self._matrix(0, self.size)
        values = matrix.data * np.repeat(squares.astype(np.float64), np.diff(matrix.indptr))
        weighted = sparse.csc_array((values, matrix.indices, matrix.indptr), shape=matrix.shape)
        return np.asarray((weighted @ matrix.T).todense())
