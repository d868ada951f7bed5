from __future__ import annotations

import copy
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as stnp
from numpy.typing import NDArray

from omnifold_pub.errors import StatisticsError
from omnifold_pub.statistics.components import (
    REPLICA_KINDS,
    CentralRule,
    Component,
    ComponentResult,
    Kind,
    component_covariance,
    covariance_convention,
)

Matrix = NDArray[np.float64]

BINS = 4
NOMINAL = np.array([10.0, 5.0, 0.0, -2.0])


def make_members(count: int, seed: int = 1) -> Matrix:
    return NOMINAL + np.random.default_rng(seed).normal(0.5, 1, (count, BINS)) @ np.tri(BINS)


def covariance(kind: Kind, members: Matrix, *, central: CentralRule = "mean", **declared: Any) -> Matrix:
    return component_covariance(Component("c", kind, **declared), members, NOMINAL[: members.shape[1]], central=central)


def loop(members: Matrix, centre: Matrix, norm: float) -> Matrix:
    """Sum of outer products, element by element."""
    bins = members.shape[1]
    total = np.zeros((bins, bins))
    for member in members:
        for i in range(bins):
            for j in range(bins):
                total[i, j] += (member[i] - centre[i]) * (member[j] - centre[j]) / norm
    return total


@pytest.mark.parametrize("kind", ["bootstrap", "event_sampling"])
@pytest.mark.parametrize("replicas", [2, 3, 50])
def test_replicas_have_their_sample_covariance(kind: Kind, replicas: int) -> None:
    members = make_members(replicas)
    result = covariance(kind, members)
    np.testing.assert_allclose(result, np.cov(members.T), rtol=1e-12)
    np.testing.assert_allclose(result, loop(members, members.mean(axis=0), replicas - 1), rtol=1e-12)


def test_a_bootstrap_s_bias_is_not_in_its_covariance() -> None:
    members = make_members(20)
    np.testing.assert_allclose(covariance("bootstrap", members + 1000), covariance("bootstrap", members), rtol=1e-9)


def test_two_replicas_in_closed_form() -> None:
    assert covariance("bootstrap", np.array([[1.0], [4.0]])) == pytest.approx(np.array([[4.5]]))


@pytest.mark.parametrize(("central", "factor"), [("mean", 1 / 9), ("median", np.pi / 18), ("single", 1.0)])
def test_an_ensemble_s_covariance_is_that_of_its_central_value(central: CentralRule, factor: float) -> None:
    members = make_members(9)
    np.testing.assert_allclose(covariance("ensemble", members, central=central), factor * np.cov(members.T), rtol=1e-12)


def test_one_variation_is_fully_correlated_and_signed() -> None:
    shifted = NOMINAL + np.array([1.0, -2.0, 0.0, 0.5])
    result = covariance("variation", shifted[np.newaxis])
    np.testing.assert_allclose(result, loop(shifted[np.newaxis], NOMINAL, 1), rtol=1e-12)
    assert result[0, 1] == -2


def test_a_pair_of_variations_is_half_their_difference() -> None:
    up, down = NOMINAL + np.array([1.0, 2.0, 3.0, 4.0]), NOMINAL - np.array([3.0, 0.0, 1.0, -2.0])
    half = (up - down) / 2
    np.testing.assert_allclose(covariance("variation", np.stack([up, down])), np.outer(half, half), rtol=1e-12)
    np.testing.assert_allclose(covariance("variation", np.stack([down, up])), np.outer(half, half), rtol=1e-12)


def test_a_pair_of_variations_to_the_same_side_does_not_count_twice() -> None:
    both = np.stack([NOMINAL + 3, NOMINAL + 3])
    np.testing.assert_array_equal(covariance("variation", both), np.zeros((BINS, BINS)))


