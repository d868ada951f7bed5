"""pandas: HDF5 in the "fixed" format under the key ``df``, the metadata in a dataset of bytes beside it.

The layout that ``DataFrame.to_hdf(path, key="df")`` writes through PyTables, written through h5py block by block: the
frame need not fit into memory, a full disk is noticed (PyTables says nothing when closing a file fails), and no
attribute is a pickle. `omnifold_pub.convert.pytables` describes the layout.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from omnifold_pub.atomic import ErrorKeepingFile
from omnifold_pub.convert.pytables import PyTablesFrame
from omnifold_pub.errors import InputError, PublishError
from omnifold_pub.export.contents import Contents, damaged
from omnifold_pub.format.layout import row_blocks
from omnifold_pub.messages import shorten

__all__ = ["MAX_FRAME_BYTES", "FrameTable", "check_size", "write"]

MAX_FRAME_BYTES = 8 * 10**9
"""pandas reads this format in one go, so the frame must fit into a reader's memory; a larger one is refused."""

_KEY = "df"
_METADATA = "metadata"
_CANVAS = "canvas"

_MAX_TEXT_BYTES = 16 * 1024 * 1024
_BLOCK_BYTES = 64 * 1024 * 1024

_DAMAGED = "a damaged pandas file"

_DAMAGE = (KeyError, OSError, RuntimeError, ValueError)
"""What h5py raises of a damaged file."""


def check_size(contents: Contents, path: Path) -> None:
    """Make sure that the frame is not too large for those who read it.

    Raises
    ------
    PublishError
        If it is.
    """
    size = contents.events * contents.row_bytes
    if size > MAX_FRAME_BYTES:
        msg = (
            f"{path}: not written: the frame of {contents.events} events and {len(contents.dtypes)} columns takes "
            f"{size / 1e9:.1f} GB of memory, and pandas reads this format in one go; at most "
            f"{MAX_FRAME_BYTES / 1e9:g} GB are written. Export to parquet, which is read in parts"
        )
        raise PublishError(msg)


def write(path: Path, contents: Contents) -> None:
    """Write a file, emptied if it is there; columns of one type stand together, ``event_id`` first.

    Raises
    ------
    OSError
        If the disk does not take it.
    """
    columns: dict[np.dtype[Any], list[str]] = {}
    for name, dtype in contents.dtypes.items():
        columns.setdefault(dtype, []).append(name)
    with ErrorKeepingFile(path) as raw:
        with h5py.File(raw, "w") as file:
            _set(file, CLASS="GROUP", TITLE="", VERSION="1.0", PYTABLES_FORMAT_VERSION="2.1")
            _array(file, _METADATA, _bytes(contents.metadata))
            if contents.canvas is not None:
                _array(file, _CANVAS, _bytes(contents.canvas))
            frame = file.create_group(_KEY)
            _set(frame, CLASS="GROUP", TITLE="", VERSION="1.0", pandas_type="frame", encoding="UTF-8", errors="strict")
            frame.attrs["ndim"], frame.attrs["nblocks"] = np.int64(2), np.int64(len(columns))
            _names(frame, "axis0", [name for names in columns.values() for name in names])
            _set(frame, axis0_variety="regular", axis1_variety="regular")
            index = _array(frame, "axis1", shape=(contents.events,), dtype=np.dtype("<i8"))
            _set(index, kind="integer")
            values = []
            for number, (dtype, names) in enumerate(columns.items()):
                _names(frame, f"block{number}_items", names)
                _set(frame, **{f"block{number}_items_variety": "regular"})
                shape = (contents.events, len(names))
                values.append(_array(frame, f"block{number}_values", shape=shape, dtype=dtype))
            for start, block in contents.blocks():
                stop = start + len(block["event_id"])
                index[start:stop] = np.arange(start, stop)
                for dataset, names in zip(values, columns.values(), strict=True):
                    dataset[start:stop] = np.stack([block[name] for name in names], axis=1)
                raw.check()
        raw.check()


def _set(node: h5py.Group | h5py.Dataset, **attributes: str) -> None:
    for name, text in attributes.items():
        value = text.encode()
        node.attrs[name] = (
            np.array(value, h5py.string_dtype("utf-8", len(value)))
            if value
            else h5py.Empty(h5py.string_dtype(length=1))
        )


def _array(group: h5py.Group, name: str, data: NDArray[Any] | None = None, **more: Any) -> h5py.Dataset:
    dataset = group.create_dataset(name, data=data, **more)
    _set(dataset, CLASS="ARRAY", FLAVOR="numpy", TITLE="", VERSION="2.4")
    dataset.attrs["transposed"] = np.uint8(1)
    return dataset


def _names(group: h5py.Group, name: str, names: Sequence[str]) -> None:
    _set(_array(group, name, np.array(names, dtype=np.bytes_)), kind="string", nan_rep="")


def _bytes(text: str) -> NDArray[np.uint8]:
    return np.frombuffer(text.encode(), dtype=np.uint8)


def _text(file: h5py.File, name: str) -> str | None:
    if name not in file:
        return None
    dataset = file[name]
    if not isinstance(dataset, h5py.Dataset) or dataset.dtype != np.uint8 or dataset.size > _MAX_TEXT_BYTES:
        msg = f"{file.filename}: /{name}: expected at most {_MAX_TEXT_BYTES} bytes as uint8; found {shorten(dataset)}"
        raise InputError(msg)
    return bytes(dataset[()]).decode(errors="replace")


class FrameTable:
    """A pandas file open for reading; no pickle is read, and pandas is not needed.

    Attributes
    ----------
    dtypes : dict
        Type of each column.
    edges : list of int
        First row of each block, and the number of rows.
    metadata, canvas : str or None
        The release's metadata, as JSON; the name of the canvas.

    Raises
    ------
    InputError
        If it holds no frame of numbers in the "fixed" format, or is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._frame = PyTablesFrame(path, _KEY)
            self.dtypes = {name: self._frame.column(name).dtype for name in self._frame.columns}
            with h5py.File(path, "r") as file:
                self.metadata, self.canvas = _text(file, _METADATA), _text(file, _CANVAS)
        except _DAMAGE as error:
            raise damaged(self._path, _DAMAGED, error) from error
        row_bytes = sum(dtype.itemsize for dtype in self.dtypes.values())
        blocks = row_blocks(self._frame.rows, row_bytes, budget=_BLOCK_BYTES)
        self.edges = [0, *(stop for _, stop in blocks)]

    def block(self, index: int, names: Sequence[str]) -> list[NDArray[Any]]:
        """Return columns between two edges, ``[event]`` each.

        Raises
        ------
        InputError
            If they cannot be read.
        """
        try:
            return list(self._frame.family(names)[self.edges[index] : self.edges[index + 1]].T)
        except _DAMAGE as error:
            raise damaged(self._path, _DAMAGED, error) from error
