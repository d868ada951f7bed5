"""The closure table: what was unfolded against what should have been found, observable by observable and in all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.closure.metric import Metric
from omnifold_pub.errors import ObservableError
from omnifold_pub.estimators import Histogram
from omnifold_pub.measurement import JointMeasurement, Measurement
from omnifold_pub.messages import shorten
from omnifold_pub.observables.binning import Bins
from omnifold_pub.observables.blocks import evaluate
from omnifold_pub.observables.events import Definition, Events, NanRule
from omnifold_pub.progress import Progress, silent
from omnifold_pub.reinterpret.theory import Theory
from omnifold_pub.reinterpret.two_sample.classifier import classifier_auc
from omnifold_pub.reinterpret.two_sample.distances import (
    sliced_wasserstein,
    triangular_discriminator,
    triangular_floor,
    wasserstein,
)
from omnifold_pub.reinterpret.two_sample.floor import Floor
from omnifold_pub.reinterpret.two_sample.points import points_of
from omnifold_pub.release import Release
from omnifold_pub.statistics.inference import squared_distance

__all__ = ["ClosureRow", "ClosureTable", "closure_table", "prior_theory"]

Vector = NDArray[np.float64]
Observables = Sequence[str] | Mapping[str, Bins | tuple[Definition, Bins]]


@dataclass(frozen=True, eq=False)
class ClosureRow:
    """How near the unfolded spectrum of one observable is to the truth, and how near the prior was.

    Attributes
    ----------
    observable : str
        Column, expression, or the name that it was given.
    edges : numpy.ndarray
        Of the bins.
    chi2 : Metric
        With the published covariance. Its floor is that of a known covariance: bins, with a deviation of sqrt(2 bins).
    p_value : float
        Of the unfolded spectrum; knows how many replicas the covariance is made of.
    triangular : Metric
        Triangular discriminator of the normalised spectra, times 1000.
    wasserstein : Metric
        Wasserstein-1 distance of the events that have the observable, without bins, in the truth's standard deviations.
    """

    observable: str
    edges: Vector
    chi2: Metric
    p_value: float
    triangular: Metric
    wasserstein: Metric

    @property
    def bins(self) -> int:
        """Number of bins."""
        return len(self.edges) - 1

    @property
    def verdict(self) -> str:
        """``nearer`` than the prior in chi2; ``as near`` if not further by more than chi2's own spread; ``further``.

        Empty without a prior.
        """
        if self.chi2.prior is None:
            return ""
        if self.chi2.unfolded <= self.chi2.prior:
            return "nearer"
        return "as near" if self.chi2.unfolded <= self.chi2.prior + self.chi2.floor.deviation else "further"

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {
            "observable": self.observable,
            "edges": self.edges.tolist(),
            "chi2": self.chi2.to_dict(),
            "p_value": self.p_value,
            "triangular": self.triangular.to_dict(),
            "wasserstein": self.wasserstein.to_dict(),
            "verdict": self.verdict,
        }


@dataclass(frozen=True, eq=False)
class ClosureTable:
    """Closure of all observables.

    Attributes
    ----------
    rows : tuple of ClosureRow
        One for each observable.
    sliced_wasserstein : Metric
        Of all observables together, standardised by the truth.
    classifier : Metric or None
        AUC of a network that tells the samples apart; None if none was trained.
    """

    rows: tuple[ClosureRow, ...]
    sliced_wasserstein: Metric
    classifier: Metric | None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {
            "observables": [row.to_dict() for row in self.rows],
            "sliced_wasserstein": self.sliced_wasserstein.to_dict(),
            "classifier_auc": None if self.classifier is None else self.classifier.to_dict(),
        }


def _weighted(release: Release, weights: NDArray[np.float32], name: str) -> Theory:
    columns = {column: release.events[column] for column in release.events}
    return Theory.from_arrays(columns, weights, unit=release.unit, name=name)


def prior_theory(release: Release) -> Theory:
    """Return the simulation before unfolding, as if it were a theory.

    Raises
    ------
    ReleaseError
        If the release holds no prior weights.
    """
    return _weighted(release, release.prior_weights, "MC prior")


def _measured(
    release: Release, observables: Observables | None, bins: int | None, nan: NanRule, progress: Progress | None
) -> JointMeasurement:
    """Measure all observables in one pass."""
    if not isinstance(observables, Mapping):
        names = list(release.events) if observables is None else list(observables)
        report = progress or silent
        binned: dict[str, Any] = {}
        for number, name in enumerate(names):
            report(number, len(names), "choosing bins")
            binned[name] = release.suggest_bins(name, bins, nan=nan)
        report(len(names), len(names), "choosing bins")
    else:
        binned = dict(observables)
    joint = release.measure(binned, nan=nan, progress=progress)
    for statistic in joint.statistics:
        plain = isinstance(statistic, Histogram) and not (statistic.density or statistic.normalise)
        if not plain or len(statistic.axes) != 1 or statistic.where is not None:  # type: ignore[attr-defined]
            msg = (
                f"closure: {shorten(statistic.name)}: expected bins of one observable, without selection; "
                f"found {shorten(statistic)}"
            )
            raise ObservableError(msg)
    return joint


def _values(joint: JointMeasurement, source: Events, nan: NanRule) -> list[Vector]:
    """Return ``value[event]`` of each observable; NaN where an event lacks it."""
    events = Events(source.size, tuple(source), source.__getitem__, where=source.where, momenta=joint.momenta)
    found = []
    for statistic in joint.statistics:
        assert isinstance(statistic, Histogram)  # noqa: S101 - seen to when measured
        values = evaluate(statistic.definitions[0], events, nan=nan)
        infinite = int(np.isinf(values).sum())
        if infinite:
            msg = (
                f"closure: {shorten(statistic.name)} is infinite for {infinite} of {source.size} events of "
                f"{source.where}; a distance needs finite values: mend its definition"
            )
            raise ObservableError(msg)
        found.append(values)
    return found


def _metric(distances: Sequence[float], floor: Floor) -> Metric:
    return Metric(distances[0], distances[1] if len(distances) > 1 else None, floor)


def _along(values: Vector, samples: Sequence[Theory], others: Vector, truth: Theory, name: str) -> Metric:
    """Return the Wasserstein distance of the events that have an observable."""
    there, known = ~np.isnan(values), ~np.isnan(others)
    scaled = points_of([values[there]], [others[known]], truth.weights[known], [name])
    weights = [sample.weights[there] for sample in samples]
    return _metric(*wasserstein(scaled.unfolded[:, 0], weights, scaled.truth[:, 0], truth.weights[known]))


def _binned(measured: Measurement, samples: Sequence[Theory], truth: Theory) -> tuple[Metric, float, Metric]:
    """Return chi2, its p-value, and the triangular discriminator of one observable."""
    expected, spread = truth.predict(measured)
    found = [sample.predict(measured) for sample in samples]
    test = measured.chi2(expected)
    before = [squared_distance(values - expected, measured.covariance()) for values, _ in found[1:]]
    chi2 = _metric([test.chi2, *before], Floor(float(test.dof), float(np.sqrt(2 * test.dof))))
    squares = [np.diag(covariance) for _, covariance in found]
    floor = triangular_floor(found[0][0], squares[0], expected, np.diag(spread))
    distances = [triangular_discriminator(values, expected) for values, _ in found]
    return chi2, test.p_value, _metric(distances, floor)


def closure_table(
    release: Release,
    truth: Theory,
    *,
    observables: Observables | None = None,
    bins: int | None = None,
    nan: NanRule = "error",
    prior: bool = True,
    classifier: bool = True,
    projections: int = 50,
    progress: Progress | None = None,
) -> ClosureTable:
    """Compare an unfolding of pseudo-data with their truth.

    Each distance stands beside that of the simulation before unfolding, and beside its floor: what two samples of the
    same law, of as many effective events, have between them. All floors are closed forms, see
    `omnifold_pub.reinterpret.two_sample.distances`. The truth's own fluctuations are those of the pseudo-data, so that
    chi2 uses the published covariance and nothing is added for them.

    Parameters
    ----------
    release : Release
        The unfolding.
    truth : Theory
        Particle-level events behind the pseudo-data, in the release's unit.
    observables : sequence of str, or mapping
        Columns or expressions; or, by name, bins or ``(definition, bins)``. By default all columns.
    bins : int, optional
        Bins at most where none are given: those that `Release.suggest_bins` proposes, which the publisher vouches for
        and whose covariance can be inverted.
    nan : {"error", "drop"}
        As for `Release.measure`.
    prior : bool
        Whether to compare the simulation before unfolding too.
    classifier : bool
        Whether to train a network on all observables, which needs PyTorch.
    projections : int
        Directions of the sliced Wasserstein distance.
    progress : callable, optional
        Called with (done, total, what).

    Raises
    ------
    ObservableError
        If an observable or bins cannot be used.
    InputError
        If the truth is in another unit.
    ReleaseError
        If the release holds no prior weights.
    StatisticsError
        If a covariance cannot be inverted, or an observable has no spread.
    MissingExtraError
        If a network is wanted and PyTorch is not installed.
    """
    report = progress or silent
    samples = [_weighted(release, release.nominal_weights, "unfolded")] + ([prior_theory(release)] if prior else [])
    joint = _measured(release, observables, bins, nan, progress)
    values, others = _values(joint, release.events, nan), _values(joint, truth.events, nan)
    rows = []
    for number, name in enumerate(joint.names):
        report(number, len(joint.names), "comparing")
        measured = joint[name]
        chi2, p_value, triangular = _binned(measured, samples, truth)
        distance = _along(values[number], samples, others[number], truth, name)
        rows.append(ClosureRow(name, measured.axes[0].edges, chi2, p_value, triangular, distance))
    report(len(joint.names), len(joint.names), "comparing")
    weights = [sample.weights for sample in samples]
    points = points_of(values, others, truth.weights, joint.names)
    sliced = sliced_wasserstein(points.unfolded, weights, points.truth, truth.weights, projections=projections)
    auc = None
    if classifier:
        ranked = points_of(values, others, truth.weights, joint.names, ranks=True)
        auc = _metric(*classifier_auc(ranked, weights, truth.weights))
    return ClosureTable(tuple(rows), _metric(*sliced), auc)
