"""The reader, against loops written by hand over the arrays that were published."""

from __future__ import annotations

import copy
import itertools
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import hist
import numpy as np
import pytest
from numpy.typing import NDArray

from omnifold_pub import Release, UnfoldingResult, open_release, publish
from omnifold_pub.errors import ObservableError, ReleaseError
from omnifold_pub.format import layout
from omnifold_pub.format.store import open_store
from omnifold_pub.format.writing import ReleaseWriter
from omnifold_pub.unfold.result import ArraySource

Vector = NDArray[np.float64]
Columns = Mapping[str, NDArray[np.float32]]
Statistic = Callable[[Columns, Vector], Vector]

X_EDGES = np.array([-2.0, -0.7, 0.1, 0.8, 2.5])
Y_EDGES = np.array([0.0, 15.0, 40.0, 120.0])
FAMILIES = ("ensemble", "data_bootstrap", "mc_bootstrap", "shift", "up_down", "model", "pdf")
COMPONENTS = (*FAMILIES[:-1], "generator", "pdf", "luminosity", "event_sampling")


def histogram(values: NDArray[Any], edges: Vector, weights: NDArray[Any]) -> Vector:
    keep = ~np.isnan(values)
    return np.histogram(values[keep].astype(float), edges, weights=weights[keep].astype(float))[0]


def histograms(*binned: tuple[str, Vector]) -> Statistic:
    """Return T(columns, weights): the bins of all observables, one observable after the other."""
    return lambda columns, weights: np.concatenate([histogram(columns[name], edges, weights) for name, edges in binned])


def arrays(columns: Mapping[str, ArraySource]) -> Columns:
    return {name: column[:] for name, column in columns.items()}


def by_hand(result: UnfoldingResult, statistic: Statistic) -> dict[str, Vector]:
    """Return the covariance of each component but event_sampling, one member after the other."""
    weights = result.nominal[:].astype(float)
    nominal = statistic(arrays(result.columns), weights)
    rule = result.metadata["weights"]["central_value"]["rule"]
    covariances: dict[str, Vector] = {}
    for entry in result.metadata["components"]:
        name, kind = entry["name"], entry["kind"]
        if kind == "event_sampling":
            continue
        if kind == "scale":
            members = [statistic(arrays(result.columns), weights * (1 + entry["relative_uncertainty"]))]
        elif "canvas" in entry:
            canvas = result.canvases[entry["canvas"]]
            members = [statistic(arrays(canvas.columns), canvas.nominal[:].astype(float))]
        else:
            family = result.families[name][:].astype(float)
            members = [statistic(arrays(result.columns), family[:, member]) for member in range(family.shape[1])]
        size = len(members)
        if kind in ("bootstrap", "ensemble"):
            centre = sum(members) / size
            covariance = sum(np.outer(one - centre, one - centre) for one in members) / (size - 1)
            if kind == "ensemble":
                covariance = covariance * {"mean": 1 / size, "median": np.pi / 2 / size, "single": 1.0}[rule]
        elif kind == "variation" and size == 2:
            shift = (members[0] - members[1]) / 2
            covariance = np.outer(shift, shift)
        elif kind == "two_point" and entry.get("covariance", {}).get("correlation") == "none":
            covariance = np.diag((members[0] - nominal) ** 2)
        else:
            covariance = sum(np.outer(one - nominal, one - nominal) for one in members)
        covariances[name] = np.asarray(covariance)
    return covariances


def event_sampling_by_hand(weights: NDArray[Any], *binned: tuple[NDArray[Any], Vector]) -> Vector:
    """Return the sum of w**2 over the events in both bins, for each pair of bins of all observables."""
    inside = []
    for values, edges in binned:
        for i, (low, high) in enumerate(itertools.pairwise(edges)):
            below = values <= high if i == len(edges) - 2 else values < high
            inside.append((values >= low) & below)
    squares = weights.astype(float) ** 2
    return np.array([[squares[a & b].sum() for b in inside] for a in inside])


def component(result: UnfoldingResult, name: str) -> dict[str, Any]:
    entry: dict[str, Any] = next(entry for entry in result.metadata["components"] if entry["name"] == name)
    return entry


def with_components(result: UnfoldingResult, name: str, **keys: object) -> UnfoldingResult:
    metadata = copy.deepcopy(result.metadata)
    changed = replace(result, metadata=metadata)
    component(changed, name).update(keys)
    return changed


