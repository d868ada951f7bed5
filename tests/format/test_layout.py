"""The layout of a published file, as plain h5py and the bytes themselves show it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnifold_pub import UnfoldingResult
from omnifold_pub.format.layout import MAX_CHUNK_BYTES, chunk_shape, declared_datasets, row_blocks

TYPES = {
    "uint8": h5py.h5t.STD_U8LE,
    "int32": h5py.h5t.STD_I32LE,
    "int64": h5py.h5t.STD_I64LE,
    "float32": h5py.h5t.IEEE_F32LE,
    "float64": h5py.h5t.IEEE_F64LE,
}


def all_datasets(path: Path) -> dict[str, dict[str, Any]]:
    """Return what HDF5 says of every dataset of a file."""
    found: dict[str, dict[str, Any]] = {}

    def visit(name: str, item: Any) -> None:
        assert len(item.attrs) == 0, name
        if isinstance(item, h5py.Dataset):
            plist, kind = item.id.get_create_plist(), item.id.get_type()
            found[name] = {
                "dtype": next(dtype for dtype, known in TYPES.items() if kind == known),
                "shape": item.shape,
                "maxshape": item.maxshape,
                "chunks": item.chunks,
                "filters": [plist.get_filter(i)[0] for i in range(plist.get_nfilters())],
                "level": item.compression_opts,
            }

    with h5py.File(path) as file:
        assert len(file.attrs) == 0
        file.visititems(visit)
    return found


def expected(result: UnfoldingResult) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return the documented datasets of a result, from its arrays."""

    def events(prefix: str, of: Any) -> dict[str, tuple[str, tuple[int, ...]]]:
        size = int(of.event_id.shape[0])
        return (
            {f"{prefix}event_id": ("int64", (size,)), f"{prefix}weights/nominal": ("float32", (size,))}
            | {f"{prefix}events/{name}": (str(column.dtype), (size,)) for name, column in of.columns.items()}
            | {f"{prefix}weights/{name}": ("float32", family.shape) for name, family in of.families.items()}
        )

    size = (result.event_id.shape[0],)
    documented = events("", result) | {"prior": ("float32", size)}
    for name, canvas in result.canvases.items():
        documented |= events(f"canvases/{name}/", canvas)
    for name in result.closure:
        documented |= {f"closure/{name}/{which}": ("float32", size) for which in ("target", "unfolded")}
    return documented | {f"networks/{name}": ("uint8", (len(data),)) for name, data in result.networks.items()}


def test_a_release_holds_exactly_the_documented_datasets(release_path: Path, result: UnfoldingResult) -> None:
    found = all_datasets(release_path)
    for name in ("metadata", "digests"):
        about = found.pop(name)
        assert (about["dtype"], len(about["shape"])) == ("uint8", 1)
    assert {name: (about["dtype"], about["shape"]) for name, about in found.items()} == expected(result)
    assert {about["dtype"] for about in found.values()} == set(TYPES)  # little-endian, all of them


def test_every_dataset_is_shuffled_then_deflated_then_checksummed(release_path: Path) -> None:
    for name, about in all_datasets(release_path).items():
        assert about["filters"] == [h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_FLETCHER32], name
        assert about["level"] == 1, name
        assert about["maxshape"] == about["shape"], name


def test_chunks_are_no_larger_than_the_data(release_path: Path) -> None:
    found = all_datasets(release_path)
    assert all(about["chunks"] == about["shape"] for about in found.values())
    assert found["weights/data_bootstrap"]["chunks"] == (500, 12)


@pytest.mark.parametrize(
    ("shape", "itemsize", "chunks"),
    [
        ((20_000,), 4, (16384,)),
        ((20_000,), 8, (16384,)),
        ((20_000, 40), 4, (16384, 16)),
        ((20_000, 3), 4, (16384, 3)),
        ((7, 40), 4, (7, 16)),
        ((3_000_000,), 1, (1024 * 1024,)),
        ((1,), 1, (1,)),
    ],
)
def test_chunks_of_large_data_hold_16384_events_of_16_members(
    shape: tuple[int, ...], itemsize: int, chunks: tuple[int, ...]
) -> None:
    assert chunk_shape(shape, itemsize) == chunks
    assert math.prod(chunks) * itemsize <= MAX_CHUNK_BYTES


def test_the_file_checks_its_own_structure(release_path: Path) -> None:
    assert release_path.read_bytes()[:9] == b"\x89HDF\r\n\x1a\n\x03"


def test_stored_metadata_are_json_that_any_parser_reads(release_path: Path) -> None:
    with h5py.File(release_path) as file:
        metadata = json.loads(bytes(file["metadata"][()]).decode("utf-8"))
        digests = json.loads(bytes(file["digests"][()]).decode("utf-8"))
    assert metadata["schema_version"] == "1.1.0"
    assert metadata["events"] == 500
    assert metadata["title"] == "Made by hand"
    assert set(digests) == set(all_datasets(release_path)) - {"digests"}


def test_values_are_those_of_the_result_to_plain_h5py(release_path: Path, result: UnfoldingResult) -> None:
    with h5py.File(release_path) as file:
        for name, column in result.columns.items():
            np.testing.assert_array_equal(file["events"][name][()], np.asarray(column))
        for name, family in result.families.items():
            np.testing.assert_array_equal(file["weights"][name][()], np.asarray(family))
        np.testing.assert_array_equal(file["event_id"][()], np.asarray(result.event_id))
        assert bytes(file["networks/tiny"][()]) == result.networks["tiny"]


def test_the_metadata_announce_what_is_there(release_path: Path, result: UnfoldingResult) -> None:
    with h5py.File(release_path) as file:
        metadata = json.loads(bytes(file["metadata"][()]))
    declared = declared_datasets(metadata)
    assert {name: (about.dtype, about.shape) for name, about in declared.items()} == expected(result)
    assert {name for name, about in declared.items() if not about.by_event} == {
        name for name in declared if name.startswith(("canvases/", "networks/"))
    }
    later = declared_datasets({**metadata, "shard": {"index": 1, "count": 2, "events_total": 1000}})
    assert later == {name: about for name, about in declared.items() if about.by_event}
    bare = {key: value for key, value in metadata.items() if key not in {"canvases", "networks"}}
    assert declared_datasets(bare) == later


@settings(deadline=None)
@given(rows=st.integers(0, 3_000_000), row_bytes=st.integers(0, 40_000), budget=st.integers(1, 2**32))
def test_blocks_cover_every_row_exactly_once(rows: int, row_bytes: int, budget: int) -> None:
    blocks = row_blocks(rows, row_bytes, budget=budget)
    edges = [0, *(stop for _, stop in blocks)]
    assert [start for start, _ in blocks] == edges[:-1]
    assert edges[-1] == rows
    assert all(start < stop for start, stop in blocks)


@settings(deadline=None)
@given(
    rows=st.integers(1, 3_000_000),
    row_bytes=st.integers(1, 40_000),
    step=st.sampled_from([1000, 16384]),
    budget=st.integers(1, 2**32),
)
def test_blocks_are_whole_chunks_within_the_budget(rows: int, row_bytes: int, step: int, budget: int) -> None:
    for start, stop in row_blocks(rows, row_bytes, step=step, budget=budget):
        assert start % step == 0
        assert stop % step == 0 or stop == rows
        assert (stop - start) * row_bytes <= budget or stop - start <= step
