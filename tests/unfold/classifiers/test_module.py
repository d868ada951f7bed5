"""What is special about a network of the user's own; what it shares with the MLP is tested beside that."""

from __future__ import annotations

import dataclasses
import sys
import types
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from omnifold_pub.errors import TrainingError
from omnifold_pub.unfold.classifiers.module import Module
from omnifold_pub.unfold.config import OmniFoldConfig

CONFIG = OmniFoldConfig(classifier="module", module="user_code:network", batch_size=64, max_epochs=5)


class Fancy(nn.Module):
    """With drop-out, a counter of integers, and a logit without an axis of its own."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(features, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2))
        self.last = nn.Linear(16, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z: torch.Tensor = self.last(self.layers(x))
        return z[:, 0]


@pytest.fixture
def user_code(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A module of the user's, to be filled."""
    code: Any = types.ModuleType("user_code")
    code.number = 3
    code.fancy = Fancy
    code.text = lambda features: "a network"
    code.wide = lambda features: nn.Linear(features, 2)
    code.sequence = lambda features: nn.LSTM(features, 1)
    code.frozen = lambda features: nn.ReLU()
    code.network = lambda features, *, units: nn.Sequential(nn.Linear(features, units), nn.ReLU(), nn.Linear(units, 1))
    monkeypatch.setitem(sys.modules, "user_code", code)
    module: types.ModuleType = code
    return module


@pytest.mark.usefixtures("user_code")
@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("", {}, "found ''; expected 'package.module:function'"),
        ("user_code.network", {}, "expected 'package.module:function'"),
        ("no_such_code:network", {}, "'no_such_code' of 'no_such_code:network' cannot be imported"),
        ("user_code:other", {}, "'user_code:other' is of type NoneType; expected a function"),
        ("user_code:number", {}, "'user_code:number' is of type int; expected a function"),
        ("user_code:text", {}, "user_code:text returned str; expected a torch.nn.Module"),
        ("user_code:network", {}, "cannot be called with .* missing a required .*'units'"),
        ("user_code:network", {"unit": 3}, r"cannot be called with .* module_settings \['unit'\]"),
        (
            "user_code:wide",
            {},
            r"network of user_code:wide returned \[2, 2\] for 2 rows; expected .* \[2\] or \[2, 1\]",
        ),
        ("user_code:sequence", {}, "network of user_code:sequence returned tuple for 2 rows"),
        ("user_code:frozen", {}, "user_code:frozen has no parameters to train"),
    ],
)
def test_what_cannot_be_used_is_refused_when_it_is_built(name: str, settings: dict[str, Any], message: str) -> None:
    config = dataclasses.replace(CONFIG, module=name, module_settings=settings)
    with pytest.raises(TrainingError, match=message):
        Module(4, config, seed=1)


def test_settings_arrive(user_code: types.ModuleType) -> None:
    classifier = Module(4, dataclasses.replace(CONFIG, module_settings={"units": 7}), seed=1)
    assert classifier.parameters["network.0.weight"].shape == (7, 4)


@pytest.mark.usefixtures("user_code")
def test_buffers_and_dropout() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(0, 1, (600, 4)).astype(np.float32)
    labels = (rng.random(600) < 1 / (1 + np.exp(-2 * x[:, 0]))).astype(float)
    held_out = np.arange(600) % 3 == 0
    config = dataclasses.replace(CONFIG, module="user_code:fancy", learning_rate=0.01)

    def trained() -> Module:
        classifier = Module(4, config, seed=5)
        classifier.fit(x, labels, 1 - labels, training=~held_out, held_out=held_out, where="test")
        return classifier

    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    classifier = trained()
    assert torch.rand(1) == expected  # the global generator is as it was
    counter = classifier.parameters["network.layers.1.num_batches_tracked"]
    assert np.issubdtype(counter.dtype, np.integer)
    assert counter > 0
    logits = classifier.logits(x)
    assert np.corrcoef(logits, x[:, 0])[0, 1] > 0.8
    assert (classifier.logits(x) == logits).all()  # no drop-out, and the running means stay
    torch.manual_seed(77)
    assert (trained().logits(x) == logits).all()
    other = Module(4, config, seed=6)
    other.load(classifier.parameters)
    assert (other.logits(x) == logits).all()
