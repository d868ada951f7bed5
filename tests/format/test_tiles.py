"""Tiles cover what was asked for, each value once, as a plain read has it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnifold_pub import publish
from omnifold_pub.format.reading import StoredArray
from omnifold_pub.format.store import open_store
from omnifold_pub.format.tiles import MemoryArray, chunk_bytes, chunk_rows, tiles
from tests.conftest import make_result

EVENTS, MEMBERS = 40_000, 20


@pytest.fixture(scope="module")
def arrays(tmp_path_factory: pytest.TempPathFactory) -> dict[str, StoredArray]:
    """One family in a file, in four files, and in memory; the files stay open."""
    folder: Path = tmp_path_factory.mktemp("tiles")
    result = make_result(events=EVENTS, members=MEMBERS)
    one = open_store(publish(result, folder / "one.h5")).arrays["weights/data_bootstrap"]
    several = open_store(publish(result, folder / "several.manifest.json", shard_events=10_001))
    memory = MemoryArray(np.asarray(result.families["data_bootstrap"][:]))
    return {"one": one, "several": several.arrays["weights/data_bootstrap"], "memory": memory}


@pytest.mark.parametrize("name", ["one", "several", "memory"])
@settings(max_examples=25, deadline=None, derandomize=True)
@given(first=st.integers(0, EVENTS), second=st.integers(0, EVENTS))
def test_tiles_put_together_are_what_is_read(
    arrays: dict[str, StoredArray], name: str, first: int, second: int
) -> None:
    start, stop = sorted((first, second))
    found = np.full((stop - start, MEMBERS), np.nan)
    for tile in tiles(arrays[name], start, stop):
        place = found[tile.first : tile.last, tile.left : tile.right]
        assert np.isnan(place).all()
        place[...] = tile.load()
    np.testing.assert_array_equal(found, arrays["memory"].read(start, stop))


def test_tiles_of_a_file_are_its_chunks(arrays: dict[str, StoredArray]) -> None:
    found = [(t.first, t.last, t.left, t.right) for t in tiles(arrays["one"], 0, 20_000)]
    assert found == [(0, 16384, 0, 16), (0, 16384, 16, 20), (16384, 20_000, 0, 16), (16384, 20_000, 16, 20)]
    assert chunk_rows(arrays["one"]) == 16384
    assert chunk_rows(arrays["several"]) == 10_001
    assert (chunk_bytes(arrays["one"]), chunk_bytes(arrays["memory"])) == (16384 * 16 * 4, 0)


def test_what_is_in_memory_cannot_be_changed(arrays: dict[str, StoredArray]) -> None:
    with pytest.raises(ValueError, match="read-only"):
        arrays["memory"].read(0, 5)[...] = 0
