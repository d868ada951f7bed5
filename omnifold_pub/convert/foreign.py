"""Read a foreign HDF5 file without leaving it, without unpickling and within bounds of memory."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import InputError
from omnifold_pub.extras import require
from omnifold_pub.messages import shorten

__all__ = ["attribute", "dataset", "linked", "read", "refuse"]

MAX_CHUNK_BYTES = 256 * 1024 * 1024
"""A chunk is decompressed as a whole, however little of it is asked for."""

HINT = "write the table again with DataFrame.to_hdf(path, key='df', format='fixed') and numbers in all columns"


def refuse(place: str, expected: str, found: str, hint: str = HINT) -> InputError:
    """Return the error of an object that is not as it should be."""
    return InputError(f"{place}: expected {expected}; found {found}; {hint}")


def linked(group: h5py.Group, name: str, place: str) -> Any:
    """Return a member of a group that lies in the same file, without following any other link.

    Raises
    ------
    InputError
        If there is none of that name, or it is a soft, external or user-defined link.
    """
    # A path of several steps could leave the file on its way: one step at a time.
    link = None if "/" in name or name in ("", ".") else group.get(name, getlink=True)
    if link is None:
        msg = f"{place}: not there; {HINT}"
        raise InputError(msg)
    if not isinstance(link, h5py.HardLink):
        raise refuse(place, "an object of this file", f"a {type(link).__name__} to elsewhere")
    return group[name]


def attribute(node: h5py.Group | h5py.Dataset, name: str) -> str | int | None:
    """Return a plain text or integer attribute; None for any other: a pickle is not decoded."""
    if name not in node.attrs:
        return None
    identifier = node.attrs.get_id(name)
    if identifier.shape != () or identifier.dtype.kind not in "Siu":
        return None
    value = node.attrs[name]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else int(value)


def _make_readable(values: h5py.Dataset, place: str) -> None:
    """Make sure that the filters of a dataset are there; those of PyTables come with hdf5plugin."""
    properties = values.id.get_create_plist()
    for index in range(properties.get_nfilters()):
        number, _, _, label = properties.get_filter(index)
        if h5py.h5z.filter_avail(number):
            continue
        require("hdf5plugin", extra="codecs", purpose=f"Reading {place}, compressed by HDF5 filter {number},")
        import hdf5plugin  # noqa: F401 - registers its filters with HDF5

        if not h5py.h5z.filter_avail(number):
            found = f"HDF5 filter {number} ({shorten(label.decode('utf-8', 'replace'))})"
            raise refuse(place, "a compression that h5py or hdf5plugin reads", found)


def dataset(group: h5py.Group, name: str, place: str) -> h5py.Dataset:
    """Return a dataset whose bytes are all in this file, of a plain fixed-size type; nothing of it is read yet.

    Raises
    ------
    InputError
        If it is anything else, or its chunks do not fit into memory.
    MissingExtraError
        If it is compressed by a filter that comes with hdf5plugin, which is not installed.
    """
    values = linked(group, name, place)
    if not isinstance(values, h5py.Dataset):
        raise refuse(place, "a dataset", type(values).__name__)
    if values.is_virtual or values.id.get_create_plist().get_external_count() > 0:
        raise refuse(place, "values inside this file", "a dataset that points to other files")
    if values.dtype.kind not in "Sfiu" or h5py.check_enum_dtype(values.dtype) is not None:
        found = "Python objects, pickled, which are never read" if values.dtype.kind == "O" else f"type {values.dtype}"
        raise refuse(place, "numbers, or names as fixed-length text", found)
    if "value_type" in values.attrs:
        raise refuse(place, "plain numbers", f"what stands for {shorten(attribute(values, 'value_type'))}")
    if values.chunks is not None and int(np.prod(values.chunks)) * values.dtype.itemsize > MAX_CHUNK_BYTES:
        raise refuse(place, f"chunks of at most {MAX_CHUNK_BYTES} bytes", f"chunks of {list(values.chunks)}")
    _make_readable(values, place)
    return values


def read(values: h5py.Dataset, rows: Any) -> NDArray[Any]:
    """Return some rows of a dataset.

    Raises
    ------
    InputError
        If its file is closed or damaged.
    """
    if not values:
        msg = "the table is closed; read its columns while it is open"
        raise InputError(msg)
    try:
        array: NDArray[Any] = values[rows]
    except OSError as error:
        reason = shorten(str(error), 160)
        msg = f"{values.file.filename}: {values.name}: cannot be read, the file is damaged ({reason}); fetch it again"
        raise InputError(msg) from error
    return array
