"""What each training of a campaign unfolds, held against the branches that it was made of."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from omnifold_pub.errors import RunError, TrainingError
from omnifold_pub.inputs.analysis import read_analysis
from omnifold_pub.inputs.reader import read_inputs
from omnifold_pub.statistics.resampling import poisson_multiplicities
from omnifold_pub.unfold.config import CampaignConfig
from omnifold_pub.unfold.plan import Training, derived_seed, plan_trainings
from omnifold_pub.unfold.samples import TrainingSamples, sample_arrays, samples_for
from omnifold_pub.unfold.store import read_arrays, write_arrays
from omnifold_pub.unfold.training import normalise
from tests.unfold.toys import BACKGROUND, DATA, EVENTS, LUMINOSITY, Toy

SETTINGS = CampaignConfig(seed=3, ensemble=3, data_bootstrap=2, mc_bootstrap=2)


@dataclasses.dataclass(frozen=True)
class Run:
    """Inputs on disk, as a campaign leaves them, and its trainings."""

    inputs: Path
    toy: Toy
    trainings: dict[str, Training]

    def samples(self, name: str, *earlier: Path) -> TrainingSamples:
        return samples_for(self.trainings[name], self.inputs, earlier)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    toy = Toy(tmp_path_factory.mktemp("toy"))
    analysis = read_analysis(toy.write())
    path = toy.folder / "inputs.safetensors"
    header = {"analysis": analysis.document, "observables": ["x", "y"]}
    write_arrays(path, sample_arrays(read_inputs(analysis)), header)
    trainings = {training.name: training for training in plan_trainings(SETTINGS, analysis.document["inputs"])}
    return Run(path, toy, trainings)


def test_the_nominal_training_sees_every_branch_as_it_is(run: Run) -> None:
    samples, mc, data = run.samples("ensemble_0000"), run.toy.arrays["mc"], run.toy.arrays["data"]
    simulation = samples.simulation
    np.testing.assert_array_equal(simulation.truth_weight, mc["w"])
    np.testing.assert_array_equal(simulation.reco_weight, mc["w_r"])
    np.testing.assert_array_equal(simulation.pass_reco, mc["pass_reco"])
    rows = mc["pass_truth"]
    np.testing.assert_array_equal(simulation.particle_level.values[rows, 0], mc["x"][rows])
    np.testing.assert_array_equal(samples.data.reco.values[:, 0], data["reco_x"])
    np.testing.assert_array_equal(samples.data.event_id, data["event_id"])
    assert (samples.data.reco_weight == 1).all()


def test_the_background_comes_in_expected_events_and_normalises(run: Run) -> None:
    samples = run.samples("ensemble_0000")
    assert samples.background is not None
    assert samples.background.reco_weight.sum() == pytest.approx(BACKGROUND)
    n_signal = samples.data.reco_weight.sum() - samples.background.reco_weight.sum()
    assert n_signal == pytest.approx(DATA - BACKGROUND)
    # With nu = 1 the factor is that of the signal in the data alone.
    _, factor = normalise(np.ones(EVENTS), samples.simulation, n_signal=n_signal, luminosity=LUMINOSITY)
    mc = run.toy.arrays["mc"]
    assert factor == pytest.approx((DATA - BACKGROUND) / (LUMINOSITY * mc["w_r"][mc["pass_reco"]].sum()))


def test_a_data_replica_multiplies_the_data_alone(run: Run) -> None:
    nominal, replica = run.samples("ensemble_0000"), run.samples("data_bootstrap_0001")
    multiplicity = poisson_multiplicities(3, 1, run.toy.arrays["data"]["event_id"])
    np.testing.assert_array_equal(replica.data.reco_weight, multiplicity)
    np.testing.assert_array_equal(replica.simulation.reco_weight, nominal.simulation.reco_weight)
    assert replica.background is not None
    assert nominal.background is not None
    np.testing.assert_array_equal(replica.background.reco_weight, nominal.background.reco_weight)


def test_a_simulation_replica_multiplies_both_weights_and_the_backgrounds(run: Run) -> None:
    replica, mc = run.samples("mc_bootstrap_0001"), run.toy.arrays["mc"]
    multiplicity = poisson_multiplicities(4, 1, mc["event_id"])
    np.testing.assert_array_equal(replica.simulation.truth_weight, mc["w"] * multiplicity)
    np.testing.assert_array_equal(replica.simulation.reco_weight, mc["w_r"] * multiplicity)
    assert (replica.data.reco_weight == 1).all()
    background = run.toy.arrays["background"]
    own = poisson_multiplicities(derived_seed(4, "false"), 1, background["event_id"])
    assert replica.background is not None
    np.testing.assert_allclose(replica.background.reco_weight, LUMINOSITY * background["w"] * own)


def test_a_background_with_the_simulation_s_event_ids_fluctuates_by_itself(run: Run) -> None:
    """The same ids are other events in another sample; a common seed would tie their fluctuations together."""
    shared = np.isin(run.toy.arrays["background"]["event_id"], run.toy.arrays["mc"]["event_id"])
    assert shared.all()
    replica = run.samples("mc_bootstrap_0000")
    assert replica.background is not None
    weight = LUMINOSITY * run.toy.arrays["background"]["w"]
    of_background = replica.background.reco_weight / weight
    of_simulation = (
        replica.simulation.truth_weight[: len(of_background)] / run.toy.arrays["mc"]["w"][: len(of_background)]
    )
    assert abs(np.corrcoef(of_background, of_simulation)[0, 1]) < 4 / np.sqrt(len(of_background))


def test_several_backgrounds_are_joined_row_by_row(tmp_path: Path) -> None:
    toy = Toy(tmp_path)
    entry = toy.document["inputs"]["backgrounds"][0]
    toy.document["inputs"]["backgrounds"].append(entry | {"name": "more", "file": "more.root"})
    toy.arrays["more"] = {name: column[:100] for name, column in toy.arrays["background"].items()}
    analysis = read_analysis(toy.write())
    path = tmp_path / "inputs.safetensors"
    write_arrays(path, sample_arrays(read_inputs(analysis)), {"analysis": analysis.document, "observables": ["x", "y"]})
    both = samples_for(Training("ensemble", 0, 1), path, ()).background
    assert both is not None
    np.testing.assert_array_equal(both.event_id, np.arange(600))
    assert both.reco_weight.sum() == pytest.approx(1.2 * BACKGROUND)
    np.testing.assert_array_equal(both.reco.values[500:], both.reco.values[:100])
    replica = Training("mc_bootstrap", 0, 1, resampled="simulation", resampling_seed=4)
    resampled = samples_for(replica, path, ()).background
    assert resampled is not None
    assert (resampled.reco_weight[500:] != resampled.reco_weight[:100]).any()


@pytest.mark.parametrize(("name", "side"), [("scale_0000", "up"), ("scale_0001", "down"), ("alone_0000", "up")])
def test_a_detector_variation_replaces_the_detector_level_alone(run: Run, name: str, side: str) -> None:
    simulation, mc = run.samples(name).simulation, run.toy.arrays["mc"]
    rows = mc["pass_reco"]
    np.testing.assert_array_equal(simulation.reco.values[rows, 0], run.toy.arrays[f"scale_{side}"]["reco_x"][rows])
    np.testing.assert_array_equal(simulation.reco_weight, mc["w_r"])
    np.testing.assert_array_equal(simulation.truth_weight, mc["w"])


@pytest.mark.parametrize(("name", "branch"), [("factor_0000", "sf_up"), ("mixed_0001", "sf_down")])
def test_a_weight_variation_changes_reco_weights_by_exactly_its_factor(run: Run, name: str, branch: str) -> None:
    simulation, mc = run.samples(name).simulation, run.toy.arrays["mc"]
    np.testing.assert_array_equal(simulation.reco_weight, mc["w_r"] * mc[branch])
    np.testing.assert_array_equal(simulation.truth_weight, mc["w"])
    np.testing.assert_array_equal(simulation.reco.values[mc["pass_reco"], 0], mc["reco_x"][mc["pass_reco"]])


def test_a_theory_weight_is_a_prior_at_both_levels(run: Run) -> None:
    simulation, mc = run.samples("pdf_0002").simulation, run.toy.arrays["mc"]
    np.testing.assert_array_equal(simulation.truth_weight, mc["w_theory2"])
    np.testing.assert_allclose(simulation.reco_weight, mc["w_r"] * mc["w_theory2"] / mc["w"], rtol=1e-12)


def test_a_prior_reweights_truth_and_leaves_fakes_alone(run: Run) -> None:
    simulation, mc = run.samples("tilt_0000").simulation, run.toy.arrays["mc"]
    factor = np.where(mc["pass_truth"], np.exp(0.1 * mc["x"].astype(np.float64)), 1)
    np.testing.assert_allclose(simulation.truth_weight, mc["w"] * factor, rtol=1e-12)
    np.testing.assert_allclose(simulation.reco_weight, mc["w_r"] * factor, rtol=1e-12)


def test_a_generator_brings_its_own_events_and_unfolds_the_data(run: Run) -> None:
    samples, other = run.samples("other_0000"), run.toy.arrays["other"]
    np.testing.assert_array_equal(samples.simulation.event_id, other["event_id"])
    np.testing.assert_array_equal(samples.simulation.truth_weight, other["w"])
    assert len(samples.data) == DATA
    assert samples.background is not None


def test_a_hidden_variable_makes_pseudo_data_of_the_simulation(run: Run) -> None:
    samples, mc = run.samples("hidden_0000"), run.toy.arrays["mc"]
    x, z = mc["x"].astype(np.float64), mc["z"].astype(np.float64)
    factor = np.where(mc["pass_truth"], np.exp(0.2 * z) * (1 + 0.1 * x**2), 1)
    rows = mc["pass_reco"]
    np.testing.assert_allclose(samples.data.reco_weight, LUMINOSITY * (factor * mc["w_r"])[rows], rtol=1e-12)
    np.testing.assert_array_equal(samples.data.reco.values[:, 0], mc["reco_x"][rows])
    np.testing.assert_array_equal(samples.simulation.truth_weight, mc["w"])
    assert samples.background is None
    assert samples.data_rows is not None
    np.testing.assert_array_equal(samples.simulation.event_id[samples.data_rows], samples.data.event_id)


def finished(run: Run, folder: Path, name: str, push: Any, factor: float) -> Path:
    path = folder / f"{name}.safetensors"
    summary = {"training": run.trainings[name].to_dict(), "normalisation": {"factor": factor}}
    write_arrays(path, {"weight": np.ones(3, np.float32), "push": push}, {"fingerprint": "", "summary": summary})
    return path


@pytest.mark.parametrize("centre", ["mean", "median"])
def test_a_data_driven_test_unfolds_the_simulation_as_the_nominal_left_it(
    run: Run, tmp_path: Path, centre: Any
) -> None:
    rng = np.random.default_rng(4)
    pushes = rng.gamma(5, 0.2, (3, EVENTS)).astype(np.float32)
    factors = [0.9, 1.5, 1.0]
    names = [f"ensemble_{k:04d}" for k in range(3)]
    earlier = [finished(run, tmp_path, *parts) for parts in zip(names, pushes, factors, strict=True)]
    training = dataclasses.replace(run.trainings["driven_0000"], centre=centre)
    samples = samples_for(training, run.inputs, earlier)
    scaled = pushes.astype(np.float64) * np.array(factors)[:, np.newaxis]
    expected = {"mean": scaled.sum(axis=0) / 3, "median": np.sort(scaled, axis=0)[1]}[centre]
    mc = run.toy.arrays["mc"]
    rows = mc["pass_reco"]
    np.testing.assert_allclose(samples.data.reco_weight, LUMINOSITY * (expected * mc["w_r"])[rows], rtol=1e-12)
    np.testing.assert_array_equal(samples.data.event_id, mc["event_id"][rows])
    np.testing.assert_array_equal(samples.simulation.reco_weight, mc["w_r"])
    assert samples.background is None


def test_a_data_driven_test_needs_exactly_the_trainings_it_comes_after(run: Run, tmp_path: Path) -> None:
    push = np.ones(EVENTS, np.float32)
    paths = [finished(run, tmp_path, f"ensemble_{k:04d}", push, 1.0) for k in range(3)]
    for earlier in ([], paths[:2], paths[::-1], [*paths[:2], finished(run, tmp_path, "tilt_0000", push, 1.0)]):
        with pytest.raises(
            RunError, match=r"driven_0000: expected the finished trainings ensemble_0000, ensemble_0001"
        ):
            run.samples("driven_0000", *earlier)


@pytest.mark.parametrize("push", [np.ones(EVENTS - 1, np.float32), np.ones((EVENTS, 1), np.float32)])
def test_push_weights_of_another_simulation_are_refused(run: Run, tmp_path: Path, push: Any) -> None:
    paths = [finished(run, tmp_path, f"ensemble_{k:04d}", push, 1.0) for k in range(3)]
    with pytest.raises(
        RunError, match=r"ensemble_0000\.saf.*: expected push weights of 2000 simulated events; found \("
    ):
        run.samples("driven_0000", *paths)


def test_what_the_inputs_do_not_hold_is_named(run: Run) -> None:
    with pytest.raises(RunError, match=r"inputs\.safetensors: holds no 'factors/unknown'"):
        samples_for(Training("unknown", 0, 1, varied="prior", source="unknown"), run.inputs, ())


def test_a_replica_without_any_weight_is_a_failed_training(tmp_path: Path) -> None:
    toy = Toy(tmp_path)
    toy.arrays["data"] = {name: column[:1] for name, column in toy.arrays["data"].items()}
    analysis = read_analysis(toy.write(lambda document: document["inputs"].pop("backgrounds")))
    path = tmp_path / "inputs.safetensors"
    write_arrays(path, sample_arrays(read_inputs(analysis)), {"analysis": analysis.document, "observables": ["x", "y"]})
    empty = next(k for k in range(20) if poisson_multiplicities(3, k, np.zeros(1, np.int64))[0] == 0)
    replica = Training("data_bootstrap", empty, 1, resampled="data", resampling_seed=3)
    with pytest.raises(TrainingError, match=rf"data_bootstrap_{empty:04d}: data: the reco weights .* sum to 0"):
        samples_for(replica, path, ())
    assert samples_for(Training("ensemble", 0, 1), path, ()).background is None


def test_a_background_that_a_replica_leaves_out_is_none(tmp_path: Path) -> None:
    toy = Toy(tmp_path)
    toy.arrays["background"] = {name: column[:1] for name, column in toy.arrays["background"].items()}
    analysis = read_analysis(toy.write())
    path = tmp_path / "inputs.safetensors"
    write_arrays(path, sample_arrays(read_inputs(analysis)), {"analysis": analysis.document, "observables": ["x", "y"]})
    seed = derived_seed(4, "false")
    empty = next(k for k in range(20) if poisson_multiplicities(seed, k, np.zeros(1, np.int64))[0] == 0)
    replica = Training("mc_bootstrap", empty, 1, resampled="simulation", resampling_seed=4)
    assert samples_for(replica, path, ()).background is None


def test_every_array_is_that_of_a_systematic_or_a_sample(run: Run) -> None:
    groups = {"/".join(name.split("/")[:2]) for name in read_arrays(run.inputs) if name.count("/") > 0}
    assert {g for g in groups if g.split("/")[0] not in ("simulation", "data")} == {
        "backgrounds/false",
        "variations/alone",
        "variations/factor",
        "variations/scale",
        "variations/mixed",
        "theory_weights/muf",
        "theory_weights/alphas",
        "theory_weights/pdf",
        "factors/tilt",
        "factors/hidden",
        "generators/other",
    }
    factor = {name for name in read_arrays(run.inputs) if name.startswith("variations/factor/")}
    assert factor == {"variations/factor/reco_weight"}
