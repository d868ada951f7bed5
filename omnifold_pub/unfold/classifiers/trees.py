"""Gradient-boosted trees (LightGBM): a fast classifier to check the networks with."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from omnifold_pub.errors import TrainingError
from omnifold_pub.extras import require
from omnifold_pub.unfold.classifiers.base import FitSummary
from omnifold_pub.unfold.config import OmniFoldConfig

require("lightgbm", extra="bdt", purpose="A classifier of boosted trees")
import lightgbm  # noqa: E402 - once it is known to be there

__all__ = ["Trees"]

Vector = NDArray[np.float64]

TREE_LEARNING_RATE = 0.1
"""What is taken of each tree's step; that of the networks is far too small for trees."""

TREES_PER_EPOCH = 10
"""``patience`` counts in epochs of a network; this many trees are as good as one."""

_SETTINGS: dict[str, Any] = {
    "objective": "none",
    "metric": "none",
    "learning_rate": TREE_LEARNING_RATE,
    "min_data_in_leaf": 100,
    "min_sum_hessian_in_leaf": 10.0,  # the weight of 40 rows: one counts 1/4 where the classes are alike
    "feature_pre_filter": False,
    "bagging_fraction": 0.8,  # Friedman, "Stochastic gradient boosting": each tree sees other rows
    "bagging_freq": 1,
    "boost_from_average": False,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}

_MODEL = "model_"
_FLAT = 1e-6
"""Least p(1-p) of a row's curvature: that of a logit of 14, further than weights are ever taken."""


@dataclass(frozen=True, eq=False)
class _Part:
    """The rows that are trained on, or those that are held out.

    Attributes
    ----------
    x : numpy.ndarray
        ``x[row, feature]``, float32.
    w1, w0 : numpy.ndarray
        ``[row]``, scaled to a sum of half the rows each.
    """

    x: NDArray[np.float32]
    w1: Vector
    w0: Vector

    @classmethod
    def of(cls, x: NDArray[np.float32], w1: Vector, w0: Vector, rows: NDArray[np.bool_], where: str) -> Self:
        """Take these rows and equalise their classes."""
        x = np.ascontiguousarray(x[rows], dtype=np.float32)
        if not np.isfinite(x).all():
            msg = f"{where}: {int((~np.isfinite(x)).sum())} features are not finite; expected numbers alone"
            raise TrainingError(msg)
        scaled = []
        for label, weights in ((1, w1[rows]), (0, w0[rows])):
            total = float(weights.sum())
            if not (math.isfinite(total) and total > 0):
                msg = f"{where}: the weights of class {label} sum to {total:g}; expected a finite sum above zero"
                raise TrainingError(msg)
            scaled.append(weights * (len(weights) / 2 / total))
        return cls(x, *scaled)

    def loss(self, logits: Vector) -> float:
        """Return the weighted binary cross-entropy per row; log 2 for logits of 0."""
        positive = np.maximum(logits, 0) + np.log1p(np.exp(-np.abs(logits)))  # faster than numpy.logaddexp
        return float(self.w1 @ (positive - logits) + self.w0 @ positive) / len(logits)

    def derivatives(self, logits: Vector) -> tuple[Vector, Vector]:
        """Return the gradient of each row's loss, and a curvature that is positive whatever the weights' signs.

        A leaf is at rest where its gradients sum to zero, at log(sum of w1 / sum of w0), for any positive curvature:
        this one makes the steps shorter, and nothing else, where weights of both signs meet.
        """
        p = expit(logits)
        curvature = (np.abs(self.w1) + np.abs(self.w0)) * np.maximum(p * (1 - p), _FLAT)
        return (self.w1 + self.w0) * p - self.w1, curvature

    def evaluate(self, logits: Vector, _: lightgbm.Dataset) -> tuple[str, float, bool]:
        """Return the loss as LightGBM asks for it: a name, a value, and that more of it is not better."""
        return "loss", self.loss(logits), False

    def dataset(self, logits: Vector, reference: lightgbm.Dataset | None = None) -> lightgbm.Dataset:
        """Return the rows as LightGBM wants them, to go on from these logits; its labels are of no use to us."""
        return lightgbm.Dataset(self.x, np.zeros(len(self.x)), reference=reference, init_score=logits)


@dataclass(frozen=True, eq=False)
class _Model:
    """The trees of one fit, as LightGBM writes and reads them."""

    text: str
    booster: lightgbm.Booster

    @classmethod
    def read(cls, text: str) -> Self:
        return cls(text, lightgbm.Booster(model_str=text))


def _add_tree(booster: lightgbm.Booster, part: _Part, where: str) -> bool:
    """Grow one more tree; return whether no leaf of it could be split."""
    try:
        return booster.update(fobj=lambda logits, _: part.derivatives(logits))
    except lightgbm.basic.LightGBMError as error:
        msg = f"{where}: LightGBM: {error}"
        raise TrainingError(msg) from error


