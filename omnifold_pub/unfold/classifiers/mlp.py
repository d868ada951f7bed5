"""The default classifier: a multilayer perceptron, trained by Adam at the speed of its matrix products."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from omnifold_pub.errors import TrainingError
from omnifold_pub.unfold.classifiers.base import FitSummary
from omnifold_pub.unfold.classifiers.fitting import Shuffle, check_shapes, run_epochs
from omnifold_pub.unfold.classifiers.losses import Part
from omnifold_pub.unfold.classifiers.perceptron import Passes, Perceptron
from omnifold_pub.unfold.config import OmniFoldConfig

__all__ = ["MLP"]

_BLOCK = {torch.float32: 1024, torch.bfloat16: 4096}
"""Most rows that go through the network together on a CPU: enough for fast products, few enough for its cache."""

_GPU_BLOCK = 65536

_BFLOAT16_INSTRUCTIONS = ("avx512_bf16", "amx_bf16", "bf16")
"""As `torch.cpu.get_capabilities` names them: of Intel and AMD, of Intel, of Arm."""


class MLP:
    """Fully connected layers and one logit; a `Classifier`.

    The loss is the weighted binary cross-entropy with equalised class sums, its gradient is written out by hand, and
    Adam (Kingma and Ba, arXiv:1412.6980; beta = 0.9, 0.999; epsilon = 1e-8) takes one step per batch. The same seed
    gives the same bits in one thread on one machine.

    Parameters
    ----------
    features : int
        Number of features.
    config : OmniFoldConfig
        ``hidden``, ``activation``, ``precision``, ``batch_size``, ``learning_rate``, ``schedule``, ``max_epochs`` and
        ``patience`` are looked at.
    seed : int
        Of the first parameters and of the order of the rows.
    device : str
        Of PyTorch: ``cpu``, ``cuda``, ``cuda:1``.

    Raises
    ------
    TrainingError
        If ``precision`` is bfloat16 and the processor has no instructions for it.

    Examples
    --------
    >>> config = OmniFoldConfig(hidden=(16,), learning_rate=0.01, max_epochs=10)
    >>> x = np.random.default_rng(1).normal(size=(4000, 1)).astype(np.float32)
    >>> w0 = np.ones(4000)
    >>> w1 = np.exp(x[:, 0].astype(np.float64))
    >>> held_out = np.arange(4000) % 5 == 0
    >>> mlp = MLP(1, config, seed=1)
    >>> mlp.logits(x[:2])
    array([0., 0.])
    >>> summary = mlp.fit(x, w1, w0, training=~held_out, held_out=held_out, where="example")
    >>> summary.loss < summary.initial_loss
    True
    """

    def __init__(self, features: int, config: OmniFoldConfig, *, seed: int, device: str = "cpu") -> None:
        self._features = features
        self._config = config
        self._device = torch.device(device)
        self._dtype = torch.bfloat16 if config.precision == "bfloat16" else torch.float32
        if self._dtype == torch.bfloat16 and not _has_bfloat16(self._device):
            msg = (
                f"precision: found 'bfloat16', but device {device!r} of this machine has no instructions for it "
                f"({', '.join(_BFLOAT16_INSTRUCTIONS)}, or a GPU that has); expected 'float32' here"
            )
            raise TrainingError(msg)
        self._generator = torch.Generator().manual_seed(seed)
        self._network = Perceptron(features, config.hidden, device=self._device)
        self.restart()

    def restart(self) -> None:
        """Forget all that was learned: fresh parameters, drawn from what the seed gives next."""
        self._network.randomise(self._generator)

    @property
    def parameters(self) -> dict[str, NDArray[Any]]:
        """Copies of ``0.weight[unit, input]``, ``0.bias[unit]``, ``2.weight`` ..., float32; even numbers are layers."""
        return {name: np.ascontiguousarray(view.cpu().numpy()).copy() for name, view in self._network.named().items()}

    def load(self, parameters: dict[str, NDArray[Any]]) -> None:
        """Take up the parameters of another MLP of the same shape.

        Raises
        ------
        TrainingError
            If names or shapes differ.
        """
        views = self._network.named()
        check_shapes(parameters, views)
        for name, view in views.items():
            view.copy_(torch.from_numpy(np.array(parameters[name], dtype=np.float32)))

    def fit(
        self,
        x: NDArray[np.float32],
        w1: NDArray[np.float64],
        w0: NDArray[np.float64],
        *,
        training: NDArray[np.bool_],
        held_out: NDArray[np.bool_],
        where: str,
    ) -> FitSummary:
        """Train to tell weights ``w1`` from weights ``w0`` over the same rows; see `Classifier.fit`.

        Raises
        ------
        TrainingError
            If a class is empty or the loss becomes non-finite.
        """
        trained = Part.select(training, w1, w0, where=f"{where}, training part", device=self._device)
        tested = Part.select(held_out, w1, w0, where=f"{where}, held-out part", device=self._device)
        config = self._config
        with torch.inference_mode():
            fit = _Fit(
                self._network,
                _tensor(x).to(self._device),
                Shuffle(trained, batch=config.batch_size, block=self._block(self._dtype), generator=self._generator),
                tested,
                passes=self._passes(self._dtype),
                predicting=self._passes(torch.float32),
            )
            return run_epochs(fit, config, where=where)

    def logits(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return ``logit[event]``, float64; the products are float32.

        Parameters
        ----------
        x : numpy.ndarray
            ``x[event, feature]``, float32.
        """
        if len(x) == 0:
            return np.empty(0)
        with torch.inference_mode():
            passes = self._passes(torch.float32)
            z = torch.empty(len(x), device=self._device)
            for start in range(0, len(x), passes.rows):
                rows = slice(start, start + passes.rows)
                passes.forward(_tensor(x[rows]).to(self._device), z=z[rows])
        return z.cpu().numpy().astype(np.float64)

    def _passes(self, dtype: torch.dtype) -> Passes:
        return Passes(self._network, self._block(dtype), activation=self._config.activation, dtype=dtype)

    def _block(self, dtype: torch.dtype) -> int:
        return _GPU_BLOCK if self._device.type == "cuda" else _BLOCK[dtype]


