"""Weights: what they sum to, how uneven they are, whether luminosity fits, and what variations change."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.inputs.doctor.findings import Finding, percent
from omnifold_pub.inputs.doctor.sheets import Book, Sheet, Side

__all__ = ["WEIGHT_CHECKS", "effective", "weight_findings"]

WEIGHT_CHECKS = ("weights", "weight_total", "luminosity", "variation_rows", "variation_equal")
"""Codes of the checks here."""

NEGATIVE = 0.25
"""Fraction of negative weights that is a warning: a quarter leaves (1 - 2/4)^2 = 1/4 of the events' worth."""
ZERO = 0.05
"""Fraction of zero weights that is a warning: these events do nothing."""
UNEVEN = 0.1
"""Effective sample size over the number of events that is a warning."""
LARGEST = 0.01
"""Part of the whole that one event may carry, in a sample of at least ten times as many events."""
LUMINOSITY = 1.25
"""Ratio of recorded to expected events, either way, that is a warning."""


def effective(weight: NDArray[np.float64]) -> float:
    """Return the effective number of events, (sum w)^2 / sum w^2 (Kish); 0 where there are none.

    >>> effective(np.array([1.0, 1.0, 0.0])), effective(np.array([]))
    (2.0, 0.0)
    """
    squares = float(weight @ weight)
    return float(weight.sum()) ** 2 / squares if squares > 0 else 0.0


def weight_findings(book: Book) -> Iterator[Finding]:
    """Yield what is to know of the weights of every sample."""
    for sheet in (book.simulation, book.data, *book.others):
        for side in sheet.sides:
            yield from _shape(side)
    yield from _luminosity(book)
    for sheet in book.variations:
        yield from _aligned(book.simulation, sheet)
    for name, (weight, nominal) in book.weight_variations.items():
        if np.array_equal(weight, nominal):
            hint = "A variation that changes nothing stands for nothing: look for the right branch."
            where = f"{book.simulation.where}, {name}"
            yield Finding("variation_equal", "warning", where, "weights that differ", "the nominal ones", hint)


def _shape(side: Side) -> Iterator[Finding]:
    weight = side.picked_weight
    size = len(weight)
    total = float(weight.sum())
    if not total > 0:
        hint = "Look at the selection, and at the weight's branch."
        found = f"{total:g} over {size} of {len(side.selected)} events"
        yield Finding("weight_total", "error", side.where, "a positive sum of selected weights", found, hint)
        return
    negative, zero = float((weight < 0).mean()), float((weight == 0).mean())
    share, worth = effective(weight) / size, float(np.abs(weight).max()) / total
    heavy = worth > LARGEST and size > 10 / LARGEST
    bad = [
        text
        for text, wrong in (
            (f"more than {percent(NEGATIVE)} negative", negative > NEGATIVE),
            (f"more than {percent(ZERO)} zero", zero > ZERO),
            (f"an effective sample size below {percent(UNEVEN)}", share < UNEVEN),
            (f"one event with more than {percent(LARGEST)} of the whole", heavy),
        )
        if wrong
    ]
    plain = not bad and (weight == weight[0]).all()
    shape = (
        "all weights equal"
        if plain
        else f"effective {effective(weight):.0f} ({percent(share)}), largest {worth * size:.3g} times the mean, "
        f"{percent(negative)} negative, {percent(zero)} zero"
    )
    yield Finding(
        "weights",
        "warning" if bad else "note",
        side.where,
        "even weights",
        f"{size} of {len(side.selected)} events selected, sum {total:.6g}, {shape}"
        + (f": {', '.join(bad)}" if bad else ""),
        "Networks learn slowly from few events of large weight." if bad else "Nothing to do.",
    )


def _luminosity(book: Book) -> Iterator[Finding]:
    """Compare what was recorded with what luminosity times simulated cross section lets expect."""
    if book.data.reco is None or book.simulation.reco is None:
        return
    luminosity = book.analysis.document["luminosity"]
    value = book.analysis.luminosity
    signal = value * float(book.simulation.reco.picked_weight.sum())
    backgrounds = [sheet.reco for sheet in book.backgrounds if sheet.reco is not None]
    background = value * sum(float(side.picked_weight.sum()) for side in backgrounds)
    recorded = float(book.data.reco.picked_weight.sum())
    if not (signal > 0 and recorded > 0):
        return  # said already: a sum that is not positive
    ratio = recorded / (signal + background)
    off = not 1 / LUMINOSITY < ratio < LUMINOSITY
    more = f" of which {background:.6g} background" if backgrounds else ""
    if background >= recorded:
        hint = "Nothing is left to unfold: look at the backgrounds' weights and the luminosity."
        found = f"{recorded:.6g} recorded, {background:.6g} background expected"
        yield Finding("luminosity", "error", "luminosity", "more data than background", found, hint)
        return
    # A tenth of a decade around a power of ten, other than 1 itself.
    decade = round(np.log10(ratio))
    power = decade != 0 and abs(np.log10(ratio) - decade) < 0.1
    units = "The ratio is near a power of ten: look at the units. " if power else ""
    yield Finding(
        "luminosity",
        "warning" if off else "note",
        "luminosity",
        f"{signal + background:.6g} events recorded{more}: {luminosity['value']:g} {luminosity['unit']} times the "
        "simulated cross section",
        f"{recorded:.6g}, {ratio:.4g} times that",
        f"{units}Luminosity, its unit and weight_unit set the scale of every published cross section."
        if off
        else "Nothing to do.",
    )


def _aligned(nominal: Sheet, sheet: Sheet) -> Iterator[Finding]:
    where = f"{sheet.where}, {sheet.role}"
    if nominal.event_id is not None and sheet.event_id is not None:
        if len(nominal.event_id) != len(sheet.event_id):
            found = f"{len(sheet.event_id)} rows, not {len(nominal.event_id)}"
        else:
            other = np.flatnonzero(nominal.event_id != sheet.event_id)
            found = f"{len(other)} rows of another event id, the first is row {other[0]}" if len(other) else ""
        if found:
            hint = "Write the variation with every event of the simulation, in its order."
            yield Finding("variation_rows", "error", where, f"the rows of {nominal.where}", found, hint)
            return
    here, there = sheet.reco, nominal.reco
    if here is None or there is None or len(here.selected) != len(there.selected):
        return
    moved = here.selected != there.selected
    both = here.selected & there.selected
    changed = moved.copy()
    for name in here.values:
        if name in there.values:
            changed |= both & ~_same(here.values[name], there.values[name])
    if not changed.any():
        hint = "A variation that changes nothing stands for nothing: look whether it is the right file."
        yield Finding("variation_equal", "warning", where, "a detector level that differs", "the nominal one", hint)


def _same(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.bool_]:
    same: NDArray[np.bool_] = (a == b) | (np.isnan(a) & np.isnan(b))
    return same
