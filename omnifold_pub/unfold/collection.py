"""From a finished run directory to what a release holds: families, nominal, metadata."""

from __future__ import annotations

from importlib import metadata as installed
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import RunError
from omnifold_pub.inputs.analysis import parse_analysis
from omnifold_pub.unfold import store
from omnifold_pub.unfold.networks import network_file
from omnifold_pub.unfold.plan import DATA_BOOTSTRAP, ENSEMBLE, MC_BOOTSTRAP, bootstrap_seed
from omnifold_pub.unfold.result import UnfoldingResult
from omnifold_pub.unfold.run import Campaign, inputs_path
from omnifold_pub.unfold.samples import simulation_from

__all__ = ["collect"]


def collect(run: str | Path, *, networks: bool = False) -> UnfoldingResult:
    """Collect the weights of a finished run.

    Parameters
    ----------
    run : str or path-like
        Run directory.
    networks : bool
        Whether to hand over the networks of the ensemble's trainings too, each as a safetensors file.

    Returns
    -------
    UnfoldingResult
        Ready to be published.

    Raises
    ------
    RunError
        If the folder is no run directory, trainings are missing, or a file is damaged.
    """
    path = inputs_path(Path(run))
    if not path.exists():
        msg = f"{run}: not a run directory; make one with omnifold-pub unfold"
        raise RunError(msg)
    header = store.read_header(path)
    campaign = Campaign.of(parse_analysis(header["analysis"], path), Path(run))
    arrays = store.read_arrays(path)
    missing = campaign.remaining(campaign.fingerprint(store.digest(arrays)))
    if missing:
        msg = (
            f"{run}: {len(missing)} of {len(campaign.trainings)} trainings are not finished, "
            f"the first is {missing[0].name}; run omnifold-pub unfold again to finish them"
        )
        raise RunError(msg)
    weights: dict[str, list[NDArray[np.float32]]] = {}
    summaries: list[dict[str, Any]] = []
    for training in campaign.trainings:
        training_path = campaign.training_path(training)
        weights.setdefault(training.family, []).append(store.read_arrays(training_path, "weight")[""])
        summaries.append(store.read_header(training_path)["summary"])

    files: dict[str, bytes] = {}
    if networks:
        files = {
            training.name: network_file(campaign.training_path(training), campaign.config)
            for training in campaign.trainings
            if training.family == ENSEMBLE
        }

    ensemble = np.stack(weights[ENSEMBLE], axis=1)
    nominal = ensemble.mean(axis=1, dtype=np.float64)
    families: dict[str, NDArray[np.float32]] = {}
    for name, members in weights.items():
        if name in (DATA_BOOTSTRAP, MC_BOOTSTRAP):
            families[name] = np.stack(members, axis=1)
        elif name != ENSEMBLE:  # a variation: one member, the mean of its trainings
            families[name] = np.stack(members).mean(axis=0, dtype=np.float64, keepdims=True).astype(np.float32).T
    if campaign.settings.ensemble > 1:
        families[ENSEMBLE] = ensemble

    prefix = "simulation/"
    simulated = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
    simulation = simulation_from(simulated, tuple(header["observables"]))
    fiducial = simulation.pass_truth
    truth = simulation.particle_level.select(fiducial)
    return UnfoldingResult(
        event_id=simulation.event_id[fiducial],
        columns={name: truth.with_nan(name) for name in truth.names},
        nominal=nominal.astype(np.float32),
        families=families,
        metadata=_metadata(campaign, header["provenance"], summaries, float(nominal.sum()), files),
        prior=simulation.truth_weight[fiducial].astype(np.float32),
        networks=files,
    )


