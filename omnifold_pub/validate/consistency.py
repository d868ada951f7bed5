"""Checks of what the metadata say about the statistics, without reading a dataset."""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from typing import Any

from omnifold_pub.errors import ObservableError
from omnifold_pub.messages import shorten
from omnifold_pub.observables.expressions import parse
from omnifold_pub.observables.momenta import FourMomentum
from omnifold_pub.observables.selection import Interval
from omnifold_pub.statistics.components import Component, covariance_convention
from omnifold_pub.validate.findings import Finding

__all__ = ["CONSISTENCY_CHECKS", "consistency_findings"]

CONSISTENCY_CHECKS = ("convention", "prefix_names", "event_sampling", "luminosity", "selection", "four_momenta")
"""Codes of the checks here."""


def consistency_findings(metadata: dict[str, Any]) -> Iterator[Finding]:
    """Yield what in the metadata contradicts itself."""
    yield from _convention_findings(metadata)
    yield from _prefix_findings(metadata)
    yield from _event_sampling_findings(metadata)
    yield from _luminosity_findings(metadata)
    yield from _selection_findings(metadata)
    yield from _validity_findings(metadata)
    yield from _momentum_findings(metadata)


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
    for number, cut in enumerate(metadata["fiducial"]["selection"]):
        hint = "Write it with the release's own columns, or leave it to the words."
        yield from _expression_findings(metadata, f"fiducial.selection[{number}].expression", cut["expression"], hint)


def _expression_findings(metadata: dict[str, Any], path: str, expression: str, hint: str) -> Iterator[Finding]:
    names = {observable["name"] for observable in metadata["observables"]}
    where = f"/metadata {path}"
    try:
        unknown = sorted(set(parse(expression).columns) - names)
    except ObservableError as error:
        yield Finding("selection", "required", where, "an expression of columns", str(error), hint)
        return
    if unknown:
        yield Finding("selection", "required", where, "columns of the release", ", ".join(unknown), hint)


def _validity_findings(metadata: dict[str, Any]) -> Iterator[Finding]:
    """Find limits of validity that no reader can apply."""
    validity = metadata["validity"]
    for number, entry in enumerate(validity.get("ranges", [])):
        path = f"validity.ranges[{number}]"
        hint = "Write it with the release's own columns, or leave it to the notes."
        yield from _expression_findings(metadata, f"{path}.expression", entry["expression"], hint)
        interval = Interval.of(entry)
        if interval.minimum > interval.maximum:
            expected, found = "a minimum of at most the maximum", f"{interval.minimum:g} and {interval.maximum:g}"
            yield Finding("selection", "required", f"/metadata {path}", expected, found, "Exchange the two.")
    limit = "minimum_effective_data_events_per_bin"
    if validity.get(limit) and not any(entry.get("resampled") == "data" for entry in metadata["components"]):
        yield Finding(
            "effective_events",
            "required",
            f"/metadata validity.{limit}",
            "a component of kind 'bootstrap' that resampled the data, to count them by",
            "none",
            "Leave the limit out, or add the bootstrap.",
        )


def _momentum_findings(metadata: dict[str, Any]) -> Iterator[Finding]:
    """Find four-momenta of columns that are not there, or in another unit than their mass."""
    units = {observable["name"]: observable["unit"] for observable in metadata["observables"]}
    for entry in metadata.get("four_momenta", []):
        momentum = FourMomentum.from_document(entry)
        where = f"/metadata four_momenta {momentum.name}"
        unknown = [name for name in momentum.columns if name not in units]
        if unknown:
            hint = "Name the observables that it is made of."
            yield Finding("four_momenta", "required", where, "columns of the release", ", ".join(unknown), hint)
        for key, unit in (("pt", "GeV"), ("mass", "GeV"), ("phi", "rad")):
            found = units.get(entry[key], unit) if isinstance(entry[key], str) else unit
            if found != unit:
                hint = "Publish the column in this unit, or leave the four-momentum out."
                yield Finding("four_momenta", "required", f"{where}.{key}", f"a column in {unit}", repr(found), hint)
