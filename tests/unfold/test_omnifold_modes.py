"""The engine's options, each against what it must not change, or must."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from omnifold_pub.errors import TrainingError
from omnifold_pub.unfold import reweighting
from omnifold_pub.unfold.classifiers import FitSummary
from omnifold_pub.unfold.config import OmniFoldConfig
from omnifold_pub.unfold.omnifold import OmniFoldInputs, OmniFoldStart, run_omnifold

EVENTS = 30_000
CONFIG = OmniFoldConfig(iterations=5, hidden=(32, 32), batch_size=1024, learning_rate=3e-3, max_epochs=10, patience=3)
QUICK = dataclasses.replace(CONFIG, iterations=2, hidden=(16,), max_epochs=3)


def column(values: NDArray[np.float64]) -> NDArray[np.float32]:
    return values.astype(np.float32)[:, np.newaxis]


def gaussian_inputs(events: int = EVENTS, seed: int = 1) -> OmniFoldInputs:
    """Simulation N(0, 1), data N(0.3, 0.9), smearing 0.3, efficiency 0.9, no fakes."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(0, 1, events)
    data = (rng.normal(0.3, 0.9, events) + rng.normal(0, 0.3, events))[rng.random(events) < 0.9]
    return OmniFoldInputs(
        truth=column(truth),
        reco=column(truth + rng.normal(0, 0.3, events)),
        pass_truth=np.ones(events, dtype=bool),
        pass_reco=rng.random(events) < 0.9,
        truth_weight=np.ones(events),
        reco_weight=np.ones(events),
        data=column(data),
        data_weight=np.ones(len(data)),
    )


def moments(inputs: OmniFoldInputs, push: NDArray[np.float64]) -> tuple[float, float]:
    weight = push * inputs.truth_weight
    x = inputs.truth[:, 0].astype(np.float64)
    mean = float(weight @ x / weight.sum())
    return mean, float(np.sqrt(weight @ (x - mean) ** 2 / weight.sum()))


def unfolded(inputs: OmniFoldInputs, **settings: Any) -> tuple[float, float]:
    return moments(inputs, run_omnifold(inputs, dataclasses.replace(CONFIG, **settings), seed=1).push)


