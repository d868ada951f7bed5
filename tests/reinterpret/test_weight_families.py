"""Weights under variations: how they combine, and that the prediction's covariance has them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from omnifold_pub import Release, Theory, compare
from omnifold_pub.errors import InputError, ObservableError, StatisticsError
from omnifold_pub.estimators import Histogram, Profile
from omnifold_pub.reinterpret.weight_families import Combination, Family, combine, pick_members, shifts_of

X_EDGES = np.array([-2.0, -0.7, 0.1, 0.8, 2.5])
Y_EDGES = np.array([0.0, 15.0, 40.0, 120.0])
NOMINAL = np.array([10.0, 20.0, 5.0])
MEMBERS = np.array([[11.0, 19.0, 5.0], [9.5, 22.0, 5.5], [10.2, 20.1, 4.0], [9.0, 20.0, 5.0]])


def test_a_hessian_is_the_sum_over_its_eigenvectors() -> None:
    expected = sum(np.outer(m - NOMINAL, m - NOMINAL) for m in MEMBERS)
    result = combine("pdf", Combination("hessian"), MEMBERS, NOMINAL)
    np.testing.assert_allclose(result.covariance, expected, rtol=1e-12)


def test_pairs_are_the_two_sides_of_an_eigenvector_at_their_confidence_level() -> None:
    halves = [(MEMBERS[i] - MEMBERS[i + 1]) / 2 / 1.6448536269514722 for i in (0, 2)]
    found = combine("pdf", Combination("hessian", paired=True, confidence_level=0.9), MEMBERS, NOMINAL)
    np.testing.assert_allclose(found.covariance, sum(np.outer(h, h) for h in halves), rtol=1e-12)


def test_replicas_are_spread_around_their_own_mean() -> None:
    result = combine("nnpdf", Combination("replicas"), MEMBERS, NOMINAL)
    np.testing.assert_allclose(result.covariance, np.cov(MEMBERS.T), rtol=1e-12)
    assert result.replicas == 4


def test_an_envelope_is_half_as_wide_and_signed_as_its_leading_member() -> None:
    (shift,) = shifts_of(Combination("envelope"), MEMBERS, NOMINAL)
    # The third member moves most, relatively: (+2 %, +0.5 %, -20 %).
    np.testing.assert_allclose(shift, [1.0, 1.5, -0.75])
    outside = NOMINAL + np.array([[1.0, 2.0, 3.0], [2.0, 1.0, 1.0]])  # all on one side: the nominal is the other
    np.testing.assert_allclose(shifts_of(Combination("envelope"), outside, NOMINAL), [[1.0, 1.0, 1.5]])


@given(arrays(float, (4, 3), elements=st.floats(1, 50)), st.sampled_from(["hessian", "envelope", "replicas"]))
def test_the_shifts_are_a_root_of_the_covariance(members: NDArray[Any], rule: Any) -> None:
    combination = Combination(rule)
    shifts = shifts_of(combination, members, NOMINAL)
    covariance = combine("x", combination, members, NOMINAL).covariance
    np.testing.assert_allclose(shifts.T @ shifts, covariance, atol=1e-9)
    assert np.linalg.eigvalsh(covariance)[0] > -1e-9 * max(1.0, np.trace(covariance))


def test_members_that_are_not_finite_are_refused() -> None:
    with pytest.raises(StatisticsError, match="'pdf': the prediction is not finite under member 1"):
        combine("pdf", Combination("hessian"), np.array([[1.0], [np.nan]]), np.array([1.0]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rule": "quadrature"}, "rule: expected one of envelope, hessian, replicas; found 'quadrature'"),
        ({"rule": "hessian", "members": "PDF*"}, "members: expected a sequence of names"),
        ({"rule": "hessian", "members": ()}, "members: expected a sequence"),
        ({"rule": "envelope", "paired": True}, "are of a hessian; found them with rule 'envelope'"),
        ({"rule": "replicas", "confidence_level": 0.9}, "are of a hessian"),
        ({"rule": "hessian", "confidence_level": 90}, "a probability between 0 and 1; found 90"),
    ],
)
def test_a_combination_that_makes_no_sense_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Combination(**arguments)


def test_names_are_whole_names_unless_they_are_patterns() -> None:
    there = ["w", "mu_1", "mu_10", "mu_2", "muF_1"]
    assert pick_members(Combination("envelope", ("mu_1",)), there, "f") == ("mu_1",)
    assert pick_members(Combination("envelope", ("mu_*", "w")), there, "f") == ("mu_1", "mu_10", "mu_2", "w")
    with pytest.raises(InputError, match="f: no weight 'mu'; did you mean mu_2"):
        pick_members(Combination("envelope", ("mu",)), there, "f")
    with pytest.raises(InputError, match="once in a family; found mu_1 several times"):
        pick_members(Combination("envelope", ("mu_1", "mu_*")), there, "f")


def test_a_name_that_looks_like_a_pattern_is_a_name() -> None:
    assert pick_members(Combination("envelope", ("MUR[1]",)), ["MUR1", "MUR[1]"], "f") == ("MUR[1]",)


@pytest.fixture
def theory() -> Theory:
    rng = np.random.default_rng(4)
    size = 500
    x = rng.normal(0, 1, size)
    weights = rng.gamma(4, 1 / 4 / size, size)
    scales = weights[:, np.newaxis] * (1 + np.outer(x, [0.1, -0.08]) + [0.02, -0.05])
    pdf = weights[:, np.newaxis] * (1 + 0.05 * rng.normal(0, 1, (1, 6)) * x[:, np.newaxis] ** 2)
    families = {
        "scales": Family(Combination("envelope"), ("up", "down"), scales),
        "pdf": Family(Combination("replicas"), tuple("abcdef"), pdf),
    }
    columns = {"x": x, "y": rng.exponential(30, size)}
    return Theory.from_arrays(columns, weights, unit="pb", name="varied", families=families)


def histogram(theory: Theory, weights: NDArray[Any]) -> NDArray[Any]:
    parts = [
        np.histogram(theory.events[name].astype(float), edges, weights=weights)[0]
        for name, edges in (("x", X_EDGES), ("y", Y_EDGES))
    ]
    return np.concatenate(parts)


def test_the_covariance_of_a_prediction_has_all_of_it(release: Release, theory: Theory) -> None:
    joint = release.measure({"x": X_EDGES, "y": Y_EDGES})
    found = theory.prediction(joint)
    assert found.components == ("statistics", "scales", "pdf")
    for name, family in theory.families.items():
        members = np.array([histogram(theory, column) for column in family.weights.T])
        np.testing.assert_allclose(found.members(name), members, rtol=1e-9)
        expected = combine(name, family.combination, members, found.nominal).covariance
        np.testing.assert_allclose(found.covariance(name), expected, rtol=1e-9, atol=1e-18)
        np.testing.assert_allclose(found.shifts(name).T @ found.shifts(name), found.covariance(name), atol=1e-18)
    without = replace(theory, families={}).predict(joint)[1]
    np.testing.assert_allclose(found.covariance("statistics"), without, rtol=1e-12)
    values, total = theory.predict(joint)
    np.testing.assert_allclose(values, histogram(theory, theory.weights), rtol=1e-9)
    np.testing.assert_allclose(total, sum(found.covariance(name) for name in found.components), rtol=1e-12)
    np.testing.assert_allclose(found.uncertainties(), np.sqrt(np.diag(total)))


def test_a_nuisance_moves_the_bins_of_all_observables_together(release: Release, theory: Theory) -> None:
    found = theory.prediction(release.measure({"x": X_EDGES, "y": Y_EDGES}))
    (shift,) = found.shifts("scales")
    assert shift[0] * shift[3] < 0  # signed: weights that rise with x
    block = found.covariance("scales")[:4, 4:]
    np.testing.assert_allclose(block, np.outer(shift[:4], shift[4:]), rtol=1e-12)
    low, high = found.band("scales")
    np.testing.assert_allclose((high - low) / 2, np.abs(shift), rtol=1e-12)


def test_the_uncertainty_of_a_theory_counts_in_the_test(release: Release, theory: Theory) -> None:
    measurement = release.measure("x", X_EDGES)
    assert compare(measurement, theory).test.chi2 < compare(measurement, replace(theory, families={})).test.chi2


def test_what_there_is_not_is_named(release: Release, theory: Theory) -> None:
    found = theory.prediction(release.measure("x", X_EDGES))
    with pytest.raises(ObservableError, match="varied: no component 'scale'; there are statistics, scales, pdf"):
        found.covariance("scale")
    with pytest.raises(ObservableError, match="'statistics' is no family of weights; families: scales, pdf"):
        found.shifts("statistics")
    with pytest.raises(ObservableError, match="'statistics' has no members"):
        found.band("statistics")


ONES = np.ones((3, 2))


@pytest.mark.parametrize(
    ("combination", "weights", "message"),
    [
        (
            Combination("envelope"),
            np.ones((2, 2)),
            r"weights\[event, member\] of 3 events and 2 members; found .*\(2, 2\)",
        ),
        (Combination("envelope"), np.ones(3), "found an array of shape"),
        (Combination("envelope"), ONES * [1, np.nan], "member 'b' are not finite"),
        (Combination("envelope"), ONES * [1, -1], "member 'b' sum to -3; expected above 0"),
        (Combination("replicas"), np.ones((3, 1)), "expected at least 2; found 1"),
        (Combination("hessian", paired=True), np.ones((3, 1)), "expected an even number of members; found 1"),
    ],
    ids=["events", "axes", "nan", "negative", "replicas", "pairs"],
)
def test_families_that_do_not_fit_are_refused(combination: Combination, weights: Any, message: str) -> None:
    names = ("a", "b")[: weights.shape[1] if weights.ndim == 2 else 1]
    with pytest.raises(InputError, match=message):
        Theory.from_arrays(
            {"x": np.ones(3)}, np.ones(3), unit="pb", families={"f": Family(combination, names, weights)}
        )


@pytest.mark.parametrize(
    ("family", "message"),
    [
        (ONES, "family 'f': expected a Family, with an array of weights; found array"),
        (Family(Combination("envelope"), ("a",), [[1.0]] * 3), r"found \[\[1.0\]"),  # type: ignore[arg-type]
        (Family(Combination("envelope"), ("a", "a"), ONES), "members with names of their own; found a again"),
    ],
    ids=["array", "list", "names"],
)
def test_what_is_no_family_is_refused(family: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Theory.from_arrays({"x": np.ones(3)}, np.ones(3), unit="pb", families={"f": family})


def test_a_family_cannot_take_the_name_of_the_statistics() -> None:
    family = Family(Combination("envelope"), ("a", "b"), ONES)
    with pytest.raises(InputError, match="cannot be called 'statistics'"):
        Theory.from_arrays({"x": np.ones(3)}, np.ones(3), unit="pb", families={"statistics": family})


def test_a_cross_section_scales_weights_and_families() -> None:
    family = Family(Combination("envelope"), ("a", "b"), ONES * [1.1, 0.9])
    theory = Theory.from_arrays(
        {"x": np.ones(3)}, np.full(3, 4.0), unit="pb", cross_section=6.0, families={"f": family}
    )
    assert theory.weights.tolist() == [2, 2, 2]
    np.testing.assert_allclose(theory.families["f"].weights, 0.5 * family.weights)


@pytest.mark.parametrize(
    ("unit", "cross_section", "message"),
    [
        ("barn", None, "unit: expected 'pb', 'fb', or None"),
        (None, 1.0, "cross_section: expected its unit too"),
        ("pb", -1.0, "cross section in pb, above 0; found -1"),
        ("pb", 0.0, "above 0; found 0"),
        ("pb", np.nan, "above 0; found nan"),
        ("pb", "1.2", "above 0; found '1.2'"),
    ],
)
def test_a_cross_section_that_is_none_is_refused(unit: Any, cross_section: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Theory.from_arrays({"x": np.ones(3)}, np.ones(3), unit=unit, cross_section=cross_section)


def test_without_a_cross_section_only_shapes_are_compared(release: Release, theory: Theory) -> None:
    free = Theory.from_arrays(dict(theory.events), 7 * theory.weights, unit=None, name="free")
    measurement = release.measure("x", X_EDGES)
    assert not free.has_cross_section
    with pytest.raises(InputError, match=r"free: has no cross section, so that it can only be compared in shape"):
        free.predict(measurement)
    with pytest.raises(InputError, match="only be compared in shape"):
        free.predict(release.measure({"p": Profile("y", "x", X_EDGES), "x": Histogram("x", X_EDGES)}))
    values, covariance = free.predict(measurement, shape=True)
    assert not free.prediction(measurement, shape=True).has_cross_section
    there, _ = theory.predict(measurement)
    np.testing.assert_allclose(values / values.sum(), there / there.sum())
    shape = measurement.chi2(values, covariance, shape_only=True)
    normalised = release.measure("x", X_EDGES, normalise=True)
    np.testing.assert_allclose(free.predict(normalised)[0], theory.predict(normalised)[0])
    scaled = replace(theory, families={}).predict(measurement)
    assert shape.chi2 == pytest.approx(measurement.chi2(*scaled, shape_only=True).chi2, rel=1e-9)
