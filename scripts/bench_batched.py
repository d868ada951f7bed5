"""Measure what it would save to train the networks of an ensemble together, their layers in batched matrix products.

Usage: ``python scripts/bench_batched.py [--networks 4] [--hidden 100 100 100] [--seconds 1.0]``

The matrix products of one training step (forward, gradients of the weights, gradients of the inputs; ReLU between) of K
networks that see the same rows: one network after the other (``torch.mm``), and all at once (``torch.bmm``), in one
thread. Prints a markdown table of both in GF/s and their ratio; above 1, together is faster.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from itertools import pairwise

import torch

FEATURES = 24


def together(x: torch.Tensor, weights: list[torch.Tensor]) -> None:
    """One step of K networks, ``x[row, feature]`` and ``weights[layer][network, in, out]``."""
    layers = [x.expand(len(weights[0]), -1, -1)]
    for weight in weights:
        layers.append(torch.bmm(layers[-1], weight).relu_())
    gradient = layers[-1]
    for number in range(len(weights) - 1, -1, -1):
        torch.bmm(layers[number].transpose(1, 2), gradient)
        if number:
            gradient = torch.bmm(gradient, weights[number].transpose(1, 2)).mul_(layers[number] > 0)


def apart(x: torch.Tensor, networks: list[list[torch.Tensor]]) -> None:
    """One step of each network, ``networks[network][layer][in, out]``."""
    for weights in networks:
        layers = [x]
        for weight in weights:
            layers.append(torch.mm(layers[-1], weight).relu_())
        gradient = layers[-1]
        for number in range(len(weights) - 1, -1, -1):
            torch.mm(layers[number].T, gradient)
            if number:
                gradient = torch.mm(gradient, weights[number].T).mul_(layers[number] > 0)


def rate(step: Callable[[], None], seconds: float) -> float:
    """Return steps per second of processor time, the best of three."""
    step()
    best = 0.0
    for _ in range(3):
        steps, began = 0, time.process_time()
        while time.process_time() - began < seconds / 3:
            step()
            steps += 1
        best = max(best, steps / (time.process_time() - began))
    return best


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=4)
    parser.add_argument("--hidden", type=int, nargs="+", default=[100, 100, 100])
    parser.add_argument("--batches", type=int, nargs="+", default=[256, 1024, 4096])
    parser.add_argument("--seconds", type=float, default=1.0, help="for each cell")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    widths = (FEATURES, *arguments.hidden, 1)
    products = [2 * m * n for m, n in pairwise(widths)]
    flops = arguments.networks * (3 * sum(products) - products[0])
    print("| precision | batch | one after the other [GF/s] | together [GF/s] | ratio |\n|---|---|---|---|---|")  # noqa: T201
    for dtype in (torch.float32, torch.bfloat16):
        stacked = [torch.randn(arguments.networks, m, n, dtype=dtype) for m, n in pairwise(widths)]
        single = [[weight[k].contiguous() for weight in stacked] for k in range(arguments.networks)]
        for batch in arguments.batches:
            x = torch.randn(batch, FEATURES, dtype=dtype)
            found = [
                rate(lambda x=x, w=w, f=f: f(x, w), arguments.seconds)  # type: ignore[misc]
                for f, w in ((apart, single), (together, stacked))
            ]
            cells = [f"{1e-9 * flops * batch * one:.0f}" for one in found]
            name = str(dtype).removeprefix("torch.")
            print(f"| {name} | {batch} | {cells[0]} | {cells[1]} | {found[1] / found[0]:.2f} |", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
