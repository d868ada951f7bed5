"""Any statistic of the events, with its covariance by component."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from omnifold_pub.errors import ObservableError, ReleaseError
from omnifold_pub.estimators.base import Statistic
from omnifold_pub.estimators.histogram import Histogram
from omnifold_pub.exchange.methods import Exchangeable
from omnifold_pub.messages import shorten
from omnifold_pub.observables.momenta import FourMomentum
from omnifold_pub.presentation.methods import Presentable
from omnifold_pub.statistics.components import CentralRule, Component, ComponentResult
from omnifold_pub.statistics.inference import Chi2, chi2_test
from omnifold_pub.statistics.shape import kept_bins
from omnifold_pub.statistics.shape import shape_only as compare_shapes

__all__ = ["Estimate"]

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class Estimate(Presentable, Exchangeable):
    """Any statistic T of the events, with its covariance.

    Attributes
    ----------
    nominal : numpy.ndarray
        ``T_0[bin]``.
    results : tuple of ComponentResult
        What each component does to it.
    statistics : tuple of Statistic
        What was computed; one, or several whose numbers are numbered through.
    sizes : tuple of int
        Numbers of each.
    units : tuple of str
        Of each; ``"1"`` for pure numbers, empty where its numbers differ in theirs or nobody knows.
    weight_unit : str
        Of the weights: ``pb`` or ``fb``.
    effective_events : numpy.ndarray
        ``(sum w)**2 / sum w**2`` behind each number, from the nominal weights; NaN where a function was called.
    central : {"mean", "median", "single"}
        How the nominal weights were made of the ensemble.
    momenta : mapping
        Four-momenta that the release declares, for functions of the events that ask for one.
    """

    nominal: Vector
    results: tuple[ComponentResult, ...]
    statistics: tuple[Statistic, ...]
    sizes: tuple[int, ...]
    units: tuple[str, ...]
    weight_unit: str
    effective_events: Vector
    central: CentralRule
    momenta: Mapping[str, FourMomentum] = field(default_factory=dict)

    _form: ClassVar[str] = "estimate"

    def __repr__(self) -> str:
        """Return values and uncertainties, shortened as numpy does."""
        with np.printoptions(precision=4, threshold=8, edgeitems=3):
            return f"<{type(self).__name__}: {self.nominal} +- {self.uncertainties()}>"

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the statistics."""
        return tuple(statistic.name for statistic in self.statistics)

    @property
    def labels(self) -> tuple[str, ...]:
        """What each number is: of a histogram, the edges of the bin."""
        labels: list[str] = []
        for statistic, size in zip(self.statistics, self.sizes, strict=True):
            known = statistic.labels or tuple(f"{statistic.name}[{i}]" for i in range(size))
            labels += known
        return tuple(labels)

    @property
    def unit(self) -> str:
        """Unit of the values; empty if they differ in theirs."""
        return self.units[0] if len(set(self.units)) == 1 else ""

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
        """Return ``T[member, bin]`` under each member of a component; NaN where a document left them out."""
        return self._result(component).members.copy()

    def bias(self, component: str) -> Vector:
        """Return ``mean(T_m) - T_0`` per bin: what a bootstrap's replicas shift, never part of the band.

        Raises
        ------
        ObservableError
            If there is no such component, or it has no members, or the document that it was read from left them out.
        """
        result = self._result(component)
        if len(result.members) == 0:
            msg = f"component {component!r} of kind {result.component.kind} has no members, so no bias"
            raise ObservableError(msg)
        if np.isnan(result.members).any():
            msg = f"component {component!r}: the document left its members out; write it with to_dict(members=True)"
            raise ObservableError(msg)
        shift: Vector = result.members.mean(axis=0) - self.nominal
        return shift

    def chi2(
        self,
        prediction: ArrayLike,
        covariance: ArrayLike | None = None,
        *,
        leave_out: Sequence[str] = (),
        shape_only: bool = False,
        decorrelate: Sequence[str] = (),
        pseudo_inverse: bool = False,
    ) -> Chi2:
        """Test a prediction.

        Parameters
        ----------
        prediction : array_like
            ``T[bin]`` that it predicts.
        covariance : array_like, optional
            ``covariance[bin, bin]`` of the prediction itself.
        leave_out : sequence of str
            Components that the test must not use (what pseudo-data did not vary, for example).
        shape_only : bool
            Compare spectra normalised to one, each statistic by itself and with one bin less, see
            `omnifold_pub.statistics.shape`.
        decorrelate : sequence of str
            Two-point components that count bin by bin in this test.
        pseudo_inverse : bool
            Use the pseudo-inverse where the covariance has no inverse.

        Returns
        -------
        Chi2
            chi2, degrees of freedom, rank, replicas, effective events per bin, p-value and where it comes from.

        Raises
        ------
        StatisticsError
            If the covariance cannot be inverted.
        ObservableError
            If the prediction has another number of bins, or a component is unknown.
        """
        predicted = np.asarray(prediction, dtype=np.float64)
        if predicted.shape not in (self.nominal.shape, self.values().shape):
            msg = f"expected a prediction of {len(self.nominal)} bins; found an array of shape {predicted.shape}"
            raise ObservableError(msg)
        predicted = predicted.ravel()
        omitted = {self._result(name).component.name for name in leave_out}
        used: Sequence[ComponentResult] = [r for r in self.results if r.component.name not in omitted]
        extra = None if covariance is None else np.asarray(covariance, dtype=np.float64)
        residual = self.nominal - predicted
        effective = self.effective_events
        if shape_only:
            for statistic in self.statistics:
                if not isinstance(statistic, Histogram) or statistic.density:
                    what = "densities" if isinstance(statistic, Histogram) else type(statistic).__name__.lower()
                    msg = f"shape_only: expected contents of bins; found {what} ({shorten(statistic.name)})"
                    raise ObservableError(msg)
            residual, used, extra = compare_shapes(
                self.nominal,
                used,
                predicted,
                covariance=extra,
                groups=self.slices,
                central=self.central,
                decorrelate=decorrelate,
                names=self.names,
            )
            effective, decorrelate = effective[kept_bins(self.slices)], ()
        return chi2_test(
            residual,
            used,
            extra,
            decorrelate=decorrelate,
            pseudo_inverse=pseudo_inverse,
            effective_events=effective,
        )

    @classmethod
    def from_dict(cls, document: object) -> Self:
        """Make a measurement again of what `to_dict` returned, or ``omnifold-pub measure --json`` printed.

        Parameters
        ----------
        document : dict
            Of the present version or an earlier one with the same major number.

        Returns
        -------
        Estimate, Measurement or JointMeasurement
            What was written; its chi2 and p-values, bias and shapes are the same. It can be compared with a theory
            unless a Python function made one of its statistics.

        Raises
        ------
        ReleaseError
            If the document is damaged, of another major version, or not of this class.
        """
        from omnifold_pub.measurement import JointMeasurement, Measurement
        from omnifold_pub.presentation.documents import read_document

        form, fields = read_document(document)
        kind = {one._form: one for one in (Estimate, Measurement, JointMeasurement)}[form]
        if not issubclass(kind, cls):
            hint = f"read it with {kind.__name__}.from_dict"
            msg = f"measurement document: form: expected {cls._form}; found {form}; {hint}"
            raise ReleaseError(msg)
        return cast("Self", kind(**fields))

    @property
    def slices(self) -> tuple[slice, ...]:
        """Where the numbers of each statistic are among all."""
        stops = np.cumsum(self.sizes)
        return tuple(slice(int(stop) - size, int(stop)) for stop, size in zip(stops, self.sizes, strict=True))
