"""What is going to be published: metadata completed, and arrays that are what the metadata declare."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Mapping
from typing import Any

import numpy as np

from omnifold_pub.errors import PublishError, ReleaseError
from omnifold_pub.format import layout
from omnifold_pub.format.documents import decode_document, encode_document
from omnifold_pub.messages import repeated
from omnifold_pub.schemas import check
from omnifold_pub.statistics.components import covariance_convention
from omnifold_pub.unfold.result import ArraySource, UnfoldingResult

__all__ = ["checked_sources", "complete_metadata"]


def complete_metadata(result: UnfoldingResult) -> dict[str, Any]:
    """Return a result's metadata with what follows from its arrays and from the kinds of its components.

    Raises
    ------
    PublishError
        If they are not what the schema asks for, or cannot be stored.
    """
    if not isinstance(result.metadata, Mapping):
        msg = f"metadata: expected a mapping; found {type(result.metadata).__name__}"
        raise PublishError(msg)
    shape = getattr(result.event_id, "shape", None)
    if shape is None or len(shape) != 1:
        msg = f"event_id: expected an array of one axis; found {shape or type(result.event_id).__name__}"
        raise PublishError(msg)
    metadata = {
        **result.metadata,
        "schema_version": layout.FORMAT_VERSION,
        "created": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "events": int(result.event_id.shape[0]),
    }
    metadata.pop("shard", None)
    with contextlib.suppress(KeyError, TypeError, AttributeError):  # the schema says below what is missing
        rule = metadata["weights"]["central_value"]["rule"]
        metadata["components"] = [
            entry if "covariance" in entry else {**entry, "covariance": covariance_convention(entry, rule)}
            for entry in metadata["components"]
        ]
    if problems := check(metadata, "release"):
        lines = "\n  ".join(str(problem) for problem in problems)
        msg = f"the metadata are not what the schema asks for:\n  {lines}"
        raise PublishError(msg)
    try:
        decode_document(encode_document(metadata), "the metadata")
    except (ReleaseError, ValueError) as error:
        msg = f"the metadata cannot be stored: {error}"
        raise PublishError(msg) from None
    return metadata


def _same_names(what: str, declared: list[str], given: Mapping[str, object]) -> None:
    if twice := repeated(declared):
        msg = f"{what}: {', '.join(map(repr, twice))} declared more than once; give each its own name"
        raise PublishError(msg)
    missing, extra = sorted(set(declared) - set(given)), sorted(set(given) - set(declared))
    if missing or extra:
        msg = f"{what}: declared but not given: {missing or 'none'}; given but not declared: {extra or 'none'}"
        raise PublishError(msg)


def _families(entries: list[dict[str, Any]]) -> list[str]:
    return [entry["name"] for entry in entries if "members" in entry]


def checked_sources(result: UnfoldingResult, metadata: dict[str, Any]) -> dict[str, ArraySource]:
    """Return what is to be written, by the path of its dataset, after a look at names, shapes and types.

    Raises
    ------
    PublishError
        If an array is missing, not declared, or not what the metadata declare.
    """
    observables = [o["name"] for o in metadata["observables"]]
    _same_names("observables", observables, result.columns)
    _same_names("weight families", _families(metadata["components"]), result.families)
    _same_names("canvases", [c["name"] for c in metadata.get("canvases", [])], result.canvases)
    _same_names("networks", [n["name"] for n in metadata.get("networks", [])], result.networks)
    sources: dict[str, ArraySource] = {layout.EVENT_ID: result.event_id}
    sources |= {f"{layout.EVENTS}/{name}": column for name, column in result.columns.items()}
    sources[f"{layout.WEIGHTS}/{layout.NOMINAL}"] = result.nominal
    sources |= {f"{layout.WEIGHTS}/{name}": family for name, family in result.families.items()}
    if result.prior is not None:
        sources[layout.PRIOR] = result.prior
    for name, weights in result.closure.items():
        for which, array in ((layout.TARGET, weights.target), (layout.UNFOLDED, weights.unfolded)):
            if array is not None:
                sources[f"{layout.CLOSURE}/{name}/{which}"] = array
    for entry in metadata.get("canvases", []):
        canvas, prefix = result.canvases[entry["name"]], f"{layout.CANVASES}/{entry['name']}"
        _same_names(f"canvas {entry['name']}: observables", observables, canvas.columns)
        _same_names(f"canvas {entry['name']}: weight families", _families(entry["families"]), canvas.families)
        sources[f"{prefix}/{layout.EVENT_ID}"] = canvas.event_id
        sources |= {f"{prefix}/{layout.EVENTS}/{name}": column for name, column in canvas.columns.items()}
        sources[f"{prefix}/{layout.WEIGHTS}/{layout.NOMINAL}"] = canvas.nominal
        sources |= {f"{prefix}/{layout.WEIGHTS}/{name}": family for name, family in canvas.families.items()}
    for name, data in result.networks.items():
        sources[f"{layout.NETWORKS}/{name}"] = np.frombuffer(data, dtype=np.uint8)
    declared = layout.declared_datasets(metadata)
    _same_names("datasets", list(declared), sources)
    for path, source in sources.items():
        if not (hasattr(source, "shape") and hasattr(source, "dtype")):
            msg = f"{path}: expected an array, or what has a shape, a dtype and rows; found {type(source).__name__}"
            raise PublishError(msg)
        if tuple(source.shape) != declared[path].shape:
            msg = f"{path}: expected an array of shape {declared[path].shape}, as declared; found {source.shape}"
            raise PublishError(msg)
        wanted, there = np.dtype(declared[path].dtype).kind, np.dtype(source.dtype).kind
        if there not in "biuf" or (wanted in "iu" and there == "f"):
            msg = f"{path}: expected numbers that can be stored as {declared[path].dtype}; found {source.dtype}"
            raise PublishError(msg)
    return sources
