"""Checks that cost nothing: metadata, names, shapes and types, without reading a column."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from omnifold_pub.errors import ReleaseError
from omnifold_pub.format import layout
from omnifold_pub.format.store import Part, Store
from omnifold_pub.messages import repeated, shorten
from omnifold_pub.schemas import check
from omnifold_pub.validate.findings import Finding

__all__ = ["STRUCTURE_CHECKS", "check_structure"]

STRUCTURE_CHECKS = ("schema", "names", "shape", "undeclared", "shards")
"""Codes of the checks here; what the schema refuses is not looked at further."""


def _version(text: object) -> tuple[int, ...]:
    parts = str(text).split(".")
    return tuple(map(int, parts)) if len(parts) == 3 and all(p.isascii() and p.isdigit() for p in parts) else ()


def _check_version(part: Part) -> None:
    """Refuse what this program is too old for.

    Raises
    ------
    ReleaseError
        If the metadata are of another major version, of a later minor one, or name none.
    """
    found, ours = _version(part.metadata.get("schema_version")), _version(layout.FORMAT_VERSION)
    if not found or found[0] != ours[0] or found[1] > ours[1]:
        shown = shorten(part.metadata.get("schema_version", "none"))
        msg = (
            f"{part.file.path}: /{layout.METADATA}: format version {shown}; this omnifold_pub reads "
            f"{ours[0]}.0.0 to {ours[0]}.{ours[1]}.x. Upgrade it to read later ones"
        )
        raise ReleaseError(msg)


def check_structure(store: Store) -> list[Finding]:
    """Check metadata, shapes and types, without reading a column.

    Returns
    -------
    list of Finding
        All of level ``required``. The store's metadata and arrays are to be trusted if there are none.

    Raises
    ------
    ReleaseError
        If the metadata are of a version that this program does not read.
    """
    findings: list[Finding] = []
    sound: set[str] = set()
    for part in store.parts:
        _check_version(part)
        likeness = _likeness(part.metadata)
        if likeness in sound:
            continue
        where = "/metadata" if len(store.parts) == 1 else f"{part.file.path.name}: /metadata"
        findings += [
            Finding(
                "schema",
                "required",
                f"{where} {p.path}".rstrip(),
                p.expected.removeprefix("expected "),
                p.found,
                "Mend the metadata.",
            )
            for p in check(part.metadata, "release")
        ]
        if not findings:
            sound.add(likeness)
    if findings:
        return findings
    for part in store.parts:
        findings += _name_findings(part.metadata)
        findings += _dataset_findings(part)
    findings += _shard_findings(store)
    return list(dict.fromkeys(findings))


def _likeness(metadata: dict[str, Any]) -> str:
    """Return a text that two documents share if the schema cannot tell them apart.

    The files of one release differ in their number and in how many events they have. A schema takes milliseconds, which
    is long for thousands of files.
    """
    shard = metadata.get("shard")
    alike = metadata | {"events": _one(metadata.get("events"))}
    if isinstance(shard, dict):
        alike["shard"] = shard | {"index": _one(shard.get("index"))}
    return json.dumps(alike, sort_keys=True)


def _one(number: object) -> object:
    return 1 if type(number) is int and 1 <= number <= 10**12 else number


def _dataset_findings(part: Part) -> Iterator[Finding]:
    expected = layout.declared_datasets(part.metadata)
    for name, declared in expected.items():
        dataset = part.file.datasets.get(name)
        dtype = np.dtype(declared.dtype).newbyteorder("<")
        if dataset is not None and dataset.dtype == dtype and dataset.shape == declared.shape:
            continue
        found = "nothing" if dataset is None else f"{dataset.dtype} {list(dataset.shape)}"
        hint = "The metadata announce it; write the file again."
        yield Finding("shape", "required", f"/{name}", f"{declared.dtype} {list(declared.shape)}", found, hint)
    for name in sorted(set(part.file.datasets) - set(expected) - {layout.METADATA, layout.DIGESTS}):
        hint = "Declare it in the metadata, or leave it out."
        yield Finding("undeclared", "required", f"/{name}", "only declared datasets", "this one", hint)


def _name_findings(metadata: dict[str, Any]) -> Iterator[Finding]:
    """Find names that occur twice or point nowhere, and a central value without its family."""
    canvases = metadata.get("canvases", [])
    lists = [
        ("observables", metadata["observables"]),
        ("components", metadata["components"]),
        ("canvases", canvases),
        ("networks", metadata.get("networks", [])),
        ("closure.tests", metadata["closure"]["tests"]),
        ("four_momenta", metadata.get("four_momenta", [])),
        *((f"canvases {canvas['name']} families", canvas["families"]) for canvas in canvases),
    ]
    for what, entries in lists:
        names = [entry["name"] for entry in entries]
        for name in repeated(names):
            hint = "Give each its own name."
            yield Finding("names", "required", f"/metadata {what}", "unique names", f"{name!r} more than once", hint)
        if layout.NOMINAL in names and ("components" in what or "families" in what):
            hint = "Rename it."
            yield Finding("names", "required", f"/metadata {what}", "names of families", "'nominal'", hint)
    kinds = {entry["name"]: entry["kind"] for entry in metadata["components"]}
    family = metadata["weights"]["central_value"].get("family")
    if family is not None and kinds.get(family) != "ensemble":
        yield Finding(
            "central_value",
            "required",
            "/metadata weights.central_value.family",
            "a component of kind 'ensemble'",
            repr(family),
            "Name the ensemble that the nominal was made of.",
        )
    known = {canvas["name"] for canvas in canvases}
    for what, entries in (("components", metadata["components"]), ("closure.tests", metadata["closure"]["tests"])):
        for entry in entries:
            if "canvas" in entry and entry["canvas"] not in known:
                path, hint = f"/metadata {what} {entry['name']}", "Declare the canvas, or name another."
                yield Finding("names", "required", path, "one of the canvases", repr(entry["canvas"]), hint)


def _shard_findings(store: Store) -> Iterator[Finding]:
    """Find files that are not the parts of one release, each once and in order."""
    shards = [part.metadata.get("shard") for part in store.parts]
    if shards == [None]:
        return
    total = sum(part.metadata["events"] for part in store.parts)
    expected = [{"index": i, "count": len(shards), "events_total": total} for i in range(len(shards))]
    if shards != expected:
        yield Finding(
            "shards",
            "required",
            "/metadata shard",
            f"all parts in order, {total} events in {len(shards)} files",
            "; ".join("none" if s is None else f"part {s['index'] + 1} of {s['count']}" for s in shards[:10]),
            "Open the manifest of the release, with all of its files beside it.",
        )
        return
    first = _common(store.parts[0].metadata)
    for part in store.parts[1:]:
        differing = [key for key, value in _common(part.metadata).items() if first.get(key) != value]
        if differing:
            yield Finding(
                "shards",
                "required",
                f"{part.file.path.name}: /metadata",
                "the metadata of the first file",
                f"other {', '.join(differing)}",
                "The files are not of one release.",
            )


def _common(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return what the parts of one release have in common: all but their events and what was measured on them."""
    kept = {key: value for key, value in metadata.items() if key not in {"events", "shard"}}
    kept["components"] = [{k: v for k, v in c.items() if k != "precision"} for c in metadata["components"]]
    return kept
