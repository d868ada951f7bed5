"""What goes into one file of an export, whatever its format: types, header, rows in blocks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import InputError, PublishError
from omnifold_pub.export.columns import Columns
from omnifold_pub.format.address import Place
from omnifold_pub.format.layout import COLUMN_CHUNK, row_blocks
from omnifold_pub.messages import shorten
from omnifold_pub.progress import Progress

__all__ = ["Contents", "ExportFormat", "ExportableRelease", "StoredColumn", "canvas_path", "damaged", "guess_format"]

ExportFormat = Literal["pandas", "parquet", "root"]

_FORMATS: tuple[ExportFormat, ...] = ("pandas", "parquet", "root")
_SUFFIXES: dict[str, ExportFormat] = {".parquet": "parquet", ".root": "root"}

_BLOCK_BYTES = 64 * 1024 * 1024
_STEP = COLUMN_CHUNK


class StoredColumn(Protocol):
    """A dataset of a release, as far as an export needs it."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of its numbers."""

    @property
    def shape(self) -> tuple[int, ...]:
        """``(event,)`` or ``(event, member)``."""

    def read(self, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        """Return rows."""


class ExportableRelease(Protocol):
    """A release, as far as an export needs it."""

    @property
    def path(self) -> Place:
        """The file, or the manifest."""

    @property
    def metadata(self) -> dict[str, Any]:
        """After ``schemas/1.1.0/release.schema.json``."""

    @property
    def datasets(self) -> Mapping[str, StoredColumn]:
        """All datasets but ``/metadata`` and ``/digests``, by path without the leading slash."""


def guess_format(path: Path, wanted: str | None) -> ExportFormat:
    """Return the format that is wanted, or else the one that the suffix tells.

    Raises
    ------
    PublishError
        If there is no such format, or the suffix tells none.

    Examples
    --------
    >>> guess_format(Path("out.root"), None), guess_format(Path("out.h5"), "pandas")
    ('root', 'pandas')
    >>> guess_format(Path("out.h5"), None)
    Traceback (most recent call last):
    ...
    omnifold_pub.errors.PublishError: out.h5: the suffix '.h5' tells no format; use .parquet or .root, or name \
the format: pandas, parquet, root
    """
    names = ", ".join(_FORMATS)
    for name in _FORMATS:
        if name == wanted:
            return name
    if wanted is not None:
        msg = f"{path}: no format {wanted!r}; expected one of {names}"
        raise PublishError(msg)
    if path.suffix.lower() not in _SUFFIXES:
        msg = (
            f"{path}: the suffix {path.suffix!r} tells no format; "
            f"use {' or '.join(_SUFFIXES)}, or name the format: {names}"
        )
        raise PublishError(msg)
    return _SUFFIXES[path.suffix.lower()]


def canvas_path(path: Path, canvas: str) -> Path:
    """Return where the canvas of an export is.

    >>> canvas_path(Path("zjets.v2.parquet"), "sherpa").name
    'zjets.v2.sherpa.parquet'
    """
    return path.with_name(f"{path.stem}.{canvas}{path.suffix}")


@dataclass(frozen=True)
class Contents:
    """One file of an export.

    Attributes
    ----------
    release : ExportableRelease
        Where it is read.
    columns : tuple of Columns
        What it holds, in order.
    canvas : str or None
        The canvas that it holds; None for the release's own events.
    progress : callable
        Called with (done, total, what).
    """

    release: ExportableRelease
    columns: tuple[Columns, ...]
    canvas: str | None
    progress: Progress

    @cached_property
    def events(self) -> int:
        """Number of rows."""
        return self.release.datasets[self.columns[0].dataset].shape[0]

    @cached_property
    def dtypes(self) -> dict[str, np.dtype[Any]]:
        """Type of each column, in order."""
        return {
            name: self.release.datasets[entry.dataset].dtype.newbyteorder("=")
            for entry in self.columns
            for name in entry.names
        }

    @cached_property
    def metadata(self) -> str:
        """The release's metadata as JSON, on one line."""
        return json.dumps(self.release.metadata, ensure_ascii=False, allow_nan=False)

    @cached_property
    def row_bytes(self) -> int:
        """Size of one row in memory."""
        return sum(dtype.itemsize for dtype in self.dtypes.values())

    @cached_property
    def edges(self) -> list[int]:
        """First row of each block, and the number of rows; whole chunks of the release, some 64 MiB of them."""
        blocks = row_blocks(self.events, self.row_bytes, step=_STEP, budget=_BLOCK_BYTES)
        return [0, *(stop for _, stop in blocks)]

    def blocks(self) -> Iterator[tuple[int, dict[str, NDArray[Any]]]]:
        """Yield (first row, ``block[column][event]``) from the first event to the last, each column contiguous."""
        what = f"canvas {self.canvas}" if self.canvas is not None else "export"
        for start, stop in pairwise(self.edges):
            block: dict[str, NDArray[Any]] = {}
            for entry in self.columns:
                rows = self.release.datasets[entry.dataset].read(start=start, stop=stop)
                rows = rows.astype(rows.dtype.newbyteorder("="), copy=False)
                block |= zip(
                    entry.names, np.ascontiguousarray(rows.T if entry.family else rows[np.newaxis]), strict=True
                )
            yield start, block
            self.progress(stop, self.events, what)


def damaged(path: Path, what: str, error: Exception) -> InputError:
    """Return the error of an export that cannot be read; ``what`` it is, and what the library said."""
    reason = shorten(f"{type(error).__name__}: {error}", 160)
    return InputError(f"{path}: {what} ({reason}); export it again")
