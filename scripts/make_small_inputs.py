"""Cut the small real inputs of the demo and the tests out of the full Z+jets samples.

Usage: ``python scripts/make_small_inputs.py FULL_SAMPLES_DIR [OUTPUT_DIR]``

The full samples (Pythia 8, parametric detector, see their ``samples.json``) hold 255,453 simulated and
108,575 pseudo-data rows. The cut keeps the first rows of each, so that every row of a detector variation
still belongs to the same simulated event, and rescales weights and luminosity to what is left.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import uproot
from numpy.typing import NDArray

TREE = "events"
SIMULATION_ROWS = 25_000
DATA_ROWS = 10_000
THEORY_ROWS = 10_000
VARIATIONS = ("trackeff_down", "muscale_up", "pileup_up")
MANTISSA_BITS = 16
"""Kept of float32's 23: a relative error below 2**-16, hundreds of times under the detector's resolution."""

Columns = dict[str, NDArray[Any]]


def read(path: Path, rows: int | None = None) -> Columns:
    """Read the first ``rows`` rows of a sample, without the jet counts (not among the 24 observables)."""
    with uproot.open(path) as file:
        columns = file[TREE].arrays(library="np", entry_stop=rows)
    return {name: values for name, values in columns.items() if not name.endswith("n_trackjets")}


def truncate(values: NDArray[Any]) -> NDArray[Any]:
    """Clear the low mantissa bits. Towards zero, so that no value crosses a cut of the selection."""
    if values.dtype != np.float32:
        return values
    mask = np.uint32(0xFFFFFFFF << (23 - MANTISSA_BITS) & 0xFFFFFFFF)
    return (values.view(np.uint32) & mask).view(np.float32)


def write(path: Path, columns: Columns) -> None:
    """Write one TTree, weights exact, everything else truncated."""
    stored = {name: values if name == "weight" else truncate(values) for name, values in columns.items()}
    with uproot.recreate(path, compression=uproot.LZMA(9)) as file:
        file.mktree(TREE, {name: values.dtype for name, values in stored.items()})
        file[TREE].extend(stored)


def normalise(columns: Columns, cross_section: float, passed: NDArray[np.bool_] | None = None) -> None:
    """Scale the weights so that those of the fiducial rows sum to the full sample's cross section."""
    weight = columns["weight"].astype(np.float64)
    fiducial = weight if passed is None else weight[passed]
    columns["weight"] = (weight * (cross_section / fiducial.sum())).astype(np.float32)


def cut(source: Path, target: Path) -> dict[str, Any]:
    """Write all files of the cut and return what ``samples.json`` says about them."""
    full = json.loads((source / "samples.json").read_text())
    samples = full["samples"]
    target.mkdir(parents=True, exist_ok=True)

    simulation = read(source / "mc.root", SIMULATION_ROWS)
    normalise(simulation, samples["mc"]["sigma_fid_pb"], simulation["pass_truth"])
    write(target / "mc.root", simulation)
    for name in VARIATIONS:
        write(target / f"mc_{name}.root", read(source / f"mc_syst_{name}.root", SIMULATION_ROWS))

    data = read(source / "pseudodata.root", DATA_ROWS)
    data["event_id"] = np.arange(DATA_ROWS, dtype=np.int32)
    write(target / "data.root", data)

    # Truth rows come in the order of generation: all up to the last data row, the missed ones included.
    truth = read(source / "pseudodata_truth.root")
    stop = int(np.flatnonzero(truth["data_row"] >= DATA_ROWS)[0])
    truth = {name: values[:stop] for name, values in truth.items()}
    normalise(truth, samples["pseudodata"]["sigma_fid_pb"])
    write(target / "data_truth.root", truth)

    theory = read(source / "theory.root", THEORY_ROWS)
    normalise(theory, samples["theory"]["sigma_fid_pb"])
    write(target / "theory.root", theory)

    def about(sample: str, rows: int, **more: Any) -> dict[str, Any]:
        keep = ("sigma_generated_pb", "sigma_generated_err_pb", "sigma_fid_pb", "sigma_fid_staterr_pb", "settings")
        return {"rows": rows, "rows_full": samples[sample]["rows"], **more} | {k: samples[sample][k] for k in keep}

    luminosity = samples["pseudodata"]["integrated_luminosity_per_pb"]
    scale = DATA_ROWS / samples["pseudodata"]["n_pass_reco"]
    described = ("generator", "process", "fiducial", "jets", "nsubjettiness", "sentinel", "naming", "units")
    return {
        "what": "The first rows of larger samples; made by scripts/make_small_inputs.py",
        **{key: full[key] for key in described},
        "observables": full["observables"],
        "detector_parameters": full["detector_parameters"],
        "precision": f"float32 truncated to {MANTISSA_BITS} mantissa bits; weights untouched",
        "normalisation": "weights in pb, scaled to the cut: they sum to sigma_fid_pb over the fiducial rows",
        "integrated_luminosity_per_pb": luminosity * scale,
        "integrated_luminosity_per_pb_full": luminosity,
        "samples": {
            "mc.root": about("mc", SIMULATION_ROWS, n_pass_truth=int(simulation["pass_truth"].sum())),
            **{
                f"mc_{name}.root": {"rows": SIMULATION_ROWS, "what": "detector level of mc.root again, row by row"}
                for name in VARIATIONS
            },
            "data.root": about("pseudodata", DATA_ROWS, what="pseudo-data: what a detector would record"),
            "data_truth.root": about("pseudodata", stop, what="the truth behind data.root, for closure only"),
            "theory.root": about("theory", THEORY_ROWS, what="another tune, particle level: the new theory"),
        },
    }


def main() -> None:
    """Cut, and say how large the result is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="folder with the full samples and their samples.json")
    parser.add_argument("target", type=Path, nargs="?", default=Path("tests/data/zjets"))
    arguments = parser.parse_args()
    described = cut(arguments.source, arguments.target)
    (arguments.target / "samples.json").write_text(json.dumps(described, indent=1) + "\n")
    size = sum(path.stat().st_size for path in arguments.target.glob("*.root"))
    print(f"{arguments.target}: {len(described['samples'])} files, {size / 1e6:.2f} MB")  # noqa: T201


if __name__ == "__main__":
    main()
