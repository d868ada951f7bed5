"""One process of ``bench_engine.py``: unfold, fit one classifier, or multiply matrices, in one thread.

It prints ``ready`` when all is loaded and warm, waits for a line on its input, works, and prints one line of JSON, so
that several of them can be started together and measured at the same time.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from omnifold_pub.unfold.classifiers import build_classifier
from omnifold_pub.unfold.config import OmniFoldConfig
from omnifold_pub.unfold.omnifold import OmniFoldInputs, run_omnifold

HELD_OUT = 0.2

Work = Callable[[], dict[str, Any]]


def training_flops(features: int, hidden: tuple[int, ...]) -> tuple[int, int]:
    """Return the floating-point operations per row of a training step, and of a prediction.

    A matrix product of a row with ``m x n`` weights is 2 m n operations. Forward: one for each layer. Backward: one for
    each layer's weights, and one for each layer's input but the first's, which nobody asks for. Biases, activations,
    the loss and the optimiser are not counted.

    Examples
    --------
    >>> training_flops(24, (100, 100, 100))
    (130200, 45000)
    """
    widths = (features, *hidden, 1)
    products = [2 * m * n for m, n in pairwise(widths)]
    return 3 * sum(products) - products[0], sum(products)


def configuration(arguments: argparse.Namespace, **other: Any) -> OmniFoldConfig:
    """Return the settings: those of the package, unless given; every epoch is run."""
    names = ("batch_size", "learning_rate", "schedule", "precision", "activation")
    given = {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}
    asked = {"iterations": arguments.iterations, "max_epochs": arguments.epochs, "patience": arguments.epochs}
    return OmniFoldConfig(**(given | asked | {"hidden": tuple(arguments.hidden), "held_out": HELD_OUT} | other))


def unfolding(arguments: argparse.Namespace) -> Work:
    """Unfold a file of ``make_toy_unfolding.py``."""
    with np.load(arguments.file, allow_pickle=False) as arrays:
        truth, reco, pass_reco, data = (arrays[name] for name in ("truth", "reco", "pass_reco", "data"))
    ones = np.ones(len(truth))
    inputs = OmniFoldInputs(
        truth=truth,
        reco=reco,
        pass_truth=np.ones(len(truth), dtype=bool),
        pass_reco=pass_reco,
        truth_weight=ones,
        reco_weight=ones,
        data=data,
        data_weight=np.ones(len(data)),
    )
    config = configuration(arguments)
    if arguments.device != "cpu":  # what starts the device is not the training's
        run_omnifold(inputs, configuration(arguments, iterations=1, max_epochs=1), seed=0, device=arguments.device)

    def work() -> dict[str, Any]:
        result = run_omnifold(inputs, config, seed=arguments.seed, device=arguments.device)
        if arguments.push is not None:
            np.save(arguments.push, result.push)
        matched = int(pass_reco.sum())  # step 2 trains on them, step 1 on them and the data
        rows = config.iterations * config.max_epochs * (1 - HELD_OUT) * (len(data) + 2 * matched)
        used = {"batch_size": config.batch_size, "learning_rate": config.learning_rate, "activation": config.activation}
        return {"rows": rows, "settings": used | {"schedule": config.schedule, "precision": config.precision}}

    return work


def fitting(arguments: argparse.Namespace) -> Work:
    """Fit one classifier on noise; all of the fit counts, shuffling, held-out losses and bookkeeping too."""
    rng = np.random.default_rng(arguments.seed)
    x = rng.normal(size=(arguments.rows, arguments.features)).astype(np.float32)
    label = rng.random(arguments.rows) < 0.5
    held_out = rng.random(arguments.rows) < HELD_OUT
    config = configuration(arguments)

    def fit(config: OmniFoldConfig) -> None:
        classifier = build_classifier(arguments.features, config, seed=arguments.seed, device=arguments.device)
        weights = label.astype(np.float64), (~label).astype(np.float64)
        classifier.fit(x, *weights, training=~held_out, held_out=held_out, where="benchmark")

    fit(configuration(arguments, max_epochs=1))
    training, prediction = training_flops(arguments.features, config.hidden)

    def work() -> dict[str, Any]:
        fit(config)
        rows, looked_at = int((~held_out).sum()) * config.max_epochs, int(held_out.sum()) * (config.max_epochs + 1)
        return {"rows": rows, "flops": rows * training + looked_at * prediction}

    return work


def multiplying(arguments: argparse.Namespace) -> Work:
    """Multiply square matrices for some seconds."""
    size, dtype = arguments.size, getattr(torch, arguments.precision or "float32")
    a, b = (torch.randn(size, size).to(dtype) for _ in range(2))
    out = torch.empty(size, size, dtype=dtype)
    torch.mm(a, b, out=out)

    def work() -> dict[str, Any]:
        start, done = time.perf_counter(), 0
        while time.perf_counter() - start < arguments.seconds:
            torch.mm(a, b, out=out)
            done += 1
        return {"flops": 2 * size**3 * done}

    return work


def main() -> None:
    """Get ready, wait, work, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("unfold", "fit", "multiply"))
    parser.add_argument("--file", type=Path, help="unfold: what")
    parser.add_argument("--push", type=Path, help="unfold: .npy file to write push[event] to")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--iterations", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--hidden", type=int, nargs="+", default=[100, 100, 100])
    parser.add_argument("--activation")
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--schedule")
    parser.add_argument("--precision")
    parser.add_argument("--rows", type=int, default=200_000, help="fit: rows, those held out included")
    parser.add_argument("--features", type=int, default=24, help="fit")
    parser.add_argument("--size", type=int, default=2048, help="multiply: rows and columns")
    parser.add_argument("--seconds", type=float, default=3.0, help="multiply: how long")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    work = {"unfold": unfolding, "fit": fitting, "multiply": multiplying}[arguments.kind](arguments)
    print("ready", flush=True)  # noqa: T201
    sys.stdin.readline()
    start, processor = time.perf_counter(), time.process_time()
    found = work()
    found |= {"seconds": time.perf_counter() - start, "processor": time.process_time() - processor}
    found["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(found))  # noqa: T201


if __name__ == "__main__":
    main()
