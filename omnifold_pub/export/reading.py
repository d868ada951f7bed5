"""Read an export back into what can be published again, bit for bit."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, Protocol

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import InputError
from omnifold_pub.export.columns import Columns, canvas_names, plan
from omnifold_pub.export.contents import canvas_path
from omnifold_pub.export.frame import FrameTable
from omnifold_pub.export.parquet import ParquetTable
from omnifold_pub.export.root import RootTable
from omnifold_pub.messages import shorten
from omnifold_pub.schemas import check
from omnifold_pub.unfold.result import ArraySource, Canvas, ClosureWeights, UnfoldingResult

__all__ = ["ColumnSource", "read_export"]


class _Table(Protocol):
    """A file of an export, open for reading."""

    @property
    def dtypes(self) -> Mapping[str, np.dtype[Any]]: ...
    @property
    def edges(self) -> Sequence[int]: ...
    @property
    def metadata(self) -> str | None: ...
    @property
    def canvas(self) -> str | None: ...
    def block(self, index: int, names: Sequence[str]) -> list[NDArray[Any]]: ...


_TABLES: dict[bytes, Callable[[Path], _Table]] = {
    b"PAR1": ParquetTable,
    b"root": RootTable,
    b"\x89HDF": FrameTable,
}


class ColumnSource:
    """The array that some columns of a table make; rows are read when they are asked for.

    The block last read is kept, so that rows asked for in their order are read once.

    Parameters
    ----------
    table : object
        The open file.
    columns : Columns
        ``[event]``, or ``[event, member]`` for a family.
    """

    def __init__(self, table: _Table, columns: Columns) -> None:
        self._table = table
        self._columns = columns
        self._index = -1
        self._block: NDArray[Any] = np.empty(0)
        self.dtype = columns.dtype
        events = table.edges[-1]
        self.shape: tuple[int, ...] = (events, len(columns.names)) if columns.family else (events,)

    def __len__(self) -> int:
        """Return the number of events."""
        return self.shape[0]

    def __array__(self, dtype: np.dtype[Any] | None = None, copy: bool | None = None) -> NDArray[Any]:  # noqa: FBT001
        """Read all rows."""
        return np.array(self[:], dtype=dtype, copy=copy)

    def __getitem__(self, rows: slice, /) -> NDArray[Any]:
        """Return the given rows, ``[event]`` or ``[event, member]``; every row of a range, in order."""
        start, stop, step = rows.indices(len(self))
        if step != 1:
            msg = f"expected a slice of step 1; found {rows}"
            raise ValueError(msg)
        result = np.empty((max(stop - start, 0), *self.shape[1:]), self.dtype)
        edges = self._table.edges
        row = start
        while row < stop:
            index = bisect_right(edges, row) - 1
            end = min(stop, edges[index + 1])
            result[row - start : end - start] = self._read(index)[row - edges[index] : end - edges[index]]
            row = end
        return result

    def _read(self, index: int) -> NDArray[Any]:
        if index != self._index:
            arrays = self._table.block(index, self._columns.names)
            self._block = np.stack(arrays, axis=1) if self._columns.family else arrays[0]
            self._index = index
        return self._block


def _open(path: Path) -> _Table:
    if not path.is_file():
        msg = f"{path}: no such file"
        raise InputError(msg)
    with path.open("rb") as file:
        magic = file.read(4)
    if magic not in _TABLES:
        msg = f"{path}: expected a Parquet, ROOT or HDF5 file; it begins with {magic!r}"
        raise InputError(msg)
    return _TABLES[magic](path)


def _no_constants(text: str) -> NoReturn:
    msg = f"{text} is not a number of JSON"
    raise ValueError(msg)


def _metadata(path: Path, table: _Table) -> dict[str, Any]:
    """Return the metadata without the networks, which the export does not hold."""
    if table.metadata is None:
        msg = f"{path}: holds no metadata of omnifold_pub; expected a file that was exported from a release"
        raise InputError(msg)
    if table.canvas is not None:
        msg = f"{path}: is the canvas {table.canvas!r} of an export; read the file that it stands beside"
        raise InputError(msg)
    try:
        metadata = json.loads(table.metadata, parse_constant=_no_constants)
    except (ValueError, RecursionError) as error:
        msg = f"{path}: the metadata: expected strict JSON; {shorten(str(error))}"
        raise InputError(msg) from None
    if isinstance(metadata, dict):
        metadata.pop("networks", None)
    if problems := check(metadata, "release"):
        more = f" ({len(problems) - 1} more)" if len(problems) > 1 else ""
        msg = f"{path}: the metadata: {problems[0]}{more}"
        raise InputError(msg)
    return dict(metadata)


def _sources(path: Path, table: _Table, columns: Sequence[Columns], events: int) -> dict[str, ArraySource]:
    """Return the arrays by dataset, after a look at the names, types and number of the columns."""
    wanted = {name: entry.dtype for entry in columns for name in entry.names}
    for what, names in (
        ("lacks columns that its metadata announce", wanted.keys() - table.dtypes.keys()),
        ("holds columns that its metadata do not announce", table.dtypes.keys() - wanted.keys()),
    ):
        if names:
            listed = ", ".join(map(repr, sorted(names)[:5]))
            msg = f"{path}: {what}: {listed} ({len(names)} in all); the file was changed, export it again"
            raise InputError(msg)
    for name, dtype in wanted.items():
        if table.dtypes[name] != dtype:
            msg = f"{path}: column {name!r}: expected {dtype}; found {table.dtypes[name]}; export it again"
            raise InputError(msg)
    if table.edges[-1] != events:
        msg = f"{path}: expected {events} events, as its metadata say; found {table.edges[-1]} rows; export it again"
        raise InputError(msg)
    return {entry.dataset: ColumnSource(table, entry) for entry in columns}


def _below(sources: Mapping[str, ArraySource], prefix: str) -> dict[str, ArraySource]:
    return {name.removeprefix(prefix): source for name, source in sources.items() if name.startswith(prefix)}


def _canvas(path: Path, name: str, metadata: dict[str, Any], text: str | None) -> Canvas:
    where = canvas_path(path, name)
    table = _open(where)
    if (table.canvas, table.metadata) != (name, text):
        msg = f"{where}: expected the canvas {name!r} of the same export as {path.name}; export both again"
        raise InputError(msg)
    declared = next(entry for entry in metadata["canvases"] if entry["name"] == name)
    sources = _sources(where, table, plan(metadata, name), declared["events"])
    here = _below(sources, f"canvases/{name}/")
    weights = _below(here, "weights/")
    return Canvas(here["event_id"], _below(here, "events/"), weights.pop("nominal"), weights)


def read_export(path: str | Path) -> UnfoldingResult:
    """Read a release that was exported to Parquet, ROOT or pandas, with its canvases beside it.

    `omnifold_pub.publish` makes a release of it again: with bit-identical datasets and the same metadata, but for
    ``created`` and for the networks, which an export does not hold. Rows are read when they are used, block by block.
    What a file is, is told by its first bytes. No pickle is read.

    Parameters
    ----------
    path : str or path-like
        The table of the release's own events.

    Returns
    -------
    UnfoldingResult
        Its arrays are read from the files, which must stay where they are until it is published.

    Raises
    ------
    InputError
        If a file is missing, damaged, not an export, or was changed: other columns, types or rows than its metadata
        announce, or a canvas of another export.
    MissingExtraError
        If the package that reads the format is not installed.

    Examples
    --------
    ::

        publish(read_export("zjets.parquet"), "again.h5")
    """
    path = Path(path)
    table = _open(path)
    metadata = _metadata(path, table)
    sources = _sources(path, table, plan(metadata), metadata["events"])
    weights = _below(sources, "weights/")
    return UnfoldingResult(
        event_id=sources["event_id"],
        columns=_below(sources, "events/"),
        nominal=weights.pop("nominal"),
        families=weights,
        metadata=metadata,
        prior=sources.get("prior"),
        canvases={name: _canvas(path, name, metadata, table.metadata) for name in canvas_names(metadata)},
        closure={
            test["name"]: ClosureWeights(**_below(sources, f"closure/{test['name']}/"))
            for test in metadata["closure"]["tests"]
        },
    )
