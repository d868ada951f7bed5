"""What a release says of its trainings, as rows and as a picture."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

from omnifold_pub import UnfoldingResult
from omnifold_pub.plots import style, training_figure
from omnifold_pub.schemas import SCHEMA_VERSION, check
from omnifold_pub.training_summary import Range, background_fits, count_stops, iteration_rows
from omnifold_pub.unfold.diagnostics import fit_diagnostics, weight_diagnostics


def fit(seed: int, epochs: int = 3) -> dict[str, Any]:
    """Return a fit as the engine writes it."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=300)
    losses = [0.69 - 0.01 * epoch for epoch in range(epochs)]
    found = fit_diagnostics(z, rng.random(300), rng.random(300)).to_dict()
    return {"initial_loss": 0.7, "training_losses": losses, "held_out_losses": losses, "best_epoch": epochs, **found}


def training(seed: int, iterations: int = 2, folds: int = 1, *, fakes: bool = False) -> dict[str, Any]:
    """Return the diagnostics of one training."""
    entries = []
    for number in range(1, iterations + 1):
        push = np.random.default_rng(seed + number).lognormal(size=100)
        entries.append(
            {
                "iteration": number,
                "step1": [fit(seed + 10 * number + fold) for fold in range(folds)],
                "step2": [fit(seed + 20 * number + fold, epochs=5) for fold in range(folds)],
                **({"fakes": [fit(seed)]} if fakes else {}),
                "pull": weight_diagnostics(push**1.1, np.ones(100), np.ones(100)).to_dict("pull"),
                "weights": weight_diagnostics(push, np.ones(100), np.ones(100)).to_dict("push"),
                "seconds": 2.5,
            }
        )
    return {
        "training": f"ensemble_{seed:04d}",
        "iterations": entries,
        "stopped": {"iteration": iterations, "rule": "all iterations done"},
    }


DIAGNOSTICS = [training(1, folds=2), training(2, iterations=3)]


def metadata(result: UnfoldingResult, **changed: Any) -> dict[str, Any]:
    filled = {"schema_version": SCHEMA_VERSION, "created": "2026-01-31T12:00:00Z", "events": 500}
    covariance = {"estimator": "x", "centre": "x", "divisor": "x", "correlation": "estimated"}
    components = [{"covariance": covariance, **component} for component in result.metadata["components"]]
    unfolding = {**result.metadata["unfolding"], "diagnostics": DIAGNOSTICS}
    return {**result.metadata, **filled, "components": components, "unfolding": unfolding, **changed}


def test_the_schema_takes_what_the_diagnostics_write(result: UnfoldingResult) -> None:
    assert check(metadata(result), "release") == []


def test_the_schema_is_closed(result: UnfoldingResult) -> None:
    entry = {**DIAGNOSTICS[0], "more": 1}
    unfolding = {**result.metadata["unfolding"], "diagnostics": [entry]}
    (problem,) = check(metadata(result, unfolding=unfolding), "release")
    assert problem.path == "unfolding.diagnostics[0]"


def test_earlier_versions_have_no_diagnostics(result: UnfoldingResult) -> None:
    (problem,) = check(metadata(result, schema_version="1.0.0"), "release")
    assert "diagnostics" in str(problem)


def test_rows_are_over_trainings_and_folds() -> None:
    rows = iteration_rows(DIAGNOSTICS)
    assert [row.iteration for row in rows] == [1, 2, 3]
    assert [row.trainings for row in rows] == [2, 2, 1]
    first = [entry for one in DIAGNOSTICS for entry in one["iterations"] if entry["iteration"] == 1]
    aucs = [one["auc"] for entry in first for one in entry["step1"]]
    assert len(aucs) == 3
    assert rows[0].auc["step 1"] == Range(float(np.mean(aucs)), min(aucs), max(aucs))
    assert list(rows[0].auc) == ["step 1", "step 2"]
    fits = [(label, one) for entry in first for label in ("step1", "step2") for one in entry[label]]
    ratios = [(one["calibration"]["chi2"] / one["calibration"]["ndf"], label) for label, one in fits]
    assert (rows[0].calibration, rows[0].worst_step.replace(" ", "")) == max(ratios)
    pulls = [
        abs(r - 1) / e
        for _, one in fits
        for r, e in zip(one["calibration"]["ratios"], one["calibration"]["errors"], strict=True)
    ]
    assert rows[0].pull == max(pulls)
    assert rows[0].seconds == Range(2.5, 2.5, 2.5)
    sums = [entry["weights"]["sum_of_weights"] for entry in first]
    assert rows[0].sum_of_weights == Range(float(np.mean(sums)), min(sums), max(sums))
    worth = [entry["pull"]["effective_events"] for entry in first]
    assert rows[0].pulled_effective_events == Range(float(np.mean(worth)), min(worth), max(worth))
    assert rows[0].pulled_effective_events != rows[0].effective_events


def test_what_nobody_measured_is_left_out() -> None:
    one = training(4, iterations=1, fakes=True)
    del one["iterations"][0]["seconds"], one["iterations"][0]["pull"]
    calibration = {"edges": [], "ratios": [None], "errors": [None], "chi2": 0, "ndf": 0, "normalisation": 1}
    for step in ("step1", "step2", "fakes"):
        one["iterations"][0][step][0]["calibration"] = calibration
    (row,) = iteration_rows([one])
    assert (row.seconds, row.calibration, row.worst_step, row.pull) == (None, 0.0, "", 0.0)
    assert "fakes" in row.auc
    assert row.pulled_effective_events is row.pulled_max_over_mean is None


def test_the_fits_that_take_out_a_background_are_summarised() -> None:
    assert background_fits(DIAGNOSTICS) is None
    found = background_fits([one | {"background": [fit(number)]} for number, one in enumerate(DIAGNOSTICS)])
    assert found is not None
    aucs = [fit(number)["auc"] for number in (0, 1)]
    assert found.auc == Range(float(np.mean(aucs)), min(aucs), max(aucs))
    assert found.calibration == max(
        fit(number)["calibration"]["chi2"] / fit(number)["calibration"]["ndf"] for number in (0, 1)
    )


def test_stops_are_counted() -> None:
    assert count_stops(DIAGNOSTICS) == ((1, 2, "all iterations done"), (1, 3, "all iterations done"))
    assert count_stops([DIAGNOSTICS[0]] * 5) == ((5, 2, "all iterations done"),)


def test_the_figure_holds_the_curves() -> None:
    with style():
        figure = training_figure(DIAGNOSTICS)
        figure.savefig(io.BytesIO(), format="svg")
    losses = figure.axes[0].get_lines()
    drawn = [line.get_xydata() for line in losses if len(np.asarray(line.get_xdata())) == 3]
    # two folds of two iterations and one of three, on both parts; the second iteration begins behind the first
    assert len(drawn) == 2 * (2 * 2 + 3)
    assert sorted({float(np.asarray(one)[0, 0]) for one in drawn}) == [1, 4, 7]
    changes = [np.asarray(line.get_ydata()) for line in figure.axes[3].get_lines()]
    expected = [[entry["weights"]["push_change"] for entry in one["iterations"]] for one in DIAGNOSTICS]
    for found, wanted in zip(changes, expected, strict=True):
        assert found == pytest.approx(wanted)
