from __future__ import annotations

import dataclasses
import math
import sys
import types
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from omnifold_pub.errors import TrainingError
from omnifold_pub.unfold.classifiers.base import Classifier, FitSummary
from omnifold_pub.unfold.classifiers.mlp import MLP
from omnifold_pub.unfold.classifiers.module import Module
from omnifold_pub.unfold.config import OmniFoldConfig

CONFIG = OmniFoldConfig(hidden=(32, 32), batch_size=1024, learning_rate=3e-3, max_epochs=15)
FITTED = {"training": np.arange(400) % 2 == 0, "held_out": np.arange(400) % 2 == 1, "where": "test"}
GRID = np.linspace(-1.5, 1.5, 31)
HAS_BFLOAT16 = bool(torch.cpu.get_capabilities().get("avx512_bf16"))


def two_layers(features: int, units: int = 32) -> nn.Module:
    """Build a network of the user's own."""
    return nn.Sequential(nn.Linear(features, units), nn.SiLU(), nn.Linear(units, 1))


def build(kind: str, features: int, config: OmniFoldConfig, seed: int = 1) -> MLP | Module:
    """Build an MLP of some activation and precision, or a module."""
    if kind == "module":
        return Module(features, dataclasses.replace(config, module="user_code:two_layers"), seed=seed)
    if "bfloat16" in kind and not HAS_BFLOAT16:
        pytest.skip("this processor has no bfloat16")
    precision: Any = "bfloat16" if "bfloat16" in kind else "float32"
    activation: Any = kind.partition(" ")[0]
    return MLP(features, dataclasses.replace(config, activation=activation, precision=precision), seed=seed)


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    code: Any = types.ModuleType("user_code")
    code.two_layers = two_layers
    monkeypatch.setitem(sys.modules, "user_code", code)


