"""Run what touches foreign files in a process of its own, with a limit on memory and time.

A file made to crash, hang or fill the memory of HDF5 then ends that process and not the caller's. What comes back is
JSON, never a pickle: one line for each file, in order.

That process opens files of this machine itself. It never touches the network: of any other file it asks the caller for
the bytes, by a line ``{"read": [file, offset, size]}``, and is sent exactly those bytes.
"""

from __future__ import annotations

import functools
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from omnifold_pub.errors import ReleaseError
from omnifold_pub.format.channel import Channel, forked, interpreted
from omnifold_pub.format.served import MOST_ASKED, ServedFile

__all__ = ["MEMORY", "NETWORK_SECONDS", "SECONDS", "Task", "answer", "run_guarded", "run_guarded_all", "serve"]

SECONDS = 20.0
"""Time that an inspection may take: metadata alone are read, milliseconds for most releases."""

SECONDS_MORE = 0.5
"""Time that each further file adds to what all may take together."""

NETWORK_SECONDS = 300.0
"""Time that the caller may take to fetch what the inspection of one file asks for; it does not count as work."""

MEMORY = 1024 * 1024 * 1024
"""Bytes that it may take beyond what the caller has."""

_MAX_ANSWER = 256 * 1024 * 1024
"""Bytes of the answers to one set of files."""

_MAX_SERVED = 512 * 1024 * 1024
"""Bytes that are fetched to inspect one file."""


@dataclass(frozen=True)
class Task:
    """A file to be looked at.

    Attributes
    ----------
    name : str
        Its path, or what to call it.
    size : int
        In bytes; of use if there is a ``fetch`` alone.
    fetch : callable, optional
        ``fetch(offset, size)`` returns that stretch of a file that cannot be opened by its name.
    """

    name: str
    size: int = 0
    fetch: Callable[[int, int], bytes] | None = None


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


def _answer_all(
    work: Callable[..., Any],
    files: Sequence[tuple[str, int | None]],
    receive: Callable[[int], bytes],
    send: Callable[[bytes], object],
) -> None:
    """Do the work on file after file: the other process's part."""
    for number, (name, size) in enumerate(files):

        def ask(offset: int, length: int, number: int = number) -> bytes:
            send(json.dumps({"read": [number, offset, length]}).encode() + b"\n")
            return receive(length)

        one = work if size is None else functools.partial(work, file=ServedFile(size, ask))
        send(answer(one, name) + b"\n")


def _files(tasks: Sequence[Task]) -> list[tuple[str, int | None]]:
    return [(task.name, None if task.fetch is None else task.size) for task in tasks]


def serve(work: Callable[..., Any]) -> None:
    """Do the work on the files that the first line of standard input names: what a new interpreter runs."""
    source, target = sys.stdin.buffer, sys.stdout.buffer

    def send(data: bytes) -> None:
        target.write(data)
        target.flush()

    _answer_all(work, json.loads(source.readline()), source.read, send)