def damaged(path: Path, dataset: str) -> Path:
    """Return a copy of a release with one bit of the dataset's first chunk flipped."""
    copied = path.with_name("damaged.h5")
    with h5py.File(path) as file:
        chunk = file[dataset].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset + chunk.size // 2] ^= 1
    copied.write_bytes(content)
    return copied


# Opening and closing


def test_a_missing_file_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match=r"absent\.h5: no such file"):
        open_release(tmp_path / "absent.h5")


def test_a_folder_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match=r"no such file|not a file"):
        open_release(tmp_path)


def test_a_text_file_cannot_be_opened(tmp_path: Path) -> None:
    path = tmp_path / "release.h5"
    path.write_text("text")
    with pytest.raises(ReleaseError, match="not an HDF5 file"):
        open_release(path)


def test_hdf5_of_somebody_else_cannot_be_opened(tmp_path: Path) -> None:
    path = tmp_path / "other.h5"
    with h5py.File(path, "w", libver="v110") as file:
        file.create_dataset("data", data=np.arange(3), chunks=(3,), fletcher32=True)
    with pytest.raises(ReleaseError, match="is not a release"):
        open_release(path)


def test_a_broken_release_is_refused_with_the_first_finding_and_their_number(release_path: Path) -> None:
    broken = release_path.with_name("broken.h5")
    with open_store(release_path) as store, ReleaseWriter(broken) as writer:
        for name, array in store.arrays.items():
            if name not in ("events/x", "prior"):
                writer.write(name, array.dtype.str, array.shape, [array.read()])
        writer.write_documents(store.metadata)
    with pytest.raises(ReleaseError, match=r"/events/x: expected float32 .* \(1 more: run omnifold-pub validate\)"):
        open_release(broken)


def test_damaged_metadata_are_refused(release_path: Path) -> None:
    with pytest.raises(ReleaseError, match=r"/metadata: .*damaged"):
        open_release(damaged(release_path, "metadata"))


def test_a_path_may_be_text(release_path: Path) -> None:
    with open_release(str(release_path)) as release:
        assert release.events.size == 500


def test_a_release_tells_what_it_is(release: Release, result: UnfoldingResult) -> None:
    assert repr(release) == "<Release release.h5: Made by hand, 500 events, 35 members>"
    assert release.unit == "pb"
    assert list(release.events) == ["x", "y", "n", "z"]
    assert [component.name for component in release.components] == list(COMPONENTS)
    np.testing.assert_array_equal(release.nominal_weights, result.nominal[:])


def test_prior_weights_are_those_published(release: Release, result: UnfoldingResult) -> None:
    assert result.prior is not None
    np.testing.assert_array_equal(release.prior_weights, result.prior)


def test_a_release_without_prior_weights_says_so(tmp_path: Path, result: UnfoldingResult) -> None:
    weights = {**result.metadata["weights"], "prior": False}
    bare = replace(result, prior=None, metadata={**result.metadata, "weights": weights})
    with (
        open_release(publish(bare, tmp_path / "bare.h5")) as release,
        pytest.raises(ReleaseError, match="no prior weights"),
    ):
        _ = release.prior_weights


def test_a_closed_release_cannot_measure(release_path: Path) -> None:
    release = open_release(release_path)
    release.close()
    with pytest.raises(ReleaseError, match="the release is closed; open it again"):
        release.measure("x", X_EDGES)
    with pytest.raises(ReleaseError, match="closed"):
        release.estimate(lambda events, weights: weights.sum())


def test_columns_already_read_outlive_the_file_and_cannot_be_changed(
    release_path: Path, result: UnfoldingResult
) -> None:
    with open_release(release_path) as release:
        column = release.events["x"]
    np.testing.assert_array_equal(release.events["x"], result.columns["x"][:])
    with pytest.raises(ValueError, match="read-only"):
        column[0] = 0


def test_measurements_outlive_the_file(release_path: Path) -> None:
    with open_release(release_path) as release:
        measurement = release.measure("x", X_EDGES)
    assert (measurement.uncertainties() > 0).all()


# What a release holds beside its weights


