"""Data where the simulation has nothing, one observable at a time: no weight can bring events there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.inputs.doctor.findings import Finding, Level, listed, percent
from omnifold_pub.inputs.doctor.sheets import Book, Side
from omnifold_pub.inputs.doctor.weights import effective

__all__ = ["SUPPORT_CHECKS", "Uncovered", "support_findings", "support_level", "uncovered"]

SUPPORT_CHECKS = ("support", "absence_pattern")
"""Codes of the checks here."""

ERROR = 0.01
"""Fraction of the data without simulation that is an error."""
WARNING = 0.001
"""Fraction of the data without simulation that is a warning."""
CHANCE = 1e-3
"""Probability of a false finding, over all observables, where data and simulation follow the same law."""
EXPECTED = 25.0
"""Effective simulated events that a bin of the data should have at least: none at all has probability 1e-11 then."""
BINS = 400
"""Most bins of an observable, of equal numbers of data events."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Uncovered:
    """Data of one observable where the simulation has nothing.

    Attributes
    ----------
    below, above : float
        Fractions of the data's weight beyond the simulation's lowest and highest value, where that is no chance.
    holes : float
        Fraction of the data's weight in bins without an effective simulated event.
    places : tuple of (float, float)
        From where to where.
    """

    below: float
    above: float
    holes: float
    places: tuple[tuple[float, float], ...]

    @property
    def fraction(self) -> float:
        """All of it."""
        return self.below + self.above + self.holes


def support_level(fraction: float) -> Level:
    """Return how bad a fraction of the data without simulation is.

    >>> support_level(0.02), support_level(0.002), support_level(0.0002)
    ('error', 'warning', 'note')
    """
    return "error" if fraction >= ERROR else "warning" if fraction >= WARNING else "note"


def support_findings(book: Book) -> Iterator[Finding]:
    """Yield observables, and patterns of absent ones, of which the data have what no simulated event has."""
    data, simulation = book.data.reco, book.expectation
    if data is None or simulation is None:
        return
    # An event of zero weight covers nothing.
    used = simulation.selected & (simulation.weight != 0)
    names = [name for name in data.values if name in simulation.values]
    w_d, w_s = data.picked_weight, simulation.weight[used]
    if not names or not (w_d.sum() > 0 and w_s.sum() > 0):
        return
    for name in names:
        gap = uncovered(
            data.picked(name),
            simulation.values[name][used],
            data_weight=w_d,
            simulation_weight=w_s,
            chance=CHANCE / (2 * len(names)),
        )
        if gap.fraction > 0:
            places = "; ".join(f"{low:.6g} to {high:.6g}" for low, high in gap.places[:4])
            yield Finding(
                "support",
                support_level(gap.fraction),
                name,
                f"simulation wherever there are data ({simulation.where})",
                f"{percent(gap.fraction)} of the data without: {places}",
                "No weight brings events there: cut these data away, or simulate with more reach.",
            )
    yield from _patterns(book, data, simulation, used)


