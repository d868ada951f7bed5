"""Where the events of an observable are, and the edges that bins may have there."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.accumulation.event_set import EventSet
from omnifold_pub.accumulation.sums import Pass
from omnifold_pub.estimators import Histogram
from omnifold_pub.observables.blocks import Block, UndefinedValuesError
from omnifold_pub.observables.rounding import roundest

__all__ = ["Survey", "candidate_edges", "outer_edges", "survey"]

Array = NDArray[np.float64]

_SAMPLE = 1 << 20  # values that are kept to draw quantiles from
_TAIL = 0.001  # share of events that a long tail may lose
_LONG = 1.3  # a tail is long if it ends so much further from the median than all but _TAIL of it


@dataclass(frozen=True, eq=False)
class Survey:
    """Where the events of an observable are.

    Attributes
    ----------
    values : numpy.ndarray
        ``value[event]``, sorted; of very many events a sample.
    minimum, maximum : float
        Of all events.
    integral : bool
        Whether all values are integers.
    """

    values: Array
    minimum: float
    maximum: float
    integral: bool


def survey(source: EventSet, probe: Histogram, low: float, high: float) -> Survey | None:
    """Go over all events with a weight once, some at a time; None if there are none from low to high."""
    work = Pass(source, [probe])
    kept: list[Array] = []
    stride, count, minimum, maximum, integral = 1, 0, math.inf, -math.inf, True
    try:
        for start, stop in work.blocks():
            block = Block(source.events(start, stop))
            values = block.values(probe.definitions[0], probe.where, probe.nan)
            values = values[(values >= low) & (values <= high) & (source.weights(start, stop) != 0)]
            if not len(values):
                continue
            minimum, maximum = min(minimum, float(values.min())), max(maximum, float(values.max()))
            integral = integral and bool((values == np.round(values)).all())
            kept.append(values[::stride])
            count += len(kept[-1])
            if count > _SAMPLE:  # thin it, the same way each time
                stride *= 2
                kept = [np.concatenate(kept)[::2]]
                count = len(kept[0])
    except UndefinedValuesError as error:
        raise work.count_undefined(error) from None
    return Survey(np.sort(np.concatenate(kept)), minimum, maximum, integral) if kept else None


def outer_edges(found: Survey, low: float, high: float, *, rounded: bool) -> tuple[float, float]:
    """Return the first and the last edge, around all values but the ends of long tails, inside of [low, high]."""
    inner = np.quantile(found.values, [_TAIL, 0.1, 0.5, 0.9, 1 - _TAIL], method="inverted_cdf").tolist()
    middle, ends = inner[2], []
    for sign, end, tail, decile, bound in (
        (-1, found.minimum, inner[0], inner[1], low),
        (1, found.maximum, inner[4], inner[3], high),
    ):
        is_long = abs(end - middle) > _LONG * abs(tail - middle) > 0
        value = sign * (tail if is_long else end)  # mirrored for the first edge: outward is up
        if found.integral and sign > 0 and not is_long:
            value += 1  # a bin of its own for the largest number
        room = 0.1 * abs((tail if is_long else end) - decile) or 0.005 * (inner[3] - inner[1])
        first = value - room if is_long else np.nextafter(value, -np.inf)
        edge = roundest(float(first), value + room) if rounded and room > 0 else value
        if found.integral and not float(edge).is_integer():
            edge = value
        ends.append(sign * min(edge, sign * bound) + 0.0)  # no negative zero
    if not ends[0] < ends[1]:  # all values are the same
        step = 1.0 if found.integral else max(abs(ends[1]), 1e-3) * 1e-2
        ends = [ends[0], min(ends[0] + step, high)] if ends[0] < high else [max(ends[0] - step, low), ends[0]]
    return ends[0], ends[1]


def candidate_edges(found: Survey, low: float, high: float, count: int, *, rounded: bool) -> Array:
    """Return edges from low to high with about as many events between any two, the roundest that there are.

    Between two values of the observable that differ there is one at most: spikes get bins of their own.
    """
    values = found.values[(found.values >= low) & (found.values <= high)]
    edges = [low, high]
    places = np.unique(np.quantile(values, np.linspace(0, 1, count + 1), method="inverted_cdf")).tolist()
    for lower, upper in itertools.pairwise(places):
        top = min(upper, float(np.nextafter(high, -np.inf)))
        if top > lower:
            edge = roundest(lower, top) if rounded else top
            if found.integral and top == upper and not edge.is_integer():
                edge = top
            if low < edge < high:
                edges.append(edge)
    return np.unique(np.array(edges))
