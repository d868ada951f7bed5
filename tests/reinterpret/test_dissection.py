"""Where a chi2 comes from, against formulas written out and fits of nuisance parameters."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import optimize

from omnifold_pub import Release, Theory, UnfoldingResult, compare
from omnifold_pub.errors import InputError, ObservableError, StatisticsError
from omnifold_pub.reinterpret.dissection import TheoryPart, dissect
from omnifold_pub.reinterpret.ranking import rank
from omnifold_pub.reinterpret.weight_families import Combination, Family
from omnifold_pub.statistics.components import Component, ComponentResult

Array = NDArray[np.float64]

X_EDGES = np.array([-2.0, -0.7, 0.1, 0.8, 2.5])
Y_EDGES = np.array([0.0, 15.0, 40.0, 120.0])
USED = ("data_bootstrap", "mc_bootstrap", "up_down", "luminosity", "event_sampling")


def make_theory(result: UnfoldingResult, *, shift: float, factor: float = 1.0, name: str = "shifted") -> Theory:
    rng = np.random.default_rng(8)
    events = 4000
    columns = {"x": rng.normal(shift, 1, events), "y": rng.exponential(33, events)}
    total = factor * float(result.nominal[:].astype(float).sum())
    return Theory.from_arrays(columns, rng.gamma(4, total / events / 4, events), unit="pb", name=name)


def drawn(seed: int, bins: int = 4) -> tuple[Array, list[ComponentResult], list[TheoryPart]]:
    """Return a residual, components of several kinds and parts of a theory."""
    rng = np.random.default_rng(seed)
    nominal = np.ones(bins)
    replicas = nominal + rng.normal(size=(9, bins))
    shift, pair = rng.normal(size=(1, bins)), rng.normal(size=(2, bins))
    results = [
        ComponentResult(Component("replicas", "bootstrap", members=9), replicas, np.cov(replicas.T)),
        ComponentResult(Component("one", "variation", members=1), nominal + shift, shift.T @ shift),
        ComponentResult(
            Component("pair", "variation", members=2), pair, np.outer(pair[0] - pair[1], pair[0] - pair[1]) / 4
        ),
        ComponentResult(Component("sampling", "event_sampling"), np.empty((0, bins)), np.diag(rng.random(bins))),
    ]
    scale = rng.normal(size=bins)
    return rng.normal(size=bins) * 2, results, [TheoryPart("scale", np.outer(scale, scale), scale)]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_everything_sums_to_chi2(seed: int) -> None:
    residual, results, theory = drawn(seed)
    found = dissect(residual, results, theory, nominal=np.ones(4), labels=list("abcd"))
    total = sum((r.covariance for r in results), theory[0].covariance)
    chi2 = float(residual @ np.linalg.solve(total, residual))
    assert found.shares.sum() == pytest.approx(chi2, rel=1e-7)
    assert sum(share.chi2 for share in found.components) == pytest.approx(chi2, rel=1e-7)
    assert sum(direction.pull**2 for direction in found.directions) == pytest.approx(chi2, rel=1e-7)
    np.testing.assert_allclose(sum(share.taken for share in found.components), residual, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(found.pulls, residual / np.sqrt(np.diag(total)))
    for i in range(4):
        rest = np.delete(np.arange(4), i)
        without = residual[rest] @ np.linalg.solve(total[np.ix_(rest, rest)], residual[rest])
        assert found.drops[i] == pytest.approx(chi2 - without, rel=1e-5, abs=1e-8)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_pulls_of_components_are_those_of_fitted_nuisance_parameters(seed: int) -> None:
    """Least squares in nuisance parameters: measured = predicted + sum of theta D + the rest, with |theta|^2 added."""
    residual, results, theory = drawn(seed)
    found = {
        share.name: share
        for share in dissect(residual, results, theory, nominal=np.ones(4), labels=list("abcd")).components
    }
    one, pair = results[1].members[0] - 1, (results[2].members[0] - results[2].members[1]) / 2
    assert theory[0].shift is not None
    shifts = np.array([one, pair, theory[0].shift])
    root = np.linalg.cholesky(np.linalg.inv(results[0].covariance + results[3].covariance))

    def terms(theta: Array) -> Array:
        return np.concatenate([root.T @ (residual - theta @ shifts), theta])

    theta = optimize.least_squares(terms, np.zeros(3), xtol=1e-14, ftol=1e-14, gtol=1e-14).x
    assert [found[name].pull for name in ("one", "pair", "scale")] == pytest.approx(theta.tolist(), rel=1e-4, abs=1e-5)
    for name, value in zip(("one", "pair", "scale"), theta, strict=True):
        assert found[name].chi2 == pytest.approx(value**2, rel=1e-3, abs=1e-8)
    assert found["replicas"].pull is found["sampling"].pull is None


def test_a_direction_that_is_known_well_disagrees() -> None:
    """Two bins that go together: their difference is known ten times better than their sum."""
    covariance = np.array([[1.0, 0.98], [0.98, 1.0]])
    found = dissect(np.array([0.3, -0.3]), [], [TheoryPart("all", covariance)], nominal=np.ones(2), labels=["a", "b"])
    worst = found.directions[0]
    assert abs(worst.pull) == pytest.approx(0.6 / np.sqrt(2) / np.sqrt(0.02))
    assert worst.eigenvalue == pytest.approx(0.02)
    np.testing.assert_allclose(np.abs(worst.vector), [np.sqrt(0.5)] * 2)
    assert worst.vector[0] * worst.vector[1] < 0
    assert abs(found.pulls).max() == pytest.approx(0.3)


def test_a_comparison_takes_itself_apart(release: Release, result: UnfoldingResult) -> None:
    joint = release.measure({"x": X_EDGES, "y": Y_EDGES}, components=USED)
    comparison = compare(joint, make_theory(result, shift=0.2))
    found = comparison.dissect()
    assert found.shares.sum() == pytest.approx(comparison.test.chi2, rel=1e-9)
    assert {share.name for share in found.components} == {*USED, "theory: statistics"}
    assert found.labels == tuple(f"{name}: {label}" for name in ("x", "y") for label in joint[name].labels)
    pulls = {share.name: share.pull for share in found.components}
    assert pulls["luminosity"] is not None
    assert pulls["data_bootstrap"] is None
    document = found.to_dict()
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_the_luminosity_takes_a_normalisation(release: Release, result: UnfoldingResult) -> None:
    """A theory that is lower everywhere pulls the luminosity up, one that is higher down."""
    measurement = release.measure("x", X_EDGES, components=USED)
    for factor, sign in ((0.9, 1), (1.1, -1)):
        found = compare(measurement, make_theory(result, shift=0.0, factor=factor)).dissect()
        pull = next(share.pull for share in found.components if share.name == "luminosity")
        assert pull is not None
        assert pull * sign > 0


def test_with_and_without_the_theorys_uncertainty(release: Release, result: UnfoldingResult) -> None:
    measurement = release.measure("x", X_EDGES, components=USED)
    comparison = compare(measurement, make_theory(result, shift=0.2))
    residual = measurement.nominal - comparison.prediction
    expected = residual @ np.linalg.inv(measurement.covariance()) @ residual
    assert comparison.without_theory().chi2 == pytest.approx(expected, rel=1e-9)
    assert comparison.without_theory().chi2 > comparison.test.chi2


def test_shape_and_normalisation_apart(release: Release, result: UnfoldingResult) -> None:
    joint = release.measure({"x": X_EDGES, "y": Y_EDGES}, components=USED)
    theory = make_theory(result, shift=0.0, factor=1.3)
    comparison = compare(joint, theory)
    shape = comparison.shape()
    assert shape.dof == 5
    expected = joint.chi2(comparison.prediction, comparison.covariance, shape_only=True)
    assert shape.chi2 == pytest.approx(expected.chi2, rel=1e-9)
    assert comparison.test.p_value < shape.p_value
    for found, place in zip(comparison.normalisation(), joint.slices, strict=True):
        total = joint.covariance() + comparison.covariance
        difference = (joint.nominal - comparison.prediction)[place].sum()
        assert found.uncertainty == pytest.approx(np.sqrt(total[place, place].sum()))
        assert found.pull == pytest.approx(difference / found.uncertainty)
        assert found.p_value < 0.2


def test_a_comparison_of_shapes_takes_itself_apart(release: Release, result: UnfoldingResult) -> None:
    joint = release.measure({"x": X_EDGES, "y": Y_EDGES}, components=USED)
    comparison = compare(joint, make_theory(result, shift=0.2), shape_only=True)
    assert comparison.test.dof == 5
    assert comparison.shape() is comparison.test
    found = comparison.dissect()
    assert len(found.labels) == 5
    assert found.shares.sum() == pytest.approx(comparison.test.chi2, rel=1e-9)
    assert next(share.chi2 for share in found.components if share.name == "luminosity") == 0
    doubled = compare(joint, make_theory(result, shift=0.2, factor=2), shape_only=True)
    assert doubled.test.chi2 == pytest.approx(comparison.test.chi2, rel=1e-9)
    with pytest.raises(ObservableError, match="compared in shape only"):
        comparison.normalisation()


def test_what_has_no_sum_has_no_normalisation(release: Release, result: UnfoldingResult) -> None:
    density = release.measure("x", X_EDGES, density=True, components=USED)
    with pytest.raises(ObservableError, match="expected contents of bins, which have a sum"):
        compare(density, make_theory(result, shift=0.2)).normalisation()


def test_what_cannot_be_inverted_is_not_taken_apart() -> None:
    singular = [TheoryPart("all", np.ones((2, 2)))]
    with pytest.raises(StatisticsError, match="rank 1"):
        dissect(np.array([1.0, 1.0]), [], singular, nominal=np.ones(2), labels=["a", "b"])
    found = dissect(np.array([1.0, 1.0]), [], singular, nominal=np.ones(2), labels=["a", "b"], pseudo_inverse=True)
    assert found.shares.sum() == pytest.approx(1)


def test_theories_are_ranked(release: Release, result: UnfoldingResult) -> None:
    measurement = release.measure("x", X_EDGES, components=USED)
    shifts = {"far": 0.8, "near": 0.02, "there": 0.3}
    theories = [make_theory(result, shift=shift, name=name) for name, shift in shifts.items()]
    ranking = rank(measurement, theories)
    assert [one.theory for one in ranking.comparisons] == ["near", "there", "far"]
    assert ranking.comparisons[2].test.chi2 == compare(measurement, theories[0]).test.chi2
    lines = str(ranking).splitlines()
    assert lines[0] == "Theories, the best first"
    assert [line.split()[0] for line in lines[2:5]] == ["near", "there", "far"]
    document = ranking.to_dict()
    exact = [one["chi2_theory_exact"] for one in document["theories"]]
    assert exact == [one.without_theory().chi2 for one in ranking.comparisons]
    vague = rank(measurement, theories, leave_out=[name for name in USED if name != "luminosity"])
    assert {one["chi2_theory_exact"] for one in vague.to_dict()["theories"]} == {None}
    assert str(vague).splitlines()[2].split()[5] == "-"
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    with pytest.raises(InputError, match="near more than once"):
        rank(measurement, [theories[1], theories[1]])
    with pytest.raises(InputError, match="found none"):
        rank(measurement, [])


def test_nuisances_of_a_theory_are_signed(release: Release, result: UnfoldingResult) -> None:
    """A theory 10 % too low whose scale variation is 8 % up: the scale is pulled up, the tune hardly moves."""
    plain = make_theory(result, shift=0.0, factor=0.9)
    tilt = 1 + 0.05 * np.sin(3 * plain.events["x"].astype(float))
    families = {
        "scale": Family(Combination("envelope"), ("up",), 1.08 * plain.weights[:, np.newaxis]),
        "tune": Family(
            Combination("hessian"), ("a", "b"), np.stack([tilt, 2 - tilt], axis=1) * plain.weights[:, np.newaxis]
        ),
    }
    theory = Theory.from_arrays(dict(plain.events), plain.weights, unit="pb", families=families)
    measurement = release.measure("x", X_EDGES, components=["data_bootstrap", "event_sampling"])
    comparison = compare(measurement, theory)
    found = {share.name: share for share in comparison.dissect().components}
    names = {"theory: statistics", "theory: scale", "theory: tune 1", "theory: tune 2"}
    assert set(found) == names | {"data_bootstrap", "event_sampling"}
    scale = found["theory: scale"].pull
    assert scale is not None
    assert scale > 0
    assert sum(share.chi2 for share in found.values()) == pytest.approx(comparison.test.chi2, rel=1e-8)
    assert comparison.test.chi2 < compare(measurement, plain).test.chi2


def test_a_theory_without_a_cross_section_is_compared_in_shape(release: Release, result: UnfoldingResult) -> None:
    known = make_theory(result, shift=0.2)
    shapes = Theory.from_arrays(dict(known.events), 17 * known.weights, unit=None, name="shapes")
    measurement = release.measure("x", X_EDGES, components=USED)
    expected = compare(measurement, known, shape_only=True).test
    assert compare(measurement, shapes, shape_only=True).test.chi2 == pytest.approx(expected.chi2, rel=1e-9)
    with pytest.raises(InputError, match="can only be compared in shape"):
        compare(measurement, shapes)