def test_a_two_point_is_correlated_unless_declared_otherwise() -> None:
    shift = np.array([1.0, -2.0, 0.5, 0.0])
    members = (NOMINAL + shift)[np.newaxis]
    np.testing.assert_allclose(covariance("two_point", members), np.outer(shift, shift), rtol=1e-12)
    np.testing.assert_allclose(covariance("two_point", members, correlated=False), np.diag(shift**2), rtol=1e-12)


def test_only_a_two_point_can_be_uncorrelated() -> None:
    members = make_members(1)
    for kind in ("variation", "hessian", "scale"):
        uncorrelated = component_covariance(Component("c", kind, correlated=False), members, NOMINAL, central="mean")
        np.testing.assert_array_equal(uncorrelated, covariance(kind, members))


@pytest.mark.parametrize("count", [1, 2, 5])
def test_hessian_eigenvectors_add_in_quadrature(count: int) -> None:
    members = make_members(count)
    np.testing.assert_allclose(covariance("hessian", members), loop(members, NOMINAL, 1), rtol=1e-12)


def test_a_scale_is_its_relative_uncertainty_of_the_nominal() -> None:
    result = covariance("scale", (NOMINAL * 1.02)[np.newaxis])
    np.testing.assert_allclose(result, 0.02**2 * np.outer(NOMINAL, NOMINAL), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("kind", get_args(Kind))
def test_a_component_that_changes_nothing_has_no_covariance(kind: Kind) -> None:
    members = np.repeat(NOMINAL[np.newaxis], 2, axis=0)
    np.testing.assert_array_equal(covariance(kind, members), np.zeros((BINS, BINS)))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(data=st.data(), kind=st.sampled_from(get_args(Kind)), central=st.sampled_from(get_args(CentralRule)))
def test_covariances_are_symmetric_and_positive_semi_definite(
    data: st.DataObject, kind: Kind, central: CentralRule
) -> None:
    shape = data.draw(st.tuples(st.integers(2, 6), st.integers(1, 5)))
    elements = st.floats(-1e6, 1e6, width=32)
    members = data.draw(stnp.arrays(np.float64, shape, elements=elements))
    nominal = data.draw(stnp.arrays(np.float64, shape[1:], elements=elements))
    component = Component("c", kind, correlated=data.draw(st.booleans()))
    result = component_covariance(component, members, nominal, central=central)
    np.testing.assert_array_equal(result, result.T)
    assert np.linalg.eigvalsh(result).min() >= -1e-12 * np.trace(result)
    assert (np.diag(result) >= 0).all()


@settings(max_examples=100, deadline=None, derandomize=True)
@given(kind=st.sampled_from(get_args(Kind)), count=st.integers(2, 6), seed=st.integers(0, 1000))
def test_a_covariance_of_linear_statistics_transforms_as_one(kind: Kind, count: int, seed: int) -> None:
    members = make_members(count, seed)
    merge = np.array([[1.0, 1, 0, 0], [0, 0, 1, -1]])
    merged = component_covariance(Component("c", kind), members @ merge.T, merge @ NOMINAL, central="mean")
    np.testing.assert_allclose(merged, merge @ covariance(kind, members) @ merge.T, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", ["bootstrap", "ensemble", "event_sampling"])
@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_replicas_are_refused(kind: Kind, count: int) -> None:
    message = f"component 'c': a covariance needs at least 2 replicas; found {count}"
    with pytest.raises(StatisticsError, match=message):
        covariance(kind, make_members(count))


@pytest.mark.parametrize("kind", get_args(Kind))
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_statistic_that_is_not_finite_is_refused_with_its_member(kind: Kind, bad: float) -> None:
    members = make_members(4)
    members[2, 1] = bad
    members[3, 0] = bad
    with pytest.raises(StatisticsError, match=r"component 'c': .* not finite under member 2 \(2 in all\)"):
        covariance(kind, members)


@pytest.mark.parametrize("kind", ["variation", "two_point", "hessian", "scale"])
def test_a_nominal_that_is_not_finite_is_refused(kind: Kind) -> None:
    nominal = NOMINAL.copy()
    nominal[0] = np.nan
    with pytest.raises(StatisticsError, match="not finite"):
        component_covariance(Component("c", kind), make_members(1), nominal, central="mean")


def test_members_are_not_changed() -> None:
    members = make_members(5)
    before = members.copy()
    for kind in get_args(Kind):
        covariance(kind, members)
    np.testing.assert_array_equal(members, before)


def make_pseudo_experiments(count: int, replicas: int, seed: int) -> tuple[Matrix, Matrix]:
    """Return ``members[experiment, member, bin]`` and their covariance."""
    true = np.array([[1.0, 0.6, 0], [0.6, 2.0, -0.5], [0, -0.5, 0.3]])
    normal = np.random.default_rng(seed).standard_normal((count, replicas, 3))
    return normal @ np.linalg.cholesky(true).T, true


@pytest.mark.parametrize(
    ("central", "replicas", "tolerance"), [("mean", 5, 0.0), ("median", 201, 0.01), ("single", 5, 0.0)]
)
def test_an_ensemble_s_covariance_is_right_on_average(central: CentralRule, replicas: int, tolerance: float) -> None:
    count = 4000
    experiments, true = make_pseudo_experiments(count, replicas, seed=6)
    component = Component("ensemble", "ensemble", members=replicas)
    estimates = [component_covariance(component, members, np.zeros(3), central=central) for members in experiments]
    centre = {
        "mean": experiments.mean(axis=1),
        "median": np.median(experiments, axis=1),
        "single": experiments[:, 0],
    }[central]
    scale = np.sqrt(np.outer(np.diag(np.cov(centre.T)), np.diag(np.cov(centre.T))))
    spread = np.cov(centre.T) / scale
    estimated = np.mean(estimates, axis=0) / scale
    if central == "median":  # the factor pi/2 is that of variances; a median's correlations are weaker
        spread, estimated, true = np.diag(spread), np.diag(estimated), np.diag(true)
    np.testing.assert_allclose(estimated, spread, atol=5 * np.sqrt(2 / count) + tolerance)


def test_a_bootstrap_s_covariance_is_right_on_average() -> None:
    experiments, true = make_pseudo_experiments(4000, 5, seed=7)
    estimates = [covariance("bootstrap", members) for members in experiments]
    np.testing.assert_allclose(np.mean(estimates, axis=0), true, atol=5 * 2 * np.sqrt(2 / (4 * 4000)))


ESTIMATED = {"estimator": "s", "centre": "mean of the members", "divisor": "R - 1", "correlation": "estimated"}


def test_a_component_is_built_from_metadata_without_its_provenance() -> None:
    entry = {
        "name": "data_bootstrap",
        "kind": "bootstrap",
        "description": "statistics",
        "covariance": ESTIMATED,
        "members": 20,
        "resampled": "data",
        "includes_event_sampling": True,
        "seed": 5,
        "trainings_per_member": 3,
    }
    before = copy.deepcopy(entry)
    assert Component.from_metadata(entry) == Component(
        "data_bootstrap", "bootstrap", "statistics", members=20, includes_event_sampling=True, seed=5
    )
    assert entry == before


def test_metadata_need_only_name_kind_and_covariance() -> None:
    entry = {"name": "lumi", "kind": "scale", "relative_uncertainty": 0.02, "covariance": ESTIMATED}
    component = Component.from_metadata(entry)
    assert (component.members, component.correlated, component.relative_uncertainty) == (0, True, 0.02)
    assert (component.canvas, component.has_family) == (None, False)


def test_a_seed_may_be_unknown() -> None:
    entry = {"name": "b", "kind": "bootstrap", "members": 4, "seed": None, "covariance": ESTIMATED}
    assert Component.from_metadata(entry).seed is None


@pytest.mark.parametrize(("correlation", "correlated"), [("full", True), ("none", False), ("estimated", True)])
def test_a_two_point_is_correlated_as_its_covariance_says(correlation: str, *, correlated: bool) -> None:
    entry = {"name": "model", "kind": "two_point", "members": 1, "covariance": ESTIMATED | {"correlation": correlation}}
    assert Component.from_metadata(entry).correlated == correlated


def test_a_two_point_may_have_a_canvas_instead_of_a_family() -> None:
    entry = {"name": "generator", "kind": "two_point", "canvas": "sherpa", "covariance": ESTIMATED}
    component = Component.from_metadata(entry)
    assert (component.canvas, component.members, component.has_family) == ("sherpa", 0, False)


def test_a_component_has_a_family_if_it_has_members() -> None:
    assert Component("c", "hessian", members=3).has_family
    assert not Component("c", "scale", relative_uncertainty=0.02).has_family


def by_the_words(words: dict[str, str], members: NDArray[np.float64], nominal: NDArray[np.float64]) -> Any:
    """Do what the words of a convention say, to members that are not two."""
    assert words["estimator"] == "sum over members of (T_m - centre)(T_m - centre)^T / divisor"
    count = len(members)
    centre = {"mean of the members": members.sum(axis=0) / count, "nominal": nominal}[words["centre"]]
    divisor = {
        "1": 1.0,
        "R - 1": count - 1,
        "K - 1": count - 1,
        "K (K - 1)": count * (count - 1),
        "(2 / pi) K (K - 1)": 2 / np.pi * count * (count - 1),
    }[words["divisor"]]
    total = sum(np.outer(member - centre, member - centre) for member in members) / divisor
    return np.diag(np.diag(total)) if words["correlation"] == "none" else total


@pytest.mark.parametrize("central", get_args(CentralRule))
@pytest.mark.parametrize(
    ("kind", "members"), [("bootstrap", 6), ("ensemble", 6), ("hessian", 6), ("variation", 1), ("two_point", 1)]
)
def test_the_words_of_a_convention_are_what_is_computed(kind: Kind, members: int, central: CentralRule) -> None:
    sample, nominal = make_members(members), np.arange(BINS, dtype=float)
    words = covariance_convention({"kind": kind, "members": members}, central)
    computed = component_covariance(Component("c", kind, members=members), sample, nominal, central=central)
    np.testing.assert_allclose(computed, by_the_words(words, sample, nominal), rtol=1e-12)


def test_the_words_of_a_pair_are_what_is_computed() -> None:
    words = covariance_convention({"kind": "variation", "members": 2}, "mean")
    assert (words["estimator"], words["divisor"]) == ("(T_1 - T_2)(T_1 - T_2)^T / divisor", "4")
    pair = make_members(2)
    computed = component_covariance(Component("c", "variation", members=2), pair, np.zeros(BINS), central="mean")
    np.testing.assert_allclose(computed, np.outer(pair[0] - pair[1], pair[0] - pair[1]) / 4, rtol=1e-12)


def test_the_words_of_an_uncorrelated_two_point_are_what_is_computed() -> None:
    entry = {"name": "model", "kind": "two_point", "members": 1, "covariance": {"correlation": "none"}}
    words = covariance_convention(entry, "mean")
    assert words["correlation"] == "none"
    sample, nominal = make_members(1), np.arange(BINS, dtype=float)
    component = Component.from_metadata({**entry, "covariance": words})
    computed = component_covariance(component, sample, nominal, central="mean")
    np.testing.assert_allclose(computed, by_the_words(words, sample, nominal), rtol=1e-12)


@pytest.mark.parametrize("kind", get_args(Kind))
def test_replicas_are_counted_where_the_covariance_is_an_estimate(kind: Kind) -> None:
    result = ComponentResult(Component("c", kind), make_members(6), np.eye(BINS))
    assert result.replicas == (6 if kind in {*REPLICA_KINDS, "event_sampling"} else 0)


def test_an_analytic_event_sampling_has_no_replicas() -> None:
    assert ComponentResult(Component("c", "event_sampling"), np.empty((0, BINS)), np.eye(BINS)).replicas == 0
