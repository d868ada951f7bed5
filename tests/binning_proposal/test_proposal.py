"""Proposed bins: inside of all limits, whatever the distribution."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from omnifold_pub import Release
from omnifold_pub.accumulation.evaluation import WeightedEvents, evaluate_statistics
from omnifold_pub.accumulation.event_set import EventSet
from omnifold_pub.binning_proposal import survey as surveys
from omnifold_pub.binning_proposal.proposal import most_bins, propose_axis
from omnifold_pub.cli import main
from omnifold_pub.errors import ObservableError
from omnifold_pub.estimators import Histogram
from omnifold_pub.format.tiles import MemoryArray
from omnifold_pub.observables.binning import Axis
from omnifold_pub.statistics.components import Component
from omnifold_pub.validity import Limits, find_violations

SHAPES: dict[str, Callable[[np.random.Generator, int], NDArray[np.float64]]] = {
    "uniform": lambda rng, n: rng.random(n),
    "normal": lambda rng, n: rng.normal(91.2, 2.5, n),
    "falling": lambda rng, n: 200 * (1 - rng.random(n)) ** -0.3,
    "cauchy": lambda rng, n: np.clip(rng.standard_cauchy(n), -1e30, 1e30),
    "log": lambda rng, n: 10 ** rng.uniform(-6, 3, n),
    "counts": lambda rng, n: rng.poisson(6, n).astype(float),
    "binary": lambda rng, n: (rng.random(n) < 0.1).astype(float),
    "spike": lambda rng, n: np.where(rng.random(n) < 0.6, 1 / 3, rng.random(n)),
    "spike at 0": lambda rng, n: np.where(rng.random(n) < 0.3, 0, rng.exponential(1, n)),
    "constant": lambda rng, n: np.full(n, -7.25),
    "two peaks": lambda rng, n: np.where(rng.random(n) < 0.5, 1e-3 * rng.random(n), 1e6 + rng.random(n)),
    "some absent": lambda rng, n: np.where(rng.random(n) < 0.5, np.nan, rng.normal(0, 1, n)),
}
WEIGHTS: dict[str, Callable[[np.random.Generator, NDArray[np.float64]], NDArray[np.float64]]] = {
    "equal": lambda rng, x: np.ones(len(x)),
    "gamma": lambda rng, x: rng.gamma(0.5, 1, len(x)),
    "correlated": lambda rng, x: np.exp(-np.clip(np.nan_to_num(x), -20, 20) / 10),
    "some negative": lambda rng, x: rng.choice([1.0, 1.0, 1.0, -1.0], len(x)),
    "one huge": lambda rng, x: np.where(np.arange(len(x)) == len(x) // 2, 1e3, 1.0),
}


def make(shape: str, weight: str, events: int, seed: int, replicas: int = 20) -> WeightedEvents:
    rng = np.random.default_rng(seed)
    x = SHAPES[shape](rng, events).astype(np.float32)
    w = WEIGHTS[weight](rng, x.astype(float)).astype(np.float32)
    multiplicities = rng.poisson(1, (events, replicas)).astype(np.float32)
    source = EventSet(
        where="made here",
        size=events,
        columns={"x": MemoryArray(x)},
        nominal=MemoryArray(w),
        event_id=MemoryArray(np.arange(events)),
        families={"data": MemoryArray(w[:, np.newaxis] * multiplicities), "up": MemoryArray(w[:, np.newaxis] * 1.02)},
    )
    components = (
        Component("data", "bootstrap", members=replicas),
        Component("up", "variation", members=1),
        Component("sampling", "event_sampling"),
    )
    return WeightedEvents(source, components, "single")


def metadata(events: int, data: int = 0, **limits: Any) -> dict[str, Any]:
    return {
        "observables": [{"name": "x", "valid_range": {"minimum": None, "maximum": None}}],
        "components": [{"name": "data", "kind": "bootstrap", "resampled": "data"}],
        "validity": {
            "minimum_effective_events_per_bin": events,
            "minimum_effective_data_events_per_bin": data,
            "severity": "error",
            "notes": [],
            **limits,
        },
    }


def check(data: WeightedEvents, axis: Axis, limits: dict[str, Any], uncertainty: float = math.inf) -> None:
    """Measure once more: strictly increasing edges, all limits kept."""
    assert (np.diff(axis.edges) > 0).all()
    assert np.isfinite(axis.edges).all()
    one = Histogram("x", axis)
    found = evaluate_statistics((one,), data)
    assert find_violations([one], found, Limits.from_metadata(limits), data.events) == [{}]
    variance = sum(np.diag(result.covariance) for result in found.results)
    if math.isfinite(uncertainty):
        assert (np.sqrt(variance) <= uncertainty * (1 + 1e-12) * np.abs(found.nominal)).all()


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(sorted(SHAPES)),
    st.sampled_from(sorted(WEIGHTS)),
    st.sampled_from([1, 3, 40, 600, 3000]),
    st.integers(0, 5),
    st.integers(1, 25),
    st.sampled_from([0, 1, 7, 30, 150, 400]),
    st.sampled_from([0, 5, 40]),
    st.sampled_from([None, None, 0.3, 0.05]),
    st.sampled_from([None, (-1.0, 0.5), (0.0, 300.0)]),
    st.booleans(),
)
def test_the_limits_are_kept_or_there_is_an_error(
    shape: str,
    weight: str,
    events: int,
    seed: int,
    bins: int,
    least: int,
    least_data: int,
    uncertainty: float | None,
    interval: tuple[float, float] | None,
    rounded: bool,  # noqa: FBT001
) -> None:
    data = make(shape, weight, events, seed)
    ranges = [] if interval is None else [{"expression": "x", "minimum": interval[0], "maximum": interval[1]}]
    limits = metadata(least, least_data, ranges=ranges)

    def propose() -> Axis:
        return propose_axis(data, limits, "x", bins, maximum_relative_uncertainty=uncertainty, round_edges=rounded)

    try:
        axis = propose()
    except ObservableError as error:
        assert str(error).startswith("suggest_bins: 'x': n")  # noqa: PT017 - not even one bin, or no event
        return
    assert 1 <= len(axis) <= min(bins, 17)
    check(data, axis, limits, math.inf if uncertainty is None else uncertainty)
    assert propose() == axis
    if shape == "counts" and rounded and interval is None:
        assert (axis.edges == np.round(axis.edges)).all()


def best_number(content: NDArray[np.float64], squares: NDArray[np.float64], least: float) -> int:
    """Return the largest number of bins that single values can be merged into: by trying all."""
    most = 0
    inner = range(1, len(content))
    for cuts in itertools.chain.from_iterable(itertools.combinations(inner, k) for k in range(len(content))):
        parts = list(itertools.pairwise((0, *cuts, len(content))))
        if all(content[a:b].sum() ** 2 / squares[a:b].sum() >= least for a, b in parts):
            most = max(most, len(parts))
    return most


@pytest.mark.parametrize("seed", range(4))
def test_there_are_as_many_bins_as_can_be(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 8, 300).astype(np.float32)
    w = rng.gamma(1, 1, 300).astype(np.float32)
    source = EventSet("made here", 300, {"x": MemoryArray(x)}, MemoryArray(w), MemoryArray(np.arange(300)))
    data = WeightedEvents(source, (Component("sampling", "event_sampling"),), "single")
    sums = [np.bincount(x.astype(int), weights=w.astype(float) ** k, minlength=8).astype(float) for k in (1, 2)]
    for least in (5, 25, 40, 60):
        axis = propose_axis(data, metadata(least), "x", 20)
        assert len(axis) == best_number(sums[0], sums[1], least)
        assert (axis.edges == np.round(axis.edges)).all()
    with pytest.raises(ObservableError, match="not even one bin from 0 to 8 has 300 effective events; all fine bins"):
        propose_axis(data, metadata(300), "x")


def proposal(shape: str, events: int = 3000, **options: Any) -> list[float]:
    axis = propose_axis(make(shape, "equal", events, 3), metadata(50), "x", **options)
    edges: list[float] = axis.edges.tolist()
    return edges


def test_bins_are_about_equal() -> None:
    edges = proposal("uniform", bins=10)
    assert edges == [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]
    data = make("falling", "equal", 3000, 3)
    axis = propose_axis(data, metadata(50), "x", 8)
    events = evaluate_statistics((Histogram("x", axis),), data).effective_events
    assert len(events) == 8
    assert events.max() / events.min() < 2
    assert axis.edges[0] == 200


def digits(edge: float) -> int:
    return len(f"{abs(edge):.12e}".split("e")[0].rstrip("0").replace(".", ""))


def test_edges_are_round() -> None:
    for edges in (proposal("falling"), proposal("normal"), proposal("log")):
        assert max(map(digits, edges)) <= 4
    assert max(map(digits, proposal("falling", round_edges=False))) > 5


def test_long_tails_lose_a_thousandth() -> None:
    data = make("cauchy", "equal", 3000, 3)
    x = data.events.columns["x"].read()
    axis = propose_axis(data, metadata(50), "x")
    share = ((x >= axis.edges[0]) & (x <= axis.edges[-1])).mean()
    assert 0.99 < share < 1
    assert proposal("uniform")[0] == 0


def test_a_spike_has_a_bin_of_its_own() -> None:
    edges = proposal("spike", bins=5)
    lower, upper = next((a, b) for a, b in itertools.pairwise(edges) if a <= np.float32(1 / 3) < b)
    assert upper - lower < 0.1
    edges = proposal("spike at 0", bins=5)
    assert edges[0] == 0
    assert edges[1] < 0.2
    assert proposal("binary") == [0, 1, 2]
    assert len(proposal("constant")) == 2


def test_the_range_is_kept() -> None:
    assert proposal("falling", range=(220, 330), bins=4)[::4] == [220, 330]
    edges = proposal("falling", range=(220, math.inf), bins=4)
    assert edges[0] == 220
    assert 500 < edges[-1] < 10000
    limits = metadata(50, ranges=[{"expression": "(x)", "minimum": None, "maximum": 300}])
    data = make("falling", "equal", 3000, 3)
    assert propose_axis(data, limits, "x", 4).edges[[0, -1]].tolist() == [200, 300]
    assert propose_axis(data, limits, "x", 4, range=(250, 400)).edges[[0, -1]].tolist() == [250, 300]
    limits["observables"][0]["valid_range"] = {"minimum": 210, "maximum": 290}
    assert propose_axis(data, limits, "x", 4).edges[[0, -1]].tolist() == [210, 290]
    with pytest.raises(ObservableError, match="range of 'x': expected one that overlaps"):
        propose_axis(data, limits, "x", range=(300, 400))
    with pytest.raises(ObservableError, match="no selected event has a value from 210 to 290"):
        propose_axis(data, limits, "x", where="x > 1e9")


def test_events_outside_of_a_range_are_in_no_bin() -> None:
    limits = metadata(50, ranges=[{"expression": "x", "minimum": None, "maximum": 300}])
    data = make("falling", "equal", 3000, 3)
    axis = propose_axis(data, limits, "x / 10", 4)
    assert axis.edges[0] == 20
    assert 28 < axis.edges[-1] <= 30
    one = Histogram("x / 10", axis)
    found = evaluate_statistics((one,), data)
    assert find_violations([one], found, Limits.from_metadata(limits), data.events) == [{}]
    with pytest.raises(ObservableError, match="no event outside of x <= 300"):
        propose_axis(data, limits, "x > 0")


def test_stricter_limits_of_the_reader_count_and_weaker_ones_do_not() -> None:
    data = make("falling", "equal", 3000, 3)
    weaker, same = (propose_axis(data, metadata(200), "x", 17, minimum_effective_events=n) for n in (5, None))
    assert weaker == same
    check(data, same, metadata(200))
    check(data, propose_axis(data, metadata(50), "x", 17, minimum_effective_events=400), metadata(400))
    strict = propose_axis(data, metadata(50, 10), "x", 17, minimum_effective_data_events=200)
    check(data, strict, metadata(50, 200))
    check(data, propose_axis(data, metadata(50), "x", 17, maximum_relative_uncertainty=0.08), metadata(50), 0.08)


def test_no_more_bins_than_the_replicas_can_tell() -> None:
    assert len(proposal("uniform", bins=100)) == 18  # 17 bins of 20 replicas: p < N - 2
    bootstrap, few = (Component("a", "bootstrap", members=n) for n in (30, 3))
    ensemble, sampling = Component("b", "ensemble", members=5), Component("c", "event_sampling")
    assert most_bins([bootstrap, ensemble]) == 27
    assert most_bins([bootstrap, few]) == 1
    assert most_bins([ensemble]) == 2
    assert most_bins([ensemble, sampling]) == math.inf


def test_a_sample_stands_for_very_many_events(monkeypatch: pytest.MonkeyPatch) -> None:
    data = make("falling", "equal", 3000, 3)
    whole = propose_axis(data, metadata(50), "x", 6)
    monkeypatch.setattr(surveys, "_SAMPLE", 500)
    found = surveys.survey(data.events, Histogram("x", [0, 1]), -math.inf, math.inf)
    assert found is not None
    x = data.events.columns["x"].read()
    assert 250 <= len(found.values) <= 500 * 3
    assert (found.minimum, found.maximum) == (x.min(), x.max())
    axis = propose_axis(data, metadata(50), "x", 6)
    check(data, axis, metadata(50))
    assert len(axis) == len(whole)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bins": 0}, "bins: expected a number from 1 to 400; found 0"),
        ({"bins": 2.5}, "bins: expected a number from 1 to 400; found 2.5"),
        ({"minimum_effective_events": -1}, "minimum_effective_events: expected a number of at least 0; found -1"),
        ({"maximum_relative_uncertainty": math.nan}, "maximum_relative_uncertainty: expected a number of at least 0"),
        ({"range": (2, 1)}, "range: expected two numbers"),
    ],
)
def test_arguments_that_cannot_be_used(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ObservableError, match=f"suggest_bins: {message}"):
        propose_axis(make("uniform", "equal", 50, 1), metadata(1), "x", **options)


def test_data_events_cannot_be_asked_for_without_their_bootstrap() -> None:
    limits = metadata(1) | {"components": []}
    with pytest.raises(ObservableError, match="as no component resamples the data; found 10"):
        propose_axis(make("uniform", "equal", 50, 1), limits, "x", minimum_effective_data_events=10)


def test_undefined_values_are_an_error_unless_dropped(release: Release) -> None:
    with pytest.raises(ObservableError, match=r"is NaN for \d+ of 500 events that have all its columns"):
        release.suggest_bins("log(x)")
    assert len(release.suggest_bins("log(x)", 4, nan="drop")) == 4
    assert len(release.suggest_bins("log(x)", 4, where="x > 0")) == 4


def test_a_release_proposes_what_it_measures_without_a_warning(release: Release) -> None:
    release.metadata["validity"].update(minimum_effective_events_per_bin=40, severity="error")
    for observable in ("x", "y", "n", "z", "x * z"):
        axis = release.suggest_bins(observable)
        assert release.measure(observable, axis).effective_events.min() >= 40
    assert release.suggest_bins("y").label == "$y$ [GeV]"
    with pytest.raises(ObservableError, match="not even one bin"):
        release.suggest_bins("x", minimum_effective_events=1000)


def test_the_command_prints_edges_that_measure_takes(release: Release) -> None:
    path = str(release.path)
    run = CliRunner().invoke(main, ["bins", path, "-o", "x", "-n", "4"])
    assert run.exit_code == 0
    edges = run.stdout.strip()
    assert [float(edge) for edge in edges.split(",")] == release.suggest_bins("x", 4).edges.tolist()
    assert CliRunner().invoke(main, ["measure", path, "-o", "x", "-b", edges]).exit_code == 0
    ranged = ["bins", path, "-o", "x", "--range", "-1", "1.5", "--any-numbers", "--json"]
    run = CliRunner().invoke(main, ranged)
    assert run.exit_code == 0
    assert '"edges": [\n  -1.0,' in run.stdout
    assert CliRunner().invoke(main, ["bins", path, "-o", "x", "--min-events", "1000"]).exit_code == 2
