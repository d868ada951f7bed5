"""Files that are under their final name whole, or not at all."""

from __future__ import annotations

import contextlib
import io
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

__all__ = ["ErrorKeepingFile", "remove_parts", "replacing"]

_PART = ".part"


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder that takes the final name when the block ends well.

    The block must write and close the temporary file. File and folder are flushed to the disk around the renaming.
    If the block raises, nothing is left and the final name holds what it held.

    Raises
    ------
    OSError
        If the disk does not take it.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{_PART}")
    try:
        yield temporary
        _sync(temporary)
        temporary.replace(path)
        _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def remove_parts(folder: Path) -> None:
    """Remove what killed processes left half-written in a folder that nobody else writes to."""
    for path in folder.glob(f".*{_PART}"):
        path.unlink(missing_ok=True)


class ErrorKeepingFile(io.RawIOBase):
    """A new file for a library that cannot bear a failing write.

    HDF5 crashes the interpreter when a write fails and its objects are closed later. Here the first error is
    kept, whatever follows is thrown away, and `check` raises it.

    Parameters
    ----------
    path : pathlib.Path
        Must not exist.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.error: OSError | None = None
        self._file = path.open("x+b", buffering=0)

    def check(self) -> None:
        """Raise the first error, if there was one."""
        if self.error is not None:
            raise self.error

    def readable(self) -> bool:
        """Return True."""
        return True

    def writable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the position."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the position."""
        return self._file.tell()

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Read into a buffer; after an error, what was thrown away reads as zeros."""
        view = memoryview(buffer).cast("B")
        read = 0
        while read < len(view) and (count := self._file.readinto(view[read:])):
            read += count
        if self.error is not None:
            view[read:] = bytes(len(view) - read)
            read = len(view)
        return read

    def write(self, data: bytes | bytearray | memoryview) -> int:  # type: ignore[override]
        """Write all of the data, or keep the error."""
        view = memoryview(data).cast("B")
        written = 0
        try:
            while self.error is None and written < len(view):
                written += self._file.write(view[written:])
        except OSError as error:
            self.error = error
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        """Set the size, or keep the error."""
        size = self.tell() if size is None else size
        try:
            if self.error is None:
                self._file.truncate(size)
        except OSError as error:
            self.error = error
        return size

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()
