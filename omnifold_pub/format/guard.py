"""Run what touches a foreign file in a process of its own, with a limit on memory and time.

A file made to crash, hang or fill the memory of HDF5 then ends that process and not the caller's. What comes back is
JSON, never a pickle.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import select
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from omnifold_pub.errors import ReleaseError

__all__ = ["MEMORY", "SECONDS", "answer", "run_guarded"]

SECONDS = 20.0
"""Time that an inspection may take: metadata alone are read, milliseconds for most releases."""

MEMORY = 1024 * 1024 * 1024
"""Bytes that it may take beyond what the caller has."""

_MAX_ANSWER = 256 * 1024 * 1024


def _limit() -> None:
    """Bound memory and processor time of this process; write no core, say nothing on the caller's streams."""
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    bound = pages * resource.getpagesize() + MEMORY
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (bound if hard == resource.RLIM_INFINITY else min(bound, hard), hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    seconds = math.ceil(SECONDS) + 1  # should the caller be gone before its time is over
    resource.setrlimit(resource.RLIMIT_CPU, (seconds if hard == resource.RLIM_INFINITY else min(seconds, hard), hard))
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (1, 2):
        os.dup2(nowhere, stream)


def answer(work: Callable[[str], Any], path: str) -> bytes:
    """Do the work and return its result, or the word on why it was refused, as JSON."""
    try:
        result = {"result": work(path)}
    except ReleaseError as error:
        result = {"refused": str(error)}
    except MemoryError:
        result = {"refused": f"{path}: refused: reading its structure takes more than {MEMORY // 2**20} MB of memory"}
    except Exception as error:  # noqa: BLE001 - whatever the library raises on a damaged file, the file is refused
        detail = " ".join(str(error).split())[:300]
        result = {"refused": f"{path}: not an HDF5 file, or a damaged one ({type(error).__name__}: {detail})"}
    return json.dumps(result).encode()


@contextlib.contextmanager
def _forked(work: Callable[[str], Any], path: str) -> Iterator[tuple[int, int]]:
    """Yield process and pipe of a copy of this process that works; it is gone at the end, whatever happens."""
    out, into = os.pipe()
    with warnings.catch_warnings():
        # From Python 3.12 on: a copy with one thread of a process with many. The copy takes no lock of theirs, and
        # h5py holds its own across the fork.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            child = os.fork()
        except OSError as error:
            os.close(out)
            os.close(into)
            msg = f"{path}: cannot be inspected: there is no room for another process ({error.strerror})"
            raise ReleaseError(msg) from None
    if child == 0:
        status = 1
        try:
            os.closerange(3, into)  # another thread's pipe among them, which would not end before this process
            os.closerange(into + 1, os.sysconf("SC_OPEN_MAX"))
            _limit()
            with os.fdopen(into, "wb") as pipe:
                pipe.write(answer(work, path))
            status = 0
        finally:
            os._exit(status)
    os.close(into)
    try:
        yield child, out
    finally:
        os.close(out)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):  # where the caller ignores SIGCHLD, the system has done it
            os.waitpid(child, 0)


def _collect(out: int, path: str) -> bytes:
    deadline = time.monotonic() + SECONDS
    received = bytearray()
    poll = select.poll()  # select.select knows the first 1024 descriptors alone
    poll.register(out, select.POLLIN)
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not poll.poll(1000 * left):
            msg = f"{path}: refused: reading its structure takes more than {SECONDS:g} s"
            raise ReleaseError(msg)
        data = os.read(out, 1024 * 1024)
        if not data:
            return bytes(received)
        received += data
        if len(received) > _MAX_ANSWER:
            msg = f"{path}: refused: the description of its structure is longer than {_MAX_ANSWER // 2**20} MB"
            raise ReleaseError(msg)


def run_guarded(work: Callable[[str], Any], path: str, *, module: str) -> Any:
    """Call ``work(path)`` in another process and return its result.

    On Linux that process is a copy of this one, which costs milliseconds; elsewhere it is a new interpreter that
    runs ``module``, with the limit of time alone.

    Parameters
    ----------
    work : callable
        Returns what JSON can hold. A `ReleaseError` that it raises is raised here.
    path : str
        The file.
    module : str
        Its ``__main__`` prints ``answer(work, path)``.

    Raises
    ------
    ReleaseError
        If the work refuses the file, crashes, or takes too much time or memory.
    """
    if sys.platform == "linux":
        with _forked(work, path) as (_, out):
            received = _collect(out, path)
    else:
        command = [sys.executable, "-m", module, path]
        try:
            received = subprocess.run(command, capture_output=True, timeout=SECONDS, check=False).stdout  # noqa: S603
        except subprocess.TimeoutExpired:
            msg = f"{path}: refused: reading its structure takes more than {SECONDS:g} s"
            raise ReleaseError(msg) from None
    try:
        document = json.loads(received)
    except ValueError:  # nothing, or not all
        msg = f"{path}: refused: the HDF5 library crashed on it; the file is damaged, or made to do that"
        raise ReleaseError(msg) from None
    if "refused" in document:
        raise ReleaseError(document["refused"])
    return document["result"]