class Trees:
    """Log-odds as a sum of gradient-boosted trees, grown by LightGBM in one thread.

    Ke et al., "LightGBM: a highly efficient gradient boosting decision tree", NeurIPS 2017. Every row carries the
    weights of both classes: gradient and curvature of its two terms are handed to LightGBM as one. A further fit adds
    trees to those that there are. The same seed and rows give the same bits.

    Parameters
    ----------
    features : int
        Number of features of a row.
    config : OmniFoldConfig
        Of these count ``trees`` (most of them in a fit), ``leaves`` and ``patience`` (one for ten trees).
    seed : int
        Of the rows that each tree sees.
    device : str
        Trees are grown on the CPU, whatever it says.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> x = np.repeat([[-1.0], [1.0]], 500, axis=0).astype(np.float32)
    >>> trees = Trees(1, OmniFoldConfig(classifier="bdt", trees=100), seed=1)
    >>> held_out = rng.random(1000) < 0.2
    >>> w1, w0 = np.where(x[:, 0] > 0, 3.0, 1.0), np.ones(1000)
    >>> summary = trees.fit(x, w1, w0, training=~held_out, held_out=held_out, where="example")
    >>> below, above = trees.logits(np.array([[-1.0], [1.0]], dtype=np.float32))
    >>> print(f"{np.exp(above - below):.1f}")
    3.0
    """

    def __init__(self, features: int, config: OmniFoldConfig, *, seed: int, device: str = "cpu") -> None:  # noqa: ARG002
        self._features = features
        self._config = config
        self._generator = np.random.default_rng(seed)
        self._models: list[_Model] = []

    def fit(
        self,
        x: NDArray[np.float32],
        w1: Vector,
        w0: Vector,
        *,
        training: NDArray[np.bool_],
        held_out: NDArray[np.bool_],
        where: str,
    ) -> FitSummary:
        """Add trees that tell weights ``w1`` from weights ``w0`` over the same rows.

        See `Classifier.fit`; an epoch is a tree. Where no leaf can be split with profit it ends early.

        Raises
        ------
        TrainingError
            If a class is empty, a feature is not finite, or the loss becomes so.
        """
        train = _Part.of(x, w1, w0, training, f"{where}, training part")
        test = _Part.of(x, w1, w0, held_out, f"{where}, held-out part")
        settings = _SETTINGS | {"num_leaves": self._config.leaves, "seed": int(self._generator.integers(2**31))}
        start = self.logits(test.x)
        rows = train.dataset(self.logits(train.x))
        booster = lightgbm.Booster(settings, rows)
        booster.add_valid(test.dataset(start, rows), "held out")
        initial = best = test.loss(start)
        best_tree = 0
        on_training: list[float] = []
        on_held_out: list[float] = []
        most = 0 if (train.x == train.x[0]).all() else self._config.trees  # LightGBM refuses features all constant
        for tree in range(1, most + 1):
            if _add_tree(booster, train, f"{where}, tree {tree}"):
                break
            on_training += [float(found[2]) for found in booster.eval_train(train.evaluate)]
            on_held_out += [float(found[2]) for found in booster.eval_valid(test.evaluate)]
            current = on_held_out[-1]
            if not math.isfinite(current):
                msg = f"{where}, tree {tree}: the held-out loss is {current}; look for weights that are far too large"
                raise TrainingError(msg)
            if current < best:
                best, best_tree = current, tree
            elif tree - best_tree >= self._config.patience * TREES_PER_EPOCH:
                break
        if best_tree:
            self._models.append(_Model.read(booster.model_to_string(num_iteration=best_tree)))
        return FitSummary(
            epochs=len(on_held_out),
            best_epoch=best_tree,
            initial_loss=initial,
            loss=best,
            training_losses=tuple(on_training),
            held_out_losses=tuple(on_held_out),
        )

    def logits(self, x: NDArray[np.float32]) -> Vector:
        """Return ``logit[event]``: the sum over all trees, in float64."""
        total = np.zeros(len(x))
        if len(x):
            x = np.ascontiguousarray(x, dtype=np.float32)
            for model in self._models:
                total += np.asarray(model.booster.predict(x, raw_score=True, num_threads=1), dtype=np.float64)
        return total

    def restart(self) -> None:
        """Forget all trees."""
        self._models.clear()

    @property
    def parameters(self) -> dict[str, NDArray[np.uint8]]:
        """``model_0000`` and so on: what LightGBM writes of each fit's trees, as UTF-8 bytes; logits add up."""
        texts = {f"{_MODEL}{number:04d}": model.text for number, model in enumerate(self._models)}
        return {name: np.frombuffer(text.encode(), dtype=np.uint8).copy() for name, text in texts.items()}

    def load(self, parameters: dict[str, NDArray[Any]]) -> None:
        """Take up the trees of another with as many features.

        Raises
        ------
        TrainingError
            If these are no trees, or those of another number of features; nothing is changed then.
        """
        models = []
        for name in sorted(parameters):
            if not name.startswith(_MODEL):
                msg = f"trees: expected parameters {_MODEL}0000 and so on; found {name!r}: of another classifier"
                raise TrainingError(msg)
            try:
                model = _Model.read(np.asarray(parameters[name], dtype=np.uint8).tobytes().decode())
            except (lightgbm.basic.LightGBMError, UnicodeDecodeError) as error:
                msg = f"trees: {name}: not what LightGBM writes ({error}); the file that it is from is damaged"
                raise TrainingError(msg) from None
            found = model.booster.num_feature()
            if found != self._features:
                msg = f"trees: {name}: expected trees of {self._features} features; found {found}"
                raise TrainingError(msg)
            models.append(model)
        self._models = models
