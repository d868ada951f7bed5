"""Workers of a Dask cluster that do trainings; dask-jobqueue brings those of SLURM, HTCondor and others.

They need this package in the same version, and no file system in common with this machine. The inputs are given to
the scheduler as a plug-in for workers, in parts; it hands them to each worker, also to one that comes later, once; they
lie in the worker's local directory. A training's arrays come back to this machine, which stores them.

A process does one training at a time, whatever threads it has. What a worker that is lost was at is done by another; a
training that was on four workers when they died (``distributed.scheduler.allowed-failures``) has failed. Where there
is no worker left, it is waited for one.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import queue
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import metadata
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

from distributed import CancelledError, Client, Future, KilledWorker, Worker, WorkerPlugin, get_worker

from omnifold_pub.errors import ClusterError, OmnifoldPubError
from omnifold_pub.files import sha256_of
from omnifold_pub.unfold.job import Ended, Files, Job, Product, Started, attempt, prepared
from omnifold_pub.unfold.plan import Training
from omnifold_pub.unfold.records import now
from omnifold_pub.unfold.run import Campaign
from omnifold_pub.unfold.workers import keep

__all__ = ["ClusterWorkers", "connected"]

_PACKAGE = "omnifold-pub"

_PART = 64 * 2**20
"""Bytes of a file that are sent in one piece."""

_LOOK = 1.0
"""Seconds after which it is looked whether the scheduler is still there."""

_CONNECT_SECONDS = 30

_ONE_AT_A_TIME = threading.Lock()
"""PyTorch's settings and random numbers belong to the process."""


@contextlib.contextmanager
def connected(scheduler: str | Client) -> Iterator[Client]:
    """Yield a client of a cluster.

    Raises
    ------
    ClusterError
        If there is none at the address, or the client is not connected.
    """
    if isinstance(scheduler, Client):
        if scheduler.status != "running" or scheduler.asynchronous:
            found = "one that is asynchronous" if scheduler.asynchronous else f"one that is {scheduler.status}"
            msg = f"scheduler: expected a connected client, or an address; found {found}"
            raise ClusterError(msg)
        yield scheduler
        return
    try:
        client = Client(scheduler, timeout=_CONNECT_SECONDS, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError, TimeoutError) as error:
        msg = f"scheduler {scheduler}: no cluster there: {error}; expected an address such as tcp://host:8786"
        raise ClusterError(msg) from error
    with client:
        yield client


class _FilePart(WorkerPlugin):
    """Puts a part of a file into each worker's local directory."""

    def __init__(self, sha256: str, number: int, content: bytes) -> None:
        self.name = f"omnifold_pub-{sha256}-{number}"
        self.sha256 = sha256
        self.number = number
        self.content = content

    def setup(self, worker: Worker) -> None:
        path = _part_path(_folder(worker), self.sha256, self.number)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(self.content)

    def teardown(self, worker: Worker) -> None:
        folder = _folder(worker)
        for path in (_part_path(folder, self.sha256, self.number), folder / self.sha256):
            path.unlink(missing_ok=True)


def _folder(worker: Worker) -> Path:
    return Path(worker.local_directory) / "omnifold_pub"


def _part_path(folder: Path, sha256: str, number: int) -> Path:
    return folder / f"{sha256}.{number}"


def _assembled(folder: Path, file: _File) -> Path:
    """Return a file that was sent in parts; they are put together when it is asked for first."""
    path = folder / file.sha256
    if path.exists():
        return path
    parts = [_part_path(folder, file.sha256, number) for number in range(file.parts)]
    state = hashlib.sha256()
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("wb") as whole:
        for part in parts:
            content = part.read_bytes()
            state.update(content)
            whole.write(content)
    if state.hexdigest() != file.sha256:
        msg = f"{path}: the file that came here has another sha256 than the one that was sent"
        raise ClusterError(msg)
    unfinished.rename(path)
    for part in parts:
        part.unlink()
    return path


@dataclass(frozen=True)
class _File:
    """A file that each worker has."""

    sha256: str
    parts: int


@dataclass(frozen=True)
class _Order:
    """One attempt at a training, as a worker is sent it."""

    training: Training
    number: int
    job: Job
    inputs: _File
    warm: _File | None
    earlier: tuple[bytes, ...]
    topic: str
    version: str


def _carry_out(order: _Order) -> Product | Ended:
    """Do one training on a worker."""
    worker = get_worker()
    name, host = order.training.name, str(worker.address)
    if version(_PACKAGE) != order.version:  # of a worker that came later
        return Ended(name, host, f"this worker has {_PACKAGE} {version(_PACKAGE)}; expected {order.version}")
    with _ONE_AT_A_TIME, TemporaryDirectory(dir=worker.local_directory) as scratch:
        worker.log_event(order.topic, {"training": name, "host": host, "pid": os.getpid(), "started": now()})
        earlier = []
        for number, content in enumerate(order.earlier):
            earlier.append(Path(scratch) / f"{number}.safetensors")
            earlier[-1].write_bytes(content)
        try:
            inputs = _assembled(_folder(worker), order.inputs)
            warm = None if order.warm is None else _assembled(_folder(worker), order.warm)
        except (OSError, ClusterError) as error:
            return Ended(name, host, f"the inputs did not come to this worker: {error}")
        files = Files(inputs, tuple(earlier), warm)
        try:
            with prepared(order.job.device) as device:
                found = attempt(order.training, order.job, files, device=device, number=order.number, host=host)
        except OmnifoldPubError as error:
            return Ended(name, host, str(error))
        return replace(found, fatal=False) if isinstance(found, Ended) else found


