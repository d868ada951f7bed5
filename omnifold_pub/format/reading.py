"""Read the datasets of an inspected file: chunk by chunk, on all cores, without HDF5 in this process."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import ReleaseError
from omnifold_pub.files import Closing
from omnifold_pub.format.address import Url, locate, must_be_file
from omnifold_pub.format.bytes_source import ByteSource, Descriptors, closed_error, open_source
from omnifold_pub.format.chunks import Pipeline
from omnifold_pub.format.inspection import Structure, inspect_sources
from omnifold_pub.format.layout import COLUMN_CHUNK, row_blocks
from omnifold_pub.format.stretches import stretches

__all__ = ["Concatenated", "StoredArray", "StoredDataset", "StoredFile", "iterate_blocks", "must_be_file", "open_pool"]

_REQUESTS = 8
"""Threads, and so requests at a time, where each waits for the network."""


def cores() -> int:
    """Return the number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def open_pool(*, remote: bool = False) -> ThreadPoolExecutor:
    """Return the threads that read and decode the chunks of one release, however many its files."""
    threads = max(cores(), _REQUESTS) if remote else cores()
    return ThreadPoolExecutor(threads, thread_name_prefix="omnifold_pub-read")


class StoredArray(Protocol):
    """A dataset in one file or, row after row, in several."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of its numbers."""

    @property
    def shape(self) -> tuple[int, ...]:
        """``(event,)``, ``(event, member)`` or ``(byte,)``."""

    def read(self, start: int = 0, stop: int | None = None, *, columns: slice | None = None) -> NDArray[Any]:
        """Return rows ``start`` to ``stop``, all columns or a slice of them.

        Raises
        ------
        ReleaseError
            If the file is damaged there.
        """


class StoredFile(Closing):
    """An inspected HDF5 file, open for reading; close it or use it in a ``with`` block.

    Parameters
    ----------
    path : str, path-like or Url
        The file.

    Attributes
    ----------
    path : pathlib.Path or Url
        The file.
    datasets : dict
        `StoredDataset` by path, without a slash in front.
    pool : concurrent.futures.ThreadPoolExecutor
        Threads that read and decode. Work that waits for other work of this pool does not belong there.
    """

    def __init__(self, path: str | Path | Url) -> None:
        source = open_source(locate(path), Descriptors())
        try:
            (structure,) = inspect_sources([source])
        except BaseException:
            source.close()
            raise
        self._fill(source, structure, open_pool(remote=source.remote))
        self._own_pool = True

    @classmethod
    def inspected(cls, source: ByteSource, structure: Structure, pool: ThreadPoolExecutor) -> Self:
        """Build from what is open and inspected already; the threads belong to others."""
        file = cls.__new__(cls)
        file._fill(source, structure, pool)
        file._own_pool = False
        return file

    def _fill(self, source: ByteSource, structure: Structure, pool: ThreadPoolExecutor) -> None:
        self._source = source
        self.path = source.place
        self.pool = pool
        self.datasets = {name: StoredDataset.of(self, name, entry) for name, entry in structure.items()}

    def close(self) -> None:
        """Close the file and let the threads go, if they are its own."""
        if self._own_pool:
            self.pool.shutdown()
        self._source.close()

    def read_bytes(self, offset: int, size: int) -> bytes:
        """Return a stretch of the file; shorter if it ends before. Any number of threads may read at once.

        Raises
        ------
        ReleaseError
            If it cannot be read, or is closed.
        """
        return self._source.read(offset, size)

    def groups(self, places: NDArray[np.int64]) -> list[list[int]]:
        """Return which of some chunks are best read together; see `omnifold_pub.format.stretches.stretches`.

        On this machine each is read by itself: there is no latency to save.
        """
        return stretches(places) if self._source.remote else [[number] for number in range(len(places))]


