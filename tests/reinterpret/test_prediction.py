"""Functions of a prediction: the families of a theory combine anew in them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm

from omnifold_pub import Release, Theory, compare
from omnifold_pub.errors import InputError, StatisticsError
from omnifold_pub.reinterpret.prediction import Prediction, checked_theory
from omnifold_pub.reinterpret.weight_families import Combination, Family, combine
from omnifold_pub.statistics.components import Component, ComponentResult
from omnifold_pub.statistics.inference import chi2_test

X_EDGES = np.array([-2.0, -0.7, 0.1, 0.8, 2.5])
Y_EDGES = np.array([0.0, 15.0, 40.0, 120.0])
USED = ("data_bootstrap", "mc_bootstrap", "up_down", "luminosity", "event_sampling")

Array = NDArray[np.float64]


def varied(members: Array, nominal: Array, rule: Any = "envelope") -> Prediction:
    """Return a prediction with one family, whose statistics are Poisson's."""
    sampling = ComponentResult(Component("statistics", "event_sampling"), np.empty((0, len(nominal))), np.diag(nominal))
    combination = Combination(rule)
    return Prediction("varied", nominal, (sampling, combine("f", combination, members, nominal)), {"f": combination})


def test_the_envelope_of_shapes_is_that_of_normalised_members() -> None:
    """Each member moves one of two equal bins: both change the shape, while their envelope moves all bins alike."""
    nominal = np.array([10.0, 10.0])
    found = varied(np.array([[11.0, 10.0], [10.0, 11.0]]), nominal).normalised([slice(0, 2)])
    np.testing.assert_allclose(found.nominal, [0.5, 0.5])
    np.testing.assert_allclose(np.abs(found.shifts("f")), [[11 / 21 - 0.5] * 2])
    assert found.shifts("f")[0].sum() == pytest.approx(0)
    same = varied(np.array([[13.0, 13.0], [9.0, 9.0]]), nominal).normalised([slice(0, 2)])
    assert not same.covariance("f").any()


def test_statistics_and_replicas_of_shapes_are_those_of_toys() -> None:
    nominal = np.array([400.0, 900.0, 600.0, 500.0])
    rng = np.random.default_rng(3)
    replicas = nominal * (1 + 0.01 * rng.normal(size=(50, 4)))
    found = varied(replicas, nominal, "replicas").normalised([slice(0, 3), slice(3, 4)])
    shares = replicas[:, :3] / replicas[:, :3].sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found.covariance("f")[:3, :3], np.cov(shares.T), rtol=1e-9, atol=1e-18)
    toys = rng.poisson(nominal[:3], (40_000, 3)).astype(float)
    expected = np.cov((toys / toys.sum(axis=1, keepdims=True)).T)
    np.testing.assert_allclose(found.covariance("statistics")[:3, :3], expected, rtol=0.05, atol=3e-6)
    assert found.nominal[3] == 1
    assert found.uncertainties()[3] == pytest.approx(0, abs=1e-12)


def test_the_envelope_of_a_sum_is_that_of_the_members_sums() -> None:
    nominal = np.array([10.0, 20.0, 30.0])
    found = varied(np.array([[11.0, 19.0, 50.0], [9.0, 21.5, 50.0]]), nominal).summed(slice(0, 2))
    assert found.nominal.tolist() == [30]
    assert found.uncertainties("f").tolist() == [0.25]  # of members 30 and 30.5
    assert found.covariance("statistics").tolist() == [[30]]


def test_what_sums_to_nothing_has_no_shape() -> None:
    with pytest.raises(StatisticsError, match="varied: the bins of group 0 add up to -1"):
        varied(np.array([[1.0, 2.0]]), np.array([1.0, -2.0])).normalised([slice(0, 2)])
    with pytest.raises(StatisticsError, match="varied: the bins of group 0 add up to 0 under member 1"):
        varied(np.array([[1.0, 2.0], [-1.0, 1.0]]), np.array([1.0, 2.0])).normalised([slice(0, 2)])


def test_observables_without_a_shape_are_named(release: Release, theory: Theory) -> None:
    joint = release.measure({"x": X_EDGES, "y": [0.0, 120.0]}, components=USED)
    with pytest.raises(StatisticsError, match=r"^'y' has 1 bin\(s\); a normalised spectrum needs at least 2"):
        compare(joint, theory, shape_only=True)
    away = {"x": theory.events["x"], "y": np.full(len(theory.weights), 500.0)}
    elsewhere = Theory.from_arrays(away, theory.weights, unit="pb", name="elsewhere")
    two = release.measure({"x": X_EDGES, "y": Y_EDGES}, components=USED)
    with pytest.raises(StatisticsError, match="elsewhere: the bins of 'y' add up to 0; a spectrum can only"):
        compare(two, elsewhere, shape_only=True)


