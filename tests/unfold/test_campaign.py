"""A campaign on the small real inputs: what it leaves, and that being killed costs nothing."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import pytest

from omnifold_pub import UnfoldingResult
from omnifold_pub.errors import RunError, TrainingError
from omnifold_pub.unfold.campaign import unfold
from omnifold_pub.unfold.collection import collect
from omnifold_pub.unfold.store import read_arrays, read_header, write_arrays

WriteAnalysis = Callable[..., Path]


def test_families_are_as_asked_for(quick_run: tuple[Path, UnfoldingResult]) -> None:
    _, result = quick_run
    events = len(result.event_id)
    shapes = {name: family.shape for name, family in result.families.items()}
    assert shapes == {
        "ensemble": (events, 2),
        "data_bootstrap": (events, 4),
        "mc_bootstrap": (events, 4),
        "trackeff_down": (events, 1),
        "muscale_up": (events, 1),
        "pileup_up": (events, 1),
    }
    assert len(result.columns) == 24
    assert result.nominal == pytest.approx(result.families["ensemble"].mean(axis=1), rel=1e-6)


def test_absent_jets_are_nan_and_no_sentinel_is_left(quick_run: tuple[Path, UnfoldingResult]) -> None:
    _, result = quick_run
    second_jet = [name for name in result.columns if name.endswith("trackj2")]
    absent = {name: np.isnan(result.columns[name]) for name in second_jet}
    assert 0.2 < absent["pT_trackj2"].mean() < 0.4
    assert all(np.array_equal(mask, absent["pT_trackj2"]) for mask in absent.values())
    assert not any((column == -99).any() for column in result.columns.values())


def test_a_second_run_finds_everything_done(
    quick_run: tuple[Path, UnfoldingResult], quick_analysis: WriteAnalysis
) -> None:
    run, result = quick_run
    stamps = {path: path.stat().st_mtime_ns for path in (run / "trainings").iterdir()}
    calls: list[tuple[int, int]] = []
    again = unfold(quick_analysis(), run, progress=lambda done, total, _: calls.append((done, total)))
    assert calls == [(13, 13)]
    assert {path: path.stat().st_mtime_ns for path in (run / "trainings").iterdir()} == stamps
    assert np.array_equal(again.families["mc_bootstrap"], result.families["mc_bootstrap"])


def test_each_training_keeps_its_state(quick_run: tuple[Path, UnfoldingResult]) -> None:
    path = quick_run[0] / "trainings/mc_bootstrap_0002.safetensors"
    summary = read_header(path)["summary"]
    assert summary["training"]["resampling_seed"] == 8
    assert summary["preprocessing"]["reco"]["flags"]
    assert summary["clamped"]["evaluated"] > 0
    assert {name.split("/")[0] for name in read_arrays(path, "networks/")} == {"step1", "step2", "fakes"}


def test_other_settings_in_the_same_run_directory_are_refused(
    quick_run: tuple[Path, UnfoldingResult], quick_analysis: WriteAnalysis
) -> None:
    changed = quick_analysis(lambda document: document["omnifold"].update(learning_rate=0.02))
    with pytest.raises(RunError, match="made with other inputs, settings or seeds"):
        unfold(changed, quick_run[0])


def test_titles_can_change_without_training_again(
    tmp_path: Path, quick_run: tuple[Path, UnfoldingResult], quick_analysis: WriteAnalysis
) -> None:
    run = tmp_path / "run"
    shutil.copytree(quick_run[0], run)
    result = unfold(quick_analysis(lambda document: document.update(title="A better title")), run)
    assert result.metadata["title"] == "A better title"
    assert collect(run).metadata["title"] == "A better title"


def test_a_run_directory_in_use_is_refused(
    quick_run: tuple[Path, UnfoldingResult], quick_analysis: WriteAnalysis
) -> None:
    with filelock.FileLock(quick_run[0] / "lock"), pytest.raises(RunError, match="another process is at work"):
        unfold(quick_analysis(), quick_run[0])


def test_a_missing_training_is_named(tmp_path: Path, quick_run: tuple[Path, UnfoldingResult]) -> None:
    run = tmp_path / "run"
    shutil.copytree(quick_run[0], run)
    (run / "trainings/muscale_up_0000.safetensors").unlink()
    with pytest.raises(RunError, match="1 of 13 trainings are not finished, the first is muscale_up_0000"):
        collect(run)


def test_a_training_of_another_campaign_is_not_mixed_in(
    tmp_path: Path, quick_run: tuple[Path, UnfoldingResult]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(quick_run[0], run)
    path = run / "trainings/ensemble_0001.safetensors"
    write_arrays(path, read_arrays(path), read_header(path) | {"fingerprint": "of another"})
    with pytest.raises(RunError, match=r"ensemble_0001.* made with other inputs"):
        collect(run)


def test_what_is_no_run_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not a run directory"):
        collect(tmp_path)


def test_a_failing_training_is_reported_and_finished_ones_are_kept(
    tmp_path: Path, quick_analysis: WriteAnalysis
) -> None:
    def diverge(document: dict[str, Any]) -> None:
        document["omnifold"]["learning_rate"] = 1e30
        document["campaign"] = {"ensemble": 1, "data_bootstrap": 0, "mc_bootstrap": 0}
        document["inputs"]["variations"] = []

    with pytest.raises(TrainingError, match="smaller learning_rate"):
        unfold(quick_analysis(diverge), tmp_path / "run")
    assert list((tmp_path / "run/trainings").iterdir()) == []


def test_a_single_training_is_published_without_an_ensemble(tmp_path: Path, quick_analysis: WriteAnalysis) -> None:
    def single(document: dict[str, Any]) -> None:
        document["campaign"] = {"seed": 7, "ensemble": 1, "data_bootstrap": 0, "mc_bootstrap": 0}
        document["inputs"]["variations"] = []
        document["luminosity"] = {"value": 9.3, "unit": "fb-1", "relative_uncertainty": 0.02}

    metadata = unfold(quick_analysis(single), tmp_path / "run").metadata
    assert metadata["weights"]["central_value"] == {"rule": "single"}
    assert [c["kind"] for c in metadata["components"]] == ["event_sampling", "scale"]


def _start(analysis: Path, run: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "omnifold_pub.cli", "unfold", str(analysis), "--run", str(run)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def _alive(session: int) -> list[int]:
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


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="counts processes through /proc")
def test_killed_at_any_moment_it_ends_with_the_same_bits(
    tmp_path: Path, quick_run: tuple[Path, UnfoldingResult], quick_analysis: WriteAnalysis
) -> None:
    """SIGKILL of the main process, at moments all over the campaign, until the trainings are done."""
    analysis, run = quick_analysis(), tmp_path / "run"
    kills = 0
    for delay in (2.0, 3.5, 5.0, 4.2, 3.1, 6.3):
        process = _start(analysis, run)
        try:
            process.wait(timeout=delay)
            break
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
        deadline = time.monotonic() + 20
        while _alive(process.pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert _alive(process.pid) == [], "workers outlived the process that started them"
    assert kills > 0
    resumed = unfold(analysis, run)
    _, undisturbed = quick_run
    assert np.array_equal(resumed.nominal, undisturbed.nominal)
    for name, family in undisturbed.families.items():
        assert np.array_equal(resumed.families[name], family), name
    assert [path.name for path in (run / "trainings").glob(".*")] == []