def uncovered(
    data: NDArray[np.float32],
    simulation: NDArray[np.float32],
    *,
    data_weight: Array,
    simulation_weight: Array,
    chance: float,
) -> Uncovered:
    """Find data beyond the ends of the simulation, and in holes of it.

    If n data events and m simulated ones follow the same continuous law, the k largest of all of them are data with a
    probability of less than (n / (n + m))^k, whatever the law: beyond an end counts where that is below ``chance``.
    With weights, n and m are effective numbers, (sum w)^2 / sum w^2, and k is n times the fraction of the weight: an
    approximation. A hole is one of at most `BINS` bins, of equal numbers of data, with less than one effective
    simulated event where at least `EXPECTED` are due.

    Parameters
    ----------
    data, simulation : numpy.ndarray
        ``[event]``, NaN where absent, which is left out.
    data_weight, simulation_weight : numpy.ndarray
        ``[event]``.
    chance : float
        Probability of a false finding at each end.

    Examples
    --------
    >>> x = np.linspace(0, 1, 1000, dtype=np.float32)
    >>> gap = uncovered(x * 2, x, data_weight=np.ones(1000), simulation_weight=np.ones(1000), chance=1e-4)
    >>> round(gap.above, 2), gap.below
    (0.5, 0.0)
    """
    here, there = np.isfinite(data), np.isfinite(simulation)
    x, y = data[here], simulation[there]
    order = np.argsort(x)
    x, w_x, w_y = x[order], data_weight[here][order], simulation_weight[there]
    whole = float(data_weight.sum())
    n, m = effective(w_x), effective(w_y)
    if not len(x) or not len(y) or not n:
        return Uncovered(0.0, 0.0, 0.0, ())
    low, high = y.min(), y.max()
    fractions, places = [], []
    first, last = int(np.searchsorted(x, low)), int(np.searchsorted(x, high, side="right"))
    for outside, weight in ((x[:first], w_x[:first]), (x[last:], w_x[last:])):
        fraction = float(weight.sum()) / whole
        real = fraction > 0 and n * float(weight.sum() / w_x.sum()) * np.log1p(m / n) > -np.log(chance)
        fractions.append(fraction if real else 0.0)
        if real:
            places.append((float(outside[0]), float(outside[-1])))
    holes = 0.0
    for start, end in _holes(x[first:last], y, w_y):
        holes += float(w_x[first:last][start:end].sum()) / whole
        places.append((float(x[first + start]), float(x[first + end - 1])))
    return Uncovered(fractions[0], fractions[1], max(holes, 0.0), tuple(places))


def _holes(x: NDArray[np.float32], y: NDArray[np.float32], weight: Array) -> list[tuple[int, int]]:
    """Return (first, past the last) of the sorted data in bins without simulation, neighbours joined."""
    bins = int(min(BINS, effective(weight) / EXPECTED, len(x) / EXPECTED))
    if bins < 2:
        return []
    # Edges are data values, and bins closed at both ends: what lies between two bins is in no bin.
    starts = np.unique(np.searchsorted(x, x[np.arange(bins) * len(x) // bins]))
    ends = np.append(starts[1:], len(x))
    number = np.searchsorted(x[starts], y, side="right") - 1
    number[(number >= 0) & (y > x[ends[number] - 1])] = -1
    inside, noise = (np.bincount(number + 1, weight**power, len(starts) + 1)[1:] for power in (1, 2))
    few = (inside <= 0) | (noise > inside**2)  # less than one effective event
    found: list[tuple[int, int]] = []
    for start, end in zip(starts[few].tolist(), ends[few].tolist(), strict=True):
        if found and found[-1][1] == start:
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return found


def _patterns(book: Book, data: Side, simulation: Side, used: NDArray[np.bool_]) -> Iterator[Finding]:
    """Compare which observables are absent together."""
    names = [name for name in data.values if name in simulation.values]
    here = np.packbits(np.stack([np.isnan(data.picked(name)) for name in names], axis=1), axis=1)
    there = np.packbits(np.stack([np.isnan(simulation.values[name][used]) for name in names], axis=1), axis=1)
    patterns, which, counts = np.unique(here, axis=0, return_inverse=True, return_counts=True)
    known = {row.tobytes() for row in np.unique(there, axis=0)}
    lacking = [i for i, row in enumerate(patterns) if row.tobytes() not in known]
    weight = data.picked_weight
    n, m = effective(weight), effective(simulation.weight[used])
    for i in lacking:
        rows = which.ravel() == i
        fraction = float(weight[rows].sum()) / float(weight.sum())
        if (n / (n + m)) ** int(counts[i]) > CHANCE / max(len(patterns), 1):
            continue
        bits = np.unpackbits(patterns[i])[: len(names)].astype(bool)
        absent = [name for name, bit in zip(names, bits, strict=True) if bit]
        yield Finding(
            "absence_pattern",
            support_level(fraction),
            book.data.where,
            "observables absent together as in some simulated event",
            f"{counts[i]} events ({percent(fraction)}) that lack {listed(absent) if absent else 'nothing'}",
            "No simulated event is like that: look for an event that lacks a part of an object.",
        )