def test_every_dataset_can_be_read_row_by_row_and_column_by_column(release: Release, result: UnfoldingResult) -> None:
    assert "metadata" not in release.datasets
    family = release.datasets["weights/data_bootstrap"]
    assert (family.shape, family.dtype) == ((500, 12), np.dtype("f4"))
    expected = result.families["data_bootstrap"][:]
    np.testing.assert_array_equal(family.read(), expected)
    np.testing.assert_array_equal(family.read(490, 1000, columns=slice(3, 5)), expected[490:, 3:5])
    np.testing.assert_array_equal(release.datasets["event_id"].read(1, 3), result.event_id[1:3])


def test_a_canvas_has_its_events_and_weights(release: Release, result: UnfoldingResult) -> None:
    events, weights = release.canvas("other")
    assert events.size == 350
    np.testing.assert_array_equal(weights, result.canvases["other"].nominal[:])
    for name, column in result.canvases["other"].columns.items():
        np.testing.assert_array_equal(events[name], column[:])


def test_a_network_is_the_bytes_that_were_published(release: Release, result: UnfoldingResult) -> None:
    assert release.network("tiny") == result.networks["tiny"]


def test_a_closure_test_is_repeated_for_any_observable(release: Release, result: UnfoldingResult) -> None:
    weights = result.closure["dd"]
    assert weights.target is not None
    assert weights.unfolded is not None
    spectra = release.closure("dd", "2 * x", 2 * X_EDGES)
    assert (spectra.unit, spectra.statistic.name) == ("pb", "2 * x")
    x = result.columns["x"][:]
    np.testing.assert_allclose(spectra.target, histogram(x, X_EDGES, weights.target[:]), rtol=1e-12)
    np.testing.assert_allclose(spectra.unfolded, histogram(x, X_EDGES, weights.unfolded[:]), rtol=1e-12)


def test_a_closure_test_may_hold_the_nominal_against_a_canvas(tmp_path: Path, result: UnfoldingResult) -> None:
    test = {"name": "truth", "description": "A canvas", "unfolded": "nominal", "canvas": "other"}
    closure = {**result.metadata["closure"], "tests": [test]}
    changed = replace(result, closure={}, metadata={**result.metadata, "closure": closure})
    canvas = result.canvases["other"]
    with open_release(publish(changed, tmp_path / "closure.h5")) as release:
        spectra = release.closure("truth", "x", X_EDGES)
    np.testing.assert_allclose(
        spectra.target, histogram(canvas.columns["x"][:], X_EDGES, canvas.nominal[:]), rtol=1e-12
    )
    np.testing.assert_allclose(
        spectra.unfolded, histogram(result.columns["x"][:], X_EDGES, result.nominal[:]), rtol=1e-12
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda release: release.canvas("others"), "no canvas 'others'; did you mean other"),
        (lambda release: release.network("large"), "no network 'large'; there are tiny"),
        (lambda release: release.closure("cc", "x", X_EDGES), "no closure test 'cc'; "),
    ],
)
def test_what_is_not_there_is_named_with_what_is(
    release: Release, call: Callable[[Release], object], message: str
) -> None:
    with pytest.raises(ReleaseError, match=message):
        call(release)


def test_a_release_in_several_files_measures_as_one(release: Release, tmp_path: Path, result: UnfoldingResult) -> None:
    path = publish(result, tmp_path / "parts.manifest.json", shard_events=200)
    with open_release(path) as sharded:
        assert sharded.metadata["events"] == 500
        assert "shard" not in sharded.metadata
        one, other = release.measure("y", Y_EDGES), sharded.measure("y", Y_EDGES)
        family = sharded.datasets["weights/pdf"].read(150, 450, columns=slice(1, 3))
        events, weights = sharded.canvas("other")
    np.testing.assert_array_equal(family, result.families["pdf"][:][150:450, 1:3])
    np.testing.assert_allclose(other.values(), one.values(), rtol=1e-12)
    for name in COMPONENTS:
        expected = one.covariance(name)
        np.testing.assert_allclose(other.covariance(name), expected, rtol=1e-9, atol=1e-12 * expected.max())
    assert len(weights) == events.size == 350


# Histograms


def test_values_are_those_of_numpy(release: Release, result: UnfoldingResult) -> None:
    for name, edges in (("x", X_EDGES), ("y", Y_EDGES)):
        values = release.measure(name, edges).values()
        np.testing.assert_allclose(values, histogram(result.columns[name][:], edges, result.nominal[:]), rtol=1e-12)


