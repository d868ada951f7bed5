"""Build the reference release: unfold the small real inputs, add the truth for closure tests, publish, package.

    python scripts/build_reference_release.py release

writes the deposit ``release/zjets`` (release, manifest, data sheet, descriptions for archives) and, for eyes alone,
its metadata as ``release/metadata.json``. The trainings are kept in ``build/demo/run``, which ``make demo`` fills with
the same ones.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from omnifold_pub import Canvas, ClosureWeights, UnfoldingResult, open_release, publish
from omnifold_pub.cli.console import progress_bars
from omnifold_pub.closure import closure_results, closure_table, with_results
from omnifold_pub.demo import CLOSURE_BINS
from omnifold_pub.deposit import package
from omnifold_pub.inputs.analysis import read_analysis
from omnifold_pub.progress import Progress
from omnifold_pub.reinterpret.theory import Theory
from omnifold_pub.unfold.campaign import unfold
from omnifold_pub.unfold.collection import collect

ROOT = Path(__file__).parents[1]
RECIPE = ROOT / "tests/data/zjets/analysis.yaml"
TRUTH = "data_truth.root"


def with_truth(result: UnfoldingResult, truth: Theory) -> UnfoldingResult:
    """Add the truth of the pseudo-data as a canvas, so that anyone can test the closure of a new observable."""
    canvas = {
        "name": "truth",
        "description": "Truth of the pseudo-data: what the unfolding should find",
        "generator": "Pythia 8, tune 21, dipole recoil",
        "events": len(truth.weights),
        "families": [],
    }
    test = {
        "name": "pseudodata",
        "description": "The release's nominal weights against the truth of its pseudo-data",
        "unfolded": "nominal",
        "canvas": "truth",
    }
    closure = {**result.metadata["closure"], "tests": [test]}
    return replace(
        result,
        metadata={**result.metadata, "canvases": [canvas], "closure": closure},
        canvases={
            "truth": Canvas(
                event_id=np.arange(len(truth.weights)),
                columns={name: truth.events[name] for name in truth.events},
                nominal=truth.weights,
            )
        },
        closure={"pseudodata": ClosureWeights()},
    )


def closure_of(result: UnfoldingResult, truth: Theory) -> dict[str, Any]:
    """Measure the closure of a result, as its readers will."""
    with tempfile.TemporaryDirectory() as folder, open_release(publish(result, Path(folder) / "a.h5")) as release:
        table = closure_table(release, truth, observables=CLOSURE_BINS, nan="drop", classifier=False)
    return with_results(result.metadata["closure"], closure_results(table.to_dict()))


def build(folder: Path, run: Path, progress: Progress | None = None) -> Path:
    """Build everything in a folder and return the release."""
    analysis = read_analysis(RECIPE)
    unfold(RECIPE, run, progress=progress)
    result = collect(run, networks=True)
    truth = Theory.from_root(
        RECIPE.parent / TRUTH,
        tree="events",
        weight="weight",
        unit=analysis.document["weight_unit"],
        columns=[observable.name for observable in analysis.observables],
        sentinel=analysis.document["inputs"]["sentinel"],
    )
    result = with_truth(result, truth)
    result = replace(result, metadata={**result.metadata, "closure": closure_of(result, truth)})
    with tempfile.TemporaryDirectory() as temporary:
        path = publish(result, Path(temporary) / "zjets.h5", progress=progress)
        package(path, folder / "zjets", overwrite=True)
    path = folder / "zjets/zjets.h5"
    with open_release(path) as release:
        metadata = release.metadata
    (folder / "metadata.json").write_text(json.dumps(metadata, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def main() -> None:
    """Build it from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where it goes")
    parser.add_argument("--run", type=Path, default=ROOT / "build/demo/run", help="run directory")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    with progress_bars() as progress:
        path = build(arguments.folder, arguments.run, progress)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")  # noqa: T201 - a script


if __name__ == "__main__":
    main()
