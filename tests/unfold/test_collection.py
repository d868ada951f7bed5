"""From finished trainings to a release: every kind of systematic at once, its weights known beforehand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from omnifold_pub import open_release, publish, validate
from omnifold_pub.errors import RunError
from omnifold_pub.inputs.analysis import read_analysis
from omnifold_pub.inputs.reader import read_inputs
from omnifold_pub.unfold import store
from omnifold_pub.unfold.campaign import unfold
from omnifold_pub.unfold.collection import collect, iteration_weights
from omnifold_pub.unfold.components import closure_entry
from omnifold_pub.unfold.plan import Training
from omnifold_pub.unfold.result import UnfoldingResult
from omnifold_pub.unfold.run import Campaign
from omnifold_pub.unfold.samples import sample_arrays, samples_for
from omnifold_pub.unfold.training import normalise
from tests.unfold.toys import BACKGROUND, DATA, LUMINOSITY, Document, Toy, make_document

Push = Callable[[Training, NDArray[np.float64]], NDArray[np.float64]]


def tilt(training: Training, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Stand in for a network: a smooth push, other for each training."""
    slope = 0.1 + 0.02 * training.member + 0.01 * training.repetition + 0.03 * len(training.family)
    push: NDArray[np.float64] = np.exp(slope * x)
    return push


def finish(path: Path, run: Path, push: Push) -> Campaign:
    """Write what a campaign writes, with a push that is known in the place of one that is learned."""
    campaign = Campaign.of(read_analysis(path), run)
    campaign.trainings_folder.mkdir(parents=True)
    inputs = read_inputs(campaign.analysis)
    arrays = sample_arrays(inputs)
    header = {
        "analysis": campaign.analysis.document,
        "observables": [observable.name for observable in campaign.analysis.observables],
        "provenance": inputs.provenance,
    }
    store.write_arrays(campaign.inputs_path, arrays, header)
    fingerprint = campaign.fingerprint(store.digest(arrays))
    by_name = {training.name: training for training in campaign.trainings}
    for training in campaign.trainings:
        earlier = [campaign.training_path(by_name[name]) for name in training.after]
        samples = samples_for(training, campaign.inputs_path, earlier)
        background = 0 if samples.background is None else samples.background.reco_weight.sum()
        nu = push(training, samples.simulation.particle_level.values[:, 0].astype(np.float64)).astype(np.float32)
        weight, factor = normalise(
            nu.astype(np.float64),
            samples.simulation,
            n_signal=float(samples.data.reco_weight.sum() - background),
            luminosity=campaign.analysis.luminosity,
        )
        summary = {
            "training": training.to_dict(),
            "device": "cpu",
            "normalisation": {"factor": factor},
            "clamped": {"touched": 1, "evaluated": 10, "weight_touched": 0.5, "weight_evaluated": 10.0},
        }
        content = {"weight": weight.astype(np.float32), "push": nu}
        store.write_arrays(campaign.training_path(training), content, {"fingerprint": fingerprint, "summary": summary})
    return campaign


@dataclass(frozen=True)
class Finished:
    toy: Toy
    campaign: Campaign
    result: UnfoldingResult

    def weight(self, name: str) -> NDArray[np.float64]:
        path = self.campaign.trainings_folder / f"{name}.safetensors"
        return store.read_arrays(path, "weight")[""].astype(np.float64)

    def family(self, name: str) -> NDArray[np.float64]:
        return array(self.result.families[name]).astype(np.float64)

    def component(self, name: str) -> Document:
        (entry,) = (entry for entry in self.result.metadata["components"] if entry["name"] == name)
        return dict(entry)


def array(source: Any) -> NDArray[Any]:
    return np.asarray(source[0 : source.shape[0]])


def make(folder: Path, change: Callable[[Document], object] | None = None, push: Push = tilt) -> Finished:
    toy = Toy(folder)
    campaign = finish(toy.write(change), folder / "run", push)
    return Finished(toy, campaign, collect(campaign.directory))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return make(tmp_path_factory.mktemp("toy"), lambda d: d["campaign"].update(trainings_per_variation=2))


