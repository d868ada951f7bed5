from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from omnifold_pub.errors import StatisticsError
from omnifold_pub.statistics.components import Component, ComponentResult, Kind
from omnifold_pub.statistics.inference import Chi2, chi2_test, squared_distance

Matrix = NDArray[np.float64]


def analytic(covariance: Matrix) -> ComponentResult:
    return ComponentResult(Component("sampling", "event_sampling"), np.empty((0, len(covariance))), covariance)


def shift(vector: Matrix) -> ComponentResult:
    members = vector[np.newaxis]
    return ComponentResult(Component("shift", "variation", members=1), members, np.outer(vector, vector))


def replica_part(members: Matrix, kind: Kind = "bootstrap") -> ComponentResult:
    covariance = np.atleast_2d(np.cov(members.T))
    return ComponentResult(Component("replicas", kind, members=len(members)), members, covariance)


def correlated(bins: int, strength: float = 0.6) -> Matrix:
    """Covariance of neighbouring bins, of errors that span a factor of ten."""
    position = np.arange(bins)
    errors = 10.0 ** np.linspace(0, 1, bins)
    matrix: Matrix = strength ** np.abs(position[:, np.newaxis] - position) * np.outer(errors, errors)
    return matrix


def draw(rng: np.random.Generator, covariance: Matrix, count: int) -> Matrix:
    sample: Matrix = rng.standard_normal((count, len(covariance))) @ np.linalg.cholesky(covariance).T
    return sample


@pytest.mark.parametrize("bins", [1, 3, 14])
def test_an_analytic_covariance_has_a_chi2_distribution(bins: int) -> None:
    covariance = correlated(bins)
    residual = draw(np.random.default_rng(1), covariance, 1)[0]
    result = chi2_test(residual, [analytic(covariance)])
    expected = float(residual @ np.linalg.inv(covariance) @ residual)
    assert result.chi2 == pytest.approx(expected, rel=1e-10)
    assert result.p_value == pytest.approx(stats.chi2.sf(expected, bins), rel=1e-9)
    assert (result.method, result.bins, result.replicas) == ("chi2", bins, 0)


def test_one_bin_in_closed_form() -> None:
    result = chi2_test(np.array([2.0]), [analytic(np.array([[1.0]]))])
    assert result.chi2 == pytest.approx(4)
    assert result.p_value == pytest.approx(0.04550026389635842, rel=1e-12)


def test_components_and_the_prediction_s_covariance_add_up() -> None:
    parts = [correlated(3), np.outer([1.0, 2, 3], [1.0, 2, 3]), np.diag([1.0, 4, 9])]
    residual = np.array([3.0, -1.0, 2.0])
    result = chi2_test(residual, [analytic(parts[0]), shift(np.array([1.0, 2, 3]))], extra=parts[2])
    assert result.chi2 == pytest.approx(residual @ np.linalg.solve(sum(parts), residual), rel=1e-12)
    assert result.method == "chi2"


def test_a_prediction_s_covariance_may_be_all_there_is() -> None:
    assert chi2_test(np.array([1.0, 1.0]), [], extra=np.eye(2)).chi2 == pytest.approx(2)


@pytest.mark.parametrize(("bins", "replicas"), [(1, 2), (5, 25), (14, 25), (14, 100), (4, 6)])
def test_replicas_alone_have_hotelling_s_distribution(bins: int, replicas: int) -> None:
    rng = np.random.default_rng(2)
    part = replica_part(draw(rng, correlated(bins), replicas))
    residual = draw(rng, correlated(bins), 1)[0]
    result = chi2_test(residual, [part])
    f = result.chi2 * (replicas - bins) / (bins * (replicas - 1))
    assert result.p_value == pytest.approx(stats.f.sf(f, bins, replicas - bins), rel=1e-9)
    assert (result.method, result.replicas) == ("hotelling", replicas)


def test_one_bin_of_replicas_is_student_s_t_test() -> None:
    members = np.array([[1.0], [2.0], [4.0], [3.0], [7.0]])
    result = chi2_test(np.array([3.0]), [replica_part(members)])
    t = 3.0 / members.std(ddof=1)
    assert result.p_value == pytest.approx(2 * stats.t.sf(t, 4), rel=1e-10)


