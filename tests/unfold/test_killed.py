"""Workers that die, trainings that fail, the whole thing killed: it costs what was under way, and no bits."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from omnifold_pub import UnfoldingResult
from omnifold_pub.errors import TrainingError
from omnifold_pub.unfold.campaign import unfold
from omnifold_pub.unfold.records import RunWarning
from omnifold_pub.unfold.status import read_status
from omnifold_pub.unfold.store import check_content, read_arrays, read_header, write_arrays

WriteAnalysis = Callable[..., Path]

needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="counts processes through /proc")

FLAKY = '''
"""A network that is not always built: what happens is written into files, for all processes to see."""

import os
import signal
from pathlib import Path

import torch

def build(features, *, folder, cursed):
    folder = Path(folder)
    with (folder / "calls").open("a") as calls:
        calls.write(f"{os.getpid()}\\n")
    if cursed:  # whichever training comes first, it never works
        try:
            with (folder / "cursed").open("x") as file:
                file.write(str(torch.initial_seed()))
        except FileExistsError:
            pass
        if (folder / "cursed").read_text() == str(torch.initial_seed()):
            raise RuntimeError("this one is cursed")
    for what in ("kill", "raise"):
        flag = folder / what
        if flag.exists():
            flag.unlink()
            if what == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise RuntimeError("only once")
    return torch.nn.Linear(features, 1)
'''


def arrays_of(run: Path) -> dict[str, dict[str, Any]]:
    return {path.name: read_arrays(path) for path in sorted(run.glob("trainings/*.safetensors"))}


def assert_same_bits(run: Path, undisturbed: Path) -> None:
    """Compare all arrays of all trainings: weights, networks, splits."""
    found, expected = arrays_of(run), arrays_of(undisturbed)
    assert found.keys() == expected.keys()
    for name, arrays in expected.items():
        assert found[name].keys() == arrays.keys()
        for key, array in arrays.items():
            assert np.array_equal(found[name][key], array), (name, key)
    assert list((run / "trainings").glob(".*")) == []


# Trainings that fail


@pytest.fixture
def flaky(
    tmp_path: Path, quick_analysis: WriteAnalysis, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[Path, Path]]:
    """Write an analysis of two trainings with that network; return it and the folder of the flags."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules/flaky_network.py").write_text(FLAKY)
    monkeypatch.syspath_prepend(tmp_path / "modules")  # the workers have the path of their parent
    flags = tmp_path / "flags"
    flags.mkdir()

    def write(*once: str, cursed: bool = False) -> tuple[Path, Path]:
        def change(document: dict[str, Any]) -> None:
            settings = {"folder": str(flags), "cursed": cursed}
            document["omnifold"] |= {"classifier": "module", "module": "flaky_network:build"}
            document["omnifold"]["module_settings"] = settings
            document["campaign"] = {"seed": 7, "ensemble": 2, "data_bootstrap": 0, "mc_bootstrap": 0}
            del document["publication"]["validity"]["minimum_effective_data_events_per_bin"]
            document["inputs"]["variations"] = []

        for flag in once:
            (flags / flag).touch()
        return quick_analysis(change), flags

    return write


@pytest.mark.slow
def test_a_worker_that_is_killed_and_a_training_that_raises_are_made_good(
    tmp_path: Path, flaky: Callable[..., tuple[Path, Path]]
) -> None:
    run = tmp_path / "run"
    analysis, flags = flaky("kill", "raise")
    with pytest.warns(RunWarning, match="tried again") as warned:
        unfold(analysis, run, workers=1)
    told = sorted(str(warning.message) for warning in warned)
    assert len(told) == 2
    assert "ensemble_0000 failed and is tried again: worker process" in told[0]
    assert "killed by signal 9" in told[0]
    assert "ensemble_0001 failed and is tried again" in told[1]
    assert "only once" in told[1]
    assert len(set((flags / "calls").read_text().split())) == 2, "one worker, and the one that took its place"
    assert [read_header(path)["run"]["attempts"] for path in run.glob("trainings/*")] == [2, 2]
    assert read_status(run).good


@pytest.mark.slow
def test_what_fails_twice_is_reported_and_the_rest_is_done(
    tmp_path: Path, flaky: Callable[..., tuple[Path, Path]]
) -> None:
    run = tmp_path / "run"
    analysis, flags = flaky(cursed=True)
    with pytest.warns(RunWarning), pytest.raises(TrainingError, match=r"1 of 2 trainings failed.*\n.*cursed"):
        unfold(analysis, run, workers=1)
    assert [path.name for path in run.glob("trainings/*")] == ["ensemble_0001.safetensors"]
    status = read_status(run)
    assert (status.total.done, status.total.failed) == (1, 1)
    (failure,) = status.failures
    assert (failure.training, failure.attempts, failure.final) == ("ensemble_0000", 2, True)
    assert "this one is cursed" in failure.reason
    (flags / "cursed").write_text("no seed")
    unfold(analysis, run, workers=1)
    assert read_status(run).good
    assert read_status(run).failures == ()


