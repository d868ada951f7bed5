"""Events as points: standardised, absent values included."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from omnifold_pub.errors import StatisticsError
from omnifold_pub.reinterpret.two_sample.points import points_of


def test_the_truth_has_mean_zero_and_variance_one() -> None:
    rng = np.random.default_rng(1)
    x, y, w = rng.normal(3, 2, 200), rng.normal(5, 4, 300), rng.random(300)
    points = points_of([x], [y], w, ["x"])
    assert np.average(points.truth[:, 0], weights=w) == pytest.approx(0, abs=1e-12)
    assert np.average(points.truth[:, 0] ** 2, weights=w) == pytest.approx(1)
    mean = np.average(y, weights=w)
    deviation = np.sqrt(np.average((y - mean) ** 2, weights=w))
    np.testing.assert_allclose(points.unfolded[:, 0], (x - mean) / deviation)


def test_absence_is_a_coordinate_of_its_own_once_for_each_pattern() -> None:
    jet = np.array([np.nan, 1.0, 2.0, 4.0])
    columns = [np.array([1.0, 2.0, 3.0, 5.0]), jet, jet * 2 + 1, np.array([1.0, np.nan, 2.0, 3.0])]
    points = points_of(columns, columns, np.ones(4), ["a", "jet", "jet again", "other"])
    assert points.truth.shape == (4, 6)  # four values, two patterns
    assert points.truth[0, 1] == 0
    assert len(set(points.truth[1:, 2])) == 1
    assert points.truth[0, 2] == pytest.approx(np.sqrt(3))  # (1 - 1/4) / sqrt(3/16)


def test_ranks_are_those_of_scipy() -> None:
    y = np.array([3.0, 1.0, 1.0, 50.0, 2.0])
    points = points_of([np.array([0.0, 2.0, 99.0])], [y], np.ones(5), ["x"], ranks=True)
    ranks = stats.rankdata(y) - 0.5
    np.testing.assert_allclose(points.truth[:, 0], (ranks - ranks.mean()) / ranks.std())
    np.testing.assert_allclose(points.unfolded[:, 0], (np.array([0, 2.5, 5]) - ranks.mean()) / ranks.std())


@pytest.mark.parametrize("ranks", [False, True])
def test_a_constant_has_no_scale(ranks: bool) -> None:  # noqa: FBT001
    with pytest.raises(StatisticsError, match="flat: its values in the reference have the variance 0"):
        points_of([np.arange(3.0)], [np.ones(4)], np.ones(4), ["flat"], ranks=ranks)
