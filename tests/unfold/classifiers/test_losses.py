from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from omnifold_pub.errors import TrainingError
from omnifold_pub.unfold.classifiers.losses import Part, cross_entropy, equalised


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(-40, 40), st.floats(-2, 5), st.floats(-2, 5)), min_size=1, max_size=20))
def test_cross_entropy_is_that_of_pytorch(rows: list[tuple[float, float, float]]) -> None:
    z, w1, w0 = torch.tensor(rows, dtype=torch.float64).t()
    one = nn.functional.binary_cross_entropy_with_logits(z, torch.ones_like(z), reduction="none")
    zero = nn.functional.binary_cross_entropy_with_logits(z, torch.zeros_like(z), reduction="none")
    assert float(cross_entropy(z, w1 + w0, w1)) == pytest.approx(float((w1 * one + w0 * zero).sum()), abs=1e-6)


def test_class_sums_become_equal_in_each_part() -> None:
    rng = np.random.default_rng(1)
    w1, w0 = rng.normal(1, 1, 1000), rng.gamma(2, 5, 1000)
    one, zero = equalised(w1, w0, where="test")
    assert one.sum() == pytest.approx(500)
    assert zero.sum() == pytest.approx(500)
    assert one / w1 == pytest.approx(np.full(1000, 500 / w1.sum()))
    part = Part.select(np.arange(1000) < 300, w1, w0, where="test", device=torch.device("cpu"))
    assert part.rows.tolist() == list(range(300))
    assert float(part.weights[:, 1].sum()) == pytest.approx(150, rel=1e-5)
    assert float(part.weights[:, 0].sum()) == pytest.approx(300, rel=1e-5)
    assert part.mean_loss(torch.zeros(300)) == pytest.approx(math.log(2), rel=1e-6)


@pytest.mark.parametrize(
    ("w1", "w0", "message"),
    [
        ([], [], "fit 3: no rows"),
        ([0, 0], [1, 1], "fit 3: the weights of class 1 sum to 0; expected a finite sum above zero"),
        ([1, 1], [1, -2], "fit 3: the weights of class 0 sum to -1"),
        ([1, np.nan], [1, 1], "class 1 sum to nan"),
        ([1, 1], [1, np.inf], "class 0 sum to inf"),
    ],
)
def test_a_class_without_weight_is_refused(w1: list[float], w0: list[float], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        equalised(np.array(w1, dtype=float), np.array(w0, dtype=float), where="fit 3")
