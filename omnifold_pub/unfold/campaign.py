"""Run a campaign of trainings in a run directory that survives being killed.

::

    RUN/inputs.safetensors               the samples, as the trainings see them
    RUN/trainings/<family>_NNNN.safetensors   one finished training: weights, networks, losses, seeds
    RUN/lock                             held while a process works here
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from importlib import metadata as installed
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.atomic import remove_parts
from omnifold_pub.errors import RunError, TrainingError
from omnifold_pub.extras import require
from omnifold_pub.inputs.analysis import Analysis, parse_analysis, read_analysis, read_inputs
from omnifold_pub.unfold import store
from omnifold_pub.unfold.config import CampaignConfig, OmniFoldConfig
from omnifold_pub.unfold.plan import DATA_BOOTSTRAP, ENSEMBLE, MC_BOOTSTRAP, Training, bootstrap_seed, plan_trainings
from omnifold_pub.unfold.preprocessing import Encoding
from omnifold_pub.unfold.result import UnfoldingResult

__all__ = ["collect", "unfold"]

Progress = Callable[[int, int, str], None]

ENGINE_VERSION = 1
"""Counts changes after which finished trainings would come out different."""


@dataclass(frozen=True)
class _Task:
    """All that a worker needs to know of the campaign."""

    run: Path
    fingerprint: str
    config: OmniFoldConfig
    encodings: tuple[Encoding, ...]
    luminosity: float


@dataclass(frozen=True)
class _Campaign:
    """An analysis, what it asks for, and where its run is kept."""

    analysis: Analysis
    run: Path
    config: OmniFoldConfig
    campaign: CampaignConfig
    trainings: list[Training]

    @classmethod
    def of(cls, analysis: Analysis, run: Path) -> _Campaign:
        document = analysis.document
        config = OmniFoldConfig.from_dict(document.get("omnifold", {}))
        campaign = CampaignConfig(**document.get("campaign", {}))
        variations = [entry["name"] for entry in document["inputs"].get("variations", [])]
        return cls(analysis, run, config, campaign, plan_trainings(campaign, variations))

    @property
    def encodings(self) -> tuple[Encoding, ...]:
        return tuple(Encoding(observable.encoding, observable.offset) for observable in self.analysis.observables)

    @property
    def luminosity(self) -> float:
        """In inverse units of the published weights."""
        luminosity = self.analysis.document["luminosity"]
        per_pb = luminosity["value"] * (1000 if luminosity["unit"] == "fb-1" else 1)
        return float(per_pb / (1000 if self.analysis.document["weight_unit"] == "fb" else 1))

    def fingerprint(self, inputs_digest: str) -> str:
        """Identify everything, other than the training itself, that its weights depend on."""
        parts = {
            "engine": ENGINE_VERSION,
            "inputs": inputs_digest,
            "omnifold": self.config.to_dict(),
            "encodings": [asdict(encoding) for encoding in self.encodings],
            "luminosity": self.luminosity,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _inputs_path(run: Path) -> Path:
    return run / "inputs.safetensors"


def _training_path(run: Path, training: Training) -> Path:
    return run / "trainings" / f"{training.name}.safetensors"


def _finished(path: Path, training: Training, fingerprint: str) -> bool:
    """Whether a training is on disk; one of another campaign there is an error, never reused or overwritten."""
    if not path.exists():
        return False
    header = store.read_header(path)
    if header.get("fingerprint") != fingerprint or header.get("summary", {}).get("training") != asdict(training):
        msg = (
            f"{path}: made with other inputs, settings or seeds than the analysis file asks for now; "
            "choose another run directory, or delete this one"
        )
        raise RunError(msg)
    return True


def _die_with_parent() -> None:
    """End a worker whose parent was killed: it would go on training for nobody."""
    parent = parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _start_worker() -> None:
    _die_with_parent()
    signal.signal(signal.SIGINT, lambda *_: os._exit(1))  # Ctrl-C: nothing to save, and no traceback from each worker
    import torch

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)


def _work(training: Training, task: _Task) -> str:
    """Do one training and store it."""
    from omnifold_pub.unfold.training import train

    simulation, data = store.read_sample(_inputs_path(task.run), training.variation)
    try:
        trained = train(
            training, simulation, data, config=task.config, encodings=task.encodings, luminosity=task.luminosity
        )
    except TrainingError as error:
        msg = f"training {training.name}: {error}"
        raise TrainingError(msg) from error
    arrays = {"weight": trained.weight} | {f"networks/{name}": values for name, values in trained.networks.items()}
    header = {"fingerprint": task.fingerprint, "summary": trained.summary}
    store.write_arrays(_training_path(task.run, training), arrays, header)
    return training.name


def _run_pool(remaining: list[Training], task: _Task, workers: int, finished: Callable[[str], None]) -> None:
    """Work through the trainings; on an error, let the others that run end, start no more, and raise it."""
    # Threads do not survive a fork, and numpy may hold some: workers start from scratch.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_start_worker) as pool:
        pending: set[Future[str]] = {pool.submit(_work, training, task) for training in remaining}
        try:
            while pending:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in done:
                    finished(future.result())
        except BrokenProcessPool as error:
            msg = (
                "a worker process died (killed, or out of memory); finished trainings are kept: "
                "run the same command again, with fewer workers if memory is short"
            )
            raise TrainingError(msg) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


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

    report = progress or (lambda *_: None)
    campaign = _Campaign.of(read_analysis(analysis), Path(run))
    arrays = store.sample_arrays(inputs := read_inputs(campaign.analysis))
    inputs_digest = store.digest(arrays)
    trainings_folder = campaign.run / "trainings"
    try:
        trainings_folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"{campaign.run}: cannot be made a run directory: {error.strerror}"
        raise RunError(msg) from None
    try:
        with filelock.FileLock(campaign.run / "lock", timeout=0):
            remove_parts(campaign.run)
            remove_parts(trainings_folder)
            fingerprint = campaign.fingerprint(inputs_digest)
            remaining = [
                t for t in campaign.trainings if not _finished(_training_path(campaign.run, t), t, fingerprint)
            ]
            header = {
                "analysis": campaign.analysis.document,
                "observables": [o.name for o in campaign.analysis.observables],
                "provenance": inputs.provenance,
            }
            store.write_arrays(_inputs_path(campaign.run), arrays, header)
            del arrays, inputs
            total = len(campaign.trainings)
            done = total - len(remaining)
            report(done, total, "training")

            def finished(_: str) -> None:
                nonlocal done
                done += 1
                report(done, total, "training")

            if remaining:
                task = _Task(campaign.run, fingerprint, campaign.config, campaign.encodings, campaign.luminosity)
                _run_pool(remaining, task, min(workers or os.cpu_count() or 1, len(remaining)), finished)
    except filelock.Timeout:
        msg = f"{campaign.run}: another process is at work in this run directory; wait for it, or choose another"
        raise RunError(msg) from None
    return collect(campaign.run)


def collect(run: str | Path) -> UnfoldingResult:
    """Collect the weights of a finished run.

    Raises
    ------
    RunError
        If the folder is no run directory, trainings are missing, or a file is damaged.
    """
    run = Path(run)
    path = _inputs_path(run)
    if not path.exists():
        msg = f"{run}: not a run directory; make one with omnifold-pub unfold"
        raise RunError(msg)
    header = store.read_header(path)
    campaign = _Campaign.of(parse_analysis(header["analysis"], path), run)
    expected = campaign.fingerprint(store.digest(store.read_arrays(path)))
    missing = [t for t in campaign.trainings if not _finished(_training_path(campaign.run, t), t, expected)]
    if missing:
        msg = (
            f"{campaign.run}: {len(missing)} of {len(campaign.trainings)} trainings are not finished, "
            f"the first is {missing[0].name}; run omnifold-pub unfold again to finish them"
        )
        raise RunError(msg)
    weights: dict[str, list[NDArray[np.float32]]] = {}
    summaries: list[dict[str, Any]] = []
    for training in campaign.trainings:
        training_path = _training_path(campaign.run, training)
        weights.setdefault(training.family, []).append(store.read_arrays(training_path, "weight")[""])
        summaries.append(store.read_header(training_path)["summary"])

    ensemble = np.stack(weights[ENSEMBLE], axis=1)
    families: dict[str, NDArray[np.float32]] = {}
    for name, members in weights.items():
        if name in (DATA_BOOTSTRAP, MC_BOOTSTRAP):
            families[name] = np.stack(members, axis=1)
        elif name != ENSEMBLE:  # a variation: one member, the mean of its trainings
            families[name] = np.stack(members).mean(axis=0, dtype=np.float64, keepdims=True).astype(np.float32).T
    if campaign.campaign.ensemble > 1:
        families[ENSEMBLE] = ensemble

    simulation, _ = store.read_sample(path)
    fiducial = simulation.pass_truth
    truth = simulation.particle_level.select(fiducial)
    return UnfoldingResult(
        event_id=simulation.event_id[fiducial],
        columns={name: truth.with_nan(name) for name in truth.names},
        nominal=ensemble.mean(axis=1, dtype=np.float64).astype(np.float32),
        families=families,
        metadata=_metadata(campaign, header["provenance"], summaries),
        prior=simulation.truth_weight[fiducial].astype(np.float32),
    )


def _component_entries(campaign: _Campaign) -> list[dict[str, Any]]:
    settings = campaign.campaign
    entries: list[dict[str, Any]] = []
    if settings.ensemble > 1:
        entries.append(
            {
                "name": ENSEMBLE,
                "kind": "ensemble",
                "description": "Trainings on the same inputs with other network seeds; their mean is the nominal",
                "members": settings.ensemble,
            }
        )
    if settings.data_bootstrap:
        entries.append(
            {
                "name": DATA_BOOTSTRAP,
                "kind": "bootstrap",
                "description": "Statistical uncertainty of the data: Poisson(1) multiplicities of the data events",
                "members": settings.data_bootstrap,
                "resampled": "data",
                "seed": bootstrap_seed(settings, "data"),
                "includes_event_sampling": False,
            }
        )
    if settings.mc_bootstrap:
        entries.append(
            {
                "name": MC_BOOTSTRAP,
                "kind": "bootstrap",
                "description": "Statistical uncertainty of the simulation: Poisson(1) multiplicities of its events, "
                "in the training and in the published weights",
                "members": settings.mc_bootstrap,
                "resampled": "simulation",
                "seed": bootstrap_seed(settings, "simulation"),
                "includes_event_sampling": True,
            }
        )
    else:
        entries.append(
            {
                "name": "event_sampling",
                "kind": "event_sampling",
                "description": "Finite number of published events",
                "seed": bootstrap_seed(settings, "simulation"),
            }
        )
    entries += [
        {
            "name": variation["name"],
            "kind": "variation",
            "description": variation["description"],
            "members": 1,
            "trainings_per_member": settings.trainings_per_variation,
        }
        for variation in campaign.analysis.document["inputs"].get("variations", [])
    ]
    relative = campaign.analysis.document["luminosity"].get("relative_uncertainty")
    if relative is not None:
        entries.append(
            {
                "name": "luminosity",
                "kind": "scale",
                "description": "Integrated luminosity",
                "relative_uncertainty": relative,
            }
        )
    return entries


def _metadata(campaign: _Campaign, provenance: list[dict[str, Any]], summaries: list[dict[str, Any]]) -> dict[str, Any]:
    document = campaign.analysis.document
    copied = ("title", "description", "data_kind", "process", "collision", "fiducial", "luminosity")
    published = ("name", "description", "unit", "latex", "may_be_absent")
    single = campaign.campaign.ensemble == 1
    return {
        **{key: document[key] for key in copied if key in document},
        "weights": {
            "unit": document["weight_unit"],
            "sum": "fiducial cross section",
            "includes_generator_weight": True,
            "central_value": {"rule": "single"} if single else {"rule": "mean", "family": ENSEMBLE},
            "prior": True,
        },
        "observables": [{key: getattr(o, key) for key in published} for o in campaign.analysis.observables],
        "components": _component_entries(campaign),
        "omnifold": campaign.config.to_dict(),
        "campaign": campaign.campaign.to_dict(),
        "trainings": {
            "count": len(summaries),
            "clamped_logits": sum(s["clamped"]["touched"] for s in summaries),
            "evaluated_logits": sum(s["clamped"]["evaluated"] for s in summaries),
            "step1_final_loss": [
                s["fits"]["step1"][-1]["loss"] for s in summaries if s["training"]["family"] == ENSEMBLE
            ],
        },
        "inputs": provenance,
        **document["publication"],
        "software": {name: installed.version(name) for name in ("omnifold-pub", "torch", "numpy", "h5py", "uproot")},
    }
