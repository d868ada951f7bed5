"""Fluctuations under the null hypothesis have the covariance of their components."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from omnifold_pub.errors import StatisticsError
from omnifold_pub.reinterpret.two_sample.null import draws, modes_of
from omnifold_pub.statistics.components import CentralRule, Component, Kind, component_covariance

Array = NDArray[np.float64]


@pytest.mark.parametrize(
    ("kind", "members", "central"),
    [
        ("bootstrap", 7, "mean"),
        ("ensemble", 5, "mean"),
        ("ensemble", 5, "median"),
        ("ensemble", 5, "single"),
        ("variation", 1, "mean"),
        ("variation", 2, "mean"),
        ("two_point", 1, "mean"),
        ("hessian", 4, "mean"),
        ("event_sampling", 30, "mean"),
    ],
)
def test_modes_have_the_covariance_of_the_component(kind: Kind, members: int, central: CentralRule) -> None:
    rng = np.random.default_rng(1)
    component, nominal = Component("it", kind, members=members), rng.normal(size=6)
    values = rng.normal(size=(members, 6))
    modes = modes_of(component, values, nominal, central=central)
    expected = component_covariance(component, values, nominal, central=central)
    np.testing.assert_allclose(modes.modes.T @ modes.modes, expected, rtol=1e-9, atol=1e-12)
    assert math.isinf(modes.freedom) == (kind in ("variation", "two_point", "hessian"))


def test_draws_have_the_sum_of_the_covariances() -> None:
    rng = np.random.default_rng(2)
    nominal = np.zeros(3)
    many, shift = rng.normal(size=(500, 3)), rng.normal(size=(1, 3))
    parts = [
        modes_of(Component("many", "bootstrap"), many, nominal, central="mean"),
        modes_of(Component("shift", "variation"), shift, nominal, central="mean"),
    ]
    drawn = np.concatenate(list(draws(parts, 40_000, seed=1, block=999)))
    assert drawn.shape == (40_000, 3)
    expected = np.cov(many.T) + shift.T @ shift
    np.testing.assert_allclose(np.cov(drawn.T), expected, atol=0.03 * np.abs(expected).max())


def test_the_freedom_of_one_direction_and_of_many() -> None:
    """Replicas that differ along one direction know its size as badly as replicas can; along many, much better."""
    rng = np.random.default_rng(3)
    boot = Component("it", "bootstrap")
    one = modes_of(boot, rng.normal(size=(20, 1)) * np.ones((1, 50)), np.zeros(50), central="mean")
    assert one.freedom == pytest.approx(19, rel=0.2)
    many = [modes_of(boot, rng.normal(size=(20, 50)), np.zeros(50), central="mean").freedom for _ in range(50)]
    assert np.median(many) == pytest.approx(19 * 50, rel=0.25)


def test_one_replica_is_none() -> None:
    with pytest.raises(StatisticsError, match="at least 2 replicas; found 1"):
        modes_of(Component("it", "bootstrap"), np.zeros((1, 2)), np.zeros(2), central="mean")
