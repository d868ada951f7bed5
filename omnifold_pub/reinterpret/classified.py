"""The classifier two-sample test of a theory and a release, a network trained anew for each draw of its null."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import StatisticsError
from omnifold_pub.extras import require
from omnifold_pub.format import layout
from omnifold_pub.observables.events import NanRule
from omnifold_pub.progress import Progress, silent
from omnifold_pub.reinterpret.theory import Theory
from omnifold_pub.reinterpret.two_sample.classifier import held_out_auc
from omnifold_pub.reinterpret.two_sample.null import modes_of
from omnifold_pub.reinterpret.two_sample.outcome import UnbinnedComparison, UnbinnedTest
from omnifold_pub.reinterpret.two_sample.points import points_of
from omnifold_pub.reinterpret.unbinned import (
    Observables,
    check_units,
    fluctuating,
    values_of,
    wanted_of,
)
from omnifold_pub.release import Release
from omnifold_pub.statistics.components import CentralRule, Component

__all__ = ["classifier_p_value", "classify", "null_aucs"]

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

_SEED = 20_191_107  # fixed: the same question has the same answer


def _share(weights: Vector) -> float:
    """Return 1 / effective events."""
    return float((weights**2).sum() / weights.sum() ** 2)


def null_aucs(
    points: Matrix,
    nominal: Vector,
    members: Sequence[tuple[Component, Matrix]],
    *,
    theory_share: float,
    central: CentralRule,
    trainings: int,
    seed: int = _SEED,
    progress: Progress | None = None,
) -> Vector:
    """Return ``auc[training]`` of networks that are to tell a release from itself, fluctuating.

    Each network is trained on the release's events: with the nominal weights fluctuating as the components say, against
    the nominal weights fluctuating as the theory's number of events says. Beyond these fluctuations there is nothing to
    learn.

    Parameters
    ----------
    points : numpy.ndarray
        ``value[event, coordinate]`` of the release.
    nominal : numpy.ndarray
        ``weight[event]``.
    members : sequence of (Component, numpy.ndarray)
        Components with their ``weight[event, member]``; those of ``event_sampling`` are drawn here.
    theory_share : float
        1 / effective events of the theory.
    central : {"mean", "median", "single"}
        How the nominal was made of the ensemble.
    trainings : int
        How many.
    seed : int
        Of the fluctuations.
    progress : callable, optional
        Called with (done, total, what).

    Raises
    ------
    TrainingError
        If a part of the events has no positive sum of weights.
    """
    rng, report = np.random.default_rng(seed), progress or silent
    sampled = any(component.kind == "event_sampling" for component, _ in members)
    parts = [
        modes_of(component, weights.T / weights.sum(axis=0)[:, np.newaxis], nominal / nominal.sum(), central=central)
        for component, weights in members
        if component.kind != "event_sampling"
    ]
    size = np.sqrt(theory_share / _share(nominal))
    found = []
    for number in range(trainings):
        report(number, trainings, "training")
        first = nominal / nominal.sum()
        for part in parts:
            scale = 1.0 if np.isinf(part.freedom) else np.sqrt(part.freedom / rng.chisquare(part.freedom))
            first = first + scale * (rng.standard_normal(len(part.modes)) @ part.modes)
        if sampled:
            first = first + nominal / nominal.sum() * (rng.poisson(1, len(nominal)) - 1)
        second = nominal * (1 + size * (rng.poisson(1, len(nominal)) - 1))
        found.append(held_out_auc(points, first, second, where="classifier test, null distribution"))
    report(trainings, trainings, "training")
    return np.array(found)


def classifier_p_value(auc: float, null: Vector) -> float:
    """Return the share of AUCs that are no smaller, the one that was found among them.

    >>> classifier_p_value(0.6, np.array([0.5, 0.55, 0.7]))
    0.5
    """
    return float((1 + (null >= auc).sum()) / (len(null) + 1))


def classify(
    release: Release,
    theory: Theory,
    *,
    observables: Observables | None = None,
    nan: NanRule = "error",
    leave_out: Sequence[str] = (),
    trainings: int = 39,
    progress: Progress | None = None,
) -> UnbinnedComparison:
    """Test whether a network can tell a theory's events from those of a release.

    The distance is the AUC on events that the network was not trained with (Lopez-Paz and Oquab, ICLR 2017,
    arXiv:1610.06545). Its null distribution is not that of independent events: the release moved with the data as a
    whole, and a network learns that. So it is trained anew, on the release against itself, fluctuating as the replicas
    say; see `null_aucs`. A p-value can be no smaller than 1 / (trainings + 1). On a toy it
    rejected 3.7 +- 1.2 % of true theories at 5 %. Weight families of the theory do not count here.

    Parameters
    ----------
    release, theory, observables, nan, leave_out
        As for `omnifold_pub.reinterpret.unbinned.compare_unbinned`.
    trainings : int
        Networks of the null distribution.
    progress : callable, optional
        Called with (done, total, what).

    Raises
    ------
    MissingExtraError
        If PyTorch is not installed.
    InputError
        If the theory is in another unit.
    ObservableError
        If an observable or a component cannot be used.
    StatisticsError
        If an observable has no spread, or there is no training.
    TrainingError
        If a part of a sample has no positive sum of weights.
    """
    require("torch", extra="unfold", purpose="The classifier test (compare_unbinned needs no network)")
    check_units(theory, release)
    if trainings < 1:
        msg = f"classifier test: expected at least one training of the null distribution; found {trainings}"
        raise StatisticsError(msg)
    wanted = wanted_of(observables, release)
    components = fluctuating(release, leave_out)
    own, others = (values_of(wanted, source, release, nan) for source in (release.events, theory.events))
    points = points_of(own, others, theory.weights, list(wanted), ranks=True)
    nominal = release.nominal_weights.astype(np.float64)
    data = release.datasets
    members = [
        (c, data[f"{layout.WEIGHTS}/{c.name}"].read().astype(np.float64) if c.has_family else nominal[:, np.newaxis])
        for c in components
    ]
    auc = held_out_auc(
        np.concatenate([points.unfolded, points.truth]),
        np.concatenate([nominal, np.zeros(len(theory.weights))]),
        np.concatenate([np.zeros(len(nominal)), theory.weights]),
        where="classifier test",
    )
    null = null_aucs(
        points.unfolded,
        nominal,
        members,
        theory_share=_share(theory.weights),
        central=release.metadata["weights"]["central_value"]["rule"],
        trainings=trainings,
        progress=progress,
    )
    test = UnbinnedTest("classifier", auc, float(null.mean()), float(null.std()), classifier_p_value(auc, null))
    used = (*(component.name for component in components), "theory statistics")
    return UnbinnedComparison(theory.name, tuple(wanted), used, (test,))
