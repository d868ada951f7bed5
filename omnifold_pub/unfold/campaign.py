"""Run a campaign of trainings in a run directory that survives being killed."""

from __future__ import annotations

from pathlib import Path

from omnifold_pub.atomic import remove_parts
from omnifold_pub.errors import RunError
from omnifold_pub.extras import require
from omnifold_pub.inputs.analysis import read_analysis
from omnifold_pub.inputs.reader import Inputs, read_inputs
from omnifold_pub.progress import Progress, silent
from omnifold_pub.unfold import store
from omnifold_pub.unfold.collection import collect
from omnifold_pub.unfold.result import UnfoldingResult
from omnifold_pub.unfold.run import Campaign
from omnifold_pub.unfold.samples import sample_arrays
from omnifold_pub.unfold.workers import available_cores, run_trainings

__all__ = ["unfold"]


def unfold(
    analysis: str | Path, run: str | Path, *, workers: int | None = None, progress: Progress | None = None
) -> UnfoldingResult:
    """Run, or finish, all trainings of an analysis and collect their weights.

    Each finished training is kept in the run directory under its own name. Killed at any moment and started
    again, the campaign goes on with what is missing and ends with the same bits: a training depends on
    inputs, settings and seeds alone, in one thread each.

    Workers are separate processes; a script that calls this needs the usual ``if __name__ == "__main__":``.

    Parameters
    ----------
    analysis : str or path-like
        Analysis file (YAML).
    run : str or path-like
        Run directory; made if it is not there.
    workers : int, optional
        Processes, by default one per core.
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
        If a training fails. Those that were finished are kept.
    RunError
        If the run directory is in use, or belongs to other inputs or settings.
    MissingExtraError
        If PyTorch is not installed.
    """
    require("torch", "uproot", "filelock", extra="unfold", purpose="Unfolding")
    import filelock

    report = progress or silent
    campaign = Campaign.of(read_analysis(analysis), Path(run))
    inputs = read_inputs(campaign.analysis)
    try:
        campaign.trainings_folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"{run}: cannot be made a run directory: {error.strerror}"
        raise RunError(msg) from None
    try:
        with filelock.FileLock(campaign.directory / "lock", timeout=0):
            _finish(campaign, inputs, workers or available_cores(), report)
    except filelock.Timeout:
        msg = f"{run}: another process is at work in this run directory; wait for it, or choose another"
        raise RunError(msg) from None
    return collect(campaign.directory)


def _finish(campaign: Campaign, inputs: Inputs, workers: int, report: Progress) -> None:
    """Do the trainings that are not on disk."""
    remove_parts(campaign.directory)
    remove_parts(campaign.trainings_folder)
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
    done = total - len(remaining)
    report(done, total, "training")

    def on_finished() -> None:
        nonlocal done
        done += 1
        report(done, total, "training")

    if remaining:
        workers = min(workers, len(remaining))
        run_trainings(remaining, campaign, fingerprint, workers=workers, on_finished=on_finished)
