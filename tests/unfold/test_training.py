from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from omnifold_pub.errors import TrainingError
from omnifold_pub.inputs.sample import Columns, Sample
from omnifold_pub.unfold.config import OmniFoldConfig
from omnifold_pub.unfold.plan import Training
from omnifold_pub.unfold.preprocessing import Encoding
from omnifold_pub.unfold.samples import TrainingSamples
from omnifold_pub.unfold.training import Settings, Trained, normalise, train

LUMINOSITY = 50.0
CONFIG = OmniFoldConfig(iterations=2, hidden=(16,), batch_size=2048, learning_rate=3e-3, max_epochs=4)
EVENTS = 8000
SIGMA = 300.0


def make_samples(seed: int = 1) -> tuple[Sample, Sample]:
    """Simulation and data of one distribution; efficiency 0.8, 5 % fakes; the data have twice the simulated rate."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(0, 1, EVENTS)
    pass_truth = rng.random(EVENTS) < 0.95
    pass_reco = rng.random(EVENTS) < 0.8
    reco = truth + rng.normal(0, 0.3, EVENTS)
    weight = rng.gamma(4, 0.25, EVENTS)
    weight *= SIGMA / weight[pass_truth].sum()
    expected = 2 * LUMINOSITY * weight[pass_reco].sum()
    data = rng.choice(reco[pass_reco], p=weight[pass_reco] / weight[pass_reco].sum(), size=int(expected))

    def columns(values: np.ndarray) -> Columns:
        return Columns.from_arrays({"x": values})

    simulation = Sample(
        name="simulation",
        reco=columns(reco),
        pass_reco=pass_reco,
        reco_weight=weight,
        event_id=np.arange(EVENTS, dtype=np.int64),
        truth=columns(truth),
        pass_truth=pass_truth,
        truth_weight=weight,
    )
    size = len(data)
    return simulation, Sample(
        name="data",
        reco=columns(data),
        pass_reco=np.ones(size, dtype=bool),
        reco_weight=np.ones(size),
        event_id=np.arange(size, dtype=np.int64),
        truth=None,
        pass_truth=np.zeros(size, dtype=bool),
        truth_weight=np.zeros(size),
    )


def run(simulation: Sample, data: Sample, background: Sample | None = None, **settings: Any) -> Trained:
    config = dataclasses.replace(CONFIG, **settings)
    return train(
        Training("ensemble", 0, 1),
        TrainingSamples(simulation, data, background),
        Settings(config, (Encoding(),), (), LUMINOSITY),
    )


def published(trained: Trained) -> NDArray[np.float64]:
    return trained.arrays["weight"].astype(np.float64)


def test_published_weights_sum_to_the_cross_section_of_the_data() -> None:
    simulation, data = make_samples()
    weight = published(run(simulation, data))
    assert len(weight) == simulation.pass_truth.sum()
    assert weight.sum() == pytest.approx(2 * SIGMA, rel=0.03)


def test_the_simulated_normalisation_drops_out() -> None:
    simulation, data = make_samples()
    scaled = dataclasses.replace(
        simulation, truth_weight=simulation.truth_weight * 8, reco_weight=simulation.reco_weight * 8
    )
    first, second = (published(run(sample, data)) for sample in (simulation, scaled))
    assert first == pytest.approx(second, rel=1e-4)


def test_normalise_is_the_formula() -> None:
    simulation, _ = make_samples()
    rng = np.random.default_rng(3)
    push = rng.gamma(2, 0.5, EVENTS)
    weight, factor = normalise(push, simulation, n_signal=1234, luminosity=LUMINOSITY)
    folded = sum(
        p * w for p, w, passed in zip(push, simulation.reco_weight, simulation.pass_reco, strict=True) if passed
    )
    assert factor == pytest.approx(1234 / (LUMINOSITY * folded))
    assert weight == pytest.approx((factor * push * simulation.truth_weight)[simulation.pass_truth])


def test_the_background_is_not_part_of_the_cross_section() -> None:
    simulation, data = make_samples()
    events = 500
    weight = np.full(events, 0.1 * len(data) / events)
    background = Sample.of_data(
        "background", Columns.from_arrays({"x": np.linspace(1, 2, events)}), weight, np.arange(events, dtype=np.int64)
    )
    trained = run(simulation, data, background)
    normalisation = trained.summary["normalisation"]
    assert normalisation["n_background"] == pytest.approx(0.1 * len(data))
    assert published(trained).sum() == pytest.approx(2 * SIGMA * 0.9, rel=0.05)
    swamped = dataclasses.replace(background, reco_weight=weight * 20)
    with pytest.raises(TrainingError, match=r"sum"):
        run(simulation, data, swamped)


def test_the_outcome_holds_the_whole_state() -> None:
    simulation, data = make_samples()
    trained = run(simulation, data, keep_iterations=True, folds=2)
    arrays = trained.arrays
    assert {name.split("/")[1] for name in arrays if name.startswith("networks/")} == {"step1", "step2", "fakes"}
    assert trained.summary["preprocessing"]["truth"]["names"] == ["x"]
    assert trained.summary["training"]["network_seed"] == 1
    assert len(trained.summary["diagnostics"]["iterations"]) == CONFIG.iterations
    assert np.array_equal(arrays["iterations/2"], arrays["weight"])
    assert not np.array_equal(arrays["iterations/1"], arrays["weight"])
    assert len(arrays["push"]) == len(arrays["splits/fold"]) == EVENTS
    held_out = np.unpackbits(arrays["splits/step2/fold0"], count=int(simulation.pass_truth.sum()))
    assert held_out.mean() == pytest.approx(CONFIG.held_out, abs=0.02)
    expected = arrays["push"][simulation.pass_truth] * simulation.truth_weight[simulation.pass_truth]
    assert published(trained) == pytest.approx(expected * trained.summary["normalisation"]["factor"], rel=1e-5)
    json.dumps(trained.summary, allow_nan=False)
