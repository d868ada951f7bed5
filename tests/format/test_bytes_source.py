"""Descriptors that are opened when they are needed and never closed under a reader; files that are replaced."""

from __future__ import annotations

import gc
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from omnifold_pub.errors import ReleaseError
from omnifold_pub.format.bytes_source import Descriptors, LocalSource
from tests.conftest import open_files


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Fifty files of 4,000 bytes, each of its own letter."""
    paths = [tmp_path / f"{number}.bin" for number in range(50)]
    for number, path in enumerate(paths):
        path.write_bytes(bytes([number]) * 4000)
    return paths


def test_few_of_many_are_open(files: list[Path]) -> None:
    before = open_files(files[0].parent)
    descriptors = Descriptors(5)
    sources = [LocalSource(path, descriptors) for path in files]
    assert open_files(files[0].parent) == before + 5
    for _ in range(2):
        assert [source.read(3990, 100) for source in sources] == [bytes([number]) * 10 for number in range(50)]
        assert open_files(files[0].parent) == before + 5
    for source in sources:
        source.close()
    assert open_files(files[0].parent) == before


def test_nobody_who_reads_gets_another_files_bytes(files: list[Path]) -> None:
    descriptors = Descriptors(3)
    sources = [LocalSource(path, descriptors) for path in files]
    stop = threading.Event()
    wrong: list[object] = []
    right = [0]

    def read(seed: int) -> None:
        rng = np.random.default_rng(seed)
        while not stop.is_set():
            number = int(rng.integers(50))
            try:
                if sources[number].read(0, 4000) != bytes([number]) * 4000:
                    wrong.append(number)
                right[0] += 1
            except ReleaseError as error:
                if "closed" not in str(error):
                    wrong.append(error)

    with ThreadPoolExecutor(8) as pool:
        readers = [pool.submit(read, seed) for seed in range(8)]
        for turn in range(1000):  # closed and opened anew: the system gives out the same numbers again
            number = turn % 50
            sources[number].close()
            sources[number] = LocalSource(files[number], descriptors)
        stop.set()
        for reader in readers:
            reader.result(timeout=30)
    assert not wrong
    assert right[0] > 100


def test_a_lent_descriptor_is_closed_by_who_has_it(files: list[Path]) -> None:
    before, descriptors = open_files(files[0].parent), Descriptors(1)
    key = descriptors.new_key()
    with descriptors.lend(key, lambda: os.open(files[7], os.O_RDONLY)) as descriptor:
        descriptors.drop(key)
        assert os.pread(descriptor, 3, 0) == b"\x07\x07\x07"
        with descriptors.lend(descriptors.new_key(), lambda: os.open(files[8], os.O_RDONLY)) as other:
            assert other != descriptor
    assert open_files(files[0].parent) == before + 1  # the other is kept for the next time


def test_nothing_is_left_open_by_who_forgets_to_close(files: list[Path]) -> None:
    gc.collect()
    before = open_files(files[0].parent)
    descriptors = Descriptors()
    sources = [LocalSource(path, descriptors) for path in files[:5]]
    assert open_files(files[0].parent) == before + 5
    del descriptors, sources
    gc.collect()
    assert open_files(files[0].parent) == before


@pytest.mark.parametrize("how", ["replaced", "rewritten", "a pipe", "gone"])
def test_a_file_that_is_another_when_it_is_opened_again_is_an_error(files: list[Path], how: str) -> None:
    descriptors = Descriptors(1)
    first, second = (LocalSource(path, descriptors) for path in files[:2])  # the second takes the only place
    if how == "rewritten":
        files[0].write_bytes(b"other")
    else:
        files[0].unlink()
        if how == "replaced":
            files[0].write_bytes(bytes(4000))
        elif how == "a pipe":
            os.mkfifo(files[0])
    expected = "No such file" if how == "gone" else "was changed or replaced while it was read; open the release again"
    before = open_files(files[0].parent)
    with pytest.raises(ReleaseError, match=rf"0\.bin: .*{expected}"):
        first.read(0, 10)
    assert open_files(files[0].parent) == before
    assert second.read(0, 2) == b"\x01\x01"


def test_threads_read_at_the_same_time(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    source = LocalSource(files[3], Descriptors())
    both, pread = threading.Barrier(4, timeout=20), os.pread

    def together(descriptor: int, size: int, offset: int) -> bytes:
        both.wait()  # breaks if one waits for another
        return pread(descriptor, size, offset)

    monkeypatch.setattr(os, "pread", together)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: source.read(0, 4), range(4))) == [b"\x03" * 4] * 4


def test_a_system_without_pread_reads_too(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "pread")
    path = files[0]
    path.write_bytes(bytes(range(256)) * 10)
    source = LocalSource(path, Descriptors())
    with ThreadPoolExecutor(8) as pool:
        places = [n * 7 % 2000 for n in range(400)]
        found = list(pool.map(lambda place: source.read(place, 300), places))
    assert found == [path.read_bytes()[place : place + 300] for place in places]


def test_an_error_of_the_disk_is_one_clear_error(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    source = LocalSource(files[0], Descriptors())
    monkeypatch.setattr(os, "pread", broken)
    with pytest.raises(ReleaseError, match=r"0\.bin: cannot be read: Input/output error"):
        source.read(0, 10)
