"""Checks that read columns and weights: everything is read once."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

import numpy as np

from omnifold_pub.format import layout
from omnifold_pub.format.store import Store
from omnifold_pub.progress import Progress, megabytes
from omnifold_pub.validate.columns import COLUMN_CHECKS, column_findings
from omnifold_pub.validate.findings import Finding, Level
from omnifold_pub.validate.passes import Passes
from omnifold_pub.validate.weights import (
    WEIGHT_CHECKS,
    Family,
    Scale,
    family_findings,
    scale_findings,
    single_findings,
    summarise,
    total_findings,
)

__all__ = ["CONTENT_CHECKS", "content_findings"]

CONTENT_CHECKS = ("digest", *COLUMN_CHECKS, *WEIGHT_CHECKS)
"""Codes of the checks here, which need a sound structure."""


def _prefixes(metadata: dict[str, Any]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Return each set of events: the prefix of its datasets, and the entries of its families."""
    canvases = [(f"{layout.CANVASES}/{c['name']}/", c["families"]) for c in metadata.get("canvases", [])]
    return [("", [entry for entry in metadata["components"] if "members" in entry]), *canvases]


def content_findings(store: Store, progress: Progress | None) -> Iterator[Finding]:
    """Read everything once and yield what is amiss; the structure has been checked before."""
    metadata, arrays = store.metadata, store.arrays
    work = layout.declared_bytes(metadata)
    with Passes(store, megabytes(progress, work, "validating")) as passes:
        passes.compare_metadata()
        others = set(arrays)
        reference: Scale | None = None
        for prefix, families in _prefixes(metadata):
            yield from column_findings(passes, metadata, prefix)
            scale = yield from _weight_findings(passes, metadata, prefix, families, reference)
            reference = reference or scale
            others -= {name for name in arrays if name.startswith(prefix) and _of_events(name.removeprefix(prefix))}
        for name in sorted(others):
            values = passes.whole(name)
            if not name.startswith(layout.NETWORKS):
                yield from single_findings(f"/{name}", values)
                yield from _scale_findings(f"/{name}", Scale.of(values), reference)
        yield from passes.findings


def _of_events(name: str) -> bool:
    return name == layout.EVENT_ID or name.startswith((f"{layout.EVENTS}/", f"{layout.WEIGHTS}/"))


def _scale_findings(path: str, scale: Scale, reference: Scale | None) -> Iterator[Finding]:
    """Hold weights against the release's nominal; a simulation may be normalised otherwise before it is unfolded."""
    if scale.total <= 0:
        hint = "The sum of all weights is a cross section."
        yield Finding("nominal_total", "required", path, "a sum above 0", f"{scale.total:g}", hint)
    elif reference is not None and reference.sound and np.isfinite(scale.total):
        level: Level = "recommended" if path == f"/{layout.PRIOR}" else "required"
        yield from scale_findings(path, scale.total, reference.total, level)


def _weight_findings(
    passes: Passes, metadata: dict[str, Any], prefix: str, entries: list[dict[str, Any]], reference: Scale | None
) -> Generator[Finding, None, Scale]:
    """Check nominal and families of one set of events, and return the nominal's scale."""
    path = f"{prefix}{layout.WEIGHTS}/{layout.NOMINAL}"
    nominal = passes.whole(path)
    yield from single_findings(f"/{path}", nominal)
    scale = Scale.of(nominal)
    if not prefix:
        yield from total_findings(metadata, scale)
    else:
        yield from _scale_findings(f"/{path}", scale, reference)
    central = metadata["weights"]["central_value"]
    for entry in entries:
        made_of = not prefix and scale.sound and central.get("family") == entry["name"]
        family = Family(
            f"{prefix}{layout.WEIGHTS}/{entry['name']}",
            entry["kind"],
            central["rule"] if made_of else None,
            entry.get("precision", {}).get("mantissa_bits"),
            may_hold_nominal=central["rule"] == "single" and entry["kind"] == "ensemble",
        )
        summary = summarise(family, passes.blocks(family.path), nominal, entry["members"])
        yield from family_findings(family, summary, scale)
    return scale