class _Fit:
    """One fit of a perceptron, as the loop over epochs sees it."""

    def __init__(
        self,
        network: Perceptron,
        x: torch.Tensor,
        shuffle: Shuffle,
        tested: Part,
        *,
        passes: Passes,
        predicting: Passes,
    ) -> None:
        self._network = network
        self._x = x
        self._factors = x.to(passes.dtype)
        self._shuffle = shuffle
        self._tested = tested
        self._tested_z = torch.empty(len(tested.rows), device=x.device)
        self._passes, self._predicting = passes, predicting
        self._moments = torch.zeros_like(network.flat), torch.zeros_like(network.flat)
        self._steps = torch.zeros((), device=x.device)
        self._kept = network.flat.clone()

    def epoch(self, learning_rate: float) -> float:
        passes = self._passes
        for block in self._shuffle.shuffle():
            x = passes.gather(self._factors, block.rows)
            passes.forward(x, z=block.z)
            passes.backward(x, block)
            if block.last:
                self._step(learning_rate)
                passes.refresh()
        return self._shuffle.mean_loss()

    def _step(self, learning_rate: float) -> None:
        """Take one step of Adam; torch.optim.Adam does the same around it, at four times the cost."""
        self._steps.add_(1)
        torch._fused_adam_(
            [self._network.flat],
            [self._passes.gradient.flat],
            [self._moments[0]],
            [self._moments[1]],
            [],
            [self._steps],
            lr=learning_rate,
            beta1=0.9,
            beta2=0.999,
            weight_decay=0.0,
            eps=1e-8,
            amsgrad=False,
            maximize=False,
        )

    def held_out_loss(self) -> float:
        passes = self._predicting
        for rows, z in zip(
            torch.split(self._tested.rows, passes.rows), torch.split(self._tested_z, passes.rows), strict=True
        ):
            passes.forward(passes.gather(self._x, rows), z=z)
        return self._tested.mean_loss(self._tested_z)

    def keep(self) -> None:
        self._kept.copy_(self._network.flat)

    def recall(self) -> None:
        self._network.flat.copy_(self._kept)


def _tensor(x: NDArray[np.float32]) -> torch.Tensor:
    """Return a tensor of the same memory; of a copy where PyTorch would warn of memory that is for reading only."""
    return torch.from_numpy(np.require(x, np.float32, ["C", "W"]))


def _has_bfloat16(device: torch.device) -> bool:
    """Say whether a device multiplies in bfloat16 itself; where it does not, PyTorch emulates it, far slower."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    found = torch.cpu.get_capabilities()
    return any(bool(found.get(name)) for name in _BFLOAT16_INSTRUCTIONS)
