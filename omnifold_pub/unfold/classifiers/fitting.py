"""The loop over epochs, and the order in which rows are shown, of every network that is trained by Adam."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from numpy.typing import NDArray

from omnifold_pub.errors import TrainingError
from omnifold_pub.unfold.classifiers.base import FitSummary
from omnifold_pub.unfold.classifiers.losses import Part, cross_entropy
from omnifold_pub.unfold.config import OmniFoldConfig

__all__ = ["Block", "Shuffle", "Trainable", "check_shapes", "run_epochs", "step_size"]


@dataclass(frozen=True)
class Block:
    """Rows that go through a network together: a batch, or a part of it that stays in the processor's cache.

    Attributes
    ----------
    rows : torch.Tensor
        ``rows[k]``: rows of x.
    total, signal : torch.Tensor
        ``[k]``: w1 + w0 and w1, over the number of rows of the whole batch.
    z : torch.Tensor
        ``z[k]``: where the logits go.
    first, last : bool
        Of its batch.
    """

    rows: torch.Tensor
    total: torch.Tensor
    signal: torch.Tensor
    z: torch.Tensor
    first: bool
    last: bool


class Shuffle:
    """The rows to train on, in a new order for each epoch, cut into batches and blocks once.

    Batches differ by one row at most: a short last one would take a step as large as the others, on fewer events.

    Parameters
    ----------
    part : Part
        Rows and weights.
    batch : int
        Most rows in a batch.
    block : int
        Most rows in a block.
    generator : torch.Generator
        Of the orders; on the CPU, so that they are the same on any device.
    """

    def __init__(self, part: Part, *, batch: int, block: int, generator: torch.Generator) -> None:
        self._part = part
        self._generator = generator
        n = len(part.rows)
        device = part.rows.device
        self._rows = torch.empty_like(part.rows)
        self._weights = torch.empty_like(part.weights)
        self._z = torch.empty(n, device=device)
        self.batches = math.ceil(n / batch)
        self.blocks: list[Block] = []
        share = torch.empty(n, 1)
        start = 0
        for indices in torch.arange(n).tensor_split(self.batches):
            share[indices] = 1 / len(indices)
            pieces = indices.tensor_split(math.ceil(len(indices) / block))
            for number, piece in enumerate(pieces):
                stop = start + len(piece)
                self.blocks.append(
                    Block(
                        rows=self._rows[start:stop],
                        total=self._weights[start:stop, 0],
                        signal=self._weights[start:stop, 1],
                        z=self._z[start:stop],
                        first=number == 0,
                        last=number == len(pieces) - 1,
                    )
                )
                start = stop
        self._share = share.to(device)

    def shuffle(self) -> list[Block]:
        """Draw a new order and return the blocks, which hold it until the next."""
        order = torch.randperm(len(self._rows), generator=self._generator).to(self._rows.device)
        torch.index_select(self._part.rows, 0, order, out=self._rows)
        torch.index_select(self._part.weights, 0, order, out=self._weights)
        self._weights.mul_(self._share)
        return self.blocks

    def mean_loss(self) -> float:
        """Return the mean over the batches of the loss per row, from the logits that were left in the blocks."""
        return float(cross_entropy(self._z, self._weights[:, 0], self._weights[:, 1])) / self.batches


class Trainable(Protocol):
    """What the loop over epochs asks of a network and its data."""

    def epoch(self, learning_rate: float) -> float:
        """Train on every row once; return the mean of the batches' losses per row."""

    def held_out_loss(self) -> float:
        """Return the loss per row of the held-out part."""

    def keep(self) -> None:
        """Remember the parameters as they are."""

    def recall(self) -> None:
        """Go back to those remembered."""


def check_shapes(parameters: Mapping[str, NDArray[Any]], own: Mapping[str, torch.Tensor]) -> None:
    """Refuse the parameters of a network of another shape.

    Raises
    ------
    TrainingError
        If names or shapes differ.
    """
    expected = {name: tuple(tensor.shape) for name, tensor in own.items()}
    found = {name: array.shape for name, array in parameters.items()}
    if found != expected:
        msg = f"parameters of another network: found {found}, expected {expected}; take the same settings for both"
        raise TrainingError(msg)


def step_size(config: OmniFoldConfig, epoch: int) -> float:
    """Return Adam's step size in an epoch (from 1): constant, or half a cosine from ``learning_rate`` down to zero.

    Loshchilov and Hutter, arXiv:1608.03983, without restarts; it changes from epoch to epoch, and would be zero in
    the one after the last.

    Examples
    --------
    >>> config = OmniFoldConfig(schedule="cosine", learning_rate=1.0, max_epochs=4)
    >>> [round(step_size(config, epoch), 3) for epoch in (1, 2, 3, 4)]
    [1.0, 0.854, 0.5, 0.146]
    """
    if config.schedule == "constant":
        return config.learning_rate
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * (epoch - 1) / config.max_epochs))


def run_epochs(network: Trainable, config: OmniFoldConfig, *, where: str) -> FitSummary:
    """Train until the held-out loss has not fallen for ``patience`` epochs, and keep the best parameters.

    Raises
    ------
    TrainingError
        If the held-out loss becomes non-finite.
    """
    initial = best = _finite(network.held_out_loss(), f"{where}, before the first epoch", config)
    network.keep()
    best_epoch = epoch = 0
    training: list[float] = []
    held_out: list[float] = []
    for epoch in range(1, config.max_epochs + 1):
        training.append(network.epoch(step_size(config, epoch)))
        held_out.append(_finite(network.held_out_loss(), f"{where}, epoch {epoch}", config))
        if held_out[-1] < best:
            best, best_epoch = held_out[-1], epoch
            network.keep()
        elif epoch - best_epoch >= config.patience:
            break
    network.recall()
    return FitSummary(
        epochs=epoch,
        best_epoch=best_epoch,
        initial_loss=initial,
        loss=best,
        training_losses=tuple(training),
        held_out_losses=tuple(held_out),
    )


def _finite(loss: float, where: str, config: OmniFoldConfig) -> float:
    if not math.isfinite(loss):
        msg = (
            f"{where}: the held-out loss is {loss}; expected a finite number. Look for non-finite features or weights, "
            f"or take a smaller learning_rate than {config.learning_rate:g}"
        )
        raise TrainingError(msg)
    return loss
