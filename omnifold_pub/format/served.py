"""A file whose bytes are asked for, block by block: what HDF5 reads where the file itself cannot be opened."""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["BLOCK", "MOST_ASKED", "ServedFile"]

BLOCK = 16 * 1024
"""Bytes asked for at once, unless more are wanted: the parts of a release's structure are small and far apart."""

MOST_ASKED = 64 * BLOCK
"""Bytes that are asked for at once at most."""

_KEPT = 4096
"""Blocks, 64 MB: far more than the structure of a release takes."""


class ServedFile(io.RawIOBase):
    """A file object for reading, with a cache of its blocks.

    Parameters
    ----------
    size : int
        Bytes of the file.
    ask : callable
        ``ask(offset, size)`` returns that stretch, which is inside the file.

    Examples
    --------
    >>> file = ServedFile(10, lambda offset, size: b"0123456789"[offset : offset + size])
    >>> file.seek(3), file.read(4), file.read()
    (3, b'3456', b'789')
    """

    def __init__(self, size: int, ask: Callable[[int, int], bytes]) -> None:
        super().__init__()
        self.size = size
        self._ask = ask
        self._place = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the place of the next byte."""
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move to a place and return it."""
        self._place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self.size}[whence]
        return self._place

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill a buffer as far as the file goes; return the bytes that were put there."""
        view = memoryview(buffer).cast("B")
        done, most = 0, min(len(view), self.size - self._place)
        while done < most:
            number, inside = divmod(self._place, BLOCK)
            self._provide(number, -(-(inside + most - done) // BLOCK))
            piece = self._blocks[number][inside : inside + most - done]
            view[done : done + len(piece)] = piece
            done += len(piece)
            self._place += len(piece)
        return done

    def _provide(self, number: int, wanted: int) -> None:
        """Make sure that a block is here; those that are wanted after it come along if they are not."""
        if number in self._blocks:
            self._blocks.move_to_end(number)
            return
        count = 1
        while count < min(wanted, MOST_ASKED // BLOCK) and number + count not in self._blocks:
            count += 1
        start = number * BLOCK
        length = min(count * BLOCK, self.size - start)
        data = self._ask(start, length)
        if len(data) != length:
            msg = f"{len(data)} bytes at {start}; expected {length}"
            raise EOFError(msg)
        for index in range(count):
            self._blocks[number + index] = data[index * BLOCK : (index + 1) * BLOCK]
        while len(self._blocks) > _KEPT:
            self._blocks.popitem(last=False)
