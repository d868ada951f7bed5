"""Unfold the full Z+jets pseudo-data and compare the result with its truth, in stored and in unstored observables.

Usage: ``python scripts/closure_zjets.py SAMPLES WORK [--stress] [--precision bfloat16] [--output TABLES]``

One command: it writes the analysis file, runs the campaign (5 iterations, ensemble of 4, 10 + 10 bootstraps, 3 detector
variations), publishes, validates, and prints the closure table of all 24 observables and of six that no column holds.
A second call goes on with what it finds in WORK.

``--stress`` reweights the pseudo-data, each event by a smooth function of its true pT_ll and tau21, and unfolds
that: the lepton variables of the samples hardly differ otherwise. Recorded events without a truth in the fiducial
region keep their weight.

The samples (Pythia 8, parametric detector, see their ``samples.json``) are not part of the project.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
import uproot
import yaml
from matplotlib.figure import Figure
from numpy.typing import NDArray

from omnifold_pub import open_release
from omnifold_pub.cli.console import progress_bars
from omnifold_pub.closure import closure_table
from omnifold_pub.plots import closure
from omnifold_pub.publish import publish
from omnifold_pub.reinterpret.theory import Theory
from omnifold_pub.unfold.campaign import unfold
from omnifold_pub.validate import validate

ANALYSIS = Path("tests/data/zjets/analysis.yaml")
VARIATIONS = ("trackeff_down", "muscale_up", "pileup_up")
LARGEST_MASS_TOLERANCE = 10.0
"""GeV: photons give a dressed muon a mass, which the formula of the dimuon mass leaves out; two events of the full
sample fall that far below 81 GeV by it."""

SETTINGS: dict[str, Any] = {
    "iterations": 5,
    "hidden": [100, 100],
    "batch_size": 2048,
    "learning_rate": 0.001,
    "max_epochs": 10,
    "patience": 3,
}
CAMPAIGN: dict[str, Any] = {
    "seed": 20241107,
    "ensemble": 4,
    "data_bootstrap": 10,
    "mc_bootstrap": 10,
    "trainings_per_variation": 1,
}
PX = "pT_l1 * cos(phi_l1) + pT_l2 * cos(phi_l2)"
PY = "pT_l1 * sin(phi_l1) + pT_l2 * sin(phi_l2)"
UNSTORED = {
    "tau21_trackj1": "tau2_trackj1 / tau1_trackj1",
    "tau32_trackj1": "tau3_trackj1 / tau2_trackj1",
    "delta_phi_ll_j1": f"abs(delta_phi(arctan2({PY}, {PX}), phi_trackj1))",
    "m_ll": "sqrt(2 * pT_l1 * pT_l2 * (cosh(eta_l1 - eta_l2) - cos(phi_l1 - phi_l2)))",
    "delta_R_j1_j2": "hypot(delta_phi(phi_trackj1, phi_trackj2), y_trackj1 - y_trackj2)",
    "pT_j1 / pT_ll": "pT_trackj1 / pT_ll",
}
BINS = 5
"""Few, because ten replicas of each kind know the covariance of no more: with ten bins chi2 is mostly their noise."""
Columns = dict[str, NDArray[Any]]


def read(path: Path) -> Columns:
    """Read all columns of a sample."""
    with uproot.open(path) as file:
        columns: Columns = file["events"].arrays(library="np")
    return columns


def stress(truth: Columns) -> NDArray[np.float64]:
    """Return the factor of each true event: up to +-25 % over pT_ll times up to +-30 % over tau21."""
    pt = truth["pT_ll"].astype(np.float64)
    tau1, tau2 = (truth[f"tau{n}_trackj1"].astype(np.float64) for n in (1, 2))
    jet = tau1 > 0
    tau21 = np.divide(tau2, tau1, out=np.zeros_like(tau1), where=jet)
    return (1 + 0.25 * np.tanh((pt - 280) / 80)) * np.where(jet, 1 + 0.3 * np.tanh((tau21 - 0.65) / 0.15), 1.0)


def prepare(samples: Path, folder: Path, *, stressed: bool, precision: str) -> Path:
    """Write the analysis file, the pseudo-data with event ids and weights, and the truth; return the first."""
    folder.mkdir(parents=True, exist_ok=True)
    analysis = folder / "analysis.yaml"
    if analysis.exists():
        return analysis
    about = json.loads((samples / "samples.json").read_text())["samples"]["pseudodata"]
    data, truth = read(samples / "pseudodata.root"), read(samples / "pseudodata_truth.root")
    weight = np.ones(len(data["reco_pT_ll"]))
    if stressed:
        factor = stress(truth)
        recorded = truth["data_row"] >= 0
        weight[truth["data_row"][recorded]] = factor[recorded]
        truth["weight"] = truth["weight"] * factor
    data |= {"event_id": np.arange(len(weight)), "weight": weight}
    for name, columns in (("data.root", data), ("data_truth.root", truth)):
        with uproot.recreate(folder / name) as file:
            file.mktree("events", {column: values.dtype for column, values in columns.items()})
            file["events"].extend(columns)

    document = yaml.safe_load(ANALYSIS.read_text())
    inputs = document["inputs"]
    inputs["simulation"]["file"] = str((samples / "mc.root").resolve())
    inputs["data"] = {"file": "data.root", "tree": "events", "event_id": "event_id", "weight": "weight"}
    for entry in inputs["variations"]:
        entry["file"] = str((samples / f"mc_syst_{entry['name']}.root").resolve())
    document["luminosity"]["value"] = about["integrated_luminosity_per_pb"]
    for requirement in document["fiducial"]["selection"]:
        if "cosh" in requirement["expression"]:
            requirement["tolerance"] = LARGEST_MASS_TOLERANCE
    document |= {"omnifold": SETTINGS | {"precision": precision}, "campaign": CAMPAIGN}
    document["publication"]["validity"] = {
        "minimum_effective_events_per_bin": 1000,
        "minimum_effective_data_events_per_bin": 100,
        "severity": "warning",
        "notes": ["Pseudo-data, for a closure test alone"],
    }
    analysis.write_text(yaml.safe_dump(document, sort_keys=False))
    return analysis


def quantile_bins(values: NDArray[np.float64], weights: NDArray[np.float64]) -> list[float]:
    """Return edges of bins with equal shares of the truth, between 0.1 % and 99.9 % of it."""
    order = np.argsort(values)
    cumulative = np.cumsum(weights[order])
    shares = np.linspace(0.001, 0.999, BINS + 1)
    edges = np.interp(shares, cumulative / cumulative[-1], values[order])
    if (values == np.round(values)).all():  # counts: edges between integers
        edges = np.round(edges) + 0.5
        edges[0] -= 1
    return [float(edge) for edge in np.unique(edges)]


def observables(truth: Theory, names: list[str]) -> dict[str, Any]:
    """Return definition and bins of every observable of the table."""
    from omnifold_pub.observables.blocks import evaluate

    definitions = {name: name for name in names} | UNSTORED
    binned: dict[str, Any] = {}
    for name, definition in definitions.items():
        values = evaluate(definition, truth.events, nan="drop")
        known = ~np.isnan(values)
        binned[name] = (definition, quantile_bins(values[known], truth.weights[known]))
    return binned


def table_lines(table: dict[str, Any]) -> list[str]:
    """Return the table, as `ClosureTable.to_dict` has it, in Markdown."""
    columns = ["Observable", "bins", "chi2/bins prior", "unfolded", "p"]
    columns += ["triangular prior", "unfolded", "floor", "Wasserstein prior", "unfolded", "floor", "than the prior"]
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for row in table["observables"]:
        bins = len(row["edges"]) - 1
        chi2, triangular, wasserstein = row["chi2"], row["triangular"], row["wasserstein"]
        lines.append(
            f"| {row['observable']} | {bins} | {chi2['prior'] / bins:.2f} | {chi2['unfolded'] / bins:.2f} "
            f"| {row['p_value']:.3f} | {_triple(triangular, 3)} | {_triple(wasserstein, 4)} | {row['verdict']} |"
        )
    lines += ["", "| All observables together | prior | unfolded | floor |", "|---|---|---|---|"]
    lines.append(f"| sliced Wasserstein | {_triple(table['sliced_wasserstein'], 4)} |")
    lines.append(f"| AUC of a classifier | {_triple(table['classifier_auc'], 4)} |")
    return lines


def _triple(metric: dict[str, float], digits: int) -> str:
    return " | ".join(f"{metric[which]:.{digits}f}" for which in ("prior", "unfolded", "floor"))


def main() -> None:
    """Run the campaign and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("samples", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--stress", action="store_true", help="reweight the pseudo-data")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32", help="of the training")
    parser.add_argument("--output", type=Path, help="folder for the table, as Markdown, JSON and picture")
    arguments = parser.parse_args()
    if not (arguments.samples / "pseudodata_truth.root").exists():
        sys.exit(f"skipped: {arguments.samples} does not hold the full samples")
    parts = ["closure", "stress" * arguments.stress, arguments.precision.removeprefix("float32")]
    stem = "_".join(filter(None, parts))
    folder = arguments.work / stem
    analysis = prepare(arguments.samples, folder, stressed=arguments.stress, precision=arguments.precision)
    began = time.perf_counter()
    with progress_bars() as progress:
        result = unfold(analysis, folder / "run", progress=progress)
        minutes = (time.perf_counter() - began) / 60
        path = publish(result, folder / "release.h5", overwrite=True, progress=progress)
        report = validate(path, progress=progress)
        names = [entry["name"] for entry in yaml.safe_load(analysis.read_text())["observables"]]
        truth = Theory.from_root(
            folder / "data_truth.root",
            name="truth of the pseudo-data",
            tree="events",
            weight="weight",
            unit="pb",
            columns=names,
            sentinel=-99,
        )
        with open_release(path) as release:
            table = closure_table(release, truth, observables=observables(truth, names), nan="drop", progress=progress)
    lines = table_lines(table.to_dict())
    click.echo("\n".join(lines))
    click.echo(f"\ncampaign: {minutes:.1f} min; the release is {'valid' if report.valid else 'NOT VALID'}")
    if arguments.output is not None:
        arguments.output.mkdir(parents=True, exist_ok=True)
        (arguments.output / f"{stem}.md").write_text("\n".join(lines) + "\n")
        (arguments.output / f"{stem}.json").write_text(json.dumps(table.to_dict(), indent=1) + "\n")
        figure = Figure(figsize=(6.5, 1 + 0.22 * len(table.rows)), layout="constrained")
        closure(table, ax=figure.subplots())
        figure.savefig(arguments.output / f"{stem}.png", dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    main()
