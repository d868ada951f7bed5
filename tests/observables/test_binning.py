from __future__ import annotations

import math
from typing import Any

import boost_histogram as bh
import hist
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from uhi.typing.plottable import PlottableAxisContinuous, PlottableAxisGeneric, PlottableTraits

from omnifold_pub.errors import ObservableError
from omnifold_pub.observables.binning import Axis

FINITE = st.floats(allow_nan=False, allow_infinity=False)


def edges(most: int) -> st.SearchStrategy[list[float]]:
    one = st.one_of(st.integers(-20, 20).map(float), FINITE)
    return st.lists(one, min_size=2, max_size=most, unique=True).map(sorted)


EDGES = st.one_of(edges(12), edges(90))  # few edges are compared with, many are searched in


@settings(max_examples=400, deadline=None, derandomize=True)
@given(data=st.data(), edges=EDGES)
def test_values_fall_where_numpy_histogram_puts_them(data: st.DataObject, edges: list[float]) -> None:
    near = [math.nextafter(edge, side) for edge in edges if math.isfinite(edge) for side in (-math.inf, math.inf)]
    one = st.one_of(st.sampled_from([*edges, *near]), st.floats(), st.floats(-25, 25))
    values = np.array(data.draw(st.lists(one, max_size=30)), dtype=np.float64)
    axis = Axis.from_bins(edges)
    index = axis.bins_of(values)
    counts = np.bincount(index[index >= 0], minlength=len(axis))
    expected, _ = np.histogram(values[~np.isnan(values)], bins=np.array(edges))
    np.testing.assert_array_equal(counts, expected)
    assert (index[np.isnan(values)] == -1).all()


@settings(max_examples=200, deadline=None, derandomize=True)
@given(edges=EDGES, value=st.floats())
def test_a_value_is_between_the_edges_of_its_bin(edges: list[float], value: float) -> None:
    axis = Axis.from_bins(edges)
    index = int(axis.bins_of(np.array([value]))[0])
    if index < 0:
        assert not edges[0] <= value <= edges[-1]
    else:
        lower, upper = axis[index]
        assert lower <= value < upper or (index == len(axis) - 1 and value == upper)


def test_edges_belong_to_the_bin_above_and_the_last_one_to_the_bin_below() -> None:
    axis = Axis.from_bins([0, 1, 2, 4])
    values = np.array([-np.inf, -0.5, -0.0, 1, 2, 4, 4.0001, np.inf, np.nan])
    assert axis.bins_of(values).tolist() == [-1, -1, 0, 1, 2, 2, -1, -1, -1]


@settings(max_examples=200, deadline=None, derandomize=True)
@given(data=st.data(), edges=EDGES)
def test_flow_bins_take_what_the_others_leave(data: st.DataObject, edges: list[float]) -> None:
    one = st.one_of(st.sampled_from(edges), st.floats(allow_nan=False), st.floats(-25, 25))
    values = np.array(data.draw(st.lists(one, max_size=30)), dtype=np.float64)
    axis = Axis.from_bins(edges)
    inside, all_of_them = axis.bins_of(values), axis.with_flow().bins_of(values)
    np.testing.assert_array_equal(inside[inside >= 0] + 1, all_of_them[inside >= 0])
    np.testing.assert_array_equal(all_of_them[values < edges[0]], 0)
    np.testing.assert_array_equal(all_of_them[values > edges[-1]], len(edges))
    assert axis.with_flow().inner == slice(1, len(edges))


def test_infinite_edges_take_infinite_values() -> None:
    axis = Axis.from_bins([-np.inf, 0, np.inf])
    assert axis.bins_of(np.array([-np.inf, -1, 0, 1, np.inf, np.nan])).tolist() == [0, 0, 1, 1, 1, -1]


def test_it_follows_the_uhi_protocol() -> None:
    axis = Axis.from_bins([0, 1, 3], name="x")
    plottable: PlottableAxisContinuous = axis
    assert isinstance(plottable, PlottableAxisGeneric)
    assert isinstance(axis.traits, PlottableTraits)
    assert (axis.traits.circular, axis.traits.discrete) == (False, False)
    assert (len(axis), list(axis), axis[1], axis[-1]) == (2, [(0.0, 1.0), (1.0, 3.0)], (1.0, 3.0), (1.0, 3.0))


def test_indexing_follows_sequences() -> None:
    axis = Axis.from_bins([0, 1, 3, 4])
    assert axis[1:] == [(1.0, 3.0), (3.0, 4.0)]
    assert axis[::-1] == [(3.0, 4.0), (1.0, 3.0), (0.0, 1.0)]
    assert (1.0, 3.0) in axis
    with pytest.raises(IndexError):
        axis[3]


def test_centers_and_widths() -> None:
    axis = Axis.from_bins([0, 1, 3])
    assert (axis.centers.tolist(), axis.widths.tolist()) == ([0.5, 2.0], [1.0, 2.0])