class ClusterWorkers:
    """Workers of a Dask cluster, see `omnifold_pub.unfold.worklist.Workers`.

    Parameters
    ----------
    campaign : Campaign
        Where trainings are read from and stored.
    job : Job
        What all of them have in common.
    client : distributed.Client
        The way to the cluster.

    Raises
    ------
    ClusterError
        If its workers lack this package, or have another version.
    """

    def __init__(self, campaign: Campaign, job: Job, client: Client) -> None:
        self._campaign = campaign
        self._job = job
        self._client: Any = client  # of which parts have no types
        self._topic = f"omnifold_pub-{uuid.uuid4().hex}"
        self._happened: queue.Queue[Started | Future[Any]] = queue.Queue()
        self._trainings: dict[str, Training] = {}
        self._futures: dict[str, Future[Any]] = {}
        self._plugins: list[str] = []
        self._listens = False
        self._check_versions()
        try:
            self._inputs = self._send(campaign.inputs_path)
            self._warm = None if campaign.warm is None else self._send(campaign.warm)
            self._client.subscribe_topic(self._topic, self._on_event)  # type: ignore[no-untyped-call]
            self._listens = True
        except BaseException:
            self.close()
            raise

    def submit(self, training: Training, number: int) -> None:
        """Hand over a training."""
        earlier = tuple(path.read_bytes() for path in self._campaign.files(training).earlier)
        order = _Order(training, number, self._job, self._inputs, self._warm, earlier, self._topic, version(_PACKAGE))
        key = f"{self._topic}-{training.name}-{number}"
        future = self._client.submit(_carry_out, order, key=key, pure=False)
        self._trainings[key] = training
        self._futures[key] = future
        future.add_done_callback(self._happened.put)

    def events(self) -> list[Started | Ended]:
        """Wait until something has happened; return what.

        Raises
        ------
        ClusterError
            If the scheduler is gone.
        """
        while True:
            with contextlib.suppress(queue.Empty):
                found = self._happened.get(timeout=_LOOK)
                return [found if isinstance(found, Started) else self._ended(found)]
            if self._client.status != "running":
                self._give_up(f"the client is {self._client.status}")

    def close(self) -> None:
        """Let the cluster go; what is under way there is dropped, and what was sent is removed."""
        with contextlib.suppress(OSError):  # the scheduler went away: there is nothing left to be tidied up
            if self._client.status == "running":
                self._client.cancel(list(self._futures.values()), reason="not needed any more")
                if self._listens:
                    self._client.unsubscribe_topic(self._topic)
                for name in self._plugins:
                    self._client.unregister_worker_plugin(name)
        self._futures.clear()

    def _on_event(self, event: tuple[float, dict[str, Any]]) -> None:
        found = event[1]  # with what Dask adds to it
        self._happened.put(Started(found["training"], found["host"], found["pid"], found["started"]))

    def _ended(self, future: Future[Any]) -> Ended:
        """Store what a task brought, or tell why it brought nothing."""
        training = self._trainings[str(future.key)]
        del self._futures[str(future.key)]
        try:
            found: Product | Ended = future.result()
        except CancelledError as error:
            self._give_up(str(error))
        except KilledWorker as error:
            return Ended(training.name, str(error.last_worker.address), f"the workers that it was on died: {error}")
        except Exception as error:  # noqa: BLE001 - a worker may lack any module: the reason is kept and told
            return Ended(training.name, "cluster", f"{type(error).__name__}: {error}")
        if isinstance(found, Ended):
            return found
        path = self._campaign.training_path(training)
        return keep(found, path, training=training.name, host=found.header["run"]["host"])

    def _check_versions(self) -> None:
        expected = version(_PACKAGE)
        found: dict[str, str | Exception] = self._client.run(metadata.version, _PACKAGE, on_error="return")
        for address, other in found.items():
            if other != expected:
                what = f"it lacks {_PACKAGE}" if isinstance(other, Exception) else f"it has {_PACKAGE} {other}"
                msg = f"worker {address}: {what}; expected {expected} on every worker, as it is here"
                raise ClusterError(msg)

    def _send(self, path: Path) -> _File:
        """Give a file to all workers that are there and that will come."""
        sha256 = sha256_of(path)
        parts = 0
        with path.open("rb") as file:
            while content := file.read(_PART):
                plugin = _FilePart(sha256, parts, content)
                self._plugins.append(plugin.name)
                self._client.register_plugin(plugin)
                parts += 1
        return _File(sha256, parts)

    def _give_up(self, why: str) -> NoReturn:
        msg = f"the cluster gave up: {why}. Finished trainings are kept: run the same command again when it is back"
        raise ClusterError(msg)
