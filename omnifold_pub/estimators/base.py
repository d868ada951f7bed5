"""What a statistic of weighted events is, to those who compute it."""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.observables.binning import Axis
from omnifold_pub.observables.blocks import Block
from omnifold_pub.observables.events import Definition, Events

__all__ = [
    "BinnedStatistic",
    "EventStatistic",
    "Label",
    "Layer",
    "Statistic",
    "SumStatistic",
    "UnitOf",
    "effective_events",
    "quotient",
]

Array = NDArray[np.float64]
UnitOf = Callable[[Definition], str]
"""Unit of an observable: ``"1"`` for a pure number, ``"[name]"`` where nobody said."""

Label = Callable[[Definition, Axis], Axis]
"""Puts symbol and unit of an observable on its axis."""


@dataclass(frozen=True, eq=False)
class Layer:
    """What each event of a block adds to one group of sums.

    Attributes
    ----------
    index : numpy.ndarray
        ``sum[event]``; -1 where it adds to none of them.
    factor : numpy.ndarray, optional
        ``factor[event]`` that its weight is multiplied with; None for 1.
    """

    index: NDArray[np.integer]
    factor: Array | None = None


class Statistic(ABC):
    """A statistic T of weighted events, a vector.

    Attributes
    ----------
    name : str
        What it is called where several are measured together.
    """

    name: str

    @property
    @abstractmethod
    def labels(self) -> tuple[str, ...]:
        """What each number of T is, in words."""

    @property
    def used(self) -> tuple[Definition, ...]:
        """Observables and selections that it is made of."""
        return ()

    def unit(self, base: str, unit_of: UnitOf) -> str:  # noqa: ARG002 - of those that override it
        """Return the unit of T, for weights in ``base``; empty if its numbers differ in theirs."""
        return ""

    def labelled(self, label: Label) -> Statistic:  # noqa: ARG002
        """Return the statistic with labels on its axes."""
        return self


class SumStatistic(Statistic):
    """A statistic that is a function of sums of weights: all members of a family in one pass."""

    @property
    @abstractmethod
    def groups(self) -> tuple[int, ...]:
        """Number of sums of each layer."""

    @property
    def is_linear(self) -> bool:
        """Whether T is linear in the sums, each event adding its weight and nothing else."""
        return False

    @abstractmethod
    def layers(self, block: Block) -> list[Layer]:
        """Return what each event adds to the sums; one layer for each group."""

    @abstractmethod
    def finish(self, sums: Array) -> Array:
        """Return ``T[bin, member]`` from ``sum[sum, member]``; not finite where T does not exist."""

    @abstractmethod
    def effective(self, sums: Array, squares: Array) -> Array:
        """Return (sum w)^2 / sum w^2 of the events behind each number, from ``sum[sum]`` of w and of w^2."""


class BinnedStatistic(SumStatistic):
    """A statistic with one number per bin.

    Attributes
    ----------
    axes : tuple of Axis
        Its bins; numbered through, the last axis running fastest.
    """

    axes: tuple[Axis, ...]

    @property
    def kind(self) -> str:
        """Kind of the Unified Histogram Interface."""
        return "COUNT"

    @property
    def labels(self) -> tuple[str, ...]:
        """Edges of each bin."""
        sides = [[f"{low:g} - {high:g}" for low, high in axis] for axis in self.axes]
        return tuple(", ".join(bin_) for bin_ in itertools.product(*sides))

    @property
    def size(self) -> int:
        """Number of bins of all axes together."""
        return math.prod(len(axis) for axis in self.axes)


class EventStatistic(Statistic):
    """A statistic that needs all events at a time: one call for each member."""

    @abstractmethod
    def prepare(self, events: Events) -> Callable[[Array], Array]:
        """Return a function of ``weight[event]`` that returns T."""


def effective_events(sums: Array, squares: Array) -> Array:
    """Return (sum w)^2 / sum w^2, 0 where there are no events (Kish, Survey Sampling, 1965, sec. 8.2)."""
    result: Array = np.divide(sums**2, squares, out=np.zeros_like(sums), where=squares > 0)
    return result


def quotient(numerator: Array, denominator: Array) -> Array:
    """Return numerator / denominator, NaN where the denominator is 0."""
    result: Array = np.divide(numerator, denominator, out=np.full_like(numerator, np.nan), where=denominator != 0)
    return result
