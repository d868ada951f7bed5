"""What a worker does: one training, wherever it runs, and what became of it."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from traceback import format_exception
from typing import Any, Literal

from omnifold_pub.errors import OmnifoldPubError, RunError, TrainingError
from omnifold_pub.unfold.config import OmniFoldConfig
from omnifold_pub.unfold.plan import Training
from omnifold_pub.unfold.preprocessing import Encoding, Pair
from omnifold_pub.unfold.records import now
from omnifold_pub.unfold.store import Arrays

__all__ = ["Device", "Ended", "Files", "Job", "Product", "Started", "attempt", "prepared"]

Device = Literal["auto", "cpu", "cuda"]
"""What trainings run on; auto: a GPU where PyTorch finds one."""


@dataclass(frozen=True)
class Job:
    """What all trainings of a run have in common.

    Attributes
    ----------
    config : OmniFoldConfig
        Settings of each training.
    encodings : tuple of Encoding
        How the networks see each observable.
    pairs : tuple of Pair
        Pairs of objects that they see beside the observables.
    luminosity : float
        In inverse units of the published weights.
    fingerprint : str
        Of inputs and settings; goes into each training's file.
    device : {"auto", "cpu", "cuda"}
        What trainings run on.
    """

    config: OmniFoldConfig
    encodings: tuple[Encoding, ...]
    pairs: tuple[Pair, ...]
    luminosity: float
    fingerprint: str
    device: Device = "cpu"


@dataclass(frozen=True)
class Files:
    """What a training reads, on the machine where it runs.

    Attributes
    ----------
    inputs : pathlib.Path
        Samples and analysis.
    earlier : tuple of pathlib.Path
        Finished trainings that this one builds on, in the order of its ``after``.
    warm : pathlib.Path, optional
        Networks to start from.
    """

    inputs: Path
    earlier: tuple[Path, ...] = ()
    warm: Path | None = None


@dataclass(frozen=True)
class Product:
    """A finished training, to be stored.

    Attributes
    ----------
    arrays : dict
        Weights, networks and the rest, by name.
    header : dict
        Fingerprint, summary, and ``run``: where it was done, when, and how long it took.
    """

    arrays: Arrays
    header: dict[str, Any]


@dataclass(frozen=True)
class Started:
    """A worker took up a training."""

    training: str
    host: str
    pid: int
    started: str


@dataclass(frozen=True)
class Ended:
    """A training is stored, or one attempt at it failed.

    Attributes
    ----------
    training : str
        Its name.
    host : str
        Where.
    reason : str, optional
        Why it failed; None where it is done and stored.
    details : str
        Traceback, where the error was none of ours.
    fatal : bool
        Whether all other trainings would fail of the same: a full disk, damaged inputs.
    """

    training: str
    host: str
    reason: str | None = None
    details: str = ""
    fatal: bool = False


@contextlib.contextmanager
def prepared(device: Device) -> Iterator[str]:
    """Set PyTorch up for one training at a time: one thread, the same bits each time; yield the device to use.

    Raises
    ------
    TrainingError
        If there is no such device.
    """
    if device != "cpu":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA starts: same bits each time
    import torch

    chosen = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    if chosen == "cuda" and not torch.cuda.is_available():
        msg = f"device cuda: PyTorch {torch.__version__} finds no GPU on {socket.gethostname()}; expected one, or cpu"
        raise TrainingError(msg)
    threads, deterministic = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    torch.set_num_threads(1)
    # What `use_deterministic_algorithms` does, less the compiler that it imports for two seconds.
    torch.set_deterministic_debug_mode("error")
    try:
        yield chosen
    finally:
        torch.set_num_threads(threads)
        torch.set_deterministic_debug_mode(deterministic)


def _trained(training: Training, job: Job, files: Files, device: str) -> tuple[Arrays, dict[str, Any]]:
    """Return arrays and summary of one training."""
    from omnifold_pub.unfold.samples import samples_for
    from omnifold_pub.unfold.training import Settings, train

    samples = samples_for(training, files.inputs, files.earlier)
    settings = Settings(job.config, job.encodings, job.pairs, job.luminosity, device=device, warm=files.warm)
    trained = train(training, samples, settings)
    return trained.arrays, trained.summary


def attempt(training: Training, job: Job, files: Files, *, device: str, number: int, host: str) -> Product | Ended:
    """Do one training; return what is to be stored, or why it failed.

    Parameters
    ----------
    training : Training
        Which.
    job : Job
        What it has in common with the others.
    files : Files
        What it reads.
    device : str
        As `prepared` yields it.
    number : int
        Counts the attempts at it from 1.
    host : str
        Where this is.
    """
    start = time.perf_counter()
    try:
        arrays, summary = _trained(training, job, files, device)
    except OmnifoldPubError as error:
        return Ended(training.name, host, str(error), fatal=isinstance(error, RunError))
    except Exception as error:  # noqa: BLE001 - a module of the user's may raise anything: the reason is kept and told
        return Ended(training.name, host, f"{type(error).__name__}: {error}", "".join(format_exception(error)))
    seconds = round(time.perf_counter() - start, 3)
    run = {"host": host, "finished": now(), "seconds": seconds, "attempts": number}
    return Product(arrays, {"fingerprint": job.fingerprint, "summary": summary, "run": run})
