"""The HDF5 layout of a release: every dataset's name, type and filter, in one place.

::

    /metadata             uint8 [byte]            JSON, UTF-8, schemas/1.0.0/release.schema.json
    /event_id             int64 [event]
    /events/<observable>  float32 [event]         NaN: the event lacks the object
    /weights/nominal      float32 [event]
    /weights/<component>  float32 [event, member]
    /prior                float32 [event]         optional: the simulation's own weights
"""

from __future__ import annotations

import json
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import ReleaseError
from omnifold_pub.messages import shorten
from omnifold_pub.schemas import SCHEMA_VERSION

__all__ = [
    "EVENTS",
    "EVENT_ID",
    "FAMILY_CHUNK",
    "FORMAT_VERSION",
    "LIBVER",
    "METADATA",
    "NOMINAL",
    "PRIOR",
    "WEIGHTS",
    "create_dataset",
    "declared_datasets",
    "decode_metadata",
    "encode_metadata",
    "family_blocks",
]

FORMAT_VERSION = SCHEMA_VERSION
"""The release's metadata name the version of the schemas that they follow."""

METADATA = "metadata"
EVENT_ID = "event_id"
EVENTS = "events"
WEIGHTS = "weights"
NOMINAL = "nominal"
PRIOR = "prior"

LIBVER = ("v110", "v110")
"""File format of HDF5 1.10: old enough to be read everywhere, young enough to checksum its own metadata."""

COLUMN_CHUNK = 16384
FAMILY_CHUNK = (16384, 16)
"""Events by members: one member of many events, or all members of one block, without reading the whole."""

MAX_METADATA_BYTES = 16 * 1024 * 1024


def encode_metadata(metadata: dict[str, Any]) -> NDArray[np.uint8]:
    """Return the metadata as the bytes that are stored."""
    text = json.dumps(metadata, ensure_ascii=False, allow_nan=False, indent=1)
    return np.frombuffer(text.encode("utf-8"), dtype=np.uint8)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        msg = "a key occurs twice in one object"
        raise ValueError(msg)
    return result


def _no_constants(text: str) -> Any:
    msg = f"{text} is not a number of JSON"
    raise ValueError(msg)


def decode_metadata(file: h5py.File) -> dict[str, Any]:
    """Read the metadata of an open file; its schema is not checked here.

    Raises
    ------
    ReleaseError
        If there are none, or they are not strict JSON of a bearable size.
    """
    where = f"{file.filename}: /{METADATA}"
    dataset = file.get(METADATA)
    if not isinstance(dataset, h5py.Dataset):
        msg = f"{where}: no such dataset; this HDF5 file is not a release of omnifold_pub"
        raise ReleaseError(msg)
    if dataset.dtype != np.uint8 or dataset.ndim != 1 or dataset.size > MAX_METADATA_BYTES:
        msg = (
            f"{where}: expected at most {MAX_METADATA_BYTES} bytes as uint8 [byte]; "
            f"found {dataset.dtype} {list(dataset.shape)}"
        )
        raise ReleaseError(msg)
    try:
        metadata = json.loads(
            dataset[()].tobytes().decode("utf-8"), object_pairs_hook=_no_duplicates, parse_constant=_no_constants
        )
    except (ValueError, RecursionError) as error:
        msg = f"{where}: expected strict JSON in UTF-8; {shorten(str(error))}"
        raise ReleaseError(msg) from None
    except OSError as error:
        msg = f"{where}: cannot be read, the file is damaged ({error})"
        raise ReleaseError(msg) from None
    if not isinstance(metadata, dict):
        msg = f"{where}: expected a JSON object; found {type(metadata).__name__}"
        raise ReleaseError(msg)
    return metadata


def declared_datasets(metadata: dict[str, Any]) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return type and shape of every dataset that the metadata announce, by its path."""
    events = metadata["events"]
    expected: dict[str, tuple[str, tuple[int, ...]]] = {
        EVENT_ID: ("int64", (events,)),
        f"{WEIGHTS}/{NOMINAL}": ("float32", (events,)),
    }
    for observable in metadata["observables"]:
        expected[f"{EVENTS}/{observable['name']}"] = ("float32", (events,))
    for entry in metadata["components"]:
        if "members" in entry:
            expected[f"{WEIGHTS}/{entry['name']}"] = ("float32", (events, entry["members"]))
    if metadata["weights"].get("prior", False):
        expected[PRIOR] = ("float32", (events,))
    return expected


def create_dataset(group: h5py.Group, name: str, data: NDArray[Any]) -> None:
    """Write a dataset in little-endian, chunked, with shuffle, gzip 1 and a checksum per chunk."""
    chunk = FAMILY_CHUNK if data.ndim == 2 else (COLUMN_CHUNK,)
    group.create_dataset(
        name,
        data=data.astype(data.dtype.newbyteorder("<"), copy=False),
        chunks=tuple(max(1, min(size, limit)) for size, limit in zip(data.shape, chunk, strict=True)),
        shuffle=True,
        compression="gzip",
        compression_opts=1,
        fletcher32=True,
    )


def family_blocks(events: int, members: int, budget: int = 128 * 1024 * 1024) -> list[tuple[int, int]]:
    """Return (start, stop) rows of blocks of whole chunks that hold at most ``budget`` bytes in float64.

    >>> family_blocks(40_000, 1000)
    [(0, 16384), (16384, 32768), (32768, 40000)]
    """
    step = FAMILY_CHUNK[0] * max(1, budget // (8 * max(1, members) * FAMILY_CHUNK[0]))
    return [(start, min(start + step, events)) for start in range(0, events, step)]
