"""A multilayer perceptron with its gradient written out by hand: no graph, no allocation, one flat vector."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch

from omnifold_pub.unfold.classifiers.fitting import Block

__all__ = ["Passes", "Perceptron"]

Activation = Literal["relu", "silu"]

_threshold_backward = torch.ops.aten.threshold_backward.grad_input


class Perceptron:
    """The parameters of fully connected layers that end in one logit, as views of one flat vector.

    Parameters
    ----------
    features : int
        Number of inputs.
    hidden : tuple of int
        Units of the hidden layers.
    device : torch.device
        Where it lives.
    dtype : torch.dtype
        Of the vector.

    Attributes
    ----------
    flat : torch.Tensor
        All parameters.
    weights : list of torch.Tensor
        Of the hidden layers, ``weights[layer][input, unit]``: this way round, the first layer's gradient is a product
        that stays fast for few features.
    biases : list of torch.Tensor
        Of the hidden layers, ``biases[layer][unit]``.
    last : torch.Tensor
        ``last[unit]``: from the last hidden layer to the logit.
    offset : torch.Tensor
        Of the logit, ``[1]``.
    """

    def __init__(
        self, features: int, hidden: tuple[int, ...], *, device: torch.device, dtype: torch.dtype = torch.float32
    ) -> None:
        widths = (features, *hidden)
        pairs = list(pairwise(widths))
        self.flat = torch.zeros(sum((k + 1) * n for k, n in pairs) + widths[-1] + 1, dtype=dtype, device=device)
        self.weights: list[torch.Tensor] = []
        self.biases: list[torch.Tensor] = []
        start = 0
        for k, n in pairs:
            self.weights.append(self.flat[start : start + k * n].view(k, n))
            self.biases.append(self.flat[start + k * n : start + (k + 1) * n])
            start += (k + 1) * n
        self.last = self.flat[start:-1]
        self.offset = self.flat[-1:]

    def named(self) -> dict[str, torch.Tensor]:
        """Return views by the names and in the shapes of `torch.nn.Sequential`: ``0.weight[unit, input]`` and so on."""
        views: dict[str, torch.Tensor] = {}
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            views |= {f"{2 * layer}.weight": weight.t(), f"{2 * layer}.bias": bias}
        layer = len(self.weights)
        return views | {f"{2 * layer}.weight": self.last[None, :], f"{2 * layer}.bias": self.offset}

    def randomise(self, generator: torch.Generator) -> None:
        """Draw He-uniform weights; biases and the last layer are zero, so that every logit is.

        Uniform within +-sqrt(6 / inputs): He et al., arXiv:1502.01852.
        """
        self.flat.zero_()
        for weight in self.weights:
            inputs, units = weight.shape
            bound = math.sqrt(6 / inputs)
            drawn = torch.empty(units, inputs).uniform_(-bound, bound, generator=generator)
            weight.copy_(drawn.t())


class Passes:
    """Forward and backward passes over blocks of rows, in buffers made once.

    With ``dtype`` bfloat16 the products of the hidden layers take bfloat16 factors; the last layer, the loss, the
    parameters and the sums over a block stay in float32.

    Parameters
    ----------
    network : Perceptron
        In float32.
    rows : int
        Most rows in a block.
    activation : {"relu", "silu"}
        Of the hidden layers.
    dtype : torch.dtype
        Of the products: float32 or bfloat16.

    Attributes
    ----------
    gradient : Perceptron
        The gradient of the loss, in float32, once the last block of a batch has gone through.
    """

    def __init__(self, network: Perceptron, rows: int, *, activation: Activation, dtype: torch.dtype) -> None:
        device = network.flat.device
        hidden = tuple(len(bias) for bias in network.biases)
        features = len(network.weights[0]) if hidden else len(network.last)
        self.rows, self.dtype = rows, dtype
        self.network = self._factors = network
        self.gradient = self._products = Perceptron(features, hidden, device=device)
        self._reduced = dtype != torch.float32
        if self._reduced:
            self._factors = Perceptron(features, hidden, device=device, dtype=dtype)
            self._products = Perceptron(features, hidden, device=device, dtype=dtype)
            self.refresh()
        self._silu = activation == "silu"

        def make(width: int, dtype: torch.dtype = dtype) -> torch.Tensor:
            return torch.empty(rows, width, dtype=dtype, device=device)

        widest = max(hidden, default=0)
        self._memory = _Buffers(
            x=make(features),
            outputs=[make(width) for width in hidden],
            gates=[make(width) for width in hidden] if self._silu else [],
            slopes=[make(widest).view(-1), make(widest).view(-1)],
            top=make(len(network.last), torch.float32) if self._reduced else torch.empty(rows, 0),
            residual=make(1, torch.float32),
            ones=torch.ones(rows, device=device),
        )
        self._views: dict[int, _Buffers] = {}
        self._unit = torch.ones((), dtype=dtype, device=device)

    def refresh(self) -> None:
        """Take up changed parameters."""
        if self._reduced:
            self._factors.flat.copy_(self.network.flat)

    def gather(self, x: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """Return ``x[rows]``, in a buffer."""
        out = self._buffers(len(rows)).x
        return torch.index_select(x, 0, rows, out=out)

    def forward(self, x: torch.Tensor, *, z: torch.Tensor) -> None:
        """Put the logits of a block ``x[row, feature]`` into ``z[row]``, and keep what the way back needs."""
        buffers = self._buffers(len(x))
        for layer, (weight, bias) in enumerate(zip(self._factors.weights, self._factors.biases, strict=True)):
            output = buffers.outputs[layer]
            torch.addmm(bias, x, weight, out=output)
            if self._silu:
                torch.sigmoid(output, out=buffers.gates[layer])
                output.mul_(buffers.gates[layer])
            else:
                output.relu_()
            x = output
        top = buffers.top.copy_(x) if self._reduced else x
        torch.addmv(self.network.offset, top, self.network.last, out=z)

    def backward(self, x: torch.Tensor, block: Block) -> None:
        """Add the gradient of a block that has just gone forward to that of its batch."""
        buffers = self._buffers(len(x))
        outputs, slopes = buffers.outputs, buffers.slopes
        beta = 0 if block.first else 1
        residual = torch.sigmoid(block.z, out=buffers.residual[:, 0]).mul_(block.total).sub_(block.signal)
        top = buffers.top if self._reduced else outputs[-1] if outputs else x
        gradient = self.gradient
        torch.addmv(gradient.last, top.t(), residual, beta=beta, out=gradient.last)
        torch.addmv(gradient.offset, buffers.ones[None, :], residual, beta=beta, out=gradient.offset)
        depth = len(outputs)
        if depth:
            torch.mul(buffers.residual, self.network.last, out=slopes[depth - 1])
        for layer in reversed(range(depth)):
            slope, output = slopes[layer], outputs[layer]
            if self._silu:  # with s = sigmoid(a) and h = a s: dh/da = h + s (1 - h)
                slope.mul_(torch.lerp(output, self._unit, buffers.gates[layer], out=buffers.gates[layer]))
            else:
                _threshold_backward(slope, output, 0, grad_input=slope)
            weight, bias = self._products.weights[layer], self._products.biases[layer]
            before = outputs[layer - 1] if layer else x
            torch.addmm(weight, before.t(), slope, beta=beta, out=weight)
            if self._reduced:  # a bfloat16 product with a vector is slow
                bias.mul_(beta).add_(slope.sum(0))
            else:
                torch.addmv(bias, slope.t(), buffers.ones, beta=beta, out=bias)
            if layer:
                torch.mm(slope, self._factors.weights[layer].t(), out=slopes[layer - 1])
        if self._reduced and block.last:
            count = len(gradient.flat) - len(gradient.last) - 1
            gradient.flat[:count].copy_(self._products.flat[:count])

    def _buffers(self, rows: int) -> _Buffers:
        if rows not in self._views:
            memory = self._memory
            widths = [output.shape[1] for output in memory.outputs]
            self._views[rows] = _Buffers(
                x=memory.x[:rows],
                outputs=[output[:rows] for output in memory.outputs],
                gates=[gate[:rows] for gate in memory.gates],
                slopes=[
                    memory.slopes[layer % 2][: rows * width].view(rows, width) for layer, width in enumerate(widths)
                ],
                top=memory.top[:rows],
                residual=memory.residual[:rows],
                ones=memory.ones[:rows],
            )
        return self._views[rows]


@dataclass(frozen=True)
class _Buffers:
    """What a block of so many rows leaves behind on its way; layers whose slopes are next to each other alternate."""

    x: torch.Tensor
    outputs: list[torch.Tensor]
    gates: list[torch.Tensor]
    slopes: list[torch.Tensor]
    top: torch.Tensor
    residual: torch.Tensor
    ones: torch.Tensor