def noise(rows: int = 400, features: int = 5, seed: int = 3) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Make features and labels that have nothing to do with each other."""
    rng = np.random.default_rng(seed)
    return rng.normal(0, 1, (rows, features)).astype(np.float32), (rng.random(rows) < 0.5).astype(float)


ALL = ["relu", "silu", "relu bfloat16", "module"]


@pytest.mark.parametrize("kind", ALL)
def test_an_untrained_one_says_no_difference(kind: str) -> None:
    classifier: Classifier = build(kind, 3, CONFIG)
    logits = classifier.logits(np.ones((10, 3), dtype=np.float32))
    assert logits.dtype == np.float64
    assert (logits == np.zeros(10)).all()
    assert classifier.logits(np.empty((0, 3), dtype=np.float32)).shape == (0,)


@pytest.mark.parametrize("kind", ALL)
def test_logits_are_the_log_likelihood_ratio(kind: str) -> None:
    rng = np.random.default_rng(1)
    n = 40_000
    x = np.concatenate([rng.normal(0.5, 1, n), rng.normal(-0.5, 1, n)]).astype(np.float32)[:, np.newaxis]
    w1 = np.repeat([2.0, 0.0], n)  # class sums are equalised: the factor must not matter
    w0 = np.repeat([0.0, 1.0], n)
    held_out = rng.random(2 * n) < 0.2
    classifier = build(kind, 1, CONFIG)
    summary = classifier.fit(x, w1, w0, training=~held_out, held_out=held_out, where="test")
    learned = classifier.logits(GRID.astype(np.float32)[:, np.newaxis])
    assert learned == pytest.approx(GRID, abs=0.12)  # log N(x; .5, 1) / N(x; -.5, 1) = x
    assert summary.initial_loss == pytest.approx(np.log(2))
    assert summary.loss < summary.initial_loss
    assert len(summary.training_losses) == len(summary.held_out_losses) == summary.epochs
    assert min(summary.held_out_losses) == summary.loss == summary.held_out_losses[summary.best_epoch - 1]
    # The loss of the best possible classifier, by quadrature: E log(1 + exp(-x)) for x ~ N(0.5, 1).
    u = np.linspace(-8, 9, 20_001)
    best = np.trapezoid(np.exp(-((u - 0.5) ** 2) / 2) / np.sqrt(2 * np.pi) * np.log1p(np.exp(-u)), u)
    assert summary.loss == pytest.approx(best, abs=0.01)
    assert summary.training_losses[-1] == pytest.approx(best, abs=0.01)


@pytest.mark.parametrize("kind", ["relu", "module"])
def test_signed_weights_converge_to_the_net_ratio(kind: str) -> None:
    """A fifth of the label-1 events carries negative weight: 1.25 N(.5, 1) - .25 N(0, .8), over N(0, 1)."""
    rng = np.random.default_rng(5)
    n = 60_000
    negative = rng.random(n) < 0.2
    ones = np.where(negative, rng.normal(0, 0.8, n), rng.normal(0.5, 1, n))
    x = np.concatenate([ones, rng.normal(0, 1, n)]).astype(np.float32)[:, np.newaxis]
    # 0.8 n events of weight 1.5625 and 0.2 n of weight -1.25: sums of 1.25 n and -0.25 n.
    w1 = np.concatenate([np.where(negative, -0.25 / 0.2, 1.25 / 0.8), np.zeros(n)])
    w0 = np.repeat([0.0, 1.0], n)
    held_out = np.arange(2 * n) % 5 == 0
    config = dataclasses.replace(CONFIG, max_epochs=12, schedule="cosine")
    classifier = build(kind, 1, config)
    classifier.fit(x, w1, w0, training=~held_out, held_out=held_out, where="test")
    u = np.linspace(-1, 2.5, 36)

    def gauss(mean: float, width: float) -> NDArray[np.float64]:
        return np.asarray(np.exp(-(((u - mean) / width) ** 2) / 2) / width)

    ratio = (1.25 * gauss(0.5, 1) - 0.25 * gauss(0, 0.8)) / gauss(0, 1)
    found = np.exp(classifier.logits(u.astype(np.float32)[:, np.newaxis]))
    assert found == pytest.approx(ratio, rel=0.1)


@pytest.mark.parametrize("kind", ["relu", "module"])
def test_one_row_with_both_weights_equals_two_rows(kind: str) -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(0, 1, (3000, 1)).astype(np.float32)
    w0 = rng.gamma(2, 1, 3000)
    w1 = w0 * np.exp(0.3 * x[:, 0])
    held_out = np.arange(3000) % 5 == 0
    # Full batches: order does not matter.
    config = dataclasses.replace(CONFIG, hidden=(16,), batch_size=100_000, max_epochs=40)

    def trained(x: np.ndarray, w1: np.ndarray, w0: np.ndarray, held_out: np.ndarray) -> np.ndarray:
        classifier = build(kind, 1, config)
        classifier.fit(x, w1, w0, training=~held_out, held_out=held_out, where="test")
        return classifier.logits(x[:100])

    zero = np.zeros(3000)
    once = trained(x, w1, w0, held_out)
    twice = trained(np.tile(x, (2, 1)), np.r_[w1, zero], np.r_[zero, w0], np.tile(held_out, 2))
    assert once == pytest.approx(twice, abs=1e-3)
    assert np.abs(once).max() > 0.1


@pytest.mark.parametrize("kind", ALL)
def test_what_was_there_before_the_first_epoch_is_kept_if_none_is_better(kind: str) -> None:
    x, labels = noise()
    classifier = build(kind, 5, dataclasses.replace(CONFIG, hidden=(64,), learning_rate=0.3, patience=2, max_epochs=5))
    summary = classifier.fit(x, labels, 1 - labels, **FITTED)
    assert (summary.best_epoch, summary.epochs) == (0, 2)
    assert (classifier.logits(x) == 0).all()


@pytest.mark.parametrize("kind", ALL)
def test_rows_of_neither_part_are_not_looked_at(kind: str) -> None:
    x, labels = noise()
    config = dataclasses.replace(CONFIG, max_epochs=2, batch_size=64)
    rows = {"training": np.arange(400) < 200, "held_out": (np.arange(400) >= 200) & (np.arange(400) < 300)}
    found = []
    for junk in (1.0, np.nan):
        x[300:], labels[300:] = junk, junk
        classifier = build(kind, 5, config)
        classifier.fit(x, labels, 1 - labels, **rows, where="test")
        found.append(classifier.parameters)
    assert all(np.array_equal(found[0][name], found[1][name]) for name in found[0])


@pytest.mark.parametrize("kind", ALL)
def test_the_seed_gives_the_same_bits(kind: str) -> None:
    x, labels = noise()
    config = dataclasses.replace(CONFIG, max_epochs=3, batch_size=64)

    def trained(seed: int) -> tuple[FitSummary, bytes]:
        classifier = build(kind, 5, config, seed)
        classifier.fit(x, labels, 1 - labels, **FITTED)
        classifier.logits(x)  # evaluating draws nothing
        classifier.restart()
        summary = classifier.fit(x, labels, 1 - labels, **FITTED)
        return summary, b"".join(array.tobytes() for array in classifier.parameters.values())

    assert trained(1) == trained(1)
    assert trained(1) != trained(2)


@pytest.mark.parametrize("kind", ALL)
def test_parameters_can_be_taken_up_by_another(kind: str) -> None:
    x, labels = noise()
    x[:, 0] += labels
    first, second = build(kind, 5, CONFIG, 1), build(kind, 5, CONFIG, 2)
    first.fit(x, labels, 1 - labels, **FITTED)
    parameters = first.parameters
    assert np.abs(first.logits(x)).max() > 0.1
    second.load(parameters)
    assert (second.logits(x) == first.logits(x)).all()
    assert all(np.array_equal(parameters[name], array) for name, array in second.parameters.items())
    first.restart()
    assert (first.logits(x) == 0).all()
    second.load(parameters)  # copies: the restart has not changed them
    assert np.abs(second.logits(x)).max() > 0.1
    with pytest.raises(TrainingError, match="parameters of another network"):
        build(kind, 6, CONFIG).load(parameters)


@pytest.mark.parametrize("kind", ["relu", "module"])
def test_a_warm_start_begins_where_the_last_fit_ended(kind: str) -> None:
    x, labels = noise()
    x[:, 0] += labels
    classifier = build(kind, 5, dataclasses.replace(CONFIG, learning_rate=0.03))
    before = classifier.fit(x, labels, 1 - labels, **FITTED)
    after = classifier.fit(x, labels, 1 - labels, **FITTED)
    assert before.loss < math.log(2) - 0.02
    assert after.initial_loss == pytest.approx(before.loss, rel=1e-6)
    classifier.restart()
    assert classifier.fit(x, labels, 1 - labels, **FITTED).initial_loss == pytest.approx(math.log(2))


@pytest.mark.parametrize("kind", ["relu", "module"])
def test_an_empty_class_and_features_without_meaning_are_errors(kind: str) -> None:
    x, labels = noise()
    classifier = build(kind, 5, CONFIG)
    with pytest.raises(TrainingError, match="test, training part: the weights of class 1 sum to 0"):
        classifier.fit(x, np.where(FITTED["training"], 0, labels), 1 - labels, **FITTED)
    with pytest.raises(TrainingError, match="test, held-out part: no rows"):
        classifier.fit(x, labels, 1 - labels, training=labels >= 0, held_out=labels < 0, where="test")
    x[0] = np.inf
    with pytest.raises(TrainingError, match=r"test, epoch 1: the held-out loss is nan.*learning_rate than 0\.003"):
        classifier.fit(x, labels, 1 - labels, **FITTED)


def test_the_named_parameters_are_those_of_a_sequential() -> None:
    x, labels = noise()
    x[:, 0] += labels
    mlp = build("relu", 5, CONFIG)
    mlp.fit(x, labels, 1 - labels, **FITTED)
    reference = nn.Sequential(nn.Linear(5, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 1))
    reference.load_state_dict({name: torch.from_numpy(array) for name, array in mlp.parameters.items()})
    with torch.no_grad():
        expected = reference(torch.from_numpy(x))[:, 0].numpy()
    assert mlp.logits(x) == pytest.approx(expected, rel=1e-5, abs=1e-6)
    assert {array.dtype for array in mlp.parameters.values()} == {np.dtype(np.float32)}


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
@pytest.mark.parametrize("kind", ["relu", "silu"])
def test_steps_are_those_of_torch_optim_adam(kind: str, schedule: Any) -> None:
    """Three epochs of one full batch: no order, so that the reference needs none of our code."""
    x, labels = noise()
    x[:, 0] += labels
    config = dataclasses.replace(CONFIG, hidden=(20, 10), batch_size=200, max_epochs=3, schedule=schedule)
    mlp = build(kind, 5, config)
    start = {name: array + np.float32(0.05) for name, array in mlp.parameters.items()}
    mlp.load(start)  # the last layer not at zero: every layer moves from the first step on
    activation = nn.ReLU if kind == "relu" else nn.SiLU
    reference = nn.Sequential(nn.Linear(5, 20), activation(), nn.Linear(20, 10), activation(), nn.Linear(10, 1))
    reference.load_state_dict({name: torch.from_numpy(array) for name, array in mlp.parameters.items()})
    optimiser = torch.optim.Adam(reference.parameters())
    xt, yt = torch.from_numpy(x[::2]), torch.from_numpy(labels[::2])
    weight = torch.where(yt == 1, 0.5 / yt.mean(), 0.5 / (1 - yt.mean()))
    for epoch in range(3):
        factor = 1.0 if schedule == "constant" else (1 + math.cos(math.pi * epoch / 3)) / 2
        optimiser.param_groups[0]["lr"] = 3e-3 * factor
        optimiser.zero_grad()
        z = reference(xt)[:, 0]
        nn.functional.binary_cross_entropy_with_logits(z, yt.float(), weight=weight.float()).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    before = mlp.parameters
    summary = mlp.fit(x, labels, 1 - labels, **FITTED)
    assert summary.best_epoch == 3
    # Together: Adam magnifies the rounding of single gradients that nearly vanish.
    for name, tensor in reference.state_dict().items():
        step = tensor.numpy() - before[name]
        assert np.linalg.norm(mlp.parameters[name] - tensor.numpy()) < 1e-3 * np.linalg.norm(step), name


def test_what_can_only_be_read_is_taken() -> None:
    x, labels = noise()
    x.flags.writeable = False
    mlp = build("relu", 5, CONFIG)
    mlp.fit(x, labels, 1 - labels, **FITTED)
    assert np.isfinite(mlp.logits(x)).all()


def test_blocks_do_not_change_what_is_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    x, labels = noise()
    x[:, 0] += labels
    config = dataclasses.replace(CONFIG, batch_size=150, max_epochs=3)
    found = []
    for block in (1024, 37):
        monkeypatch.setattr("omnifold_pub.unfold.classifiers.mlp._BLOCK", dict.fromkeys([torch.float32], block))
        mlp = build("relu", 5, config)
        mlp.fit(x, labels, 1 - labels, **FITTED)
        found.append(mlp.logits(x))
    assert found[0] == pytest.approx(found[1], abs=1e-4)


def test_bfloat16_is_refused_where_the_processor_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "avx512_bf16": False})
    with pytest.raises(TrainingError, match=r"precision: found 'bfloat16', but device 'cpu'.*expected 'float32'"):
        MLP(3, dataclasses.replace(CONFIG, precision="bfloat16"), seed=1)
