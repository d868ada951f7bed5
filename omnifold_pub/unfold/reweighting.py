"""A density ratio that is learned again in every iteration, over rows that stay the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.unfold.classifiers import build_classifier
from omnifold_pub.unfold.config import OmniFoldConfig
from omnifold_pub.unfold.diagnostics import fit_diagnostics

__all__ = ["Clamps", "Reweighter"]

Weights = NDArray[np.float64]


@dataclass
class Clamps:
    """What the declared clamp of the logits has touched, over a whole run.

    Attributes
    ----------
    touched, evaluated : int
        Logits beyond the clamp, and all of them.
    weight_touched, weight_evaluated : float
        The sums of the absolute weights, before the reweighting, of the events behind them.
    """

    touched: int = 0
    evaluated: int = 0
    weight_touched: float = 0.0
    weight_evaluated: float = 0.0


class Reweighter:
    """A classifier of the same rows that is fitted anew in every iteration.

    Parameters
    ----------
    name : str
        For messages.
    x : numpy.ndarray
        ``x[row, feature]``, float32: every row that it is ever asked about.
    trained : numpy.ndarray
        ``[row]``, bool: rows that it is trained on; the others it extrapolates to.
    config : OmniFoldConfig
        Settings.
    rng : numpy.random.Generator
        Source of seeds and held-out rows.
    device : str
        Where it is trained.
    clamps : Clamps
        Counts what the clamp touches.

    Attributes
    ----------
    classifier : Classifier
        What is fitted.
    held_out : numpy.ndarray
        ``[row]``: rows for early stopping, as far as they are trained on.
    """

    def __init__(
        self,
        name: str,
        x: NDArray[np.float32],
        *,
        trained: NDArray[np.bool_],
        config: OmniFoldConfig,
        rng: np.random.Generator,
        device: str,
        clamps: Clamps,
    ) -> None:
        self.name = name
        self.x = np.ascontiguousarray(x, dtype=np.float32)
        self.trained = trained
        self.config = config
        self.clamps = clamps
        self._rng = rng
        self._fits = 0
        self.held_out = self._draw()
        self.classifier = build_classifier(x.shape[1], config, seed=int(rng.integers(2**63)), device=device)

    def _draw(self) -> NDArray[np.bool_]:
        return self._rng.random(len(self.x)) < self.config.held_out

    def fit(self, w1: Weights, w0: Weights) -> tuple[Weights, dict[str, Any]]:
        """Learn log(w1 / w0).

        Parameters
        ----------
        w1, w0 : numpy.ndarray
            ``[row]``; looked at in the rows that are trained on alone.

        Returns
        -------
        logit : numpy.ndarray
            ``logit[row]``, of all rows.
        record : dict
            Losses, and how well the odds are calibrated on the held-out rows.
        """
        self._fits += 1
        if self._fits > 1 and self.config.splits == "fresh":
            self.held_out = self._draw()
        if self._fits > 1 and not self.config.warm_start:
            self.classifier.restart()
        tested = self.trained & self.held_out
        summary = self.classifier.fit(
            self.x,
            w1,
            w0,
            training=self.trained & ~self.held_out,
            held_out=tested,
            where=f"iteration {self._fits}, {self.name}",
        )
        logit = self.classifier.logits(self.x)
        return logit, {
            "initial_loss": summary.initial_loss,
            "training_losses": list(summary.training_losses),
            "held_out_losses": list(summary.held_out_losses),
            "best_epoch": summary.best_epoch,
            **fit_diagnostics(logit[tested], w1[tested], w0[tested]).to_dict(),
        }

    def odds(self, logit: Weights, weight: Weights) -> Weights:
        """Return exp(logit), the logit clamped as declared; ``weight`` is what the odds multiply, and is counted."""
        limit = self.config.max_log_weight
        beyond = np.abs(logit) > limit
        self.clamps.touched += int(np.count_nonzero(beyond))
        self.clamps.evaluated += len(logit)
        self.clamps.weight_touched += float(np.abs(weight[beyond]).sum())
        self.clamps.weight_evaluated += float(np.abs(weight).sum())
        return np.exp(np.clip(logit, -limit, limit))
