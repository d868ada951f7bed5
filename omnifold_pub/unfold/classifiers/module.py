"""A classifier around a PyTorch network of the user's own."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from omnifold_pub.errors import TrainingError
from omnifold_pub.unfold.classifiers.base import FitSummary
from omnifold_pub.unfold.classifiers.fitting import Shuffle, check_shapes, run_epochs
from omnifold_pub.unfold.classifiers.losses import Part, cross_entropy
from omnifold_pub.unfold.config import OmniFoldConfig

__all__ = ["Module"]

_BLOCK = 8192
"""Most rows that are evaluated together."""


class Module:
    """Any `torch.nn.Module` that returns one logit per row; a `Classifier`.

    It is trained with autograd; loss, batches, early stopping, schedule and Adam are those of `MLP`. Whatever it draws
    (first parameters, dropout) comes from the seed, and PyTorch's global generator is left as it was. Its last
    `torch.nn.Linear`, if that has one output, starts at zero as that of `MLP` does; and its logits are multiplied by a
    scale that is 0 until it has been trained to something better than "no difference", then 1.

    Parameters
    ----------
    features : int
        Number of features.
    config : OmniFoldConfig
        ``module`` (``package.module:function``; anything callable will do), ``module_settings``, and what `MLP` looks
        at but for the shape of the network and ``precision``.
    seed : int
        Of the first parameters, of the order of the rows and of what the network draws itself.
    device : str
        Of PyTorch.

    Raises
    ------
    TrainingError
        If the network cannot be built: nothing to import, not callable, other arguments, not a `torch.nn.Module`, not
        one logit per row.

    Examples
    --------
    >>> config = OmniFoldConfig(classifier="module", module="torch.nn:Linear", module_settings={"out_features": 1})
    >>> classifier = Module(3, config, seed=1)
    >>> sorted(classifier.parameters)
    ['network.bias', 'network.weight', 'scale']
    >>> classifier.logits(np.ones((2, 3), dtype=np.float32))
    array([0., 0.])
    """

    def __init__(self, features: int, config: OmniFoldConfig, *, seed: int, device: str = "cpu") -> None:
        self._features = features
        self._config = config
        self._device = torch.device(device)
        self._seed = seed
        self._generator = torch.Generator().manual_seed(seed)
        self._build = _imported(config.module)
        self._network: _Scaled
        self.restart()

    def restart(self) -> None:
        """Forget all that was learned: a fresh network, drawn from what the seed gives next."""
        settings = self._config.module_settings
        try:
            inspect.signature(self._build).bind(self._features, **settings)
        except TypeError as error:
            msg = (
                f"{self._config.module} cannot be called with the number of features and module_settings "
                f"{sorted(settings)}: {error}; expected it to take them by name"
            )
            raise TrainingError(msg) from error
        with _seeded(self._draw(), self._device):
            network = self._build(self._features, **settings)
        if not isinstance(network, nn.Module):
            msg = f"{self._config.module} returned {type(network).__name__}; expected a torch.nn.Module"
            raise TrainingError(msg)
        if not any(parameter.requires_grad for parameter in network.parameters()):
            msg = f"the network of {self._config.module} has no parameters to train; expected some"
            raise TrainingError(msg)
        linear = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
        if linear and linear[-1].out_features == 1:
            for parameter in linear[-1].parameters():
                nn.init.zeros_(parameter)
        self._network = _Scaled(network, self._config.module).to(self._device)
        self.logits(np.zeros((2, self._features), dtype=np.float32))  # a wrong shape is better found before the fit

    @property
    def parameters(self) -> dict[str, NDArray[Any]]:
        """Copies of the network's state as ``network.<name>``, floating point as float32, and of ``scale``."""
        return {
            name: (tensor.float() if tensor.is_floating_point() else tensor).cpu().numpy().copy()
            for name, tensor in self._network.state_dict().items()
        }

    def load(self, parameters: dict[str, NDArray[Any]]) -> None:
        """Take up the parameters of another network of the same shape.

        Raises
        ------
        TrainingError
            If names or shapes differ.
        """
        check_shapes(parameters, self._network.state_dict())
        self._network.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in parameters.items()})

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
            If a class is empty, the loss becomes non-finite, or the network does not return one logit per row.
        """
        trained = Part.select(training, w1, w0, where=f"{where}, training part", device=self._device)
        tested = Part.select(held_out, w1, w0, where=f"{where}, held-out part", device=self._device)
        batch = self._config.batch_size
        table = torch.from_numpy(np.require(x, np.float32, ["C", "W"])).to(self._device)
        shuffle = Shuffle(trained, batch=batch, block=batch, generator=self._generator)
        with _seeded(self._draw(), self._device):
            return run_epochs(_Fit(self._network, table, shuffle, tested), self._config, where=where)

    def logits(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return ``logit[event]``, float64.

        Parameters
        ----------
        x : numpy.ndarray
            ``x[event, feature]``, float32.
        """
        table = torch.from_numpy(np.require(x, np.float32, ["C", "W"]))
        with _seeded(self._seed, self._device):
            z = _evaluate(self._network, [block.to(self._device) for block in torch.split(table, _BLOCK)])
        return z.cpu().numpy().astype(np.float64)

    def _draw(self) -> int:
        return int(torch.randint(2**62, (), generator=self._generator))


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Let what draws from PyTorch's global generators draw from a seed of ours, and put them back."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


