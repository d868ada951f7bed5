"""The one chunk of a Blosc2 frame, taken out by hand.

Blosc2's own reader of frames follows what a frame says: it makes arrays of Python objects of a file's bytes, and asks
for codecs that it lacks with ``python -c "import blosc2_..."``, which runs a file of that name in the current folder.
So the header is read here, and only a plain chunk of known filters and codecs is handed over.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["unpack_frame"]

_CODECS = frozenset({0, 1, 3, 4})
"""BloscLZ, LZ4, zlib, Zstandard: those that every Blosc2 has."""

_FILTERS = frozenset({0, 1, 2})
"""None, shuffle, bit shuffle."""

_FLAGS = frozenset({0x00, 0x10, 0x20, 0x30})
"""A chunk of bytes, or of zeros, NaN or one value; without dictionary, not lazy, not left uninitialised."""

_ALL_ZEROS = bytes(7) + b"\x81"
"""What stands in the list of chunks for one that is not stored, as all of it is zero."""

_CHUNK = struct.Struct("<BBBBiii6sBB6sBB")
_AXES = re.compile(
    rb"\x97\x00\x02\x92\xd3(.{8})\xd3(.{8})\x92\xd2(.{4})\xd2(.{4})\x92\xd2(.{4})\xd2(.{4})\x00", re.DOTALL
)


def unpack_frame(
    frame: bytes, shape: tuple[int, ...], itemsize: int, *, decompress: Callable[[bytes], bytes]
) -> NDArray[np.uint8]:
    """Return the bytes of an array from the frame that HDF5's plug-in writes of it.

    Raises
    ------
    ValueError
        If it is not such a frame.
    """
    if len(frame) < 87 or frame[2:10] != b"b2frame\0" or frame[10] != 0xD2:
        msg = "no frame"
        raise ValueError(msg)
    start = int.from_bytes(frame[11:15], "big")
    if not 87 <= start <= len(frame) - _CHUNK.size:
        msg = "a frame without a chunk"
        raise ValueError(msg)
    if frame[38:47] == b"\xd3" + bytes(8) and frame[start + _CHUNK.size :][:8] == _ALL_ZEROS:
        return np.zeros(math.prod(shape) * itemsize, dtype=np.uint8)
    blocks = shape if len(shape) == 1 else _blocks(frame[:start], shape)
    padded = [-(-size // block) * block for size, block in zip(shape, blocks, strict=True)]
    version, _, flags, width, nbytes, blocksize, stored, filters, _, _, _, _, more = _CHUNK.unpack_from(frame, start)
    if (
        version != 5
        or flags & 0x05 != 0x05
        or flags >> 5 not in _CODECS
        or not _FILTERS.issuperset(filters)
        or more not in _FLAGS
        or width != itemsize
        or nbytes != math.prod(padded) * itemsize
        or not 0 < blocksize <= nbytes
        or not _CHUNK.size <= stored <= len(frame) - start
    ):
        msg = f"a chunk of {nbytes} bytes in items of {width}, flags {flags:#x} and {more:#x}, filters {filters.hex()}"
        raise ValueError(msg)
    values = np.frombuffer(decompress(frame[start : start + stored]), dtype=np.uint8)
    if len(values) != nbytes:
        msg = f"{len(values)} bytes"
        raise ValueError(msg)
    if len(shape) == 1:
        return values
    rows, columns = (whole // block for whole, block in zip(padded, blocks, strict=True))
    tiles = values.reshape(rows, columns, blocks[0], blocks[1] * itemsize).transpose(0, 2, 1, 3)
    whole = tiles.reshape(padded[0], padded[1] * itemsize)
    return np.ascontiguousarray(whole[: shape[0], : shape[1] * itemsize]).reshape(-1)


def _blocks(header: bytes, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of the blocks in which a chunk's rows and columns are laid out."""
    found = _AXES.search(header)
    axes = [int.from_bytes(group, "big") for group in found.groups()] if found else []
    if axes[:2] != list(shape) or axes[2:4] != list(shape):
        msg = f"axes {axes}"
        raise ValueError(msg)
    blocks = tuple(axes[4:])
    if not all(0 < block <= size for block, size in zip(blocks, shape, strict=True)):
        msg = f"blocks of {blocks}"
        raise ValueError(msg)
    return blocks
