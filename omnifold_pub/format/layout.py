"""The HDF5 layout of a release: every dataset's name, type and shape, in one place.

::

    /metadata                       uint8 [byte]            JSON, schemas/1.1.0/release.schema.json
    /digests                        uint8 [byte]            JSON, SHA-256 by dataset
    /event_id                       int64 [event]
    /events/<observable>            as declared [event]     NaN: the event lacks the object
    /weights/nominal                float32 [event]
    /weights/<component>            float32 [event, member]
    /prior                          float32 [event]         optional: the simulation's own weights
    /closure/<test>/target          float32 [event]         optional: what the unfolding should find
    /closure/<test>/unfolded        float32 [event]         optional: what it found
    /canvases/<canvas>/...          event_id, events, weights of another generator, laid out as above
    /networks/<name>                uint8 [byte]            optional: a safetensors file
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from omnifold_pub.schemas import SCHEMA_VERSION

__all__ = [
    "CANVASES",
    "CLOSURE",
    "COLUMN_CHUNK",
    "DIGESTS",
    "EVENTS",
    "EVENT_ID",
    "FAMILY_CHUNK",
    "FORMAT_VERSION",
    "LIBVER",
    "MAX_CHUNK_BYTES",
    "MAX_CHUNK_ROW_BYTES",
    "METADATA",
    "NETWORKS",
    "NOMINAL",
    "PRIOR",
    "TARGET",
    "UNFOLDED",
    "WEIGHTS",
    "Declared",
    "chunk_shape",
    "declared_bytes",
    "declared_datasets",
    "row_blocks",
]

FORMAT_VERSION = SCHEMA_VERSION
"""The release's metadata name the version of the schemas that they follow."""

METADATA = "metadata"
DIGESTS = "digests"
EVENT_ID = "event_id"
EVENTS = "events"
WEIGHTS = "weights"
NOMINAL = "nominal"
PRIOR = "prior"
CLOSURE = "closure"
TARGET = "target"
UNFOLDED = "unfolded"
CANVASES = "canvases"
NETWORKS = "networks"

LIBVER = ("v110", "v110")
"""File format of HDF5 1.10: old enough to be read everywhere, young enough to checksum its own metadata."""

COLUMN_CHUNK = 16384
FAMILY_CHUNK = (16384, 16)
"""Events by members: one member of many events, or all members of one block, without reading the whole."""

MAX_CHUNK_BYTES = 64 * 1024 * 1024
MAX_CHUNK_ROW_BYTES = 1024 * 1024 * 1024
"""Of all chunks beside each other: what a reader needs at least to go through the events."""


@dataclass(frozen=True)
class Declared:
    """A dataset that the metadata announce.

    Attributes
    ----------
    dtype : str
        Little-endian where the type has an order.
    shape : tuple of int
        ``(event,)``, ``(event, member)`` or ``(byte,)``.
    by_event : bool
        Whether its rows are the release's events: these are what shards divide among them.
    """

    dtype: str
    shape: tuple[int, ...]
    by_event: bool = True


def _events(metadata: dict[str, Any], events: int, families: Iterable[dict[str, Any]]) -> dict[str, Declared]:
    """Return the datasets of one set of events: ids, columns, nominal, families."""
    declared = {EVENT_ID: Declared("int64", (events,)), f"{WEIGHTS}/{NOMINAL}": Declared("float32", (events,))}
    for observable in metadata["observables"]:
        declared[f"{EVENTS}/{observable['name']}"] = Declared(observable["dtype"], (events,))
    for family in families:
        if "members" in family:
            declared[f"{WEIGHTS}/{family['name']}"] = Declared("float32", (events, family["members"]))
    return declared


def declared_datasets(metadata: dict[str, Any]) -> dict[str, Declared]:
    """Return every dataset that the metadata announce, by its path; metadata and digests are not among them.

    Of a release in several files, what does not belong to the events is in the first.
    """
    events = metadata["events"]
    declared = _events(metadata, events, metadata["components"])
    if metadata["weights"]["prior"]:
        declared[PRIOR] = Declared("float32", (events,))
    for test in metadata["closure"]["tests"]:
        if "canvas" not in test:
            declared[f"{CLOSURE}/{test['name']}/{TARGET}"] = Declared("float32", (events,))
        if test["unfolded"] == "stored":
            declared[f"{CLOSURE}/{test['name']}/{UNFOLDED}"] = Declared("float32", (events,))
    if metadata.get("shard", {}).get("index", 0) > 0:
        return declared
    for canvas in metadata.get("canvases", []):
        for path, there in _events(metadata, canvas["events"], canvas["families"]).items():
            declared[f"{CANVASES}/{canvas['name']}/{path}"] = Declared(there.dtype, there.shape, by_event=False)
    for network in metadata.get("networks", []):
        declared[f"{NETWORKS}/{network['name']}"] = Declared("uint8", (network["bytes"],), by_event=False)
    return declared


def declared_bytes(metadata: dict[str, Any]) -> int:
    """Return the bytes of all datasets that the metadata announce, uncompressed."""
    declared = declared_datasets(metadata).values()
    return sum(np.dtype(dataset.dtype).itemsize * math.prod(dataset.shape) for dataset in declared)


def chunk_shape(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Return the chunks that a dataset is written in.

    >>> chunk_shape((1_000_000, 25), 4), chunk_shape((300,), 4)
    ((16384, 16), (300,))
    """
    limit = FAMILY_CHUNK if len(shape) == 2 else (1024 * 1024,) if itemsize == 1 else (COLUMN_CHUNK,)
    return tuple(min(size, most) for size, most in zip(shape, limit, strict=True))


def row_blocks(
    rows: int, row_bytes: int, *, step: int = COLUMN_CHUNK, budget: int = 128 * 1024 * 1024
) -> list[tuple[int, int]]:
    """Return (start, stop) of blocks of rows that hold at most ``budget`` bytes, each a multiple of ``step`` rows.

    >>> row_blocks(40_000, 8000)
    [(0, 16384), (16384, 32768), (32768, 40000)]
    """
    size = step * max(1, budget // (max(1, row_bytes) * step))
    return [(start, min(start + size, rows)) for start in range(0, rows, size)]
