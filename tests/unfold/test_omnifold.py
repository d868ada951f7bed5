"""The engine against a case whose answer is known: one dimension, Gaussian, exact by expectation-maximisation."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm

from omnifold_pub.errors import TrainingError
from omnifold_pub.unfold.config import OmniFoldConfig
from omnifold_pub.unfold.omnifold import OmniFoldInputs, OmniFoldResult, run_omnifold

SMEARING = 0.5
EFFICIENCY = 0.9
TRUTH_MEAN, TRUTH_WIDTH = 0.2, 0.8
ITERATIONS = 8
EVENTS = 60_000

GAUSSIAN = OmniFoldConfig(
    iterations=ITERATIONS,
    hidden=(32, 32),
    activation="silu",
    batch_size=2048,
    learning_rate=3e-3,
    max_epochs=15,
    patience=3,
)
QUICK = dataclasses.replace(GAUSSIAN, iterations=2, hidden=(16,), max_epochs=4)


def column(values: NDArray[np.float64]) -> NDArray[np.float32]:
    return values.astype(np.float32)[:, np.newaxis]


def gaussian_inputs(events: int, seed: int, *, fakes: float = 0.0) -> tuple[OmniFoldInputs, NDArray[np.float64]]:
    """Simulation N(0, 1), data N(0.2, 0.8), smearing, flat efficiency; a fraction of fakes around 2 in both."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(0, 1, events)
    data_truth = rng.normal(TRUTH_MEAN, TRUTH_WIDTH, events)
    data = (data_truth + rng.normal(0, SMEARING, events))[rng.random(events) < EFFICIENCY]
    n_fakes = int(fakes * events)
    simulated = np.concatenate([truth + rng.normal(0, SMEARING, events), rng.normal(2, 0.3, n_fakes)])
    data = np.concatenate([data, rng.normal(2, 0.3, n_fakes)])
    pass_reco = np.concatenate([rng.random(events) < EFFICIENCY, np.ones(n_fakes, dtype=bool)])
    pass_truth = np.arange(events + n_fakes) < events
    inputs = OmniFoldInputs(
        truth=column(np.concatenate([truth, np.zeros(n_fakes)])),
        reco=column(simulated),
        pass_truth=pass_truth,
        pass_reco=pass_reco,
        truth_weight=np.ones(events + n_fakes),
        reco_weight=np.ones(events + n_fakes),
        data=column(data),
        data_weight=np.ones(len(data)),
    )
    return inputs, truth


def exact_result(misses: str) -> tuple[float, float]:
    """Mean and width after the iterations, by the same update on a grid of probabilities, without any network."""
    x = np.linspace(-6, 6, 1201)
    response = norm.pdf(x[:, np.newaxis], x, SMEARING) * (x[1] - x[0])  # [reco, truth], of events that pass reco
    prior = norm.pdf(x)
    data = response @ norm.pdf(x, TRUTH_MEAN, TRUTH_WIDTH)
    push = np.ones_like(x)
    for _ in range(ITERATIONS):
        simulated = response @ (push * prior)
        ratio = data / simulated * (simulated.sum() / data.sum())
        pull = push * (response.T @ ratio)
        push = {
            "extrapolate": pull,
            "carry": EFFICIENCY * pull + (1 - EFFICIENCY) * push,
            "set to 1": EFFICIENCY * pull + (1 - EFFICIENCY),
        }[misses]
    density = push * prior / (push * prior).sum()
    mean = float(density @ x)
    return mean, float(np.sqrt(density @ x**2 - mean**2))


def moments(values: NDArray[np.float64], result: OmniFoldResult) -> tuple[float, float]:
    weights = result.push[: len(values)]
    mean = float(np.average(values, weights=weights))
    return mean, float(np.sqrt(np.average((values - mean) ** 2, weights=weights)))


@pytest.mark.parametrize("misses", ["extrapolate", pytest.param("carry", marks=pytest.mark.slow)])
def test_the_gaussian_case_ends_at_the_truth(misses: Any) -> None:
    inputs, truth = gaussian_inputs(EVENTS, seed=11)
    mean, width = moments(truth, run_omnifold(inputs, dataclasses.replace(GAUSSIAN, misses=misses), seed=1))
    assert exact_result(misses) == pytest.approx((0.2, 0.8), abs=1e-3)
    assert mean == pytest.approx(0.20, abs=0.015)
    assert width == pytest.approx(0.80, abs=0.02)


def test_misses_set_to_one_would_end_outside_the_tolerance() -> None:
    mean, width = exact_result("set to 1")
    assert (mean, width) == pytest.approx((0.174, 0.839), abs=1e-3)
    assert abs(mean - 0.20) > 0.015
    assert abs(width - 0.80) > 0.02


