"""Checks of event ids and columns: unique, finite, in range, in the fiducial region."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.format import layout
from omnifold_pub.observables.expressions import parse
from omnifold_pub.observables.selection import Interval, Requirement
from omnifold_pub.validate.findings import Finding
from omnifold_pub.validate.passes import Passes

__all__ = ["COLUMN_CHECKS", "column_findings"]

COLUMN_CHECKS = ("event_id", "columns", "range", "fiducial")
"""Codes of the checks here."""

_ROWS = 8 * layout.COLUMN_CHUNK
"""Events that an expression is computed for at once: it holds a dozen arrays of them."""


@dataclass
class _Extent:
    """What a column holds, as far as it was read."""

    size: int = 0
    absent: int = 0
    infinite: int = 0
    outside: int = 0
    lowest: float = np.inf
    highest: float = -np.inf


@dataclass
class _Cut:
    """One requirement of the fiducial selection, and the events that miss it."""

    requirement: Requirement
    seen: int = 0
    outside: int = 0
    first: tuple[int, float] | None = field(default=None)

    @classmethod
    def of(cls, entry: dict[str, Any]) -> _Cut:
        return cls(Requirement(parse(entry["expression"]), Interval.of(entry), entry["tolerance"]))

    def look(self, start: int, columns: Mapping[str, NDArray[Any]]) -> None:
        expression = self.requirement.expression
        values = np.asarray(expression(columns), dtype=np.float64)
        present = np.ones(len(values), dtype=bool)
        for name in expression.columns:
            present &= ~np.isnan(columns[name])
        # What is not finite, of present columns, is inside of nothing.
        bad = np.flatnonzero(present & ~self.requirement.interval.contains(values, self.requirement.tolerance))
        self.seen += len(values)
        self.outside += len(bad)
        if len(bad) and self.first is None:
            self.first = int(start + bad[0]), float(values[bad[0]])


def column_findings(passes: Passes, metadata: dict[str, Any], prefix: str = "") -> Iterator[Finding]:
    """Read ids and columns of one set of events, once, and yield what is amiss.

    Parameters
    ----------
    prefix : str
        Empty for the release's own events, ``canvases/<canvas>/`` for a canvas.
    """
    yield from _id_findings(passes, f"{prefix}{layout.EVENT_ID}")
    cuts = [_Cut.of(entry) for entry in metadata["fiducial"]["selection"]]
    observables = {entry["name"]: entry for entry in metadata["observables"]}
    extents = {name: _Extent() for name in observables}
    paths = {name: f"{prefix}{layout.EVENTS}/{name}" for name in observables}
    cut_on = sorted({name for cut in cuts for name in cut.requirement.expression.columns})
    together = [passes.blocks(paths[name], rows=_ROWS) for name in cut_on]
    for blocks in zip(*together, strict=True):  # these beside each other, so that none need be kept
        columns = {name: block for name, (_, block) in zip(cut_on, blocks, strict=True)}
        for name, block in columns.items():
            _extend(extents[name], block, observables[name]["valid_range"])
        for cut in cuts:
            cut.look(blocks[0][0], columns)
    for name in [name for name in observables if name not in cut_on]:
        for _, block in passes.blocks(paths[name]):
            _extend(extents[name], block, observables[name]["valid_range"])
    for name, observable in observables.items():
        yield from _extent_findings(f"/{paths[name]}", observable, extents[name])
    for cut in cuts:
        if cut.first is not None:
            (row, value), interval = cut.first, cut.requirement.interval
            yield Finding(
                "fiducial",
                "required",
                f"/{prefix}{layout.EVENTS}",
                f"{interval.minimum:g} <= {cut.requirement.expression.text} <= {interval.maximum:g} "
                f"(tolerance {cut.requirement.tolerance:g})",
                f"{cut.outside} of {cut.seen} events outside, the first in row {row} ({value:.6g})",
                "Remove these events, or state the region that they are in.",
            )


def _id_findings(passes: Passes, path: str) -> Iterator[Finding]:
    ids = passes.whole(path)
    if not (ids[1:] > ids[:-1]).all():  # sorted ids need no copy
        repeated = len(ids) - len(np.unique(ids))
        if repeated:
            hint = "Resampling needs each event once."
            yield Finding("event_id", "required", f"/{path}", "unique ids", f"{repeated} repeated", hint)


def _extend(extent: _Extent, block: NDArray[Any], valid: dict[str, Any]) -> None:
    extent.size += len(block)
    values = block
    if block.dtype.kind == "f":
        finite = np.isfinite(block)
        if not finite.all():
            absent = int(np.isnan(block).sum())
            extent.absent += absent
            extent.infinite += len(block) - int(finite.sum()) - absent
            values = block[finite]
    if not len(values):
        return
    lowest, highest = float(values.min()), float(values.max())
    extent.lowest, extent.highest = min(extent.lowest, lowest), max(extent.highest, highest)
    interval = Interval.of(valid)
    if not interval.contains(np.array([lowest, highest])).all():
        extent.outside += int(((values < interval.minimum) | (values > interval.maximum)).sum())


def _extent_findings(path: str, observable: dict[str, Any], extent: _Extent) -> Iterator[Finding]:
    if extent.infinite:
        found = f"{extent.infinite} infinite"
        yield Finding("columns", "required", path, "finite values", found, "Remove these events.")
    if extent.absent and observable["missing"]["rule"] == "never":
        hint = "Declare the missing rule 'nan' and what it means, or remove these events."
        found = f"{extent.absent} NaN of {extent.size}"
        yield Finding("columns", "required", path, "no NaN", found, hint)
    if extent.outside:
        low, high = (observable["valid_range"][key] for key in ("minimum", "maximum"))
        yield Finding(
            "range",
            "required",
            path,
            f"values in its valid range, {'-inf' if low is None else low} to {'inf' if high is None else high}",
            f"{extent.outside} of {extent.size} outside, from {extent.lowest:.6g} to {extent.highest:.6g}",
            "A sentinel such as -99 is no value: write NaN. Otherwise remove these events or state the true range.",
        )
