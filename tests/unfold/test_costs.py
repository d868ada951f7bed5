"""What a campaign costs, before it is run."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from omnifold_pub import UnfoldingResult
from omnifold_pub.errors import RunError, TrainingError
from omnifold_pub.inputs.analysis import read_analysis
from omnifold_pub.inputs.reader import read_inputs
from omnifold_pub.unfold.config import OmniFoldConfig
from omnifold_pub.unfold.costs import Costs, PlannedFamily, plan_costs
from omnifold_pub.unfold.pilot import Pilot, measure_pilot
from omnifold_pub.unfold.run import Campaign
from omnifold_pub.unfold.store import read_header

WriteAnalysis = Callable[..., Path]
PILOT = Pilot(once=1.0, iteration=2.0, epoch=0.5, memory=10**9, share=1.0, device="cpu")


def test_families_are_those_of_the_campaign(quick_analysis: WriteAnalysis) -> None:
    costs = plan_costs(quick_analysis(), pilot=False, workers=3)
    assert {family.family: family.trainings for family in costs.families} == {
        "ensemble": 2,
        "data_bootstrap": 4,
        "mc_bootstrap": 4,
        "trackeff_down": 1,
        "muscale_up": 1,
        "pileup_up": 1,
    }
    assert costs.trainings == 13
    assert costs.families[1].purposes == ("bootstrap of the data",)
    assert (costs.pilot, costs.upper, costs.expected) == (None, None, None)
    listed = costs.to_dict()["list"]
    assert [one["name"] for one in listed][:3] == ["ensemble_0000", "ensemble_0001", "data_bootstrap_0000"]
    assert listed[2]["purpose"] == "bootstrap of the data"
    assert listed[2]["network_seed"] == listed[0]["network_seed"] != listed[1]["network_seed"]


def test_core_hours_clock_and_price() -> None:
    costs = Costs(
        (PlannedFamily("ensemble", "nominal", 7, ("nominal",), ()),), workers=3, pilot=PILOT, upper=3600.0, price=2.0
    )
    assert costs.core_hours(3600) == 7
    assert costs.hours(3600) == 3  # three rounds: 3 + 3 + 1
    found = costs.to_dict()
    upper = {"seconds_per_training": 3600.0, "price_per_training": 2.0, "core_hours": 7.0, "hours": 3.0, "price": 14.0}
    assert found["upper"] == upper
    assert found["memory"] == 3 * 10**9
    assert found["expected"] is None


def test_trees_count_as_rounds() -> None:
    assert PILOT.seconds(OmniFoldConfig(iterations=2, classifier="bdt", trees=10)) == 1 + 2 * (2 + 10 * 0.5)


def test_finished_trainings_tell_what_the_others_take(
    quick_analysis: WriteAnalysis, quick_run: tuple[Path, UnfoldingResult], tmp_path: Path
) -> None:
    run, _ = quick_run
    costs = plan_costs(quick_analysis(), run=run, pilot=False)
    seconds = [read_header(path)["run"]["seconds"] for path in run.glob("trainings/*.safetensors")]
    assert costs.finished == len(seconds) == 13
    assert costs.expected == pytest.approx(sum(seconds) / 13)
    with pytest.raises(RunError, match="no finished trainings of this analysis"):
        plan_costs(quick_analysis(), run=tmp_path, pilot=False)


def test_the_pilot_measures_short_trainings_within_its_budget(quick_analysis: WriteAnalysis, tmp_path: Path) -> None:
    campaign = Campaign.of(read_analysis(quick_analysis()), tmp_path)
    start = time.process_time()
    pilot = measure_pilot(campaign, read_inputs(campaign.analysis), device="cpu", budget=5.0)
    assert time.process_time() - start < 60  # the trainings are in a process of their own
    assert pilot.device == "cpu"
    assert 0 < pilot.share <= 1
    assert pilot.memory > 50e6
    assert pilot.epoch > 0
    assert pilot.iteration >= 0
    assert pilot.once >= 0
    assert pilot.seconds(campaign.config) < 3600
    assert not list(tmp_path.iterdir())


def test_a_pilot_that_fails_says_why(quick_analysis: WriteAnalysis, tmp_path: Path) -> None:
    def no_such_module(document: dict[str, Any]) -> None:
        document["omnifold"] |= {"classifier": "module", "module": "no_such_module:build"}

    campaign = Campaign.of(read_analysis(quick_analysis(no_such_module)), tmp_path)
    with pytest.raises(TrainingError, match="no_such_module"):
        measure_pilot(campaign, read_inputs(campaign.analysis), device="cpu", budget=1.0)
