"""Run a campaign of trainings in a run directory that survives being killed."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from omnifold_pub.atomic import remove_parts
from omnifold_pub.errors import RunError
from omnifold_pub.extras import require
from omnifold_pub.inputs.analysis import read_analysis
from omnifold_pub.inputs.reader import Inputs, read_inputs
from omnifold_pub.progress import Progress, silent
from omnifold_pub.unfold import store
from omnifold_pub.unfold.collection import collect
from omnifold_pub.unfold.job import Device, Job
from omnifold_pub.unfold.records import Records, RunWarning, Session
from omnifold_pub.unfold.result import UnfoldingResult
from omnifold_pub.unfold.run import Campaign, lock_path
from omnifold_pub.unfold.samples import sample_arrays
from omnifold_pub.unfold.warm import keep_networks, kept_networks, warm_start
from omnifold_pub.unfold.workers import LocalWorkers, available_cores
from omnifold_pub.unfold.worklist import Workers, work_through

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["unfold"]

_LOCK_SECONDS = 0.5
"""For which the run directory may be locked by others: who asks for the status holds the lock for a moment."""


def unfold(
    analysis: str | Path,
    run: str | Path,
    *,
    workers: int | None = None,
    scheduler: str | Client | None = None,
    device: Device = "auto",
    warm_from: str | Path | Sequence[bytes] | None = None,
    progress: Progress | None = None,
) -> UnfoldingResult:
    """Run, or finish, all trainings of an analysis and collect their weights.

    Each finished training is kept in the run directory under its own name. Killed at any moment and started
    again, the campaign goes on with what is missing and ends with the same bits: a training depends on
    inputs, settings and seeds alone, in one thread each, and on the kind of machine. A training that fails, or whose
    worker is killed, is tried once more; if it fails again it is reported when all others are finished.

    Workers are separate processes; a script that calls this needs the usual ``if __name__ == "__main__":``.

    Parameters
    ----------
    analysis : str or path-like
        Analysis file (YAML).
    run : str or path-like
        Run directory; made if it is not there.
    workers : int, optional
        Processes on this machine, by default one per core. Not for a cluster, which has its own.
    scheduler : str or distributed.Client, optional
        Dask cluster that does the trainings: its address, such as ``tcp://host:8786``, or a client of it. It needs no
        file system in common with this machine. Its workers should have one thread each.
    device : {"auto", "cpu", "cuda"}
        What trainings run on; auto: a GPU where there is one. It is kept in each training's summary.
    warm_from : str, path-like or sequence of bytes, optional
        Finished run directory whose networks the trainings start from, or the networks of a release (see
        `omnifold_pub.Release.network`): each member of the ensemble from those of another one, as far as there are.
        They are kept in the run directory: to resume, leave them out or give the same.
    progress : callable, optional
        Called with (done, total, what).

    Returns
    -------
    UnfoldingResult
        Ready to be published.

    Raises
    ------
    InputError
        If the inputs cannot be read.
    TrainingError
        If trainings failed twice. All others are finished and kept.
    RunError
        If the run directory is in use, belongs to other inputs or settings, or cannot be written.
    ClusterError
        If the cluster is not there, has other versions of this package, or gave up.
    MissingExtraError
        If PyTorch is not installed, or Dask if there is a scheduler.

    Warns
    -----
    RunWarning
        If a training is tried again, or one on disk is damaged and made anew.
    """
    require("torch", "uproot", "filelock", extra="unfold", purpose="Unfolding")
    if scheduler is not None:
        require("distributed", extra="dask", purpose="Unfolding on a cluster")
    import filelock

    campaign = Campaign.of(read_analysis(analysis), Path(run))
    inputs = read_inputs(campaign.analysis)
    warm = [] if warm_from is None else _networks(warm_from)
    try:
        campaign.trainings_folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"{run}: cannot be made a run directory: {error.strerror}"
        raise RunError(msg) from None
    try:
        with filelock.FileLock(lock_path(campaign.directory), timeout=_LOCK_SECONDS):
            if warm:
                _keep_warm(campaign, warm)
            _finish(campaign, inputs, (workers, scheduler, device), progress or silent)
    except filelock.Timeout:
        msg = f"{run}: another process is at work in this run directory; wait for it, or choose another"
        raise RunError(msg) from None
    return collect(campaign.directory)


def _networks(source: str | Path | Sequence[bytes]) -> list[bytes]:
    """Return the files of networks to start from."""
    if not isinstance(source, (str, Path)):
        return list(source)
    networks = list(collect(source, networks=True).networks.values())
    if not networks:
        msg = f"{source}: no networks to start from; expected a finished run directory of this program"
        raise RunError(msg)
    return networks


def _keep_warm(campaign: Campaign, networks: list[bytes]) -> None:
    """Keep the networks that trainings start from; refuse others than the run was begun with."""
    present = [] if campaign.warm is None else kept_networks(campaign.warm)
    if present == networks:
        return
    if present or any(campaign.training_path(training).exists() for training in campaign.trainings):
        begun = "with other networks to start from" if present else "without networks to start from"
        msg = (
            f"{campaign.directory}: begun {begun}; go on in the same way by leaving warm_from (--warm-from) out, or "
            "choose another run directory"
        )
        raise RunError(msg)
    for content in networks:
        warm_start(content, campaign.encodings, campaign.pairs, campaign.config)
    keep_networks(campaign.warm_path, networks)


def _finish(
    campaign: Campaign, inputs: Inputs, how: tuple[int | None, str | Client | None, Device], report: Progress
) -> None:
    """Do the trainings that are not on disk."""
    count, scheduler, device = how
    remove_parts(campaign.directory)
    remove_parts(campaign.trainings_folder)
    records = Records(campaign.directory)
    count = count or available_cores()
    address = (
        scheduler if isinstance(scheduler, str) or scheduler is None else str(scheduler.scheduler_info()["address"])
    )
    records.begin(Session.of_this_process(workers=None if address else count, scheduler=address))
    for path in campaign.set_damaged_aside():
        warnings.warn(f"{path.stem} was damaged; it is kept as {path} and made anew", RunWarning, 4)
    arrays = sample_arrays(inputs)
    fingerprint = campaign.fingerprint(store.digest(arrays))
    remaining = campaign.remaining(fingerprint)
    header = {
        "analysis": campaign.analysis.document,
        "observables": [observable.name for observable in campaign.analysis.observables],
        "provenance": inputs.provenance,
    }
    store.write_arrays(campaign.inputs_path, arrays, header)
    del arrays
    total = len(campaign.trainings)
    done = {training.name for training in campaign.trainings} - {training.name for training in remaining}
    report(len(done), total, "training")
    finished = len(done)

    def on_finished() -> None:
        nonlocal finished
        finished += 1
        report(finished, total, "training")

    if remaining:
        job = campaign.job(fingerprint, device)
        with _at_work(campaign, job, count, scheduler) as workers:
            try:
                work_through(remaining, workers, records, done=sorted(done), on_finished=on_finished)
            finally:
                records.clear_claims()


@contextlib.contextmanager
def _at_work(campaign: Campaign, job: Job, count: int, scheduler: str | Client | None) -> Iterator[Workers]:
    """Yield the workers, and let them go in the end."""
    if scheduler is None:
        with contextlib.closing(LocalWorkers(campaign, job, count=count)) as workers:
            yield workers
        return
    from omnifold_pub.unfold.cluster import ClusterWorkers, connected

    with connected(scheduler) as client, contextlib.closing(ClusterWorkers(campaign, job, client)) as remote:
        yield remote