@pytest.fixture(scope="module")
def released(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return publish(finished.result, tmp_path_factory.mktemp("release") / "release.h5")


KINDS = {
    "ensemble": ("ensemble", 3),
    "data_bootstrap": ("bootstrap", 2),
    "mc_bootstrap": ("bootstrap", 2),
    "alone": ("variation", 1),
    "factor": ("variation", 1),
    "scale": ("variation", 2),
    "mixed": ("variation", 2),
    "muf": ("variation", 2),
    "alphas": ("variation", 1),
    "pdf": ("hessian", 3),
    "other": ("two_point", 0),
    "tilt": ("two_point", 1),
    "hidden": ("two_point", 1),
    "driven": ("two_point", 1),
    "luminosity": ("scale", 0),
}


def test_every_systematic_becomes_a_component_of_its_kind(finished: Finished) -> None:
    entries = finished.result.metadata["components"]
    assert {entry["name"]: (entry["kind"], entry.get("members", 0)) for entry in entries} == KINDS
    assert {name: family.shape[1] for name, family in finished.result.families.items()} == {
        name: members for name, (_, members) in KINDS.items() if members
    }


def test_a_member_is_the_mean_of_its_repetitions(finished: Finished) -> None:
    for name, member in (("scale", 0), ("scale", 1), ("pdf", 2), ("tilt", 0)):
        both = [finished.weight(f"{name}_{member:04d}{more}") for more in ("", "-0001")]
        assert np.abs(both[0] - both[1]).max() > 0
        np.testing.assert_allclose(finished.family(name)[:, member], (both[0] + both[1]) / 2, rtol=1e-6)
    assert finished.component("scale")["trainings_per_member"] == 2
    assert finished.component("ensemble")["trainings_per_member"] == 1


def test_the_nominal_sums_to_what_the_data_hold_of_the_signal(finished: Finished) -> None:
    """Fold it back: weights over the efficiency-free sum of c nu w_r are the data less the background."""
    mc = finished.toy.arrays["mc"]
    x = np.where(mc["pass_truth"], mc["x"], 0).astype(np.float64)
    members = []
    for training in finished.campaign.trainings[:3]:
        nu = tilt(training, x).astype(np.float32).astype(np.float64)
        c = (DATA - BACKGROUND) / (LUMINOSITY * (nu * mc["w_r"])[mc["pass_reco"]].sum())
        members.append((c * nu * mc["w"])[mc["pass_truth"]])
    np.testing.assert_allclose(array(finished.result.nominal), np.mean(members, axis=0), rtol=1e-5)


def test_a_median_is_taken_event_by_event(tmp_path: Path) -> None:
    def median(document: Document) -> None:
        document["campaign"]["central_value"] = "median"

    found = make(tmp_path, median)
    np.testing.assert_allclose(array(found.result.nominal), np.sort(found.family("ensemble"), axis=1)[:, 1], rtol=1e-6)
    assert found.result.metadata["weights"]["central_value"] == {"rule": "median", "family": "ensemble"}
    assert "their median is the nominal" in found.component("ensemble")["description"]
    path = publish(found.result, tmp_path / "release.h5")
    assert validate(path).valid


def test_an_up_down_pair_is_up_first(finished: Finished) -> None:
    trainings = {t.source: t.member for t in finished.campaign.trainings if t.family == "scale"}
    assert trainings == {"scale/up": 0, "scale/down": 1}
    assert finished.component("scale")["description"] == "x times 1.03 or 0.97 (up, down)"


def test_theory_weights_are_published_on_the_same_events_with_their_own_prior(finished: Finished) -> None:
    mc = finished.toy.arrays["mc"]
    rows = mc["pass_truth"]
    ratio = finished.weight("pdf_0002") / mc["w_theory2"][rows]
    x = mc["x"][rows].astype(np.float64)
    (training,) = (t for t in finished.campaign.trainings if t.name == "pdf_0002")
    push = tilt(training, x)
    np.testing.assert_allclose(ratio / ratio[0], push / push[0], rtol=1e-5)


def test_a_generator_is_a_canvas(finished: Finished) -> None:
    canvas, other = finished.result.canvases["other"], finished.toy.arrays["other"]
    rows = other["pass_truth"]
    np.testing.assert_array_equal(array(canvas.event_id), other["event_id"][rows])
    np.testing.assert_array_equal(array(canvas.columns["x"]), other["x"][rows])
    both = [finished.weight(f"other_0000{more}") for more in ("", "-0001")]
    np.testing.assert_allclose(array(canvas.nominal), (both[0] + both[1]) / 2, rtol=1e-6)
    component = finished.component("other")
    assert (component["canvas"], component["covariance"]["correlation"]) == ("other", "none")
    (entry,) = finished.result.metadata["canvases"]
    assert (entry["name"], entry["events"], entry["generator"]) == ("other", rows.sum(), "numpy, seed 2")


def test_a_hidden_variable_s_member_is_the_nominal_times_the_relative_non_closure(finished: Finished) -> None:
    mc = finished.toy.arrays["mc"]
    rows = mc["pass_truth"]
    x, z = mc["x"][rows].astype(np.float64), mc["z"][rows].astype(np.float64)
    target = np.exp(0.2 * z) * (1 + 0.1 * x**2) * mc["w"][rows]
    test = finished.result.closure["hidden"]
    assert test.target is not None
    assert test.unfolded is not None
    np.testing.assert_allclose(array(test.target), target, rtol=1e-6)
    unfolded = (finished.weight("hidden_0000") + finished.weight("hidden_0000-0001")) / 2
    np.testing.assert_allclose(array(test.unfolded), unfolded, rtol=1e-6)
    expected = array(finished.result.nominal) * unfolded / target
    np.testing.assert_allclose(finished.family("hidden")[:, 0], expected, rtol=1e-5)
    assert finished.component("hidden")["covariance"]["correlation"] == "none"


def test_a_data_driven_test_s_target_is_the_nominal_and_its_member_the_unfolded(finished: Finished) -> None:
    test = finished.result.closure["driven"]
    np.testing.assert_array_equal(array(test.target), array(finished.result.nominal))
    np.testing.assert_allclose(finished.family("driven")[:, 0], array(test.unfolded), rtol=1e-6)
    component = finished.component("driven")
    assert "covariance" not in component  # correlated, as publishing fills in
    assert "chi2 cannot exceed 1" in component["description"]


def test_a_perfect_unfolding_closes(tmp_path: Path) -> None:
    """Where the push is the factor that made the pseudo-data, nothing is left of either component."""

    def perfect(training: Training, x: NDArray[np.float64]) -> NDArray[np.float64]:
        exact: NDArray[np.float64] = np.exp(0.2 * x)
        return exact

    def smooth(document: Document) -> None:
        document["inputs"]["closure"][0].update(target="exp(0.2 * x)", columns=[])

    found = make(tmp_path, smooth, perfect)
    nominal = array(found.result.nominal)
    for name in ("hidden", "driven"):
        np.testing.assert_allclose(found.family(name)[:, 0], nominal, rtol=1e-4)
    values = {r["name"]: r["value"] for r in found.result.metadata["closure"]["results"]}
    assert set(values) == {f"{n}: {what}" for n in ("hidden", "driven") for what in ("cross section", "x", "y")}
    assert max(values.values()) < 1e-4


def test_the_nominal_stays_where_the_target_is_0(tmp_path: Path) -> None:
    def cut(document: Document) -> None:
        document["inputs"]["closure"][0].update(target="x > 0", columns=[])

    found = make(tmp_path, cut)
    x = array(found.result.columns["x"])
    nominal, member = array(found.result.nominal), found.family("hidden")[:, 0]
    np.testing.assert_array_equal(member[x <= 0], nominal[x <= 0])
    assert (member[x > 0] != nominal[x > 0]).all()


def test_a_target_that_nearly_vanishes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        RunError, match=r"closure test hidden: the target weight of \d+ of \d+ events is too close to 0"
    ):
        make(tmp_path, lambda d: d["inputs"]["closure"][0].update(target="where(x > 0, 1, 1e-9)", columns=[]))


