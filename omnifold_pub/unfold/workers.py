"""Worker processes on this machine: each works through trainings, one at a time, in one thread.

A worker that dies, killed or out of memory, costs the training that it was at, and no other; a new one takes its place.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections import deque
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from omnifold_pub.errors import OmnifoldPubError, RunError, TrainingError
from omnifold_pub.unfold import store
from omnifold_pub.unfold.job import Ended, Files, Job, Product, Started, attempt, prepared
from omnifold_pub.unfold.plan import Training
from omnifold_pub.unfold.records import now
from omnifold_pub.unfold.run import Campaign

__all__ = ["LocalWorkers", "available_cores", "keep"]

_LOST_AT_START = 5
"""Workers in a row that are killed before they begin: then there is something about this machine."""

_PATIENCE = 10.0
"""Seconds that an idle worker gets to end by itself."""


def available_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Task:
    """One attempt at a training, as a worker is sent it.

    Attributes
    ----------
    training : Training
        Which.
    number : int
        Counts the attempts at it from 1.
    files : Files
        What it reads.
    path : pathlib.Path
        Where it goes.
    """

    training: Training
    number: int
    files: Files
    path: Path


def _die_with_parent() -> None:
    """End a worker whose parent was killed: it would go on training for nobody."""
    parent = parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _do(task: Task, job: Job, device: str) -> Ended:
    """Do one training and store it."""
    host = socket.gethostname()
    found = attempt(task.training, job, task.files, device=device, number=task.number, host=host)
    if isinstance(found, Ended):
        return found
    return keep(found, task.path, training=task.training.name, host=host)


def keep(product: Product, path: Path, *, training: str, host: str) -> Ended:
    """Store a finished training."""
    try:
        store.write_arrays(path, product.arrays, product.header)
    except RunError as error:
        return Ended(training, host, str(error), fatal=True)
    return Ended(training, host)


def _serve(connection: Connection, job: Job) -> None:
    """Be a worker: take tasks until there are no more."""
    _die_with_parent()
    signal.signal(signal.SIGINT, lambda *_: os._exit(1))  # Ctrl-C: nothing to save, and no traceback from each worker
    with contextlib.suppress(EOFError, BrokenPipeError):  # the parent wants no more
        try:
            with prepared(job.device) as device:
                connection.send(device)
                while True:
                    connection.send(_do(connection.recv(), job, device))
        except OmnifoldPubError as error:
            connection.send(error)


class _Worker:
    """One process, and the way to it."""

    def __init__(self, job: Job) -> None:
        # Threads do not survive a fork, and numpy may hold some: workers start from scratch.
        context = get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(target=_serve, args=(theirs, job), daemon=True)
        self.process.start()
        theirs.close()
        self.ready = False
        self.task: Task | None = None

    @property
    def killed(self) -> bool:
        """Whether a signal ended it."""
        return (self.process.exitcode or 0) < 0

    @property
    def idle(self) -> bool:
        """Whether it waits for a task."""
        return self.ready and self.task is None

    def end(self) -> str:
        """Make sure that it is gone; return what became of it."""
        self.connection.close()
        self.process.join(_PATIENCE if self.idle else 0.1)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        code = self.process.exitcode or 0
        how = f"killed by signal {-code}" if code < 0 else f"ended with exit status {code}"
        hint = "; out of memory? Then take fewer workers" if code == -signal.SIGKILL else ""
        return f"worker process {self.process.pid} {how}{hint}"


class LocalWorkers:
    """Processes of this machine, see `omnifold_pub.unfold.worklist.Workers`.

    They are spawned: a script that starts them needs the usual ``if __name__ == "__main__":``.

    Parameters
    ----------
    campaign : Campaign
        Where trainings are read from and stored.
    job : Job
        What all of them have in common.
    count : int
        Most processes at a time.
    """

    def __init__(self, campaign: Campaign, job: Job, *, count: int) -> None:
        self._campaign = campaign
        self._job = job
        self._count = count
        self._queue: deque[Task] = deque()
        self._workers: list[_Worker] = []
        self._lost_at_start = 0

    def submit(self, training: Training, number: int) -> None:
        """Hand over a training."""
        campaign = self._campaign
        self._queue.append(Task(training, number, campaign.files(training), campaign.training_path(training)))

    def events(self) -> list[Started | Ended]:
        """Wait until something has happened; return what.

        Raises
        ------
        TrainingError
            If workers do not start, or lack the device that is asked for.
        """
        while True:
            self._staff()
            found: list[Started | Ended] = [*self._dispatch()]
            if found:
                return found
            ready = wait([*(w.connection for w in self._workers), *(w.process.sentinel for w in self._workers)])
            for worker in list(self._workers):
                if worker.connection in ready or worker.process.sentinel in ready:
                    found += self._hear(worker)
            if found:
                return found

    def close(self) -> None:
        """Let the processes go; what is under way is dropped."""
        for worker in self._workers:
            worker.connection.close()  # all at once: the idle ones end by themselves
        for worker in self._workers:
            worker.end()
        self._workers.clear()

    def _staff(self) -> None:
        """Start processes, as many as there is work for."""
        busy = sum(worker.task is not None for worker in self._workers)
        while len(self._workers) < min(self._count, len(self._queue) + busy):
            self._workers.append(_Worker(self._job))

    def _dispatch(self) -> list[Started]:
        """Give tasks to idle workers."""
        started = []
        for worker in self._workers:
            if worker.idle and self._queue:
                task = self._queue.popleft()
                try:
                    worker.connection.send(task)
                except OSError:  # it is dead, and will be noticed to be
                    self._queue.appendleft(task)
                else:
                    worker.task = task
                    started.append(Started(task.training.name, socket.gethostname(), worker.process.pid or 0, now()))
        return started

    def _hear(self, worker: _Worker) -> list[Ended]:
        """Take what a worker says, or notice that it died."""
        try:
            message = worker.connection.recv() if worker.connection.poll() else None
        except (EOFError, OSError):
            message = None
        if message is None:
            return self._lost(worker)
        if isinstance(message, OmnifoldPubError):
            raise message
        if isinstance(message, Ended):
            worker.task = None
            return [message]
        worker.ready = True
        self._lost_at_start = 0
        return []

    def _lost(self, worker: _Worker) -> list[Ended]:
        """Bury a worker; its training, if it was at one, has failed."""
        self._workers.remove(worker)
        what = worker.end()
        if worker.task is not None:
            return [Ended(worker.task.training.name, socket.gethostname(), what)]
        self._lost_at_start += not worker.ready
        if not worker.ready and (self._lost_at_start == _LOST_AT_START or not worker.killed):
            msg = (
                f"{what} before it began; its own words are above. Expected one that starts: there may be too little "
                "memory, or a script without 'if __name__ == \"__main__\":' that starts itself again"
            )
            raise TrainingError(msg)
        return []
