"""Histograms of one or several observables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import ObservableError
from omnifold_pub.estimators.base import BinnedStatistic, Label, Layer, UnitOf, effective_events, quotient
from omnifold_pub.messages import shorten
from omnifold_pub.observables.binning import Axis, Bins
from omnifold_pub.observables.blocks import Block
from omnifold_pub.observables.events import Definition, NanRule, check_definition, check_rule, definition_text
from omnifold_pub.observables.units import divisor

__all__ = ["Histogram", "bin_numbers", "make_axes"]


def make_axes(
    observables: Definition | Sequence[Definition], bins: Bins | Sequence[Bins]
) -> tuple[tuple[Definition, ...], tuple[Axis, ...]]:
    """Return observables and axes, one of each or several.

    Raises
    ------
    ObservableError
        For what is no observable, or bins that are not one binning for each.
    """
    several = isinstance(observables, list | tuple)
    wanted = cast("tuple[Definition, ...]", tuple(cast("Sequence[Any]", observables)) if several else (observables,))
    for definition in wanted:
        check_definition(definition)
    binnings: tuple[Any, ...] = tuple(cast("Sequence[Any]", bins)) if several else (bins,)
    if not wanted or len(binnings) != len(wanted):
        msg = f"expected bins for each of {len(wanted)} observables; found {len(binnings)}: {shorten(bins)}"
        raise ObservableError(msg)
    axes = (Axis.from_bins(b, name=definition_text(d)) for d, b in zip(wanted, binnings, strict=True))
    return wanted, tuple(axes)


def bin_numbers(
    block: Block, definitions: Sequence[Definition], axes: Sequence[Axis], where: Definition | None, nan: NanRule
) -> NDArray[np.int64]:
    """Return ``bin[event]``, bins of all axes numbered through, the last running fastest; -1 outside."""
    number = axes[0].bins_of(block.values(definitions[0], where, nan))
    for definition, axis in zip(definitions[1:], axes[1:], strict=True):
        along = axis.bins_of(block.values(definition, where, nan))
        number = np.where((number >= 0) & (along >= 0), number * len(axis) + along, -1)
    return number


@dataclass(frozen=True, eq=False)
class Histogram(BinnedStatistic):
    """The cross section in bins of one or several observables.

    Parameters
    ----------
    observables : str, callable, or a sequence of these
        A column, an expression such as ``"pT_l1 / pT_l2"``, or a function that takes the events (a mapping of
        arrays) and returns one value per event. A sequence spans a histogram of as many axes.
    bins : sequence of float or axis, or one of these for each observable
        Bin edges; infinite ones at the ends are under- and overflow. Other events outside are not counted.
    where : str or callable, optional
        Selection: a condition such as ``"pT_ll > 300 & Ntracks_trackj1 >= 5"``.
    nan : {"error", "drop"}
        What to do with selected events for which an observable is NaN although they have all its columns.
    flow : bool
        Add an under- and an overflow bin to each axis.
    density : bool
        Divide by the widths of the bins.
    normalise : bool
        Divide by the sum over all bins.
    name : str, optional
        By default the observables' names.

    Attributes
    ----------
    definitions : tuple
        The observables.
    axes : tuple of Axis
        Their bins.

    Raises
    ------
    ObservableError
        For bins that are none, or not one binning for each observable.

    Examples
    --------
    >>> spectrum = Histogram("pT_ll", [200, 300, 450, 1000], where="Ntracks_trackj1 >= 5", normalise=True)
    >>> spectrum.name, spectrum.labels
    ('pT_ll', ('200 - 300', '300 - 450', '450 - 1000'))
    """

    observables: Definition | Sequence[Definition]
    bins: Bins | Sequence[Bins] = field(repr=False)
    where: Definition | None = field(default=None, kw_only=True)
    nan: NanRule = field(default="error", kw_only=True)
    flow: bool = field(default=False, kw_only=True)
    density: bool = field(default=False, kw_only=True)
    normalise: bool = field(default=False, kw_only=True)
    name: str = field(default="", kw_only=True)
    definitions: tuple[Definition, ...] = field(init=False, repr=False)
    axes: tuple[Axis, ...] = field(init=False)

    def __post_init__(self) -> None:
        check_rule(self.nan)
        definitions, axes = make_axes(self.observables, self.bins)
        if self.flow:
            axes = tuple(axis.with_flow() for axis in axes)
        if self.density and not all(np.isfinite(axis.edges).all() for axis in axes):
            msg = "density: an under- or overflow bin has no width; leave it out, or take the integrated cross section"
            raise ObservableError(msg)
        object.__setattr__(self, "definitions", definitions)
        object.__setattr__(self, "axes", axes)
        object.__setattr__(self, "name", self.name or ", ".join(map(definition_text, definitions)))

    @property
    def used(self) -> tuple[Definition, ...]:
        """Observables and selection."""
        return self.definitions if self.where is None else (*self.definitions, self.where)

    def unit(self, base: str, unit_of: UnitOf) -> str:
        """Return the unit of the bins: of the weights, over those of the axes for a density."""
        over = [axis.unit or unit_of(d) for axis, d in zip(self.axes, self.definitions, strict=True)]
        divided = [divisor(unit) for unit in over if unit != "1"] if self.density else []
        return " / ".join(["1" if self.normalise else base, *divided])

    def labelled(self, label: Label) -> Histogram:
        """Return the histogram with labels on its axes."""
        axes = tuple(label(d, axis) for d, axis in zip(self.definitions, self.axes, strict=True))
        return replace(self, observables=self.definitions, bins=axes)

    @property
    def groups(self) -> tuple[int, ...]:
        """One sum per bin."""
        return (self.size,)

    @property
    def is_linear(self) -> bool:
        """Unless it is normalised."""
        return not self.normalise

    def layers(self, block: Block) -> list[Layer]:
        """Return the bin of each event."""
        return [Layer(bin_numbers(block, self.definitions, self.axes, self.where, self.nan))]

    def finish(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the bins' contents: integrated, or divided by width and sum as was asked for."""
        if self.normalise:
            sums = quotient(sums, np.broadcast_to(sums.sum(axis=0), sums.shape))
        if self.density:
            volume = np.ones(1)
            for axis in self.axes:
                volume = np.outer(volume, axis.widths).ravel()
            sums = sums / volume[:, np.newaxis]
        return sums

    def effective(self, sums: NDArray[np.float64], squares: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the effective events of each bin."""
        return effective_events(sums, squares)