def test_the_closure_results_are_those_of_a_hand_loop() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(0, 1, 1000).astype(np.float32)
    target = np.ones(1000, np.float32)
    unfolded = (1 + 0.1 * (x > 0.5)).astype(np.float32)
    entry = closure_entry(make_document(), {"x": x}, {"hidden": (target, unfolded)})
    results = {result["name"]: result for result in entry["results"]}
    assert results["hidden: cross section"]["value"] == pytest.approx(0.1 * (x > 0.5).mean(), rel=1e-5)
    parts = np.array_split(np.sort(x), 10)
    expected = max(float((1 + 0.1 * (part > 0.5)).mean() - 1) for part in parts)
    assert results["hidden: x"]["value"] == pytest.approx(expected, abs=0.002)
    assert results["hidden: x"]["bins"] == 10


def test_equal_values_share_a_bin_and_absent_ones_have_none() -> None:
    x = np.array([1, 1, 1, 1, 2, 2, np.nan], np.float32)
    weights = np.ones(7, np.float32), np.array([1, 1, 1, 1, 2, 2, 100], np.float32)
    results = closure_entry(make_document(), {"x": x, "none": np.full(7, np.nan, np.float32)}, {"hidden": weights})
    (result,) = (r for r in results["results"] if r["name"] == "hidden: x")
    assert (result["bins"], result["value"]) == (2, 1.0)
    assert not any(r["name"] == "hidden: none" for r in results["results"])


