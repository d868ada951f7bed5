"""Inject a reweighting like that of another strong coupling into pseudo-data, unfold them, and fit it.

Usage: ``python scripts/study_injection.py RELEASE INPUTS [--experiments 30] [--injected 0.3] [--seed 1]``

RELEASE is the unfolding of ``data.root`` in INPUTS by the ``analysis.yaml`` there. With what comes with this project::

    python scripts/study_injection.py build/demo/release.h5 tests/data/zjets

Each pseudo-experiment takes each detector-level event a Poisson number of times, of a mean that is the injected weight
of its particle-level event, and trains the networks anew: one training, six seconds. The result is fitted with the
covariance of RELEASE and the truth, reweighted. Every second pseudo-experiment has nothing injected. All share the
simulation and the pseudo-data that are drawn from, so that what the unfolding is biased by is the same in all of them,
and cancels in the difference.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import uproot
import yaml
from numpy.typing import NDArray

from omnifold_pub import JointMeasurement, Theory, open_release
from omnifold_pub.reinterpret.fitting import Fit, Function, Reweighting, fit
from omnifold_pub.unfold.campaign import unfold

Vector = NDArray[np.float64]

BINS: dict[str, list[float]] = {
    "Ntracks_trackj1": [1, 6, 9, 12, 15, 19, 40],
}


def coupling(theory: Theory) -> Reweighting:
    """Return a theory whose events with more tracks in the leading jet weigh more, as with a larger strong coupling."""
    tracks = np.nan_to_num(np.asarray(theory.events["Ntracks_trackj1"], dtype=np.float64))
    pull = np.clip((tracks - 12) / 6, -2, 2)
    return Reweighting(theory, {"c": theory.weights * pull}, {"c": theory.weights * pull**2 / 2})


def resampled(data: dict[str, NDArray[Any]], mean: Vector, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
    """Return events, each a Poisson number of times, with numbers of their own."""
    rows = np.repeat(np.arange(len(mean)), rng.poisson(mean))
    return {name: np.arange(len(rows)) if name == "event_id" else column[rows] for name, column in data.items()}


def unfolded(data: dict[str, NDArray[Any]], inputs: Path, seed: int) -> Vector:
    """Return ``content[bin]`` of `BINS`, numbered through, of one training on pseudo-data."""
    document = json.loads(json.dumps(yaml.safe_load((inputs / "analysis.yaml").read_text())))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "analysis.yaml"
        with uproot.recreate(path.with_name("data.root")) as file:
            file["events"] = data
        document["inputs"]["data"]["file"] = str(path.with_name("data.root"))
        document["inputs"]["simulation"]["file"] = str((inputs / "mc.root").resolve())
        document["inputs"]["variations"] = []
        document["publication"]["validity"].pop("minimum_effective_data_events_per_bin", None)
        document["campaign"] |= {"ensemble": 1, "data_bootstrap": 0, "mc_bootstrap": 0, "seed": seed}
        path.write_text(yaml.safe_dump(document, sort_keys=False))
        found = unfold(path, path.with_name("run"), workers=1)
        weights = np.asarray(found.nominal[:], dtype=np.float64)
        contents = [
            np.histogram(np.asarray(found.columns[name][:], dtype=np.float64), edges, weights=weights)[0]
            for name, edges in BINS.items()
        ]
    return np.concatenate(contents)


def fitted(measurement: JointMeasurement, truth: Reweighting, contents: Vector) -> Fit:
    """Return the fit of c to contents; the truth has no uncertainty of its own: its events are those of the data."""
    bound = truth.of(measurement)
    return fit(Function(bound.parameters, bound.predict), replace(measurement, nominal=contents))


def main() -> None:
    """Inject, unfold, fit and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("release", type=Path)
    parser.add_argument("inputs", type=Path)
    parser.add_argument("--experiments", type=int, default=30)
    parser.add_argument("--injected", type=float, default=0.3)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with open_release(arguments.release) as release:
        measurement = release.measure(BINS)
        columns = list(release.events)
    path = arguments.inputs / "data_truth.root"
    truth = Theory.from_root(path, tree="events", weight="weight", unit="pb", columns=columns, sentinel=-99)
    with uproot.open(path) as file:
        rows = file["events"]["data_row"].array(library="np").astype(int)
    with uproot.open(arguments.inputs / "data.root") as file:
        data = file["events"].arrays(library="np")
    model = coupling(truth)
    found: dict[float, list[tuple[float, float]]] = {0.0: [], arguments.injected: []}
    for number in range(arguments.experiments):
        injected = arguments.injected if number % 2 else 0.0
        mean = np.ones(len(data["event_id"]))
        seen = rows >= 0
        mean[rows[seen]] = (model.weights(np.array([injected])) / truth.weights)[seen]
        rng = np.random.default_rng([arguments.seed, number])
        contents = unfolded(resampled(data, mean, rng), arguments.inputs, arguments.seed + number)
        found[injected].append(fitted(measurement, model, contents)["c"])
    lines = ["| injected c | experiments | mean of c | scatter | mean error |", "|---|---|---|---|---|"]
    for injected, one in found.items():
        values, errors = np.array(one).T
        scatter = values.std(ddof=1)
        mean_text = f"{values.mean():.3f} +- {scatter / np.sqrt(len(values)):.3f}"
        lines.append(f"| {injected:g} | {len(values)} | {mean_text} | {scatter:.3f} | {errors.mean():.3f} |")
    print("\n".join(lines), flush=True)  # noqa: T201 - a script


if __name__ == "__main__":
    main()
