"""Rows and columns of stored datasets against numpy, in one file and in several, in threads, and after the end."""

from __future__ import annotations

import gc
import hashlib
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from omnifold_pub.errors import ReleaseError
from omnifold_pub.format.reading import Concatenated, StoredArray, StoredDataset, StoredFile, iterate_blocks

SHAPES: dict[str, tuple[tuple[int, ...], tuple[int, ...], str]] = {
    "column": ((103,), (16,), "<f4"),
    "column_whole": ((64,), (16,), "<i8"),
    "column_one": ((5,), (5,), "<f8"),
    "column_ones": ((7,), (1,), "<i4"),
    "bytes": ((1000,), (300,), "u1"),
    "family": ((53, 11), (16, 4), "<f4"),
    "family_whole": ((32, 8), (16, 4), "<f4"),
    "family_wide": ((3, 40), (2, 7), "<f8"),
    "family_single": ((50, 1), (16, 1), "<f4"),
}
"""Shape, chunks and type: most chunks do not divide the shape."""

FILTERS: list[dict[str, Any]] = [
    {"shuffle": True, "compression": "gzip", "compression_opts": 1},
    {"compression": "gzip"},
    {"shuffle": True},
    {},
]


def digest(array: StoredArray) -> str:
    """SHA-256 of what the blocks hold, one after the other."""
    state = hashlib.sha256()
    for _, block in iterate_blocks(array):
        state.update(block.tobytes())
    return state.hexdigest()


def make_arrays(seed: int) -> dict[str, NDArray[Any]]:
    rng = np.random.default_rng(seed)
    return {name: (100 * rng.random(shape)).astype(dtype) for name, (shape, _, dtype) in SHAPES.items()}


def write(path: Path, arrays: dict[str, NDArray[Any]]) -> Path:
    """Write arrays with HDF5 itself."""
    with h5py.File(path, "w", libver=("v110", "v110")) as file:
        for number, (name, array) in enumerate(arrays.items()):
            chunks = tuple(min(sizes) for sizes in zip(SHAPES[name][1], array.shape, strict=True))
            file.create_dataset(name, data=array, chunks=chunks, fletcher32=True, **FILTERS[number % len(FILTERS)])
    return path


ARRAYS = make_arrays(1)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoredFile]:
    with StoredFile(write(tmp_path_factory.mktemp("stored") / "file.h5", ARRAYS)) as file:
        yield file


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[Concatenated, NDArray[Any]]]]:
    """Datasets in three files, of 1, 40 and 12 rows at most, and what they are together."""
    folder, pieces = tmp_path_factory.mktemp("parts"), [make_arrays(seed) for seed in (2, 3, 4)]
    for arrays, rows in zip(pieces, (1, 40, 12), strict=True):
        for name in arrays:
            arrays[name] = arrays[name][:rows]
    files = [StoredFile(write(folder / f"{n}.h5", arrays)) for n, arrays in enumerate(pieces)]
    yield {
        name: (
            Concatenated([file.datasets[name] for file in files]),
            np.concatenate([arrays[name] for arrays in pieces]),
        )
        for name in SHAPES
    }
    for file in files:
        file.close()


def test_a_file_has_the_datasets_that_were_written(stored: StoredFile) -> None:
    assert set(stored.datasets) == set(ARRAYS)
    for name, array in ARRAYS.items():
        dataset = stored.datasets[name]
        assert (dataset.shape, dataset.dtype) == (array.shape, array.dtype)
        assert dataset.read().tobytes() == array.tobytes()


STARTS = st.integers(-120, 120)
EDGES = st.none() | STARTS


@settings(deadline=None, max_examples=300)
@given(name=st.sampled_from(sorted(SHAPES)), start=STARTS, stop=EDGES, columns=st.slices(45) | st.none())
def test_rows_and_columns_are_those_of_numpy(
    stored: StoredFile, name: str, start: int, stop: int | None, columns: slice | None
) -> None:
    array, dataset = ARRAYS[name], stored.datasets[name]
    if array.ndim == 1:
        columns = None
    elif columns is not None and columns.indices(array.shape[1])[2] != 1:
        with pytest.raises(ReleaseError, match=rf"file\.h5: /{name}: .*without gaps; found a step of"):
            dataset.read(start, stop, columns=columns)
        return
    expected = array[start:stop] if columns is None else array[start:stop, columns]
    found = dataset.read(start, stop, columns=columns)
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found, expected)


@settings(deadline=None, max_examples=300)
@given(name=st.sampled_from(sorted(SHAPES)), start=STARTS, stop=EDGES, first=EDGES, last=EDGES)
def test_rows_of_several_files_are_those_of_numpy(
    parts: dict[str, tuple[Concatenated, NDArray[Any]]],
    name: str,
    start: int,
    stop: int | None,
    first: int | None,
    last: int | None,
) -> None:
    dataset, array = parts[name]
    assert (dataset.shape, dataset.dtype) == (array.shape, array.dtype)
    columns = None if array.ndim == 1 else slice(first, last)
    expected = array[start:stop] if columns is None else array[start:stop, columns]
    found = dataset.read(start, stop, columns=columns)
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found, expected)


@settings(deadline=None, max_examples=60)
@given(name=st.sampled_from(sorted(SHAPES)), budget=st.integers(1, 2000))
def test_blocks_are_within_their_budget_and_together_the_whole(stored: StoredFile, name: str, budget: int) -> None:
    array, dataset = ARRAYS[name], stored.datasets[name]
    row_bytes, step = array[:1].nbytes, dataset.pipeline.chunk[0]
    top = 0
    for start, block in iterate_blocks(dataset, budget=budget):
        assert start == top
        assert block.nbytes <= budget or len(block) <= step
        assert len(block) * row_bytes == block.nbytes
        np.testing.assert_array_equal(block, array[start : start + len(block)])
        top += len(block)
    assert top == len(array)


