"""Histograms, profiles and ratios, after the Unified Histogram Interface (UHI)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.estimators.base import BinnedStatistic
from omnifold_pub.estimators.inner import inner_bins, without_flow
from omnifold_pub.measurement.estimate import Estimate
from omnifold_pub.observables.binning import Axis
from omnifold_pub.statistics.components import ComponentResult

if TYPE_CHECKING:
    import hist

__all__ = ["Measurement"]

Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class Measurement(Estimate):
    """A histogram, profile or ratio of one or several observables, and its covariance.

    Follows the Unified Histogram Interface (``values()``, ``variances()``, ``counts()``, ``axes``, ``kind``),
    so that `hist` and `mplhep` take it as it is; to be drawn, it must have no under- or overflow bins, see `inner`.
    ``values()``, ``variances()`` and ``counts()`` have one dimension for each axis; everything else numbers the bins
    through, the last axis running fastest.
    """

    _form: ClassVar[str] = "measurement"

    @property
    def statistic(self) -> BinnedStatistic:
        """What was measured."""
        statistic = self.statistics[0]
        assert isinstance(statistic, BinnedStatistic)  # noqa: S101 - who makes one sees to it
        return statistic

    @property
    def name(self) -> str:
        """Its name."""
        return self.statistic.name

    @property
    def axes(self) -> tuple[Axis, ...]:
        """One axis for each observable that it is binned in."""
        return self.statistic.axes

    @property
    def kind(self) -> str:
        """UHI kind: ``COUNT``, or ``MEAN`` of a profile or a ratio."""
        return self.statistic.kind

    def _shaped(self, numbers: Vector) -> Vector:
        return numbers.reshape([len(axis) for axis in self.axes])

    def values(self) -> Vector:
        """Return ``T_0[bin, ...]``, one dimension for each axis."""
        return self._shaped(self.nominal.copy())

    def variances(self) -> Vector:
        """Return the diagonal of the covariance, ``[bin, ...]``."""
        return self._shaped(np.diag(self.covariance()).copy())

    def counts(self) -> Vector:
        """Return effective events, ``[bin, ...]``."""
        return self._shaped(self.effective_events.copy())

    def inner(self) -> Measurement:
        """Return the measurement of the bins between finite edges: without under- and overflow.

        Nothing is normalised anew: the values are those that these bins had. Pictures need it
        (``mplhep.histplot(measurement.inner())``), since no bin of infinite width can be drawn.

        Raises
        ------
        ObservableError
            If an axis has no such bin.
        """
        statistic = without_flow(self.statistic)
        kept = inner_bins(self.axes)
        block = np.ix_(kept, kept)
        return replace(
            self,
            nominal=self.nominal[kept],
            results=tuple(ComponentResult(r.component, r.members[:, kept], r.covariance[block]) for r in self.results),
            statistics=(statistic,),
            sizes=(len(kept),),
            effective_events=self.effective_events[kept],
        )

    def to_hist(self) -> hist.Hist[Any]:
        """Return a `hist.Hist` of the values and of the diagonal of the TOTAL covariance.

        Under- and overflow bins of ours become its flow bins. The storage is `hist.storage.Weight` for profiles and
        ratios too: sums of weights behind a mean are no part of a measurement, so that ``WeightedMean`` would have to
        invent them; do not add or rebin such histograms. Correlations between bins are lost; ``metadata`` holds unit,
        UHI kind and the components' names.

        Raises
        ------
        MissingExtraError
            If `hist` is not installed.
        ObservableError
            If an axis has no bin between finite edges.
        """
        from omnifold_pub.presentation.histograms import hist_of

        return hist_of(self)
