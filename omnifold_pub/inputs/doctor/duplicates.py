"""Events that are there twice."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.inputs.doctor.findings import Finding, percent
from omnifold_pub.inputs.doctor.sheets import Book, Sheet

__all__ = ["DUPLICATE_CHECKS", "duplicate_findings"]

DUPLICATE_CHECKS = ("event_id", "equal_rows", "shared_rows")
"""Codes of the checks here."""

_SEED = 20250


def duplicate_findings(book: Book) -> Iterator[Finding]:
    """Yield repeated event ids, and rows that are equal in every observable."""
    for sheet in (book.simulation, book.data, *book.others):
        yield from _ids(sheet)
        yield from _equal_rows(sheet)
    yield from _shared_rows(book)


def _ids(sheet: Sheet) -> Iterator[Finding]:
    if sheet.event_id is None:
        return
    values, counts = np.unique(sheet.event_id, return_counts=True)
    repeated = len(sheet.event_id) - len(values)
    if repeated:
        hint = "Bootstraps are keyed by the id: number the events, or remove those that are there twice."
        found = f"{repeated} of {len(sheet.event_id)} repeat an earlier one, such as {values[counts > 1][0]}"
        yield Finding("event_id", "error", sheet.where, "unique event ids", found, hint)


def _columns(sheet: Sheet, *, reco_only: bool) -> tuple[list[NDArray[np.uint32]], NDArray[np.bool_]] | None:
    """Return every column's bits, absent where not selected, and the rows that are selected on some level."""
    sides = sheet.sides[-1:] if reco_only else sheet.sides
    if not sides or not all(side.values for side in sides):
        return None
    columns = []
    for side in sides:
        for values in side.values.values():
            # + 0 makes one zero of the two; one NaN stands for all.
            plain = np.where(side.selected & ~np.isnan(values), values + np.float32(0), np.float32(np.nan))
            columns.append(plain.view(np.uint32))
    return columns, np.any([side.selected for side in sides], axis=0)


def _keys(columns: list[NDArray[np.uint32]]) -> NDArray[np.uint64]:
    """Return a 64-bit number per row, the same for equal rows; others share one with a probability near 2^-64."""
    rng = np.random.default_rng(_SEED)
    keys = np.zeros(len(columns[0]), dtype=np.uint64)
    for column in columns:
        keys += column.astype(np.uint64) * (rng.integers(2**64, dtype=np.uint64) | np.uint64(1))
        keys ^= keys >> np.uint64(29)
        keys *= np.uint64(0xBF58476D1CE4E5B9)
    return keys


def _chance(columns: list[NDArray[np.uint32]], rows: NDArray[np.bool_]) -> float:
    """Return how many equal pairs chance makes, from the two columns that tell events apart best.

    A pair is equal in one column with probability sum n_i (n_i - 1) / (n (n - 1)); columns are taken as independent,
    and the other ones are left out, which may be functions of these.
    """
    size = int(rows.sum())
    pairs = size * (size - 1)
    equal = []
    for column in columns:
        counts = np.unique(column[rows], return_counts=True)[1].astype(np.float64)
        equal.append(float((counts * (counts - 1)).sum()) / pairs)
    equal.sort()
    return pairs / 2 * equal[0] * (equal[1] if len(equal) > 1 else 1.0)


def _beyond_chance(pairs: float, chance: float) -> bool:
    return bool(pairs > 2 * chance + 5 * np.sqrt(chance))


def _equal_rows(sheet: Sheet) -> Iterator[Finding]:
    held = _columns(sheet, reco_only=False)
    if held is None or not held[1].any():
        return
    columns, rows = held
    _, first, counts = np.unique(_keys(columns)[rows], return_index=True, return_counts=True)
    many = counts[counts > 1].astype(np.float64)
    if not len(many):
        return
    chance = _chance(columns, rows)
    if _beyond_chance(float((many * (many - 1)).sum()) / 2, chance):
        extra = int((many - 1).sum())
        row = int(np.flatnonzero(rows)[first[counts > 1].min()])
        found = f"{extra} of {int(rows.sum())} repeat an earlier one ({percent(extra / rows.sum())}), such as row {row}"
        hint = "An event that is there twice counts twice, and no bootstrap knows; look how the file was merged."
        yield Finding("equal_rows", "warning", sheet.where, "rows that differ in some observable", found, hint)


def _shared_rows(book: Book) -> Iterator[Finding]:
    if book.data.reco is None or book.simulation.reco is None:
        return
    if list(book.data.reco.values) != list(book.simulation.reco.values):
        return
    here, there = _columns(book.data, reco_only=True), _columns(book.simulation, reco_only=True)
    if here is None or there is None:
        return
    data, simulation = _keys(here[0])[here[1]], _keys(there[0])[there[1]]
    shared = int(np.isin(data, simulation).sum())
    if not shared:
        return
    both = [np.concatenate([a[here[1]], b[there[1]]]) for a, b in zip(here[0], there[0], strict=True)]
    size = len(data) + len(simulation)
    crossing = 2 * len(data) * len(simulation) / (size * (size - 1))
    if _beyond_chance(shared, _chance(both, np.ones(size, dtype=bool)) * crossing):
        found = f"{shared} of {len(data)} ({percent(shared / len(data))}) are rows of {book.simulation.where} too"
        hint = "Pseudo-data must not be events of the simulation: their fluctuations would be the same."
        yield Finding("shared_rows", "warning", book.data.where, "events that the simulation has not", found, hint)
