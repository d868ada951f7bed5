"""Pieces of a dataset that are cheapest to read one by one: its chunks, as they are stored."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.format.layout import COLUMN_CHUNK
from omnifold_pub.format.reading import Concatenated, StoredArray, StoredDataset

__all__ = ["MemoryArray", "Tile", "chunk_bytes", "chunk_rows", "tiles"]


@dataclass(frozen=True, eq=False)
class MemoryArray:
    """A dataset that is in memory already.

    Attributes
    ----------
    array : numpy.ndarray
        ``[event]`` or ``[event, member]``.
    """

    array: NDArray[Any]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of its numbers."""
        return self.array.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """``(event,)`` or ``(event, member)``."""
        return self.array.shape

    def read(self, start: int = 0, stop: int | None = None, *, columns: slice | None = None) -> NDArray[Any]:
        """Return a read-only view of rows ``start`` to ``stop``, all columns or a slice of them."""
        view = self.array[start:stop] if columns is None else self.array[start:stop, columns]
        view.flags.writeable = False
        return view


@dataclass(frozen=True, eq=False)
class Tile:
    """A rectangle of a dataset ``[event, member]``.

    Attributes
    ----------
    first, last : int
        Its rows, counted from the first of those that were asked for.
    left, right : int
        Its members.
    load : callable
        Returns ``weight[event, member]``.
    """

    first: int
    last: int
    left: int
    right: int
    load: Callable[[], NDArray[Any]]


def chunk_rows(array: StoredArray) -> int:
    """Return how many rows are best read at a time."""
    if isinstance(array, Concatenated):
        return max(part.pipeline.chunk[0] for part in array.parts)
    return array.pipeline.chunk[0] if isinstance(array, StoredDataset) else COLUMN_CHUNK


def chunk_bytes(array: StoredArray) -> int:
    """Return the bytes of a chunk in memory; of what is there already, none are needed."""
    parts = array.parts if isinstance(array, Concatenated) else [array]
    return max(part.pipeline.nbytes if isinstance(part, StoredDataset) else 0 for part in parts)


def _of_file(dataset: StoredDataset, start: int, stop: int) -> list[Tile]:
    height, width = dataset.pipeline.chunk
    across = -(-dataset.shape[1] // width)
    where = f"{dataset.file.path}: /{dataset.name}"

    def piece(row: int, part: int) -> Tile:
        top, left = row * height, part * width
        first, last = max(start, top), min(stop, top + height)
        right = min(left + width, dataset.shape[1])

        def load() -> NDArray[Any]:
            offset, size = map(int, dataset.places[row * across + part])
            block = dataset.pipeline.decode(dataset.file.read_bytes(offset, size), where)
            return block[first - top : last - top, : right - left]

        return Tile(first - start, last - start, left, right, load)

    rows = range(start // height, -(-stop // height)) if stop > start else range(0)
    return [piece(row, part) for row in rows for part in range(across)]


def tiles(array: StoredArray, start: int, stop: int) -> list[Tile]:
    """Return the pieces of rows ``start`` to ``stop`` of a dataset ``[event, member]``.

    Of a file they are its chunks: a chunk is decoded where it is used, and not copied into the rows of a larger array,
    which would take as long again.

    Examples
    --------
    >>> (tile,) = tiles(MemoryArray(np.arange(6.0).reshape(3, 2)), 1, 3)
    >>> tile.last, tile.right, tile.load().tolist()
    (2, 2, [[2.0, 3.0], [4.0, 5.0]])
    """
    if isinstance(array, StoredDataset):
        return _of_file(array, start, stop)
    if not isinstance(array, Concatenated):
        return [Tile(0, stop - start, 0, array.shape[1], lambda: array.read(start, stop))]
    found = []
    for part, top in zip(array.parts, itertools.accumulate((p.shape[0] for p in array.parts), initial=0), strict=False):
        first, last = max(start, top), min(stop, top + part.shape[0])
        if first < last:
            shift = first - start
            inside = _of_file(part, first - top, last - top)
            found += [replace(tile, first=tile.first + shift, last=tile.last + shift) for tile in inside]
    return found
