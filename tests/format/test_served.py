"""The file object that HDF5 reads remote files through, against the bytes themselves."""

from __future__ import annotations

import io

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnifold_pub.format.served import BLOCK, MOST_ASKED, ServedFile

DATA = np.random.default_rng(1).bytes(5 * BLOCK + 77)


def served(asked: list[tuple[int, int]]) -> ServedFile:
    def ask(offset: int, size: int) -> bytes:
        assert 0 <= offset < offset + size <= len(DATA)
        asked.append((offset, size))
        return DATA[offset : offset + size]

    return ServedFile(len(DATA), ask)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(DATA) + 10), st.integers(0, 3 * BLOCK)), max_size=20))
def test_it_reads_like_the_bytes_and_asks_for_none_twice(wanted: list[tuple[int, int]]) -> None:
    asked: list[tuple[int, int]] = []
    file, plain = served(asked), io.BytesIO(DATA)
    for offset, size in wanted:
        file.seek(offset)
        plain.seek(offset)
        assert file.read(size) == plain.read(size)
        assert file.tell() == plain.tell()
    blocks = [number for offset, size in asked for number in range(offset // BLOCK, -(-(offset + size) // BLOCK))]
    assert len(blocks) == len(set(blocks))
    assert all(size <= MOST_ASKED for _, size in asked)


def test_a_long_reading_is_one_request() -> None:
    asked: list[tuple[int, int]] = []
    file = served(asked)
    file.seek(10)
    assert file.read(4 * BLOCK) == DATA[10 : 10 + 4 * BLOCK]
    assert asked == [(0, 5 * BLOCK)]


def test_bytes_that_do_not_come_are_an_error() -> None:
    with pytest.raises(EOFError, match=r"0 bytes at 0; expected"):
        ServedFile(100, lambda offset, size: b"").read(10)


def test_hdf5_reads_through_it() -> None:
    stream = io.BytesIO()
    with h5py.File(stream, "w", libver=("v110", "v110")) as file:
        file.create_dataset("x", data=np.arange(100_000), chunks=(1000,))
    data = stream.getvalue()
    with h5py.File(
        ServedFile(len(data), lambda offset, size: data[offset : offset + size]), "r", locking=False
    ) as file:
        np.testing.assert_array_equal(file["x"][:], np.arange(100_000))
