"""Measure how often the published 68 % interval holds the truth, and the pulls, in pseudo-experiments of a toy.

Usage: ``python scripts/study_pulls.py [--experiments 40] [--workers 2] [--seed 1] [--json]``

Each pseudo-experiment draws new data and a new simulation, unfolds them with an ensemble and bootstraps of both,
publishes a release, opens it, and measures two observables and an expression that no column holds. The truth is the
expected cross section of each bin, from one large sample of the toy.

The toy: ``x`` falls like an exponential above 20 GeV; the fiducial region begins at 30 GeV, so that events come in
and go out by the resolution of 8 %, and one in ten is lost besides. ``y`` is there where it is above 20 GeV; the
detector smears it by 15 %, loses what falls below 20 GeV and one in twenty, and makes up one where there is none in one
event of twelve. Simulation and data differ in both. The simulated detector is that of the data.

Prints a markdown table: the truth; how far the prior is from it; the mean deviation of the result (bias) with its
error; its scatter over the experiments beside the published uncertainty; coverage with its binomial error; mean and
width of the pulls. Where coverage is short, it says why: a scatter beyond the uncertainty is an uncertainty that is too
small, a bias beyond its error is what few iterations or small networks leave of the prior; ``--iterations``,
``--ensemble`` and ``--replicas`` tell which. Replicas that are few do not know the uncertainty themselves: one
standard deviation of N covers what Student's t with N - 1 degrees of freedom says, 65.7 % for N = 10.

An experiment that cannot be published (two networks of its ensemble learned nothing, and are the same) is left out
and told of. Interrupted, it prints what there is.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import uproot
from numpy.typing import NDArray

from omnifold_pub import open_release, publish
from omnifold_pub.errors import PublishError
from omnifold_pub.unfold.campaign import unfold

Vector = NDArray[np.float64]
Columns = dict[str, NDArray[Any]]

SIMULATED = 8_000
FIDUCIAL_X, LEAST_Y = 30.0, 20.0
SENTINEL = -99.0
SPECTRA: dict[str, list[float]] = {
    "x": [30, 35, 40, 47, 55, 70, 150],
    "y": [20, 24, 29, 36, 48, 120],
    "y / x": [0.2, 0.5, 0.65, 0.8, 1.0, 2.0],
}
"""Observables of the release, and an expression of them, with their bins."""


@dataclass(frozen=True)
class Generator:
    """What events are drawn from.

    Attributes
    ----------
    slope : float
        Of x above 20 GeV, in GeV.
    share : float
        Median of y / x, before y is found absent.
    cross_section : float
        In pb, of all events that are generated; the luminosity is 1 pb-1.
    """

    slope: float
    share: float
    cross_section: float


SIMULATION = Generator(slope=20.0, share=0.60, cross_section=6_000.0)
NATURE = Generator(slope=22.0, share=0.64, cross_section=7_000.0)


@dataclass(frozen=True)
class Settings:
    """How each pseudo-experiment is unfolded."""

    iterations: int = 4
    ensemble: int = 3
    replicas: int = 10
    max_epochs: int = 15


@dataclass(frozen=True, eq=False)
class Interval:
    """What a release says of one spectrum.

    Attributes
    ----------
    values, uncertainties : numpy.ndarray
        ``[bin]``, in pb.
    components : dict
        ``components[name][bin]``: the uncertainty of each.
    """

    values: Vector
    uncertainties: Vector
    components: dict[str, Vector]


def draw(generator: Generator, events: int, rng: np.random.Generator) -> Columns:
    """Draw events at both levels, with the sentinel where an event has no y or fails the level's selection."""
    x = 20 + rng.exponential(generator.slope, events)
    y = x * generator.share * rng.lognormal(0, 0.35, events)
    reco_x = x * rng.normal(1, 0.08, events)
    # Of an event without y the detector must know no more than that: a y of 19 GeV would be a hidden variable, and the
    # simulation's response not that of the data.
    found = rng.random(events) < np.where(y > LEAST_Y, 0.95, 1 / 12)
    reco_y = np.where(y > LEAST_Y, y * rng.normal(1, 0.15, events), LEAST_Y + rng.exponential(8, events))
    pass_truth = x > FIDUCIAL_X
    pass_reco = (reco_x > FIDUCIAL_X) & (rng.random(events) < 0.9)

    def column(values: Vector, there: NDArray[np.bool_]) -> NDArray[np.float32]:
        return np.where(there, values, SENTINEL).astype(np.float32)

    return {
        "x": column(x, pass_truth),
        "y": column(y, pass_truth & (y > LEAST_Y)),
        "reco_x": column(reco_x, pass_reco),
        "reco_y": column(reco_y, pass_reco & found & (reco_y > LEAST_Y)),
        "pass_truth": pass_truth,
        "pass_reco": pass_reco,
        "event_id": np.arange(events),
    }


