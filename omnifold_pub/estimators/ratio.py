"""Ratios of two statistics, bin by bin."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import ObservableError
from omnifold_pub.estimators.base import BinnedStatistic, Label, Layer, UnitOf, quotient
from omnifold_pub.observables.binning import Axis
from omnifold_pub.observables.blocks import Block
from omnifold_pub.observables.events import Definition

__all__ = ["Ratio"]


@dataclass(frozen=True, eq=False)
class Ratio(BinnedStatistic):
    """One binned statistic over another, bin by bin, in the numerator's bins.

    What both have in common cancels member by member: an efficiency, a ratio of two regions.

    Parameters
    ----------
    numerator, denominator : BinnedStatistic
        `Histogram` or `Profile`, of as many bins.
    name : str, optional
        By default ``numerator over denominator``.

    Raises
    ------
    ObservableError
        If they differ in their numbers of bins.

    Examples
    --------
    >>> from omnifold_pub.estimators import Histogram
    >>> edges = [200, 300, 450]
    >>> Ratio(Histogram("pT_ll", edges, where="Ntracks_trackj1 >= 10"), Histogram("pT_ll", edges), name="many").name
    'many'
    """

    numerator: BinnedStatistic
    denominator: BinnedStatistic
    name: str = field(default="", kw_only=True)
    axes: tuple[Axis, ...] = field(init=False)

    def __post_init__(self) -> None:
        for part in (self.numerator, self.denominator):
            if not isinstance(part, BinnedStatistic):
                msg = f"ratio: expected a Histogram or a Profile; found {part!r}"
                raise ObservableError(msg)
        shapes = [tuple(map(len, part.axes)) for part in (self.numerator, self.denominator)]
        if shapes[0] != shapes[1]:
            msg = f"ratio: expected as many bins above as below; found {shapes[0]} and {shapes[1]}"
            raise ObservableError(msg)
        object.__setattr__(self, "axes", self.numerator.axes)
        object.__setattr__(self, "name", self.name or f"{self.numerator.name} over {self.denominator.name}")

    @property
    def kind(self) -> str:
        """Kind of the Unified Histogram Interface."""
        return "MEAN"

    @property
    def used(self) -> tuple[Definition, ...]:
        """Observables and selections of both."""
        return (*self.numerator.used, *self.denominator.used)

    def unit(self, base: str, unit_of: UnitOf) -> str:
        """Return the numerator's unit over the denominator's."""
        above, below = (part.unit(base, unit_of) for part in (self.numerator, self.denominator))
        return "1" if above == below else above if below == "1" else f"({above}) / ({below})"

    def labelled(self, label: Label) -> Ratio:
        """Return the ratio with labels on its axes."""
        numerator = cast("BinnedStatistic", self.numerator.labelled(label))
        return replace(self, numerator=numerator)

    @property
    def _split(self) -> int:
        return sum(self.numerator.groups)

    @property
    def groups(self) -> tuple[int, ...]:
        """Sums of both."""
        return (*self.numerator.groups, *self.denominator.groups)

    def layers(self, block: Block) -> list[Layer]:
        """Return what both add."""
        return [*self.numerator.layers(block), *self.denominator.layers(block)]

    def finish(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the ratio; NaN where the denominator is 0."""
        return quotient(self.numerator.finish(sums[: self._split]), self.denominator.finish(sums[self._split :]))

    def effective(self, sums: NDArray[np.float64], squares: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the smaller of the effective events above and below."""
        cut = self._split
        return np.minimum(
            self.numerator.effective(sums[:cut], squares[:cut]), self.denominator.effective(sums[cut:], squares[cut:])
        )