def test_the_mean_of_an_ensemble_has_hotelling_s_one_sample_test() -> None:
    members = np.random.default_rng(8).normal(0.3, 1, (12, 3))
    result = ComponentResult(Component("e", "ensemble", members=12), members, np.cov(members.T) / 12)
    expected = 12 * members.mean(axis=0) @ np.linalg.solve(np.cov(members.T), members.mean(axis=0))
    test = chi2_test(members.mean(axis=0), [result])
    assert test.chi2 == pytest.approx(expected, rel=1e-12)
    assert test.p_value == pytest.approx(stats.f.sf(expected * 9 / (3 * 11), 3, 9), rel=1e-9)


def test_many_replicas_approach_the_chi2_distribution() -> None:
    rng = np.random.default_rng(3)
    part = replica_part(draw(rng, correlated(3), 20_000))
    residual = draw(rng, correlated(3), 1)[0]
    result = chi2_test(residual, [part])
    assert result.p_value == pytest.approx(stats.chi2.sf(result.chi2, 3), rel=5e-3)


def test_a_sum_of_analytic_and_replica_parts_is_simulated() -> None:
    rng = np.random.default_rng(4)
    parts = [
        analytic(correlated(4)),
        replica_part(draw(rng, correlated(4), 30)),
        replica_part(rng.normal(size=(20, 4))),
    ]
    result = chi2_test(np.ones(4), parts)
    assert (result.method, result.replicas) == ("simulation", 20)


def test_a_prediction_s_covariance_makes_a_replica_part_a_sum() -> None:
    part = replica_part(np.random.default_rng(5).normal(size=(30, 3)))
    assert chi2_test(np.ones(3), [part], extra=np.eye(3)).method == "simulation"


def test_the_same_question_has_the_same_answer() -> None:
    rng = np.random.default_rng(6)
    parts = [analytic(correlated(3)), replica_part(draw(rng, correlated(3), 15))]
    assert chi2_test(np.array([1.0, 3, 9]), parts) == chi2_test(np.array([1.0, 3, 9]), parts)


def test_a_simulated_p_value_is_never_zero_and_at_most_one() -> None:
    parts = [analytic(np.eye(2)), replica_part(np.random.default_rng(7).normal(size=(10, 2)))]
    assert 0 < chi2_test(np.full(2, 1e6), parts).p_value < 1e-4
    assert chi2_test(np.zeros(2), parts) == Chi2(0.0, 2, 2, 2, 10, 1.0, "simulation")


def test_a_simulation_with_a_negligible_replica_part_is_a_chi2_distribution() -> None:
    rng = np.random.default_rng(9)
    parts = [analytic(correlated(5)), replica_part(1e-4 * draw(rng, correlated(5), 25))]
    result = chi2_test(2 * draw(rng, correlated(5), 1)[0], parts)
    expected = float(stats.chi2.sf(result.chi2, 5))
    assert result.p_value == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / 20_000))


def test_a_simulation_with_a_negligible_analytic_part_is_hotelling_s_test() -> None:
    rng = np.random.default_rng(10)
    part = replica_part(draw(rng, correlated(5), 25))
    residual = 1.5 * draw(rng, correlated(5), 1)[0]
    expected = chi2_test(residual, [part]).p_value
    result = chi2_test(residual, [part, analytic(1e-7 * correlated(5))])
    assert result.method == "simulation"
    assert result.p_value == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / 20_000))


@pytest.mark.parametrize("decades", [2, 5, 8])
@pytest.mark.parametrize("mixed", [False, True])
def test_the_units_of_the_bins_do_not_matter(decades: float, *, mixed: bool) -> None:
    rng = np.random.default_rng(11)
    units = 10.0 ** np.linspace(0, -decades, 6)
    members, residual = rng.normal(size=(40, 6)), np.array([0.8, -1.5, 1.2, 1.4, -0.5, 1.9])

    def test(scale: Matrix) -> Chi2:
        parts = [replica_part(members * scale)] + ([analytic(np.diag(scale**2))] if mixed else [])
        return chi2_test(residual * scale, parts)

    expected, result = test(np.ones(6)), test(units)
    assert result.chi2 == pytest.approx(expected.chi2, rel=1e-6)
    p = expected.p_value
    assert result.p_value == pytest.approx(p, abs=5 * np.sqrt(2 * p * (1 - p) / 20_000) if mixed else 1e-6)


