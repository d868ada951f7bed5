"""A toy analysis on disk with every kind of systematic, small enough to be unfolded in a test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import uproot
import yaml
from numpy.typing import NDArray

Document = dict[str, Any]
Arrays = dict[str, dict[str, NDArray[Any]]]

EVENTS = 2000
DATA = 1500
LUMINOSITY = 2000.0
"""In 1/pb."""
BACKGROUND = 300.0
"""Events expected in the data."""
TREE = {"tree": "events", "event_id": "event_id"}
COLUMNS = {"pass_reco": "pass_reco", **TREE}


def _simulation(rng: np.random.Generator, events: int, first_id: int) -> dict[str, NDArray[Any]]:
    """x has a smeared partner, y is absent from some events, z is seen by nobody and shifts the response of x."""
    x, z = rng.normal(0, 1, events), rng.normal(0, 1, events)
    y = rng.exponential(30, events)
    y[rng.random(events) < 0.2] = -99
    reco_y = np.where(y > 0, y * rng.normal(1, 0.1, events), -99)
    truth, reco = (np.abs(x) < 3.5) & (rng.random(events) < 0.95), rng.random(events) < 0.8
    weight = rng.gamma(4, 0.25, events) / events
    return {
        "x": np.where(truth, x, -99).astype(np.float32),
        "y": np.where(truth, y, -99).astype(np.float32),
        "z": np.where(truth, z, -99).astype(np.float32),
        "reco_x": np.where(reco, x + 0.1 * z + rng.normal(0, 0.3, events), -99).astype(np.float32),
        "reco_y": np.where(reco, reco_y, -99).astype(np.float32),
        "w": weight,
        "w_r": weight * rng.normal(1, 0.05, events),
        "pass_truth": truth,
        "pass_reco": reco,
        "event_id": np.arange(events, dtype=np.int64) * 2 + first_id,
    }


def make_arrays(seed: int = 1) -> Arrays:
    """Make the branches of every file."""
    rng = np.random.default_rng(seed)
    mc = _simulation(rng, EVENTS, 0)
    generated = np.abs(np.where(mc["x"] > -99, mc["x"], 0))
    for k, slope in enumerate((0.05, -0.05, 0.1)):
        mc[f"w_theory{k}"] = mc["w"] * (1 + slope * generated)
    mc["sf_up"], mc["sf_down"] = (1 + sign * 0.02 * generated for sign in (1, -1))
    scaled = {}
    for side, factor in (("up", 1.03), ("down", 0.97)):
        reco_x = np.where(mc["pass_reco"], mc["reco_x"] * factor, -99).astype(np.float32)
        scaled[side] = {"reco_x": reco_x, **{key: mc[key] for key in ("reco_y", "pass_reco", "event_id")}}
    nature = _simulation(rng, 4 * DATA, 0)
    recorded = np.flatnonzero(nature["pass_reco"])[: DATA - int(BACKGROUND)]
    data = {key: nature[key][recorded] for key in ("reco_x", "reco_y")}
    data["reco_x"] = data["reco_x"] + np.float32(0.1)
    false = rng.normal(1, 0.5, int(BACKGROUND)).astype(np.float32)
    data = {
        "reco_x": np.concatenate([data["reco_x"], false]),
        "reco_y": np.concatenate([data["reco_y"], np.full(len(false), -99, dtype=np.float32)]),
        "event_id": np.arange(DATA, dtype=np.int64),
    }
    background = {
        "reco_x": rng.normal(1, 0.5, 500).astype(np.float32),
        "reco_y": np.full(500, -99, dtype=np.float32),
        "w": np.full(500, BACKGROUND / LUMINOSITY / 500),
        "event_id": np.arange(500, dtype=np.int64) * 2,  # the simulation's ids, as they come from another sample
    }
    other = _simulation(np.random.default_rng(seed + 1), EVENTS - 500, 1)
    return {
        "mc": mc,
        "data": data,
        "background": background,
        "scale_up": scaled["up"],
        "scale_down": scaled["down"],
        "other": other,
    }


def _observable(name: str, **more: Any) -> Document:
    about = {"name": name, "description": f"the observable {name}", "unit": "1", "latex": name}
    return about | {"valid_range": {"minimum": None, "maximum": None}} | more


SIMULATION: Document = {"truth_weight": "w", "reco_weight": "w_r", "pass_truth": "pass_truth", **COLUMNS}


def make_document() -> Document:
    """Make the analysis file: one of each kind and form."""
    return {
        "schema_version": "1.1.0",
        "title": "A toy",
        "description": "Random numbers with every kind of systematic.",
        "data_kind": "toy",
        "process": "none",
        "collision": {"system": "pp", "energy_tev": 13},
        "fiducial": {
            "description": "|x| < 3.5",
            "selection": [{"expression": "abs(x)", "minimum": None, "maximum": 3.5, "tolerance": 0}],
        },
        "objects": [{"name": "number", "definition": "A random number"}],
        "weight_unit": "pb",
        "luminosity": {"value": LUMINOSITY, "unit": "pb-1", "relative_uncertainty": 0.02},
        "inputs": {
            "sentinel": -99,
            "simulation": {"file": "mc.root", **SIMULATION, "generator": "numpy, seed 1"},
            "data": {"file": "data.root", **TREE},
            "backgrounds": [
                {"name": "false", "description": "No signal", "file": "background.root", "weight": "w", **TREE}
            ],
            "variations": [
                {"name": "alone", "description": "x times 1.03", "file": "scale_up.root", **COLUMNS},
                {"name": "factor", "description": "Efficiency", "weight": "sf_up"},
                {
                    "name": "scale",
                    "description": "x times 1.03 or 0.97",
                    "up": {"file": "scale_up.root", **COLUMNS},
                    "down": {"file": "scale_down.root", **COLUMNS},
                },
                {
                    "name": "mixed",
                    "description": "One of each",
                    "up": {"file": "scale_up.root", **COLUMNS},
                    "down": {"weight": "sf_down"},
                },
            ],
            "theory_weights": [
                {"name": "muf", "description": "Scale", "kind": "variation", "weights": ["w_theory0", "w_theory1"]},
                {"name": "alphas", "description": "Coupling", "kind": "variation", "weights": ["w_theory2"]},
                {
                    "name": "pdf",
                    "description": "Partons",
                    "kind": "hessian",
                    "weights": ["w_theory0", "w_theory1", "w_theory2"],
                },
            ],
            "generators": [
                {
                    "name": "other",
                    "description": "Another seed",
                    "correlated": False,
                    "simulation": {"file": "other.root", **SIMULATION, "generator": "numpy, seed 2"},
                }
            ],
            "priors": [{"name": "tilt", "description": "x tilted", "correlated": True, "weight": "exp(0.1 * x)"}],
            "closure": [
                {
                    "name": "hidden",
                    "description": "z tilted",
                    "kind": "hidden_variable",
                    "correlated": False,
                    "target": "exp(0.2 * z) * (1 + 0.1 * x ** 2)",
                    "columns": ["z"],
                },
                {"name": "driven", "description": "As the data", "kind": "data_driven", "correlated": True},
            ],
        },
        "observables": [_observable("x"), _observable("y", absent="There is none")],
        "omnifold": {"iterations": 1, "hidden": [8], "batch_size": 512, "learning_rate": 0.003, "max_epochs": 6},
        "campaign": {"seed": 11, "ensemble": 3, "data_bootstrap": 2, "mc_bootstrap": 2, "trainings_per_variation": 1},
        "publication": {
            "creators": [{"name": "Nobody"}],
            "contact": "nobody",
            "licence": "CC0-1.0",
            "validity": {"minimum_effective_events_per_bin": 0, "severity": "warning", "notes": []},
            "closure": {"performed": False, "description": "Not yet", "results": [], "tests": []},
        },
    }


class Toy:
    """The toy in a folder: change its arrays or its document, then `write` it."""

    def __init__(self, folder: Path, seed: int = 1) -> None:
        self.folder = folder
        self.arrays = make_arrays(seed)
        self.document = make_document()

    def write(self, change: Callable[[Document], object] | None = None) -> Path:
        """Write the files and return the analysis file's path."""
        if change is not None:
            change(self.document)
        for name, columns in self.arrays.items():
            with uproot.recreate(self.folder / f"{name}.root") as file:
                file.mktree("events", {branch: column.dtype for branch, column in columns.items()})
                file["events"].extend(columns)
        path = self.folder / "analysis.yaml"
        path.write_text(yaml.safe_dump(self.document, sort_keys=False))
        return path
