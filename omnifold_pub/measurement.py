"""What a reader gets: values of a statistic with their covariance, by component."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import ObservableError
from omnifold_pub.messages import shorten
from omnifold_pub.observables.binning import Axis
from omnifold_pub.observables.events import Definition, Events, NanRule, evaluate
from omnifold_pub.statistics.components import Component, ComponentResult
from omnifold_pub.statistics.inference import Chi2, chi2_test
from omnifold_pub.statistics.sums import BinIndex

__all__ = ["BinnedObservable", "ClosureSpectra", "Estimate", "JointMeasurement", "Measurement", "bin_index"]

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class BinnedObservable:
    """What was histogrammed.

    Attributes
    ----------
    name : str
        Name under which it is known in a joint measurement.
    definition : str or callable
        Column, expression or function.
    axis : Axis
        Its bins.
    nan : {"error", "drop"}
        Rule for undefined values, see `omnifold_pub.observables.events.evaluate`.
    """

    name: str
    definition: Definition
    axis: Axis
    nan: NanRule


@dataclass(frozen=True, eq=False)
class ClosureSpectra:
    """One observable under the weights of a closure test.

    Attributes
    ----------
    observable : BinnedObservable
        What was histogrammed.
    unit : str
        Of the spectra: integrated over each bin, not divided by its width.
    unfolded : numpy.ndarray
        ``[bin]``: what the unfolding found.
    target : numpy.ndarray
        ``[bin]``: what it should have found.
    """

    observable: BinnedObservable
    unit: str
    unfolded: Vector
    target: Vector


def bin_index(observables: Sequence[BinnedObservable], events: Events) -> BinIndex:
    """Compute observables for every event and find its bins.

    Raises
    ------
    ObservableError
        If an observable cannot be computed from the events.
    """
    indices = [o.axis.bins_of(evaluate(o.definition, events, nan=o.nan)) for o in observables]
    return BinIndex(indices, [len(o.axis) for o in observables])


@dataclass(frozen=True, eq=False, repr=False)
class Estimate:
    """Any statistic T of the events, with its covariance.

    Attributes
    ----------
    nominal : numpy.ndarray
        ``T_0[bin]``.
    results : tuple of ComponentResult
        What each component does to it.
    """

    nominal: Vector
    results: tuple[ComponentResult, ...]

    def __repr__(self) -> str:
        """Return values and uncertainties, shortened as numpy does."""
        with np.printoptions(precision=4, threshold=8, edgeitems=3):
            return f"<{type(self).__name__}: {self.nominal} +- {self.uncertainties()}>"

    def values(self) -> Vector:
        """Return ``T_0[bin]``."""
        return self.nominal.copy()

    @property
    def components(self) -> tuple[Component, ...]:
        """Components of the covariance, in the order of the release's metadata."""
        return tuple(result.component for result in self.results)

    def _result(self, name: str) -> ComponentResult:
        for result in self.results:
            if result.component.name == name:
                return result
        msg = f"no component {shorten(name)}; there are {', '.join(c.name for c in self.components)}"
        raise ObservableError(msg)

    def covariance(self, component: str | None = None) -> Matrix:
        """Return ``covariance[bin, bin]`` of one component, or of all of them summed.

        Raises
        ------
        ObservableError
            If there is no component of that name.
        """
        if component is not None:
            return self._result(component).covariance.copy()
        total: Matrix = np.zeros((len(self.nominal), len(self.nominal)))
        for result in self.results:
            total += result.covariance
        return total

    def uncertainties(self, component: str | None = None) -> Vector:
        """Return ``sqrt(diag(covariance))[bin]``: the band."""
        band: Vector = np.sqrt(np.diag(self.covariance(component)))
        return band

    def correlation(self, component: str | None = None) -> Matrix:
        """Return ``correlation[bin, bin]``; 0 off the diagonal for bins without an uncertainty."""
        covariance = self.covariance(component)
        errors = np.sqrt(np.diag(covariance))
        scale = np.outer(errors, errors)
        correlation: Matrix = np.divide(covariance, scale, out=np.zeros_like(covariance), where=scale > 0)
        np.fill_diagonal(correlation, 1.0)
        return correlation

    def members(self, component: str) -> Matrix:
        """Return ``T[member, bin]`` under each member of a component."""
        return self._result(component).members.copy()

    def bias(self, component: str) -> Vector:
        """Return ``mean(T_m) - T_0`` per bin: what a bootstrap's replicas shift, never part of the band.

        Raises
        ------
        ObservableError
            If there is no such component, or it has no members.
        """
        result = self._result(component)
        if len(result.members) == 0:
            msg = f"component {component!r} of kind {result.component.kind} has no members, so no bias"
            raise ObservableError(msg)
        shift: Vector = result.members.mean(axis=0) - self.nominal
        return shift

    def chi2(self, prediction: Vector, covariance: Matrix | None = None, *, leave_out: Sequence[str] = ()) -> Chi2:
        """Test a prediction.

        Parameters
        ----------
        prediction : numpy.ndarray
            ``T[bin]`` that it predicts.
        covariance : numpy.ndarray, optional
            ``covariance[bin, bin]`` of the prediction itself.
        leave_out : sequence of str
            Components that the test must not use (what pseudo-data did not vary, for example).

        Raises
        ------
        StatisticsError
            If the covariance cannot be inverted.
        ObservableError
            If the prediction has another number of bins, or a component is unknown.
        """
        prediction = np.asarray(prediction, dtype=np.float64)
        if prediction.shape != self.nominal.shape:
            msg = f"expected a prediction of {len(self.nominal)} bins; found an array of shape {prediction.shape}"
            raise ObservableError(msg)
        omitted = {self._result(name).component.name for name in leave_out}
        used = [result for result in self.results if result.component.name not in omitted]
        return chi2_test(self.nominal - prediction, used, covariance)


