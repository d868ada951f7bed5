"""The classifier two-sample test: whether a network can tell the unfolded events from the true ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.extras import require
from omnifold_pub.reinterpret.two_sample.floor import Floor
from omnifold_pub.reinterpret.two_sample.points import Points
from omnifold_pub.unfold.config import OmniFoldConfig
from omnifold_pub.unfold.diagnostics import fit_diagnostics

__all__ = ["classifier_auc", "held_out_auc"]

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

_SEED = 20_191_107  # fixed: the same samples have the same AUC
_TRAINED, _WATCHED = 0.5, 0.1  # of the events; the rest is held out for the AUC
_CONFIG = OmniFoldConfig(hidden=(100, 100), batch_size=1024, learning_rate=3e-4, max_epochs=30, patience=5)


def held_out_auc(x: Matrix, first: Vector, second: Vector, *, where: str) -> float:
    """Return the AUC, on events that it was not trained with, of a network that tells two sets of weights apart.

    The split and the network's start are the same in each call with as many events.

    Parameters
    ----------
    x : numpy.ndarray
        ``value[event, coordinate]``.
    first, second : numpy.ndarray
        ``weight[event]`` of the two classes; 0 where an event is of the other one.
    where : str
        What is compared, for messages.

    Returns
    -------
    float
        Probability that an event of the second class has the larger score.

    Raises
    ------
    TrainingError
        If a part of a class has no positive sum of weights.
    """
    from omnifold_pub.unfold.classifiers import build_classifier

    training, watched, judged = _split(len(x))
    rows = x.astype(np.float32)
    network = build_classifier(x.shape[1], _CONFIG, seed=_SEED)
    network.fit(rows, second, first, training=training, held_out=watched, where=where)
    return float(fit_diagnostics(network.logits(rows[judged]), second[judged], first[judged]).auc)


def _split(events: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the events to train on, to stop early by, and to judge by."""
    place = np.random.default_rng(_SEED).random(events)
    watched = (place >= _TRAINED) & (place < _TRAINED + _WATCHED)
    return place < _TRAINED, watched, place >= _TRAINED + _WATCHED


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
    x = np.concatenate([points.unfolded, points.truth])
    none, w1 = np.zeros(len(truth)), np.concatenate([np.zeros(len(points.unfolded)), truth])
    found = [held_out_auc(x, np.concatenate([one, none]), w1, where="closure, classifier test") for one in weights]
    judged = _split(len(x))[2]
    classes = (w1[judged], np.concatenate([weights[0], none])[judged])
    floor = sum(float((w**2).sum() / w.sum() ** 2) for w in classes)
    return found, Floor(0.5, float(np.sqrt(floor / 12)))