@pytest.mark.parametrize("name", COMPONENTS[:-1])
@pytest.mark.parametrize(("column", "edges"), [("x", X_EDGES), ("y", Y_EDGES)])
def test_the_covariance_of_each_component_is_that_of_a_loop_over_its_members(
    release: Release, result: UnfoldingResult, name: str, column: str, edges: Vector
) -> None:
    expected = by_hand(result, histograms((column, edges)))[name]
    covariance = release.measure(column, edges).covariance(name)
    np.testing.assert_allclose(covariance, expected, rtol=1e-9, atol=1e-12 * expected.max())


def test_event_sampling_is_the_sum_of_squared_weights(release: Release, result: UnfoldingResult) -> None:
    covariance = release.measure("y", Y_EDGES).covariance("event_sampling")
    squares = histogram(result.columns["y"][:], Y_EDGES, result.nominal[:].astype(float) ** 2)
    np.testing.assert_allclose(covariance, np.diag(squares), rtol=1e-12)


def test_the_total_covariance_is_the_sum_of_all_components(release: Release, result: UnfoldingResult) -> None:
    expected = sum(by_hand(result, histograms(("x", X_EDGES))).values())
    expected = expected + event_sampling_by_hand(result.nominal[:], (result.columns["x"][:], X_EDGES))
    measurement = release.measure("x", X_EDGES)
    np.testing.assert_allclose(measurement.covariance(), expected, rtol=1e-9, atol=1e-12 * np.max(expected))
    np.testing.assert_allclose(measurement.uncertainties(), np.sqrt(np.diag(expected)), rtol=1e-9)


@pytest.mark.parametrize("rule", ["median", "single"])
def test_the_ensemble_counts_by_the_declared_rule(tmp_path: Path, result: UnfoldingResult, rule: str) -> None:
    ensemble = result.families["ensemble"][:].astype(float)
    nominal = (np.median(ensemble, axis=1) if rule == "median" else 1.001 * ensemble[:, 0]).astype(np.float32)
    central = {"rule": "median", "family": "ensemble"} if rule == "median" else {"rule": "single"}
    weights = {**result.metadata["weights"], "central_value": central}
    changed = replace(result, nominal=nominal, metadata={**result.metadata, "weights": weights})
    expected = by_hand(changed, histograms(("x", X_EDGES)))["ensemble"]
    with open_release(publish(changed, tmp_path / "rule.h5")) as release:
        covariance = release.measure("x", X_EDGES).covariance("ensemble")
    np.testing.assert_allclose(covariance, expected, rtol=1e-9, atol=1e-12 * expected.max())


def test_a_correlated_two_point_is_an_outer_product(tmp_path: Path, result: UnfoldingResult) -> None:
    changed = with_components(result, "model", covariance=None)
    del component(changed, "model")["covariance"]
    expected = by_hand(changed, histograms(("x", X_EDGES)))["model"]
    with open_release(publish(changed, tmp_path / "model.h5")) as release:
        covariance = release.measure("x", X_EDGES).covariance("model")
    assert np.linalg.matrix_rank(covariance, tol=1e-9 * covariance.max()) == 1
    np.testing.assert_allclose(covariance, expected, rtol=1e-9, atol=1e-12 * expected.max())


def test_an_expression_and_a_function_measure_the_same(release: Release, result: UnfoldingResult) -> None:
    edges = np.array([-5.0, 0.0, 1.0, 4.0])
    expression = release.measure("x**2 - 1", edges)
    function = release.measure(lambda events: events["x"].astype(float) ** 2 - 1, edges)
    values = result.columns["x"][:].astype(float) ** 2 - 1
    np.testing.assert_allclose(expression.values(), histogram(values, edges, result.nominal[:]), rtol=1e-12)
    np.testing.assert_array_equal(function.values(), expression.values())
    np.testing.assert_array_equal(function.covariance(), expression.covariance())


def test_the_axis_of_hist_is_as_good_as_edges(release: Release) -> None:
    axis = hist.axis.Regular(6, -2, 2, name="anything")
    measurement = release.measure("x", axis)
    np.testing.assert_array_equal(measurement.axes[0].edges, axis.edges)
    np.testing.assert_array_equal(measurement.values(), release.measure("x", list(axis.edges)).values())