def test_closure_that_is_stated_is_kept_beside_that_which_was_made(finished: Finished) -> None:
    document = make_document()
    assert closure_entry(document, {}, {}) == document["publication"]["closure"]
    stated = {"name": "elsewhere", "statistic": "chi2", "value": 1.0}
    document["publication"]["closure"] = {
        "performed": True,
        "description": "By hand",
        "results": [stated],
        "tests": [{"name": "elsewhere", "description": "By hand", "unfolded": "nominal", "canvas": "other"}],
    }
    weights = np.ones(2, np.float32)
    entry = closure_entry(document, {}, {"hidden": (weights, weights)})
    assert entry["description"].startswith("By hand. The simulation, reweighted, was unfolded with itself. hidden: z")
    assert entry["results"][0] == stated
    assert [test["name"] for test in entry["tests"]] == ["elsewhere", "hidden"]
    made = finished.result.metadata["closure"]
    assert made["performed"]
    assert made["description"].startswith("The simulation, reweighted,")


def test_the_release_is_valid_and_the_reader_sees_every_component(finished: Finished, released: Path) -> None:
    report = validate(released)
    assert report.valid
    assert [f for f in report.findings if f.level == "required"] == []
    edges = [-2.0, -0.5, 0.5, 2.0]
    x = array(finished.result.columns["x"])

    def histogram(weights: NDArray[np.float64], values: NDArray[Any] = x) -> NDArray[np.float64]:
        return np.histogram(values, edges, weights=weights)[0]

    nominal = histogram(array(finished.result.nominal).astype(np.float64))
    scale, pdf = finished.family("scale"), finished.family("pdf")
    pair = (histogram(scale[:, 0]) - histogram(scale[:, 1])) / 2
    eigen = [histogram(pdf[:, k]) - nominal for k in range(3)]
    canvas = finished.result.canvases["other"]
    other = histogram(array(canvas.nominal).astype(np.float64), array(canvas.columns["x"])) - nominal
    driven = histogram(finished.family("driven")[:, 0]) - nominal
    expected = {
        "scale": np.outer(pair, pair),
        "pdf": sum(np.outer(shift, shift) for shift in eigen),
        "other": np.diag(other**2),
        "driven": np.outer(driven, driven),
    }
    with open_release(released) as release:
        assert {component["name"] for component in release.metadata["components"]} == set(KINDS)
        measurement = release.measure("x", edges)
        for name, covariance in expected.items():
            found = measurement.covariance(name)
            np.testing.assert_allclose(found, covariance, rtol=1e-4, atol=1e-7 * np.abs(covariance).max())
        closure = release.closure("hidden", "x", edges)
        assert np.abs(closure.unfolded - closure.target).max() > 0


def test_the_metadata_tell_of_diagnostics_where_there_are_any(tmp_path: Path, finished: Finished) -> None:
    assert "diagnostics" not in finished.result.metadata["unfolding"]
    told = {"iterations": [], "stopped": {"iteration": 1, "rule": "after 1 iterations"}}
    found = make(tmp_path, lambda d: d["inputs"].update(closure=[], generators=[], theory_weights=[], priors=[]))
    for training in found.campaign.trainings:
        path = found.campaign.training_path(training)
        header = store.read_header(path)
        header["summary"]["diagnostics"] = told
        store.write_arrays(path, store.read_arrays(path), header)
    diagnostics = collect(found.campaign.directory).metadata["unfolding"]["diagnostics"]
    assert diagnostics == [{"training": f"ensemble_{k:04d}", **told} for k in range(3)]


