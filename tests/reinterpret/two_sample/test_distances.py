"""Distances between weighted samples against other libraries and closed forms; floors against simulated samples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from omnifold_pub.errors import StatisticsError
from omnifold_pub.reinterpret.two_sample.distances import (
    sliced_wasserstein,
    triangular_discriminator,
    triangular_floor,
    wasserstein,
)

Vector = NDArray[np.float64]


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 40), st.booleans())
def test_wasserstein_is_that_of_scipy(seed: int, n: int, m: int, ties: bool) -> None:  # noqa: FBT001
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=n), rng.normal(1, 2, size=m)
    if ties:
        x, y = x.round(), y.round()
    one, two, other = rng.random(n) + 0.01, rng.random(n) + 0.01, rng.random(m) + 0.01
    found, _ = wasserstein(x, [one, two], y, other)
    expected = [stats.wasserstein_distance(x, y, w, other) for w in (one, two)]
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@given(st.integers(0, 2**32 - 1), st.floats(-5, 5), st.floats(0.1, 10))
def test_wasserstein_of_a_shift_is_the_shift(seed: int, shift: float, scale: float) -> None:
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=50), rng.random(50) + 0.01
    found, _ = wasserstein(x, [w], x + shift, scale * w)
    assert found[0] == pytest.approx(abs(shift), abs=1e-9)


def test_negative_weights_subtract_events() -> None:
    """An event and the same with the opposite weight are no event at all."""
    x, y = np.array([0.0, 1.0, 7.0, 7.0]), np.array([0.5, 2.0])
    found, _ = wasserstein(x, [[1, 2, 3, -3]], y, [1, 1])
    assert found[0] == pytest.approx(stats.wasserstein_distance([0, 1], y, [1, 2], [1, 1]))


def _weights(rng: np.random.Generator, n: int) -> Vector:
    return rng.gamma(1.5, 1.0, n)


@pytest.mark.parametrize("tail", [1.0, 2.0])
def test_the_floor_of_wasserstein_is_that_of_simulated_samples(tail: float) -> None:
    distances, floors = [], []
    for seed in range(400):
        rng = np.random.default_rng(seed)
        x, y = (rng.exponential(1, n) ** tail for n in (800, 500))
        found, floor = wasserstein(x, [_weights(rng, 800)], y, _weights(rng, 500))
        distances.append(found[0])
        floors.append((floor.mean, floor.deviation))
    mean, deviation = np.mean(floors, axis=0)
    assert np.mean(distances) == pytest.approx(mean, abs=4 * deviation / 20)
    assert np.std(distances) == pytest.approx(deviation, rel=0.15)


def test_the_floor_of_uniform_numbers_is_that_of_the_brownian_bridge() -> None:
    """For uniform numbers E of the integral of |bridge| is sqrt(pi / 32), its variance 7/60 - pi/32 (Shepp 1982)."""
    n = 20_000
    x = (np.arange(n) + 0.5) / n
    _, floor = wasserstein(x, [np.ones(n)], x, np.ones(n))
    assert floor.mean == pytest.approx(np.sqrt(np.pi / 32 * 2 / n), rel=1e-3)
    assert floor.deviation == pytest.approx(np.sqrt((7 / 60 - np.pi / 32) * 2 / n), rel=0.01)


def test_one_value_has_no_floor() -> None:
    distances, floor = wasserstein([1.0], [[1.0]], [1.0], [2.0])
    assert (distances, floor.mean, floor.deviation) == ([0.0], 0.0, 0.0)


@pytest.mark.parametrize(
    ("x", "weights", "expected"),
    [([np.nan, 1], [1, 1], "finite values"), ([0, 1], [1], "one for each"), ([0, 1], [1, -1], "sum 0")],
)
def test_samples_that_have_no_distance(x: list[float], weights: list[float], expected: str) -> None:
    with pytest.raises(StatisticsError, match=expected):
        wasserstein(x, [weights], [0.0], [1.0])


def test_triangular_discriminator_by_hand() -> None:
    p, q = [0.2, 0.3, 0.5], [0.1, 0.6, 0.3]
    expected = sum((a - b) ** 2 / (a + b) for a, b in zip(p, q, strict=True)) / 2 * 1000
    assert triangular_discriminator(np.multiply(p, 7), np.multiply(q, 3)) == pytest.approx(expected)
    assert triangular_discriminator([1, 2, 0], [1, 2, 0]) == 0


def test_the_floor_of_the_triangular_discriminator_is_that_of_simulated_samples() -> None:
    edges = np.array([0, 0.3, 0.7, 1.2, 2, 3, 10])
    distances, floors = [], []
    for seed in range(400):
        rng = np.random.default_rng(seed)
        contents = []
        for n in (3_000, 2_000):
            x, w = rng.exponential(size=n), rng.random(n)
            w *= 0.5 + x  # weights that go with the observable
            contents += [np.histogram(x, edges, weights=w)[0], np.histogram(x, edges, weights=w**2)[0]]
        distances.append(triangular_discriminator(contents[0], contents[2]))
        floor = triangular_floor(*contents)
        floors.append((floor.mean, floor.deviation))
    mean, deviation = np.mean(floors, axis=0)
    assert np.mean(distances) == pytest.approx(mean, abs=4 * deviation / 20)
    assert np.std(distances) == pytest.approx(deviation, rel=0.15)


@pytest.mark.parametrize("bins", [2, 5, 20])
def test_the_floor_without_weights_is_bins_less_one(bins: int) -> None:
    n, m = np.full(bins, 60.0), np.full(bins, 250.0)
    floor = triangular_floor(n, n, m, m)
    factor = 1000 / 4 * (1 / (60 * bins) + 1 / (250 * bins))
    assert floor.mean == pytest.approx((bins - 1) * factor)
    assert floor.deviation == pytest.approx(np.sqrt(2 * (bins - 1)) * factor)


def test_histograms_of_other_bins_have_no_discriminator() -> None:
    with pytest.raises(StatisticsError, match="2 and 3 bins"):
        triangular_discriminator([1, 1], [1, 1, 1])


def test_one_dimension_is_the_wasserstein_distance_itself() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=30), rng.normal(size=40)
    sliced, floor = sliced_wasserstein(x[:, np.newaxis], [np.ones(30)], y[:, np.newaxis], np.ones(40))
    expected, expected_floor = wasserstein(x, [np.ones(30)], y, np.ones(40))
    assert sliced == pytest.approx(expected)
    assert floor.mean == pytest.approx(expected_floor.mean)


def test_a_shift_in_space_is_the_mean_of_its_projections() -> None:
    """In d dimensions the mean of |cos| is Gamma(d/2) / (sqrt(pi) Gamma((d+1)/2)): 1/2 in three."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(50, 3))
    sliced, _ = sliced_wasserstein(x, [np.ones(50)], x + np.array([0, 2, 0]), np.ones(50), projections=2000)
    assert sliced[0] == pytest.approx(2 / 2, rel=0.04)


def test_the_floor_in_space_holds_for_simulated_samples() -> None:
    distances, floors = [], []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        x, y = rng.normal(size=(400, 4)), rng.normal(size=(300, 4))
        found, floor = sliced_wasserstein(x, [np.ones(400)], y, np.ones(300), projections=10)
        distances.append(found[0])
        floors.append((floor.mean, floor.deviation))
    mean, deviation = np.mean(floors, axis=0)
    assert np.mean(distances) == pytest.approx(mean, rel=0.04)
    assert np.std(distances) < 1.1 * deviation


def test_at_least_one_projection() -> None:
    with pytest.raises(StatisticsError, match="at least one projection"):
        sliced_wasserstein(np.zeros((2, 2)), [np.ones(2)], np.zeros((2, 2)), np.ones(2), projections=0)
