"""p-values reject a true prediction as often as they say; and the script that measures it runs."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

QUICK = [
    ("bootstrap alone", 5, 25),
    ("+ 0.1 analytic, diagonal", 5, 10),
    ("ensemble of 10 + bootstrap + 1 analytic", 5, 25),
]
GRID = ((5, 25), (5, 100), (14, 25), (14, 100), (20, 25), (20, 100))
FEW = ("+ 0.1 analytic, diagonal", "+ 1 analytic, diagonal", "+ 0.1 analytic, oblique", "two bootstraps + 0.3 analytic")


@pytest.fixture(scope="module")
def script(project: Path) -> dict[str, Any]:
    """What the script defines."""
    return runpy.run_path(str(project / "scripts/calibrate_p_values.py"), run_name="calibrate_p_values")


def deviation(script: dict[str, Any], mixture: str, cell: tuple[int, int], experiments: int) -> float:
    """Return how far the rejection rate is from 5 %, in binomial errors."""
    sources = script["MIXTURES"][mixture](*cell)
    rate = script["rejection_rate"](sources, experiments, seed=3, toys=99)
    return float((rate.value - script["LEVEL"]) / rate.error)


@pytest.mark.parametrize(("mixture", "bins", "replicas"), QUICK)
def test_a_true_prediction_is_rejected_as_often_as_it_should_be(
    script: dict[str, Any], mixture: str, bins: int, replicas: int
) -> None:
    assert abs(deviation(script, mixture, (bins, replicas), 1500)) < 4


def test_a_plain_chi2_would_fail_this_test(script: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The same replicas, taken for the truth."""
    test = script["chi2_test"]

    def naive(residual: Any, parts: Any, **_: Any) -> Any:
        return test(residual, [], sum(part.covariance for part in parts))

    monkeypatch.setitem(script["p_values"].__globals__, "chi2_test", naive)
    assert deviation(script, "bootstrap alone", (5, 25), 1500) > 4


@pytest.mark.slow
@pytest.mark.parametrize("cell", GRID, ids=str)
def test_the_whole_grid_is_calibrated(script: dict[str, Any], cell: tuple[int, int]) -> None:
    """Four errors, and 1 % for the approximation, which is not exact where the replicas are hardly more than bins."""
    found = {mixture: deviation(script, mixture, cell, 600) for mixture in script["MIXTURES"]}
    allowed = 4 + 0.01 / script["Rate"](0, 600).error
    assert {name: value for name, value in found.items() if abs(value) > allowed} == {}
    assert abs(sum(found.values())) / len(found) ** 0.5 < 4  # nor are all of them off to the same side


@pytest.mark.slow
@pytest.mark.parametrize("mixture", FEW)
def test_fewer_replicas_than_bins_are_calibrated_beside_an_analytic_part(script: dict[str, Any], mixture: str) -> None:
    assert abs(deviation(script, mixture, (14, 10), 1500)) < 4


def test_the_script_prints_a_table(project: Path) -> None:
    command = [sys.executable, "scripts/calibrate_p_values.py", "--experiments", "4", "--bins", "3", "6"]
    done = subprocess.run(
        [*command, "--replicas", "5"], cwd=project, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stderr == ""
    rows = [line for line in done.stdout.splitlines() if line.startswith("|")]
    assert rows[0] == "| Rejected at 5 % | p = 3, N = 5 | p = 6, N = 5 |"
    assert re.fullmatch(r"\| bootstrap alone \| \d+\.\d \| no p-value \|", rows[2])
    assert len(rows) == 14
    assert "4 pseudo-experiments in each cell: the binomial error of 5 % is 10.90 %" in done.stdout
