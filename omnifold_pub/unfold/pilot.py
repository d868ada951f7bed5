"""What a training costs on this machine: measured by a few short ones, in a process of their own.

With I iterations of E epochs each a training takes ``once + I (iteration + E epoch)``. Three short trainings, of
(I, E) = (1, 1), (1, 4) and (2, 1), give the three numbers; ``once`` is what is left after the other two are taken off.
Each is done as often as the budget allows, at least twice, and the quickest counts: what else a machine does can only
slow them. An epoch is one of all fits of an iteration together (for trees: a tree). Early stopping does not come into
it, so that the result is an upper bound: all epochs of all iterations.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from omnifold_pub.errors import OmnifoldPubError, TrainingError
from omnifold_pub.inputs.reader import Inputs
from omnifold_pub.inputs.sample import Columns, Sample
from omnifold_pub.unfold import store
from omnifold_pub.unfold.config import OmniFoldConfig
from omnifold_pub.unfold.job import Device, Files, Job, prepared
from omnifold_pub.unfold.plan import Training
from omnifold_pub.unfold.run import Campaign
from omnifold_pub.unfold.samples import sample_arrays

if TYPE_CHECKING:
    from omnifold_pub.unfold.samples import TrainingSamples

__all__ = ["Pilot", "measure_pilot"]

BUDGET = 20.0
"""Seconds that the short trainings may take together."""

_PROBE = 0.03
"""Share of the events in a first training, which tells how many of them the budget is enough for."""

_MORE_EPOCHS = 4
"""Of the training that is set against one of a single epoch: enough to stand out of what disturbs both."""

_ROUNDS = 2
"""Of these trainings, at least."""

_UNITS = 16
"""How much longer than the first all of them take together: 1 + 2 (1 + 4 + 2) at most, and some room."""

_TREES = 5
"""Trees that stand for an epoch of boosted trees."""


@dataclass(frozen=True)
class Pilot:
    """What one training of a campaign costs.

    Attributes
    ----------
    once : float
        Seconds of reading and preprocessing.
    iteration : float
        Seconds of each iteration but for its epochs: prediction, bookkeeping.
    epoch : float
        Seconds of one epoch of all fits of an iteration (of one tree of them).
    memory : int
        Bytes of main memory that the process took at most.
    share : float
        Share of the events that it was measured with; all numbers are scaled to all of them.
    device : str
        What it ran on. Seconds are of CPU time on a CPU, of the clock on a GPU.
    """

    once: float
    iteration: float
    epoch: float
    memory: int
    share: float
    device: str

    def seconds(self, config: OmniFoldConfig) -> float:
        """Return how long a training takes at most: all iterations, all epochs.

        >>> Pilot(1.0, 2.0, 0.5, 0, 1.0, "cpu").seconds(OmniFoldConfig(iterations=4, max_epochs=20))
        49.0
        """
        return self.once + config.iterations * (self.iteration + _rounds(config) * self.epoch)


def _rounds(config: OmniFoldConfig) -> int:
    return config.trees if config.classifier == "bdt" else config.max_epochs


def _short(config: OmniFoldConfig, iterations: int, epochs: int) -> OmniFoldConfig:
    """Return settings of a short training that does not stop early."""
    return replace(
        config,
        iterations=iterations,
        max_epochs=epochs,
        trees=_TREES * epochs,
        patience=max(config.patience, _TREES * epochs),
        stop_below=0.0,
    )


def measure_pilot(campaign: Campaign, inputs: Inputs, *, device: Device = "auto", budget: float = BUDGET) -> Pilot:
    """Measure what a training costs, in a process of its own, in one thread.

    Parameters
    ----------
    campaign : Campaign
        What it is measured for: its first training, the nominal.
    inputs : Inputs
        What it unfolds.
    device : {"auto", "cpu", "cuda"}
        What it runs on.
    budget : float
        Seconds that it may take, about; where the events are too many for it, a part of them is taken.

    Raises
    ------
    TrainingError
        If a short training fails.
    """
    with TemporaryDirectory(prefix="omnifold-pub-pilot-") as folder:
        path = Path(folder) / "inputs.safetensors"
        header = {
            "analysis": campaign.analysis.document,
            "observables": [observable.name for observable in campaign.analysis.observables],
        }
        store.write_arrays(path, sample_arrays(inputs), header)
        job = campaign.job("pilot", device)
        context = get_context("spawn")
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_measure, args=(theirs, campaign.trainings[0], job, path, budget), daemon=True)
        process.start()
        theirs.close()
        try:
            found: Pilot | OmnifoldPubError = ours.recv()
        except EOFError:
            process.join()
            msg = (
                f"the pilot's process ended with exit status {process.exitcode}: out of memory? Expected a measurement"
            )
            raise TrainingError(msg) from None
        finally:
            process.kill()
            process.join()
    if isinstance(found, OmnifoldPubError):
        raise found
    return found


def _measure(connection: Connection, training: Training, job: Job, inputs: Path, budget: float) -> None:
    """Measure, in the process that is spawned for it, and send the result."""
    try:
        with prepared(job.device) as device:
            connection.send(_measured(training, job, Files(inputs), device, budget))
    except OmnifoldPubError as error:
        connection.send(error)


def _measured(training: Training, job: Job, files: Files, device: str, budget: float) -> Pilot:
    from omnifold_pub.unfold.samples import samples_for
    from omnifold_pub.unfold.training import Settings, train

    clock = time.process_time if device == "cpu" else time.perf_counter

    def seconds(samples: TrainingSamples, iterations: int, epochs: int) -> float:
        config = _short(job.config, iterations, epochs)
        start = clock()
        train(training, samples, Settings(config, job.encodings, job.pairs, job.luminosity, device=device))
        return clock() - start

    began, start = time.perf_counter(), clock()
    samples = samples_for(training, files.inputs, files.earlier)
    reading = clock() - start
    base = _peak_memory()
    probe = _thinned(samples, _PROBE)
    seconds(probe, 1, 1)  # what is done but once in a process is not measured
    share = min(1.0, budget * _PROBE / (_UNITS * max(seconds(probe, 1, 1), 1e-3)))
    measured = samples if share == 1 else _thinned(samples, share)
    seconds(measured, 1, 1)  # nor what is done but once for as many events: it would hide an epoch in the difference
    rounds: list[list[float]] = []
    last = time.perf_counter()
    while len(rounds) < _ROUNDS or 2 * time.perf_counter() - last - began < budget:  # one more of the last one's length
        last = time.perf_counter()
        rounds.append([seconds(measured, *short) for short in ((1, 1), (1, _MORE_EPOCHS), (2, 1))])
    one, epochs, iterations = map(min, zip(*rounds, strict=True))
    epoch = max(epochs - one, 0.0) / (_MORE_EPOCHS - 1)
    iteration = max(iterations - one - epoch, 0.0)
    once = max(one - epoch - iteration, 0.0)
    of_trees = _TREES if job.config.classifier == "bdt" else 1
    return Pilot(
        once=reading + once / share,
        iteration=iteration / share,
        epoch=epoch / share / of_trees,
        memory=round(base + (_peak_memory() - base) / share),
        share=share,
        device=device,
    )


def _thinned(samples: TrainingSamples, share: float) -> TrainingSamples:
    """Return about a share of the events of each sample, evenly taken."""
    background = None if samples.background is None else _part(samples.background, share)
    return replace(
        samples, simulation=_part(samples.simulation, share), data=_part(samples.data, share), background=background
    )


def _part(sample: Sample, share: float) -> Sample:
    rows = np.unique(np.linspace(0, len(sample) - 1, max(round(share * len(sample)), 1)).astype(int))

    def taken(columns: Columns) -> Columns:
        return Columns(columns.names, columns.values[rows], columns.present[rows])

    return replace(
        sample,
        reco=taken(sample.reco),
        pass_reco=sample.pass_reco[rows],
        reco_weight=sample.reco_weight[rows],
        event_id=sample.event_id[rows],
        truth=None if sample.truth is None else taken(sample.truth),
        pass_truth=sample.pass_truth[rows],
        truth_weight=sample.truth_weight[rows],
    )


def _peak_memory() -> int:
    """Return the most bytes of main memory that this process has had at a time."""
    status = Path("/proc/self/status")  # `getrusage` counts what the process was before it became this one
    if status.exists():
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        if "VmHWM" in fields:
            return int(fields["VmHWM"].split()[0]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
