"""A binned statistic without its under- and overflow bins."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.estimators.base import BinnedStatistic, Layer, UnitOf
from omnifold_pub.estimators.histogram import Histogram
from omnifold_pub.estimators.profile import Profile
from omnifold_pub.observables.binning import Axis
from omnifold_pub.observables.blocks import Block
from omnifold_pub.observables.events import Definition

__all__ = ["Inner", "inner_bins", "without_flow"]


def inner_bins(axes: tuple[Axis, ...]) -> NDArray[np.intp]:
    """Return the numbers of the bins that have no infinite edge, the last axis running fastest.

    Examples
    --------
    >>> inner_bins((Axis.from_bins([0, 1, 2]).with_flow(),)).tolist()
    [1, 2]
    """
    numbers = np.arange(np.prod([len(axis) for axis in axes], dtype=np.intp)).reshape([len(axis) for axis in axes])
    return numbers[tuple(axis.inner for axis in axes)].ravel()


@dataclass(frozen=True, eq=False)
class Inner(BinnedStatistic):
    """The bins between finite edges of a statistic whose numbers depend on all of its bins.

    Parameters
    ----------
    whole : BinnedStatistic
        With under- or overflow bins: a spectrum that is normalised to the sum of all of them.
    name : str, optional
        By default its name.

    Raises
    ------
    ObservableError
        If an axis has no bin between finite edges.

    Examples
    --------
    >>> Inner(Histogram("pT_ll", [200, 300], flow=True, normalise=True)).labels
    ('200 - 300',)
    """

    whole: BinnedStatistic
    name: str = field(default="", kw_only=True)
    axes: tuple[Axis, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "axes", tuple(axis.without_flow() for axis in self.whole.axes))
        object.__setattr__(self, "name", self.name or self.whole.name)

    @property
    def kind(self) -> str:
        """Kind of the Unified Histogram Interface."""
        return self.whole.kind

    @property
    def used(self) -> tuple[Definition, ...]:
        """Observables and selection."""
        return self.whole.used

    def unit(self, base: str, unit_of: UnitOf) -> str:
        """Return the unit of the whole."""
        return self.whole.unit(base, unit_of)

    @property
    def groups(self) -> tuple[int, ...]:
        """Sums of the whole."""
        return self.whole.groups

    @property
    def is_linear(self) -> bool:
        """As the whole."""
        return self.whole.is_linear

    def layers(self, block: Block) -> list[Layer]:
        """Return what the whole adds."""
        return self.whole.layers(block)

    def finish(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the inner bins of the whole."""
        return self.whole.finish(sums)[inner_bins(self.whole.axes)]

    def effective(self, sums: NDArray[np.float64], squares: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the effective events of the inner bins."""
        return self.whole.effective(sums, squares)[inner_bins(self.whole.axes)]


def without_flow(statistic: BinnedStatistic) -> BinnedStatistic:
    """Return a statistic of the inner bins alone, whose numbers are those that these bins had before.

    Examples
    --------
    >>> without_flow(Histogram("pT_ll", [200, 300, 450], flow=True)).labels
    ('200 - 300', '300 - 450')
    """
    if all(np.isfinite(axis.edges).all() for axis in statistic.axes):
        return statistic
    axes = tuple(axis.without_flow() for axis in statistic.axes)
    if isinstance(statistic, Histogram) and not statistic.normalise:
        return replace(statistic, observables=statistic.definitions, bins=axes, flow=False)
    if isinstance(statistic, Profile):
        return replace(statistic, by=statistic.definitions, bins=axes, flow=False)
    return Inner(statistic)
