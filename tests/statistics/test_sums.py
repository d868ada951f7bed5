from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as stnp
from numpy.typing import NDArray

from omnifold_pub.observables.binning import Axis
from omnifold_pub.statistics.sums import BinIndex

EVENTS, MEMBERS = 3000, 7
EDGES = [np.array([-2.0, -0.5, 0.0, 0.4, 2.0]), np.array([0.0, 20.0, 50.0, 200.0]), np.array([-1.0, 1.0])]


@pytest.fixture
def observables() -> list[NDArray[np.float64]]:
    """``value[event]`` of three observables; some absent, some outside the bins, some on edges."""
    rng = np.random.default_rng(11)
    x, y = rng.normal(0, 1, EVENTS), rng.exponential(40, EVENTS)
    y[rng.random(EVENTS) < 0.3] = np.nan
    return [x, y, np.round(x, 1)]


@pytest.fixture
def weights() -> NDArray[np.float32]:
    """``weights[event, member]``."""
    rng = np.random.default_rng(12)
    return (rng.gamma(2, 0.01, (EVENTS, 1)) * rng.normal(1, 0.3, (EVENTS, MEMBERS))).astype(np.float32)


def make_index(observables: list[NDArray[np.float64]]) -> BinIndex:
    axes = [Axis.from_bins(edges) for edges in EDGES[: len(observables)]]
    return BinIndex([axis.bins_of(x) for axis, x in zip(axes, observables, strict=True)], [len(axis) for axis in axes])


def by_hand(observables: list[NDArray[np.float64]], weights: NDArray[np.float32]) -> NDArray[np.float64]:
    """Loop `numpy.histogram` over members and observables."""
    sums = []
    for edges, x in zip(EDGES[: len(observables)], observables, strict=True):
        there = ~np.isnan(x)
        members = [
            np.histogram(x[there], bins=edges, weights=weights[there, member].astype(np.float64))[0]
            for member in range(weights.shape[1])
        ]
        sums.append(np.stack(members, axis=1))
    return np.concatenate(sums)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_sums_are_histograms_member_by_member(
    observables: list[NDArray[np.float64]], weights: NDArray[np.float32], count: int
) -> None:
    chosen = observables[:count]
    index = make_index(chosen)
    sums = index.sums(weights)
    assert sums.dtype == np.float64
    assert sums.shape == (index.bins, MEMBERS)
    np.testing.assert_allclose(sums, by_hand(chosen, weights), rtol=1e-12)


def test_sums_are_accumulated_in_float64() -> None:
    weights = np.full(2**16, 0.1, dtype=np.float32)
    weights[0] = 2**24
    index = BinIndex([np.zeros(2**16, dtype=np.int64)], [1])
    assert index.sums(weights)[0] == pytest.approx(math.fsum(weights.tolist()), rel=1e-15)


def test_sums_of_one_member_are_a_vector(observables: list[NDArray[np.float64]], weights: NDArray[np.float32]) -> None:
    index = make_index(observables)
    sums = index.sums(weights[:, 0])
    assert sums.shape == (index.bins,)
    np.testing.assert_allclose(sums, index.sums(weights)[:, 0], rtol=1e-15)


@pytest.mark.parametrize("block", [1, 7, 1000, EVENTS - 1, EVENTS, 2 * EVENTS])
def test_blocks_add_up_to_the_whole(
    observables: list[NDArray[np.float64]], weights: NDArray[np.float32], block: int
) -> None:
    index = make_index(observables)
    total = np.zeros((index.bins, MEMBERS))
    for start in range(0, EVENTS, block):
        total += index.sums(weights[start : start + block], start)
    np.testing.assert_allclose(total, by_hand(observables, weights), rtol=1e-12)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(data=st.data())