@pytest.fixture
def theory() -> Theory:
    """A theory with an envelope whose members move different bins."""
    rng = np.random.default_rng(4)
    size = 3000
    x, weights = rng.normal(0.1, 1, size), rng.gamma(4, 10 / 4 / size, size)
    scales = np.stack([weights * (1 + 0.2 * (x < 0)), weights * (1 + 0.2 * (x > 0))], axis=1)
    families = {"scales": Family(Combination("envelope"), ("low", "high"), scales)}
    return Theory.from_arrays(
        {"x": x, "y": rng.exponential(30, size)}, weights, unit="pb", name="varied", families=families
    )


def test_a_comparison_in_shape_has_the_envelope_of_shapes(release: Release, theory: Theory) -> None:
    measurement = release.measure("x", X_EDGES, components=USED)
    comparison = compare(measurement, theory, shape_only=True)
    members = theory.prediction(measurement).members("scales")
    nominal = comparison.prediction / comparison.prediction.sum()
    shares = members / members.sum(axis=1, keepdims=True)
    half = (np.maximum((shares - nominal).max(axis=0), 0) - np.minimum((shares - nominal).min(axis=0), 0)) / 2
    shift = np.sign((shares - nominal)[0]) * half  # the members mirror each other
    shift -= nominal * shift.sum()
    slope = (np.eye(4) - nominal[:, np.newaxis]) / comparison.prediction.sum()
    statistics = slope @ theory.prediction(measurement).covariance("statistics") @ slope.T
    expected = measurement.chi2(nominal, statistics + np.outer(shift, shift), shape_only=True)
    assert comparison.test.chi2 == pytest.approx(expected.chi2, rel=1e-9)
    assert comparison.test.chi2 < 0.8 * measurement.chi2(nominal, statistics, shape_only=True).chi2
    components = {share.name: share for share in comparison.dissect().components}
    pull, taken = components["theory: scales"].pull, components["theory: scales"].taken
    assert pull is not None
    np.testing.assert_allclose(np.abs(taken), np.abs(pull * shift[:-1]), rtol=1e-6)
    assert sum(share.chi2 for share in components.values()) == pytest.approx(comparison.test.chi2, rel=1e-9)
    assert compare(measurement, theory).shape().chi2 == comparison.test.chi2


def test_the_normalisation_has_the_envelope_of_sums(release: Release, theory: Theory) -> None:
    joint = release.measure({"x": X_EDGES, "y": Y_EDGES}, components=USED)
    comparison = compare(joint, theory)
    predicted = theory.prediction(joint)
    for total, place in zip(comparison.normalisation(), joint.slices, strict=True):
        sums = np.array([member[place].sum() for member in (predicted.nominal, *predicted.members("scales"))])
        own = predicted.covariance("statistics")[place, place].sum() + ((sums.max() - sums.min()) / 2) ** 2
        assert total.uncertainty == pytest.approx(np.sqrt(joint.covariance()[place, place].sum() + own))


def test_the_p_value_knows_how_few_replicas_a_theory_has(release: Release, theory: Theory) -> None:
    """In bins, in shape and of the sum."""
    rng = np.random.default_rng(7)
    factors = 1 + 0.2 * rng.normal(size=(6, 3))
    x = theory.events["x"].astype(float)
    replicas = theory.weights[:, np.newaxis] * np.stack([np.ones_like(x), x, x**2 / 2], axis=1) @ factors.T * 0.6
    families = {"pdf": Family(Combination("replicas"), tuple("abcdef"), replicas)}
    few = Theory.from_arrays(dict(theory.events), theory.weights, unit="pb", families=families)
    measurement = release.measure("x", X_EDGES, components=["data_bootstrap", "luminosity", "event_sampling"])
    predicted = few.prediction(measurement)
    comparison = compare(measurement, few)
    (own,) = predicted.estimated()
    assert own.component.name == "theory: pdf"
    np.testing.assert_allclose(predicted.known() + own.covariance, predicted.covariance())
    residual = measurement.nominal - predicted.nominal
    expected = chi2_test(residual, [*measurement.results, own], predicted.known())
    assert (comparison.test.chi2, comparison.test.p_value) == (expected.chi2, expected.p_value)
    assert (expected.method, expected.replicas) == ("simulation", 6)
    assert comparison.test.p_value > measurement.chi2(predicted.nominal, predicted.covariance()).p_value
    assert comparison.shape().replicas == 6
    shares = predicted.normalised(measurement.slices)
    known = measurement.chi2(shares.nominal, shares.covariance(), shape_only=True)
    assert comparison.shape().chi2 == pytest.approx(known.chi2, rel=1e-9)
    assert comparison.shape().p_value > known.p_value
    (total,) = comparison.normalisation()
    assert total.p_value > 2 * norm.sf(abs(total.pull))


@pytest.mark.parametrize("found", ["theory.root", None, 3, {"x": [1.0]}])
def test_what_is_no_theory_is_refused_wherever_one_is_asked_for(release: Release, found: Any) -> None:
    with pytest.raises(InputError, match=r"expected a theory; found .*; read it with Theory\.from_root"):
        checked_theory(found)
    with pytest.raises(InputError, match="expected a theory"):
        compare(release.measure("x", X_EDGES), found)
