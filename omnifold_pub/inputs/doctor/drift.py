"""Drift: data against simulation, and data against themselves in the order of the file."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.inputs.doctor.findings import Finding, listed
from omnifold_pub.inputs.doctor.sheets import Book
from omnifold_pub.inputs.doctor.weights import effective

__all__ = ["DRIFT_CHECKS", "drift_findings", "kolmogorov_smirnov"]

DRIFT_CHECKS = ("drift", "drift_in_time")
"""Codes of the checks here."""

SIGNIFICANT = 0.01
"""p-value, corrected for the number of observables, from which on data and simulation differ."""
EXTREME = 0.2
"""Distance of the cumulative distributions that is a warning: a fifth of the events would have to move."""
IN_TIME = 1e-4
"""p-value, corrected for the number of observables, below which data drift in time."""
FEWEST = 20.0
"""Effective events on either side that a comparison needs."""


def kolmogorov_smirnov(
    first: NDArray[np.float32],
    second: NDArray[np.float32],
    *,
    first_weight: NDArray[np.float64],
    second_weight: NDArray[np.float64],
) -> tuple[float, float]:
    """Return the largest distance of two cumulative distributions, and the probability of a larger one by chance.

    D = max |F_1 - F_2| of weighted distributions; p is Kolmogorov's tail at D sqrt(n_1 n_2 / (n_1 + n_2)), where n is
    the effective number of events, (sum w)^2 / sum w^2 (Monahan, Numerical Methods of Statistics, 2nd ed., p. 358).
    It is too large for discrete observables, and for few events, which makes fewer false alarms. Absent values, NaN,
    are one point below all others: another fraction of them is a distance too.

    Parameters
    ----------
    first, second : numpy.ndarray
        ``[event]``, NaN where absent.
    first_weight, second_weight : numpy.ndarray
        ``[event]``; single ones may be negative, not their sum.

    Examples
    --------
    >>> a, b = np.arange(100, dtype=np.float32), np.arange(50, 150, dtype=np.float32)
    >>> distance, p = kolmogorov_smirnov(a, b, first_weight=np.ones(100), second_weight=np.ones(100))
    >>> round(distance, 3), p < 1e-9
    (0.5, True)
    """
    from scipy import special  # slow to import

    values = np.concatenate([first, second])
    values = np.where(np.isnan(values), np.float32(-np.inf), values)
    order = np.argsort(values)
    ordered = values[order]
    step = np.concatenate([first_weight / first_weight.sum(), -second_weight / second_weight.sum()])[order]
    last = np.append(ordered[1:] != ordered[:-1], True)  # of equal values
    distance = float(np.abs(np.cumsum(step)[last]).max())
    n_1, n_2 = effective(first_weight), effective(second_weight)
    return distance, float(special.kolmogorov(distance * np.sqrt(n_1 * n_2 / (n_1 + n_2))))


def _enough(*weights: NDArray[np.float64]) -> bool:
    return all(weight.sum() > 0 and effective(weight) >= FEWEST for weight in weights)


def drift_findings(book: Book) -> Iterator[Finding]:
    """Yield where data differ from simulation, and early data from late ones."""
    yield from _from_simulation(book)
    yield from _in_time(book)


def _from_simulation(book: Book) -> Iterator[Finding]:
    data, simulation = book.data.reco, book.expectation
    if data is None or simulation is None or not _enough(data.picked_weight, simulation.picked_weight):
        return
    names = [name for name in data.values if name in simulation.values]
    found = {
        name: kolmogorov_smirnov(
            data.picked(name),
            simulation.picked(name),
            first_weight=data.picked_weight,
            second_weight=simulation.picked_weight,
        )
        for name in names
    }
    differing = {name: d for name, (d, p) in found.items() if p * len(names) < SIGNIFICANT}
    extreme = {name: d for name, d in differing.items() if d > EXTREME}
    for name, distance in extreme.items():
        yield Finding(
            "drift",
            "warning",
            name,
            f"data and simulation no further apart than {EXTREME} (cumulative distributions, detector level)",
            f"{distance:.3f}",
            "Look whether it is the same quantity in the same unit; if so, expect large weights and more iterations.",
        )
    mild = sorted((name for name in differing if name not in extreme), key=lambda name: -differing[name])
    if mild:
        told = listed([f"{name} ({differing[name]:.3f})" for name in mild])
        hint = "Unfolding is for that."
        expected = f"data as simulated, each of {len(names)} observables by itself (Kolmogorov-Smirnov)"
        where = f"{data.where} against {simulation.where}"
        yield Finding("drift", "note", where, expected, f"{len(mild)} that differ: {told}", hint)


def _in_time(book: Book) -> Iterator[Finding]:
    data = book.data.reco
    if data is None or not data.values:
        return
    half = len(data.selected) // 2
    early, late = data.weight[:half], data.weight[half:]
    if not _enough(early, late):
        return
    for name, values in data.values.items():
        distance, p = kolmogorov_smirnov(values[:half], values[half:], first_weight=early, second_weight=late)
        corrected = min(1.0, p * len(data.values))
        if corrected < IN_TIME:
            yield Finding(
                "drift_in_time",
                "warning",
                f"{book.data.where}: {name}",
                "first and second half of the file alike",
                f"cumulative distributions {distance:.3f} apart, p = {corrected:.1g} (corrected for "
                f"{len(data.values)} observables)",
                "Detector or selection changed, or the file is sorted: simulate both periods, or unfold them apart.",
            )
