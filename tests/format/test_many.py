"""Releases of very many files: few descriptors, few processes, one set of threads."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from omnifold_pub import publish
from omnifold_pub.errors import ReleaseError
from omnifold_pub.format import guard
from omnifold_pub.format.manifest import file_entry
from omnifold_pub.format.store import open_store
from tests.conftest import make_result, open_files

linux = pytest.mark.skipif(sys.platform != "linux", reason="descriptors are counted in /proc")
pytestmark = linux

SHARDS = 250


def write_shards(folder: Path, count: int) -> Path:
    """Write a manifest and its files: one file of ten events, again and again."""
    source = publish(make_result(events=10, members=3), folder / "one.h5")
    entry = file_entry(source, "", 10)
    entries = [entry | {"file": f"x-{number:05d}.h5"} for number in range(count)]
    for one in entries:
        shutil.copyfile(source, folder / one["file"])
    manifest = json.loads((folder / "one.manifest.json").read_text())
    path = folder / "x.manifest.json"
    path.write_text(json.dumps(manifest | {"files": entries, "events": 10 * count}))
    return path


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The manifest of 250 files; do not write to them."""
    return write_shards(tmp_path_factory.mktemp("shards"), SHARDS)


@contextlib.contextmanager
def at_most(files: int) -> Iterator[None]:
    """Allow this process so many open files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def read_all(path: Path, count: int) -> None:
    before, threads = open_files(path.parent), threading.active_count()
    fork = os.fork
    with mock.patch.object(os, "fork", side_effect=fork) as forks, at_most(256), open_store(path) as store:
        assert forks.call_count <= 4
        assert len(store.parts) == count
        assert len({id(part.file.pool) for part in store.parts}) == 1
        first = store.parts[0].file.datasets
        for name in ("event_id", "weights/data_bootstrap"):
            found = store.arrays[name].read()
            one = first[name].read()
            assert found.tobytes() == np.concatenate([one] * count).tobytes()
            middle = store.arrays[name].read(10 * count // 2 - 3, 10 * count // 2 + 25)
            assert middle.tobytes() == found[10 * count // 2 - 3 : 10 * count // 2 + 25].tobytes()
        assert open_files(path.parent) <= before + 64
        assert threading.active_count() <= threads + 64
    assert open_files(path.parent) == before
    assert threading.active_count() <= threads


def test_hundreds_of_files_are_read_with_few_open(shards: Path) -> None:
    read_all(shards, SHARDS)


def processor_seconds() -> float:
    """Return the time that this process and those that it waited for have worked."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


@pytest.mark.slow
def test_thousands_of_files_are_opened_in_seconds(tmp_path: Path, announce: Callable[[str], None]) -> None:
    path = write_shards(tmp_path, 2000)
    started, worked = time.monotonic(), processor_seconds()
    with at_most(256), open_store(path) as store:
        assert len(store.parts) == 2000
        seconds, worked = time.monotonic() - started, processor_seconds() - worked
    announce(f"many: 2,000 files opened in {seconds:.1f} s, {worked:.1f} s of work, with 256 descriptors")
    assert worked < 60  # of work: the time that it takes is also that of others on this machine
    read_all(path, 2000)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda data: data[:200] + bytes(100) + data[300:], "x-00217.h5: "),
        (lambda data: b"x" * len(data), r"x-00217\.h5: not an HDF5 file"),
        (lambda data: data + b"x", r"x-00217\.h5: \d+ bytes; the manifest x\.manifest\.json says \d+"),
    ],
    ids=["damaged", "something else", "longer"],
)
def test_one_that_is_bad_is_named(spoil: Callable[[bytes], bytes], message: str, shards: Path, tmp_path: Path) -> None:
    for file in shards.parent.iterdir():
        (tmp_path / file.name).hardlink_to(file)
    bad = tmp_path / "x-00217.h5"
    data = bad.read_bytes()
    bad.unlink()
    bad.write_bytes(spoil(data))
    before, threads = open_files(tmp_path), threading.active_count()
    with pytest.raises(ReleaseError, match=message):
        open_store(tmp_path / shards.name)
    assert open_files(tmp_path) == before
    assert threading.active_count() <= threads


def work(path: str) -> str:
    if path == "crash":
        os.abort()
    if path == "hang":
        time.sleep(60)
    if path == "refuse":
        msg = "refuse: refused: because"
        raise ReleaseError(msg)
    return path.upper()


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("crash", "^crash: refused: the HDF5 library crashed"),
        ("hang", r"^hang: refused: reading its structure takes more than 0\.5 s$"),
        ("refuse", "^refuse: refused: because$"),
    ],
)
def test_the_file_that_ends_the_process_is_named(bad: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "SECONDS", 0.5)
    tasks = [guard.Task(name) for name in ("a", "b", bad, "c")]
    found = guard.run_guarded_all(work, tasks, module="unused")
    assert [next(found), next(found)] == ["A", "B"]
    with pytest.raises(ReleaseError, match=message):
        next(found)


def test_files_that_are_slow_one_by_one_end_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "SECONDS", 0.6)
    monkeypatch.setattr(guard, "SECONDS_MORE", 0.01)
    tasks = [guard.Task(f"{number}.h5") for number in range(20)]
    with pytest.raises(
        ReleaseError, match=r"h5: refused: reading the structures of 20 files from 0\.h5 on takes too long"
    ):
        list(guard.run_guarded_all(lambda path: time.sleep(0.3), tasks, module="unused"))


def test_no_files_need_no_process() -> None:
    assert list(guard.run_guarded_all(work, [], module="unused")) == []