@dataclass(frozen=True, eq=False, repr=False)
class Measurement(Estimate):
    """The histogram of one observable: cross section per bin, and its covariance.

    Follows the Unified Histogram Interface (``values()``, ``variances()``, ``counts()``, ``axes``, ``kind``),
    so that `hist` and `mplhep` take it as it is.

    Attributes
    ----------
    observable : BinnedObservable
        What was histogrammed.
    unit : str
        Of the values (``pb`` or ``fb``): integrated over each bin, not divided by its width.
    effective_events : numpy.ndarray
        ``(sum w)**2 / sum w**2`` per bin, from the nominal weights.
    """

    observable: BinnedObservable
    unit: str
    effective_events: Vector

    @property
    def axes(self) -> tuple[Axis, ...]:
        """The one axis."""
        return (self.observable.axis,)

    @property
    def kind(self) -> str:
        """UHI kind."""
        return "COUNT"

    def variances(self) -> Vector:
        """Return ``diag(covariance)[bin]``."""
        return np.diag(self.covariance()).copy()

    def counts(self) -> Vector:
        """Return effective events per bin."""
        return self.effective_events.copy()

    @property
    def observables(self) -> tuple[BinnedObservable, ...]:
        """The one observable, in a tuple."""
        return (self.observable,)


@dataclass(frozen=True, eq=False, repr=False)
class JointMeasurement(Estimate):
    """Histograms of several observables, bins numbered through, with the covariance between them.

    Attributes
    ----------
    observables : tuple of BinnedObservable
        In the order of the bins.
    unit : str
        Of the values.
    effective_events : numpy.ndarray
        Per bin, over all observables.
    """

    observables: tuple[BinnedObservable, ...]
    unit: str
    effective_events: Vector

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the observables."""
        return tuple(observable.name for observable in self.observables)

    def slice(self, name: str) -> slice:
        """Return where an observable's bins are among all bins.

        Raises
        ------
        ObservableError
            If there is no observable of that name.
        """
        start = 0
        for observable in self.observables:
            stop = start + len(observable.axis)
            if observable.name == name:
                return slice(start, stop)
            start = stop
        msg = f"no observable {shorten(name)} in this measurement; there are {', '.join(self.names)}"
        raise ObservableError(msg)

    def __getitem__(self, name: str) -> Measurement:
        """Return one observable's measurement: its block of everything."""
        bins = self.slice(name)
        return Measurement(
            nominal=self.nominal[bins],
            results=tuple(
                ComponentResult(r.component, r.members[:, bins], r.covariance[bins, bins]) for r in self.results
            ),
            observable=self.observables[self.names.index(name)],
            unit=self.unit,
            effective_events=self.effective_events[bins],
        )