@pytest.mark.slow
def test_a_damaged_training_is_set_aside_and_made_anew(tmp_path: Path, flaky: Callable[..., tuple[Path, Path]]) -> None:
    run = tmp_path / "run"
    analysis, _ = flaky()
    unfold(analysis, run, workers=1)
    path = run / "trainings/ensemble_0001.safetensors"
    whole, before = path.read_bytes(), arrays_of(run)
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.warns(RunWarning, match=r"ensemble_0001 was damaged; it is kept as .*ensemble_0001\.damaged"):
        unfold(analysis, run, workers=1)
    check_content(path)
    assert (run / "trainings/ensemble_0001.damaged").read_bytes() != whole
    for key, array in before[path.name].items():
        assert np.array_equal(read_arrays(path, key)[""], array)


# Processes that are killed


def start(analysis: Path, run: Path, workers: int = 2) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "omnifold_pub.cli", "campaign", "run", str(analysis), "--run", str(run)]
    command += ["--workers", str(workers)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def alive(session: int) -> list[int]:
    """Return the processes of a session that are not zombies."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def wait_for(condition: Callable[[], Any], seconds: float = 60) -> Any:
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.02)
    return found


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def workers_of(run: Path) -> list[int]:
    """Return the processes that have claimed a training."""
    found = []
    for path in (run / "running").glob("*.json"):
        with contextlib.suppress(FileNotFoundError):
            found.append(json.loads(path.read_text())["pid"])
    return found


def kill_all(process: subprocess.Popen[bytes]) -> None:
    """Kill the main process; its workers must go by themselves."""
    kill(process.pid)
    process.wait()
    wait_for(lambda: not alive(process.pid), 20)


@pytest.fixture
def begun(tmp_path: Path, quick_run: tuple[Path, UnfoldingResult]) -> Iterator[Path]:
    """A run directory that lacks three of its trainings."""
    run = tmp_path / "run"
    (run / "trainings").mkdir(parents=True)
    for path in quick_run[0].glob("trainings/*.safetensors"):
        if path.stem not in ("ensemble_0001", "mc_bootstrap_0000", "pileup_up_0000"):
            write_arrays(run / "trainings" / path.name, read_arrays(path), read_header(path))
    yield run
    for process in alive_sessions:
        for pid in alive(process):
            kill(pid)
    alive_sessions.clear()


alive_sessions: list[int] = []
"""To be ended should a test fail."""


@pytest.mark.slow
@needs_proc
def test_a_worker_and_then_all_are_killed_and_the_bits_are_the_same(
    begun: Path, quick_run: tuple[Path, UnfoldingResult], quick_analysis: WriteAnalysis
) -> None:
    analysis = quick_analysis()
    process = start(analysis, begun, workers=1)
    alive_sessions.append(process.pid)
    victim = wait_for(lambda: workers_of(begun))[0]
    kill(victim)
    wait_for(lambda: process.poll() is not None or [pid for pid in workers_of(begun) if pid != victim])
    if process.poll() is None:
        assert read_status(begun).at_work
    kill_all(process)
    status = read_status(begun)
    assert not status.at_work
    assert status.total.running == 0
    unfold(analysis, begun, workers=1)
    assert_same_bits(begun, quick_run[0])
    assert read_status(begun).good


@pytest.mark.slow
@pytest.mark.timeout(900)
@needs_proc
def test_killed_ten_times_at_random_moments_it_ends_with_the_same_bits(
    tmp_path: Path,
    quick_run: tuple[Path, UnfoldingResult],
    quick_analysis: WriteAnalysis,
    announce: Callable[[str], None],
) -> None:
    """SIGKILL of a random worker or of the main process in turn, ten times in all, until all trainings are done."""
    analysis, run = quick_analysis(), tmp_path / "run"
    chance = random.Random(os.getpid())  # noqa: S311 - no secret
    kills: list[str] = []
    for number in range(40):
        if len(kills) >= 10:
            break
        process = start(analysis, run)
        alive_sessions.append(process.pid)
        if number % 2:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(chance.uniform(2, 8))
            if process.poll() is None:
                others = [pid for pid in alive(process.pid) if pid != process.pid]
                if others:
                    kill(chance.choice(others))
                    kills.append("worker")
                time.sleep(chance.uniform(0, 3))
        else:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(chance.uniform(1, 12))
        if process.poll() is None:
            kill_all(process)
            kills.append("all")
        finished = sorted(run.glob("trainings/*.safetensors"))
        for path in chance.sample(finished, k=len(finished) // 2):
            path.unlink(missing_ok=True)  # so that there is something left to do for the next ones
    with contextlib.suppress(TrainingError):
        unfold(analysis, run)
    unfold(analysis, run)
    assert_same_bits(run, quick_run[0])
    announce(f"killed at random: {', '.join(kills)}")
    assert len(kills) >= 10