def test_sums_equal_a_loop_over_events(data: st.DataObject) -> None:
    bins = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    events = data.draw(st.integers(1, 12))
    indices = [data.draw(stnp.arrays(np.int64, events, elements=st.integers(-1, n - 1))) for n in bins]
    weights = data.draw(stnp.arrays(np.float64, (events, 3), elements=st.integers(-50, 50).map(float)))
    expected = np.zeros((sum(bins), 3))
    squares = np.zeros((sum(bins), sum(bins)))
    for event in range(events):
        filled = [sum(bins[:o]) + int(i[event]) for o, i in enumerate(indices) if i[event] >= 0]
        for row in filled:
            expected[row] += weights[event]
            for column in filled:
                squares[row, column] += weights[event, 0] ** 2
    index = BinIndex(indices, bins)
    np.testing.assert_array_equal(index.sums(weights), expected)
    np.testing.assert_array_equal(index.overlaps(weights[:, 0] ** 2), squares)


def test_overlaps_are_sums_of_squares_over_events_in_both_bins(
    observables: list[NDArray[np.float64]], weights: NDArray[np.float32]
) -> None:
    squares = weights[:, 0].astype(np.float64) ** 2
    masks = [
        (x >= lower) & ((x < upper) | ((x == upper) & (upper == edges[-1])))
        for edges, x in zip(EDGES, observables, strict=True)
        for lower, upper in itertools.pairwise(edges)
    ]
    expected = [[math.fsum(squares[first & second]) for second in masks] for first in masks]
    np.testing.assert_allclose(make_index(observables).overlaps(squares), expected, rtol=1e-12)


def test_overlaps_are_diagonal_within_an_observable_and_not_between(
    observables: list[NDArray[np.float64]], weights: NDArray[np.float32]
) -> None:
    overlaps = make_index(observables[:2]).overlaps(weights[:, 0] ** 2)
    within = overlaps[:4, :4], overlaps[4:, 4:]
    for block in within:
        np.testing.assert_array_equal(block, np.diag(np.diag(block)))
        assert (np.diag(block) > 0).all()
    assert (overlaps[:4, 4:] > 0).all()
    np.testing.assert_array_equal(overlaps, overlaps.T)


def test_overlaps_are_the_covariance_of_poisson_fluctuating_events() -> None:
    rng = np.random.default_rng(3)
    indices = [rng.integers(-1, 2, 200), rng.integers(-1, 3, 200)]
    weights = rng.gamma(2, 1, 200)
    index = BinIndex(indices, [2, 3])
    expected = index.overlaps(weights**2)
    replicas = 40_000
    members = index.sums(weights[:, np.newaxis] * rng.poisson(1, (200, replicas)))
    scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    np.testing.assert_allclose(np.cov(members) / scale, expected / scale, atol=5 * np.sqrt(2 / replicas))


def test_the_same_observable_twice_is_fully_correlated(weights: NDArray[np.float32]) -> None:
    x = np.random.default_rng(5).integers(0, 3, EVENTS)
    overlaps = BinIndex([x, x], [3, 3]).overlaps(weights[:, 0] ** 2)
    np.testing.assert_array_equal(overlaps[:3, :3], overlaps[:3, 3:])


def test_events_in_no_bin_do_not_count() -> None:
    index = BinIndex([np.array([-1, 1, -1]), np.array([-1, -1, 0])], [2, 1])
    sums = index.sums(np.array([np.nan, 2.0, 3.0]))
    assert sums.tolist() == [0.0, 2.0, 3.0]


def test_no_event_in_any_bin_gives_zeros() -> None:
    index = BinIndex([np.full(4, -1)], [3])
    assert index.sums(np.ones((4, 2))).tolist() == [[0.0, 0.0]] * 3
    assert index.overlaps(np.ones(4)).tolist() == [[0.0] * 3] * 3


def test_weights_are_not_changed(observables: list[NDArray[np.float64]]) -> None:
    weights = np.random.default_rng(1).random((EVENTS, 2))
    before = weights.copy()
    index = make_index(observables)
    index.sums(weights)
    index.overlaps(weights[:, 0])
    np.testing.assert_array_equal(weights, before)
