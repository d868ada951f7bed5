"""Status of runs in each state, made of a finished one."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

import filelock
import pytest

from omnifold_pub import UnfoldingResult
from omnifold_pub.errors import RunError
from omnifold_pub.unfold.records import Claim, Failure, Records, Session, now
from omnifold_pub.unfold.status import is_at_work, read_status
from omnifold_pub.unfold.store import read_header

TIME = "2026-01-31T12:00:00+00:00"


@pytest.fixture
def run(tmp_path: Path, quick_run: tuple[Path, UnfoldingResult]) -> Path:
    """A copy of a finished run, to do anything with."""
    return Path(shutil.copytree(quick_run[0], tmp_path / "run"))


def seconds(run: Path) -> list[float]:
    return [read_header(path)["run"]["seconds"] for path in run.glob("trainings/*.safetensors")]


def test_a_finished_run_is_done(run: Path) -> None:
    status = read_status(run)
    assert {family.family: (family.trainings, family.done) for family in status.families} == {
        "ensemble": (2, 2),
        "data_bootstrap": (4, 4),
        "mc_bootstrap": (4, 4),
        "trackeff_down": (1, 1),
        "muscale_up": (1, 1),
        "pileup_up": (1, 1),
    }
    assert status.good
    assert not status.at_work
    assert status.left is None
    assert status.spent == pytest.approx(sum(seconds(run)))
    assert status.session is not None
    assert status.session.pid == os.getpid()


def test_a_run_at_work_tells_what_runs_and_how_long_the_rest_takes(run: Path) -> None:
    records = Records(run)
    records.begin(Session.of_this_process(workers=2, scheduler=None))
    for name in ("ensemble_0000", "mc_bootstrap_0002", "mc_bootstrap_0003", "muscale_up_0000"):
        (run / f"trainings/{name}.safetensors").unlink()
    for name in ("ensemble_0000", "muscale_up_0000"):
        records.claim(Claim(name, "host", 1, now()))
    with filelock.FileLock(run / "lock"):
        status = read_status(run)
    assert status.at_work
    assert status.good
    assert (status.total.done, status.total.running, status.total.remaining) == (9, 2, 2)
    assert [claim.training for claim in status.running] == ["ensemble_0000", "muscale_up_0000"]
    mean = sum(seconds(run)) / 9
    assert status.left == pytest.approx((4 * mean) / 2, abs=2.5)  # claims count whole seconds
    assert status.elapsed is not None
    assert 0 <= status.elapsed < 60


def test_after_a_kill_nothing_runs_and_the_rest_remains(run: Path) -> None:
    Records(run).claim(Claim("ensemble_0000", "host", 1, TIME))
    (run / "trainings/ensemble_0000.safetensors").unlink()
    status = read_status(run)
    assert not status.at_work
    assert status.running == ()
    assert (status.total.running, status.total.remaining) == (0, 1)
    assert not status.good


def test_failures_come_with_their_reasons(run: Path) -> None:
    records = Records(run)
    for name, attempts in (("ensemble_0000", 2), ("pileup_up_0000", 1), ("muscale_up_0000", 1)):
        records.fail(Failure(name, attempts, attempts == 2, "signal 9", TIME, "host"))
    for name in ("ensemble_0000", "pileup_up_0000"):
        (run / f"trainings/{name}.safetensors").unlink()
    status = read_status(run)
    assert (status.total.failed, status.total.remaining, status.total.done) == (1, 1, 11)
    assert [(f.training, f.reason) for f in status.failures] == [
        ("ensemble_0000", "signal 9"),
        ("pileup_up_0000", "signal 9"),
    ], "what is done after all is no failure"
    assert not status.good


def test_a_truncated_training_is_not_done(run: Path) -> None:
    path = run / "trainings/ensemble_0000.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    assert read_status(run).total.remaining == 1


def test_a_first_run_that_still_reads_is_at_work(tmp_path: Path) -> None:
    with filelock.FileLock(tmp_path / "lock"):
        status = read_status(tmp_path)
    assert status.at_work
    assert status.good
    assert status.families == ()


def test_what_is_no_run_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not a run directory"):
        read_status(tmp_path)


def test_a_damaged_record_says_what_to_do(run: Path) -> None:
    (run / "failures/ensemble_0000.json").write_text("{")
    with pytest.raises(RunError, match=r"ensemble_0000\.json: cannot be read.*delete it"):
        read_status(run)


def test_asking_writes_nothing(run: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    read_status(run)
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


def test_asking_does_not_keep_a_run_from_starting(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    lock.touch()
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            is_at_work(tmp_path)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for _ in range(20):
            with filelock.FileLock(lock, timeout=5, poll_interval=0.001):
                assert is_at_work(tmp_path)
    finally:
        stop.set()
        asking.join()
    assert not is_at_work(tmp_path)
