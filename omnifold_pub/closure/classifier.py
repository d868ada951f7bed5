"""The classifier two-sample test: whether a network can tell the unfolded events from the true ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.closure.metric import Floor
from omnifold_pub.closure.points import Points
from omnifold_pub.extras import require
from omnifold_pub.unfold.config import OmniFoldConfig
from omnifold_pub.unfold.diagnostics import fit_diagnostics

__all__ = ["classifier_auc"]

Vector = NDArray[np.float64]

_SEED = 20_191_107  # fixed: the same samples have the same AUC
_TRAINED, _WATCHED = 0.5, 0.1  # of the events; the rest is held out for the AUC
_CONFIG = OmniFoldConfig(hidden=(100, 100), batch_size=1024, learning_rate=3e-4, max_epochs=30, patience=5)


def classifier_auc(points: Points, weights: Sequence[Vector], truth: Vector) -> tuple[list[float], Floor]:
    r"""Return the AUC, on held-out events, of a network that learned to tell the sample from the truth.

    0.5 says that the network found no difference (Lopez-Paz and Oquab, ICLR 2017, arXiv:1610.06545). The floor is
    0.5 with the deviation :math:`\sqrt{(1/n + 1/m) / 12}` (Mann and Whitney, Ann. Math. Statist. 18 (1947) 50), n and m
    the effective events that were held out. A network may miss what there is: within the floor proves nothing.
    The split and the network's start are the same for all sets of weights and for each call.

    Parameters
    ----------
    points : Points
        Both samples.
    weights : sequence of numpy.ndarray
        ``weight[event]`` of the first sample, as many sets as wanted.
    truth : numpy.ndarray
        ``weight[event]`` of the second.

    Returns
    -------
    auc : list of float
        For each set of weights.
    floor : Floor
        For the first set.

    Raises
    ------
    MissingExtraError
        If PyTorch is not installed.
    TrainingError
        If a part of a sample has no positive sum of weights.
    """
    require("torch", extra="unfold", purpose="The classifier test of a closure (it can be left out)")
    from omnifold_pub.unfold.classifiers import build_classifier

    x = np.concatenate([points.unfolded, points.truth]).astype(np.float32)
    rng = np.random.default_rng(_SEED)
    place = rng.random(len(x))
    training, watched, judged = place < _TRAINED, (place >= _TRAINED) & (place < _TRAINED + _WATCHED), place >= 0.6
    none, w1 = np.zeros(len(truth)), np.concatenate([np.zeros(len(points.unfolded)), truth])
    found, floor = [], 0.0
    for number, one in enumerate(weights):
        w0 = np.concatenate([one, none])
        network = build_classifier(x.shape[1], _CONFIG, seed=_SEED)
        network.fit(x, w1, w0, training=training, held_out=watched, where="closure, classifier test")
        found.append(fit_diagnostics(network.logits(x[judged]), w1[judged], w0[judged]).auc)
        if number == 0:
            floor = sum(float((w[judged] ** 2).sum() / w[judged].sum() ** 2) for w in (w1, w0))
    return found, Floor(0.5, float(np.sqrt(floor / 12)))
