"""Profiles: the mean of one observable in bins of another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.estimators.base import BinnedStatistic, Label, Layer, UnitOf, effective_events, quotient
from omnifold_pub.estimators.histogram import bin_numbers, make_axes
from omnifold_pub.observables.binning import Axis, Bins
from omnifold_pub.observables.blocks import Block
from omnifold_pub.observables.events import Definition, NanRule, check_definition, check_rule, definition_text

__all__ = ["Profile"]


@dataclass(frozen=True, eq=False)
class Profile(BinnedStatistic):
    """The mean of an observable, sum w y / sum w, in bins of one or several others.

    Events without the observable (no second jet) do not count.

    Parameters
    ----------
    observable : str or callable
        What is averaged, see `Histogram`.
    by : str, callable, or a sequence of these
        What it is binned in.
    bins : sequence of float or axis, or one of these for each
        Bin edges.
    where, nan, flow, name
        As for `Histogram`.

    Examples
    --------
    >>> Profile("tau21", "pT_ll", [200, 300, 450]).name
    'mean of tau21'
    """

    observable: Definition
    by: Definition | Sequence[Definition]
    bins: Bins | Sequence[Bins] = field(repr=False)
    where: Definition | None = field(default=None, kw_only=True)
    nan: NanRule = field(default="error", kw_only=True)
    flow: bool = field(default=False, kw_only=True)
    name: str = field(default="", kw_only=True)
    definitions: tuple[Definition, ...] = field(init=False, repr=False)
    axes: tuple[Axis, ...] = field(init=False)

    def __post_init__(self) -> None:
        check_rule(self.nan)
        check_definition(self.observable)
        definitions, axes = make_axes(self.by, self.bins)
        object.__setattr__(self, "definitions", definitions)
        object.__setattr__(self, "axes", tuple(axis.with_flow() for axis in axes) if self.flow else axes)
        object.__setattr__(self, "name", self.name or f"mean of {definition_text(self.observable)}")

    @property
    def kind(self) -> str:
        """Kind of the Unified Histogram Interface."""
        return "MEAN"

    @property
    def used(self) -> tuple[Definition, ...]:
        """Observables and selection."""
        return (self.observable, *self.definitions, *(() if self.where is None else (self.where,)))

    def unit(self, base: str, unit_of: UnitOf) -> str:  # noqa: ARG002
        """Return the unit of what is averaged."""
        return unit_of(self.observable)

    def labelled(self, label: Label) -> Profile:
        """Return the profile with labels on its axes."""
        axes = tuple(label(d, axis) for d, axis in zip(self.definitions, self.axes, strict=True))
        return replace(self, by=self.definitions, bins=axes)

    @property
    def groups(self) -> tuple[int, ...]:
        """Sums of w, then of w y."""
        return (self.size, self.size)

    def layers(self, block: Block) -> list[Layer]:
        """Return the bin of each event that has the observable, and its value."""
        values = block.values(self.observable, self.where, self.nan)
        index = np.where(np.isnan(values), -1, bin_numbers(block, self.definitions, self.axes, self.where, self.nan))
        return [Layer(index), Layer(index, values)]

    def finish(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return sum w y / sum w; NaN where a bin is empty."""
        return quotient(sums[self.size :], sums[: self.size])

    def effective(self, sums: NDArray[np.float64], squares: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the effective events of each bin."""
        return effective_events(sums[: self.size], squares[: self.size])
