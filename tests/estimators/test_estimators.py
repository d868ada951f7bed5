"""What statistics say of themselves, and what they refuse."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable, Mapping
from typing import Any

import hist
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnifold_pub.errors import ObservableError
from omnifold_pub.estimators import Custom, Histogram, Moments, Profile, Quantiles, Ratio, Statistic
from omnifold_pub.estimators.base import effective_events, quotient
from omnifold_pub.observables.binning import Axis
from omnifold_pub.observables.events import Events

EDGES = [0.0, 1.0, 2.5]


def mean(events: Mapping[str, Any], weights: Any) -> float:
    return float(np.average(events["x"], weights=weights))


STATISTICS: list[Statistic] = [
    Histogram("x", EDGES),
    Histogram(["x", "2 * x"], [EDGES, [0.0, 4.0, 5.0]], where="x > 0", nan="drop", flow=True),
    Profile("y", "x", EDGES),
    Ratio(Histogram("x", EDGES, where="y > 1"), Histogram("x", EDGES)),
    Moments("x", [1, 2]),
    Quantiles("x", [0.5, 0.9]),
    Custom(mean),
]


def unit_of(definition: object) -> str:
    return {"x": "GeV", "y": "1"}.get(str(definition), f"[{definition}]")


WRONG: dict[type[Statistic], Any] = {kind: kind for kind in (Histogram, Profile, Ratio, Moments, Quantiles, Custom)}
"""The same classes, to be called with what their types forbid."""


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: WRONG[Histogram]("x", [1, 1]), "expected strictly increasing edges"),
        (lambda: WRONG[Histogram](5, EDGES), "found 5"),
        (lambda: WRONG[Histogram](["x", "y"], [EDGES]), "expected bins for each of 2 observables; found 1"),
        (lambda: WRONG[Histogram](["x", 5], [EDGES, EDGES]), "found 5"),
        (lambda: WRONG[Histogram]([], []), "expected bins for each of 0 observables"),
        (lambda: WRONG[Histogram]("x", EDGES, nan="keep"), 'nan: expected "error" or "drop"; found'),
        (lambda: WRONG[Histogram]("x", EDGES, flow=True, density=True), "bin has no width"),
        (lambda: WRONG[Histogram]("x", [0, 1, math.inf], density=True), "bin has no width"),
        (lambda: WRONG[Profile](3, "x", EDGES), "found 3"),
        (lambda: WRONG[Profile]("y", "x", [EDGES, EDGES]), "expected a sequence of"),
        (lambda: WRONG[Ratio](Histogram("x", EDGES), Histogram("x", [0, 1])), r"as many bins .* \(2,\) and \(1,\)"),
        (lambda: WRONG[Ratio](Histogram("x", EDGES), "x"), "expected a Histogram or a Profile; found 'x'"),
        (lambda: WRONG[Moments]("x", []), "expected orders from 1 to 8"),
        (lambda: WRONG[Moments]("x", [0]), "expected orders from 1 to 8"),
        (lambda: WRONG[Moments]("x", [1.0]), "expected orders from 1 to 8"),
        (lambda: WRONG[Quantiles]("x", [0]), "expected shares between 0 and 1"),
        (lambda: WRONG[Quantiles]("x", [1.0]), "expected shares between 0 and 1"),
        (lambda: WRONG[Quantiles]("x", [math.nan]), "expected shares between 0 and 1"),
        (lambda: WRONG[Quantiles]("x", ["a half"]), "expected shares between 0 and 1"),
        (lambda: WRONG[Quantiles]("x", 0.5), "expected shares between 0 and 1"),
        (lambda: WRONG[Custom]("mean"), "a statistic is a function of events and weights; found 'mean'"),
    ],
)
def test_what_is_no_statistic_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ObservableError, match=message):
        make()


@pytest.mark.parametrize("statistic", STATISTICS, ids=lambda s: s.name)
def test_statistics_travel_to_other_processes(statistic: Statistic) -> None:
    again = pickle.loads(pickle.dumps(statistic))  # noqa: S301 - what dask does with them
    assert (again.name, again.labels, again.used) == (statistic.name, statistic.labels, statistic.used)


@pytest.mark.parametrize("statistic", STATISTICS[:4], ids=lambda s: s.name)
def test_a_bin_has_a_label(statistic: Any) -> None:
    assert len(statistic.labels) == statistic.size == math.prod(map(len, statistic.axes))


def test_labels_run_through_the_last_axis_first() -> None:
    assert Histogram(["x", "y"], [[0, 1, 2], [5, 6]]).labels == ("0 - 1, 5 - 6", "1 - 2, 5 - 6")
    assert Histogram("x", EDGES, flow=True).labels == ("-inf - 0", "0 - 1", "1 - 2.5", "2.5 - inf")


def test_units() -> None:
    assert Histogram("x", EDGES).unit("pb", unit_of) == "pb"
    assert Histogram(["x", "y"], [EDGES, EDGES], density=True).unit("pb", unit_of) == "pb / GeV"
    assert Histogram(["x", "x"], [EDGES, EDGES], density=True).unit("pb", unit_of) == "pb / GeV / GeV"
    assert Histogram("x", EDGES, density=True, normalise=True).unit("fb", unit_of) == "1 / GeV"
    assert Profile("x", "y", EDGES).unit("pb", unit_of) == "GeV"
    assert Moments("x").unit("pb", unit_of) == "GeV"
    assert Moments("x", [2]).unit("pb", unit_of) == ""
    assert Ratio(Profile("x", "y", EDGES), Histogram("y", EDGES)).unit("pb", unit_of) == "(GeV) / (pb)"


def test_axes_of_hist_make_a_histogram_of_two_dimensions() -> None:
    axes: list[Any] = [hist.axis.Variable(EDGES, name="x"), hist.axis.Regular(3, 0, 3, name="y", label="y [GeV]")]
    statistic = Histogram(["x", "y"], axes)
    assert [axis.edges.tolist() for axis in statistic.axes] == [EDGES, [0, 1, 2, 3]]
    assert [axis.label for axis in statistic.axes] == ["x", "y [GeV]"]


def test_labels_of_an_axis_are_put_where_there_are_none() -> None:
    def label(definition: object, axis: Axis) -> Axis:
        return Axis.from_bins(axis, name=axis.name, label=f"<{definition}>")

    ratio = Ratio(Histogram("x", EDGES), Histogram("y", EDGES)).labelled(label)
    assert isinstance(ratio, Ratio)
    assert ratio.axes[0].label == "<x>"
    profile = Profile("y", "x", EDGES, flow=True).labelled(label)
    assert profile.axes[0].label == "<x>"
    assert len(profile.axes[0]) == 4


weights = st.lists(st.floats(0.01, 100), min_size=1, max_size=40)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(data=st.data(), given_weights=weights)
def test_quantiles_are_those_of_numpy(data: st.DataObject, given_weights: list[float]) -> None:
    size = len(given_weights)
    values = np.array(data.draw(st.lists(st.integers(-5, 5), min_size=size, max_size=size)), dtype=np.float64)
    shares = data.draw(st.lists(st.floats(0.01, 0.99), min_size=1, max_size=4))
    events = Events(size, ("x",), lambda name: values.copy(), where="toy")  # type: ignore[arg-type,return-value]
    found = Quantiles("x", shares).prepare(events)(np.array(given_weights))
    expected = np.quantile(values, shares, weights=np.array(given_weights), method="inverted_cdf")
    # A share that falls on a step of the distribution function may go either way in the last bit.
    steps = np.cumsum(np.array(given_weights)[np.argsort(values, kind="stable")]) / sum(given_weights)
    clear = np.abs(np.subtract.outer(shares, steps)).min(axis=1) > 1e-12
    np.testing.assert_array_equal(found[clear], expected[clear])


def test_quantiles_of_nothing_are_none() -> None:
    events = Events(2, ("x",), lambda name: np.array([np.nan, 1.0], dtype=np.float32), where="toy")
    assert np.isnan(Quantiles("x", where="x > 5").prepare(events)(np.ones(2))).all()


def test_effective_events_of_equal_weights_are_their_number() -> None:
    np.testing.assert_allclose(effective_events(np.array([5.0, 0.0]), np.array([2.5, 0.0])), [10, 0])


def test_a_quotient_by_zero_is_no_number() -> None:
    np.testing.assert_array_equal(quotient(np.array([1.0, 1.0]), np.array([2.0, 0.0])), [0.5, np.nan])
