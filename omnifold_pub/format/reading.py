"""Read the datasets of an inspected file: chunk by chunk, on all cores, without HDF5 in this process."""

from __future__ import annotations

import itertools
import os
import threading
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import ReleaseError
from omnifold_pub.files import Closing
from omnifold_pub.format.chunks import Pipeline
from omnifold_pub.format.inspection import inspect_guarded
from omnifold_pub.format.layout import COLUMN_CHUNK, row_blocks

__all__ = ["Concatenated", "StoredArray", "StoredDataset", "StoredFile", "iterate_blocks", "must_be_file"]


def cores() -> int:
    """Return the number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def must_be_file(path: Path) -> None:
    """Refuse what is no file that can be opened without waiting: a folder, a pipe, nothing.

    Raises
    ------
    ReleaseError
        If it is none.
    """
    try:
        if path.is_file():
            return
        found = "not a file" if path.exists() else "no such file"
    except OSError as error:  # its folder may not be looked into
        found = f"cannot be read: {error.strerror}"
    msg = f"{path}: {found}"
    raise ReleaseError(msg)


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

    Attributes
    ----------
    path : pathlib.Path
        The file.
    datasets : dict
        `StoredDataset` by path, without a slash in front.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        must_be_file(self.path)
        try:
            descriptor = os.open(self.path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        except OSError as error:
            msg = f"{path}: cannot be read: {error.strerror}"
            raise ReleaseError(msg) from None
        self._descriptor = descriptor
        self._close = weakref.finalize(self, os.close, descriptor)  # also of a release that nobody closes
        self._lock = threading.Lock()
        try:
            structure = inspect_guarded(str(self.path))
        except BaseException:
            self._close()
            raise
        self.pool = ThreadPoolExecutor(cores(), thread_name_prefix="omnifold_pub-read")
        self.datasets = {name: StoredDataset.of(self, name, entry) for name, entry in structure.items()}

    def close(self) -> None:
        """Close the file and let the threads go."""
        self.pool.shutdown()
        with self._lock:
            self._close()

    def read_bytes(self, offset: int, size: int) -> bytes:
        """Return a stretch of the file; shorter if it ends before."""
        with self._lock:
            if not self._close.alive:
                msg = f"{self.path}: the release is closed; open it again"
                raise ReleaseError(msg)
            os.lseek(self._descriptor, offset, os.SEEK_SET)
            data = os.read(self._descriptor, size)
            while 0 < len(data) < size and (more := os.read(self._descriptor, size - len(data))):
                data += more
        return data


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
        self, start: int, stop: int | None, columns: slice | None = None
    ) -> tuple[NDArray[Any], list[Future[None]]]:
        """Start to read; the array is filled when all of the futures are done."""
        first, last, step = slice(start, stop).indices(self.shape[0])
        last = max(first, last)
        chunk = self.pipeline.chunk
        rows = range(first // chunk[0], -(-last // chunk[0])) if last > first else range(0)
        if len(self.shape) == 1:
            out = np.empty(last - first, dtype=self.dtype)
            across, left, parts = 1, 0, range(1)
        else:
            left, right, step = (columns or slice(None)).indices(self.shape[1])
            out = np.empty((last - first, max(0, right - left)), dtype=self.dtype)
            across = -(-self.shape[1] // chunk[1])
            parts = range(left // chunk[1], -(-right // chunk[1])) if right > left else range(0)
        if step != 1:
            msg = f"{self.file.path}: /{self.name}: rows and columns are read without gaps; found a step of {step}"
            raise ReleaseError(msg)

        def decode(row: int, part: int) -> None:
            where = f"{self.file.path}: /{self.name}"
            offset, size = map(int, self.places[row * across + part])
            block = self.pipeline.decode(self.file.read_bytes(offset, size), where)
            top = row * chunk[0]
            low, high = max(first, top), min(last, top + chunk[0])
            if block.ndim == 1:
                out[low - first : high - first] = block[low - top : high - top]
                return
            side = part * chunk[1]
            begin, end = max(left, side), min(left + out.shape[1], side + chunk[1])
            target = out[low - first : high - first, begin - left : end - left]
            target[...] = block[low - top : high - top, begin - side : end - side]

        try:
            return out, [self.file.pool.submit(decode, row, part) for row in rows for part in parts]
        except RuntimeError:
            msg = f"{self.file.path}: the release is closed; open it again"
            raise ReleaseError(msg) from None


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
        ends = itertools.accumulate((part.shape[0] for part in self.parts), initial=0)
        pieces = [
            part.read(max(first - top, 0), min(max(last - top, 0), part.shape[0]), columns=columns)
            for part, top in zip(self.parts, ends, strict=False)
            if top < last and top + part.shape[0] > first
        ]
        return np.concatenate(pieces) if pieces else self.parts[0].read(0, 0, columns=columns)


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
