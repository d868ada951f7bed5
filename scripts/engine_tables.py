"""Print what ``bench_engine.py`` found as Markdown tables, next to what was aimed at.

Usage: ``python scripts/engine_tables.py FILE.json``

A campaign is projected from what was measured: time per training row, times rows, iterations and epochs (no early
stopping), times trainings.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

TARGET_SPEED, TARGET_CEILING = 8.0, 75.0
CAMPAIGN = {"events": 400_000, "data": 400_000, "trainings": 100 + 25 + 25 + 25, "iterations": 5, "epochs": 20}
"""As large as that of ATLAS (arXiv:2405.20041): ensemble, bootstraps of data and simulation, variations."""

Found = dict[str, Any]
Array = NDArray[np.float64]


def projection(seconds_per_row: float) -> float:
    """Return the hours of the whole campaign, from the time per training row; nothing is lost in the detector.

    Examples
    --------
    >>> round(projection(1e-6), 1)
    4.7
    """
    rows = 0.8 * (CAMPAIGN["data"] + 2 * CAMPAIGN["events"])  # step 1: both; step 2: the simulation again
    return seconds_per_row * rows * CAMPAIGN["iterations"] * CAMPAIGN["epochs"] * CAMPAIGN["trainings"] / 3600


def _mean(closures: list[dict[str, list[float]]], measure: str) -> Array:
    """Return the mean over the trainings, ``[observable]``."""
    mean: Array = np.mean([one[measure] for one in closures], axis=0)
    return mean


def comparison_lines(found: Found) -> list[str]:
    """Return the tables of the comparison."""
    simulated = f"{found['n_simulated']:,} simulated events ({found['n_reco']:,} pass reco)"
    lines = [
        f"{simulated}, {found['n_data']:,} data events, {len(found['prior']['chi2'])} observables",
        "",
        "| Engine | One alone | threads | Two at once, per training | Processor | Peak memory | Load |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, runs in found["engines"].items():
        alone, pair = runs["alone"], runs["pair"]
        processor = statistics.mean(report["processor"] for report in pair["reports"])
        peak = max(report["peak_mib"] for run in (alone, pair) for report in run["reports"])
        lines.append(
            f"| {name} | {alone['seconds']:.1f} s | {alone['threads']} | {pair['seconds']:.1f} s | {processor:.1f} s "
            f"| {peak:.0f} MiB | {alone['load']:.1f}, {pair['load']:.1f} |"
        )
    lines += ["", "| Closure | Triangular x 1000, mean | worst | chi2 / ndf, median | worst |", "|---|---|---|---|---|"]
    names = {"prior": [found["prior"]], "exact": [found["exact"]]}
    for name, closures in (names | {name: runs["closures"] for name, runs in found["engines"].items()}).items():
        triangular, chi2 = _mean(closures, "triangular"), _mean(closures, "chi2")
        numbers = triangular.mean(), triangular.max(), np.median(chi2), chi2.max()
        lines.append(f"| {name} | " + " | ".join(f"{number:.3g}" for number in numbers) + " |")
    return [*lines, "", *verdicts(found)]


def verdicts(found: Found) -> list[str]:
    """Compare ours with the others, per training, each at its best use of two cores."""
    engines = found["engines"]
    theirs = [name for name in engines if name.startswith("Keras")]
    if not theirs:
        return ["Keras OmniFold: left out, no --keras-python was given"]
    lines = []
    for ours in (name for name in engines if name not in theirs):
        fast, close = engines[ours]["pair"]["seconds"], _mean(engines[ours]["closures"], "triangular")
        for name in theirs:
            other = engines[name]
            alone, pair = other["alone"]["seconds"] / fast, other["pair"]["seconds"] / fast
            reference = _mean(other["closures"], "triangular")
            lines.append(
                f"{ours}: {alone:.1f} x as fast as {name} alone, {pair:.1f} x as two at once (target: "
                f"{TARGET_SPEED:g} at least); mean discriminator {close.mean() / reference.mean():.2f} x theirs "
                f"(target: 1 at most), smaller for {int((close <= reference).sum())} of {len(close)} observables"
            )
    return lines


def throughput_lines(rows: list[Found]) -> list[str]:
    """Return the table of operations per second."""
    head = f"% of torch.mm, float32 (target: {TARGET_CEILING:g})"
    lines = [f"| What | Precision | Batch | Processes | Rows/s | GF/s | {head} |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        trained = f"{row['rows']:,.0f}" if "rows" in row else ""
        share = f"{row['percent']:.0f}" if "percent" in row else ""
        what = f"| {row['what']} | {row['precision']} | {row.get('batch', '')} | {row['processes']} "
        lines.append(f"{what}| {trained} | {row['gflops']:.1f} | {share} |")
    return lines


def projection_lines(compared: Found | None, on_cuda: list[Found] | None) -> list[str]:
    """Return what a campaign takes."""
    size = (
        "{events:,} simulated and {data:,} data events, {trainings} trainings of {iterations} iterations and {epochs}"
    )
    lines = [f"Campaign: {size.format(**CAMPAIGN)} epochs, no early stopping"]
    for name, runs in (compared["engines"] if compared else {}).items():
        if "rows" in (report := runs["pair"]["reports"][0]):
            per_row = runs["pair"]["seconds"] / report["rows"]
            lines.append(
                f"- {name}, two processes on this CPU: {projection(per_row):.1f} h "
                f"({1e6 * per_row:.2f} us per training row in the comparison above, everything included)"
            )
    for row in on_cuda or ():
        per_row = row["seconds"] / row["rows"]
        lines.append(
            f"- {row['device']}, batch {row['batch']}, {row['processes']} at once: {projection(per_row):.2f} h "
            f"({row['seconds']:.1f} s for {row['epochs']} epochs of one iteration in each)"
        )
    return lines if on_cuda != [] else [*lines, "- no CUDA here"]


def main() -> None:
    """Print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    found = json.loads(parser.parse_args().file.read_text())
    lines = [found["machine"]]
    if "compare" in found:
        lines += ["", *comparison_lines(found["compare"])]
    if "throughput" in found:
        lines += ["", *throughput_lines(found["throughput"])]
    if "compare" in found or "cuda" in found:
        lines += ["", *projection_lines(found.get("compare"), found.get("cuda"))]
    print("\n".join(lines))  # noqa: T201


if __name__ == "__main__":
    main()
