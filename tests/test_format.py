"""The layout of a published file, as plain h5py and the bytes themselves show it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnifold_pub import UnfoldingResult
from omnifold_pub import format as layout
from omnifold_pub.errors import ReleaseError

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def memory_file() -> h5py.File:
    return h5py.File("memory.h5", "w", driver="core", backing_store=False)


@pytest.fixture
def file() -> Iterator[h5py.File]:
    with memory_file() as opened:
        yield opened


def store_metadata(file: h5py.File, text: bytes) -> None:
    file.create_dataset("metadata", data=np.frombuffer(text, dtype=np.uint8))


def all_datasets(file: h5py.File) -> dict[str, h5py.Dataset]:
    found: dict[str, h5py.Dataset] = {}
    file.visititems(lambda name, item: found.update({name: item}) if isinstance(item, h5py.Dataset) else None)
    return found


def test_a_release_holds_exactly_the_documented_datasets(release_path: Path, result: UnfoldingResult) -> None:
    with h5py.File(release_path) as file:
        assert set(file) == {"metadata", "event_id", "events", "weights", "prior"}
        assert set(file["events"]) == {"x", "y"}
        assert set(file["weights"]) == {"nominal", *result.families}
        assert len(file.attrs) == 0


def test_datasets_have_the_documented_little_endian_types_and_shapes(
    release_path: Path, result: UnfoldingResult
) -> None:
    events = len(result.event_id)
    with h5py.File(release_path) as file:
        assert file["metadata"].id.get_type() == h5py.h5t.STD_U8LE
        assert file["metadata"].ndim == 1
        assert file["event_id"].id.get_type() == h5py.h5t.STD_I64LE
        for name in ("event_id", "events/x", "events/y", "weights/nominal", "prior"):
            assert file[name].shape == (events,)
        for name in ("events/x", "events/y", "weights/nominal", "prior"):
            assert file[name].id.get_type() == h5py.h5t.IEEE_F32LE
        for name, family in result.families.items():
            assert file["weights"][name].id.get_type() == h5py.h5t.IEEE_F32LE
            assert file["weights"][name].shape == family.shape


def test_every_dataset_is_shuffled_then_deflated_at_level_1_then_checksummed(release_path: Path) -> None:
    with h5py.File(release_path) as file:
        for name, dataset in all_datasets(file).items():
            filters = dataset.id.get_create_plist()
            chain = [filters.get_filter(i)[0] for i in range(filters.get_nfilters())]
            assert chain == [h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_FLETCHER32], name
            assert (dataset.compression, dataset.compression_opts) == ("gzip", 1), name


def test_chunks_are_no_larger_than_the_data(release_path: Path) -> None:
    with h5py.File(release_path) as file:
        assert file["event_id"].chunks == (500,)
        assert file["weights/data_bootstrap"].chunks == (500, 12)


def test_chunks_of_large_data_hold_16384_events_of_16_members(file: h5py.File) -> None:
    layout.create_dataset(file, "family", np.zeros((20_000, 40), dtype=np.float32))
    layout.create_dataset(file, "column", np.zeros(20_000, dtype=np.float32))
    assert file["family"].chunks == (16384, 16)
    assert file["column"].chunks == (16384,)


def test_the_file_has_superblock_version_3(release_path: Path) -> None:
    assert release_path.read_bytes()[:9] == b"\x89HDF\r\n\x1a\n\x03"


def test_stored_metadata_are_json_that_any_parser_reads(release_path: Path) -> None:
    with h5py.File(release_path) as file:
        metadata = json.loads(bytes(file["metadata"][()]).decode("utf-8"))
    assert metadata["schema_version"] == "1.0.0"
    assert metadata["events"] == 500
    assert metadata["title"] == "Made by hand"


def test_big_endian_data_keep_their_values_and_are_stored_little_endian(file: h5py.File) -> None:
    layout.create_dataset(file, "weights", np.array([1.5, -2.25, 1e-30], dtype=">f4"))
    assert file["weights"].id.get_type() == h5py.h5t.IEEE_F32LE
    np.testing.assert_array_equal(file["weights"][()], np.array([1.5, -2.25, 1e-30], dtype=np.float32))


@settings(deadline=None)
@given(st.dictionaries(st.text(), JSON_VALUES, max_size=5))
def test_metadata_come_back_as_they_were_encoded(metadata: dict[str, Any]) -> None:
    with memory_file() as file:
        layout.create_dataset(file, layout.METADATA, layout.encode_metadata(metadata))
        assert layout.decode_metadata(file) == metadata


def test_text_beyond_ascii_is_stored_as_utf_8() -> None:
    assert "müon".encode() in layout.encode_metadata({"title": "müon"}).tobytes()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_json_lacks_are_not_encoded(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        layout.encode_metadata({"energy": value})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b'{"a": NaN}', "NaN is not a number of JSON"),
        (b'{"a": -Infinity}', "-Infinity is not a number of JSON"),
        (b'{"a": 1, "a": 2}', "a key occurs twice"),
        (b'{"deep": {"a": 1, "a": 1}}', "a key occurs twice"),
        ('{"a": "\xe4"}'.encode("latin-1"), "codec can't decode"),
        (b'{"a": 1', "expected strict JSON"),
        (b'{"a": 1} {}', "Extra data"),
        (b"", "expected strict JSON"),
        (b'{"a": ' + b"[" * 200_000 + b"]" * 200_000 + b"}", "expected strict JSON"),
        (b"[1, 2]", "expected a JSON object; found list"),
        (b'"text"', "expected a JSON object; found str"),
    ],
    ids=["nan", "infinity", "twice", "twice-inside", "latin-1", "cut", "trailing", "empty", "deep", "list", "text"],
)
def test_metadata_that_are_not_a_strict_json_object_are_refused(file: h5py.File, text: bytes, reason: str) -> None:
    store_metadata(file, text)
    with pytest.raises(ReleaseError, match="/metadata: ") as caught:
        layout.decode_metadata(file)
    assert reason in str(caught.value)
    assert len(str(caught.value)) < 400


def test_metadata_above_16_mib_are_refused_without_being_read(file: h5py.File) -> None:
    size = 16 * 1024 * 1024 + 1
    file.create_dataset("metadata", shape=(size,), dtype=np.uint8, chunks=(1024,))
    with pytest.raises(ReleaseError, match=rf"at most 16777216 bytes .* found uint8 \[{size}\]"):
        layout.decode_metadata(file)


@pytest.mark.parametrize("data", [np.zeros(4, dtype=np.int8), np.zeros((2, 2), dtype=np.uint8), np.uint8(1)])
def test_metadata_of_another_type_or_shape_are_refused(file: h5py.File, data: Any) -> None:
    file.create_dataset("metadata", data=data)
    with pytest.raises(ReleaseError, match=r"as uint8 \[byte\]; found"):
        layout.decode_metadata(file)


def test_a_file_without_metadata_is_not_a_release(file: h5py.File) -> None:
    with pytest.raises(ReleaseError, match="no such dataset; this HDF5 file is not a release"):
        layout.decode_metadata(file)


def test_a_group_in_the_place_of_the_metadata_is_refused(file: h5py.File) -> None:
    file.create_group("metadata")
    with pytest.raises(ReleaseError, match="no such dataset"):
        layout.decode_metadata(file)


@settings(deadline=None)
@given(events=st.integers(0, 3_000_000), members=st.integers(0, 5000), budget=st.integers(1, 2**32))
def test_blocks_cover_every_row_exactly_once(events: int, members: int, budget: int) -> None:
    blocks = layout.family_blocks(events, members, budget)
    edges = [0, *(stop for _, stop in blocks)]
    assert [start for start, _ in blocks] == edges[:-1]
    assert edges[-1] == events
    assert all(start < stop for start, stop in blocks)


@settings(deadline=None)
@given(events=st.integers(1, 3_000_000), members=st.integers(1, 5000), budget=st.integers(1, 2**32))
def test_blocks_are_whole_chunks_within_the_budget(events: int, members: int, budget: int) -> None:
    for start, stop in layout.family_blocks(events, members, budget):
        assert start % 16384 == 0
        assert stop % 16384 == 0 or stop == events
        assert (stop - start) * members * 8 <= budget or stop - start <= 16384
