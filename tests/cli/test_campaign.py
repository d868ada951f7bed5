"""The campaign commands as a user types them; what they show is computed and tested elsewhere."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from omnifold_pub import UnfoldingResult
from omnifold_pub.cli import main
from omnifold_pub.unfold import costs as costs_module
from omnifold_pub.unfold.pilot import Pilot

WriteAnalysis = Callable[..., Path]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["campaign", *map(str, arguments)])


@pytest.fixture
def quick_pilot(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure nothing: an epoch takes a second."""
    pilot = Pilot(once=2.0, iteration=1.0, epoch=1.0, memory=2 * 10**9, share=0.5, device="cpu")
    monkeypatch.setattr(costs_module, "measure_pilot", lambda *_, **__: pilot)


@pytest.mark.usefixtures("quick_pilot")
def test_plan_shows_trainings_and_costs(quick_analysis: WriteAnalysis) -> None:
    outcome = run("plan", quick_analysis(), "--workers", 2, "--price", 0.5)
    assert outcome.exit_code == 0, outcome.output
    text = " ".join(outcome.output.split())
    assert "13 trainings" in text
    assert "trackeff_down 1 detector variation -" in text
    assert "scaled from 50% of the events" in text
    assert "2.00 GB per training, 4.00 GB for 2 at a time" in text
    # One iteration of one epoch: 2 + 1 + 1 = 4 s, 13 times; seven rounds of two.
    assert "time one [s] all, 2 workers core-hours cost of one of all" in text
    assert "at most 4 0:00:28 0.0144 0.00056 0.00722" in text


@pytest.mark.usefixtures("quick_pilot")
def test_plan_as_json(quick_analysis: WriteAnalysis) -> None:
    outcome = run("plan", quick_analysis(), "--workers", 2, "--json")
    found = json.loads(outcome.stdout)
    assert (found["trainings"], found["workers"], found["finished"]) == (13, 2, 0)
    assert found["upper"]["seconds_per_training"] == 4.0
    assert found["memory"] == 4 * 10**9


def test_plan_without_a_pilot_measures_nothing(quick_analysis: WriteAnalysis) -> None:
    outcome = run("plan", quick_analysis(), "--no-pilot")
    assert outcome.exit_code == 0
    assert "Measured on this machine" not in outcome.output


def test_status_of_a_finished_and_of_a_broken_off_run(quick_run: tuple[Path, UnfoldingResult], tmp_path: Path) -> None:
    outcome = run("status", quick_run[0])
    assert outcome.exit_code == 0
    assert "All done" in outcome.output
    half = shutil.copytree(quick_run[0], tmp_path / "half")
    (half / "trainings/pileup_up_0000.safetensors").unlink()
    outcome = run("status", half)
    assert outcome.exit_code == 1
    assert "Nobody is at work; go on with: omnifold-pub campaign run" in outcome.output
    found = json.loads(run("status", half, "--json").stdout)
    assert found["total"]["remaining"] == 1
    assert {family["family"]: family["remaining"] for family in found["families"]}["pileup_up"] == 1


def test_workers_and_scheduler_exclude_each_other(quick_analysis: WriteAnalysis, tmp_path: Path) -> None:
    outcome = run("run", quick_analysis(), "--run", tmp_path / "run", "--workers", 2, "--scheduler", "tcp://host:1")
    assert outcome.exit_code == 2
    assert "--workers is for processes here" in outcome.output
    assert not (tmp_path / "run").exists()