def test_blocks_of_several_files_are_the_whole(parts: dict[str, tuple[Concatenated, NDArray[Any]]]) -> None:
    for dataset, array in parts.values():
        blocks = list(iterate_blocks(dataset, budget=1))
        assert [start for start, _ in blocks] == [0]  # 16384 rows are read at once at least
        assert np.concatenate([block for _, block in blocks]).tobytes() == array.tobytes()


def test_blocks_stay_as_they_were_when_the_next_are_read(stored: StoredFile) -> None:
    blocks = [block for _, block in iterate_blocks(stored.datasets["family"], budget=1)]
    assert len(blocks) == 4
    np.testing.assert_array_equal(np.concatenate(blocks), ARRAYS["family"])


def test_the_digest_is_that_of_the_values(
    stored: StoredFile, parts: dict[str, tuple[Concatenated, NDArray[Any]]]
) -> None:
    for name, array in ARRAYS.items():
        assert digest(stored.datasets[name]) == hashlib.sha256(array.tobytes()).hexdigest()
    for dataset, array in parts.values():
        assert digest(dataset) == hashlib.sha256(array.tobytes()).hexdigest()


def test_many_threads_read_at_once(stored: StoredFile) -> None:
    rng = np.random.default_rng(5)
    cuts = [(str(name), *sorted(rng.integers(0, 60, 2).tolist())) for name in rng.choice(sorted(SHAPES), 400)]
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda cut: stored.datasets[cut[0]].read(cut[1], cut[2]), cuts))
    for (name, start, stop), values in zip(cuts, found, strict=True):
        np.testing.assert_array_equal(values, ARRAYS[name][start:stop])


def test_a_closed_file_says_so(tmp_path: Path) -> None:
    file = StoredFile(write(tmp_path / "file.h5", make_arrays(1)))
    dataset = file.datasets["family"]
    file.close()
    file.close()
    for read in (dataset.read, lambda: digest(dataset), lambda: Concatenated([dataset, dataset]).read()):
        with pytest.raises(ReleaseError, match=r"file\.h5: the release is closed; open it again"):
            read()
    with pytest.raises(ReleaseError, match=r"file\.h5: the release is closed; open it again"):
        file.read_bytes(0, 10)


def test_closing_waits_for_those_who_read(tmp_path: Path) -> None:
    file = StoredFile(write(tmp_path / "file.h5", make_arrays(1)))
    outcomes: list[str] = []

    def read() -> None:
        try:
            for _ in range(500):
                np.testing.assert_array_equal(file.datasets["family"].read(), ARRAYS["family"])
        except ReleaseError as error:
            outcomes.append(str(error))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    file.close()
    for thread in threads:
        thread.join()
    assert all("closed" in outcome for outcome in outcomes)


def test_what_was_read_outlives_the_file(tmp_path: Path) -> None:
    with StoredFile(write(tmp_path / "file.h5", make_arrays(1))) as file:
        values = file.datasets["column"].read()
    (tmp_path / "file.h5").unlink()
    np.testing.assert_array_equal(values, ARRAYS["column"])
    values += 1  # it belongs to the caller


def test_nothing_is_left_open_by_reading_or_by_refusing(tmp_path: Path) -> None:
    good, bad = write(tmp_path / "good.h5", make_arrays(1)), tmp_path / "bad.h5"
    bad.write_bytes(good.read_bytes()[:3000])

    def use() -> None:
        with StoredFile(good) as file:
            file.datasets["family"].read()
        with pytest.raises(ReleaseError):
            StoredFile(bad)

    use()
    gc.collect()
    before = len(os.listdir("/proc/self/fd")), threading.active_count()  # noqa: PTH208 - descriptors
    for _ in range(5):
        use()
    gc.collect()
    after = len(os.listdir("/proc/self/fd")), threading.active_count()  # noqa: PTH208
    assert all(now <= was for now, was in zip(after, before, strict=True))


@pytest.mark.parametrize("how", ["cut", "changed", "zeroed"])
def test_damage_that_comes_while_the_file_is_open_is_found(how: str, tmp_path: Path) -> None:
    path = write(tmp_path / "file.h5", make_arrays(1))
    with StoredFile(path) as file:
        offset, size = map(int, file.datasets["family"].places[5])
        with path.open("r+b") as stream:
            if how == "cut":
                stream.truncate(offset + size // 2)
            else:
                stream.seek(offset)
                stream.write(bytes(size) if how == "zeroed" else b"\x55" * 3)
        with pytest.raises(ReleaseError, match=r"file\.h5: /family: cannot be read"):
            file.datasets["family"].read()
        with pytest.raises(ReleaseError, match=r"file\.h5: /family: cannot be read"):
            digest(file.datasets["family"])
        np.testing.assert_array_equal(
            file.datasets["family"].read(0, 16, columns=slice(0, 4)), ARRAYS["family"][:16, :4]
        )


def test_a_dataset_is_what_it_says(stored: StoredFile) -> None:
    dataset = stored.datasets["family"]
    assert isinstance(dataset, StoredDataset)
    assert dataset.pipeline.chunk == (16, 4)
    assert dataset.places.shape == (12, 2)


def test_no_such_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match=r"nothing\.h5: no such file"):
        StoredFile(tmp_path / "nothing.h5")