@dataclass(frozen=True, eq=False)
class StoredDataset:
    """One dataset of one file.

    Attributes
    ----------
    file : StoredFile
        Where it is.
    name : str
        Its path, without a slash in front.
    shape : tuple of int
        ``(event,)``, ``(event, member)`` or ``(byte,)``.
    pipeline : Pipeline
        How its chunks are stored.
    places : numpy.ndarray
        ``places[chunk] = (offset, size)`` in bytes, chunks counted row by row.
    """

    file: StoredFile
    name: str
    shape: tuple[int, ...]
    pipeline: Pipeline
    places: NDArray[np.int64]

    @classmethod
    def of(cls, file: StoredFile, name: str, entry: dict[str, Any]) -> Self:
        """Build from an entry of the inspection."""
        pipeline = Pipeline(tuple(entry["filters"]), np.dtype(entry["dtype"]), tuple(entry["chunk"]))
        return cls(file, name, tuple(entry["shape"]), pipeline, np.asarray(entry["places"], dtype=np.int64))

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of its numbers, little-endian."""
        return self.pipeline.dtype

    def read(self, start: int = 0, stop: int | None = None, *, columns: slice | None = None) -> NDArray[Any]:
        """Return rows ``start`` to ``stop``, all columns or a slice of them; see `StoredArray`."""
        out, pending = self.begin(start, stop, columns)
        for future in pending:
            future.result()
        return out

    def begin(
        self, start: int, stop: int | None, columns: slice | None = None, *, into: NDArray[Any] | None = None
    ) -> tuple[NDArray[Any], list[Future[None]]]:
        """Start to read; the array, ``into`` if it is given, is filled when all of the futures are done."""
        first, last, _ = slice(start, stop).indices(self.shape[0])
        last = max(first, last)
        chunk = self.pipeline.chunk
        rows = range(first // chunk[0], -(-last // chunk[0])) if last > first else range(0)
        width = self._width(columns)
        left = width.start
        out = np.empty((last - first, len(width))[: len(self.shape)], dtype=self.dtype) if into is None else into
        if len(self.shape) == 1:
            across, parts = 1, range(1)
        else:
            across = -(-self.shape[1] // chunk[1])
            parts = range(left // chunk[1], -(-width.stop // chunk[1])) if width else range(0)
        numbers = [row * across + part for row in rows for part in parts]
        places = self.places[numbers]
        where = f"{self.file.path}: /{self.name}"

        def fill(number: int, data: bytes) -> None:
            block = self.pipeline.decode(data, where)
            row, part = divmod(number, across)
            top = row * chunk[0]
            low, high = max(first, top), min(last, top + chunk[0])
            if block.ndim == 1:
                out[low - first : high - first] = block[low - top : high - top]
                return
            side = part * chunk[1]
            begin, end = max(left, side), min(left + out.shape[1], side + chunk[1])
            target = out[low - first : high - first, begin - left : end - left]
            target[...] = block[low - top : high - top, begin - side : end - side]

        def fetch(group: list[int]) -> None:
            begin = int(places[group, 0].min())
            data = self.file.read_bytes(begin, int(places[group].sum(axis=1).max()) - begin)
            for index in group:
                offset, size = map(int, places[index])
                fill(numbers[index], data if len(group) == 1 else data[offset - begin : offset - begin + size])

        try:
            return out, [self.file.pool.submit(fetch, group) for group in self.file.groups(places)]
        except RuntimeError:
            raise closed_error(self.file.path) from None

    def _width(self, columns: slice | None) -> range:
        """Return the columns that are meant; of a dataset without columns, one."""
        width = range(*(columns or slice(None)).indices(self.shape[1])) if len(self.shape) == 2 else range(1)
        if width.step != 1:
            msg = (
                f"{self.file.path}: /{self.name}: rows and columns are read without gaps; found a step of {width.step}"
            )
            raise ReleaseError(msg)
        return width


@dataclass(frozen=True, eq=False)
class Concatenated:
    """A dataset whose rows are in several files, one after the other.

    Attributes
    ----------
    parts : sequence of StoredDataset
        Of the same type and number of columns.
    """

    parts: Sequence[StoredDataset]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of its numbers, little-endian."""
        return self.parts[0].dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """Of all parts together."""
        return (sum(part.shape[0] for part in self.parts), *self.parts[0].shape[1:])

    def read(self, start: int = 0, stop: int | None = None, *, columns: slice | None = None) -> NDArray[Any]:
        """Return rows ``start`` to ``stop``, all columns or a slice of them; see `StoredArray`."""
        first, last, _ = slice(start, stop).indices(self.shape[0])
        last = max(first, last)
        one = self.parts[0]
        out = np.empty((last - first, len(one._width(columns)))[: len(one.shape)], dtype=self.dtype)
        tops = itertools.accumulate((part.shape[0] for part in self.parts), initial=0)
        pending: list[Future[None]] = []
        for part, top in zip(self.parts, tops, strict=False):
            low, high = max(first, top), min(last, top + part.shape[0])
            if low < high:
                pending += part.begin(low - top, high - top, columns, into=out[low - first : high - first])[1]
        for future in pending:
            future.result()
        return out


def iterate_blocks(
    array: StoredArray, *, budget: int = 64 * 1024 * 1024, rows: int | None = None
) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield (first row, rows) of a dataset from its start to its end; the next block is read meanwhile.

    Blocks are as large as the budget allows, or of the given number of rows.
    """
    if rows is None:
        row_bytes = array.dtype.itemsize * (array.shape[1] if len(array.shape) == 2 else 1)
        step = array.pipeline.chunk[0] if isinstance(array, StoredDataset) else COLUMN_CHUNK
        blocks = row_blocks(array.shape[0], row_bytes, step=step, budget=budget)
    else:
        blocks = row_blocks(array.shape[0], 1, step=rows, budget=rows)
    if not isinstance(array, StoredDataset):
        for start, stop in blocks:
            yield start, array.read(start, stop)
        return
    ahead = array.begin(*blocks[0])
    for number, (start, _) in enumerate(blocks):
        out, pending = ahead
        for future in pending:
            future.result()
        if number + 1 < len(blocks):
            ahead = array.begin(*blocks[number + 1])
        yield start, out
