"""Checks that read columns and weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from omnifold_pub import format as layout
from omnifold_pub.progress import Progress
from omnifold_pub.statistics.components import REPLICA_KINDS, Component
from omnifold_pub.validate.findings import Finding

__all__ = ["CONTENT_CHECKS", "content_findings"]

CONTENT_CHECKS = (
    "event_id",
    "columns",
    "finite_weights",
    "negative_weights",
    "nominal_total",
    "family_total",
    "central_value",
    "event_sampling",
)
"""Codes of the checks here, which need a sound structure."""

_BOOTSTRAP_PULL = 5.0
_BOOTSTRAP_RATIO = 0.1
_VARIATION_RATIO = 2.0
_FLOAT32_ROUNDING = 2e-6


def _column_findings(file: h5py.File, metadata: dict[str, Any]) -> Iterator[Finding]:
    ids = file[layout.EVENT_ID][()]
    repeated = len(ids) - len(np.unique(ids))
    if repeated:
        hint = "Resampling needs each event once."
        yield Finding("event_id", "required", f"/{layout.EVENT_ID}", "unique ids", f"{repeated} repeated", hint)
    for observable in metadata["observables"]:
        column = file[f"{layout.EVENTS}/{observable['name']}"][()]
        path = f"/{layout.EVENTS}/{observable['name']}"
        absent, infinite = int(np.isnan(column).sum()), int(np.isinf(column).sum())
        if infinite:
            yield Finding("columns", "required", path, "finite values", f"{infinite} infinite", "Remove these events.")
        if absent and not observable["may_be_absent"]:
            hint = "Declare may_be_absent, or remove these events."
            yield Finding("columns", "required", path, "no NaN", f"{absent} NaN of {len(column)}", hint)


def _weight_findings(path: str, bad: int, size: int, negative: int) -> Iterator[Finding]:
    if bad:
        hint = "A training diverged; leave its member out."
        yield Finding("finite_weights", "required", path, "finite weights", f"{bad} of {size} are not", hint)
    if negative:
        hint = "Expected of signed generator weights alone."
        yield Finding("negative_weights", "optional", path, "no negative weight", f"{negative} of {size}", hint)


@dataclass(frozen=True)
class _FamilySummary:
    totals: NDArray[np.float64]
    bad: int
    negative: int
    centre_mismatch: float


def _read_family(
    dataset: h5py.Dataset, nominal: NDArray[np.float32], rule: str | None, advance: Callable[[int], None]
) -> _FamilySummary:
    """Go once through a family, block by block; ``rule`` also compares its centre with the nominal."""
    totals = np.zeros(dataset.shape[1])
    bad = negative = 0
    mismatch = 0.0
    for start, stop in layout.family_blocks(*dataset.shape):
        block = dataset[start:stop].astype(np.float64)
        bad += int((~np.isfinite(block)).sum())
        negative += int((block < 0).sum())
        totals += block.sum(axis=0)
        if rule is not None:
            centre = block.mean(axis=1) if rule == "mean" else np.median(block, axis=1)
            scale = np.abs(block).max(axis=1)
            off = np.abs(centre - nominal[start:stop]) / np.where(scale > 0, scale, 1.0)
            mismatch = max(mismatch, float(np.nan_to_num(off, nan=np.inf).max()))
        advance(block.size)
    return _FamilySummary(totals, bad, negative, mismatch)


def _total_findings(component: Component, totals: NDArray[np.float64], nominal: float) -> Iterator[Finding]:
    path = f"/{layout.WEIGHTS}/{component.name}"
    if component.kind in REPLICA_KINDS:
        mean, spread = float(totals.mean()), float(totals.std(ddof=1))
        if abs(mean - nominal) > max(_BOOTSTRAP_PULL * spread / np.sqrt(len(totals)), _BOOTSTRAP_RATIO * abs(nominal)):
            yield Finding(
                "family_total",
                "required",
                path,
                f"members that sum to the nominal's {nominal:.6g}",
                f"{mean:.6g} +- {spread:.2g}, {mean / nominal:.4g} times as much",
                "The family is in another unit or normalised another way; rescale it.",
            )
        return
    for member, total in enumerate(totals):
        ratio = total / nominal
        if not 1 / _VARIATION_RATIO < ratio < _VARIATION_RATIO:
            yield Finding(
                "family_total",
                "required",
                f"{path}[:, {member}]",
                f"a sum within a factor {_VARIATION_RATIO:g} of the nominal's {nominal:.6g}",
                f"{total:.6g}, {ratio:.4g} times as much",
                "A variation this large is a mistake of unit or normalisation.",
            )


def content_findings(file: h5py.File, metadata: dict[str, Any], progress: Progress) -> Iterator[Finding]:
    """Read everything once and yield what is amiss; the structure has been checked before."""
    components = [Component.from_metadata(entry) for entry in metadata["components"]]
    work = sum(component.members for component in components) * metadata["events"]
    done = 0

    def advance(size: int) -> None:
        nonlocal done
        done += size
        progress(done, work, "reading weights")

    yield from _column_findings(file, metadata)
    singles = [f"{layout.WEIGHTS}/{layout.NOMINAL}"]
    if metadata["weights"].get("prior", False):
        singles.append(layout.PRIOR)
    for name in singles:
        weights = file[name][()]
        bad, negative = int((~np.isfinite(weights)).sum()), int((weights < 0).sum())
        yield from _weight_findings(f"/{name}", bad, len(weights), negative)
    nominal = file[f"{layout.WEIGHTS}/{layout.NOMINAL}"][()]
    total = float(nominal.sum(dtype=np.float64))
    if total <= 0:
        hint = "The sum of all weights is the fiducial cross section."
        yield Finding("nominal_total", "required", "/weights/nominal", "a sum above 0", f"{total:g}", hint)
        return
    sound = bool(np.isfinite(total))  # else every comparison with the nominal would blame the families for it
    central = metadata["weights"]["central_value"]
    for component in components:
        if not component.has_family:
            continue
        path = f"{layout.WEIGHTS}/{component.name}"
        rule = central["rule"] if sound and central.get("family") == component.name else None
        summary = _read_family(file[path], nominal, rule, advance)
        yield from _weight_findings(f"/{path}", summary.bad, file[path].size, summary.negative)
        if summary.bad or not sound:
            continue
        yield from _total_findings(component, summary.totals, total)
        if summary.centre_mismatch > _FLOAT32_ROUNDING:
            yield Finding(
                "central_value",
                "required",
                f"/{layout.WEIGHTS}/{layout.NOMINAL}",
                f"the {central['rule']} of /{path}",
                f"events off by up to {summary.centre_mismatch:.2g} of their largest member",
                "Recompute the nominal, or declare the rule that it follows.",
            )
    carriers = [c.name for c in components if c.includes_event_sampling or c.kind == "event_sampling"]
    if len(carriers) > 1:
        yield Finding(
            "event_sampling",
            "required",
            "/metadata components",
            "one component that stands for the finite number of published events",
            ", ".join(carriers),
            "They count the same fluctuations twice: keep the bootstrap.",
        )
    if not carriers:
        yield Finding(
            "event_sampling",
            "recommended",
            "/metadata components",
            "a bootstrap that includes event sampling, or the component 'event_sampling'",
            "neither",
            "Without it the finite number of published events is no part of the covariance.",
        )
