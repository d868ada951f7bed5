from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnifold_pub.errors import StatisticsError
from omnifold_pub.statistics.covariances import checked_covariance, rank_of, spectrum


@settings(deadline=None, max_examples=40)
@given(bins=st.integers(1, 8), rank=st.integers(1, 8), seed=st.integers(0, 2**32 - 1))
def test_directions_whiten_the_matrix_they_come_from(bins: int, rank: int, seed: int) -> None:
    factor = np.random.default_rng(seed).normal(size=(bins, min(bins, rank)))
    matrix = factor @ factor.T
    modes = spectrum(matrix)
    assert modes.rank == np.linalg.matrix_rank(matrix, rtol=1e-9, hermitian=True) == rank_of(matrix)
    np.testing.assert_allclose(modes.transform @ matrix @ modes.transform.T, np.eye(modes.rank), atol=1e-5)
    assert modes.missing.sum() == pytest.approx(bins - modes.rank, abs=1e-9)


def test_rank_is_that_of_the_correlations() -> None:
    assert rank_of(np.diag([1.0, 1e-30, 1e30])) == 3
    assert rank_of(np.zeros((2, 2))) == 0


def test_rounding_is_no_asymmetry() -> None:
    matrix = np.array([[1.0, 0.5], [0.5 + 1e-12, 1.0]])
    checked = checked_covariance(matrix, 2, "it")
    assert checked[0, 1] == checked[1, 0]


def test_rounding_makes_no_negative_eigenvalue() -> None:
    assert checked_covariance(np.ones((3, 3)) - 1e-13 * np.eye(3), 3, "it", semidefinite="checked").shape == (3, 3)


def test_a_covariance_with_a_bin_without_variance_is_refused() -> None:
    with pytest.raises(StatisticsError, match="it is no covariance"):
        checked_covariance(np.array([[0.0, 1.0], [1.0, 1.0]]), 2, "it", semidefinite="checked")
