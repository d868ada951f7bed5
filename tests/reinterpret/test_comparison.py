"""Comparisons of theories with measurements, against formulas written out."""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from omnifold_pub import Measurement, Release, Theory, UnfoldingResult, compare
from omnifold_pub.errors import InputError, ObservableError, StatisticsError
from omnifold_pub.estimators import Histogram
from omnifold_pub.statistics import inference
from omnifold_pub.statistics.components import Component, ComponentResult

X_EDGES = np.array([-2.0, -0.7, 0.1, 0.8, 2.5])
Y_EDGES = np.array([0.0, 15.0, 40.0, 120.0])


@pytest.fixture
def theory(result: UnfoldingResult) -> Theory:
    """A theory with more events at large x than there are in the release."""
    rng = np.random.default_rng(8)
    events = 2000
    columns = {"x": rng.normal(0.1, 1, events), "y": rng.exponential(33, events)}
    total = float(result.nominal[:].astype(float).sum())
    return Theory.from_arrays(columns, rng.gamma(4, total / events / 4, events), unit="pb", name="shifted")


def by_hand(
    theory: Theory, *binned: tuple[str, NDArray[np.float64]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return prediction and covariance of a theory from one row of 0 and 1 per bin."""
    rows = []
    for name, edges in binned:
        values = theory.events[name].astype(float)
        rows += [(values >= low) & (values < high) for low, high in itertools.pairwise(edges)]
    inside = np.array(rows, dtype=float)
    return inside @ theory.weights, (inside * theory.weights**2) @ inside.T


def test_chi2_uses_the_covariance_of_both_sides(release: Release, theory: Theory) -> None:
    measurement = release.measure("x", X_EDGES)
    comparison = compare(measurement, theory)
    prediction, covariance = by_hand(theory, ("x", X_EDGES))
    residual = measurement.values() - prediction
    expected = residual @ np.linalg.inv(measurement.covariance() + covariance) @ residual
    assert comparison.test.chi2 == pytest.approx(expected, rel=1e-9)
    assert comparison.test.bins == 4
    np.testing.assert_allclose(comparison.prediction, prediction, rtol=1e-12)
    np.testing.assert_allclose(comparison.covariance, covariance, rtol=1e-12)
    assert comparison.theory == "shifted"
    assert comparison.measurement is measurement


def test_a_joint_chi2_uses_the_blocks_between_observables(release: Release, theory: Theory) -> None:
    joint = release.measure({"x": X_EDGES, "y": Y_EDGES})
    comparison = compare(joint, theory)
    prediction, covariance = by_hand(theory, ("x", X_EDGES), ("y", Y_EDGES))
    assert covariance[:4, 4:].min() > 0
    residual = joint.values() - prediction
    expected = residual @ np.linalg.inv(joint.covariance() + covariance) @ residual
    assert comparison.test.chi2 == pytest.approx(expected, rel=1e-9)
    assert comparison.test.bins == 7


def test_components_left_out_do_not_count(release: Release, theory: Theory) -> None:
    measurement = release.measure("x", X_EDGES)
    comparison = compare(measurement, theory, leave_out=["luminosity", "model"])
    prediction, covariance = by_hand(theory, ("x", X_EDGES))
    used = measurement.covariance() - measurement.covariance("luminosity") - measurement.covariance("model")
    residual = measurement.values() - prediction
    expected = residual @ np.linalg.inv(used + covariance) @ residual
    assert comparison.test.chi2 == pytest.approx(expected, rel=1e-6)
    assert comparison.test.chi2 > compare(measurement, theory).test.chi2


def test_a_component_left_out_must_exist(release: Release, theory: Theory) -> None:
    with pytest.raises(ObservableError, match="no component 'lumi'"):
        compare(release.measure("x", X_EDGES), theory, leave_out=["lumi"])


def test_a_theory_equal_to_the_measurement_is_not_rejected(release: Release, result: UnfoldingResult) -> None:
    same = Theory.from_arrays(
        {name: c[:] for name, c in result.columns.items()}, result.nominal[:], unit="pb", name="same"
    )
    comparison = compare(release.measure({"x": X_EDGES, "y": Y_EDGES}), same)
    assert comparison.test.chi2 < 1e-9
    assert comparison.test.p_value > 0.999


def test_a_far_theory_is_rejected(release: Release, theory: Theory) -> None:
    far = Theory.from_arrays(dict(theory.events), 20 * theory.weights, unit="pb")
    assert compare(release.measure("x", X_EDGES), far).test.p_value < 0.01


def test_the_theory_is_measured_by_the_same_function(release: Release, theory: Theory) -> None:
    seen = set()

    def square(events: object) -> NDArray[np.float32]:
        seen.add(events.events.where)  # type: ignore[attr-defined]
        return np.asarray(events["x"] ** 2)  # type: ignore[index]

    comparison = compare(release.measure(square, [0, 1, 4]), theory)
    assert seen == {"release.h5", "release.h5, canvas other", "shifted"}
    expected = np.histogram(theory.events["x"].astype(float) ** 2, [0, 1, 4], weights=theory.weights)[0]
    np.testing.assert_allclose(comparison.prediction, expected, rtol=1e-9)


def test_a_theory_of_another_unit_is_refused(release: Release, theory: Theory) -> None:
    other = Theory.from_arrays(dict(theory.events), theory.weights, unit="fb", name="in fb")
    with pytest.raises(InputError, match="in fb: weights in fb, the measurement is in 'pb'"):
        compare(release.measure("x", X_EDGES), other)


def test_a_theory_elsewhere_is_refused(release: Release) -> None:
    elsewhere = Theory.from_arrays({"x": np.full(5, 1e6)}, np.ones(5), unit="pb", name="elsewhere")
    with pytest.raises(InputError, match="elsewhere: no event is in any of the 4 bins; is it of the same fiducial"):
        compare(release.measure("x", X_EDGES), elsewhere)


def test_a_bin_without_any_uncertainty_is_refused(release: Release, theory: Theory) -> None:
    with pytest.raises(StatisticsError, match="bin 1 has no uncertainty at all"):
        compare(release.measure("x", [-1, 1e6, 1e7]), theory)


def test_a_comparison_is_json(release: Release, theory: Theory) -> None:
    measurement = release.measure("x", X_EDGES)
    comparison = compare(measurement, theory)
    document = comparison.to_dict()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert document["measured"] == measurement.values().tolist()
    assert document["measured_uncertainty"] == measurement.uncertainties().tolist()
    assert document["predicted"] == comparison.prediction.tolist()
    assert document["predicted_uncertainty"] == np.sqrt(np.diag(comparison.covariance)).tolist()
    assert (document["theory"], document["unit"], document["bins"]) == ("shifted", "pb", 4)
    assert (document["replicas"], document["method"]) == (4, "simulation")
    assert (document["chi2"], document["p_value"]) == (comparison.test.chi2, comparison.test.p_value)


def test_the_same_question_has_the_same_answer(release: Release, theory: Theory) -> None:
    measurement = release.measure("x", X_EDGES)
    assert compare(measurement, theory).to_dict() == compare(measurement, theory).to_dict()


def toy_measurement(contents: NDArray[np.float64], replicas: NDArray[np.float64]) -> Measurement:
    component = Component("data_bootstrap", "bootstrap", members=len(replicas))
    result = ComponentResult(component, replicas, np.cov(replicas.T))
    return Measurement(
        nominal=contents,
        results=(result,),
        statistics=(Histogram("x", np.arange(len(contents) + 1.0)),),
        sizes=(len(contents),),
        units=("pb",),
        weight_unit="pb",
        effective_events=contents,
        central="single",
    )


@pytest.mark.slow
def test_the_true_theory_is_rejected_as_often_as_it_should_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """With 12 replicas of 4 bins the naive chi2 rejects the truth far too often; the p-value must know that."""
    monkeypatch.setattr(inference, "_TOYS", 1000)
    rng = np.random.default_rng(20)
    expected = np.array([900.0, 1600.0, 1200.0, 500.0])
    trials, rejected, naive = 600, 0, 0
    for _ in range(trials):
        contents = rng.poisson(expected).astype(float)
        measurement = toy_measurement(contents, rng.poisson(contents, (12, 4)).astype(float))
        simulated = np.repeat(np.arange(4) + 0.5, rng.poisson(2 * expected))
        theory = Theory.from_arrays({"x": simulated}, np.full(len(simulated), 0.5), unit="pb")
        test = compare(measurement, theory).test
        rejected += test.p_value < 0.05
        naive += test.chi2 > 9.488
    error = np.sqrt(trials * 0.05 * 0.95)
    assert abs(rejected - 0.05 * trials) < 3 * error
    assert naive - 0.05 * trials > 3 * error


def test_the_release_measures_and_compares_in_one_call(release: Release, theory: Theory) -> None:
    wanted = {"x": [-2.0, 0.0, 2.0], "y": [0.0, 20.0, 100.0]}
    found = release.compare(theory, wanted, where="x > -1", leave_out=["model"])
    joint = release.measure(wanted, where="x > -1")
    assert found.to_dict() == compare(joint, theory, leave_out=["model"]).to_dict()
    swapped: Any = (wanted, theory)
    with pytest.raises(InputError, match=r"expected a theory, then observables; found \{'x'.* in place of the theory"):
        release.compare(*swapped)
    alone = release.compare(theory, "x", [-2.0, 0.0, 2.0], shape_only=True)
    assert alone.test == compare(release.measure("x", [-2.0, 0.0, 2.0]), theory, shape_only=True).test
