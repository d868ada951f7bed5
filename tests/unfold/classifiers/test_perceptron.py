"""Against autograd, on a torch.nn.Sequential with the same parameters."""

from __future__ import annotations

import itertools
from typing import Literal

import pytest
import torch
from torch import nn

from omnifold_pub.unfold.classifiers.fitting import Block
from omnifold_pub.unfold.classifiers.perceptron import Passes, Perceptron

CPU = torch.device("cpu")


def random_perceptron(features: int, hidden: tuple[int, ...]) -> Perceptron:
    network = Perceptron(features, hidden, device=CPU)
    generator = torch.Generator().manual_seed(1)
    network.randomise(generator)
    network.flat.add_(torch.empty_like(network.flat).normal_(0, 0.1, generator=generator))
    return network


def sequential(network: Perceptron, activation: str) -> nn.Sequential:
    widths = [network.named()["0.weight"].shape[1], *(len(bias) for bias in network.biases), 1]
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU() if activation == "relu" else nn.SiLU()]
    reference = nn.Sequential(*layers[:-1])
    reference.load_state_dict(network.named())
    return reference


def blocks(rows: int, sizes: list[int]) -> list[Block]:
    generator = torch.Generator().manual_seed(2)
    total = torch.rand(rows, generator=generator) / rows
    signal = total * torch.rand(rows, generator=generator)
    z = torch.empty(rows)
    ends = list(itertools.accumulate(sizes, initial=0))
    return [
        Block(
            rows=torch.arange(start, stop),
            total=total[start:stop],
            signal=signal[start:stop],
            z=z[start:stop],
            first=start == 0,
            last=stop == rows,
        )
        for start, stop in itertools.pairwise(ends)
    ]


@pytest.mark.parametrize("activation", ["relu", "silu"])
@pytest.mark.parametrize("hidden", [(), (7,), (100, 100, 100), (16, 5, 33, 8)])
@pytest.mark.parametrize("sizes", [[97], [33, 32, 32]])
def test_the_gradient_is_that_of_autograd(
    activation: Literal["relu", "silu"], hidden: tuple[int, ...], sizes: list[int]
) -> None:
    network = random_perceptron(6, hidden)
    x = torch.randn(97, 6, generator=torch.Generator().manual_seed(3))
    passes = Passes(network, 40 if len(sizes) > 1 else 97, activation=activation, dtype=torch.float32)
    passes.gradient.flat.fill_(float("nan"))  # what a batch before has left is not looked at
    parts = blocks(97, sizes)
    for block in parts:
        rows = passes.gather(x, block.rows)
        passes.forward(rows, z=block.z)
        passes.backward(rows, block)

    reference = sequential(network, activation)
    z = reference(x)[:, 0]
    total = torch.cat([block.total for block in parts])
    signal = torch.cat([block.signal for block in parts])
    bce = nn.functional.binary_cross_entropy_with_logits
    one, zero = bce(z, torch.ones(97), reduction="none"), bce(z, torch.zeros(97), reduction="none")
    (signal * one + (total - signal) * zero).sum().backward()  # type: ignore[no-untyped-call]
    assert torch.allclose(torch.cat([block.z for block in parts]), z, rtol=1e-5, atol=1e-6)
    for name, parameter in reference.named_parameters():
        gradient = passes.gradient.named()[name]
        assert parameter.grad is not None
        assert float((gradient - parameter.grad).norm() / parameter.grad.norm()) < 1e-5, name


@pytest.mark.parametrize("activation", ["relu", "silu"])
def test_bfloat16_products_give_nearly_the_same_gradient(activation: Literal["relu", "silu"]) -> None:
    network = random_perceptron(6, (100, 100, 100))
    x = torch.randn(512, 6, generator=torch.Generator().manual_seed(3))
    block = blocks(512, [512])[0]
    found = []
    for dtype in (torch.float32, torch.bfloat16):
        passes = Passes(network, 512, activation=activation, dtype=dtype)
        rows = passes.gather(x.to(dtype), block.rows)
        passes.forward(rows, z=block.z)
        passes.backward(rows, block)
        found.append(passes.gradient.flat)
    assert 0 < float((found[1] - found[0]).norm() / found[0].norm()) < 0.02


def test_bfloat16_products_take_up_changed_parameters() -> None:
    network = random_perceptron(6, (10,))
    passes = Passes(network, 4, activation="relu", dtype=torch.bfloat16)
    x, z = torch.ones(4, 6, dtype=torch.bfloat16), torch.empty(4)
    network.flat.mul_(2)
    passes.refresh()
    passes.forward(x, z=z)
    assert z.tolist() == pytest.approx(sequential(network, "relu")(x.float())[:, 0].tolist(), rel=0.02)


def test_first_parameters_are_he_uniform_and_the_last_layer_is_zero() -> None:
    network = Perceptron(50, (200, 100), device=CPU)
    network.randomise(torch.Generator().manual_seed(1))
    named = network.named()
    assert list(named) == ["0.weight", "0.bias", "2.weight", "2.bias", "4.weight", "4.bias"]
    assert [tuple(view.shape) for view in named.values()] == [(200, 50), (200,), (100, 200), (100,), (1, 100), (1,)]
    for layer, inputs in (("0", 50), ("2", 200)):
        weight = named[f"{layer}.weight"]
        bound = (6 / inputs) ** 0.5
        assert 0.99 * bound < float(weight.abs().max()) <= bound
        assert float(weight.std()) == pytest.approx((2 / inputs) ** 0.5, rel=0.02)  # He: gain of ReLU
    assert not any(named[name].any() for name in ("0.bias", "2.bias", "4.weight", "4.bias"))
