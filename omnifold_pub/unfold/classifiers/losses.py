"""The loss of every classifier: weighted binary cross-entropy from logits, with the class sums equalised."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from omnifold_pub.errors import TrainingError

__all__ = ["Part", "cross_entropy", "equalised"]


def equalised(
    w1: NDArray[np.float64], w0: NDArray[np.float64], *, where: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scale both classes' weights to a sum of n/2, so that the mean weight per row is 1.

    Parameters
    ----------
    w1, w0 : numpy.ndarray
        ``w1[event]``, ``w0[event]``, float64; some may be negative.
    where : str
        What is being trained, for messages.

    Returns
    -------
    tuple of numpy.ndarray
        The same shapes, float64.

    Raises
    ------
    TrainingError
        If there are no rows, or a class does not sum to a finite number above zero.

    Examples
    --------
    >>> w1, w0 = equalised(np.array([4.0, 0.0]), np.array([0.0, 0.5]), where="example")
    >>> w1.tolist(), w0.tolist()
    ([1.0, 0.0], [0.0, 1.0])
    """
    if len(w1) == 0:
        msg = f"{where}: no rows; expected some of both classes in the training part and in the held-out part"
        raise TrainingError(msg)
    sums = float(w1.sum()), float(w0.sum())
    for label, total in zip((1, 0), sums, strict=True):
        if not (math.isfinite(total) and total > 0):
            msg = f"{where}: the weights of class {label} sum to {total:g}; expected a finite sum above zero"
            raise TrainingError(msg)
    half = len(w1) / 2
    return w1 * (half / sums[0]), w0 * (half / sums[1])


def cross_entropy(z: torch.Tensor, total: torch.Tensor, signal: torch.Tensor) -> torch.Tensor:
    """Sum over rows of w1 BCE(z, 1) + w0 BCE(z, 0), given w1 + w0 (``total``) and w1 (``signal``); a float64 scalar.

    BCE(z, 0) = log(1 + exp z) = softplus(z) and BCE(z, 1) = softplus(z) - z. Its gradient with respect to z is
    (w1 + w0) sigmoid(z) - w1; its minimum over all functions is z = log(w1 / w0) per unit of x.

    Examples
    --------
    >>> one = torch.ones(1)
    >>> f"{float(cross_entropy(torch.zeros(1), 2 * one, one)) / 2:.6f}"
    '0.693147'
    """
    return (total * nn.functional.softplus(z) - signal * z).sum(dtype=torch.float64)


@dataclass(frozen=True)
class Part:
    """Rows to train on, or to hold out, with their equalised weights.

    Attributes
    ----------
    rows : torch.Tensor
        ``rows[k]``: the part's rows of x, int64.
    weights : torch.Tensor
        ``weights[k, 2]``, float32: w1 + w0, and w1.
    """

    rows: torch.Tensor
    weights: torch.Tensor

    @classmethod
    def select(
        cls,
        mask: NDArray[np.bool_],
        w1: NDArray[np.float64],
        w0: NDArray[np.float64],
        *,
        where: str,
        device: torch.device,
    ) -> Part:
        """Select the rows of a mask, equalise their weights and move them to the device.

        Raises
        ------
        TrainingError
            If a class is empty.
        """
        rows = np.flatnonzero(mask)
        one, zero = equalised(w1[rows], w0[rows], where=where)
        weights = np.stack([one + zero, one], axis=1).astype(np.float32)
        return cls(torch.from_numpy(rows).to(device), torch.from_numpy(weights).to(device))

    def mean_loss(self, z: torch.Tensor) -> float:
        """Return the loss per row, given ``z[k]``; log 2 for an untrained classifier."""
        return float(cross_entropy(z, self.weights[:, 0], self.weights[:, 1])) / len(self.rows)
