"""What a release says of itself: the metadata of a finished campaign."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from importlib import metadata as installed
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.unfold.components import canvas_entries, closure_entry, component_entries
from omnifold_pub.unfold.networks import read_network_file
from omnifold_pub.unfold.plan import ENSEMBLE, Training
from omnifold_pub.unfold.run import Campaign
from omnifold_pub.unfold.warm import kept_networks

__all__ = ["describe"]

Summary = dict[str, Any]


def describe(
    campaign: Campaign,
    provenance: list[dict[str, Any]],
    summaries: Sequence[Summary],
    *,
    cross_section: float,
    columns: Mapping[str, NDArray[np.float32]],
    canvases: Mapping[str, int],
    tests: Mapping[str, tuple[NDArray[np.float32], NDArray[np.float32]]],
    networks: Mapping[str, bytes],
) -> dict[str, Any]:
    """Write a release's metadata, but for what `omnifold_pub.publish` fills in.

    Parameters
    ----------
    campaign : Campaign
        What was asked for.
    provenance : list of dict
        Of the input files.
    summaries : sequence of dict
        ``summaries[training]``, in the order of the campaign's trainings.
    cross_section : float
        Sum of the nominal weights, in the weight unit.
    columns : mapping
        ``columns[observable][event]``.
    canvases : mapping
        ``canvases[name]``: how many events it has.
    tests : mapping
        ``tests[name]``: target and unfolded weights of each closure test, ``[event]``.
    networks : mapping
        ``networks[name]``: files that are published.
    """
    document = campaign.analysis.document
    copied = ("title", "description", "data_kind", "process", "collision", "fiducial", "objects", "luminosity")
    central = {"rule": campaign.settings.central_value, "family": ENSEMBLE}
    ensemble = {
        training.name: summary
        for training, summary in zip(campaign.trainings, summaries, strict=True)
        if training.family == ENSEMBLE
    }
    entries = _network_entries(campaign, ensemble, networks)
    generators = canvas_entries(document["inputs"], canvases)
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
            "central_value": {"rule": "single"} if campaign.settings.ensemble == 1 else central,
            "prior": True,
            "clamps": _clamps(campaign, summaries),
        },
        "observables": [_observable_entry(observable) for observable in document["observables"]],
        "components": component_entries(document, campaign.settings),
        **({"canvases": generators} if generators else {}),
        **({"networks": entries} if entries else {}),
        **({"four_momenta": document["four_momenta"]} if "four_momenta" in document else {}),
        "unfolding": _unfolding(campaign, summaries, ensemble),
        "inputs": provenance,
        **document["publication"],
        "closure": closure_entry(document, columns, tests),
        "software": {name: installed.version(name) for name in ("omnifold-pub", "torch", "numpy", "h5py", "uproot")},
    }


def _observable_entry(observable: dict[str, Any]) -> dict[str, Any]:
    """Return what a release says of an observable, from what the analysis file says of it."""
    copied = ("name", "description", "unit", "latex", "valid_range")
    missing = {"rule": "nan", "meaning": observable["absent"]} if "absent" in observable else {"rule": "never"}
    return {key: observable[key] for key in copied} | {"dtype": "float32", "missing": missing}


def _clamps(campaign: Campaign, summaries: Sequence[Summary]) -> dict[str, Any]:
    limit = campaign.config.max_log_weight
    total = {key: sum(s["clamped"][key] for s in summaries) for key in ("touched", "evaluated")}
    return {
        "applied": True,
        "description": f"Logit of every network, to +-{limit:g}, each time that weights are computed from it; the "
        f"events whose logit was beyond hold {_weight_share(summaries):.2g} of the weight",
        "touched": total["touched"],
        "evaluated": total["evaluated"],
    }


def _weight_share(summaries: Sequence[Summary]) -> float:
    """Return the share of the weight that the clamp has touched, over all trainings and times that it was applied."""
    touched, evaluated = (sum(s["clamped"][f"weight_{what}"] for s in summaries) for what in ("touched", "evaluated"))
    return float(touched / evaluated) if evaluated else 0.0


def _sources(warm: Path) -> list[dict[str, str]]:
    """Name the networks that the trainings started from."""
    named = []
    for content in kept_networks(warm):
        about = read_network_file(content)[1]
        named.append({"training": Training(**about["training"]).name, "sha256": hashlib.sha256(content).hexdigest()})
    return named


def _unfolding(campaign: Campaign, summaries: Sequence[Summary], ensemble: Mapping[str, Summary]) -> dict[str, Any]:
    diagnostics = [
        {"training": name, **summary["diagnostics"]} for name, summary in ensemble.items() if summary.get("diagnostics")
    ]
    counts = campaign.settings.to_dict()
    del counts["central_value"]  # is said once, of the weights
    trainings: dict[str, Any] = {
        "count": len(summaries),
        "ensemble_network_seeds": [summary["training"]["network_seed"] for summary in ensemble.values()],
        "devices": sorted({summary["device"] for summary in summaries}),
        "clamped_weight_share": _weight_share(summaries),
    }
    if campaign.warm is not None:
        trainings["started_from"] = _sources(campaign.warm)
    return {
        "method": "OmniFold",
        "program": "omnifold-pub",
        "version": installed.version("omnifold-pub"),
        "settings": campaign.config.to_dict(),
        "campaign": {**counts, "trainings": trainings},
        **({"diagnostics": diagnostics} if diagnostics else {}),
    }


def _network_entries(
    campaign: Campaign, ensemble: Mapping[str, Summary], networks: Mapping[str, bytes]
) -> list[dict[str, Any]]:
    """Describe the network files, which are called as the ensemble's trainings are."""
    most = campaign.config.iterations
    entries = []
    for number, (name, content) in enumerate(networks.items()):
        last = ensemble[name].get("diagnostics", {}).get("stopped", {"iteration": most})["iteration"]
        entries.append(
            {
                "name": name,
                "description": f"Networks of iteration {last} of {most} of ensemble training {number}: step1, step2 "
                "and, where there are fakes, fakes; how to rebuild them is in the file's metadata",
                "format": "safetensors",
                "bytes": len(content),
            }
        )
    return entries
