"""The bytes of a file by their place in it: of a file on this machine, or of anything that answers range requests."""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from omnifold_pub.errors import ReleaseError
from omnifold_pub.format.address import Place, Url, must_be_file

__all__ = ["ByteSource", "Descriptors", "LocalSource", "closed_error", "open_source"]

MOST_OPEN = 32
"""Files of one release that are kept open: far below any system's limit, whatever the number of files."""

_FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
_AT_ONCE = 1024 * 1024 * 1024


def closed_error(place: Place) -> ReleaseError:
    """Return what is said to those who read after the end."""
    return ReleaseError(f"{place}: the release is closed; open it again")


class ByteSource(Protocol):
    """A file of which any stretch can be read, by several threads at once."""

    @property
    def place(self) -> Place:
        """Where it is."""

    @property
    def size(self) -> int:
        """Bytes of the file."""

    @property
    def remote(self) -> bool:
        """Whether each reading costs a way over the network."""

    def read(self, offset: int, size: int) -> bytes:
        """Return a stretch of the file; shorter if it ends before.

        Raises
        ------
        ReleaseError
            If it cannot be read, is another file by now, or was closed.
        """

    def close(self) -> None:
        """Let go of it; who reads at this moment still gets the bytes."""


@dataclass
class _Handle:
    descriptor: int
    users: int = 0


def _close_all(handles: OrderedDict[int, _Handle]) -> None:
    while handles:
        os.close(handles.popitem()[1].descriptor)


class Descriptors:
    """Descriptors of files, opened when they are needed; those longest unused are closed when there are too many.

    A descriptor is never closed under someone who reads: a number that the system has given to another file by then
    would be read from without a word.

    Parameters
    ----------
    most : int
        Kept open. Threads that read at the same time may have a few more.
    """

    def __init__(self, most: int = MOST_OPEN) -> None:
        self._most = most
        self._keys = itertools.count()
        self._lock = threading.Lock()
        self._handles: OrderedDict[int, _Handle] = OrderedDict()
        weakref.finalize(self, _close_all, self._handles)  # also of a release that nobody closes

    def new_key(self) -> int:
        """Return what one more file is to be called."""
        return next(self._keys)

    @contextlib.contextmanager
    def lend(self, key: int, opener: Callable[[], int]) -> Iterator[int]:
        """Yield the descriptor of a file, opened if it is not."""
        with self._lock:
            handle = self._handles.get(key)
            if handle is None:
                handle = self._handles[key] = _Handle(opener())
            handle.users += 1
            self._handles.move_to_end(key)
            self._let_go()
        try:
            yield handle.descriptor
        finally:
            with self._lock:
                handle.users -= 1
                if self._handles.get(key) is handle:
                    self._let_go()
                elif handle.users == 0:
                    os.close(handle.descriptor)

    def _let_go(self) -> None:
        """Close the longest unused while there are too many."""
        surplus = len(self._handles) - self._most
        if surplus > 0:
            idle = [key for key, handle in self._handles.items() if handle.users == 0]
            for key in idle[:surplus]:
                os.close(self._handles.pop(key).descriptor)

    def drop(self, key: int) -> None:
        """Close a file; if it is being read, whoever reads last does it."""
        with self._lock:
            handle = self._handles.pop(key, None)
            if handle is not None and handle.users == 0:
                os.close(handle.descriptor)


class LocalSource:
    """A file on this machine.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    descriptors : Descriptors
        Those of the release.

    Raises
    ------
    ReleaseError
        If there is no such file, or it may not be read.
    """

    remote = False

    def __init__(self, path: Path, descriptors: Descriptors) -> None:
        self.place = path
        self._descriptors = descriptors
        self._key = descriptors.new_key()
        self._closed = False
        self._seek = threading.Lock()
        self._identity: tuple[int, ...] = ()
        must_be_file(path)
        with descriptors.lend(self._key, self._open) as descriptor:
            self.size = os.fstat(descriptor).st_size

    def _open(self) -> int:
        """Open the file, which must be the one that was opened first."""
        if self._closed:
            raise closed_error(self.place)
        try:
            descriptor = os.open(self.place, _FLAGS)
        except OSError as error:
            msg = f"{self.place}: cannot be read: {error.strerror}"
            raise ReleaseError(msg) from None
        about = os.fstat(descriptor)
        identity = (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns)
        if self._identity not in ((), identity):
            os.close(descriptor)
            msg = f"{self.place}: was changed or replaced while it was read; open the release again"
            raise ReleaseError(msg)
        self._identity = identity
        return descriptor

    def read(self, offset: int, size: int) -> bytes:
        """Return a stretch of the file; see `ByteSource`."""
        pieces: list[bytes] = []
        with self._descriptors.lend(self._key, self._open) as descriptor:
            if self._closed:  # since it was lent
                raise closed_error(self.place)
            try:
                while size > 0 and (piece := self._read_at(descriptor, offset, min(size, _AT_ONCE))):
                    pieces.append(piece)
                    offset, size = offset + len(piece), size - len(piece)
            except OSError as error:
                msg = f"{self.place}: cannot be read: {error.strerror}"
                raise ReleaseError(msg) from None
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _read_at(self, descriptor: int, offset: int, size: int) -> bytes:
        if hasattr(os, "pread"):
            return os.pread(descriptor, size, offset)
        with self._seek:
            os.lseek(descriptor, offset, os.SEEK_SET)
            return os.read(descriptor, size)

    def close(self) -> None:
        """Let go of it; see `ByteSource`."""
        self._closed = True
        self._descriptors.drop(self._key)


def open_source(place: Place, descriptors: Descriptors) -> ByteSource:
    """Open a file, wherever it is.

    Raises
    ------
    ReleaseError
        If there is no such file, or it cannot be read by parts.
    MissingExtraError
        For a URL, if what reads it is not installed.
    """
    if isinstance(place, Url):
        from omnifold_pub.format.remote import open_remote

        return open_remote(place)
    return LocalSource(place, descriptors)