def spectra(generator: Generator, *, events: int = 4_000_000, seed: int = 0) -> dict[str, Vector]:
    """Return the expected ``content[bin]`` in pb of each of `SPECTRA`, from a large sample."""
    columns = draw(generator, events, np.random.default_rng(seed))
    x, y = columns["x"][columns["pass_truth"]], columns["y"][columns["pass_truth"]]
    there = y > 0
    values = {"x": x, "y": y[there], "y / x": y[there] / x[there]}
    weight = generator.cross_section / events
    return {name: weight * np.histogram(values[name], edges)[0] for name, edges in SPECTRA.items()}


def _observable(name: str, absent: str | None) -> dict[str, Any]:
    least = FIDUCIAL_X if name == "x" else LEAST_Y
    entry = {
        "name": name,
        "description": f"The toy's {name}",
        "unit": "GeV",
        "latex": name,
        "encoding": "log",
        "valid_range": {"minimum": least, "maximum": None},
    }
    return entry if absent is None else entry | {"absent": absent}


def analysis(settings: Settings, seed: int) -> dict[str, Any]:
    """Return the analysis file of one pseudo-experiment."""
    simulation = {"file": "simulation.root", "tree": "events", "truth_weight": "weight", "generator": "the toy"}
    return {
        "schema_version": "1.1.0",
        "title": "A toy with a known truth",
        "description": "One pseudo-experiment of a study of pulls",
        "data_kind": "toy",
        "process": "none",
        "collision": {"system": "pp", "energy_tev": 13},
        "fiducial": {
            "description": "x above 30 GeV",
            "selection": [{"expression": "x", "minimum": FIDUCIAL_X, "maximum": None, "tolerance": 0}],
        },
        "objects": [{"name": "event", "definition": "Random numbers"}],
        "weight_unit": "pb",
        "luminosity": {"value": 1.0, "unit": "pb-1", "relative_uncertainty": 0},
        "inputs": {
            "sentinel": SENTINEL,
            "simulation": simulation | {"pass_truth": "pass_truth", "pass_reco": "pass_reco", "event_id": "event_id"},
            "data": {"file": "data.root", "tree": "events", "event_id": "event_id"},
        },
        "observables": [_observable("x", None), _observable("y", "The event has no y above 20 GeV")],
        "omnifold": {
            "iterations": settings.iterations,
            "hidden": [32, 32],
            "batch_size": 256,
            "learning_rate": 0.001,
            "max_epochs": settings.max_epochs,
            "patience": 4,
        },
        "campaign": {
            "seed": seed,
            "ensemble": settings.ensemble,
            "data_bootstrap": settings.replicas,
            "mc_bootstrap": settings.replicas,
        },
        "publication": {
            "creators": [{"name": "Nobody"}],
            "contact": "nobody",
            "licence": "CC0-1.0",
            "validity": {"minimum_effective_events_per_bin": 0, "severity": "warning", "notes": []},
            "closure": {"performed": False, "description": "The study is one", "results": [], "tests": []},
        },
    }


