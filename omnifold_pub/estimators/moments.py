"""Moments of an observable over selected events."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import ObservableError
from omnifold_pub.estimators.base import Layer, SumStatistic, UnitOf, effective_events, quotient
from omnifold_pub.messages import shorten
from omnifold_pub.observables.blocks import Block
from omnifold_pub.observables.events import Definition, NanRule, check_definition, check_rule, definition_text

__all__ = ["Moments"]

_MAX_ORDER = 8


@dataclass(frozen=True, eq=False)
class Moments(SumStatistic):
    """Mean and central moments of an observable, with weights.

    Order 1 is the mean m = sum w x / sum w; a higher order k is the central moment sum w (x - m)^k / sum w, so that
    order 2 is the variance. They are computed from sums of w x^k in float64: where the mean is very large against the
    width, shift the observable (``"m_ll - 91"``).

    Parameters
    ----------
    observable : str or callable
        See `Histogram`; events without it do not count.
    orders : sequence of int
        From 1 to 8.
    where, nan, name
        As for `Histogram`.

    Raises
    ------
    ObservableError
        For an order that is none.

    Examples
    --------
    >>> Moments("pT_ll", [1, 2]).labels
    ('mean of pT_ll', 'central moment 2 of pT_ll')
    """

    observable: Definition
    orders: Sequence[int] = (1,)
    where: Definition | None = field(default=None, kw_only=True)
    nan: NanRule = field(default="error", kw_only=True)
    name: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        check_rule(self.nan)
        check_definition(self.observable)
        orders = tuple(self.orders)
        if not orders or not all(type(k) is int and 1 <= k <= _MAX_ORDER for k in orders):
            msg = f"moments: expected orders from 1 to {_MAX_ORDER}; found {shorten(self.orders)}"
            raise ObservableError(msg)
        object.__setattr__(self, "orders", orders)
        object.__setattr__(self, "name", self.name or f"moments of {definition_text(self.observable)}")

    @property
    def labels(self) -> tuple[str, ...]:
        """Order and observable."""
        text = definition_text(self.observable)
        return tuple(f"mean of {text}" if k == 1 else f"central moment {k} of {text}" for k in self.orders)

    @property
    def used(self) -> tuple[Definition, ...]:
        """Observable and selection."""
        return (self.observable,) if self.where is None else (self.observable, self.where)

    def unit(self, base: str, unit_of: UnitOf) -> str:  # noqa: ARG002
        """Return the unit of the mean alone; several orders have several."""
        one = unit_of(self.observable)
        return one if one == "1" or tuple(self.orders) == (1,) else ""

    @property
    def groups(self) -> tuple[int, ...]:
        """Sums of w x^k, k from 0 to the highest order."""
        return (1,) * (max(self.orders) + 1)

    def layers(self, block: Block) -> list[Layer]:
        """Return the powers of the observable."""
        values = block.values(self.observable, self.where, self.nan)
        index = np.where(np.isnan(values), -1, 0)
        return [Layer(index), *(Layer(index, values**k) for k in range(1, max(self.orders) + 1))]

    def finish(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the moments: the binomial theorem makes central ones of raw ones."""
        raw = quotient(sums, np.broadcast_to(sums[0], sums.shape))
        mean = raw[1]
        rows = [
            mean if k == 1 else sum(math.comb(k, j) * raw[j] * (-mean) ** (k - j) for j in range(k + 1))
            for k in self.orders
        ]
        return np.stack(rows)

    def effective(self, sums: NDArray[np.float64], squares: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the effective events of all that count."""
        return np.repeat(effective_events(sums[:1], squares[:1]), len(self.orders))