def test_clamps_are_counted_with_the_weight_that_they_touch(finished: Finished) -> None:
    count = len(finished.campaign.trainings)
    clamps = finished.result.metadata["weights"]["clamps"]
    assert (clamps["touched"], clamps["evaluated"]) == (count, 10 * count)
    assert "hold 0.05 of the weight" in clamps["description"]
    trainings = finished.result.metadata["unfolding"]["campaign"]["trainings"]
    assert trainings["count"] == count
    assert trainings["clamped_weight_share"] == pytest.approx(0.05)
    assert "started_from" not in trainings


def test_a_training_that_is_missing_is_named(tmp_path: Path) -> None:
    found = make(tmp_path, lambda d: d["inputs"].update(closure=[], generators=[], theory_weights=[], priors=[]))
    (found.campaign.trainings_folder / "scale_0001.safetensors").unlink()
    with pytest.raises(RunError, match=r"1 of 13 trainings are not finished, the first is scale_0001"):
        collect(found.campaign.directory)


def names(entries: Sequence[Document]) -> set[str]:
    return {entry["name"] for entry in entries}


def check_iterations(run: Path, published: NDArray[np.float32]) -> None:
    """Compare what was kept of the last iteration with what was published."""
    if not Campaign.of(read_analysis(run.parent / "analysis.yaml"), run).config.keep_iterations:
        with pytest.raises(RunError, match=r"last iteration alone; set omnifold\.keep_iterations"):
            iteration_weights(run)
        return
    first, last = iteration_weights(run)
    np.testing.assert_array_equal(last, published)
    assert np.abs(first - last).max() > 0
    (run / "trainings/ensemble_0001.safetensors").unlink()
    with pytest.raises(RunError, match="ensemble_0001 is not finished"):
        iteration_weights(run)


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"background": "neural_resampling", "folds": 2, "keep_iterations": True, "stop_below": 0.01},
        {"misses": "carry", "fakes": "keep", "step2_reference": "push", "splits": "fresh", "warm_start": False},
    ],
    ids=str,
)
def test_a_release_of_any_settings_is_valid_and_says_them(tmp_path: Path, settings: Document) -> None:
    toy = Toy(tmp_path)
    inputs = toy.document["inputs"]
    for section in ("variations", "theory_weights", "generators", "priors", "closure"):
        del inputs[section]
    toy.document["omnifold"] |= settings | {"iterations": 2}
    toy.document["campaign"] |= {"ensemble": 2}
    result = unfold(toy.write(), tmp_path / "run", workers=1, device="cpu")
    path = publish(result, tmp_path / "release.h5")
    assert validate(path).valid
    with open_release(path) as release:
        unfolding = release.metadata["unfolding"]
    assert settings.items() <= unfolding["settings"].items()
    check_iterations(tmp_path / "run", array(result.families["ensemble"]))
    for training in unfolding["diagnostics"]:
        assert ("background" in training) == ("background" in settings)
        assert [len(entry["step2"]) for entry in training["iterations"]] == [settings.get("folds", 1)] * 2


@pytest.mark.slow
def test_real_trainings_of_every_kind_end_in_a_valid_release(tmp_path: Path) -> None:
    toy = Toy(tmp_path)
    result = unfold(toy.write(), tmp_path / "run", workers=2, device="cpu")
    path = publish(result, tmp_path / "release.h5")
    assert validate(path).valid
    assert names(result.metadata["components"]) == set(KINDS)
    nominal = array(result.nominal).astype(np.float64)
    for name in ("alone", "scale", "muf", "pdf", "tilt", "hidden", "driven"):
        family = array(result.families[name]).astype(np.float64)
        assert np.abs(family.sum(axis=0) / nominal.sum() - 1).max() < 0.1
        assert (family != nominal[:, np.newaxis]).any(axis=0).all()
    roles = {entry["role"] for entry in result.metadata["inputs"]}
    assert {"background false", "variation scale/up", "generator other"} <= roles
