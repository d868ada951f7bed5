from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from omnifold_pub.unfold.classifier import build_network, fit, logits
from omnifold_pub.unfold.config import OmniFoldConfig

CONFIG = OmniFoldConfig(hidden=(32, 32), batch_size=1024, learning_rate=3e-3, max_epochs=15)


def test_an_untrained_network_says_no_difference() -> None:
    network = build_network(3, (8, 8), torch.Generator().manual_seed(1))
    assert (logits(network, torch.randn(10, 3)) == 0).all()


def test_logits_are_the_log_likelihood_ratio() -> None:
    rng = np.random.default_rng(1)
    n = 40_000
    x = np.concatenate([rng.normal(0.5, 1, n), rng.normal(-0.5, 1, n)]).astype(np.float32)[:, np.newaxis]
    w1 = np.repeat([2.0, 0.0], n)  # class sums are equalised: the factor must not matter
    w0 = np.repeat([0.0, 1.0], n)
    generator = torch.Generator().manual_seed(1)
    network = build_network(1, CONFIG.hidden, generator)
    tensor = torch.from_numpy(x)
    held_out = rng.random(2 * n) < 0.2
    summary = fit(network, tensor, w1, w0, held_out=held_out, config=CONFIG, generator=generator, where="test")
    grid = np.linspace(-1.5, 1.5, 31)
    learned = logits(network, torch.from_numpy(grid.astype(np.float32)[:, np.newaxis]))
    assert learned == pytest.approx(grid, abs=0.12)  # log N(x; .5, 1) / N(x; -.5, 1) = x
    assert summary.initial_loss == pytest.approx(np.log(2))
    assert summary.loss < summary.initial_loss


def test_one_row_with_both_weights_equals_two_rows() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(0, 1, (3000, 1)).astype(np.float32)
    w0 = rng.gamma(2, 1, 3000)
    w1 = w0 * np.exp(0.3 * x[:, 0])
    held_out = np.arange(3000) % 5 == 0
    config = dataclasses.replace(CONFIG, batch_size=100_000, max_epochs=40)  # full batches: order does not matter

    def trained(x: np.ndarray, w1: np.ndarray, w0: np.ndarray, held_out: np.ndarray) -> np.ndarray:
        generator = torch.Generator().manual_seed(1)
        network = build_network(1, (16,), generator)
        fit(network, torch.from_numpy(x), w1, w0, held_out=held_out, config=config, generator=generator, where="test")
        return logits(network, torch.from_numpy(x[:100]))

    zero = np.zeros(3000)
    once = trained(x, w1, w0, held_out)
    twice = trained(np.tile(x, (2, 1)), np.r_[w1, zero], np.r_[zero, w0], np.tile(held_out, 2))
    assert once == pytest.approx(twice, abs=1e-3)


def test_the_network_before_the_first_epoch_is_kept_if_none_is_better() -> None:
    rng = np.random.default_rng(3)
    x = torch.from_numpy(rng.normal(0, 1, (400, 5)).astype(np.float32))
    labels = (rng.random(400) < 0.5).astype(float)
    generator = torch.Generator().manual_seed(1)
    network = build_network(5, (64,), generator)
    config = dataclasses.replace(CONFIG, learning_rate=0.3, patience=2, max_epochs=5)
    held_out = np.arange(400) % 2 == 0
    summary = fit(network, x, labels, 1 - labels, held_out=held_out, config=config, generator=generator, where="test")
    assert (summary.best_epoch, summary.epochs) == (0, 2)
    assert (logits(network, x) == 0).all()
