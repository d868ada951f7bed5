"""AUC, calibration and weights, against sums by hand and closed forms."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from scipy import stats

from omnifold_pub.errors import TrainingError
from omnifold_pub.unfold.diagnostics import fit_diagnostics, weight_diagnostics

Vector = NDArray[np.float64]


def auc_by_hand(z: Vector, w1: Vector, w0: Vector) -> float:
    wins = (z[:, np.newaxis] > z) + 0.5 * (z[:, np.newaxis] == z)
    return float(w1 @ wins @ w0 / (w1.sum() * w0.sum()))


def gaussians(n: int, shift: float, seed: int) -> tuple[Vector, Vector, Vector, Vector]:
    """Return x, the true logit, and both classes' weights of two Gaussians of unit width."""
    rng = np.random.default_rng(seed)
    x = np.concatenate([rng.normal(shift, 1, n), rng.normal(0, 1, n)])
    one = np.repeat([1.0, 0.0], n)
    return x, shift * x - shift**2 / 2, one, 1 - one


@given(
    arrays.arrays(np.int64, st.integers(2, 30), elements=st.integers(-3, 3)),
    st.integers(0, 2**32 - 1),
)
def test_auc_is_the_sum_over_all_pairs(z: NDArray[np.int64], seed: int) -> None:
    rng = np.random.default_rng(seed)
    w1, w0 = rng.uniform(-0.2, 1, len(z)) + 0.3, rng.uniform(-0.2, 1, len(z)) + 0.3
    assert fit_diagnostics(z, w1, w0).auc == pytest.approx(auc_by_hand(z.astype(float), w1, w0), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("shift", [0.0, 0.3, 1.0, 2.5])
def test_auc_of_gaussians(shift: float) -> None:
    x, _, w1, w0 = gaussians(40_000, shift, seed=1)
    found = fit_diagnostics(x, w1, w0)
    expected = stats.norm.cdf(shift / np.sqrt(2))
    assert abs(found.auc - expected) < 4 * found.auc_error
    assert found.auc_error < 0.003


def test_the_error_of_the_auc_is_that_of_mann_and_whitney_without_separation() -> None:
    x, _, w1, w0 = gaussians(20_000, 0, seed=2)
    assert fit_diagnostics(x, w1, w0).auc_error == pytest.approx(np.sqrt(40_001 / 12) / 20_000, rel=0.02)


def test_negative_weights_subtract_what_they_stand_for() -> None:
    """Class 1 is half of a mixture from which the other half is subtracted by negative weights."""
    rng = np.random.default_rng(3)
    n = 60_000
    signal, other, subtracted, zero = (rng.normal(m, 1, n) for m in (1.0, -2.0, -2.0, 0.0))
    z = np.concatenate([signal, other, subtracted, zero])
    w1 = np.repeat([1.0, 0.5, -0.5, 0.0], n)
    w0 = np.repeat([0.0, 0.0, 0.0, 1.0], n)
    found = fit_diagnostics(z, w1, w0)
    assert abs(found.auc - stats.norm.cdf(1 / np.sqrt(2))) < 4 * found.auc_error


def test_true_odds_are_calibrated() -> None:
    """Classes that differ, rows with one weight: chi2 and pulls over toys have the moments that they should."""
    chi2, pulls = [], []
    for seed in range(200):
        _, z, w1, w0 = gaussians(3_000, 0.7, seed=seed)
        found = fit_diagnostics(z, w1, w0).calibration
        assert found.ndf == 9
        chi2.append(found.chi2)
        pulls.append((found.ratios - 1) / found.errors)
    assert np.mean(chi2) == pytest.approx(9, abs=4 * np.sqrt(18 / 200))
    assert stats.kstest(chi2, stats.chi2(9).cdf).pvalue > 1e-3
    assert np.std(pulls, axis=0) == pytest.approx(np.ones(10), abs=0.25)


def test_rows_with_both_weights_are_calibrated() -> None:
    """As in step 2: the same events with and without a noisy pull whose mean is the odds."""
    chi2 = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=4_000)
        z = 0.3 * x - 0.045
        pull = np.exp(z) * rng.gamma(4, 0.25, len(x))
        chi2.append(fit_diagnostics(z, pull, np.ones(len(x))).calibration.chi2)
    assert np.mean(chi2) == pytest.approx(9, abs=4 * np.sqrt(18 / 200))
    assert stats.kstest(chi2, stats.chi2(9).cdf).pvalue > 1e-3


def test_the_ratios_are_sums_by_hand() -> None:
    rng = np.random.default_rng(5)
    z, w1, w0 = rng.normal(size=500), rng.random(500), rng.random(500)
    found = fit_diagnostics(z, w1, w0, bins=4).calibration
    limits = np.concatenate([[-np.inf], found.edges, [np.inf]])
    for number, (low, high) in enumerate(itertools.pairwise(limits)):
        inside = [i for i in range(500) if low < z[i] < high]
        above = sum(w1[i] for i in inside) / w1.sum()
        below = sum(w0[i] * np.exp(z[i]) for i in inside) / (w0 * np.exp(z)).sum()
        assert found.ratios[number] == pytest.approx(above / below)
        mass = above + below
        assert mass == pytest.approx(0.5, abs=0.03)
    assert found.normalisation == pytest.approx((w0 * np.exp(z)).sum() / w0.sum())


