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
    """Classifiers of the same rows, one or one per fold, that are fitted anew in every iteration.

    Parameters
    ----------
    name : str
        For messages.
    x : numpy.ndarray
        ``x[row, feature]``, float32: every row that it is ever asked about.
    trained : numpy.ndarray
        ``[row]``, bool: rows that it is trained on; the others it extrapolates to.
    fold : numpy.ndarray
        ``[row]``, from 0 to ``config.folds - 1``: the network that never trains on the row.
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
    networks : tuple of Classifier
        One per fold.
    held_out : numpy.ndarray
        ``[row]``: rows for early stopping.
    """

    def __init__(
        self,
        name: str,
        x: NDArray[np.float32],
        *,
        trained: NDArray[np.bool_],
        fold: NDArray[np.int64],
        config: OmniFoldConfig,
        rng: np.random.Generator,
        device: str,
        clamps: Clamps,
    ) -> None:
        self.name = name
        self.x = np.ascontiguousarray(x, dtype=np.float32)
        self.trained = trained
        self.fold = fold
        self.config = config
        self.clamps = clamps
        self._rng = rng
        self._fits = 0
        self.held_out = self._draw()
        self.networks = tuple(
            build_classifier(x.shape[1], config, seed=int(rng.integers(2**63)), device=device)
            for _ in range(config.folds)
        )

    def _draw(self) -> NDArray[np.bool_]:
        return self._rng.random(len(self.x)) < self.config.held_out

    def load(self, parameters: dict[str, NDArray[Any]]) -> None:
        """Start from what networks of this kind have learned elsewhere, named as in `parameters`."""
        for prefix, network in self._named_networks():
            network.load({name.removeprefix(prefix): a for name, a in parameters.items() if name.startswith(prefix)})

    @property
    def parameters(self) -> dict[str, NDArray[Any]]:
        """What the networks have learned; with folds, those of fold k are called ``fold<k>/...``."""
        return {
            prefix + name: array
            for prefix, network in self._named_networks()
            for name, array in network.parameters.items()
        }

    def _named_networks(self) -> list[tuple[str, Any]]:
        if self.config.folds == 1:
            return [("", self.networks[0])]
        return [(f"fold{k}/", network) for k, network in enumerate(self.networks)]

    def fit(self, w1: Weights, w0: Weights) -> tuple[Weights, list[dict[str, Any]]]:
        """Learn log(w1 / w0).

        Parameters
        ----------
        w1, w0 : numpy.ndarray
            ``[row]``; looked at in the rows that are trained on alone.

        Returns
        -------
        logit : numpy.ndarray
            ``logit[row]``, of all rows, each from a network of which it is not in the fold's training.
        records : list of dict
            One per fold: losses, and how well the odds are calibrated on rows that the network did not train on.
        """
        self._fits += 1
        if self._fits > 1 and self.config.splits == "fresh":
            self.held_out = self._draw()
        logit = np.empty(len(self.x))
        records = []
        for k, network in enumerate(self.networks):
            if self._fits > 1 and not self.config.warm_start:
                network.restart()
            own = np.ones(len(self.x), dtype=bool) if self.config.folds == 1 else self.fold == k
            inside = self.trained if self.config.folds == 1 else self.trained & ~own
            summary = network.fit(
                self.x,
                w1,
                w0,
                training=inside & ~self.held_out,
                held_out=inside & self.held_out,
                where=f"iteration {self._fits}, {self.name}" + (f", fold {k}" if self.config.folds > 1 else ""),
            )
            logit[own] = network.logits(self.x[own])
            unseen = self.trained & (self.held_out if self.config.folds == 1 else own)
            quality = fit_diagnostics(logit[unseen], w1[unseen], w0[unseen])
            records.append(
                {
                    "initial_loss": summary.initial_loss,
                    "training_losses": list(summary.training_losses),
                    "held_out_losses": list(summary.held_out_losses),
                    "best_epoch": summary.best_epoch,
                    **quality.to_dict(),
                }
            )
        return logit, records

    def odds(self, logit: Weights, weight: Weights) -> Weights:
        """Return exp(logit), the logit clamped as declared; ``weight`` is what the odds multiply, and is counted."""
        limit = self.config.max_log_weight
        beyond = np.abs(logit) > limit
        self.clamps.touched += int(np.count_nonzero(beyond))
        self.clamps.evaluated += len(logit)
        self.clamps.weight_touched += float(np.abs(weight[beyond]).sum())
        self.clamps.weight_evaluated += float(np.abs(weight).sum())
        return np.exp(np.clip(logit, -limit, limit))