@pytest.mark.slow
def test_fakes_average_leaves_the_truth_where_it_is() -> None:
    inputs, truth = gaussian_inputs(EVENTS, seed=12, fakes=0.05)
    result = run_omnifold(inputs, GAUSSIAN, seed=1)
    assert moments(truth, result) == pytest.approx((0.20, 0.80), abs=0.03)
    matched = inputs.pass_truth & inputs.pass_reco
    fake = ~inputs.pass_truth
    near = matched & (np.abs(inputs.reco[:, 0] - 2) < 0.5)
    assert result.push[fake].mean() == pytest.approx(result.push[near].mean(), rel=0.2)


def test_fakes_keep_a_push_of_one_by_request() -> None:
    inputs, _ = gaussian_inputs(2000, seed=3, fakes=0.1)
    result = run_omnifold(inputs, dataclasses.replace(QUICK, fakes="keep"), seed=1)
    assert (result.push[~inputs.pass_truth] == 1).all()


def test_the_average_of_fakes_keeps_the_scale_of_the_matched_events() -> None:
    inputs, _ = gaussian_inputs(20_000, seed=4, fakes=0.1)
    rng = np.random.default_rng(0)
    reco_weight = rng.gamma(2.0, 0.5, len(inputs.reco_weight))
    result = run_omnifold(dataclasses.replace(inputs, reco_weight=reco_weight), QUICK, seed=1)
    matched = inputs.pass_truth & inputs.pass_reco
    near = matched & (np.abs(inputs.reco[:, 0] - 2) < 0.5)
    expected = np.average(result.push[near], weights=reco_weight[near])
    assert result.push[~inputs.pass_truth].mean() == pytest.approx(expected, rel=0.25)


def test_identical_samples_stay_as_they_are() -> None:
    inputs, _ = gaussian_inputs(20_000, seed=5)
    same = dataclasses.replace(
        inputs, data=inputs.reco[inputs.pass_reco], data_weight=np.full(int(inputs.pass_reco.sum()), 3.0)
    )
    result = run_omnifold(same, QUICK, seed=1)
    assert result.push == pytest.approx(np.ones(len(result.push)), abs=0.15)


def test_same_seed_same_bits_other_seed_other_bits() -> None:
    inputs, _ = gaussian_inputs(2000, seed=6)
    first, second, other = (run_omnifold(inputs, QUICK, seed=seed).push for seed in (1, 1, 2))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_scaling_all_weights_changes_nothing() -> None:
    inputs, _ = gaussian_inputs(2000, seed=7)
    scaled = dataclasses.replace(
        inputs,
        data_weight=inputs.data_weight * 16,
        truth_weight=inputs.truth_weight / 1024,
        reco_weight=inputs.reco_weight / 1024,
    )
    assert run_omnifold(scaled, QUICK, seed=1).push == pytest.approx(run_omnifold(inputs, QUICK, seed=1).push, rel=1e-4)


def test_rows_that_fail_a_selection_are_not_looked_at() -> None:
    inputs, _ = gaussian_inputs(2000, seed=8, fakes=0.05)
    poisoned = dataclasses.replace(
        inputs,
        truth=np.where(inputs.pass_truth[:, np.newaxis], inputs.truth, np.float32(np.nan)),
        reco=np.where(inputs.pass_reco[:, np.newaxis], inputs.reco, np.float32(np.nan)),
    )
    assert np.array_equal(run_omnifold(poisoned, QUICK, seed=1).push, run_omnifold(inputs, QUICK, seed=1).push)


def test_clamped_logits_are_counted() -> None:
    inputs, _ = gaussian_inputs(2000, seed=9)
    result = run_omnifold(inputs, dataclasses.replace(QUICK, max_log_weight=1e-6), seed=1)
    assert 0 < result.clamps.touched <= result.clamps.evaluated
    assert result.push == pytest.approx(np.ones(len(result.push)), abs=1e-5)


def test_on_iteration_sees_each_iteration() -> None:
    inputs, _ = gaussian_inputs(1000, seed=9)
    seen: list[int] = []
    run_omnifold(inputs, QUICK, seed=1, on_iteration=lambda iteration, push: seen.append(iteration))
    assert seen == [1, 2]


def test_a_non_finite_weight_is_an_error() -> None:
    inputs, _ = gaussian_inputs(1000, seed=9)
    weight = inputs.data_weight.copy()
    weight[0] = np.nan
    with pytest.raises(TrainingError, match=r"iteration 1, step 1.* sum to nan"):
        run_omnifold(dataclasses.replace(inputs, data_weight=weight), QUICK, seed=1)


def test_a_diverging_training_is_an_error() -> None:
    inputs, _ = gaussian_inputs(1000, seed=9)
    with pytest.raises(TrainingError, match="smaller learning_rate"):
        run_omnifold(inputs, dataclasses.replace(QUICK, learning_rate=1e30), seed=1)


def test_no_event_in_a_class_is_an_error() -> None:
    inputs, _ = gaussian_inputs(1000, seed=9)
    with pytest.raises(TrainingError, match="no event in the class 'pass_truth and pass_reco'"):
        run_omnifold(dataclasses.replace(inputs, pass_reco=np.zeros(1000, dtype=bool)), QUICK, seed=1)
