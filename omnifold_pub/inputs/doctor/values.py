"""Values: ranges, the fiducial region, infinities, encodings, sentinels that nobody declared, spikes."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.inputs.doctor.findings import Finding, percent
from omnifold_pub.inputs.doctor.sheets import Book, Side

__all__ = ["VALUE_CHECKS", "lone_sentinels", "spike", "value_findings"]

VALUE_CHECKS = ("infinite", "range", "fiducial", "encoding", "constant", "sentinel", "spike")
"""Codes of the checks here."""

RECO_OUTSIDE = 0.01
"""Fraction of detector-level values outside of the valid range of particle level from which on it is a warning."""
SPIKE = 0.05
"""Fraction of events at one value of a continuous observable that is a warning."""
COMMON = 0.01
"""Most that one of the other values may hold for an observable to be continuous."""
FEWEST = 100
"""Values from which on a spike can be told from chance."""
SENTINELS = (-1.0, -9.0, -10.0, *(sign * x for x in (99.0, 999.0, 9999.0, 99999.0) for sign in (-1, 1)))
"""Values that files like to put where there is none."""
GAP = 0.25
"""Distance from all other values, in units of their reach to that side of the median, that makes a value lonely."""


def value_findings(book: Book) -> Iterator[Finding]:
    """Yield what is wrong with the values of each sample, level and observable."""
    for side in (side for sheet in book.sheets for side in sheet.sides):
        for observable in book.analysis.observables:
            if observable.name in side.values:
                yield from _infinite(side, observable.name)
                yield from _encoding(side, observable.name, observable.encoding, observable.offset)
                yield from _range(book, side, observable.name)
        if side.level == "truth":
            yield from _fiducial(book, side)
    for observable in book.analysis.observables:
        yield from _odd_values(book, observable.name)


def _finite(side: Side, name: str) -> NDArray[np.float32]:
    values = side.picked(name)
    return values[np.isfinite(values)]


def _infinite(side: Side, name: str) -> Iterator[Finding]:
    rows = np.flatnonzero(side.selected & np.isinf(side.values[name]))
    if len(rows):
        found = f"{len(rows)} infinite, the first in row {rows[0]}"
        hint = "Remove these events or mend the file."
        yield Finding("infinite", "error", f"{side.where}: {name}", "finite values", found, hint)


def _encoding(side: Side, name: str, encoding: str, offset: float) -> Iterator[Finding]:
    values = _finite(side, name)
    bad = int((values + np.float32(offset) <= 0).sum()) if encoding == "log" else 0
    if bad:
        found = f"{bad} of {len(values)} at or below {-offset:g}, down to {values.min():g}"
        hint = "Give a larger 'offset', or use the encoding 'linear'."
        expected = f"values above {-offset:g}, for the encoding is the logarithm of the value plus {offset:g}"
        yield Finding("encoding", "error", f"{side.where}: {name}", expected, found, hint)


def _range(book: Book, side: Side, name: str) -> Iterator[Finding]:
    interval = next(o.valid_range for o in book.analysis.observables if o.name == name)
    values = _finite(side, name)
    outside = values[~interval.contains(values)]
    if not len(outside):
        return
    fraction = len(outside) / len(values)
    truth = side.level == "truth"
    yield Finding(
        "range",
        "error" if truth else "warning" if fraction > RECO_OUTSIDE else "note",
        f"{side.where}: {name}",
        f"values in {interval.minimum:g} to {interval.maximum:g}, its valid range at particle level",
        f"{len(outside)} of {len(values)} outside ({percent(fraction)}), from {values.min():.6g} to {values.max():.6g}",
        "Mend valid_range, or the events." if truth else "Resolution can do that; a wrong unit or a sentinel too.",
    )


def _fiducial(book: Book, side: Side) -> Iterator[Finding]:
    for requirement in book.analysis.selection:
        used = requirement.expression.columns
        if not all(name in side.values for name in used):
            continue
        columns = {name: side.picked(name) for name in used}
        bound = np.all([~np.isnan(column) for column in columns.values()], axis=0)
        values = requirement.expression(columns).astype(np.float64)
        interval, tolerance = requirement.interval, requirement.tolerance
        bad = np.flatnonzero(bound & ~interval.contains(values, tolerance))
        if len(bad):
            row = int(np.flatnonzero(side.selected)[bad[0]])
            yield Finding(
                "fiducial",
                "error",
                side.where,
                f"{interval.minimum:g} <= {requirement.expression.text} <= {interval.maximum:g} "
                f"(tolerance {tolerance:g})",
                f"{len(bad)} of {len(values)} events that pass truth outside, the first in row {row} "
                f"({values[bad[0]]:.7g})",
                "Mend fiducial.selection in the analysis file, or the events.",
            )


def _odd_values(book: Book, name: str) -> Iterator[Finding]:
    """Look at the nominal simulation and the data alone: variations hold the same values again."""
    sentinels: dict[float, list[str]] = {}
    spikes: dict[float, list[str]] = {}
    for side in (*book.simulation.sides, *book.data.sides):
        if name not in side.values:
            continue
        values, counts = np.unique(_finite(side, name), return_counts=True)
        if len(values) == 1 and counts[0] >= FEWEST:
            hint = "It says nothing; leave it out of the analysis, or mend the branch."
            found = f"{values[0]:g} in all {counts[0]}"
            yield Finding("constant", "warning", f"{side.where}: {name}", "values that differ", found, hint)
        for value, count in lone_sentinels(values, counts):
            sentinels.setdefault(value, []).append(f"{count} ({percent(count / counts.sum())}) in {side.where}")
        top = spike(values, counts)
        if top is not None and top[0] not in sentinels:
            spikes.setdefault(top[0], []).append(f"{percent(top[1])} in {side.where}")
    for value, told in sentinels.items():
        expected = "absence written as NaN or as the declared 'inputs.sentinel'"
        hint = "If it marks absence, write NaN there or declare it; as a value the networks would learn it."
        found = f"{value:g}, far from all other values, {'; '.join(told)}"
        yield Finding("sentinel", "warning", name, expected, found, hint)
    for value, told in spikes.items():
        hint = "If it is a value that was filled in, write NaN there and declare 'absent'; if it is physics, go on."
        found = f"exactly {value:g} in {'; '.join(told)}"
        expected = f"no single value in more than {percent(SPIKE)} of the events of a continuous observable"
        yield Finding("spike", "warning", name, expected, found, hint)


def lone_sentinels(values: NDArray[np.float32], counts: NDArray[np.int64]) -> list[tuple[float, int]]:
    """Return (value, count) of values that look like sentinels: known ones that lie far from all the others.

    Far is `GAP` times the distance from the median of the others to their end on that side.

    Parameters
    ----------
    values, counts : numpy.ndarray
        Distinct values, sorted, and how often each occurs.

    Examples
    --------
    >>> lone_sentinels(np.array([-999, 10, 20, 30], dtype=np.float32), np.array([2, 5, 5, 5]))
    [(-999.0, 2)]
    >>> lone_sentinels(np.array([-2, -1, 0, 1], dtype=np.float32), np.array([2, 5, 5, 5]))
    []
    """
    suspect = np.isin(values, np.array(SENTINELS, dtype=np.float32))
    rest, weights = values[~suspect].astype(np.float64), counts[~suspect]
    if not suspect.any() or not len(rest):
        return []
    median = rest[np.searchsorted(np.cumsum(weights), weights.sum() / 2)]
    found = []
    for value, count in zip(values[suspect].tolist(), counts[suspect].tolist(), strict=True):
        end = rest[0] if value < median else rest[-1]
        away = end - value if value < median else value - end
        # Small numbers are values of their own unless they have the wrong sign.
        wrong_sign = value < 0 <= rest[0]
        if away > (0 if wrong_sign else GAP * abs(median - end)) and (abs(value) >= 99 or wrong_sign):
            found.append((value, count))
    return found


def spike(values: NDArray[np.float32], counts: NDArray[np.int64]) -> tuple[float, float] | None:
    """Return (value, fraction) of the value that holds more than `SPIKE` of an observable else continuous, or None.

    Continuous is one with values that are no integers, none of which, the spike apart, holds more than `COMMON`.

    Parameters
    ----------
    values, counts : numpy.ndarray
        Distinct values, sorted, and how often each occurs.

    Examples
    --------
    >>> values = np.r_[0, np.linspace(1, 2, 190)].astype(np.float32)
    >>> spike(values, np.r_[10, np.ones(190, dtype=np.int64)])
    (0.0, 0.05)
    """
    total = int(counts.sum())
    if total < FEWEST or len(values) < 3:
        return None
    top = int(counts.argmax())
    rest, others = np.delete(values, top), np.delete(counts, top)
    fraction = counts[top] / total
    smooth = others.max() <= max(3, math.ceil(COMMON * others.sum())) and not (rest == np.rint(rest)).all()
    return (float(values[top]), float(fraction)) if fraction >= SPIKE and smooth and len(rest) > 10 else None
