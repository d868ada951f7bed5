"""Bins of a measurement that the publisher does not vouch for."""

from __future__ import annotations

import math
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.accumulation.evaluation import Evaluation
from omnifold_pub.accumulation.event_set import EventSet
from omnifold_pub.accumulation.sums import Pass, accumulate, in_threads
from omnifold_pub.errors import ValidityError, ValidityWarning
from omnifold_pub.estimators import Histogram, Profile, Ratio, Statistic, SumStatistic
from omnifold_pub.estimators.base import Layer
from omnifold_pub.messages import shorten
from omnifold_pub.observables.blocks import Block
from omnifold_pub.observables.events import Definition, columns_used
from omnifold_pub.validity.limits import Limits, ValidRange, same_expression

__all__ = ["check_validity", "find_violations"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Violations = dict[int, list[str]]
"""What is wrong with each bin that is not vouched for."""

_BINS_SHOWN = 5


@dataclass(frozen=True, eq=False)
class _Outside(SumStatistic):
    """Events of each bin of another statistic that are inside of a range, and those outside."""

    base: SumStatistic
    limit: ValidRange

    @property
    def labels(self) -> tuple[str, ...]:
        return ()

    @property
    def groups(self) -> tuple[int, ...]:
        return (self.base.groups[0],) * 2

    def layers(self, block: Block) -> list[Layer]:
        index = self.base.layers(block)[0].index
        values = block.values(self.limit.expression, None, "drop")
        outside = self.limit.excludes(values)
        return [Layer(np.where(outside | np.isnan(values), -1, index)), Layer(np.where(outside, index, -1))]

    def finish(self, sums: Array) -> Array:
        return sums

    def effective(self, sums: Array, squares: Array) -> Array:  # noqa: ARG002
        return squares


def _leaves(statistic: Statistic) -> Iterator[SumStatistic]:
    """Yield what a ratio is made of, and any other statistic of sums itself."""
    pending = [statistic]
    while pending:
        one = pending.pop()
        if isinstance(one, Ratio):
            pending += [one.denominator, one.numerator]
        elif isinstance(one, SumStatistic):
            yield one


def _columns(definitions: Sequence[Definition], source: EventSet) -> set[str]:
    """Return the columns of expressions; nobody knows those of functions."""
    events = source.events()
    return {column for d in definitions if isinstance(d, str) for column in columns_used(d, events)}


def _by_events(leaf: SumStatistic, limit: ValidRange, source: EventSet) -> str | None:
    """Tell whether events decide if a bin is outside of a range: if it holds "some", or only if "all" are outside."""
    needed = set(columns_used(limit.expression, source.events()))
    where = getattr(leaf, "where", None)
    observed = leaf.used if where is None else leaf.used[:-1]
    if needed <= _columns(observed, source):
        return "some"
    return "all" if needed <= _columns(leaf.used, source) else None


def _out_of_ranges(
    statistics: Sequence[Statistic], sizes: Sequence[int], limits: Limits, source: EventSet
) -> Iterator[tuple[int, Mask, str]]:
    """Yield the number of a statistic, which of its bins are outside of a range, and how."""
    watched: list[tuple[int, _Outside, str]] = []
    for place, leaf in ((place, leaf) for place, statistic in enumerate(statistics) for leaf in _leaves(statistic)):
        for limit in limits.ranges:
            axes = zip(leaf.definitions, leaf.axes, strict=True) if isinstance(leaf, Histogram | Profile) else ()
            own = [number for number, (d, _) in enumerate(axes) if same_expression(d, limit.expression)]
            for number in own:
                axis_bins = np.indices([len(axis) for axis in leaf.axes])[number].ravel()  # type: ignore[attr-defined]
                axis = leaf.axes[number]  # type: ignore[attr-defined]
                yield place, limit.reached_beyond(axis)[axis_bins], f"reaches beyond {limit}"
            rule = None if own else _by_events(leaf, limit, source)
            if rule is not None:
                watched.append((place, _Outside(leaf, limit), rule))
    if not watched:
        return
    # Nominal weights and columns alone are read again, once for all: little beside the families.
    counters = [counter for _, counter, _ in watched]
    squares = accumulate(Pass(source, counters), worker=in_threads()).squares
    ends = np.cumsum([sum(counter.groups) for counter in counters])
    for (place, counter, rule), sums in zip(watched, np.split(squares, ends[:-1]), strict=True):
        inside, outside = sums.reshape(2, -1)
        found = outside > 0 if rule == "some" else (outside > 0) & (inside == 0)
        mask = np.broadcast_to(found, (sizes[place],)) if len(found) == 1 else found
        yield place, mask, f"holds {'' if rule == 'some' else 'only '}events outside of {counter.limit}"


def _number(value: float) -> str:
    """Return a number of events, rounded down: what is below a limit looks so."""
    return f"{math.floor(10 * value) / 10:,g}"


def find_violations(
    statistics: Sequence[Statistic], found: Evaluation, limits: Limits, source: EventSet
) -> list[Violations]:
    """Find the bins of a measurement that are not vouched for.

    Effective events are looked at wherever they are known, effective data events for histograms that are not
    normalised. Ranges are looked at where an axis is the range's own expression: a bin must not reach beyond (under-
    and overflow do). Other observables that use all columns of the range's expression, and means of these, must not
    hold an event outside. Where selection and observable use all of its columns only together, a bin is outside if
    all its events are. Functions do not say what they use, and are checked for effective events alone; statistics
    that need all events at a time (quantiles, functions of events and weights) are not checked at all.

    Parameters
    ----------
    statistics : sequence of Statistic
        What was measured.
    found : Evaluation
        The outcome.
    limits : Limits
        What is vouched for.
    source : EventSet
        The release's events.

    Returns
    -------
    list of dict
        For each statistic, what is wrong by number of the bin; empty where nothing is.
    """
    data_variance = np.zeros(len(found.nominal))
    for result in found.results:
        if result.component.name in limits.data_bootstraps:
            data_variance += np.diag(result.covariance)
    everything = []
    stops = np.cumsum(found.sizes)
    for statistic, stop, size in zip(statistics, stops, found.sizes, strict=True):
        bins = slice(int(stop) - size, int(stop))
        wrong: Violations = {}
        for i in np.flatnonzero(found.effective_events[bins] < limits.effective_events):
            events = _number(found.effective_events[bins][i])
            least = f"{limits.effective_events:,.10g}"
            wrong.setdefault(int(i), []).append(f"{events} effective events of at least {least}")
        if limits.data_events and isinstance(statistic, Histogram) and not statistic.normalise:
            with np.errstate(divide="ignore", invalid="ignore"):
                data_events = np.where(found.nominal[bins] == 0, 0, found.nominal[bins] ** 2 / data_variance[bins])
            for i in np.flatnonzero(data_events < limits.data_events):
                events = _number(data_events[i])
                wrong.setdefault(int(i), []).append(
                    f"{events} effective data events of at least {limits.data_events:,.10g}"
                )
        everything.append(wrong)
    for place, mask, how in _out_of_ranges(statistics, found.sizes, limits, source):
        for i in np.flatnonzero(mask):
            everything[place].setdefault(int(i), []).append(how)
    return everything


def _users_level() -> int:
    """Return the stack level of the line outside of this package that led here, as seen from the caller."""
    package = str(Path(__file__).parents[1]) + os.sep
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(package):
        level, frame = level + 1, frame.f_back
    return level


def check_validity(
    statistics: Sequence[Statistic], found: Evaluation, metadata: dict[str, Any], source: EventSet
) -> None:
    """Warn of bins that the publisher does not vouch for, or refuse them; once for all statistics.

    Parameters
    ----------
    statistics, found, source
        See `find_violations`.
    metadata : dict
        Of the release.

    Raises
    ------
    ValidityError
        If there are such bins and the release's severity is ``error``; it is a `ValidityWarning` otherwise.
    """
    limits = Limits.from_metadata(metadata)
    parts = []
    for statistic, wrong in zip(statistics, find_violations(statistics, found, limits, source), strict=True):
        if wrong:
            shown = [f"{statistic.labels[i]} ({'; '.join(wrong[i])})" for i in sorted(wrong)[:_BINS_SHOWN]]
            more = f" and {len(wrong) - len(shown)} more" if len(wrong) > len(shown) else ""
            parts.append(f"{shorten(statistic.name)} in {', '.join(shown)}{more}")
    if not parts:
        return
    message = (
        f"{source.where}: the publisher does not vouch for {'; '.join(parts)}. Merge these bins with their neighbours, "
        "leave them out, or select events inside (where); suggest_bins proposes bins that are vouched for"
    )
    notes = {f"{limit}: {limit.note}" for limit in limits.ranges if limit.note and str(limit) in message}
    message += "".join(f". {note}" for note in sorted(notes))
    if limits.severity == "error":
        raise ValidityError(message)
    warnings.warn(message, ValidityWarning, stacklevel=_users_level())
