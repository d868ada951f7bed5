"""A release as it is stored: one file, or several that read as one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnifold_pub import UnfoldingResult, publish
from omnifold_pub.errors import ReleaseError
from omnifold_pub.format.documents import encode_document
from omnifold_pub.format.reading import StoredFile
from omnifold_pub.format.store import Store, open_store, read_document
from omnifold_pub.format.writing import ReleaseWriter
from tests.conftest import make_result, open_files

SHARD = 70


@pytest.fixture(scope="module")
def result_in_parts() -> UnfoldingResult:
    """A result of 300 events."""
    return make_result(events=300, members=20)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory, result_in_parts: UnfoldingResult) -> Path:
    """Its release in five files, the last of them shorter; do not write to it."""
    path = tmp_path_factory.mktemp("parts") / "x.manifest.json"
    return publish(result_in_parts, path, shard_events=SHARD)


@pytest.fixture(scope="module")
def store(parts: Path) -> Iterator[Store]:
    """That release, open."""
    with open_store(parts) as opened:
        yield opened


@pytest.fixture
def copied(parts: Path, tmp_path: Path) -> Path:
    """A copy of that release to write to."""
    for file in parts.parent.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path / parts.name


def test_files_are_in_the_order_of_their_events(store: Store) -> None:
    assert [part.metadata["events"] for part in store.parts] == [70, 70, 70, 70, 20]
    shards = [{"index": i, "count": 5, "events_total": 300} for i in range(5)]
    assert [part.metadata["shard"] for part in store.parts] == shards


def test_the_metadata_are_those_of_the_whole(store: Store) -> None:
    assert store.metadata["events"] == 300
    assert "shard" not in store.metadata
    assert {k: v for k, v in store.metadata.items() if k != "events"} == {
        k: v for k, v in store.parts[0].metadata.items() if k not in {"events", "shard"}
    }


def test_all_arrays_are_those_that_were_given(store: Store, result_in_parts: UnfoldingResult) -> None:
    given_arrays = flat(result_in_parts)
    assert set(store.arrays) == set(given_arrays)
    for name, array in store.arrays.items():
        wanted = np.asarray(given_arrays[name][:])
        assert (array.shape, array.dtype) == (wanted.shape, wanted.dtype), name
        assert array.read().tobytes() == wanted.tobytes(), name


def flat(result: UnfoldingResult) -> dict[str, Any]:
    canvas, closure = result.canvases["other"], result.closure["dd"]
    return {
        "event_id": result.event_id,
        "prior": result.prior,
        "weights/nominal": result.nominal,
        **{f"events/{name}": column for name, column in result.columns.items()},
        **{f"weights/{name}": family for name, family in result.families.items()},
        "closure/dd/target": closure.target,
        "closure/dd/unfolded": closure.unfolded,
        "canvases/other/event_id": canvas.event_id,
        "canvases/other/weights/nominal": canvas.nominal,
        **{f"canvases/other/events/{name}": column for name, column in canvas.columns.items()},
        **{f"canvases/other/weights/{name}": family for name, family in canvas.families.items()},
        "networks/tiny": np.frombuffer(result.networks["tiny"], dtype=np.uint8),
    }


def test_what_does_not_belong_to_the_events_is_in_the_first_file_alone(store: Store) -> None:
    for number, part in enumerate(store.parts):
        others = [name for name in part.file.datasets if name.startswith(("canvases/", "networks/"))]
        assert bool(others) == (number == 0)


bounds = st.none() | st.integers(-350, 350)


@settings(max_examples=60, deadline=None)
@given(start=st.integers(-350, 350), stop=bounds, left=bounds, right=bounds)
def test_any_rows_and_columns_are_those_of_the_whole_array(
    store: Store, result_in_parts: UnfoldingResult, start: int, stop: int | None, left: int | None, right: int | None
) -> None:
    whole = np.asarray(result_in_parts.families["data_bootstrap"][:])
    found = store.arrays["weights/data_bootstrap"].read(start, stop, columns=slice(left, right))
    assert found.tobytes() == whole[start:stop, left:right].tobytes()
    column = np.asarray(result_in_parts.columns["z"][:])
    assert store.arrays["events/z"].read(start, stop).tobytes() == column[start:stop].tobytes()


def test_a_single_file_is_a_release_too(release_path: Path, result: UnfoldingResult) -> None:
    with open_store(release_path) as store:
        assert len(store.parts) == 1
        assert store.metadata == store.parts[0].metadata
        assert np.array_equal(store.arrays["event_id"].read(), result.event_id[:])
        digests = store.parts[0].digests()
    assert set(digests) == {*flat(result), "metadata"}


def test_files_are_closed_at_the_end(parts: Path) -> None:
    before = open_files(parts.parent)
    with open_store(parts) as store:
        array = store.arrays["event_id"]
        assert open_files(parts.parent) >= before + len(store.parts)
    assert open_files(parts.parent) == before
    with pytest.raises(ReleaseError, match="the release is closed; open it again"):
        array.read()


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (Path.unlink, "no such file"),
        (cut_off, r"\d+ bytes; the manifest x\.manifest\.json says \d+"),
        (lambda path: path.write_bytes(b"x" * path.stat().st_size), "not an HDF5 file"),
    ],
    ids=["missing", "cut off", "something else"],
)
def test_a_damaged_part_is_one_clear_error_and_leaves_no_file_open(
    copied: Path, spoil: Callable[[Path], object], message: str
) -> None:
    last = copied.with_name(json.loads(copied.read_text())["files"][-1]["file"])
    spoil(last)
    before = open_files(copied.parent)
    with pytest.raises(ReleaseError, match=message) as caught:
        open_store(copied)
    assert last.name in str(caught.value)
    assert open_files(copied.parent) == before


def test_the_files_can_be_given(copied: Path) -> None:
    files = [copied.with_name(entry["file"]) for entry in json.loads(copied.read_text())["files"]]
    copied.unlink()
    with open_store(copied, files) as store:
        assert store.metadata["events"] == 300


def document_file(path: Path, array: np.ndarray) -> Path:
    with h5py.File(path, "w", libver=("v110", "v110")) as file:
        file.create_dataset("metadata", data=array, chunks=array.shape, fletcher32=True)
    return path


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.frombuffer(b"{", dtype=np.uint8), "expected strict JSON"),
        (np.frombuffer(b"[1]", dtype=np.uint8), "expected a JSON object; found list"),
        (np.frombuffer(b'{"a": 1, "a": 2}', dtype=np.uint8), "a key occurs twice"),
        (np.frombuffer(b'{"a": Infinity}', dtype=np.uint8), "Infinity is not a number"),
        (np.frombuffer(b'"\xff"', dtype=np.uint8), "expected strict JSON in UTF-8"),
        (np.zeros(5, dtype=np.float32), r"expected at most \d+ bytes as uint8 \[byte\]; found float32"),
        (np.zeros((5, 5), dtype=np.uint8), r"found uint8 \(5, 5\)"),
        (np.zeros(5 * 1024 * 1024, dtype=np.uint8), r"found uint8 \(5242880,\)"),
    ],
)
def test_metadata_that_are_no_document_are_refused(tmp_path: Path, array: np.ndarray, message: str) -> None:
    before = open_files(tmp_path)
    with pytest.raises(ReleaseError, match=f"x.h5: /metadata: .*{message}"):
        open_store(document_file(tmp_path / "x.h5", array))
    assert open_files(tmp_path) == before


def test_an_hdf5_file_without_metadata_is_no_release(tmp_path: Path) -> None:
    with ReleaseWriter(tmp_path / "x.h5") as writer:
        writer.write_bytes("other", b"abc")
    with pytest.raises(ReleaseError, match="/metadata: no such dataset; this HDF5 file is not a release"):
        open_store(tmp_path / "x.h5")


def test_documents_come_back(tmp_path: Path) -> None:
    document = {"a": [1, 2.5, None, "µ"], "b": {"c": True}}
    with ReleaseWriter(tmp_path / "x.h5") as writer:
        writer.write_bytes("metadata", encode_document(document))
    with StoredFile(tmp_path / "x.h5") as file:
        assert read_document(file, "metadata") == document
