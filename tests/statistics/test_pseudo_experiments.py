from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from omnifold_pub.statistics.pseudo_experiments import EstimatedPart, effective_freedom, simulated_p_value

Matrix = NDArray[np.float64]
TOYS = 20_000


def within(p_value: float, errors: float = 4.5) -> float:
    return errors * float(np.sqrt(p_value * (1 - p_value) / TOYS))


def spread(bins: int, seed: int) -> Matrix:
    factor = np.random.default_rng(seed).normal(size=(bins, 2 * bins))
    matrix: Matrix = factor @ factor.T
    return matrix


@pytest.mark.parametrize(("bins", "freedom"), [(1, 1), (1, 24), (3, 4), (5, 24), (14, 24), (14, 14)])
def test_replicas_alone_are_hotelling_s(bins: int, freedom: int) -> None:
    rest = freedom - bins + 1
    for expected in (0.5, 0.05):
        chi2 = stats.f.isf(expected, bins, rest) * freedom * bins / rest
        matrix = spread(bins, 1)
        found = simulated_p_value(chi2, matrix, [EstimatedPart(matrix, freedom)], toys=TOYS, seed=2)
        assert found == pytest.approx(expected, abs=within(expected))


@pytest.mark.parametrize("bins", [1, 5])
def test_a_negligible_estimate_leaves_the_chi2_distribution(bins: int) -> None:
    part = EstimatedPart(1e-6 * spread(bins, 3), 5)
    chi2 = stats.chi2.isf(0.05, bins)
    found = simulated_p_value(chi2, spread(bins, 4) + part.covariance, [part], toys=TOYS, seed=5)
    assert found == pytest.approx(0.05, abs=within(0.05))


def test_a_part_that_is_split_in_two_of_half_the_replicas_is_nearly_the_same() -> None:
    """(S1 + S2) / 2 of 20 replicas each is a Wishart matrix of 40: Hotelling's with 40 degrees of freedom."""
    matrix = np.eye(4)
    halves = [EstimatedPart(matrix / 2, 20), EstimatedPart(matrix / 2, 20)]
    assert effective_freedom(matrix, halves) == pytest.approx(40)
    chi2 = stats.f.isf(0.05, 4, 37) * 40 * 4 / 37
    assert simulated_p_value(chi2, matrix, halves, toys=TOYS, seed=6) == pytest.approx(0.05, abs=within(0.05))


def test_one_bin_has_the_degrees_of_freedom_of_welch_and_satterthwaite() -> None:
    variances, freedoms = np.array([1.0, 3.0, 0.5]), np.array([4, 9, 20])
    parts = [EstimatedPart(np.array([[v]]), int(f)) for v, f in zip(variances, freedoms, strict=True)]
    total = variances.sum() + 2.0  # and two of an analytic part
    expected = total**2 / (variances**2 / freedoms).sum()
    assert effective_freedom(np.array([[total]]), parts) == pytest.approx(expected, rel=1e-12)


def test_effective_freedom_is_written_out_by_hand_and_knows_of_no_basis() -> None:
    known, parts = spread(3, 7), [EstimatedPart(spread(3, 8), 11), EstimatedPart(spread(3, 9), 30)]
    total = known + parts[0].covariance + parts[1].covariance
    noise = 0.0
    for part in parts:
        share = part.covariance @ np.linalg.inv(total)
        noise += (np.trace(share @ share) + np.trace(share) ** 2) / part.freedom
    assert effective_freedom(total, parts) == pytest.approx(12 / noise, rel=1e-12)
    mix = np.random.default_rng(10).normal(size=(3, 3))
    mixed = [EstimatedPart(mix @ part.covariance @ mix.T, part.freedom) for part in parts]
    assert effective_freedom(mix @ total @ mix.T, mixed) == pytest.approx(12 / noise, rel=1e-9)


def test_fewer_replicas_than_bins_have_degrees_of_freedom_to_spare() -> None:
    estimate = np.diag([1.0, 1, 1, 0, 0, 0])
    assert effective_freedom(estimate + 1e-9 * np.eye(6), [EstimatedPart(estimate, 3)]) == pytest.approx(42 / 4)


def test_a_larger_chi2_is_never_likelier() -> None:
    parts = [EstimatedPart(spread(4, 11), 9), EstimatedPart(spread(4, 12), 24)]
    total = np.eye(4) + parts[0].covariance + parts[1].covariance
    found = [simulated_p_value(chi2, total, parts, toys=2000, seed=1) for chi2 in (0.0, 1.0, 4.0, 9.0, 30.0, 1e9)]
    assert found[0] == 1
    assert found[-1] == 1 / 2001
    assert found == sorted(found, reverse=True)


def test_units_of_bins_do_not_matter_and_seeds_do() -> None:
    part, total = EstimatedPart(spread(3, 13), 9), spread(3, 13) + spread(3, 14)
    scale = np.array([1.0, 1e-6, 1e6])
    units = np.outer(scale, scale)
    first = simulated_p_value(5.0, total, [part], toys=3000, seed=1)
    assert (
        simulated_p_value(5.0, total * units, [EstimatedPart(part.covariance * units, 9)], toys=3000, seed=1) == first
    )
    assert simulated_p_value(5.0, total, [part], toys=3000, seed=2) != first


def test_what_eigenvectors_a_processor_finds_does_not_matter() -> None:
    # All directions of these matrices are eigenvectors: rounding decides which are found, and so must not the answer.
    rounding = 1e-15 * spread(6, 7)
    for freedom in (9, 3):  # fewer than the bins, too
        found = {
            simulated_p_value(8.0, 2 * np.eye(6) + noise, [EstimatedPart(np.eye(6) + noise, freedom)], toys=500, seed=1)
            for noise in (np.zeros((6, 6)), rounding, -rounding, rounding[::-1, ::-1])
        }
        assert len(found) == 1
