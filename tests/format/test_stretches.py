"""Which chunks are fetched together."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from omnifold_pub.format.stretches import GAP, MOST, stretches

PIECES = st.lists(st.tuples(st.integers(0, 2 * GAP), st.integers(1, 4_000_000)), max_size=40)


@given(pieces=PIECES, seed=st.integers(0, 100), gap=st.integers(0, GAP), most=st.integers(1, MOST))
def test_every_chunk_is_in_one_group_and_no_group_is_too_long(
    pieces: list[tuple[int, int]], seed: int, gap: int, most: int
) -> None:
    places = np.zeros((len(pieces), 2), dtype=np.int64)
    end = 48
    for number, (before, size) in enumerate(pieces):
        places[number] = end + before, size
        end += before + size
    places = places[np.random.default_rng(seed).permutation(len(places))]
    groups = stretches(places, gap=gap, most=most)
    assert sorted(number for group in groups for number in group) == list(range(len(places)))
    for group in groups:
        inside = places[group]
        assert (inside[1:, 0] - inside[:-1].sum(axis=1) <= gap).all()
        assert len(group) == 1 or inside[-1].sum() - inside[0, 0] <= most
    for one, other in itertools.pairwise(groups):  # none that could have been joined was left apart
        between = places[other[0], 0] - places[one[-1]].sum()
        assert between > gap or places[other[0]].sum() - places[one[0], 0] > most


def test_chunks_beside_each_other_are_one_request() -> None:
    places = np.array([[1000 + 100 * number, 100] for number in range(50)])
    assert stretches(places) == [list(range(50))]
    assert stretches(places, most=1000) == [list(range(first, first + 10)) for first in range(0, 50, 10)]
    assert stretches(places[:0]) == []
