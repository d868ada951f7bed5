"""Read the tables that pandas writes with ``DataFrame.to_hdf(path, key="df")``, through h5py alone.

The "fixed" layout of pandas, as PyTables writes it::

    /df                 attributes pandas_type = "frame", nblocks
    /df/axis0           fixed-length text [column]     names of all columns, in their order
    /df/axis1           [row]                          the row index; not read
    /df/blockN_items    fixed-length text [item]       names of the columns of one type
    /df/blockN_values   number [row, item]             their values; attribute transposed = 1

What is not numbers is stored as pickled Python objects, and reading a pickle runs what its author wrote. Nothing here
unpickles: such a table is refused by the types of its datasets, before any of them is read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from omnifold_pub.convert.foreign import attribute, dataset, linked, read, refuse
from omnifold_pub.errors import InputError
from omnifold_pub.files import Closing
from omnifold_pub.messages import shorten, suggest

__all__ = ["PyTablesColumns", "PyTablesFrame"]

MAX_NAMES_BYTES = 16 * 1024 * 1024
MAX_BLOCKS = 1000
READ_BYTES = 64 * 1024 * 1024
"""Limits of what a foreign file makes us hold in memory at once."""


@dataclass(frozen=True)
class _Block:
    values: h5py.Dataset
    items: tuple[str, ...]


@dataclass(frozen=True)
class _Part:
    """What a source takes from one block: ``output[:, targets] = values[:, first:last][:, picks]``."""

    values: h5py.Dataset
    first: int
    last: int
    picks: tuple[int, ...]
    targets: tuple[int, ...]


def _names(group: h5py.Group, name: str, place: str) -> tuple[str, ...]:
    place = f"{place}/{name}"
    stored = dataset(group, name, place)
    if stored.ndim != 1 or stored.dtype.kind != "S":
        raise refuse(place, "names as text [column]", f"{stored.dtype} {list(stored.shape)}")
    if stored.size * stored.dtype.itemsize > MAX_NAMES_BYTES:
        raise refuse(place, f"at most {MAX_NAMES_BYTES} bytes of names", f"{stored.dtype} {list(stored.shape)}")
    try:
        return tuple(item.decode("utf-8") for item in read(stored, slice(None)).tolist())
    except UnicodeDecodeError as error:
        raise refuse(place, "names in UTF-8", shorten(error.object)) from None


def _block(group: h5py.Group, number: int, place: str) -> _Block:
    items = _names(group, f"block{number}_items", place)
    place = f"{place}/block{number}_values"
    values = dataset(group, f"block{number}_values", place)
    if values.dtype.kind not in "fiu" or values.dtype.itemsize > 8:
        raise refuse(place, "numbers of at most 8 bytes", f"type {values.dtype}")
    if attribute(values, "transposed") != 1 or values.ndim != 2 or values.shape[1] != len(items):
        found = f"{list(values.shape)}, with transposed = {shorten(attribute(values, 'transposed'))}"
        raise refuse(place, f"[row, item] with {len(items)} items and the attribute transposed = 1", found)
    return _Block(values, items)


def _blocks(group: h5py.Group, place: str) -> tuple[_Block, ...]:
    kind = attribute(group, "pandas_type")
    if kind != "frame":
        raise refuse(place, "a DataFrame in the layout 'fixed' (pandas_type 'frame')", f"pandas_type {shorten(kind)}")
    count = attribute(group, "nblocks")
    if not isinstance(count, int) or not 1 <= count <= MAX_BLOCKS:
        raise refuse(place, f"the attribute nblocks, 1 to {MAX_BLOCKS}", shorten(count))
    blocks = tuple(_block(group, number, place) for number in range(count))
    rows = {block.values.shape[0] for block in blocks}
    if len(rows) > 1 or 0 in rows:
        raise refuse(place, "at least one row, as many in every block", f"{sorted(rows)} rows")
    return blocks


@dataclass(frozen=True)
class PyTablesColumns:
    """Columns of an open table, read when they are sliced.

    Attributes
    ----------
    shape : tuple of int
        ``(row,)`` for one column, ``(row, column)`` for a family.
    dtype : numpy.dtype
        The smallest type that holds those of its columns.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    _parts: tuple[_Part, ...]

    def __getitem__(self, rows: slice, /) -> NDArray[Any]:
        """Return some rows; what is read beside them is at most 64 MiB at a time.

        Raises
        ------
        InputError
            If the table is closed or the file damaged.
        """
        chosen = range(self.shape[0])[rows]
        output = np.empty((len(chosen), *self.shape[1:]), dtype=self.dtype)
        matrix = output[:, np.newaxis] if output.ndim == 1 else output
        for part in self._parts:
            step = max(1, READ_BYTES // ((part.last - part.first) * part.values.dtype.itemsize))
            for start in range(0, len(chosen), step):
                piece = chosen[start : start + step]
                # One read from the first to the last column, then a choice: HDF5 is slow at scattered columns.
                wanted = (slice(piece.start, piece.stop, piece.step), slice(part.first, part.last))
                matrix[start : start + step, part.targets] = read(part.values, wanted)[:, part.picks]
        return output


class PyTablesFrame(Closing):
    """An open table; close it or use it in a ``with`` block.

    Parameters
    ----------
    path : str or path-like
        HDF5 file written by pandas.
    key : str
        Name of the table in it.

    Attributes
    ----------
    path : pathlib.Path
        The file.
    columns : tuple of str
        Names of the columns, in the order of the table.
    rows : int
        Number of rows.

    Raises
    ------
    InputError
        If it is no such file, the table is not in the "fixed" layout, holds anything but numbers, or points to
        other files.
    MissingExtraError
        If it is compressed by a filter that comes with hdf5plugin, which is not installed.

    Examples
    --------
    >>> with PyTablesFrame("multifold.h5") as frame:  # doctest: +SKIP
    ...     nominal = frame.column("weights_nominal")[0:1000]
    """

    def __init__(self, path: str | Path, key: str = "df") -> None:
        self.path = Path(path)
        if not self.path.is_file():
            msg = f"{path}: no such file"
            raise InputError(msg)
        try:
            self._file = h5py.File(self.path, "r")
        except OSError as error:
            msg = f"{path}: not an HDF5 file, or a damaged one ({shorten(str(error), 160)})"
            raise InputError(msg) from error
        try:
            self._open(key, f"{path}: /{key}")
        except (KeyError, OSError, RuntimeError, ValueError) as error:  # h5py's, on structures that are damaged
            self._file.close()
            msg = f"{path}: /{key}: cannot be read, the file is damaged ({shorten(str(error), 160)}); fetch it again"
            raise InputError(msg) from error
        except BaseException:
            self._file.close()
            raise

    def _open(self, key: str, place: str) -> None:
        group = linked(self._file, key, place)
        if not isinstance(group, h5py.Group):
            raise refuse(place, "a DataFrame in the layout 'fixed'", type(group).__name__)
        self._blocks = _blocks(group, place)
        self.columns = _names(group, "axis0", place)
        self.rows = int(self._blocks[0].values.shape[0])
        stored = Counter(item for block in self._blocks for item in block.items)
        if stored != Counter(self.columns) or len(stored) != len(self.columns):
            odd = {name for name, count in (stored + Counter(self.columns)).items() if count != 2}
            found = f"otherwise {', '.join(map(shorten, sorted(odd)[:5]))}"
            raise refuse(place, "each column once in axis0 and once in the blocks", found)
        self._where = {
            item: (number, index) for number, block in enumerate(self._blocks) for index, item in enumerate(block.items)
        }

    def __repr__(self) -> str:
        """Return file and size."""
        return f"<PyTablesFrame {self.path.name}: {self.rows} rows, {len(self.columns)} columns>"

    def close(self) -> None:
        """Close the file; its columns can no longer be read."""
        self._file.close()

    def _parts(self, names: Sequence[str]) -> tuple[tuple[_Part, ...], np.dtype[Any]]:
        chosen: dict[int, list[tuple[int, int]]] = {}
        for target, name in enumerate(names):
            if name not in self._where:
                msg = f"{self.path}: no column {shorten(name)}; {suggest(name, self.columns)}"
                raise InputError(msg)
            number, index = self._where[name]
            chosen.setdefault(number, []).append((index, target))
        parts = []
        for number, pairs in chosen.items():
            first, last = min(pairs)[0], max(pairs)[0] + 1
            picks, targets = tuple(index - first for index, _ in pairs), tuple(target for _, target in pairs)
            parts.append(_Part(self._blocks[number].values, first, last, picks, targets))
        return tuple(parts), np.result_type(*(part.values.dtype.newbyteorder("=") for part in parts))

    def column(self, name: str) -> PyTablesColumns:
        """Return one column, ``[row]``.

        Raises
        ------
        InputError
            If there is none of that name.
        """
        parts, dtype = self._parts([name])
        return PyTablesColumns((self.rows,), dtype, parts)

    def family(self, names: Sequence[str]) -> PyTablesColumns:
        """Return several columns side by side, ``[row, column]``, in the order of ``names``.

        Raises
        ------
        InputError
            If there is none of one of the names, or there are no names.
        """
        if not names:
            msg = f"{self.path}: expected at least one column; found no name"
            raise InputError(msg)
        parts, dtype = self._parts(names)
        return PyTablesColumns((self.rows, len(names)), dtype, parts)

    def row_blocks(self, rows: int = 16384) -> Iterator[slice]:
        """Yield the rows in pieces of a bearable size."""
        for start in range(0, self.rows, rows):
            yield slice(start, min(start + rows, self.rows))
