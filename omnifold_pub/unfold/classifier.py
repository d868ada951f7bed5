"""The classifier whose log-odds are a log density ratio: a small MLP and the loop that trains it."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from omnifold_pub.errors import TrainingError
from omnifold_pub.unfold.config import OmniFoldConfig

__all__ = ["FitSummary", "build_network", "fit", "logits"]


@dataclass(frozen=True)
class FitSummary:
    """How one fit of the classifier went.

    Attributes
    ----------
    epochs : int
        Epochs that were run.
    best_epoch : int
        The epoch whose network was kept; 0 is the network as it came in.
    initial_loss, loss : float
        Weighted binary cross-entropy on the held-out part, before and at the best epoch (log 2 = no separation).
    """

    epochs: int
    best_epoch: int
    initial_loss: float
    loss: float


def build_network(features: int, hidden: tuple[int, ...], generator: torch.Generator) -> nn.Sequential:
    """Build an MLP with one logit at the end.

    He-uniform weights from ``generator``; the last layer starts at zero, so that an untrained network says
    "no difference" (logit 0) and a reweighting begins at 1.
    """
    layers: list[nn.Module] = []
    width = features
    for units in hidden:
        linear = nn.Linear(width, units)
        bound = math.sqrt(6.0 / width)
        with torch.no_grad():
            linear.weight.uniform_(-bound, bound, generator=generator)
            linear.bias.zero_()
        layers += [linear, nn.SiLU()]
        width = units
    last = nn.Linear(width, 1)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(*layers, last)


def logits(network: nn.Module, x: torch.Tensor, batch: int = 16384) -> NDArray[np.float64]:
    """Evaluate the network; returns ``logit[event]`` in float64."""
    network.eval()
    with torch.no_grad():
        parts = [network(block).squeeze(1) for block in torch.split(x, batch)]
    return torch.cat(parts).numpy().astype(np.float64) if parts else np.empty(0)


def _loss(network: nn.Module, x: torch.Tensor, w1: torch.Tensor, w0: torch.Tensor) -> torch.Tensor:
    """Sum of w1 * BCE(logit, 1) + w0 * BCE(logit, 0), from logits."""
    z = network(x).squeeze(1)
    positive = nn.functional.softplus(z)
    total: torch.Tensor = (w1 * (positive - z) + w0 * positive).sum()  # softplus(-z) = softplus(z) - z
    return total


def _equalise(w1: torch.Tensor, w0: torch.Tensor, where: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Scale both classes to a sum of n/2, so that the mean weight per row is 1."""
    sums = w1.sum(dtype=torch.float64), w0.sum(dtype=torch.float64)
    for label, total in zip((1, 0), sums, strict=True):
        if not (math.isfinite(total) and total > 0):
            msg = f"{where}: the weights of class {label} sum to {float(total):g}; expected a finite sum above zero"
            raise TrainingError(msg)
    half = len(w1) / 2
    return (w1 * (half / sums[0])).float(), (w0 * (half / sums[1])).float()


def fit(
    network: nn.Module,
    x: torch.Tensor,
    w1: NDArray[np.float64],
    w0: NDArray[np.float64],
    *,
    held_out: NDArray[np.bool_],
    config: OmniFoldConfig,
    generator: torch.Generator,
    where: str,
) -> FitSummary:
    """Train the network to tell weights ``w1`` from weights ``w0`` over the same rows.

    Each row carries both weights (one of them zero where the classes are different events), so that a
    reweighting of one sample needs one pass over its events and not two. The class sums are equalised in
    the training and in the held-out part by themselves. The network of the epoch with the lowest held-out
    loss is kept, that before the first epoch included.

    Parameters
    ----------
    network : torch.nn.Module
        Trained in place.
    x : torch.Tensor
        ``x[event, feature]``, float32.
    w1, w0 : numpy.ndarray
        ``w1[event]``, ``w0[event]``: the two classes' weights.
    held_out : numpy.ndarray
        ``held_out[event]``: rows for early stopping, never trained on.
    where : str
        What is being trained, for messages.

    Raises
    ------
    TrainingError
        If a class is empty or the loss becomes non-finite.
    """
    test = torch.from_numpy(np.flatnonzero(held_out))
    train = torch.from_numpy(np.flatnonzero(~held_out))
    t1, t0 = torch.from_numpy(w1), torch.from_numpy(w0)
    train_w = _equalise(t1[train], t0[train], f"{where}, training part")
    test_w = _equalise(t1[test], t0[test], f"{where}, held-out part")
    train_x, test_x = x[train], x[test]

    def held_out_loss() -> float:
        network.eval()
        with torch.no_grad():
            return float(_loss(network, test_x, *test_w)) / len(test_x)

    optimiser = torch.optim.Adam(network.parameters(), lr=config.learning_rate, fused=True)
    initial = best = held_out_loss()
    best_state: dict[str, Any] = copy.deepcopy(network.state_dict())
    best_epoch = epoch = 0
    for epoch in range(1, config.max_epochs + 1):
        network.train()
        order = torch.randperm(len(train_x), generator=generator)
        for rows in torch.split(order, config.batch_size):
            optimiser.zero_grad()
            loss = _loss(network, train_x[rows], train_w[0][rows], train_w[1][rows]) / len(rows)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        current = held_out_loss()
        if not math.isfinite(current):
            msg = (
                f"{where}, epoch {epoch}: the held-out loss is {current}. "
                f"A smaller learning_rate than {config.learning_rate:g} may help"
            )
            raise TrainingError(msg)
        if current < best:
            best, best_epoch = current, epoch
            best_state = copy.deepcopy(network.state_dict())
        elif epoch - best_epoch >= config.patience:
            break
    network.load_state_dict(best_state)
    return FitSummary(epochs=epoch, best_epoch=best_epoch, initial_loss=initial, loss=best)