class _Scaled(nn.Module):
    """The user's network, its output as ``z[row]``, times a scale."""

    scale: torch.Tensor

    def __init__(self, network: nn.Module, name: str) -> None:
        super().__init__()
        self.network = network
        self.name = name
        self.register_buffer("scale", torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = self.network(x)
        if not isinstance(z, torch.Tensor) or z.shape not in ((len(x),), (len(x), 1)):
            found = list(z.shape) if isinstance(z, torch.Tensor) else type(z).__name__
            msg = (
                f"the network of {self.name} returned {found} for {len(x)} rows; "
                f"expected one logit for each: [{len(x)}] or [{len(x)}, 1]"
            )
            raise TrainingError(msg)
        return self.scale * z.reshape(len(x))


class _Fit:
    """One fit of a network, as the loop over epochs sees it."""

    def __init__(self, network: _Scaled, x: torch.Tensor, shuffle: Shuffle, tested: Part) -> None:
        self._network = network
        self._x = x
        self._shuffle = shuffle
        self._tested = tested
        parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
        self._optimiser = torch.optim.Adam(parameters, fused=True)
        self._kept: dict[str, torch.Tensor] = {}

    def epoch(self, learning_rate: float) -> float:
        network, optimiser = self._network, self._optimiser
        optimiser.param_groups[0]["lr"] = learning_rate
        network.train()
        network.scale.fill_(1)
        for block in self._shuffle.shuffle():
            z = network(self._x[block.rows])
            block.z.copy_(z.detach())
            optimiser.zero_grad()
            cross_entropy(z, block.total, block.signal).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        return self._shuffle.mean_loss()

    def held_out_loss(self) -> float:
        parts = [self._x[rows] for rows in torch.split(self._tested.rows, _BLOCK)]
        return self._tested.mean_loss(_evaluate(self._network, parts))

    def keep(self) -> None:
        self._kept = {name: tensor.clone() for name, tensor in self._network.state_dict().items()}

    def recall(self) -> None:
        self._network.load_state_dict(self._kept)


def _evaluate(network: nn.Module, parts: list[torch.Tensor]) -> torch.Tensor:
    network.eval()
    with torch.no_grad():
        return torch.cat([network(part).float() for part in parts if len(part)] or [torch.empty(0)])


def _imported(name: str) -> Callable[..., Any]:
    """Import what ``package.module:function`` names."""
    path, colon, attribute = name.partition(":")
    if not (path and colon and attribute):
        msg = f"module: found {name!r}; expected 'package.module:function', which builds a torch.nn.Module"
        raise TrainingError(msg)
    try:
        module = importlib.import_module(path)
    except ImportError as error:
        msg = f"module: {path!r} of {name!r} cannot be imported ({error}); is its folder on PYTHONPATH?"
        raise TrainingError(msg) from error
    found = getattr(module, attribute, None)
    if not callable(found):
        msg = f"module: {name!r} is of type {type(found).__name__}; expected a function that builds a torch.nn.Module"
        raise TrainingError(msg)
    builder: Callable[..., Any] = found
    return builder
