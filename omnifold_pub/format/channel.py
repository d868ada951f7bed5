"""Another process and the way to talk with it, with a limit on how long either side waits."""

from __future__ import annotations

import contextlib
import gc
import math
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from omnifold_pub.errors import ReleaseError

__all__ = ["Channel", "Talk", "forked", "interpreted"]

_AT_ONCE = 1024 * 1024

Talk = Callable[[Callable[[int], bytes], Callable[[bytes], object]], None]
"""``talk(receive, send)``: what the other process does; ``receive(size)`` returns exactly so many bytes."""


class Channel(Protocol):
    """The caller's end."""

    def receive(self, seconds: float) -> bytes:
        """Return what has come; nothing if the other process is gone.

        Raises
        ------
        TimeoutError
            If nothing has come in time.
        """

    def send(self, data: bytes, seconds: float) -> None:
        """Send bytes. If the other process is gone, `receive` will say so.

        Raises
        ------
        TimeoutError
            If they are not taken in time.
        """


class _Socket:
    def __init__(self, ours: socket.socket) -> None:
        self._ours = ours

    def receive(self, seconds: float) -> bytes:
        self._ours.settimeout(seconds)
        try:
            return self._ours.recv(_AT_ONCE)
        except ConnectionError:  # gone before it took what it was sent
            return b""

    def send(self, data: bytes, seconds: float) -> None:
        self._ours.settimeout(seconds)
        with contextlib.suppress(ConnectionError):
            self._ours.sendall(data)


class _Pipes:
    """Pipes know no limit of time: a thread reads, and a process that does not take its bytes in time is ended."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._arrived: queue.Queue[bytes] = queue.Queue(maxsize=16)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - it was asked for
        data = b"more"
        while data:
            data = os.read(self._process.stdout.fileno(), _AT_ONCE)
            self._arrived.put(data)

    def receive(self, seconds: float) -> bytes:
        try:
            return self._arrived.get(timeout=seconds)
        except queue.Empty:
            raise TimeoutError from None

    def send(self, data: bytes, seconds: float) -> None:
        assert self._process.stdin is not None  # noqa: S101 - it was asked for
        late = threading.Timer(seconds, self._process.kill)
        late.start()
        try:
            with contextlib.suppress(OSError):
                self._process.stdin.write(data)
                self._process.stdin.flush()
        finally:
            late.cancel()
            late.join()

    def end(self) -> None:
        self._process.kill()
        while self._thread.is_alive():
            with contextlib.suppress(queue.Empty):  # makes room for the last of what was said
                self._arrived.get(timeout=0.05)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        self._process.wait()


def _limit(seconds: float, memory: int) -> None:
    """Bound memory and processor time of this process; write no core, say nothing on the caller's streams."""
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    bound = pages * resource.getpagesize() + memory
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (bound if hard == resource.RLIM_INFINITY else min(bound, hard), hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    most = math.ceil(seconds) + 1  # should the caller be gone before its time is over
    resource.setrlimit(resource.RLIMIT_CPU, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (1, 2):
        os.dup2(nowhere, stream)


def _speak(theirs: socket.socket, talk: Talk) -> None:
    def receive(size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            piece = theirs.recv(size - len(data))
            if not piece:
                os._exit(1)  # the caller is gone
            data += piece
        return bytes(data)

    talk(receive, theirs.sendall)


@contextlib.contextmanager
def forked(talk: Talk, path: str, *, seconds: float, memory: int) -> Iterator[Channel]:
    """Yield the way to a copy of this process that talks; it is gone at the end, whatever happens.

    Parameters
    ----------
    talk : callable
        What it does.
    path : str
        For messages.
    seconds : float
        Of processor time that it may take.
    memory : int
        Bytes that it may take beyond what this process has.

    Raises
    ------
    ReleaseError
        If there is no room for another process.
    """
    ours, theirs = socket.socketpair()
    with warnings.catch_warnings():
        # From Python 3.12 on: a copy with one thread of a process with many. The copy takes no lock of theirs, and
        # h5py holds its own across the fork.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            child = os.fork()
        except OSError as error:
            ours.close()
            theirs.close()
            msg = f"{path}: cannot be inspected: there is no room for another process ({error.strerror})"
            raise ReleaseError(msg) from None
    if child == 0:
        status = 1
        try:
            kept = theirs.fileno()
            os.closerange(3, kept)  # another thread's socket among them, which would not end before this process
            os.closerange(kept + 1, os.sysconf("SC_OPEN_MAX"))
            gc.freeze()  # what the caller has is not looked through for garbage: each page of it would be copied
            _limit(seconds, memory)
            _speak(theirs, talk)
            status = 0
        finally:
            os._exit(status)
    theirs.close()
    try:
        yield _Socket(ours)
    finally:
        ours.close()
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):  # where the caller ignores SIGCHLD, the system has done it
            os.waitpid(child, 0)


@contextlib.contextmanager
def interpreted(module: str, first: bytes) -> Iterator[Channel]:
    """Yield the way to a new interpreter that runs a module and talks on its streams; it is gone at the end.

    Parameters
    ----------
    module : str
        What it runs.
    first : bytes
        Sent at once.
    """
    command = [sys.executable, "-m", module]
    process = subprocess.Popen(  # noqa: S603 - our own module
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    channel = _Pipes(process)
    try:
        channel.send(first, 60.0)
        yield channel
    finally:
        channel.end()