def test_the_axis_is_labelled_with_symbol_and_unit(release: Release) -> None:
    assert release.measure("y", Y_EDGES).axes[0].label == "$y$ [GeV]"
    assert release.measure("x", X_EDGES).axes[0].label == "$x$"
    assert release.measure("2 * y", Y_EDGES).axes[0].label == r"$2\,y$ [GeV]"


def test_the_unit_of_an_expression_follows_from_its_columns(release: Release) -> None:
    for observable, unit in (("y / hypot(y, y)", "1"), ("y * y", "GeV^2"), ("exp(y)", ""), (lambda e: e["y"], "")):
        axis = release.measure(observable, [0, 1, 100], nan="drop").axes[0]
        assert axis.unit == unit
        assert axis.label.startswith("$") == bool(unit)
    density = release.measure("y * y / x", [0, 1, 100], nan="drop", density=True)
    assert density.unit == "pb / GeV^2"


def test_events_outside_the_bins_are_not_counted_and_the_last_edge_is_inside(
    tmp_path: Path, result: UnfoldingResult
) -> None:
    x = np.full(500, 9.0, dtype=np.float32)
    x[:5] = [0.0, 1.0, 2.0, np.nextafter(np.float32(2), np.float32(3)), -1e-6]
    changed = replace(result, columns={**result.columns, "x": x})
    with open_release(publish(changed, tmp_path / "edges.h5")) as release:
        values = release.measure("x", [0, 1, 2]).values()
    w = result.nominal[:].astype(float)
    np.testing.assert_allclose(values, [w[0], w[1] + w[2]], rtol=1e-12)


