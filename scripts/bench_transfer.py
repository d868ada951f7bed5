"""Measure what networks of an earlier unfolding are worth to a later one: epochs and time until the same closure.

Usage: ``python scripts/bench_transfer.py [--events 100000] [--later-events 30000] [--repetitions 3] [--json]``

The problem of ``make_toy_unfolding.py``, in two periods. In the second the detector has drifted (the smearing is
``--drift`` times larger, the efficiency lower), data and simulation are smaller, and all events are new. It is unfolded
twice: from nothing, and from the networks of the first period, as ``campaign run --warm-from`` does: they give the
first push, and all fits go on from them.

Prints a markdown table: after each iteration the epochs of all fits so far, the processor time, and the closure: the
triangular discriminator, 1000 * sum (p - q)^2 / (p + q) / 2 over 20 bins that each hold q = 1/20 of nature exactly, as
a mean over the observables and over the repetitions. "exact" is the simulation reweighted by the known ratio.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import numpy as np
import torch
from bench_engine import closure
from make_toy_unfolding import SMEARING, make_sample
from numpy.typing import NDArray

from omnifold_pub.unfold.classifiers import build_classifier
from omnifold_pub.unfold.config import OmniFoldConfig
from omnifold_pub.unfold.omnifold import OmniFoldInputs, OmniFoldStart, run_omnifold

OBSERVABLES = 24
EFFICIENCY, LATER_EFFICIENCY = 0.9, 0.85
Sample = dict[str, NDArray[Any]]
Steps = list[dict[str, float]]


def inputs_of(sample: Sample) -> OmniFoldInputs:
    """Return a period as the engine takes it."""
    ones = np.ones(len(sample["truth"]))
    return OmniFoldInputs(
        truth=sample["truth"],
        reco=sample["reco"],
        pass_truth=np.ones(len(ones), dtype=bool),
        pass_reco=sample["pass_reco"],
        truth_weight=ones,
        reco_weight=ones,
        data=sample["data"],
        data_weight=np.ones(len(sample["data"])),
    )


def distance(sample: Sample, push: NDArray[np.float64]) -> float:
    """Return the mean triangular discriminator."""
    found = closure(sample["z"], sample["edges"], push, n_data=len(sample["data"]))
    return float(np.mean(found["triangular"]))


def start_from(networks: dict[str, dict[str, NDArray[Any]]], sample: Sample, config: OmniFoldConfig) -> OmniFoldStart:
    """Return where the networks of the first period begin in the second."""
    classifier = build_classifier(sample["truth"].shape[1], config, seed=0)
    classifier.load(networks["step2"])
    return OmniFoldStart(np.exp(classifier.logits(sample["truth"])), networks)


def follow(sample: Sample, config: OmniFoldConfig, *, seed: int, start: OmniFoldStart | None) -> Steps:
    """Unfold, and return epochs, seconds and closure after each iteration, those before the first in front."""
    began = time.process_time()
    marks = [(0.0, distance(sample, np.ones(len(sample["z"])) if start is None else start.push))]

    def on_iteration(_: int, push: NDArray[np.float64]) -> None:
        marks.append((time.process_time() - began, distance(sample, push)))

    result = run_omnifold(inputs_of(sample), config, seed=seed, start=start, on_iteration=on_iteration)
    epochs = [0]
    for entry in result.diagnostics["iterations"]:
        fits = [fit for step in ("step1", "step2") for fit in entry[step]]
        epochs.append(epochs[-1] + sum(len(fit["held_out_losses"]) for fit in fits))
    return [{"epochs": e, "seconds": s, "closure": c} for e, (s, c) in zip(epochs, marks, strict=True)]


def repetition(arguments: argparse.Namespace, number: int) -> dict[str, Any]:
    """Unfold both periods once."""
    config = OmniFoldConfig(iterations=arguments.iterations, batch_size=1024, max_epochs=arguments.epochs)
    first = make_sample(events=arguments.events, observables=OBSERVABLES, efficiency=EFFICIENCY, seed=number)
    later = make_sample(
        events=arguments.later_events,
        observables=OBSERVABLES,
        seed=number,
        efficiency=LATER_EFFICIENCY,
        smearing=arguments.drift * SMEARING,
        period=1,
        like=first,
    )
    networks = run_omnifold(inputs_of(first), config, seed=number).networks
    return {
        "from nothing": follow(later, config, seed=100 + number, start=None),
        "from the first period": follow(later, config, seed=100 + number, start=start_from(networks, later, config)),
        "exact": distance(later, np.exp(later["log_r"])),
    }


def mean_path(found: list[dict[str, Any]], name: str) -> Steps:
    """Return the mean over the repetitions."""
    return [
        {key: float(np.mean([entry[key] for entry in entries])) for key in entries[0]}
        for entries in zip(*(one[name] for one in found), strict=True)
    ]


def main() -> None:
    """Unfold and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--later-events", type=int, default=30_000)
    parser.add_argument("--drift", type=float, default=1.25)
    parser.add_argument("--iterations", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=20, help="most of each fit")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found = [repetition(arguments, number) for number in range(1, arguments.repetitions + 1)]
    if arguments.json:
        print(json.dumps(found, indent=1))  # noqa: T201
        return
    print("| Start | iteration | epochs so far | processor [s] | closure |\n|---|---|---|---|---|")  # noqa: T201
    for name in ("from nothing", "from the first period"):
        for iteration, row in enumerate(mean_path(found, name)):
            cells = [name, str(iteration), f"{row['epochs']:.0f}", f"{row['seconds']:.1f}", f"{row['closure']:.2f}"]
            print("| " + " | ".join(cells) + " |")  # noqa: T201
    print(f"\nexact: {np.mean([one['exact'] for one in found]):.2f}")  # noqa: T201


if __name__ == "__main__":
    main()
