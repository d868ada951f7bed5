from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from omnifold_pub.inputs.sample import Columns, Sample
from omnifold_pub.statistics.resampling import poisson_multiplicities
from omnifold_pub.unfold.config import OmniFoldConfig
from omnifold_pub.unfold.plan import Training
from omnifold_pub.unfold.preprocessing import Encoding
from omnifold_pub.unfold.training import Trained, normalise, train

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


def run(training: Training, simulation: Sample, data: Sample) -> Trained:
    return train(training, simulation, data, config=CONFIG, encodings=(Encoding(),), luminosity=LUMINOSITY)


def test_published_weights_sum_to_the_cross_section_of_the_data() -> None:
    simulation, data = make_samples()
    trained = run(Training("ensemble", 0, 1), simulation, data)
    assert len(trained.weight) == simulation.pass_truth.sum()
    assert trained.weight.sum(dtype=np.float64) == pytest.approx(2 * SIGMA, rel=0.03)


def test_the_simulated_normalisation_drops_out() -> None:
    simulation, data = make_samples()
    scaled = dataclasses.replace(
        simulation, truth_weight=simulation.truth_weight * 8, reco_weight=simulation.reco_weight * 8
    )
    first, second = (run(Training("ensemble", 0, 1), sample, data).weight for sample in (simulation, scaled))
    assert first == pytest.approx(second, rel=1e-4)


def test_normalise_is_the_formula() -> None:
    simulation, _ = make_samples()
    rng = np.random.default_rng(3)
    push = rng.gamma(2, 0.5, EVENTS)
    weight, factor = normalise(
        push, simulation, simulation.truth_weight, simulation.reco_weight, n_data=1234, luminosity=LUMINOSITY
    )
    folded = sum(
        p * w for p, w, passed in zip(push, simulation.reco_weight, simulation.pass_reco, strict=True) if passed
    )
    assert factor == pytest.approx(1234 / (LUMINOSITY * folded))
    assert weight == pytest.approx((factor * push * simulation.truth_weight)[simulation.pass_truth])


def test_a_data_replica_uses_its_own_number_of_data() -> None:
    simulation, data = make_samples()
    training = Training("data_bootstrap", 3, 1, resampled="data", resampling_seed=9)
    multiplicity = poisson_multiplicities(9, 3, data.event_id)
    summary = run(training, simulation, data).summary
    assert summary["normalisation"]["n_data"] == multiplicity.sum() != len(data)


def test_a_simulation_replica_carries_its_multiplicities_into_the_published_weights() -> None:
    simulation, data = make_samples()
    training = Training("mc_bootstrap", 2, 1, resampled="simulation", resampling_seed=9)
    weight = run(training, simulation, data).weight
    multiplicity = poisson_multiplicities(9, 2, simulation.event_id)[simulation.pass_truth]
    assert ((weight == 0) == (multiplicity == 0)).all()
    per_unit = weight / simulation.truth_weight[simulation.pass_truth]
    assert per_unit[multiplicity == 2].mean() == pytest.approx(2 * per_unit[multiplicity == 1].mean(), rel=0.1)
    assert weight.sum(dtype=np.float64) == pytest.approx(2 * SIGMA, rel=0.1)


def test_networks_and_preprocessing_are_part_of_the_outcome() -> None:
    simulation, data = make_samples()
    trained = run(Training("ensemble", 0, 1), simulation, data)
    assert {name.split("/")[0] for name in trained.networks} == {"step1", "step2", "fakes"}
    assert trained.summary["preprocessing"]["truth"]["names"] == ["x"]
    assert [fit["epochs"] > 0 for fit in trained.summary["fits"]["step1"]] == [True, True]