def test_a_wide_family_in_many_blocks_gives_the_same_covariance(
    tmp_path: Path, result: UnfoldingResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    spread = np.random.default_rng(4).normal(1, 0.3, (500, 40)).astype(np.float32)
    families = {**result.families, "data_bootstrap": result.nominal[:][:, np.newaxis] * spread}
    changed = with_components(replace(result, families=families), "data_bootstrap", members=40)
    path = publish(changed, tmp_path / "wide.h5")
    expected = by_hand(changed, histograms(("x", X_EDGES), ("y", Y_EDGES)))
    monkeypatch.setattr(layout, "row_blocks", lambda rows, *_: [(i, min(i + 70, rows)) for i in range(0, rows, 70)])
    with open_release(path) as release:
        joint = release.measure({"x": X_EDGES, "y": Y_EDGES})
        total = release.estimate(lambda events, weights: histogram(events["x"], X_EDGES, weights))
    for name in FAMILIES:
        tolerance = 1e-12 * expected[name].max()
        np.testing.assert_allclose(joint.covariance(name), expected[name], rtol=1e-9, atol=tolerance)
        np.testing.assert_allclose(total.covariance(name), expected[name][:4, :4], rtol=1e-9, atol=tolerance)


def test_only_the_columns_asked_for_are_read(release_path: Path) -> None:
    with open_release(damaged(release_path, "events/y")) as release:
        assert (release.measure("x", X_EDGES).values() > 0).all()
        assert (release.measure("abs(x)", [0, 1, 2]).values() > 0).all()
        with pytest.raises(ReleaseError, match="/events/y: cannot be read, the file is damaged"):
            release.measure("y", Y_EDGES)


def test_damaged_weights_are_an_error_of_the_release(release_path: Path) -> None:
    with (
        open_release(damaged(release_path, "weights/pdf")) as release,
        pytest.raises(ReleaseError, match="/weights/pdf: cannot be read"),
    ):
        release.measure("x", X_EDGES)


# Several observables at once


def test_joint_blocks_between_observables_are_those_of_concatenated_vectors(
    release: Release, result: UnfoldingResult
) -> None:
    binned = (("x", X_EDGES), ("y", Y_EDGES))
    joint = release.measure({"x": X_EDGES, "y": Y_EDGES})
    np.testing.assert_allclose(
        joint.values(), histograms(*binned)(arrays(result.columns), result.nominal[:].astype(float)), rtol=1e-12
    )
    for name, expected in by_hand(result, histograms(*binned)).items():
        covariance = joint.covariance(name)
        np.testing.assert_allclose(covariance, expected, rtol=1e-9, atol=1e-12 * expected.max())
        if name != "model":
            assert np.abs(covariance[:4, 4:]).min() > 0


def test_event_sampling_between_observables_is_the_sum_over_shared_events(
    release: Release, result: UnfoldingResult
) -> None:
    joint = release.measure({"x": X_EDGES, "y": Y_EDGES})
    expected = event_sampling_by_hand(
        result.nominal[:], (result.columns["x"][:], X_EDGES), (result.columns["y"][:], Y_EDGES)
    )
    np.testing.assert_allclose(joint.covariance("event_sampling"), expected, rtol=1e-12)
    assert expected[:4, 4:].min() > 0


def test_an_observable_beside_itself_is_fully_correlated(release: Release) -> None:
    joint = release.measure({"one": ("x", X_EDGES), "two": ("x + 0", X_EDGES)})
    for name in ("data_bootstrap", "event_sampling", "pdf"):
        covariance = joint.covariance(name)
        np.testing.assert_allclose(covariance[:4, 4:], covariance[:4, :4], rtol=1e-12)


def test_one_observable_of_a_joint_measurement_is_its_single_measurement(release: Release) -> None:
    joint = release.measure({"x": X_EDGES, "scaled": ("y / 2", Y_EDGES)})
    for name, single in (("x", release.measure("x", X_EDGES)), ("scaled", release.measure("y / 2", Y_EDGES))):
        block = joint[name]
        np.testing.assert_allclose(block.values(), single.values(), rtol=1e-12)
        np.testing.assert_allclose(block.counts(), single.counts(), rtol=1e-12)
        for component in release.components:
            np.testing.assert_allclose(block.covariance(component.name), single.covariance(component.name), rtol=1e-9)
            np.testing.assert_allclose(block.members(component.name), single.members(component.name), rtol=1e-12)


def test_bins_in_a_tuple_are_bins(release: Release) -> None:
    np.testing.assert_array_equal(
        release.measure({"x": (-1.0, 1.0)}).values(), release.measure("x", [-1.0, 1.0]).values()
    )


# Absent and undefined values


def test_events_without_the_object_are_left_out_silently(release: Release, result: UnfoldingResult) -> None:
    present = ~np.isnan(result.columns["y"][:])
    assert 0 < present.sum() < 500
    everything = release.measure("y", [-1e9, 1e9])
    np.testing.assert_allclose(everything.values(), result.nominal[present].astype(float).sum(), rtol=1e-12)
    half = release.measure("sqrt(y) / 2", [-1e9, 1e9])
    np.testing.assert_array_equal(half.values(), everything.values())


def root_of_x(events: Columns) -> NDArray[np.float32]:
    with np.errstate(invalid="ignore"):
        return np.sqrt(events["x"])


@pytest.mark.parametrize("observable", ["sqrt(x)", root_of_x])
def test_an_undefined_value_is_an_error_unless_it_is_dropped(
    release: Release, result: UnfoldingResult, observable: Any
) -> None:
    x = result.columns["x"][:]
    edges = np.array([0.0, 0.5, 2.0])
    count, first = int((x < 0).sum()), int(np.flatnonzero(x < 0)[0])
    with pytest.raises(ObservableError, match=rf"is NaN for {count} of 500 events .* in row {first};"):
        release.measure(observable, edges)
    dropped = release.measure(observable, edges, nan="drop")
    positive = np.where(x >= 0, x, np.nan)
    np.testing.assert_allclose(dropped.values(), histogram(np.sqrt(positive), edges, result.nominal[:]), rtol=1e-12)


def test_zero_by_zero_is_an_error_unless_it_is_dropped(release: Release) -> None:
    with pytest.raises(ObservableError, match="is NaN for 500 of 500 events"):
        release.measure("(x - x) / (x - x)", [0, 1])
    assert release.measure("(x - x) / (x - x)", [0, 1], nan="drop").values().tolist() == [0.0]


def test_an_undefined_value_is_told_from_an_absent_object(release: Release, result: UnfoldingResult) -> None:
    undefined = int(((result.columns["x"][:] < 0) & ~np.isnan(result.columns["y"][:])).sum())
    with pytest.raises(ObservableError, match=f"is NaN for {undefined} of 500 events"):
        release.measure("y * sqrt(x)", [0, 1])


def test_the_rule_for_undefined_values_holds_in_a_joint_measurement_too(release: Release) -> None:
    with pytest.raises(ObservableError, match="is NaN for"):
        release.measure({"x": X_EDGES, "sqrt(x)": [0, 1]})
    assert len(release.measure({"x": X_EDGES, "sqrt(x)": [0, 1]}, nan="drop").values()) == 5


# Calls that cannot be answered


def test_bins_are_needed(release: Release) -> None:
    with pytest.raises(ObservableError, match="observable 'x': no bins are given"):
        release.measure("x", None)  # type: ignore[call-overload]


def test_an_empty_mapping_is_refused(release: Release) -> None:
    with pytest.raises(ObservableError, match="not empty"):
        release.measure({})


def test_a_mapping_beside_bins_is_refused(release: Release) -> None:
    with pytest.raises(ObservableError, match="no other bins"):
        release.measure({"x": X_EDGES}, X_EDGES)  # type: ignore[call-overload]


@pytest.mark.parametrize("bins", [[0], [0, 1, 1], [0, np.nan], "x", [[0, 1], [1, 2]]])
def test_bins_that_are_none_are_refused(release: Release, bins: Any) -> None:
    with pytest.raises(ObservableError, match="bins of x: expected"):
        release.measure("x", bins)


def test_an_unknown_column_is_named(release: Release) -> None:
    with pytest.raises(ObservableError, match=r"release\.h5 has no column 'q'; there are x, y, n, z"):
        release.measure("q", X_EDGES)
    with pytest.raises(ObservableError, match="no column 'q'"):
        release.measure({"x": X_EDGES, "q": X_EDGES})
    with pytest.raises(ObservableError, match="no column 'q'"):
        release.measure(lambda events: events["q"], X_EDGES)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda events: events["x"][:-1], r"found an array of shape \(499,\)"),
        (lambda events: 1.0, r"found an array of shape \(\)"),
        (lambda events: events["x"] + 1j, "dtype complex"),
        (lambda events: [1, 2][5], "failed on release.h5: IndexError"),
    ],
)
def test_a_function_that_gives_no_number_per_event_is_refused(
    release: Release, function: Callable[[Columns], NDArray[Any]], message: str
) -> None:
    with pytest.raises(ObservableError, match=message):
        release.measure(function, X_EDGES)