def _write(path: Path, columns: Columns) -> None:
    with uproot.recreate(path) as file:
        file.mktree("events", {name: values.dtype for name, values in columns.items()})
        file["events"].extend(columns)


def write_inputs(folder: Path, settings: Settings, *, seed: int, number: int) -> Path:
    """Draw data and simulation of a pseudo-experiment and write them; return its analysis file.

    The numbers of simulated and of recorded events: the first is a choice, the second is Poisson.
    """
    rng = np.random.default_rng([seed, number])
    simulation = draw(SIMULATION, SIMULATED, rng)
    simulation["weight"] = np.full(SIMULATED, SIMULATION.cross_section / SIMULATED)
    _write(folder / "simulation.root", simulation)
    data = draw(NATURE, int(rng.poisson(NATURE.cross_section)), rng)
    recorded = data["pass_reco"]
    names = ("reco_x", "reco_y", "event_id")
    _write(folder / "data.root", {name: data[name][recorded] for name in names})
    path = folder / "analysis.yaml"
    path.write_text(json.dumps(analysis(settings, 1000 * seed + number)))  # JSON is YAML
    return path


def experiment(settings: Settings, *, seed: int, number: int, workers: int) -> dict[str, Interval]:
    """Do one pseudo-experiment, from random numbers to what a reader finds in the release."""
    with tempfile.TemporaryDirectory(prefix="pulls_") as name:
        folder = Path(name)
        path = write_inputs(folder, settings, seed=seed, number=number)
        release_path = publish(unfold(path, folder / "run", workers=workers), folder / "release.h5")
        with open_release(release_path) as release:
            measured = release.measure({name: list(edges) for name, edges in SPECTRA.items()}, nan="drop")
            return {
                name: Interval(
                    measured[name].values(),
                    measured[name].uncertainties(),
                    {part.name: measured[name].uncertainties(part.name) for part in measured.components},
                )
                for name in SPECTRA
            }


def summarise(intervals: Sequence[Interval], truth: Vector) -> dict[str, Any]:
    """Compare intervals with the truth.

    Parameters
    ----------
    intervals : sequence of Interval
        Of one spectrum, from each experiment.
    truth : numpy.ndarray
        ``truth[bin]``, in pb.

    Returns
    -------
    dict
        Lists ``[bin]``: ``coverage`` and its binomial ``coverage_error`` (that of 68.3 %), ``pull_mean``,
        ``pull_width``; ``bias``, ``bias_error``, ``scatter``, ``uncertainty`` and that of each of ``components`` (root
        mean squares) relative to the truth.
    """
    values = np.stack([interval.values for interval in intervals])
    errors = np.stack([interval.uncertainties for interval in intervals])
    count = len(values)
    off = (values - truth) / truth
    pulls = (values - truth) / errors
    scatter = off.std(axis=0, ddof=1) if count > 1 else np.full(len(truth), np.nan)
    width = pulls.std(axis=0, ddof=1) if count > 1 else np.full(len(truth), np.nan)

    def typical(uncertainties: Iterator[Vector]) -> list[float]:
        found = np.sqrt(np.mean(np.stack(list(uncertainties)) ** 2, axis=0)) / truth
        return [float(value) for value in found]

    return {
        "truth": truth.tolist(),
        "coverage": (np.abs(pulls) <= 1).mean(axis=0).tolist(),
        "coverage_error": float(np.sqrt(0.683 * 0.317 / count)),
        "pull_mean": pulls.mean(axis=0).tolist(),
        "pull_width": width.tolist(),
        "bias": off.mean(axis=0).tolist(),
        "bias_error": (scatter / np.sqrt(count)).tolist(),
        "scatter": scatter.tolist(),
        "uncertainty": typical(interval.uncertainties for interval in intervals),
        "components": {
            name: typical(interval.components[name] for interval in intervals) for name in intervals[0].components
        },
    }


