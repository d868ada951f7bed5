"""Quantiles of an observable over selected events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import ObservableError
from omnifold_pub.estimators.base import EventStatistic, UnitOf
from omnifold_pub.messages import shorten
from omnifold_pub.observables.blocks import evaluate
from omnifold_pub.observables.events import Definition, Events, NanRule, check_definition, check_rule, definition_text

__all__ = ["Quantiles"]


@dataclass(frozen=True, eq=False)
class Quantiles(EventStatistic):
    """Quantiles of an observable, with weights: the smallest x up to which lies a share p of the cross section.

    This is the inverse of the weighted empirical distribution function (``method="inverted_cdf"`` of `numpy.quantile`;
    Hyndman and Fan, The American Statistician 50 (1996) 361, definition 1). Events are sorted once; each member then
    costs one sum over them. Where members have negative weights, the distribution function may fall; the first x at
    which it reaches the share counts.

    Parameters
    ----------
    observable : str or callable
        See `Histogram`; events without it do not count.
    probabilities : sequence of float
        Shares between 0 and 1.
    where, nan, name
        As for `Histogram`.

    Raises
    ------
    ObservableError
        For a share that is none.

    Examples
    --------
    >>> Quantiles("pT_ll", [0.5]).labels
    ('quantile 0.5 of pT_ll',)
    """

    observable: Definition
    probabilities: Sequence[float] = (0.5,)
    where: Definition | None = field(default=None, kw_only=True)
    nan: NanRule = field(default="error", kw_only=True)
    name: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        check_rule(self.nan)
        check_definition(self.observable)
        try:
            probabilities = tuple(float(p) for p in self.probabilities)
        except (TypeError, ValueError):
            probabilities = ()
        if not probabilities or not all(0 < p < 1 for p in probabilities):
            msg = f"quantiles: expected shares between 0 and 1; found {shorten(self.probabilities)}"
            raise ObservableError(msg)
        object.__setattr__(self, "probabilities", probabilities)
        object.__setattr__(self, "name", self.name or f"quantiles of {definition_text(self.observable)}")

    @property
    def labels(self) -> tuple[str, ...]:
        """Share and observable."""
        return tuple(f"quantile {p:g} of {definition_text(self.observable)}" for p in self.probabilities)

    @property
    def used(self) -> tuple[Definition, ...]:
        """Observable and selection."""
        return (self.observable,) if self.where is None else (self.observable, self.where)

    def unit(self, base: str, unit_of: UnitOf) -> str:  # noqa: ARG002
        """Return the observable's unit."""
        return unit_of(self.observable)

    def prepare(self, events: Events) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
        """Sort the events and return a function of their weights."""
        values = evaluate(self.observable, events, where=self.where, nan=self.nan)
        order = np.argsort(values, kind="stable")
        order = order[: len(values) - int(np.isnan(values).sum())]  # NaN is sorted to the end
        ordered = values[order]
        shares = np.array(self.probabilities)

        def quantiles(weights: NDArray[np.float64]) -> NDArray[np.float64]:
            cumulated = np.cumsum(weights[order])
            if not len(cumulated) or not cumulated[-1] > 0:
                return np.full(len(shares), np.nan)
            rising = np.maximum.accumulate(cumulated)
            places = np.searchsorted(rising, shares * cumulated[-1], side="left")
            found: NDArray[np.float64] = ordered[np.minimum(places, len(ordered) - 1)]
            return found

        return quantiles
