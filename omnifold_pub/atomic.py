"""Files that are under their final name whole, or not at all."""

from __future__ import annotations

import contextlib
import errno
import glob
import io
import os
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path

try:
    import fcntl
except ImportError:  # not POSIX: no locks there
    fcntl = None  # type: ignore[assignment]

__all__ = ["ErrorKeepingFile", "remove_parts", "replacing", "replacing_all", "sync"]

_PART = ".part"


def sync(path: Path) -> None:
    """Flush a file or folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file or folder; on a file system that knows no locks, none."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        _lock(descriptor, wait=True)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, *, wait: bool) -> bool:
    """Return whether the lock was had; a file system that knows none gives it to nobody."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK, errno.EWOULDBLOCK):
            return False
        raise
    return True


def _remove_abandoned(folder: Path, anchor: str) -> None:
    """Remove temporary files that a killed process left: nobody holds their lock."""
    for path in folder.glob(f".{glob.escape(anchor)}.*{_PART}"):
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(path, os.O_RDWR)
            try:
                if _lock(descriptor, wait=False):
                    path.unlink(missing_ok=True)
            finally:
                os.close(descriptor)


@contextlib.contextmanager
def replacing_all(
    paths: Sequence[Path], *, overwrite: bool = True, stale: Sequence[Path] = (), former: str | None = None
) -> Iterator[list[Path]]:
    """Yield temporary paths in the same folder that take the final names, in order, when the block ends well.

    The temporary files are there, empty and locked. The block must write and close them. Files and folder are
    flushed to the disk around the renaming, which is done under a lock on the folder, so that of two writers one
    comes whole after the other. If the block raises, nothing is left and the final names hold what they held.

    Parameters
    ----------
    paths : sequence of pathlib.Path
        Final names in one folder.
    overwrite : bool
        False: an existing file under one of the names is an error, also if it appeared meanwhile.
    stale : sequence of pathlib.Path
        Files that are wrong from the first renaming on; they are removed before it.
    former : str, optional
        Pattern of the names of files that the new ones replace; they are removed after the last renaming.

    Raises
    ------
    FileExistsError
        If a name is taken and must not be.
    OSError
        If the disk does not take it.
    """
    folder, anchor = paths[-1].parent, paths[-1].name
    _remove_abandoned(folder, anchor)
    token = secrets.token_hex(4)
    temporaries = [folder / f".{anchor}.{token}.{number}{_PART}" for number in range(len(paths))]
    descriptors: list[int] = []
    try:
        for temporary in temporaries:
            descriptors.append(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666))
            _lock(descriptors[-1], wait=True)
        yield temporaries
        for temporary in temporaries:
            sync(temporary)
        with _locked(folder):
            if not overwrite and any(path.exists() for path in paths if path not in stale):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(paths[-1]))
            for path in stale:
                path.unlink(missing_ok=True)
            for temporary, path in zip(temporaries, paths, strict=True):
                temporary.replace(path)
            sync(folder)
            if former is not None:
                for path in set(folder.glob(former)) - set(paths):
                    path.unlink(missing_ok=True)
    finally:
        for temporary in temporaries:
            temporary.unlink(missing_ok=True)
        for descriptor in descriptors:
            os.close(descriptor)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path that takes the final name when the block ends well; see `replacing_all`.

    Raises
    ------
    OSError
        If the disk does not take it.
    """
    with replacing_all([path]) as (temporary,):
        yield temporary


def remove_parts(folder: Path) -> None:
    """Remove what killed processes left half-written in a folder that nobody else writes to."""
    for path in folder.glob(f".*{_PART}"):
        path.unlink(missing_ok=True)


class ErrorKeepingFile(io.RawIOBase):
    """A file, emptied, for a library that cannot bear a failing write.

    HDF5 crashes the interpreter when a write fails and its objects are closed later. Here the first error is
    kept, whatever follows is thrown away, and `check` raises it.

    Parameters
    ----------
    path : pathlib.Path
        Made if it does not exist.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.error: OSError | None = None
        self._file = path.open("w+b", buffering=0)

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
