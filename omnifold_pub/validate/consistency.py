"""Checks of what the metadata say about the statistics, without reading a dataset."""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from typing import Any

from omnifold_pub.errors import ObservableError
from omnifold_pub.messages import shorten
from omnifold_pub.observables.expressions import parse
from omnifold_pub.statistics.components import Component, covariance_convention
from omnifold_pub.validate.findings import Finding

__all__ = ["CONSISTENCY_CHECKS", "consistency_findings"]

CONSISTENCY_CHECKS = ("convention", "prefix_names", "event_sampling", "luminosity", "selection")
"""Codes of the checks here."""


def consistency_findings(metadata: dict[str, Any]) -> Iterator[Finding]:
    """Yield what in the metadata contradicts itself."""
    yield from _convention_findings(metadata)
    yield from _prefix_findings(metadata)
    yield from _event_sampling_findings(metadata)
    yield from _luminosity_findings(metadata)
    yield from _selection_findings(metadata)


def _convention_findings(metadata: dict[str, Any]) -> Iterator[Finding]:
    rule = metadata["weights"]["central_value"]["rule"]
    for entry in metadata["components"]:
        expected = covariance_convention(entry, rule)
        for key, value in expected.items():
            if entry["covariance"][key] != value:
                yield Finding(
                    "convention",
                    "required",
                    f"/metadata components {entry['name']} covariance.{key}",
                    f"{value!r}, as readers do for kind {entry['kind']!r}",
                    shorten(entry["covariance"][key]),
                    "Readers go by the kind: state what they do, or choose the kind that does what you mean.",
                )


def _prefix_findings(metadata: dict[str, Any]) -> Iterator[Finding]:
    names = sorted(entry["name"] for entry in metadata["components"] if "members" in entry)
    for name in names:
        # Sorted, those that continue a name stand together; the character after "_" ends them.
        longer = names[bisect.bisect_left(names, f"{name}_") : bisect.bisect_left(names, f"{name}{chr(ord('_') + 1)}")]
        if longer:
            yield Finding(
                "prefix_names",
                "recommended",
                f"/metadata components {name}",
                "no family whose name continues another's",
                ", ".join(longer),
                f"A reader that collects columns by the prefix {name}_ mixes them up; rename one.",
            )


def _event_sampling_findings(metadata: dict[str, Any]) -> Iterator[Finding]:
    components = [Component.from_metadata(entry) for entry in metadata["components"]]
    carriers = [c.name for c in components if c.includes_event_sampling or c.kind == "event_sampling"]
    where = "/metadata components"
    if len(carriers) > 1:
        yield Finding(
            "event_sampling",
            "required",
            where,
            "one component that stands for the finite number of published events",
            ", ".join(carriers),
            "They count the same fluctuations twice: keep the bootstrap.",
        )
    if not carriers:
        yield Finding(
            "event_sampling",
            "recommended",
            where,
            "a bootstrap that includes event sampling, or the component 'event_sampling'",
            "neither",
            "Without it the finite number of published events is no part of the covariance.",
        )


def _luminosity_findings(metadata: dict[str, Any]) -> Iterator[Finding]:
    relative = metadata["luminosity"]["relative_uncertainty"]
    scales = [c["relative_uncertainty"] for c in metadata["components"] if c["kind"] == "scale"]
    if relative > 0 and not any(abs(scale - relative) <= 0.05 * relative for scale in scales):
        yield Finding(
            "luminosity",
            "recommended",
            "/metadata components",
            f"a component of kind 'scale' for the luminosity's relative uncertainty of {relative:g}",
            f"scales of {', '.join(f'{s:g}' for s in scales)}" if scales else "none",
            "Add it, or the covariance leaves the luminosity out.",
        )


def _selection_findings(metadata: dict[str, Any]) -> Iterator[Finding]:
    names = {observable["name"] for observable in metadata["observables"]}
    for number, cut in enumerate(metadata["fiducial"]["selection"]):
        where = f"/metadata fiducial.selection[{number}].expression"
        hint = "Write it with the release's own columns, or leave it to the words."
        try:
            unknown = sorted(set(parse(cut["expression"]).columns) - names)
        except ObservableError as error:
            yield Finding("selection", "required", where, "an expression of columns", str(error), hint)
            continue
        if unknown:
            yield Finding("selection", "required", where, "columns of the release", ", ".join(unknown), hint)