# Any statistic


def mean_of_x(events: Columns, weights: Vector) -> float:
    return float(np.average(events["x"].astype(float), weights=weights))


def median_of_x(events: Columns, weights: Vector) -> float:
    order = np.argsort(events["x"])
    summed = np.cumsum(weights[order])
    return float(np.interp(summed[-1] / 2, summed, events["x"][order].astype(float)))


def share_of_the_middle(events: Columns, weights: Vector) -> Vector:
    content = histogram(events["x"], X_EDGES, weights)
    share: Vector = content[1:3] / content.sum()
    return share


@pytest.mark.parametrize("statistic", [mean_of_x, median_of_x, share_of_the_middle])
def test_an_estimate_is_that_of_a_loop_over_the_members(
    release: Release, result: UnfoldingResult, statistic: Callable[[Columns, Vector], Any]
) -> None:
    estimate = release.estimate(statistic)
    nominal = np.atleast_1d(statistic(arrays(result.columns), result.nominal[:].astype(float)))
    np.testing.assert_allclose(estimate.values(), nominal, rtol=1e-12)
    expected = by_hand(result, lambda columns, weights: np.atleast_1d(statistic(columns, weights)))
    for name, covariance in expected.items():
        np.testing.assert_allclose(estimate.covariance(name), covariance, rtol=1e-7, atol=1e-16)


def test_a_scale_moves_a_sum_and_not_a_mean(release: Release, result: UnfoldingResult) -> None:
    total = result.nominal[:].astype(float).sum()
    sums = release.estimate(lambda events, weights: weights.sum())
    np.testing.assert_allclose(sums.uncertainties("luminosity"), [0.02 * total], rtol=1e-9)
    assert release.estimate(mean_of_x).uncertainties("luminosity")[0] < 1e-12


def test_event_sampling_of_a_mean_is_the_linearised_one_within_its_own_error(
    release: Release, result: UnfoldingResult
) -> None:
    x, w = result.columns["x"][:].astype(float), result.nominal[:].astype(float)
    linear = (w**2 * (x - np.average(x, weights=w)) ** 2).sum() / w.sum() ** 2
    estimate = release.estimate(mean_of_x)
    replicas = len(estimate.members("event_sampling"))
    assert abs(estimate.covariance("event_sampling")[0, 0] / linear - 1) < 4 * np.sqrt(2 / (replicas - 1))


