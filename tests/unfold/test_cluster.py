"""The same trainings on a Dask cluster: the same bits, also when a worker is killed."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import Client, LocalCluster

from omnifold_pub import UnfoldingResult, extras
from omnifold_pub.errors import ClusterError, MissingExtraError
from omnifold_pub.unfold import cluster as cluster_module
from omnifold_pub.unfold.campaign import unfold
from omnifold_pub.unfold.cluster import connected
from omnifold_pub.unfold.records import Records
from omnifold_pub.unfold.status import read_status
from omnifold_pub.unfold.store import read_arrays, read_header, write_arrays

WriteAnalysis = Callable[..., Path]
TRAININGS = ("ensemble_0001", "data_bootstrap_0002", "mc_bootstrap_0000", "pileup_up_0000")


@pytest.fixture(scope="module")
def local_cluster() -> Iterator[LocalCluster]:
    """Two processes of one thread, which are started again when they die."""
    with LocalCluster(  # type: ignore[no-untyped-call]
        n_workers=2, threads_per_worker=1, dashboard_address=":0", memory_limit=0, silence_logs=logging.CRITICAL
    ) as cluster:
        yield cluster


@pytest.fixture
def begun(tmp_path: Path, quick_run: tuple[Path, UnfoldingResult]) -> Path:
    """A run directory that lacks some of its trainings."""
    run = tmp_path / "run"
    (run / "trainings").mkdir(parents=True)
    for path in quick_run[0].glob("trainings/*.safetensors"):
        if path.stem not in TRAININGS:
            write_arrays(run / "trainings" / path.name, read_arrays(path), read_header(path))
    return run


def assert_same_bits(run: Path, undisturbed: Path) -> None:
    paths = sorted(undisturbed.glob("trainings/*.safetensors"))
    assert [path.name for path in sorted(run.glob("trainings/*"))] == [path.name for path in paths]
    for path in paths:
        found, expected = read_arrays(run / "trainings" / path.name), read_arrays(path)
        assert found.keys() == expected.keys()
        for key, array in expected.items():
            assert np.array_equal(found[key], array), (path.name, key)


def left_on_workers(address: str) -> list[str]:
    def look(dask_worker: Any) -> list[str]:
        return [str(path) for path in Path(dask_worker.local_directory).rglob("*") if path.is_file()]

    with Client(address, set_as_default=False) as client:  # type: ignore[no-untyped-call]
        return [path for paths in client.run(look).values() for path in paths if "omnifold_pub" in path]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_cluster_gives_the_same_bits_and_keeps_nothing(
    begun: Path,
    quick_run: tuple[Path, UnfoldingResult],
    quick_analysis: WriteAnalysis,
    local_cluster: LocalCluster,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cluster_module, "_PART", 2**20)  # the inputs in several parts
    address = local_cluster.scheduler_address
    unfold(quick_analysis(), begun, scheduler=address)
    assert_same_bits(begun, quick_run[0])
    hosts = {read_header(begun / f"trainings/{name}.safetensors")["run"]["host"] for name in TRAININGS}
    assert all(host.startswith("tcp://") for host in hosts)
    assert left_on_workers(address) == []
    session = read_status(begun).session
    assert session is not None
    assert session.scheduler == address


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_worker_of_a_cluster_that_is_killed_costs_no_bits(
    begun: Path, quick_run: tuple[Path, UnfoldingResult], quick_analysis: WriteAnalysis, local_cluster: LocalCluster
) -> None:
    killed: list[int] = []

    def kill_one() -> None:
        end = time.monotonic() + 120
        while not killed and time.monotonic() < end:
            time.sleep(0.01)
            with contextlib.suppress(OSError):
                for claim in Records(begun).claims.values():
                    os.kill(claim.pid, signal.SIGKILL)
                    killed.append(claim.pid)
                    break

    killer = threading.Thread(target=kill_one)
    killer.start()
    with Client(local_cluster, set_as_default=False) as client:  # type: ignore[no-untyped-call]
        unfold(quick_analysis(), begun, scheduler=client)
        assert client.status == "running"
    killer.join()
    assert len(killed) == 1
    assert_same_bits(begun, quick_run[0])


def test_no_cluster_at_an_address_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "_CONNECT_SECONDS", 1)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{unused.getsockname()[1]}"
    with pytest.raises(ClusterError, match=rf"scheduler {address}: no cluster there"), connected(address):
        pass


def test_without_dask_the_extra_is_named(
    tmp_path: Path, quick_analysis: WriteAnalysis, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_dask(name: str) -> ModuleSpec | None:
        return None if name == "distributed" else find_spec(name)

    monkeypatch.setattr(extras, "find_spec", without_dask)
    with pytest.raises(MissingExtraError, match=r"omnifold-pub\[dask\]"):
        unfold(quick_analysis(), tmp_path / "run", scheduler="tcp://127.0.0.1:8786")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_worker_with_another_version_is_refused(
    begun: Path, quick_analysis: WriteAnalysis, local_cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_module, "version", lambda package: "99.0")
    with pytest.raises(ClusterError, match=r"worker tcp://.*expected 99\.0 on every worker"):
        unfold(quick_analysis(), begun, scheduler=local_cluster.scheduler_address)
