from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from omnifold_pub.errors import StatisticsError
from omnifold_pub.statistics import inference
from omnifold_pub.statistics.components import Component, ComponentResult, Kind
from omnifold_pub.statistics.inference import Chi2, chi2_test

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
    assert chi2_test(np.zeros(2), parts) == Chi2(0.0, 2, 1.0, 10, "simulation")


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


NOMINAL_RATE = 0.05


def rejections(bins: int, replicas: int, ratio: float, experiments: int, monkeypatch: pytest.MonkeyPatch) -> float:
    """Return how often a true prediction is rejected at 5 %; ratio is that of the analytic part to the replicas'."""
    monkeypatch.setattr(inference, "_TOYS", 99)
    rng = np.random.default_rng(20 * bins + replicas)
    estimated = correlated(bins)
    known = ratio * np.diag(np.diag(estimated))
    rejected = 0
    for _ in range(experiments):
        monkeypatch.setattr(inference, "_TOY_SEED", int(rng.integers(2**32)))
        parts = [replica_part(draw(rng, estimated, replicas))] + ([analytic(known)] if ratio else [])
        rejected += chi2_test(draw(rng, estimated + known, 1)[0], parts).p_value <= NOMINAL_RATE
    return rejected / experiments


def allowed(experiments: int) -> float:
    return 3 * float(np.sqrt(NOMINAL_RATE * (1 - NOMINAL_RATE) / experiments))


@pytest.mark.parametrize("replicas", [25, 100])
@pytest.mark.parametrize("bins", [5, 14])
def test_hotelling_s_p_value_has_its_coverage(bins: int, replicas: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rate = rejections(bins, replicas, 0.0, 4000, monkeypatch)
    assert rate == pytest.approx(NOMINAL_RATE, abs=allowed(4000))


@pytest.mark.slow
@pytest.mark.parametrize("ratio", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("replicas", [25, 100])
@pytest.mark.parametrize("bins", [5, 14])
def test_a_simulated_p_value_has_its_coverage(
    bins: int, replicas: int, ratio: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    rate = rejections(bins, replicas, ratio, 1500, monkeypatch)
    assert rate == pytest.approx(NOMINAL_RATE, abs=allowed(1500))


@pytest.mark.slow
@pytest.mark.parametrize("ratio", [0.1, 1.0])
def test_fewer_replicas_than_bins_have_their_coverage_beside_an_analytic_part(
    ratio: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    rate = rejections(14, 10, ratio, 1500, monkeypatch)
    assert rate == pytest.approx(NOMINAL_RATE, abs=allowed(1500))


@pytest.mark.slow
def test_two_replica_parts_have_their_coverage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "_TOYS", 99)
    rng = np.random.default_rng(33)
    experiments, rejected = 1500, 0
    for _ in range(experiments):
        monkeypatch.setattr(inference, "_TOY_SEED", int(rng.integers(2**32)))
        parts = [replica_part(draw(rng, correlated(5), 25)), replica_part(draw(rng, correlated(5), 50))]
        rejected += chi2_test(draw(rng, 2 * correlated(5), 1)[0], parts).p_value <= NOMINAL_RATE
    assert rejected / experiments == pytest.approx(NOMINAL_RATE, abs=allowed(experiments))
