"""Efficiency and fakes as functions of every observable."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.inputs.doctor.findings import Finding, percent
from omnifold_pub.inputs.doctor.sheets import Book, Sheet
from omnifold_pub.inputs.doctor.weights import effective

__all__ = ["RESPONSE_CHECKS", "regions", "response_findings"]

RESPONSE_CHECKS = ("efficiency", "no_efficiency", "fakes", "all_fakes")
"""Codes of the checks here."""

DEAD = 0.01
"""Efficiency below which a region is extrapolated to, not measured."""
FAKE = 0.95
"""Fraction of fakes from which on a region of the detector level says nothing of the fiducial one."""
MOSTLY_FAKES = 0.5
"""Fraction of fakes over all that is a warning."""
BINS = 200
"""Most bins of an observable: of equal numbers of events, so that each holds a relevant part of them."""
EVENTS = 300.0
"""Effective events in a bin, about. Even of three quarters of that, fewer than 1 % of an efficiency of 10 % pass with
probability 5e-8."""
_PLACING = 20_000
"""Events that are looked at to place the edges of bins."""

Array = NDArray[np.float64]


def response_findings(book: Book) -> Iterator[Finding]:
    """Yield efficiency and fakes of the simulation and of every other generator, and where they are extreme."""
    for sheet in (book.simulation, *(sheet for sheet in book.others if sheet.truth is not None)):
        yield from _of(sheet)


def _of(sheet: Sheet) -> Iterator[Finding]:
    truth, reco = sheet.truth, sheet.reco
    if truth is None or reco is None or not (truth.picked_weight.sum() > 0 and reco.picked_weight.sum() > 0):
        return
    passing = reco.selected[truth.selected]
    efficiency = float(truth.picked_weight[passing].sum() / truth.picked_weight.sum())
    faked = ~truth.selected[reco.selected]
    fakes = float(reco.picked_weight[faked].sum() / reco.picked_weight.sum())
    dead = efficiency < DEAD
    hint = "Look at pass_reco." if dead else "Misses are extrapolated from the events that are seen beside them."
    found = f"{percent(efficiency)} of the truth weight is seen ({int(passing.sum())} of {len(passing)} events)"
    expected = "an efficiency to unfold with"
    yield Finding("efficiency", "error" if dead else "note", sheet.where, expected, found, hint)
    for name in truth.values:
        for low, high, share, fraction in regions(truth.picked(name), truth.picked_weight, passing, below=DEAD):
            yield Finding(
                "no_efficiency",
                "warning",
                f"{truth.where}: {name}",
                f"an efficiency of at least {percent(DEAD)} everywhere in the fiducial region",
                f"{percent(fraction)} {_place(low, high)}, with {percent(share)} of the truth weight",
                "What is published there is extrapolated from elsewhere: restrict fiducial region or validity.",
            )
    most = fakes > MOSTLY_FAKES
    hint = "Look at pass_truth." if most else "They keep the fraction that the simulation gives them at their place."
    found = f"{percent(fakes)} of the reco weight ({int(faked.sum())} of {len(faked)} events)"
    yield Finding("fakes", "warning" if most else "note", sheet.where, "mostly no fakes", found, hint)
    for name in reco.values:
        for low, high, share, fraction in regions(reco.picked(name), reco.picked_weight, ~faked, below=1 - FAKE):
            yield Finding(
                "all_fakes",
                "warning",
                f"{reco.where}: {name}",
                f"fakes of at most {percent(FAKE)} everywhere",
                f"{percent(1 - fraction)} {_place(low, high)}, with {percent(share)} of the reco weight",
                "Data there tell nothing of the fiducial region: cut them away at detector level.",
            )


def _place(low: float, high: float) -> str:
    return "where it is absent" if np.isnan(low) else f"from {low:.6g} to {high:.6g}"


def regions(
    values: NDArray[np.float32], weight: Array, passing: NDArray[np.bool_], *, below: float
) -> Iterator[tuple[float, float, float, float]]:
    """Yield (lowest, highest, share of the weight, fraction passing) of regions where hardly anything passes.

    Bins have about equal numbers of events, `EVENTS` effective ones or more; neighbours are joined. Events without the
    observable are a region of their own, of bounds NaN.

    Parameters
    ----------
    values : numpy.ndarray
        ``[event]``, NaN where absent.
    weight, passing : numpy.ndarray
        ``[event]``; the fraction is the weight of those passing over that of all.
    below : float
        The fraction that is hardly anything.

    Examples
    --------
    >>> x = np.linspace(0, 10, 3001).astype(np.float32)
    >>> [(round(low), round(high)) for low, high, _, _ in regions(x, np.ones(3001), x < 8, below=0.01)]
    [(8, 10)]
    """
    total = float(weight.sum())
    lacking = np.isnan(values)
    if effective(weight[lacking]) >= 0.75 * EVENTS:
        held, seen = float(weight[lacking].sum()), float(weight[lacking & passing].sum())
        if held > 0 and seen / held < below:
            yield np.nan, np.nan, held / total, seen / held
    known = np.isfinite(values)
    x, w, good = values[known], weight[known], passing[known]
    bins = int(min(BINS, effective(w) / EVENTS))
    if bins < 1:
        return
    # Every so many-th event in the order of the file will do to place the edges. They are values, each the first of its
    # bin, so that equal values are never parted.
    some = np.sort(x[:: max(1, len(x) // _PLACING)])
    edges = np.unique(some[np.arange(1, bins) * len(some) // bins])
    number = np.searchsorted(edges, x, side="right")
    held_in, squares = (np.bincount(number, w**power, len(edges) + 1) for power in (1, 2))
    seen_in = np.bincount(number, w * good, len(edges) + 1)
    enough = (held_in > 0) & (held_in**2 >= 0.75 * EVENTS * squares)
    empty = enough & (seen_in < below * held_in)
    if not empty.any():
        return
    steps = np.flatnonzero(np.diff(np.concatenate([[0], empty.astype(np.int8), [0]])))
    for start, end in steps.reshape(-1, 2).tolist():
        inside = x[(number >= start) & (number < end)]
        held = float(held_in[start:end].sum())
        yield float(inside.min()), float(inside.max()), held / total, float(seen_in[start:end].sum()) / held