class _Watch:
    """Counts down the time of one piece of work, and of all together."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self.together = SECONDS + SECONDS_MORE * (len(tasks) - 1)
        self._tasks = tasks
        self.begin(tasks[0])

    def begin(self, task: Task) -> None:
        self.name, self._alone, self._network = task.name, SECONDS, NETWORK_SECONDS

    def left(self) -> float:
        """Return the seconds of work that are left.

        Raises
        ------
        ReleaseError
            If there are none.
        """
        if self._alone <= 0 or self._network <= 0:
            limit = f"{SECONDS:g} s" if self._alone <= 0 else f"{NETWORK_SECONDS:g} s to fetch"
            msg = f"{self.name}: refused: reading its structure takes more than {limit}"
            raise ReleaseError(msg)
        if self.together <= 0:
            several = f"the structures of {len(self._tasks)} files from {self._tasks[0].name} on"
            msg = f"{self.name}: refused: reading {several} takes too long"
            raise ReleaseError(msg)
        return min(self._alone, self.together)

    def worked(self, seconds: float) -> None:
        self._alone -= seconds
        self.together -= seconds

    def fetched(self, seconds: float) -> None:
        self._network -= seconds


def _timed(count: Callable[[float], None], call: Callable[[], Any]) -> Any:
    started = time.monotonic()
    try:
        return call()
    finally:
        count(time.monotonic() - started)


def _lines(channel: Channel, watch: _Watch) -> Iterator[bytes]:
    """Yield what the other process says, line by line; what is broken off is not a line."""
    waiting = bytearray()
    total = 0
    while True:
        try:
            data = _timed(watch.worked, functools.partial(channel.receive, watch.left()))
        except TimeoutError:
            watch.left()  # says so, or else it was a moment early
            continue
        if not data:
            return
        total += len(data)
        if total > _MAX_ANSWER:
            msg = f"{watch.name}: refused: the description of its structure is longer than {_MAX_ANSWER // 2**20} MB"
            raise ReleaseError(msg)
        if b"\n" not in data:  # looked for in what is new alone: an answer may have many megabytes
            waiting += data
            continue
        *whole, rest = (bytes(waiting) + data).split(b"\n")
        waiting = bytearray(rest)
        yield from whole


def _fetch(task: Task, request: object, served: int) -> bytes:
    """Return what the other process asks for; a file that has taken it over gets nothing but its own bytes.

    Raises
    ------
    ReleaseError
        If it asks for what is not there, or for too much.
    """
    match request:
        case [int(offset), int(size)] if task.fetch and 0 < size <= MOST_ASKED and 0 <= offset <= task.size - size:
            if served + size <= _MAX_SERVED:
                return task.fetch(offset, size)
            found = f"takes more than {_MAX_SERVED // 2**20} MB of the file"
        case _:
            found = "asks for bytes that are not in the file"
    msg = f"{task.name}: refused: reading its structure {found}"
    raise ReleaseError(msg)


def _converse(channel: Channel, tasks: Sequence[Task]) -> Iterator[Any]:
    """Yield the result for each file, and send the bytes that are asked for meanwhile."""
    watch = _Watch(tasks)
    number = served = 0
    for line in _lines(channel, watch):
        task = tasks[number]
        try:
            document = json.loads(line)
        except ValueError:
            break
        if not isinstance(document, dict) or not document.keys() & {"read", "refused", "result"}:
            break
        if "refused" in document:
            raise ReleaseError(str(document["refused"]))
        if "read" in document:
            request = document["read"]
            if not isinstance(request, list) or request[:1] != [number]:
                request = None
            data = _timed(watch.fetched, functools.partial(_fetch, task, request and request[1:], served))
            served += len(data)
            try:
                _timed(watch.worked, functools.partial(channel.send, data, watch.left()))
            except TimeoutError:
                watch.left()
            continue
        yield document["result"]
        number, served = number + 1, 0
        if number == len(tasks):
            return
        watch.begin(tasks[number])
    msg = f"{tasks[number].name}: refused: the HDF5 library crashed on it; the file is damaged, or made to do that"
    raise ReleaseError(msg)


def run_guarded_all(work: Callable[..., Any], tasks: Sequence[Task], *, module: str) -> Iterator[Any]:
    """Call ``work(path)``, or ``work(name, file=file)`` for what must be fetched, in one process for all files.

    On Linux that process is a copy of this one, which costs milliseconds; elsewhere it is a new interpreter that
    runs ``module``, with the limit of time alone.

    Parameters
    ----------
    work : callable
        Returns what JSON can hold. A `ReleaseError` that it raises is raised here.
    tasks : sequence of Task
        The files.
    module : str
        Its ``__main__`` calls ``serve(work)``.

    Yields
    ------
    object
        Result for each file, in order.

    Raises
    ------
    ReleaseError
        If the work refuses a file, crashes, or takes too much time or memory.
    """
    if not tasks:
        return
    files = _files(tasks)
    seconds = SECONDS + SECONDS_MORE * (len(tasks) - 1)
    process: AbstractContextManager[Channel]
    if sys.platform == "linux":
        talk = functools.partial(_answer_all, work, files)
        process = forked(talk, tasks[0].name, seconds=seconds, memory=MEMORY)
    else:
        process = interpreted(module, json.dumps(files).encode() + b"\n")
    with process as channel:
        yield from _converse(channel, tasks)


def run_guarded(work: Callable[[str], Any], path: str, *, module: str) -> Any:
    """Call ``work(path)`` in another process and return its result; see `run_guarded_all`.

    Raises
    ------
    ReleaseError
        If the work refuses the file, crashes, or takes too much time or memory.
    """
    (result,) = run_guarded_all(work, [Task(path)], module=module)
    return result