@pytest.mark.parametrize("replicas", [2, 5, 10])
def test_fewer_replicas_than_bins_are_refused(replicas: int) -> None:
    part = replica_part(np.random.default_rng(12).normal(size=(replicas, 10)))
    message = f"covariance of 10 bins has rank {replicas - 1} and cannot be inverted; merge bins down to {replicas - 1}"
    with pytest.raises(StatisticsError, match=message):
        chi2_test(np.ones(10), [part])


def test_one_replica_more_than_bins_is_enough() -> None:
    part = replica_part(np.random.default_rng(13).normal(size=(11, 10)))
    assert 0 < chi2_test(np.ones(10), [part]).p_value < 1


def test_few_replicas_are_enough_beside_an_analytic_part() -> None:
    part = replica_part(np.random.default_rng(14).normal(size=(3, 10)))
    assert 0 < chi2_test(np.ones(10), [part, analytic(np.eye(10))]).p_value < 1


def test_a_normalised_spectrum_is_refused() -> None:
    projector = np.eye(4) - np.full((4, 4), 0.25)
    with pytest.raises(StatisticsError, match="4 bins has rank 3"):
        chi2_test(np.ones(4), [analytic(projector @ np.diag([1.0, 2, 3, 4]) @ projector.T)])


def test_bins_of_very_different_size_are_not_taken_for_a_low_rank() -> None:
    variances = 10.0 ** -np.arange(0, 28, 2)
    result = chi2_test(np.sqrt(variances), [analytic(np.diag(variances))])
    assert result.chi2 == pytest.approx(14)


def test_a_bin_without_uncertainty_is_refused() -> None:
    with pytest.raises(StatisticsError, match=r"bin 1 has no uncertainty at all.* merge it with a neighbour"):
        chi2_test(np.ones(3), [analytic(np.diag([1.0, 0.0, 1.0]))])


def test_no_component_at_all_is_refused() -> None:
    with pytest.raises(StatisticsError, match="no component is left"):
        chi2_test(np.ones(2), [])


def two_point(vector: Matrix, name: str = "model") -> ComponentResult:
    members = vector[np.newaxis]
    return ComponentResult(Component(name, "two_point", members=1), members, np.outer(vector, vector))