def table(found: Mapping[str, Mapping[str, Any]], prior: Mapping[str, Vector]) -> list[str]:
    """Return the lines of a markdown table."""
    lines = [
        "| Bin | Truth [pb] | Prior off by | Bias | Scatter | Uncertainty | Coverage | Pull: mean | width |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, edges in SPECTRA.items():
        row = found[name]
        for i, (low, high) in enumerate(itertools.pairwise(edges)):
            truth = row["truth"][i]
            cells = [
                f"{low:g} < {name} < {high:g}",
                f"{truth:.0f}",
                f"{100 * (prior[name][i] / truth - 1):+.1f} %",
                f"{100 * row['bias'][i]:+.1f} +- {100 * row['bias_error'][i]:.1f} %",
                f"{100 * row['scatter'][i]:.1f} %",
                f"{100 * row['uncertainty'][i]:.1f} %",
                f"{100 * row['coverage'][i]:.0f} +- {100 * row['coverage_error']:.0f} %",
                f"{row['pull_mean'][i]:+.2f}",
                f"{row['pull_width'][i]:.2f}",
            ]
            lines.append("| " + " | ".join(cells) + " |")
        lines.append(
            f"| **{name}, all bins** | | | | | | {100 * np.mean(row['coverage']):.0f} % "
            f"| {np.mean(row['pull_mean']):+.2f} | {np.mean(row['pull_width']):.2f} |"
        )
    return lines


def main() -> None:
    """Do the experiments and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=int, default=40)
    parser.add_argument("--workers", type=int, default=2, help="processes of each unfolding")
    parser.add_argument("--seed", type=int, default=1, help="another one is another study")
    parser.add_argument("--iterations", type=int, default=Settings.iterations)
    parser.add_argument("--ensemble", type=int, default=Settings.ensemble)
    parser.add_argument("--replicas", type=int, default=Settings.replicas, help="of each of the two bootstraps")
    parser.add_argument("--json", action="store_true", help="everything, each experiment's intervals included")
    arguments = parser.parse_args()
    settings = Settings(arguments.iterations, arguments.ensemble, arguments.replicas)
    done: list[dict[str, Interval]] = []
    start = time.perf_counter()
    for number in range(arguments.experiments):
        try:
            done.append(experiment(settings, seed=arguments.seed, number=number, workers=arguments.workers))
        except PublishError as error:
            print(f"experiment {number + 1} is left out: {error}", file=sys.stderr, flush=True)  # noqa: T201
        except KeyboardInterrupt:
            break  # with what there is
        seconds = time.perf_counter() - start
        print(f"experiment {number + 1} of {arguments.experiments}, {seconds:.0f} s", file=sys.stderr, flush=True)  # noqa: T201
    truth, prior = spectra(NATURE), spectra(SIMULATION)
    scale = sum(truth["x"]) / sum(prior["x"])  # the prior's normalisation is none of the unfolding's business
    prior = {name: scale * contents for name, contents in prior.items()}
    found = {name: summarise([one[name] for one in done], truth[name]) for name in SPECTRA}
    if arguments.json:
        each = [
            {name: {"values": i.values.tolist(), "uncertainties": i.uncertainties.tolist()} for name, i in one.items()}
            for one in done
        ]
        about = {"seed": arguments.seed, "settings": vars(settings), "seconds": time.perf_counter() - start}
        _print(json.dumps({**about, "bins": SPECTRA, "summary": found, "experiments": each}))
        return
    for line in table(found, prior):
        _print(line)
    _print(
        f"\n{len(done)} pseudo-experiments, {settings.iterations} iterations, ensemble of {settings.ensemble}, "
        f"{settings.replicas} + {settings.replicas} replicas, {time.perf_counter() - start:.0f} s"
    )


def _print(line: str) -> None:
    print(line)  # noqa: T201 - a script


if __name__ == "__main__":
    main()