def _component_entries(campaign: Campaign) -> list[dict[str, Any]]:
    settings = campaign.settings
    entries: list[dict[str, Any]] = []
    if settings.ensemble > 1:
        entries.append(
            {
                "name": ENSEMBLE,
                "kind": "ensemble",
                "description": "Trainings on the same inputs with other network seeds; their mean is the nominal",
                "members": settings.ensemble,
                "trainings_per_member": 1,
            }
        )
    if settings.data_bootstrap:
        entries.append(
            {
                "name": DATA_BOOTSTRAP,
                "kind": "bootstrap",
                "description": "Statistical uncertainty of the data: Poisson(1) multiplicities of the data events",
                "members": settings.data_bootstrap,
                "trainings_per_member": 1,
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
                "trainings_per_member": 1,
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
    relative = campaign.analysis.document["luminosity"]["relative_uncertainty"]
    if relative > 0:
        entries.append(
            {
                "name": "luminosity",
                "kind": "scale",
                "description": "Integrated luminosity",
                "relative_uncertainty": relative,
            }
        )
    return entries


def _observable_entry(observable: dict[str, Any]) -> dict[str, Any]:
    """Return what a release says of an observable, from what the analysis file says of it."""
    copied = ("name", "description", "unit", "latex", "valid_range")
    missing = {"rule": "nan", "meaning": observable["absent"]} if "absent" in observable else {"rule": "never"}
    return {key: observable[key] for key in copied} | {"dtype": "float32", "missing": missing}


def _clamps(campaign: Campaign, summaries: list[dict[str, Any]]) -> dict[str, Any]:
    limit = campaign.config.max_log_weight
    return {
        "applied": True,
        "description": f"Logit of every network, to +-{limit:g}, each time that weights are computed from it",
        "touched": sum(s["clamped"]["touched"] for s in summaries),
        "evaluated": sum(s["clamped"]["evaluated"] for s in summaries),
    }


def _unfolding(campaign: Campaign, summaries: list[dict[str, Any]]) -> dict[str, Any]:
    ensemble = [s for s in summaries if s["training"]["family"] == ENSEMBLE]
    return {
        "method": "OmniFold",
        "program": "omnifold-pub",
        "version": installed.version("omnifold-pub"),
        "settings": campaign.config.to_dict(),
        "campaign": campaign.settings.to_dict()
        | {
            "trainings": {
                "count": len(summaries),
                "ensemble_network_seeds": [s["training"]["network_seed"] for s in ensemble],
                "step1_final_loss": [s["fits"]["step1"][-1]["loss"] for s in ensemble],
            }
        },
    }


def _metadata(
    campaign: Campaign,
    provenance: list[dict[str, Any]],
    summaries: list[dict[str, Any]],
    cross_section: float,
    networks: dict[str, bytes],
) -> dict[str, Any]:
    """Write the release's metadata, but for what `omnifold_pub.publish` fills in."""
    document = campaign.analysis.document
    copied = ("title", "description", "data_kind", "process", "collision", "fiducial", "objects", "luminosity")
    single = campaign.settings.ensemble == 1
    iterations = campaign.config.iterations
    entries = [
        {
            "name": name,
            "description": f"Networks of iteration {iterations} of {iterations} of ensemble training {number}: step1, "
            "step2 and, where there are fakes, fakes; how to rebuild them is in the file's metadata",
            "format": "safetensors",
            "bytes": len(content),
        }
        for number, (name, content) in enumerate(networks.items())
    ]
    return {
        **{key: document[key] for key in copied},
        "cross_section": {
            "value": cross_section,
            "unit": document["weight_unit"],
            "source": "Sum of the nominal weights when they were collected",
        },
        "weights": {
            "unit": document["weight_unit"],
            "sum": "fiducial cross section",
            "includes_generator_weight": True,
            "central_value": {"rule": "single"} if single else {"rule": "mean", "family": ENSEMBLE},
            "prior": True,
            "clamps": _clamps(campaign, summaries),
        },
        "observables": [_observable_entry(observable) for observable in document["observables"]],
        "components": _component_entries(campaign),
        **({"networks": entries} if entries else {}),
        **({"four_momenta": document["four_momenta"]} if "four_momenta" in document else {}),
        "unfolding": _unfolding(campaign, summaries),
        "inputs": provenance,
        **document["publication"],
        "software": {name: installed.version(name) for name in ("omnifold-pub", "torch", "numpy", "h5py", "uproot")},
    }
