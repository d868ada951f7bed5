"""The bytes of one chunk: shuffle, compression and checksum, as HDF5's filters define them.

HDF5 can do this itself. It is done here because HDF5 decodes on one core, expands a chunk to whatever size its
bytes ask for, and has crashed on chunks that were made to crash it.
"""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import ReleaseError
from omnifold_pub.extras import require
from omnifold_pub.format.frames import unpack_frame

__all__ = ["BLOSC2", "DEFLATE", "FLETCHER32", "KNOWN_PIPELINES", "SHUFFLE", "Codec", "Pipeline", "fletcher32"]

DEFLATE, SHUFFLE, FLETCHER32, BLOSC2 = 1, 2, 3, 32026
"""Numbers of the filters in HDF5's registry."""

KNOWN_PIPELINES = frozenset(
    {
        (SHUFFLE, DEFLATE, FLETCHER32),
        (DEFLATE, FLETCHER32),
        (SHUFFLE, FLETCHER32),
        (FLETCHER32,),
        (BLOSC2, FLETCHER32),
    }
)
"""Filters in the order of writing: whatever the codec, a checksum comes last."""

Codec = Literal["gzip", "blosc2-zstd"]

_GZIP_LEVEL = 1
_WORDS = 4096


def fletcher32(data: bytes | memoryview) -> int:
    """Return HDF5's Fletcher checksum of some bytes.

    Two sums modulo 65535 over big-endian 16-bit words (J. G. Fletcher, IEEE Trans. Commun. 30 (1982) 247). It
    finds every single wrong bit, and cannot tell 0x0000 from 0xFFFF.

    >>> hex(fletcher32(b"abcdef"))
    '0x50562a2d'
    """
    size = -(-len(data) // 2)
    words = np.zeros(-(-size // _WORDS) * _WORDS, dtype=">u2")  # zeros in front change neither sum
    words.view(np.uint8)[2 * (len(words) - size) :][: len(data)] = np.frombuffer(data, dtype=np.uint8)
    places = np.stack([np.ones(_WORDS), np.arange(_WORDS, 0, -1.0)], axis=1)
    both = words.reshape(-1, _WORDS).astype(np.float64) @ places  # exact: all sums of a row are below 2**53
    plain, weighted = both.T.astype(np.int64)
    after = np.arange(len(both) - 1, -1, -1, dtype=np.int64) * _WORDS % 65535
    first = int(plain.sum())
    second = int(weighted.sum()) + int((after * (plain % 65535)).sum())

    def fold(total: int) -> int:
        return total % 65535 or (65535 if first else 0)

    return fold(second) << 16 | fold(first)


@dataclass(frozen=True)
class Pipeline:
    """How the chunks of one dataset are stored.

    Attributes
    ----------
    filters : tuple of int
        One of `KNOWN_PIPELINES`.
    dtype : numpy.dtype
        Little-endian.
    chunk : tuple of int
        Shape of a chunk.
    """

    filters: tuple[int, ...]
    dtype: np.dtype[Any]
    chunk: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of a chunk in memory."""
        return self.dtype.itemsize * math.prod(self.chunk)

    def encode(self, block: NDArray[Any]) -> bytes:
        """Return a chunk's bytes in the file; a block smaller than the chunk is filled up with zeros.

        Not for Blosc2, whose chunks HDF5's plug-in writes.
        """
        if block.shape != self.chunk:
            whole = np.zeros(self.chunk, dtype=self.dtype)
            whole[tuple(map(slice, block.shape))] = block
            block = whole
        data: Any = np.ascontiguousarray(block, dtype=self.dtype).reshape(-1).view(np.uint8)
        if SHUFFLE in self.filters:
            data = np.ascontiguousarray(data.reshape(-1, self.dtype.itemsize).T)
        data = zlib.compress(data, _GZIP_LEVEL) if DEFLATE in self.filters else data.tobytes()
        return bytes(data + struct.pack("<I", fletcher32(data)))

    def decode(self, data: bytes, where: str) -> NDArray[Any]:
        """Return a chunk from its bytes in the file.

        Raises
        ------
        ReleaseError
            If the checksum does not fit, or the bytes expand to another size than a chunk's.
        """
        if len(data) < 4 or fletcher32(memoryview(data)[:-4]) != struct.unpack("<I", data[-4:])[0]:
            msg = f"{where}: cannot be read, the file is damaged (a checksum does not fit); fetch it again"
            raise ReleaseError(msg)
        body: Any = memoryview(data)[:-4]
        if DEFLATE in self.filters:
            body = self._inflate(body, where)
        elif BLOSC2 in self.filters:
            body = self._unblosc(bytes(body), where)
        if len(body) != self.nbytes:
            msg = f"{where}: cannot be read: a chunk holds {len(body)} bytes; expected {self.nbytes}"
            raise ReleaseError(msg)
        flat = np.frombuffer(body, dtype=np.uint8)
        if SHUFFLE in self.filters and self.dtype.itemsize > 1:
            flat = np.ascontiguousarray(flat.reshape(self.dtype.itemsize, -1).T).reshape(-1)
        return flat.view(self.dtype).reshape(self.chunk)

    def _inflate(self, body: memoryview, where: str) -> bytes:
        stream = zlib.decompressobj()
        try:
            whole = stream.decompress(body, self.nbytes + 1)  # never more than asked for, whatever the bytes say
        except zlib.error as error:
            msg = f"{where}: cannot be read, the file is damaged ({error}); fetch it again"
            raise ReleaseError(msg) from None
        if not stream.eof:
            msg = f"{where}: cannot be read: a chunk expands to more or to less than its {self.nbytes} bytes"
            raise ReleaseError(msg)
        return whole

    def _unblosc(self, body: bytes, where: str) -> NDArray[np.uint8]:
        require("blosc2", extra="codecs", purpose=f"Reading {where}")
        import blosc2

        try:
            return unpack_frame(body, self.chunk, self.dtype.itemsize, decompress=blosc2.decompress2)
        except (RuntimeError, ValueError, TypeError) as error:
            msg = f"{where}: cannot be read: expected a Blosc2 frame of {self.nbytes} bytes; found {error}"
            raise ReleaseError(msg) from None
