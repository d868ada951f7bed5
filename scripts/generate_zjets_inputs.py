"""Generate a folder of samples from which ``make_small_inputs.py`` cuts the inputs of the demo.

Usage: ``python scripts/generate_zjets_inputs.py FOLDER [--simulation 30000] [--data 15000] [--theory 12000]``

The same files as the full samples': simulation with three variations of the detector, pseudo-data with the truth behind
them, another tune; and ``samples.json``, which says what they are. Then
``python scripts/make_small_inputs.py FOLDER OUTPUT`` if the numbers of events suffice. Needs what ``generate_zjets.py``
needs; 10 minutes of one core.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
from generate_zjets import Generator, sample_of, write_root
from numpy.typing import NDArray
from zjets_detector import VARIATIONS, Detector
from zjets_settings import PROCESS, SAMPLES

from omnifold_pub.definitions.zjets import DEFINITION, OBSERVABLES

NAMES = {"simulation": "mc", "data": "pseudodata", "theory": "theory"}
SEEDS = {"simulation": 1001, "data": 2001, "theory": 3001}


def write_sample(folder: Path, sample: str, kept: int) -> dict[str, Any]:
    """Generate and write a sample; return what ``samples.json`` says about it."""
    variations = VARIATIONS if sample == "simulation" else {}
    columns, sigma = sample_of(Generator(sample, SEEDS[sample]), kept, variations)
    passes, reco = columns["pass_truth"], columns["pass_reco"]
    truth = {name: columns[name] for name in OBSERVABLES}
    measured = {f"reco_{name}": columns[f"reco_{name}"] for name in OBSERVABLES}
    name = NAMES[sample]
    if sample == "simulation":
        both = {key: columns[key] for key in ("pass_truth", "pass_reco", "weight", "event_id")}
        write_root(folder / f"{name}.root", {**truth, **measured, **both})
        for varied in variations:
            own = {key.partition(":")[2]: column for key, column in columns.items() if key.startswith(f"{varied}:")}
            write_root(folder / f"{name}_syst_{varied}.root", own | {"event_id": columns["event_id"]})
    else:
        particle = {key: column[passes] for key, column in truth.items()} | {"weight": columns["weight"][passes]}
        if sample == "data":
            write_root(folder / f"{name}.root", {key: column[reco] for key, column in measured.items()})
            row = np.where(reco, np.cumsum(reco) - 1, -1).astype(np.int32)
            particle["data_row"] = row[passes]
            write_root(folder / f"{name}_truth.root", particle)
        else:
            write_root(folder / f"{name}.root", particle)
    return _about(columns, sigma, sample)


def _about(columns: dict[str, NDArray[Any]], sigma: float, sample: str) -> dict[str, Any]:
    passes, weight = columns["pass_truth"], columns["weight"]
    fiducial = float(weight[passes].sum())
    return {
        "rows": int(columns["pass_reco"].sum() if sample == "data" else len(weight)),
        "n_pass_truth": int(passes.sum()),
        "n_pass_reco": int(columns["pass_reco"].sum()),
        "sigma_generated_pb": sigma,
        "sigma_generated_err_pb": 1e-3 * sigma,
        "sigma_fid_pb": fiducial,
        "sigma_fid_staterr_pb": float(np.sqrt((weight[passes] ** 2).sum())),
        "integrated_luminosity_per_pb": float(passes.sum() / fiducial),
        "settings": [*PROCESS, *SAMPLES[sample]],
    }


def main() -> None:
    """Generate all samples."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    for sample, kept in (("simulation", 30_000), ("data", 15_000), ("theory", 12_000)):
        parser.add_argument(f"--{sample}", type=int, default=kept, help=f"events to keep (default {kept})")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    samples = {}
    for sample, name in NAMES.items():
        samples[name] = write_sample(arguments.folder, sample, getattr(arguments, sample))
        print(f"{name}: {samples[name]['rows']} rows, {samples[name]['sigma_fid_pb']:.4f} pb fiducial", flush=True)  # noqa: T201
    document = {
        "generator": "Pythia 8 (pythia8mc 8.317.2), scripts/generate_zjets.py",
        "process": "pp 13 TeV, LO qqbar->Z g + qg->Z q, Z->mu+mu-, pTHat>140 GeV",
        "fiducial": DEFINITION.description,
        "jets": "see omnifold_pub.definitions.zjets; reco: tracks with pion mass",
        "nsubjettiness": "see omnifold_pub.definitions.track_jets",
        "sentinel": "-99 for all 8 columns of an absent jet, and for all truth (reco) columns of an event failing it",
        "naming": "plain name = particle level, reco_<name> = detector level; weight in pb",
        "units": "GeV, rad",
        "observables": list(OBSERVABLES),
        "detector_parameters": {
            "order": [field.name for field in dataclasses.fields(Detector)],
            "nominal": dataclasses.astuple(Detector()),
            **{name: dataclasses.astuple(detector) for name, detector in VARIATIONS.items()},
        },
        "samples": samples,
    }
    (arguments.folder / "samples.json").write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