def test_chi2_is_that_of_the_influences_by_hand() -> None:
    rng = np.random.default_rng(6)
    z, w1, w0 = rng.normal(size=300), rng.random(300), rng.random(300)
    found = fit_diagnostics(z, w1, w0, bins=5).calibration
    one, zero = w1 / w1.sum(), w0 * np.exp(z) / (w0 * np.exp(z)).sum()
    place = np.searchsorted(found.edges, z)
    inside = place[:, np.newaxis] == np.arange(5)
    shares1, shares0 = one @ inside, zero @ inside
    influence = one[:, np.newaxis] * (inside - shares1) - zero[:, np.newaxis] * (inside - shares0)
    covariance = (influence.T @ influence)[:4, :4]
    residual = (shares1 - shares0)[:4]
    assert found.chi2 == pytest.approx(residual @ np.linalg.solve(covariance, residual))


@pytest.mark.parametrize("factor", [0.7, 1.4])
def test_wrong_odds_are_seen(factor: float) -> None:
    _, z, w1, w0 = gaussians(20_000, 0.7, seed=4)
    found = fit_diagnostics(factor * z, w1, w0).calibration
    assert found.chi2 / found.ndf > 5
    assert found.worst_pull > 3


def test_an_overall_factor_of_the_odds_is_told_apart() -> None:
    _, z, w1, w0 = gaussians(5_000, 0.7, seed=4)
    plain, scaled = fit_diagnostics(z, w1, w0).calibration, fit_diagnostics(z + 0.3, w1, w0).calibration
    assert scaled.chi2 == pytest.approx(plain.chi2)
    assert scaled.normalisation == pytest.approx(np.exp(0.3) * plain.normalisation)


def test_an_untrained_network_has_one_bin_and_nothing_to_test() -> None:
    found = fit_diagnostics(np.zeros(10), np.ones(10), np.arange(10.0))
    assert found.auc == pytest.approx(0.5)
    assert (found.calibration.chi2, found.calibration.ndf) == (0.0, 0)
    assert found.calibration.ratios == pytest.approx([1.0])


def test_a_bin_without_a_positive_sum_is_null_in_json() -> None:
    z = np.array([0.0, 1.0, 0.0, 1.0])
    found = fit_diagnostics(z, [1, 1, 0, 0], [0, 0, 2, -0.1], bins=2).to_dict()
    assert found["calibration"]["ratios"][1] is None
    assert json.loads(json.dumps(found, allow_nan=False)) == found


@pytest.mark.parametrize(
    ("logit", "w1", "w0", "expected"),
    [
        ([0.0, np.nan], [1, 0], [0, 1], "logit: 1 of 2"),
        ([0.0, 1.0], [0, 0], [0, 1], "class 1 sum to 0"),
        ([0.0, 1.0], [1, 0], [-1, 0.5], "class 0 sum to -0.5"),
        ([0.0, 1000.0], [1, 0], [0, 1], "reweighted class 0 sum to inf"),
        ([0.0, 1.0], [1, 0, 1], [0, 1], r"\(3,\)"),
        ([], [], [], r"\(0,\)"),
    ],
)
def test_what_cannot_be_judged_is_refused(logit: list[float], w1: list[float], w0: list[float], expected: str) -> None:
    with pytest.raises(TrainingError, match=expected):
        fit_diagnostics(logit, w1, w0)


def test_bins_are_at_least_one() -> None:
    with pytest.raises(TrainingError, match="at least one bin"):
        fit_diagnostics([0.0], [1], [1], bins=0)


def test_effective_events_of_equal_weights_are_their_number() -> None:
    found = weight_diagnostics(np.full(50, 3.0), np.ones(50), np.full(50, 0.2))
    assert found.effective_events == pytest.approx(50)
    assert found.max_over_mean == pytest.approx(1)
    assert found.sum_of_weights == pytest.approx(30)
    assert found.change == pytest.approx(np.log(3))


@given(st.integers(0, 2**32 - 1))
def test_weights_are_sums_by_hand(seed: int) -> None:
    rng = np.random.default_rng(seed)
    nu, before, prior = rng.lognormal(size=20), rng.lognormal(size=20), rng.uniform(-0.1, 1, 20) + 0.2
    found = weight_diagnostics(nu, before, prior)
    w = [a * b for a, b in zip(nu, prior, strict=True)]
    assert found.effective_events == pytest.approx(sum(w) ** 2 / sum(x * x for x in w))
    assert found.max_over_mean == pytest.approx(max(abs(x) for x in w) / (sum(w) / 20))
    moved = sum(abs(p) * np.log(a / b) ** 2 for a, b, p in zip(nu, before, prior, strict=True))
    assert found.change == pytest.approx(np.sqrt(moved / sum(abs(prior))))


@pytest.mark.parametrize(
    ("push", "previous", "weight", "expected"),
    [
        ([1.0, 0.0], [1, 1], [1, 1], "push: 1 of 2 weights are not above 0"),
        ([1.0, 1.0], [1, -1], [1, 1], "previous: 1 of 2"),
        ([1.0, np.inf], [1, 1], [1, 1], "not finite"),
        ([1.0, 1.0], [1, 1], [1, -1], "sum to 0"),
    ],
)
def test_weights_that_cannot_be_are_refused(
    push: list[float], previous: list[float], weight: list[float], expected: str
) -> None:
    with pytest.raises(TrainingError, match=expected):
        weight_diagnostics(push, previous, weight)
