"""Entries of the metadata that depend on what was found in the public ATLAS files."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from omnifold_pub.convert.atlas_columns import CLOSURE, Totals
from omnifold_pub.convert.atlas_metadata import SIDE_FILES, VARIATIONS

__all__ = ["EVENT_SAMPLING_SEED", "NONCLOSURE", "canvas_entry", "closure_entry", "component_entries"]

NONCLOSURE = "nonclosure"

EVENT_SAMPLING_SEED = 240520041

POISSON_ZEROS = math.exp(-1)
"""Share of events that a Poisson(1) bootstrap leaves out."""

Entry = dict[str, Any]


def _bootstraps(families: Mapping[str, Sequence[str]], zeros: float) -> list[Entry]:
    included = abs(zeros - POISSON_ZEROS) < 0.02
    where = "are in them" if included else "are not in them, so that event_sampling stands beside"
    common = {"kind": "bootstrap", "trainings_per_member": None, "seed": None}
    entries: list[Entry] = [
        {
            "name": "bootstrap_data",
            "description": "Unfolded again with Poisson(1) multiplicities of the data",
            "members": len(families["bootstrap_data"]),
            "resampled": "data",
            "includes_event_sampling": False,
            **common,
        },
        {
            "name": "bootstrap_mc",
            "description": (
                "Unfolded again with Poisson(1) multiplicities of the simulation. "
                f"{100 * zeros:.1f} % of its weights are exactly 0: the multiplicities of the published events {where}"
            ),
            "members": len(families["bootstrap_mc"]),
            "resampled": "simulation",
            "includes_event_sampling": included,
            **common,
        },
    ]
    if not included:
        described = "Finite number of published events, which bootstrap_mc does not resample"
        entries.append(
            {
                "name": "event_sampling",
                "kind": "event_sampling",
                "description": described,
                "seed": EVENT_SAMPLING_SEED,
            }
        )
    return entries


def component_entries(
    families: Mapping[str, Sequence[str]], zeros: float, luminosity: float, canvases: Sequence[str]
) -> list[Entry]:
    """Return all components, without their ``covariance``.

    Parameters
    ----------
    families : mapping
        Columns of ``ensemble``, ``bootstrap_data`` and ``bootstrap_mc``.
    zeros : float
        Share of the weights of ``bootstrap_mc`` that are exactly 0.
    luminosity : float
        Relative uncertainty.
    canvases : sequence of str
        Names of those there are.
    """
    single = {"kind": "variation", "members": 1, "trainings_per_member": None}
    unfolded, target = CLOSURE
    return [
        {
            "name": "ensemble",
            "kind": "ensemble",
            "description": "Trainings that differ in their random start; the nominal is their median",
            "members": len(families["ensemble"]),
            "trainings_per_member": None,
        },
        *_bootstraps(families, zeros),
        *({"name": name, "description": described, **single} for name, described in VARIATIONS.items()),
        {
            "name": NONCLOSURE,
            "description": (
                f"Non-closure of the closure test dd: nominal + ({unfolded} - {target}), so that a histogram shifts by "
                "what was unfolded minus what should have been found. The test is driven by the data: this component "
                "must be left out (leave_out) when the data themselves test a model, or the test loses its power"
            ),
            **single,
        },
        *(
            {
                "name": name,
                "kind": "two_point",
                "description": f"Difference from the result {SIDE_FILES[name][1]}",
                "canvas": name,
            }
            for name in canvases
        ),
        {
            "name": "lumi",
            "kind": "scale",
            "description": "Integrated luminosity: one factor on all weights, as the column weights_lumi has it",
            "relative_uncertainty": luminosity,
        },
    ]


def canvas_entry(
    name: str, events: int, families: Mapping[str, Sequence[str]], factor: float, left_out: Sequence[str]
) -> Entry:
    """Return the entry of a canvas.

    Parameters
    ----------
    name : str
        One of the side files.
    events : int
        Its rows.
    families : mapping
        Columns of each of its families.
    factor : float
        What its bootstraps were multiplied by.
    left_out : sequence of str
        Columns that are not carried over.
    """
    generator, what = SIDE_FILES[name]
    listed = f". Columns that are not carried over: {', '.join(left_out)}" if left_out else ""
    scaled = (
        f". The file has them at {1 / factor:.4g} times the nominal; each is multiplied by {factor:.9g}, "
        "one factor for all, so that their mean sum is that of the nominal"
    )
    entries = []
    for family, members in families.items():
        kind, _, source = family.partition("_")
        source = {"": "Trainings that differ in their random start", "data": "Bootstrap of the data"}.get(
            source, "Bootstrap of this simulation"
        )
        entries.append(
            {
                "name": family,
                "kind": kind,
                "description": source + (scaled if kind == "bootstrap" and factor != 1 else ""),
                "members": len(members),
            }
        )
    return {
        "name": name,
        "description": f"The same measurement {what}{listed[:5000]}",
        "generator": generator,
        "events": events,
        "families": entries,
    }


def closure_entry(totals: Totals) -> Entry:
    """Return the entry of the closure test, with the one result that needs no binning."""
    unfolded, target = CLOSURE
    return {
        "performed": True,
        "description": (
            "Data-driven closure: the simulation is reweighted to the data at detector level, unfolded as if it were "
            "data, and compared with its own reweighted particle level"
        ),
        "results": [
            {
                "name": "fiducial cross section",
                "statistic": f"sum of {unfolded} / sum of {target} - 1, as computed from the file",
                "value": totals.sums[unfolded] / totals.sums[target] - 1,
            }
        ],
        "tests": [
            {
                "name": "dd",
                "description": f"Data-driven closure: unfolded {unfolded}, target {target}",
                "unfolded": "stored",
            }
        ],
    }
