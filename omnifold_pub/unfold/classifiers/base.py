"""What the engine asks of a classifier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Classifier", "FitSummary"]


@dataclass(frozen=True)
class FitSummary:
    """How one fit of a classifier went.

    Attributes
    ----------
    epochs : int
        Epochs (or trees) that were run.
    best_epoch : int
        The epoch whose parameters were kept; 0 is the classifier as it came in.
    initial_loss, loss : float
        Weighted binary cross-entropy on the held-out part, before and at the best epoch (log 2 = no separation).
    training_losses, held_out_losses : tuple of float
        The same after each epoch, on both parts; that of the training part is the mean over the epoch's batches.
    """

    epochs: int
    best_epoch: int
    initial_loss: float
    loss: float
    training_losses: tuple[float, ...] = ()
    held_out_losses: tuple[float, ...] = ()


class Classifier(Protocol):
    """Learns log(w1 / w0) as a function of the features.

    Built with its number of features, the settings and a seed; everything random in it comes from that seed.
    An untrained one says "no difference": logit 0.
    """

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
        """Train to tell weights ``w1`` from weights ``w0`` over the same rows, starting from what it is.

        Each row carries both weights (one of them zero where the classes are different events). Both may be negative
        for some rows, but must sum to more than zero in either part. The class sums are equalised in each part by
        itself. The parameters of the epoch with the lowest held-out loss are kept, those before the first included.

        Parameters
        ----------
        x : numpy.ndarray
            ``x[event, feature]``, float32.
        w1, w0 : numpy.ndarray
            ``w1[event]``, ``w0[event]``, float64.
        training, held_out : numpy.ndarray
            ``[event]``: rows to train on, and rows for early stopping; the others are not looked at.
        where : str
            What is being trained, for messages.

        Raises
        ------
        TrainingError
            If a class is empty or the loss becomes non-finite.
        """

    def logits(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return ``logit[event]``, float64, computed in float32 or better."""

    def restart(self) -> None:
        """Forget all that was learned: fresh parameters, for a cold start."""

    @property
    def parameters(self) -> dict[str, NDArray[Any]]:
        """What it has learned, by name, as copies: arrays of numbers from which it can be rebuilt."""

    def load(self, parameters: dict[str, NDArray[Any]]) -> None:
        """Take up what another of the same shape has learned.

        Raises
        ------
        TrainingError
            If it is of another shape.
        """