def test_bin_contents_as_a_statistic_agree_with_the_histogram(release: Release) -> None:
    estimate = release.estimate(lambda events, weights: histogram(events["x"], X_EDGES, weights))
    measurement = release.measure("x", X_EDGES)
    np.testing.assert_allclose(estimate.values(), measurement.values(), rtol=1e-12)
    for component in release.components:
        if component.kind != "event_sampling":
            expected = measurement.covariance(component.name)
            np.testing.assert_allclose(
                estimate.covariance(component.name), expected, rtol=1e-9, atol=1e-12 * expected.max()
            )


def test_bin_contents_as_a_statistic_have_the_event_sampling_within_the_bootstraps_error(release: Release) -> None:
    estimate = release.estimate(lambda events, weights: histogram(events["x"], X_EDGES, weights))
    poisson = estimate.covariance("event_sampling")
    analytic = release.measure("x", X_EDGES).covariance("event_sampling")
    replicas = len(estimate.members("event_sampling"))
    variances = np.diag(analytic)
    error = np.sqrt((np.outer(variances, variances) + analytic**2) / (replicas - 1))
    assert (np.abs(poisson - analytic) < 4 * error).all()
    assert (np.diag(poisson) > 0).all()


def test_estimates_are_reproducible(release: Release) -> None:
    np.testing.assert_array_equal(release.estimate(mean_of_x).covariance(), release.estimate(mean_of_x).covariance())


def test_a_statistic_that_changes_its_weights_does_not_change_the_covariance(release: Release) -> None:
    def normalised_in_place(events: Columns, weights: Vector) -> float:
        value = float(weights[:100].sum())
        weights /= weights.sum()
        return value

    expected = release.estimate(lambda events, weights: weights[:100].sum())
    try:
        estimate = release.estimate(normalised_in_place)
    except ObservableError:
        return
    np.testing.assert_allclose(estimate.covariance(), expected.covariance(), rtol=1e-9)


def failing(events: Columns, weights: Vector) -> float:
    msg = "no fit"
    raise RuntimeError(msg)


def growing() -> Callable[[Columns, Vector], Vector]:
    calls = iter(range(1, 1000))
    return lambda events, weights: np.ones(next(calls))


def nan_after_the_nominal() -> Callable[[Columns, Vector], float]:
    calls = iter(range(1000))
    return lambda events, weights: 1.0 if next(calls) == 0 else float("nan")


@pytest.mark.parametrize(
    ("statistic", "message"),
    [
        (failing, "statistic 'failing', nominal weights: failed with RuntimeError: no fit"),
        (lambda events, weights: weights[0] * np.nan, "nominal weights: expected 1 finite numbers; found"),
        (lambda events, weights: np.ones((2, 2)), "expected 4 finite numbers"),
        (lambda events, weights: "text", "failed with ValueError"),
        (lambda events, weights: events["q"].sum(), "no column 'q'"),
        (growing(), r"ensemble\[0\]: expected 1 finite numbers"),
        (nan_after_the_nominal(), r"ensemble\[0\]: expected 1 finite numbers"),
    ],
    ids=["fails", "nan", "matrix", "text", "unknown column", "grows", "nan later"],
)
def test_a_statistic_that_gives_no_steady_finite_numbers_is_refused(
    release: Release, statistic: Callable[[Columns, Vector], Any], message: str
) -> None:
    with pytest.raises(ObservableError, match=message):
        release.estimate(statistic)


def test_a_statistic_cannot_change_the_events(release: Release) -> None:
    def spoil(events: Columns, weights: Vector) -> float:
        events["x"][:] = 0
        return 1.0

    with pytest.raises(ObservableError, match="read-only"):
        release.estimate(spoil)


def test_a_release_can_be_read_twice_at_once(release_path: Path) -> None:
    other = release_path.with_name("other.h5")
    shutil.copyfile(release_path, other)
    with open_release(release_path) as one, open_release(release_path) as two, open_release(other) as three:
        values = [release.measure("x", X_EDGES).values().tolist() for release in (one, two, three)]
    assert values[0] == values[1] == values[2]
