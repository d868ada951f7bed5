from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from omnifold_pub.errors import TrainingError
from omnifold_pub.unfold.classifiers.fitting import Shuffle, run_epochs, step_size
from omnifold_pub.unfold.classifiers.losses import Part, cross_entropy
from omnifold_pub.unfold.config import OmniFoldConfig


class Scripted:
    """Held-out losses that are known beforehand; the parameters are the number of epochs."""

    def __init__(self, losses: list[float]) -> None:
        self.losses = losses
        self.epochs = 0
        self.kept = -1
        self.rates: list[float] = []

    def epoch(self, learning_rate: float) -> float:
        self.epochs += 1
        self.rates.append(learning_rate)
        return self.epochs + 0.5

    def held_out_loss(self) -> float:
        return self.losses[self.epochs]

    def keep(self) -> None:
        self.kept = self.epochs

    def recall(self) -> None:
        self.epochs = self.kept


def test_the_best_epoch_is_kept_and_patience_ends_the_fit() -> None:
    network = Scripted([0.7, 0.6, 0.65, 0.5, 0.5, 0.6, 0.4])
    summary = run_epochs(network, OmniFoldConfig(max_epochs=6, patience=2), where="test")
    assert network.epochs == 3
    assert (summary.epochs, summary.best_epoch, summary.initial_loss, summary.loss) == (5, 3, 0.7, 0.5)
    assert summary.held_out_losses == (0.6, 0.65, 0.5, 0.5, 0.6)
    assert summary.training_losses == (1.5, 2.5, 3.5, 4.5, 5.5)


def test_nothing_learned_is_kept_if_no_epoch_is_better() -> None:
    network = Scripted([0.5, 0.6, 0.5])
    summary = run_epochs(network, OmniFoldConfig(max_epochs=9, patience=2), where="test")
    assert (network.epochs, summary.best_epoch, summary.epochs, summary.loss) == (0, 0, 2, 0.5)


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_an_error_that_says_when(loss: float) -> None:
    network = Scripted([0.7, 0.6, loss])
    with pytest.raises(TrainingError, match=r"fit 3, epoch 2: the held-out loss is (nan|inf).*learning_rate than 0.05"):
        run_epochs(network, OmniFoldConfig(learning_rate=0.05), where="fit 3")


def test_schedules() -> None:
    network = Scripted([1 / (1 + epoch) for epoch in range(11)])
    run_epochs(network, OmniFoldConfig(schedule="cosine", learning_rate=0.2, max_epochs=10), where="test")
    assert network.rates == pytest.approx([0.1 * (1 + math.cos(math.pi * k / 10)) for k in range(10)])
    assert step_size(OmniFoldConfig(learning_rate=0.2), 7) == 0.2


@settings(max_examples=60, deadline=None)
@given(n=st.integers(1, 200), batch=st.integers(1, 90), block=st.integers(1, 40), seed=st.integers(0, 2**40))
def test_an_epoch_shows_every_row_once_in_batches_of_nearly_one_size(n: int, batch: int, block: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random(2 * n) < 0.6
    mask[0] = True
    w1, w0 = rng.random(2 * n) + 0.1, rng.random(2 * n) + 0.1
    part = Part.select(mask, w1, w0, where="test", device=torch.device("cpu"))
    shuffle = Shuffle(part, batch=batch, block=block, generator=torch.Generator().manual_seed(seed))
    weights = dict(zip(part.rows.tolist(), part.weights.tolist(), strict=True))
    batches: list[list[int]] = []
    losses: list[float] = []
    for piece in shuffle.shuffle():
        if piece.first:
            batches.append([])
            losses.append(0)
        batches[-1] += piece.rows.tolist()
        assert len(piece.rows) <= block
        piece.z.copy_(torch.from_numpy(rng.normal(size=len(piece.rows))))
        losses[-1] += float(cross_entropy(piece.z, piece.total, piece.signal))
    assert sorted(row for rows in batches for row in rows) == np.flatnonzero(mask).tolist()
    sizes = [len(rows) for rows in batches]
    assert max(sizes) <= batch
    assert max(sizes) - min(sizes) <= 1
    last = shuffle.blocks[-1]
    share = [[value / sizes[-1] for value in weights[row]] for row in last.rows.tolist()]
    assert torch.stack([last.total, last.signal], dim=1).tolist() == pytest.approx(np.array(share), rel=1e-5)
    assert shuffle.mean_loss() == pytest.approx(np.mean(losses), rel=1e-5, abs=1e-6)


def test_orders_come_from_the_seed_and_change_between_epochs() -> None:
    part = Part.select(np.ones(50, bool), np.ones(50), np.ones(50), where="test", device=torch.device("cpu"))

    def orders(seed: int) -> list[list[int]]:
        shuffle = Shuffle(part, batch=50, block=50, generator=torch.Generator().manual_seed(seed))
        return [shuffle.shuffle()[0].rows.tolist() for _ in range(2)]

    assert orders(1) == orders(1)
    assert orders(1) != orders(2)
    assert orders(1)[0] != orders(1)[1]