@pytest.mark.parametrize(
    ("foreign", "edges"),
    [
        (hist.axis.Regular(4, 0, 2), [0, 0.5, 1, 1.5, 2]),
        (hist.axis.Variable([0, 1, 5]), [0, 1, 5]),
        (hist.axis.Integer(0, 3), [0, 1, 2, 3]),
        (bh.axis.Regular(2, 1, 100, transform=bh.axis.transform.log), [1, 10, 100]),
        (bh.axis.Variable([-1, 0, 2], underflow=False, overflow=False), [-1, 0, 2]),
        (bh.axis.Regular(2, 0, 1, circular=True), [0, 0.5, 1]),
        (Axis.from_bins([2, 3, 5], name="other"), [2, 3, 5]),
        (np.array([1, 2, 4], dtype=np.int32), [1, 2, 4]),
        (np.array([1, 2, 4], dtype=np.float32), [1, 2, 4]),
        ((1, 2.5), [1, 2.5]),
        (range(4), [0, 1, 2, 3]),
    ],
)
def test_axes_and_sequences_of_others_are_taken(foreign: Any, edges: list[float]) -> None:
    axis = Axis.from_bins(foreign, name="x", label="$x$")
    np.testing.assert_allclose(axis.edges, edges, rtol=1e-14)
    assert (axis.edges.dtype.name, axis.name, axis.label) == ("float64", "x", "$x$")


def test_bins_agree_with_boost_histogram_away_from_its_closing_edge() -> None:
    foreign: Any = bh.axis.Variable([0.0, 0.3, 1.1, 2.0])
    values = np.random.default_rng(1).uniform(-1, 3, 1000)
    expected = np.asarray(foreign.index(values))
    expected[expected >= 3] = -1
    np.testing.assert_array_equal(Axis.from_bins(foreign).bins_of(values), expected)


def test_hist_fills_the_same_histogram() -> None:
    axis = Axis.from_bins([0.0, 0.5, 2.0])
    values = np.random.default_rng(2).normal(1, 1, 500)
    filled: Any = hist.Hist(hist.axis.Variable(axis.edges)).fill(values)
    index = axis.bins_of(values)
    np.testing.assert_array_equal(np.bincount(index[index >= 0], minlength=2), filled.values())


def test_regular_is_linspace() -> None:
    np.testing.assert_array_equal(Axis.regular(7, -1, 2.5).edges, np.linspace(-1, 2.5, 8))


@pytest.mark.parametrize(
    ("bins", "message"),
    [
        ([], "at least two edges"),
        ([1], "at least two edges"),
        (10, "at least two edges"),
        (None, "expected a sequence of edges"),
        ([[0, 1], [1, 2]], "at least two edges"),
        ([[0, 1], [1]], "expected a sequence of edges"),
        ("abc", "expected a sequence of edges"),
        (["a", "b"], "expected a sequence of edges"),
        ({0, 1}, "expected a sequence of edges"),
        ([1j, 2], "expected a sequence of edges"),
        ([0, 1, 1], "edge 2 is 1 after 1"),
        ([0, 2, 1], "edge 2 is 1 after 2"),
        ([0, np.nan, 1], "edge 1 is nan after 0"),
        ([np.nan, np.nan], "edge 1 is nan after nan"),
        ([0, np.inf, np.inf], "edge 2 is inf after inf"),
        ([-np.inf, -np.inf, 0], "edge 1 is -inf after -inf"),
    ],
)
def test_bad_edges_are_refused(bins: Any, message: str) -> None:
    with pytest.raises(ObservableError, match=f"^bins of pT: .*{message}"):
        Axis.from_bins(bins, name="pT")


@pytest.mark.parametrize(("bins", "lower", "upper"), [(0, 0, 1), (-1, 0, 1), (3, 1, 1), (3, 2, 1), (2, 0, np.nan)])
def test_bad_regular_binnings_are_refused(bins: int, lower: float, upper: float) -> None:
    with pytest.raises(ObservableError, match=r"^bins: expected"):
        Axis.regular(bins, lower, upper)


def test_edges_are_a_read_only_copy() -> None:
    edges = np.array([0.0, 1.0, 2.0])
    axis = Axis.from_bins(edges)
    edges[0] = 5
    assert axis.edges[0] == 0
    with pytest.raises(ValueError, match="read-only"):
        axis.edges[0] = 1


def test_equality_is_of_name_and_edges() -> None:
    axis = Axis.from_bins([0, 1], name="x", label="one")
    assert axis == Axis.from_bins([0.0, 1.0], name="x", label="other")
    assert hash(axis) == hash(Axis.from_bins([0.0, 1.0], name="x"))
    assert axis != Axis.from_bins([0, 1], name="y")
    assert axis != Axis.from_bins([0, 2], name="x")
    assert axis != [(0.0, 1.0)]


def test_a_label_is_the_name_unless_given() -> None:
    assert Axis.from_bins([0, 1], name="x").label == "x"
