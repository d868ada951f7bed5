from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from omnifold_pub.statistics.resampling import poisson_multiplicities

EVENTS = 1_000_000
IDS = np.arange(EVENTS)
MASK = 2**64 - 1
GAMMA = 0x9E3779B97F4A7C15
INT64 = st.integers(-(2**63), 2**63 - 1)
NOT_NEGATIVE = st.integers(0, 2**63 - 1)


def mix(state: int) -> int:
    """SplitMix64's mixing function, in integers without a limit."""
    state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    state = (state ^ (state >> 27)) * 0x94D049BB133111EB & MASK
    return state ^ (state >> 31)


def reference(seed: int, replica: int, event_id: int) -> int:
    key = mix((mix((seed + GAMMA) & MASK) + replica + GAMMA) & MASK)
    uniform = (mix((mix((event_id * GAMMA + key) & MASK) + GAMMA) & MASK) >> 11) / 2**53
    return int(np.count_nonzero(stats.poisson.cdf(np.arange(30), 1) <= uniform))


def test_the_reference_is_splitmix64() -> None:
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    assert [mix((1234567 + k * GAMMA) & MASK) for k in range(1, 5)] == published


@settings(max_examples=200, deadline=None, derandomize=True)
@given(seed=NOT_NEGATIVE, replica=NOT_NEGATIVE, ids=st.lists(INT64, min_size=1, max_size=20))
def test_multiplicities_are_those_of_the_reference(seed: int, replica: int, ids: list[int]) -> None:
    result = poisson_multiplicities(seed, replica, np.array(ids, dtype=np.int64))
    assert result.dtype == np.uint8
    assert result.tolist() == [reference(seed, replica, i) for i in ids]


def test_multiplicities_never_change() -> None:
    extreme = np.array([-(2**63), -(2**40), -1, 0, 1, 2**40, 2**63 - 1])
    assert poisson_multiplicities(0, 0, extreme).tolist() == [1, 2, 0, 2, 0, 0, 1]
    assert poisson_multiplicities(20241107, 3, np.arange(40)).tolist() == [
        1,
        2,
        3,
        3,
        1,
        0,
        0,
        0,
        3,
        1,
        1,
        2,
        1,
        0,
        0,
        1,
        1,
        0,
        1,
        0,
        1,
        2,
        2,
        0,
        2,
        2,
        1,
        1,
        1,
        1,
        0,
        0,
        1,
        0,
        0,
        0,
        0,
        1,
        1,
        0,
    ]
    assert poisson_multiplicities(2**63 - 1, 2**63 - 1, np.arange(12)).tolist() == [3, 2, 3, 3, 3, 0, 4, 4, 1, 1, 2, 0]


def chi2_p_value(multiplicity: NDArray[np.uint8], mean: float = 1) -> float:
    top = 7
    observed = np.bincount(np.minimum(multiplicity, top), minlength=top + 1)
    expected = np.append(stats.poisson.pmf(np.arange(top), mean), stats.poisson.sf(top - 1, mean)) * len(multiplicity)
    return float(stats.chisquare(observed, expected).pvalue)


@pytest.mark.parametrize(
    "ids",
    [
        IDS,
        -IDS,
        IDS * 2**40,
        IDS + 2**62,
        IDS * 1000 + 7,
        np.random.default_rng(1).integers(-(2**63), 2**63 - 1, EVENTS),
    ],
    ids=["from zero", "negative", "high bits alone", "huge", "stride", "random"],
)
def test_multiplicities_are_poisson_of_mean_one(ids: NDArray[np.int64]) -> None:
    assert chi2_p_value(poisson_multiplicities(42, 0, ids)) > 1e-3


def test_one_event_s_multiplicities_are_poisson_over_replicas() -> None:
    over_replicas = [int(poisson_multiplicities(5, replica, np.array([12345]))[0]) for replica in range(4000)]
    assert (
        stats.chisquare(
            np.bincount(np.minimum(over_replicas, 4), minlength=5),
            np.append(stats.poisson.pmf(np.arange(4), 1), stats.poisson.sf(3, 1)) * 4000,
        ).pvalue
        > 1e-3
    )


def correlation(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    return float(np.corrcoef(first, second)[0, 1])


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((1, 0), (1, 1)),
        ((1, 0), (1, 2**32)),
        ((1, 0), (2, 0)),
        ((1, 2), (2, 1)),
        ((0, 1), (1, 0)),
        ((7, 3), (7, 4)),
        ((0, 0), (2**62, 0)),
    ],
)
def test_replicas_and_seeds_are_independent(first: tuple[int, int], second: tuple[int, int]) -> None:
    one, other = (poisson_multiplicities(*key, IDS) for key in (first, second))
    assert abs(correlation(one, other)) < 4 / np.sqrt(EVENTS)
    assert chi2_p_value(one + other, 2) > 1e-3


@pytest.mark.parametrize("distance", [1, 2, 3, 8, 64, 1000])
@pytest.mark.parametrize("stride", [1, 2, 2**32])
def test_neighbouring_events_are_independent(distance: int, stride: int) -> None:
    multiplicity = poisson_multiplicities(3, 1, IDS * stride)
    assert abs(correlation(multiplicity[:-distance], multiplicity[distance:])) < 4 / np.sqrt(EVENTS - distance)


def test_an_event_is_independent_of_its_neighbour_in_the_next_replica() -> None:
    replicas = [poisson_multiplicities(3, replica, IDS) for replica in range(2)]
    assert abs(correlation(replicas[0][1:], replicas[1][:-1])) < 4 / np.sqrt(EVENTS - 1)
    assert abs(correlation(replicas[0][:-1], replicas[1][1:])) < 4 / np.sqrt(EVENTS - 1)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(ids=st.lists(INT64, min_size=1, max_size=30), data=st.data())
def test_the_company_of_an_event_does_not_matter(ids: list[int], data: st.DataObject) -> None:
    everything = dict(zip(ids, poisson_multiplicities(9, 4, np.array(ids)).tolist(), strict=True))
    some = data.draw(st.lists(st.sampled_from(ids), min_size=1, max_size=40))
    assert poisson_multiplicities(9, 4, np.array(some)).tolist() == [everything[i] for i in some]


def test_integer_types_of_ids_do_not_matter() -> None:
    ids = np.arange(100)
    expected = poisson_multiplicities(1, 2, ids)
    for dtype in (np.int32, np.uint16, np.uint64):
        np.testing.assert_array_equal(poisson_multiplicities(1, 2, ids.astype(dtype)), expected)
    np.testing.assert_array_equal(poisson_multiplicities(1, 2, np.repeat(ids, 2)[::2]), expected)


def test_no_events_give_no_multiplicities() -> None:
    assert poisson_multiplicities(1, 2, np.empty(0, dtype=np.int64)).shape == (0,)


def test_the_bootstrap_reproduces_the_variance_of_a_sum_of_weights() -> None:
    weights = np.random.default_rng(4).gamma(2, 1, 2000)
    replicas = 4000
    sums = [weights @ poisson_multiplicities(8, replica, np.arange(2000)) for replica in range(replicas)]
    assert np.var(sums, ddof=1) == pytest.approx((weights**2).sum(), rel=4 * np.sqrt(2 / replicas))
    assert np.mean(sums) == pytest.approx(weights.sum(), abs=4 * np.sqrt((weights**2).sum() / replicas))
