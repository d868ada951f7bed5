"""Bins for an observable: as many as asked for, about equal, with round edges, inside of all limits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.accumulation.evaluation import Evaluation, WeightedEvents, evaluate_statistics
from omnifold_pub.accumulation.sums import Worker
from omnifold_pub.binning_proposal.merging import FineBins, without_bin
from omnifold_pub.binning_proposal.survey import candidate_edges, outer_edges, survey
from omnifold_pub.errors import ObservableError
from omnifold_pub.estimators import Histogram
from omnifold_pub.messages import shorten
from omnifold_pub.observables.binning import Axis
from omnifold_pub.observables.events import Definition, NanRule, definition_text
from omnifold_pub.statistics.components import Component
from omnifold_pub.validity import Limits, find_violations, same_expression

__all__ = ["DEFAULT_BINS", "most_bins", "propose_axis"]

Array = NDArray[np.float64]

DEFAULT_BINS = 10

_LARGEST = 1e150  # beyond, widths and squares of values are no floats
_MOST_BINS = 400
_FINE = (200, 800)  # bins that edges are chosen from: at least, at most
_FINE_PER_BIN = 12


def most_bins(components: Sequence[Component]) -> float:
    """Return the largest number of bins whose covariance the replicas can tell: N - 3 of the smallest bootstrap.

    Ensembles, of a few trainings, are counted only where nothing else gives the covariance its rank.
    """
    kinds = {component.kind for component in components}
    counted = "bootstrap" if "bootstrap" in kinds else "ensemble" if "event_sampling" not in kinds else ""
    return max(1, min((c.members - 3 for c in components if c.kind == counted), default=math.inf))


def _refuse_unless(condition: object, what: str, expected: str, found: object) -> None:
    if not condition:
        msg = f"suggest_bins: {what}: expected {expected}; found {shorten(found)}"
        raise ObservableError(msg)


def _bounds(
    metadata: dict[str, Any], limits: Limits, observable: Definition, wanted: tuple[float, float] | None
) -> tuple[float, float]:
    """Return where an observable may be measured: inside of everything that is said of it."""
    pairs = [(-_LARGEST, _LARGEST)] if wanted is None else [wanted]
    pairs += [(r.minimum, r.maximum) for r in limits.ranges if same_expression(r.expression, observable)]
    for entry in metadata["observables"]:
        if entry["name"] == observable:
            least, largest = entry["valid_range"]["minimum"], entry["valid_range"]["maximum"]
            pairs.append((-math.inf if least is None else least, math.inf if largest is None else largest))
    low, high = max(pair[0] for pair in pairs), min(pair[1] for pair in pairs)
    name = shorten(definition_text(observable))
    _refuse_unless(low < high, f"range of {name}", "one that overlaps with what the publisher vouches for", wanted)
    return low, high


def _stricter(published: Limits, events: float | None, data_events: float | None) -> Limits:
    """Return the publisher's limits, or the reader's where these ask for more."""
    _refuse_unless(
        not data_events or published.data_bootstraps,
        "minimum_effective_data_events",
        "nothing, as no component resamples the data",
        data_events,
    )
    return replace(
        published,
        effective_events=max(published.effective_events, events or 0),
        data_events=max(published.data_events, data_events or 0),
    )


def propose_axis(
    data: WeightedEvents,
    metadata: dict[str, Any],
    observable: Definition,
    bins: int | None = None,
    *,
    where: Definition | None = None,
    nan: NanRule = "error",
    minimum_effective_events: float | None = None,
    minimum_effective_data_events: float | None = None,
    maximum_relative_uncertainty: float | None = None,
    range: tuple[float, float] | None = None,  # noqa: A002 - as numpy.histogram has it
    round_edges: bool = True,
    worker: Worker | None = None,
) -> Axis:
    """Propose bins of an observable, see `omnifold_pub.release.Release.suggest_bins`.

    One pass over the columns finds where the events are, one over all weights fills 200 to 800 fine bins between round
    edges. Of all ways to merge these into the largest number of bins that the limits allow, dynamic programming finds
    the one with the least sum of (events / mean events - 1)^2, plus 0.03 for each factor of two by which an edge
    is finer than its bin is wide. The proposal is then measured; should it fail, bins are merged until it does not.

    Raises
    ------
    ObservableError
        If no bin is inside of the limits, or an argument cannot be used.
    """
    asked = DEFAULT_BINS if bins is None else bins
    _refuse_unless(type(asked) is int and 1 <= asked <= _MOST_BINS, "bins", f"a number from 1 to {_MOST_BINS}", bins)
    for what, value in (
        ("minimum_effective_events", minimum_effective_events),
        ("minimum_effective_data_events", minimum_effective_data_events),
        ("maximum_relative_uncertainty", maximum_relative_uncertainty),
    ):
        _refuse_unless(value is None or value >= 0, what, "a number of at least 0", value)
    _refuse_unless(range is None or (len(range) == 2 and range[0] < range[1]), "range", "two numbers", range)
    limits = _stricter(Limits.from_metadata(metadata), minimum_effective_events, minimum_effective_data_events)
    most = math.inf if maximum_relative_uncertainty is None else maximum_relative_uncertainty
    low, high = _bounds(metadata, limits, observable, range)
    name = shorten(definition_text(observable))
    there = survey(data.events, Histogram(observable, [0, 1], where=where, nan=nan), low, high)
    if there is None:
        msg = f"suggest_bins: {name}: no selected event has a value from {low:g} to {high:g}"
        raise ObservableError(msg)
    first, last = outer_edges(there, low, high, rounded=round_edges)
    if range is not None:
        first, last = (low if math.isfinite(low) else first, high if math.isfinite(high) else last)
    asked = int(min(asked, most_bins(data.components)))
    count = max(_FINE[0], min(_FINE[1], _FINE_PER_BIN * asked))

    def measure(edges: Array) -> tuple[Histogram, Evaluation]:
        histogram = Histogram(observable, edges, where=where, nan=nan)
        return histogram, evaluate_statistics((histogram,), data, worker=worker)

    edges = candidate_edges(there, first, last, count, rounded=round_edges)
    histogram, found = measure(edges)
    ranges_alone = replace(limits, effective_events=0, data_events=0)
    (outside,) = find_violations([histogram], found, ranges_alone, data.events)
    fine = FineBins.of(found, edges, limits, uncertainty=most, outside=outside)
    chosen = fine.partition(asked, rounded=round_edges)
    largest = fine.largest_usable()
    if chosen is None and largest is not None:  # something at an end spoils all bins that hold it
        chosen = fine.part(*largest).partition(asked, rounded=round_edges)
    while chosen is not None:
        histogram, found = measure(chosen)
        (wrong,) = find_violations([histogram], found, limits, data.events)
        variance = sum((np.diag(result.covariance) for result in found.results), np.zeros(len(found.nominal)))
        too_uncertain = variance > (most * np.abs(found.nominal)) ** 2 if math.isfinite(most) else variance < 0
        spoilt = set(wrong) | set(np.flatnonzero(too_uncertain).tolist())
        if not spoilt:
            return histogram.axes[0]
        chosen = without_bin(chosen, min(spoilt), found.effective_events) if len(chosen) > 2 else None
    asked_for = [f"{limits.effective_events:,.10g} effective events"]
    asked_for += [f"{limits.data_events:,.10g} effective data events"] if limits.data_events else []
    asked_for += [f"a relative uncertainty of at most {most:g}"] if math.isfinite(most) else []
    asked_for += [f"no event outside of {' or '.join(map(str, limits.ranges))}"] if outside else []
    msg = (
        f"suggest_bins: {name}: not even one bin from {first:g} to {last:g} has {', '.join(asked_for)}; all fine bins "
        f"together have about {fine.total:,.0f} effective events. Choose another range or selection, or ask for less"
    )
    raise ObservableError(msg)
