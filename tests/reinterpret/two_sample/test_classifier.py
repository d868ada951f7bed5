"""The classifier two-sample test on laws that are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from omnifold_pub.errors import MissingExtraError
from omnifold_pub.reinterpret.two_sample.classifier import classifier_auc
from omnifold_pub.reinterpret.two_sample.points import Points


def test_the_auc_of_gaussians_and_of_the_same_law_by_weights() -> None:
    """One set of weights turns the sample into the truth's law, the other leaves it shifted."""
    rng = np.random.default_rng(1)
    n, shift = 12_000, 0.8
    x, y = rng.normal(size=(n, 2)), rng.normal(size=(n, 2)) + np.array([shift, 0])
    true_weights = np.exp(shift * x[:, 0] - shift**2 / 2)
    (same, other), floor = classifier_auc(Points(x, y), [true_weights, np.ones(n)], np.ones(n))
    assert abs(same - 0.5) < 3 * floor.deviation
    assert other == pytest.approx(stats.norm.cdf(shift / np.sqrt(2)), abs=3 * floor.deviation + 0.005)
    effective = 1 / (np.mean(true_weights**2) / n)
    assert floor.mean == 0.5
    assert floor.deviation == pytest.approx(np.sqrt((1 / effective + 1 / n) / 0.4 / 12), rel=0.05)


def test_without_the_extra_the_message_says_that_it_can_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("omnifold_pub.extras.find_spec", lambda _: None)
    points = Points(np.zeros((2, 1)), np.zeros((2, 1)))
    with pytest.raises(MissingExtraError, match="can be left out"):
        classifier_auc(points, [np.ones(2)], np.ones(2))
