"""Every statistic under every member of every component, against a loop over members with NumPy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import boost_histogram as bh
import numpy as np
import pytest
from numpy.typing import NDArray

from omnifold_pub import Release, UnfoldingResult, open_release, publish
from omnifold_pub.accumulation.sums import BLOCK_BUDGET, in_threads
from omnifold_pub.errors import ObservableError, ReleaseError
from omnifold_pub.estimators import Custom, Histogram, Moments, Profile, Quantiles, Ratio, Statistic
from omnifold_pub.statistics.components import Component, component_covariance
from omnifold_pub.statistics.resampling import poisson_multiplicities
from tests.conftest import make_result

Vector = NDArray[np.float64]
Columns = Mapping[str, NDArray[Any]]

X = np.array([-2.0, -0.7, 0.1, 0.8, 2.5])
Y = np.array([0.0, 15.0, 40.0, 120.0])
N = np.array([0.0, 2.0, 4.0, 20.0])


def x_of(columns: Columns) -> Vector:
    x: Vector = np.asarray(columns["x"], dtype=np.float64)
    return x


def histogram(values: Vector, edges: Vector, weights: Vector) -> Vector:
    there = ~np.isnan(values)
    content: Vector = np.histogram(values[there], bins=edges, weights=weights[there])[0]
    return content


def two_dimensions(columns: Columns, weights: Vector) -> Vector:
    y = columns["y"].astype(np.float64)
    there = ~np.isnan(y)
    sample = np.stack([x_of(columns)[there], y[there]], axis=1)
    return np.histogramdd(sample, bins=[X, Y], weights=weights[there])[0].ravel()


def selected(columns: Columns, weights: Vector) -> Vector:
    chosen = (columns["y"] > 20) & (columns["n"] >= 2)
    return histogram(x_of(columns)[chosen], X, weights[chosen])


def shape(columns: Columns, weights: Vector) -> Vector:
    content = histogram(x_of(columns), X, weights)
    density: Vector = content / np.diff(X) / content.sum()
    return density


def with_flow(columns: Columns, weights: Vector) -> Vector:
    x = x_of(columns)
    inner = histogram(x, X, weights)
    return np.concatenate([[weights[x < X[0]].sum()], inner, [weights[x > X[-1]].sum()]])


def profile(columns: Columns, weights: Vector) -> Vector:
    filled = bh.Histogram(bh.axis.Variable([*X[:-1], np.nextafter(X[-1], np.inf)]), storage=bh.storage.WeightedMean())
    y = columns["y"].astype(np.float64)
    there = ~np.isnan(y) & (weights != 0)  # a first weight of 0 would be 0/0 for boost_histogram
    filled.fill(x_of(columns)[there], sample=y[there], weight=weights[there])
    return np.asarray(filled.view()["value"])


def ratio(columns: Columns, weights: Vector) -> Vector:
    many = columns["n"] >= 3
    x = x_of(columns)
    return histogram(x[many], X, weights[many]) / histogram(x, X, weights)


def moments(columns: Columns, weights: Vector) -> Vector:
    x = x_of(columns)
    mean = np.average(x, weights=weights)
    return np.array([mean, *(np.average((x - mean) ** k, weights=weights) for k in (2, 3))])


def quantiles(columns: Columns, weights: Vector) -> Vector:
    y = columns["y"].astype(np.float64)
    there = ~np.isnan(y)
    weights = np.clip(weights[there], 0, None)  # of this sample none is negative
    return np.quantile(y[there], [0.1, 0.5, 0.9], weights=weights, method="inverted_cdf")


def slope(columns: Columns, weights: Vector) -> Vector:
    """A straight-line fit of z against x."""
    return np.polyfit(x_of(columns), np.asarray(columns["z"]), 1, w=np.sqrt(np.abs(weights)))


CASES: dict[str, tuple[Statistic, Callable[[Columns, Vector], Vector]]] = {
    "histogram": (Histogram("x", X), lambda columns, weights: histogram(x_of(columns), X, weights)),
    "expression": (Histogram("2 * x", 2 * X), lambda columns, weights: histogram(x_of(columns), X, weights)),
    "two dimensions": (Histogram(["x", "y"], [X, Y]), two_dimensions),
    "density": (
        Histogram("x", X, density=True),
        lambda columns, weights: histogram(x_of(columns), X, weights) / np.diff(X),
    ),
    "selection": (Histogram("x", X, where="y > 20 & n >= 2"), selected),
    "function": (
        Histogram(lambda events: events["x"] + 0.0, X, where=lambda events: (events["y"] > 20) & (events["n"] >= 2)),
        selected,
    ),
    "shape": (Histogram("x", X, density=True, normalise=True), shape),
    "flow": (Histogram("x", X, flow=True), with_flow),
    "profile": (Profile("y", "x", X), profile),
    "ratio": (Ratio(Histogram("x", X, where="n >= 3"), Histogram("x", X)), ratio),
    "moments": (Moments("x", [1, 2, 3]), moments),
    "quantiles": (Quantiles("y", [0.1, 0.5, 0.9]), quantiles),
    "custom": (Custom(slope), slope),
}

LINEAR = {"histogram", "expression", "two dimensions", "density", "selection", "function", "flow"}


def members_by_hand(
    result: UnfoldingResult, entry: dict[str, Any], statistic: Callable[[Columns, Vector], Vector]
) -> Vector:
    """Return ``T[member, bin]`` of one component, member by member."""
    columns = {name: column[:] for name, column in result.columns.items()}
    nominal = result.nominal[:].astype(np.float64)
    kind = entry["kind"]
    if kind == "scale":
        return np.stack([statistic(columns, nominal * (1 + entry["relative_uncertainty"]))])
    if kind == "event_sampling":
        draws = [poisson_multiplicities(entry["seed"], r, result.event_id[:]) for r in range(200)]
        return np.stack([statistic(columns, nominal * draw) for draw in draws])
    if "canvas" in entry:
        canvas = result.canvases[entry["canvas"]]
        other = {name: column[:] for name, column in canvas.columns.items()}
        return np.stack([statistic(other, canvas.nominal[:].astype(np.float64))])
    family = result.families[entry["name"]][:].astype(np.float64)
    return np.stack([statistic(columns, weights) for weights in family.T])


@pytest.mark.parametrize("name", CASES)
def test_every_component_is_that_of_a_loop_over_its_members(
    release: Release, result: UnfoldingResult, name: str
) -> None:
    statistic, by_hand = CASES[name]
    found = release.measure(statistic)
    columns = {key: column[:] for key, column in result.columns.items()}
    nominal = by_hand(columns, result.nominal[:].astype(np.float64))
    np.testing.assert_allclose(found.nominal, nominal, rtol=1e-10)
    for entry, component in zip(result.metadata["components"], release.components, strict=True):
        if entry["kind"] == "event_sampling" and name in LINEAR:
            continue
        members = members_by_hand(result, entry, by_hand)
        np.testing.assert_allclose(found.members(entry["name"]), members, rtol=1e-9, atol=1e-12)
        expected = component_covariance(component, members, nominal, central="mean")
        rounding = 1e-13 * np.abs(nominal).max() ** 2
        np.testing.assert_allclose(found.covariance(entry["name"]), expected, rtol=1e-7, atol=rounding)


@pytest.mark.parametrize("name", sorted(LINEAR))
def test_event_sampling_of_what_is_linear_is_the_sum_of_squares(
    release: Release, result: UnfoldingResult, name: str
) -> None:
    statistic, by_hand = CASES[name]
    columns = {key: column[:] for key, column in result.columns.items()}
    # The derivative of T with respect to each event's weight, one event at a time.
    unit = np.eye(len(result.nominal[:]))
    derivative = np.stack([by_hand(columns, one) for one in unit], axis=1)
    expected = (derivative * result.nominal[:].astype(np.float64) ** 2) @ derivative.T
    found = release.measure(statistic)
    assert found.members("event_sampling").shape == (0, len(found.nominal))
    np.testing.assert_allclose(found.covariance("event_sampling"), expected, rtol=1e-10, atol=1e-18)


@pytest.mark.parametrize("name", ["shape", "profile", "ratio", "moments"])
def test_event_sampling_of_what_is_not_linear_is_the_linearised_one_within_its_own_error(
    release: Release, result: UnfoldingResult, name: str
) -> None:
    statistic, by_hand = CASES[name]
    columns = {key: column[:] for key, column in result.columns.items()}
    weights = result.nominal[:].astype(np.float64)
    centre, size = by_hand(columns, weights), weights.mean()
    step = 1e-4 * size
    derivative = np.stack(
        [(by_hand(columns, weights + step * one) - centre) / step for one in np.eye(len(weights))], axis=1
    )
    expected = ((derivative * weights**2) @ derivative.T).diagonal()
    found = release.measure(statistic)
    replicas = len(found.members("event_sampling"))
    variances = found.covariance("event_sampling").diagonal()
    # 500 events are few: what is not linear in them adds to the bootstrap's own error.
    np.testing.assert_allclose(variances, expected, rtol=6 * np.sqrt(2 / (replicas - 1)))


def test_all_statistics_together_are_those_of_each_alone(release: Release) -> None:
    joint = release.measure({name: statistic for name, (statistic, _) in CASES.items()})
    assert joint.names == tuple(CASES)
    for name, (statistic, _) in CASES.items():
        alone, part = release.measure(statistic), joint.part(name)
        np.testing.assert_allclose(part.nominal, alone.nominal, rtol=1e-12)
        assert part.labels == (alone.labels if name != "custom" else ("custom[0]", "custom[1]"))
        assert part.units == alone.units
        np.testing.assert_allclose(part.effective_events, alone.effective_events, rtol=1e-12)
        for component in release.components:
            if component.kind != "event_sampling" or name not in LINEAR:
                np.testing.assert_allclose(
                    part.members(component.name), alone.members(component.name), rtol=1e-10, atol=1e-14
                )


def test_blocks_between_statistics_are_those_of_the_members_put_side_by_side(release: Release) -> None:
    joint = release.measure({name: CASES[name][0] for name in ("histogram", "profile", "quantiles", "custom")})
    for name in ("data_bootstrap", "event_sampling"):
        together = np.concatenate([joint.part(part).members(name) for part in joint.names], axis=1)
        np.testing.assert_allclose(joint.covariance(name), np.cov(together.T), rtol=1e-9, atol=1e-15)
    assert np.linalg.eigvalsh(joint.covariance()).min() > -1e-12 * np.trace(joint.covariance())


# Where the numbers come from does not matter


@pytest.fixture(scope="module")
def long_result() -> UnfoldingResult:
    """More events than one chunk holds."""
    return make_result(events=40_000, members=20)


@pytest.fixture(scope="module")
def long_path(tmp_path_factory: pytest.TempPathFactory, long_result: UnfoldingResult) -> Path:
    return publish(long_result, tmp_path_factory.mktemp("long") / "long.h5")


WANTED: dict[str, Any] = {
    name: CASES[name][0] for name in ("two dimensions", "selection", "profile", "ratio", "moments")
}


@pytest.mark.parametrize("options", [{"threads": 1}, {"threads": 5}, {"budget": 1}])
def test_neither_threads_nor_memory_change_a_bit(long_path: Path, options: dict[str, int]) -> None:
    with open_release(long_path) as release:
        expected = release.measure(WANTED)
        release._worker = in_threads(**options)
        found = release.measure(WANTED)
    np.testing.assert_array_equal(found.nominal, expected.nominal)
    np.testing.assert_array_equal(found.covariance(), expected.covariance())


def test_the_budget_of_memory_is_the_readers_choice(long_path: Path) -> None:
    with open_release(long_path) as release, open_release(long_path, budget=BLOCK_BUDGET // 64) as frugal:
        expected, found = (opened.measure("x", X) for opened in (release, frugal))
    np.testing.assert_array_equal(found.covariance(), expected.covariance())


@pytest.mark.parametrize("rows", [7001, 17_001])
def test_shards_change_nothing_but_rounding(
    tmp_path: Path, long_path: Path, long_result: UnfoldingResult, rows: int
) -> None:
    path = publish(long_result, tmp_path / "release.manifest.json", shard_events=rows)
    with open_release(long_path) as whole, open_release(path) as parts:
        expected, found = whole.measure(WANTED), parts.measure(WANTED)
    np.testing.assert_allclose(found.nominal, expected.nominal, rtol=1e-12)
    np.testing.assert_allclose(found.covariance(), expected.covariance(), rtol=1e-9, atol=1e-18)
    assert abs(found.nominal - expected.nominal).max() <= 1e-12 * abs(expected.nominal).max()


def test_a_loaded_release_measures_the_same_and_outlives_its_file(long_path: Path) -> None:
    told: list[tuple[int, int, str]] = []
    with open_release(long_path) as release:
        expected = release.measure(WANTED | {"custom": Custom(slope)})
        release.load(progress=lambda *state: told.append(state))
        assert told[-1][0] == told[-1][1] == len(told) - 1
    # The canvas was not loaded: nobody asked for it, and it is read from the file.
    with pytest.raises(ReleaseError, match="closed"):
        release.measure(WANTED)
    with open_release(long_path) as release:
        release.load(["data_bootstrap"])
        found = release.measure(WANTED | {"custom": Custom(slope)})
    np.testing.assert_allclose(found.nominal, expected.nominal, rtol=1e-12)
    np.testing.assert_allclose(found.covariance(), expected.covariance(), rtol=1e-9, atol=1e-15)


def test_an_unknown_family_cannot_be_loaded(release: Release) -> None:
    with pytest.raises(ReleaseError, match="no weight family 'data_bootstra'; did you mean data_bootstrap"):
        release.load(["data_bootstra"])


def test_progress_ends_at_the_number_of_blocks(long_path: Path) -> None:
    told: list[tuple[int, int, str]] = []
    with open_release(long_path) as release:
        release.measure("x", X, progress=lambda *state: told.append(state))
    assert told == [(1, 3, "summing"), (2, 3, "summing"), (3, 3, "summing")]


# Bad input


def test_undefined_values_are_counted_over_all_blocks(long_path: Path, long_result: UnfoldingResult) -> None:
    x = long_result.columns["x"][:]
    bad = np.flatnonzero(x < 1)
    message = (
        rf"'log\(x - 1\)' is NaN for {len(bad)} of 40000 events that have all its columns, the first in row {bad[0]}"
    )
    with open_release(long_path) as release, pytest.raises(ObservableError, match=message):
        release.measure("log(x - 1)", [0, 1])


def test_undefined_values_count_among_the_selected_alone(long_path: Path, long_result: UnfoldingResult) -> None:
    x, n = long_result.columns["x"][:], long_result.columns["n"][:]
    count = int(((x < 0) & (n > 5)).sum())
    with open_release(long_path) as release:
        release.measure("sqrt(x)", [0, 1], where="x >= 0")
        with pytest.raises(ObservableError, match=rf"NaN for {count} of 40000"):
            release.measure("sqrt(x)", [0, 1], where="n > 5")
        with pytest.raises(ObservableError, match=rf"NaN for {count} of 40000"):
            release.measure(Quantiles("sqrt(x)", where="n > 5"))


def test_a_function_that_looks_at_other_events_is_refused(long_path: Path) -> None:
    def rank(events: Columns) -> Vector:
        return np.argsort(np.argsort(events["x"])).astype(float)

    with open_release(long_path) as release, pytest.raises(ObservableError, match="must depend on its event alone"):
        release.measure(rank, [0, 10, 20])


@pytest.mark.parametrize("where", ["x", "x + 1", "n * 2"])
def test_a_selection_that_is_no_condition_is_refused(release: Release, where: str) -> None:
    with pytest.raises(ObservableError, match="expected a condition such as"):
        release.measure("x", X, where=where)


def test_a_ratio_over_an_empty_bin_is_refused_by_name(release: Release) -> None:
    edges = [-1, 1, 500, 600]
    with pytest.raises(ObservableError, match=r"not defined under the nominal weights in 1 of 3 bins \(500 - 600\)"):
        release.measure(Ratio(Histogram("x", edges), Histogram("x", edges)))
    with pytest.raises(ObservableError, match=r"'mean of y': not defined .* in 1 of 3 bins \(500 - 600\)"):
        release.measure(Profile("y", "x", edges))


def test_a_statistic_beside_bins_is_refused(release: Release) -> None:
    with pytest.raises(ObservableError, match="says its bins and selection itself"):
        release.measure(Histogram("x", X), X)  # type: ignore[call-overload]
    with pytest.raises(ObservableError, match="says its bins and selection itself"):
        release.measure(Histogram("x", X), where="x > 0")  # type: ignore[call-overload]


def test_a_statistic_is_renamed_in_a_joint_measurement(release: Release) -> None:
    joint = release.measure({"a": Histogram("x", X), "b": replace(CASES["profile"][0], name="other")})  # type: ignore[type-var]
    assert joint.names == ("a", "b")


def test_something_without_bins_is_a_part_and_no_measurement(release: Release) -> None:
    joint = release.measure({"x": X, "median": Quantiles("y", [0.5])})
    assert joint.part("median").labels == ("quantile 0.5 of y",)
    with pytest.raises(ObservableError, match=r"'median' has no bins; ask for part\('median'\)"):
        joint["median"]


def test_units_follow_from_what_is_measured(release: Release) -> None:
    units = {name: release.measure(statistic).unit for name, (statistic, _) in CASES.items()}
    assert units["histogram"] == "pb"
    assert units["profile"] == units["quantiles"] == "GeV"
    assert units["shape"] == units["ratio"] == units["moments"] == "1"
    assert release.measure("y", Y, density=True).unit == "pb / GeV"
    assert release.measure("2 * y", Y, density=True).unit == "pb / GeV"
    assert release.measure("y + x", Y, density=True).unit == "pb / [y + x]"


def test_components_of_the_release_name_their_canvas(release: Release) -> None:
    assert [c.canvas for c in release.components if isinstance(c, Component) and c.canvas] == ["other"]


def test_only_the_components_asked_for_are_computed(release: Release) -> None:
    whole = release.measure("x", X)
    some = release.measure("x", X, components=["pdf", "luminosity"])
    assert [component.name for component in some.components] == ["pdf", "luminosity"]
    np.testing.assert_array_equal(some.covariance(), whole.covariance("pdf") + whole.covariance("luminosity"))
    nominal = release.measure({"x": X, "median": Quantiles("y")}, components=[])
    np.testing.assert_array_equal(nominal["x"].values(), whole.values())
    np.testing.assert_array_equal(nominal.uncertainties(), 0)
    with pytest.raises(ObservableError, match=r"no component 'pdfs'; did you mean pdf\?"):
        release.measure("x", X, components=["pdfs"])


def test_families_of_other_components_are_not_read(long_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_release(long_path) as release:
        stored: dict[str, Any] = dict(release.datasets)
        file = stored["events/x"].file
        read: set[str] = set()
        read_bytes = file.read_bytes

        def noted(offset: int, size: int) -> bytes:
            read.update(name for name, array in stored.items() if (array.places[:, 0] == offset).any())
            return bytes(read_bytes(offset, size))

        monkeypatch.setattr(file, "read_bytes", noted)
        release.measure("x", X, components=["pdf"])
    assert read == {"events/x", "weights/nominal", "weights/pdf"}