@pytest.mark.parametrize(
    "settings",
    [
        {"step2_reference": "push"},
        {"warm_start": False, "splits": "fresh"},
        {"schedule": "cosine", "activation": "silu"},
        {"folds": 2},
        pytest.param({"classifier": "bdt", "trees": 60, "leaves": 15}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_every_way_ends_at_the_truth(settings: dict[str, Any]) -> None:
    inputs = gaussian_inputs()
    assert moments(inputs, np.ones(EVENTS)) == pytest.approx((0, 1), abs=0.02)
    assert unfolded(inputs, **settings) == pytest.approx((0.3, 0.9), abs=0.04)


def with_signed_weights(inputs: OmniFoldInputs, seed: int) -> OmniFoldInputs:
    """Give every event of the simulation +-1, one in five negative: the same density, at a scale of 0.6."""
    sign = np.where(np.random.default_rng(seed).random(len(inputs.truth)) < 0.2, -1.0, 1.0)
    return dataclasses.replace(inputs, truth_weight=sign, reco_weight=sign)


def test_signed_weights_of_the_simulation() -> None:
    inputs = with_signed_weights(gaussian_inputs(), seed=5)
    assert unfolded(inputs) == pytest.approx((0.3, 0.9), abs=0.06)


@pytest.mark.parametrize("background", ["negative_weights", "neural_resampling"])
def test_background_is_subtracted(background: Any) -> None:
    inputs = gaussian_inputs()
    rng = np.random.default_rng(7)
    real, simulated = rng.normal(-1.5, 0.4, 6000), rng.normal(-1.5, 0.4, 30_000)
    data = np.concatenate([inputs.data, column(real)])
    contaminated = dataclasses.replace(inputs, data=data, data_weight=np.ones(len(data)))
    mean, _ = unfolded(contaminated)
    assert mean < 0.1  # without subtraction it is far from the truth
    subtracted = dataclasses.replace(
        contaminated, background=column(simulated), background_weight=np.full(len(simulated), 0.2)
    )
    assert unfolded(subtracted, background=background) == pytest.approx((0.3, 0.9), abs=0.05)


def test_resampled_weights_are_nowhere_negative_and_keep_the_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[NDArray[np.float64]] = []
    fit = reweighting.Reweighter.fit

    def spy(self: reweighting.Reweighter, w1: NDArray[np.float64], w0: NDArray[np.float64]) -> Any:
        if self.name == "step 1":
            seen.append(w1)
        return fit(self, w1, w0)

    monkeypatch.setattr(reweighting.Reweighter, "fit", spy)
    inputs = gaussian_inputs(4000)
    background = dataclasses.replace(
        inputs, background=column(np.linspace(-2, -1, 500)), background_weight=np.full(500, 0.5)
    )
    run_omnifold(background, dataclasses.replace(QUICK, background="neural_resampling"), seed=1)
    assert (seen[0] >= 0).all()
    assert seen[0].sum() == pytest.approx(len(inputs.data) - 250, rel=0.1)


class Spy:
    """A classifier that remembers which rows it trained on, by their only feature, and signs the odds that it gives."""

    def __init__(self, logit: float) -> None:
        self.trained: set[float] = set()
        self.logit = logit
        self.parameters: dict[str, NDArray[Any]] = {}

    def fit(
        self,
        x: NDArray[np.float32],
        w1: NDArray[np.float64],
        w0: NDArray[np.float64],
        *,
        training: NDArray[np.bool_],
        held_out: NDArray[np.bool_],
        where: str,
    ) -> FitSummary:
        self.trained |= set(x[training | held_out, 0].tolist())
        assert not (training & held_out).any()
        return FitSummary(1, 1, 0.7, 0.7)

    def logits(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.full(len(x), self.logit)

    def restart(self) -> None:
        self.trained.clear()


def test_with_folds_no_weight_comes_from_a_network_that_trained_on_the_event(monkeypatch: pytest.MonkeyPatch) -> None:
    spies: list[Spy] = []

    def build(*_: Any, **__: Any) -> Spy:
        spies.append(Spy(0.01 * len(spies)))
        return spies[-1]

    monkeypatch.setattr(reweighting, "build_classifier", build)
    inputs = gaussian_inputs(2000)
    result = run_omnifold(inputs, dataclasses.replace(QUICK, folds=3), seed=1)
    assert len(spies) == 6  # step 1 and step 2 of three chains
    signatures = np.array([spy.logit for spy in spies])
    author = np.abs(np.log(result.push)[:, np.newaxis] - signatures).argmin(axis=1)
    assert set(author.tolist()) == {1, 3, 5}
    for truth, reco, number in zip(inputs.truth[:, 0], inputs.reco[:, 0], author, strict=True):
        assert float(truth) not in spies[number].trained  # step 2
        assert float(reco) not in spies[number - 1].trained  # and step 1, whose pull it learned
    assert np.array_equal(np.unique(result.splits["fold"]), [0, 1, 2])


def test_nothing_in_a_fold_s_own_networks_knows_of_its_events() -> None:
    """Whatever the weights of its events are, in all iterations: the parameters are the same bits."""
    inputs = gaussian_inputs(3000)
    config = dataclasses.replace(QUICK, folds=3, fakes="keep")
    first = run_omnifold(inputs, config, seed=1)
    own = first.splits["fold"] == 1
    changed = np.where(own, 7.0, 1.0)
    other = run_omnifold(dataclasses.replace(inputs, truth_weight=changed, reco_weight=changed), config, seed=1)
    for step in ("step1", "step2"):
        for name, parameter in first.networks[step].items():
            same = np.array_equal(parameter, other.networks[step][name])
            assert same == name.startswith("fold1/"), name
    assert np.array_equal(first.push[own], other.push[own])


def test_in_a_closure_test_a_fold_s_networks_do_not_know_its_events_as_data_either() -> None:
    """The data are the simulation's own events: those of a fold may weigh what they like, as both."""
    inputs = gaussian_inputs(3000)
    config = dataclasses.replace(QUICK, folds=3)
    rows = np.flatnonzero(inputs.pass_reco)
    own = run_omnifold(inputs, config, seed=1).splits["fold"] == 1

    def pushed(factor: float) -> NDArray[np.float64]:
        weight = np.where(own, factor, 1.0 + inputs.truth[:, 0] ** 2)[rows]
        itself = dataclasses.replace(inputs, data=inputs.reco[rows], data_weight=weight, data_rows=rows)
        return run_omnifold(itself, config, seed=1).push

    one, other = pushed(1.0), pushed(9.0)
    assert np.array_equal(one[own], other[own])
    assert not np.array_equal(one[~own], other[~own])


@pytest.mark.parametrize("settings", [{}, {"misses": "carry"}, {"background": "neural_resampling"}], ids=str)
def test_folds_do_not_feed_each_other(settings: dict[str, Any]) -> None:
    """Were each network of a common chain only to leave its fold out, two folds would drive each other apart."""
    inputs = with_signed_weights(gaussian_inputs(10_000), seed=5)
    background = column(np.random.default_rng(7).normal(-1.5, 0.4, 2000))
    inputs = dataclasses.replace(inputs, background=background, background_weight=np.full(2000, 0.05))
    config = dataclasses.replace(CONFIG, iterations=8, folds=2, **settings)
    records = run_omnifold(inputs, config, seed=3).diagnostics["iterations"]
    changes = [record["weights"]["push_change"] for record in records]
    assert max(changes[4:]) < 0.25 * changes[0]


def test_a_start_from_elsewhere_and_folds_exclude_each_other() -> None:
    inputs = gaussian_inputs(1000)
    start = OmniFoldStart(np.ones(1000), {})
    with pytest.raises(TrainingError, match="a start from other networks: found folds 2; expected 1"):
        run_omnifold(inputs, dataclasses.replace(QUICK, folds=2), seed=1, start=start)


def test_without_folds_the_held_out_rows_alone_are_not_trained_on() -> None:
    inputs = gaussian_inputs(2000)
    result = run_omnifold(inputs, QUICK, seed=1)
    assert result.splits["step2"].mean() == pytest.approx(QUICK.held_out, abs=0.04)
    assert "fold" not in result.splits


def test_weights_of_all_iterations_are_kept_on_request() -> None:
    inputs = gaussian_inputs(2000)
    pushes: list[NDArray[np.float64]] = []
    kept = run_omnifold(
        inputs,
        dataclasses.replace(QUICK, keep_iterations=True),
        seed=1,
        on_iteration=lambda _, push: pushes.append(push),
    )
    assert len(kept.pushes) == QUICK.iterations
    for expected, found in zip(pushes, kept.pushes, strict=True):
        assert np.array_equal(expected, found)
    assert np.array_equal(kept.pushes[-1], kept.push)
    assert run_omnifold(inputs, QUICK, seed=1).pushes == ()


def test_it_stops_when_the_push_changes_little_and_says_so() -> None:
    inputs = gaussian_inputs(4000)
    result = run_omnifold(inputs, dataclasses.replace(CONFIG, iterations=20, stop_below=0.1), seed=1)
    records = result.diagnostics["iterations"]
    changes = [record["weights"]["push_change"] for record in records]
    assert len(records) < 20
    assert changes[-1] < 0.1
    assert all(change >= 0.1 for change in changes[:-1])
    assert result.diagnostics["stopped"] == {"iteration": len(records), "rule": "push change below 0.1"}


def test_diagnostics_say_what_each_fit_did() -> None:
    result = run_omnifold(gaussian_inputs(4000), QUICK, seed=1)
    assert [record["iteration"] for record in result.diagnostics["iterations"]] == [1, 2]
    for record in result.diagnostics["iterations"]:
        for step in ("step1", "step2"):
            (fit,) = record[step]
            assert 0.4 < fit["auc"] < 0.7
            assert len(fit["held_out_losses"]) == len(fit["training_losses"]) >= fit["best_epoch"]
            assert fit["calibration"]["ndf"] > 0
        assert record["weights"]["effective_events"] < 4000
        assert record["pull"]["effective_events"] < 3700  # of those that pass reco
        assert record["pull"]["sum_of_weights"] == pytest.approx(record["weights"]["sum_of_weights"] * 0.9, rel=0.05)
    first, second = (record["pull"]["pull_change"] for record in result.diagnostics["iterations"])
    assert first > 2 * second  # the data are far at first, and near after one iteration


def test_the_clamp_counts_the_weight_that_it_touches() -> None:
    clamps = reweighting.Clamps()
    reweighter = reweighting.Reweighter(
        "step 2",
        np.zeros((3, 1), dtype=np.float32),
        trained=np.ones(3, dtype=bool),
        config=QUICK,
        rng=np.random.default_rng(1),
        device="cpu",
        clamps=clamps,
    )
    odds = reweighter.odds(np.array([-11.0, 0.5, 12.0]), np.array([1.0, 2.0, -3.0]))
    assert odds == pytest.approx(np.exp([-10, 0.5, 10]))
    assert clamps == reweighting.Clamps(touched=2, evaluated=3, weight_touched=4, weight_evaluated=6)


def test_clamps_of_a_run_count_the_weights_of_both_steps() -> None:
    inputs = gaussian_inputs(2000)
    clamps = run_omnifold(inputs, dataclasses.replace(QUICK, iterations=1), seed=1).clamps
    assert clamps.weight_evaluated == pytest.approx(inputs.pass_reco.sum() + len(inputs.truth))
    assert clamps.evaluated == inputs.pass_reco.sum() + len(inputs.truth)
    assert clamps.touched == clamps.weight_touched == 0


def test_a_run_goes_on_from_push_and_networks_of_another() -> None:
    inputs = gaussian_inputs()
    first = run_omnifold(inputs, CONFIG, seed=1)
    start = OmniFoldStart(first.push, first.networks)
    one = dataclasses.replace(CONFIG, iterations=1, max_epochs=1, learning_rate=1e-5)
    assert moments(inputs, run_omnifold(inputs, one, seed=2, start=start).push) == pytest.approx((0.3, 0.9), abs=0.04)
    cold = moments(inputs, run_omnifold(inputs, one, seed=2).push)
    assert abs(cold[0] - 0.3) > 0.04
    other_shape = dataclasses.replace(one, hidden=(8,))
    with pytest.raises(TrainingError, match="parameters of another network"):
        run_omnifold(inputs, other_shape, seed=2, start=start)