@settings(deadline=None, max_examples=40)
@given(bins=st.integers(1, 6), more=st.integers(2, 20), seed=st.integers(0, 2**32 - 1))
def test_hotelling_s_p_value_knows_of_no_basis(bins: int, more: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    members, residual = rng.normal(size=(bins + more, bins)), rng.normal(size=bins)
    mixing = np.linalg.qr(rng.normal(size=(bins, bins)))[0] @ np.diag(10.0 ** rng.uniform(-2, 2, bins))
    first = chi2_test(residual, [replica_part(members)])
    second = chi2_test(residual @ mixing, [replica_part(members @ mixing)])
    assert second.chi2 == pytest.approx(first.chi2, rel=1e-5)
    assert second.p_value == pytest.approx(first.p_value, rel=1e-4, abs=1e-9)


@settings(deadline=None, max_examples=15)
@given(bins=st.integers(2, 6), seed=st.integers(0, 2**32 - 1))
def test_the_order_of_bins_and_the_components_does_not_matter(bins: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    order = rng.permutation(bins)
    members, residual = rng.normal(size=(25, bins)), rng.normal(size=bins)
    known = correlated(bins)
    one = chi2_test(residual, [replica_part(members), analytic(known)], toys=4000)
    other = chi2_test(
        residual[order], [analytic(known[np.ix_(order, order)]), replica_part(members[:, order])], toys=4000
    )
    assert other.chi2 == pytest.approx(one.chi2, rel=1e-9)
    error = np.sqrt(2 * one.p_value * (1 - one.p_value) / 4000)
    assert other.p_value == pytest.approx(one.p_value, abs=6 * error + 5e-4)


@settings(deadline=None, max_examples=40)
@given(bins=st.integers(1, 8), seed=st.integers(0, 2**32 - 1))
def test_chi2_is_the_sum_that_is_written_out_by_hand(bins: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    matrix, residual = rng.normal(size=(bins, 2 * bins)), rng.normal(size=bins)
    inverse = np.linalg.inv(matrix @ matrix.T)
    by_hand = sum(residual[i] * inverse[i, j] * residual[j] for i in range(bins) for j in range(bins))
    assert squared_distance(residual, matrix @ matrix.T) == pytest.approx(by_hand, rel=1e-6)
    assert chi2_test(residual, [analytic(matrix @ matrix.T)]).chi2 == pytest.approx(by_hand, rel=1e-6)


def test_p_values_of_replicas_alone_are_uniform() -> None:
    rng = np.random.default_rng(15)
    p_values = [
        chi2_test(draw(rng, correlated(8), 1)[0], [replica_part(draw(rng, correlated(8), 12))]).p_value
        for _ in range(1500)
    ]
    assert stats.kstest(p_values, "uniform").pvalue > 1e-4


def test_parts_that_are_zero_are_no_parts() -> None:
    part = replica_part(np.random.default_rng(16).normal(size=(12, 3)))
    nothing = shift(np.zeros(3))
    expected = chi2_test(np.ones(3), [part])
    assert chi2_test(np.ones(3), [nothing, part], np.zeros((3, 3))) == expected
    assert expected.method == "hotelling"


def test_a_two_point_can_be_decorrelated() -> None:
    vector, residual = np.array([1.0, -2.0, 3.0]), np.array([1.0, 1.0, 1.0])
    parts = [analytic(np.eye(3)), two_point(vector), shift(np.ones(3))]
    result = chi2_test(residual, parts, decorrelate=["model"])
    total = np.eye(3) + np.diag(vector**2) + np.ones((3, 3))
    assert result.chi2 == pytest.approx(residual @ np.linalg.solve(total, residual), rel=1e-12)
    assert result.chi2 != pytest.approx(chi2_test(residual, parts).chi2, rel=1e-3)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("modle", "no component 'modle' to decorrelate.*did you mean model"),
        ("shift", "'shift' is of kind variation; only"),
    ],
)
def test_only_two_points_can_be_decorrelated(name: str, message: str) -> None:
    parts = [analytic(np.eye(3)), two_point(np.ones(3)), shift(np.ones(3))]
    with pytest.raises(StatisticsError, match=message):
        chi2_test(np.ones(3), parts, decorrelate=[name])


PROJECTOR = np.eye(4) - np.full((4, 4), 0.25)


def test_the_pseudo_inverse_of_an_analytic_covariance() -> None:
    residual = PROJECTOR @ np.array([1.0, 2, -1, 3])
    result = chi2_test(residual, [analytic(2 * PROJECTOR)], pseudo_inverse=True)
    expected = float(residual @ np.linalg.pinv(2 * PROJECTOR) @ residual)
    assert result.chi2 == pytest.approx(expected, rel=1e-10)
    assert (result.bins, result.dof, result.rank, result.method) == (4, 3, 3, "chi2")
    assert result.p_value == pytest.approx(stats.chi2.sf(expected, 3), rel=1e-9)


def test_the_pseudo_inverse_of_replicas_that_are_enough_is_hotelling_s_of_its_rank() -> None:
    rng = np.random.default_rng(17)
    members, residual = rng.normal(size=(12, 3)), rng.normal(size=3)
    basis = np.linalg.qr(rng.normal(size=(5, 3)))[0].T  # three directions of five bins
    expected = chi2_test(residual, [replica_part(members)])
    result = chi2_test(residual @ basis, [replica_part(members @ basis)], pseudo_inverse=True)
    assert result.chi2 == pytest.approx(expected.chi2, rel=1e-9)
    assert result.p_value == pytest.approx(expected.p_value, rel=1e-9)
    assert (result.bins, result.dof, result.rank, result.method) == (5, 3, 3, "hotelling")


def test_the_pseudo_inverse_of_a_sum_is_simulated_in_its_directions() -> None:
    rng = np.random.default_rng(18)
    members, residual = rng.normal(size=(25, 3)), rng.normal(size=3)
    basis = np.linalg.qr(rng.normal(size=(5, 3)))[0].T
    expected = chi2_test(residual, [replica_part(members), analytic(np.eye(3))])
    parts = [replica_part(members @ basis), analytic(basis.T @ basis)]
    result = chi2_test(residual @ basis, parts, pseudo_inverse=True)
    assert (result.method, result.dof) == ("simulation", 3)
    assert result.chi2 == pytest.approx(expected.chi2, rel=1e-9)
    assert result.p_value == pytest.approx(expected.p_value, abs=0.02)


def test_the_pseudo_inverse_of_too_few_replicas_has_no_p_value() -> None:
    part = replica_part(np.random.default_rng(19).normal(size=(5, 10)))
    for parts in ([part], [part, shift(np.ones(10))]):
        with pytest.raises(
            StatisticsError, match=r"'replicas' has 5 replicas, enough for rank 4: .* no honest p-value"
        ):
            chi2_test(np.ones(10), parts, pseudo_inverse=True)


def test_the_pseudo_inverse_leaves_out_bins_without_uncertainty() -> None:
    result = chi2_test(np.array([2.0, 5.0]), [analytic(np.diag([1.0, 0.0]))], pseudo_inverse=True)
    assert result.chi2 == pytest.approx(4)
    assert result.dof == 1
    with pytest.raises(StatisticsError, match="no uncertainty at all"):
        chi2_test(np.ones(2), [analytic(np.zeros((2, 2)))], pseudo_inverse=True)


def test_the_pseudo_inverse_of_an_invertible_matrix_is_its_inverse() -> None:
    parts = [analytic(correlated(4)), replica_part(np.random.default_rng(20).normal(size=(20, 4)))]
    assert chi2_test(np.ones(4), parts, pseudo_inverse=True) == chi2_test(np.ones(4), parts)


def test_bins_to_merge_are_named() -> None:
    pair = np.eye(5)
    pair[1, 3] = pair[3, 1] = 1
    with pytest.raises(StatisticsError, match=r"5 bins has rank 4 .* \(bins 1, 3 with each other"):
        chi2_test(np.ones(5), [analytic(pair)])
    part = replica_part(np.random.default_rng(21).normal(size=(9, 10)))
    few = np.array([9.0, 9, 1, 9, 9, 9, 2, 9, 9, 9])
    with pytest.raises(
        StatisticsError, match=r"bins 2, 6, which have the fewest .*'replicas' has 9 replicas, enough for"
    ):
        chi2_test(np.ones(10), [part], effective_events=few)


def test_effective_events_are_passed_on() -> None:
    events = np.array([100.0, 50.0])
    result = chi2_test(np.ones(2), [analytic(np.eye(2))], effective_events=events)
    assert result.effective_events is not None
    np.testing.assert_array_equal(result.effective_events, events)
    assert chi2_test(np.ones(2), [analytic(np.eye(2))]).effective_events is None


BAD = np.array([[1.0, 0.5], [0.2, 1.0]])


@pytest.mark.parametrize(
    ("residual", "extra", "message"),
    [
        (np.array([1.0, np.nan]), None, "the residual is nan in bin 1"),
        (np.array([np.inf, 1.0]), None, "the residual is inf in bin 0"),
        (np.ones((2, 1)), None, r"the residual has shape \(2, 1\)"),
        (np.ones(0), None, r"the residual has shape \(0,\)"),
        (np.ones(2), np.eye(3), r"covariance of the prediction has shape \(3, 3\); expected \(2, 2\)"),
        (np.ones(2), np.diag([1.0, np.inf]), r"covariance of the prediction is inf at \(1, 1\)"),
        (np.ones(2), BAD, r"covariance of the prediction is not symmetric: 0.5 at \(0, 1\), 0.2 at \(1, 0\)"),
        (np.ones(2), np.diag([1.0, -1.0]), "has the variance -1 in bin 1"),
        (np.ones(2), np.array([[1.0, 2.0], [2.0, 1.0]]), "is no covariance: .* lowest eigenvalue is -1"),
        (np.ones(3), None, r"covariance of component 'sampling' has shape \(2, 2\); expected \(3, 3\)"),
    ],
)
def test_what_makes_no_sense_is_refused(residual: Matrix, extra: Matrix | None, message: str) -> None:
    with pytest.raises(StatisticsError, match=message):
        chi2_test(residual, [analytic(np.eye(2))], extra)


def test_effective_events_of_another_number_of_bins_are_refused() -> None:
    with pytest.raises(StatisticsError, match=r"effective events have shape \(3,\); expected one number for each of 2"):
        chi2_test(np.ones(2), [analytic(np.eye(2))], effective_events=np.ones(3))


def test_large_tests_take_fewer_pseudo_experiments() -> None:
    rng = np.random.default_rng(22)
    parts = [analytic(np.eye(60)), replica_part(rng.normal(size=(25, 60)))]
    start = time.perf_counter()
    result = chi2_test(rng.normal(size=60), parts)
    assert 0 < result.p_value < 1
    assert time.perf_counter() - start < 30  # two seconds on an idle core
    assert (result.p_value * 5001) == pytest.approx(round(result.p_value * 5001), abs=1e-6)
