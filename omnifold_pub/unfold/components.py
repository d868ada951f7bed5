"""What a release says of the components of its covariance, of its canvases and of its closure tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.statistics.components import covariance_convention
from omnifold_pub.unfold.config import CampaignConfig
from omnifold_pub.unfold.plan import DATA_BOOTSTRAP, ENSEMBLE, MC_BOOTSTRAP, bootstrap_seed

__all__ = ["canvas_entries", "closure_entry", "component_entries"]

Document = Mapping[str, Any]

CLOSURE_BINS = 10
"""Of each observable, of equal target weight, in the results of a closure test."""

_RATIO = (
    "The member is the nominal times unfolded over target, event by event (the nominal itself where the target is 0), "
    "so that its shift is the relative non-closure, applied to the nominal."
)
_PUBLISHED = "Target and unfolded weights are the closure test of the same name."
_CAUTION = {
    "data_driven": "Caution: the shift of this component is the very difference between unfolded and target that the "
    "closure test looks for. Leave it out of the covariance when the two are compared, or chi2 cannot exceed 1 (the "
    "number of bins, where it counts bin by bin) however bad the closure is.",
    "hidden_variable": "Caution: the shift of this component is made of the closure test. Leave it out of the "
    "covariance when unfolded and target are compared: it covers a non-closure of any size.",
}


def component_entries(document: Document, settings: CampaignConfig) -> list[dict[str, Any]]:
    """Describe each component of the covariance.

    Parameters
    ----------
    document : mapping
        Analysis file.
    settings : CampaignConfig
        Its campaign.
    """
    luminosity = document["luminosity"]["relative_uncertainty"]
    entries = [*_statistical(settings), *_systematic(document["inputs"], settings)]
    if luminosity > 0:
        entries.append(
            {
                "name": "luminosity",
                "kind": "scale",
                "description": "Integrated luminosity",
                "relative_uncertainty": luminosity,
            }
        )
    return entries


def _statistical(settings: CampaignConfig) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    if settings.ensemble > 1:
        entries.append(
            {
                "name": ENSEMBLE,
                "kind": "ensemble",
                "description": "Trainings on the same inputs with other network seeds; "
                f"their {settings.central_value} is the nominal",
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
                "description": "Statistical uncertainty of the simulation, backgrounds included: Poisson(1) "
                "multiplicities of its events, in the training and in the published weights",
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
    return entries


def _systematic(inputs: Document, settings: CampaignConfig) -> list[dict[str, Any]]:
    trainings = settings.trainings_per_variation

    def family(
        entry: Document, kind: Literal["variation", "hessian", "two_point"], members: int, description: str
    ) -> dict[str, Any]:
        about = {"name": entry["name"], "kind": kind, "description": description}
        return about | {"members": members, "trainings_per_member": trainings}

    def two_point(about: dict[str, Any], entry: Document) -> dict[str, Any]:
        if entry["correlated"]:
            return about
        convention = covariance_convention(about | {"covariance": {"correlation": "none"}}, settings.central_value)
        return about | {"covariance": convention}

    entries = []
    for entry in inputs.get("variations", []):
        sides = " (up, down)" if "up" in entry else ""
        entries.append(family(entry, "variation", 2 if sides else 1, f"{entry['description']}{sides}"))
    for entry in inputs.get("theory_weights", []):
        weights = ", ".join(entry["weights"])
        description = f"{entry['description']} (unfolded with the generator weights {weights} as prior)"
        entries.append(family(entry, entry["kind"], len(entry["weights"]), description))
    for entry in inputs.get("generators", []):
        about = {
            "name": entry["name"],
            "kind": "two_point",
            "description": f"{entry['description']} (the data unfolded with the simulation of another generator)",
            "canvas": entry["name"],
            "trainings_per_member": trainings,
        }
        entries.append(two_point(about, entry))
    for entry in inputs.get("priors", []):
        description = (
            f"{entry['description']} (unfolded with the simulation, reweighted at particle level by {entry['weight']})"
        )
        entries.append(two_point(family(entry, "two_point", 1, description), entry))
    for entry in inputs.get("closure", []):
        description = f"{entry['description']}. {_closure(entry)} {_PUBLISHED} {_CAUTION[entry['kind']]}"
        entries.append(two_point(family(entry, "two_point", 1, description), entry))
    return entries


def _closure(entry: Document) -> str:
    if entry["kind"] == "data_driven":
        return (
            "Data-driven closure: the simulation at detector level, reweighted to the data by the push weights of the "
            "nominal unfolding, is unfolded with the simulation itself and should give the nominal. The member is what "
            "it gives, so that its shift is the non-closure."
        )
    return (
        "Hidden-variable closure: the simulation at detector level, reweighted by the particle-level quantity "
        f"{entry['target']}, is unfolded with the simulation itself and should give its own weights times that. "
        f"{_RATIO}"
    )


def canvas_entries(inputs: Document, events: Mapping[str, int]) -> list[dict[str, Any]]:
    """Describe the canvas of each generator.

    Parameters
    ----------
    inputs : mapping
        Section ``inputs`` of the analysis file.
    events : mapping
        ``events[canvas]``: how many are published.
    """
    return [
        {
            "name": entry["name"],
            "description": f"The data unfolded with another generator: {entry['description']}",
            "generator": entry["simulation"].get("generator", entry["description"]),
            "events": events[entry["name"]],
            "families": [],
        }
        for entry in inputs.get("generators", [])
    ]


def closure_entry(
    document: Document,
    columns: Mapping[str, NDArray[np.float32]],
    tests: Mapping[str, tuple[NDArray[np.float32], NDArray[np.float32]]],
) -> dict[str, Any]:
    """Describe closure: what the analysis file says, and the tests that the campaign made.

    Parameters
    ----------
    document : mapping
        Analysis file.
    columns : mapping
        ``columns[observable][event]``; NaN where an event lacks it.
    tests : mapping
        ``tests[name]``: target and unfolded weights, ``[event]``.

    Returns
    -------
    dict
        As a release's metadata have it. The results are, of each test, the relative difference of the total cross
        section, and for each observable the largest one in `CLOSURE_BINS` bins of equal target weight.
    """
    stated: dict[str, Any] = document["publication"]["closure"]
    if not tests:
        return stated
    entries = {entry["name"]: entry for entry in document["inputs"]["closure"]}
    results = list(stated["results"])
    for name, (target, unfolded) in tests.items():
        total = np.array([weights.sum(dtype=np.float64) for weights in (target, unfolded)])
        results.append(
            {
                "name": f"{name}: cross section",
                "statistic": "relative difference of unfolded from target",
                "value": _largest_difference(total[:1], total[1:]),
            }
        )
        for observable, values in columns.items():
            sums = _binned(values, target, unfolded)
            if sums is not None:
                results.append(
                    {
                        "name": f"{name}: {observable}",
                        "statistic": "largest relative difference of unfolded from target in bins of equal weight",
                        "value": _largest_difference(*sums),
                        "bins": len(sums[0]),
                    }
                )
    made = "; ".join(f"{name}: {entries[name]['description']}" for name in tests)
    before = f"{stated['description']}. " if stated["performed"] else ""
    return {
        "performed": True,
        "description": f"{before}The simulation, reweighted, was unfolded with itself. {made}",
        "results": results,
        "tests": [
            *stated["tests"],
            *(
                {
                    "name": name,
                    "description": f"{entries[name]['description']}. {_closure(entries[name])}",
                    "unfolded": "stored",
                }
                for name in tests
            ),
        ],
    }


def _binned(
    values: NDArray[np.float32], target: NDArray[np.float32], unfolded: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Sum target and unfolded in bins of equal target weight; None where there is nothing to divide into bins."""
    there = np.flatnonzero(~np.isnan(values))
    order = there[np.argsort(values[there], kind="stable")]
    x, reached = values[order], np.cumsum(np.abs(target[order]), dtype=np.float64)
    if not len(x) or not reached[-1] > 0:
        return None
    fractions = np.arange(1, CLOSURE_BINS) / CLOSURE_BINS
    edges = x[np.searchsorted(reached, fractions * reached[-1])]
    # A bin begins with the first event of its value, so that equal values are never torn apart.
    starts = np.unique(np.concatenate([[0], np.searchsorted(x, edges)]))
    first, second = (np.add.reduceat(weights[order].astype(np.float64), starts) for weights in (target, unfolded))
    return first, second


def _largest_difference(target: NDArray[np.float64], unfolded: NDArray[np.float64]) -> float:
    """Return the largest relative difference of sums where the target is not 0."""
    there = target != 0
    return float(np.max(np.abs(unfolded[there] / target[there] - 1), initial=0.0))
