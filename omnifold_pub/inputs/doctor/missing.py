"""What is absent, where, and whether the analysis file says so."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from omnifold_pub.inputs.doctor.findings import Finding, listed, percent
from omnifold_pub.inputs.doctor.sheets import Book, Side

__all__ = ["MISSING_CHECKS", "missing_findings"]

MISSING_CHECKS = ("absent", "never_absent", "always_absent", "absence_differs", "absence_flag")
"""Codes of the checks here."""


def _absent(side: Side, name: str) -> int:
    return sum(side.flags[name])


def missing_findings(book: Book) -> Iterator[Finding]:
    """Yield what is absent without leave, what is absent with it, and where samples differ in that."""
    yield from _undeclared(book)
    yield from _declared(book)
    yield from _differing(book)


def _undeclared(book: Book) -> Iterator[Finding]:
    for sheet, side in ((one, side) for one in book.sheets for side in one.sides):
        size = int(side.selected.sum())
        for observable in book.analysis.observables:
            if observable.name not in side.values or not size:
                continue
            count = _absent(side, observable.name)
            if count and observable.absent is None:
                first = int(np.flatnonzero(side.selected & np.isnan(side.values[observable.name]))[0])
                yield Finding(
                    "absent",
                    "error",
                    f"{side.where}: {observable.name}",
                    "a value in every selected event, for no 'absent' is declared",
                    f"{count} of {size} absent ({percent(count / size)}), the first in row {first}",
                    "Declare what that means as 'absent' of this observable, or mend the file.",
                )
            if count == size:
                # Events that are no signal may well be all without an object.
                allowed = sheet.is_background and observable.absent is not None
                yield Finding(
                    "always_absent",
                    "note" if allowed else "error",
                    f"{side.where}: {observable.name}",
                    "a value in some event",
                    f"absent from all {size} selected events",
                    "Look whether this background never has it."
                    if allowed
                    else "Leave it out of the analysis, or mend the branch.",
                )


def _declared(book: Book) -> Iterator[Finding]:
    """Note what the declared rule does, observables of one object together."""
    sides = [*book.simulation.sides, *book.data.sides]
    never: list[str] = []
    groups: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for observable in book.analysis.observables:
        if observable.absent is None:
            continue
        held = [side for side in sides if observable.name in side.values and side.selected.any()]
        if not held:
            continue
        counts = [_absent(side, observable.name) for side in held]
        if not any(counts):
            never.append(observable.name)
            continue
        told = tuple(
            f"{count} of {int(side.selected.sum())} ({percent(count / side.selected.sum())}) in {side.where}"
            for side, count in zip(held, counts, strict=True)
        )
        groups.setdefault((observable.absent, told), []).append(observable.name)
    for (rule, told), names in groups.items():
        hint = "The networks get a flag for it; nothing to do."
        yield Finding("absent", "note", listed(names), f"absent where declared: {rule}", "; ".join(told), hint)
    if never:
        hint = "Drop the declaration, or look whether the branch fills in a value where there is none."
        found = "no selected event of simulation or data lacks it"
        yield Finding("never_absent", "note", listed(never), "absent somewhere, as declared", found, hint)


def _differing(book: Book) -> Iterator[Finding]:
    """Compare data and simulation: absent here but never there, and flagged by NaN here, the sentinel there."""
    data, simulation = book.data.reco, book.expectation
    if data is None or simulation is None or not (data.selected.any() and simulation.selected.any()):
        return
    otherwise: list[str] = []
    for name in data.values:
        if name not in simulation.values:
            continue
        here, there = _absent(data, name), _absent(simulation, name)
        if bool(here) != bool(there):
            has, lacks = (data, simulation) if here else (simulation, data)
            size, total = int(has.selected.sum()), int(lacks.selected.sum())
            count = here or there
            # Equal laws: this many of so many, and none of the others, is (total share of 'has') ** count.
            by_chance = (size / (size + total)) ** count
            yield Finding(
                "absence_differs",
                "warning" if by_chance < 1e-4 else "note",
                name,
                "absent in data and simulation, or in neither",
                f"absent in {count} of {size} ({percent(count / size)}) in {has.where}, never in {lacks.where}",
                "Look whether one of the files fills in a value where there is none.",
            )
        elif here and [bool(x) for x in data.flags[name]] != [bool(x) for x in simulation.flags[name]]:
            otherwise.append(name)
    if otherwise:
        found = "; ".join(
            f"{side.where}: NaN {sum(side.flags[name][0] for name in otherwise)} times, "
            f"the sentinel {sum(side.flags[name][1] for name in otherwise)} times"
            for side in (data, simulation)
        )
        hint = "Both are understood; look whether they mean the same."
        yield Finding("absence_flag", "note", listed(otherwise), "absence written one way", found, hint)
