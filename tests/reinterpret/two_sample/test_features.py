"""Distances from means of features, against closed forms and other libraries."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from scipy.spatial import distance

from omnifold_pub.errors import StatisticsError
from omnifold_pub.reinterpret.two_sample.distances import sliced_wasserstein
from omnifold_pub.reinterpret.two_sample.features import Discriminant, Features, Slices

Array = NDArray[np.float64]


def samples(seed: int, dimensions: int, *, shift: float = 0.3) -> tuple[Array, Array, Array, Array]:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(400, dimensions)), rng.normal(size=(300, dimensions)) + shift
    return x, y, rng.gamma(2, 1, 400), rng.gamma(2, 1, 300)


def found(kind: Features, x: Array, y: Array, v: Array, w: Array) -> dict[str, float]:
    first, second = kind.sums(x, v[:, np.newaxis])[:, 0] / v.sum(), kind.sums(y, w[:, np.newaxis])[:, 0] / w.sum()
    return {name: float(one[0]) for name, one in kind.distances((first - second)[np.newaxis]).items()}


def test_one_dimension_is_scipys() -> None:
    x, y, v, w = samples(1, 1)
    one = found(Slices.of(np.concatenate([x, y]), cells=400), x, y, v, w)
    wasserstein = stats.wasserstein_distance(x[:, 0], y[:, 0], v, w)
    assert one["sliced Wasserstein"] == pytest.approx(wasserstein, rel=0.01)
    assert one["energy"] == pytest.approx(stats.energy_distance(x[:, 0], y[:, 0], v, w) ** 2, rel=0.02)


@pytest.mark.parametrize("dimensions", [2, 5])
def test_the_energy_distance_is_that_of_all_pairs(dimensions: int) -> None:
    x, y, v, w = samples(2, dimensions)
    p, q = v / v.sum(), w / w.sum()
    expected = 2 * p @ distance.cdist(x, y) @ q - p @ distance.cdist(x, x) @ p - q @ distance.cdist(y, y) @ q
    one = found(Slices.of(np.concatenate([x, y]), projections=1000), x, y, v, w)
    assert one["energy"] == pytest.approx(expected, rel=0.06)


def test_the_sliced_distance_is_that_without_a_grid() -> None:
    x, y, v, w = samples(3, 3)
    exact, _ = sliced_wasserstein(x, [v], y, w, projections=300)
    one = found(Slices.of(np.concatenate([x, y]), projections=300, cells=300), x, y, v, w)
    assert one["sliced Wasserstein"] == pytest.approx(exact[0], rel=0.02)


def test_the_discriminant_of_gaussians_is_mahalanobis() -> None:
    """Of the same covariance, in the limit of many events: |shift| in units of the covariance of both together."""
    rng = np.random.default_rng(4)
    n, shift = 200_000, np.array([0.3, -0.2])
    covariance = np.array([[1.0, 0.6], [0.6, 2.0]])
    x, y = rng.multivariate_normal(np.zeros(2), covariance, n), rng.multivariate_normal(shift, covariance, n)
    kind = Discriminant.of(np.concatenate([x, y]), np.ones(2 * n))
    one = found(kind, x, y, np.ones(n), np.ones(n))["discriminant"]
    square = shift @ np.linalg.solve(covariance, shift)
    assert one == pytest.approx(np.sqrt(square / (1 + square / 4)), rel=0.02)


def test_sums_add_up_over_blocks_and_sets() -> None:
    x, y, v, _ = samples(5, 3)
    weights = np.stack([v, 2 * v, v**2], axis=1)
    for kind in (Slices.of(np.concatenate([x, y]), projections=4, cells=7), Discriminant.of(x, v)):
        whole = kind.sums(x, weights)
        assert whole.shape == (kind.size, 3)
        np.testing.assert_allclose(kind.sums(x[:150], weights[:150]) + kind.sums(x[150:], weights[150:]), whole)
        np.testing.assert_allclose(whole[:, 1], 2 * whole[:, 0])


def test_what_has_no_directions() -> None:
    with pytest.raises(StatisticsError, match="found 0 and 100"):
        Slices.of(np.zeros((3, 2)), projections=0)
    with pytest.raises(StatisticsError, match="values that are not finite"):
        Slices.of(np.full((3, 2), np.nan))
