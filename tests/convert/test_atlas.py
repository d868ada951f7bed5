from __future__ import annotations

import functools
import hashlib
import importlib.util
import json
import math
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from omnifold_pub import open_release, publish, schemas
from omnifold_pub.convert import atlas
from omnifold_pub.convert.atlas_metadata import JET_OBSERVABLES, OBSERVABLES, VARIATIONS
from omnifold_pub.errors import InputError
from omnifold_pub.observables.expressions import parse
from omnifold_pub.unfold.result import ArraySource, UnfoldingResult

read_atlas = functools.partial(atlas.read_atlas, data_kind="data")

EVENTS, SHERPA_EVENTS, NONDY_EVENTS = 2000, 1500, 1800
SUFFIXES = {"main": "", "sherpa": "_sherpa", "nonDY": "_nonDY"}
FAMILIES = ("ensemble", "bootstrap_data", "bootstrap_mc")
COVARIANCE = {"estimator": "x", "centre": "x", "divisor": "x", "correlation": "full"}


@pytest.fixture(scope="module")
def lookalike(project: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_atlas_lookalike", project / "scripts/make_atlas_lookalike.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, lookalike: ModuleType) -> dict[str, Path]:
    """The three look-alikes; do not write to them."""
    folder = tmp_path_factory.mktemp("atlas")
    paths = {name: folder / f"multifold{suffix}.h5" for name, suffix in SUFFIXES.items()}
    lookalike.make_main(paths["main"], EVENTS)
    lookalike.make_side(paths["sherpa"], SHERPA_EVENTS, seed=2, slope=3.4, bootstraps=25)
    lookalike.make_side(paths["nonDY"], NONDY_EVENTS, seed=3, slope=3.1)
    return paths


Change = Callable[[Any], Any]
Edit = Callable[..., Path]


def table(path: Path) -> Any:
    return pd.read_hdf(path, key="df")


@pytest.fixture
def edit(tmp_path: Path, files: dict[str, Path]) -> Edit:
    """Write a changed look-alike: ``edit(change)`` or ``edit(change, "sherpa")`` returns its path."""

    def write(change: Change, role: str = "main") -> Path:
        path = tmp_path / files[role].name
        change(table(files[role])).to_hdf(path, key="df", mode="w")
        return path

    return write


def read_all(source: ArraySource | None, block: int = 700) -> np.ndarray:
    assert source is not None
    pieces = [source[start : start + block] for start in range(0, source.shape[0], block)]
    array = np.concatenate(pieces)
    assert array.shape == source.shape
    assert array.dtype == source.dtype
    return array


def component(result: UnfoldingResult, name: str) -> dict[str, Any]:
    entry: dict[str, Any] = next(entry for entry in result.metadata["components"] if entry["name"] == name)
    return entry


def numbered(family: str, count: int) -> list[str]:
    return [f"weights_{family}_{number}" for number in range(count)]


def test_every_weight_is_that_of_the_file(files: dict[str, Path]) -> None:
    truth = table(files["main"])
    with read_atlas(files) as result:
        assert read_all(result.nominal).tobytes() == truth["weights_nominal"].to_numpy().tobytes()
        assert read_all(result.prior).tobytes() == truth["weight_mc"].to_numpy().tobytes()
        assert read_all(result.closure["dd"].unfolded).tobytes() == truth["weights_dd"].to_numpy().tobytes()
        assert read_all(result.closure["dd"].target).tobytes() == truth["target_dd"].to_numpy().tobytes()
        expected = {name: numbered(name, 100 if name == "ensemble" else 25) for name in FAMILIES}
        expected |= {name: [f"weights_{name}"] for name in VARIATIONS}
        assert set(result.families) == set(expected) | {"nonclosure"}
        for name, columns in expected.items():
            assert read_all(result.families[name]).tobytes() == truth[columns].to_numpy().tobytes(), name
        used = {column for columns in expected.values() for column in columns}
        left = set(truth.columns) - used - set(OBSERVABLES)
        assert left == {"weights_nominal", "weight_mc", "weights_dd", "target_dd", "weights_lumi"}
        assert read_all(result.event_id).tolist() == list(range(EVENTS))
        assert result.event_id[5:7].dtype == np.int64


@pytest.mark.parametrize("absent", [-99, math.nan], ids=["sentinel", "nan"])
def test_absent_jets_are_nan_and_all_else_is_the_file(tmp_path: Path, lookalike: ModuleType, absent: float) -> None:
    lookalike.make_main(tmp_path / "main.h5", EVENTS, absent=absent)
    truth = table(tmp_path / "main.h5")
    assert truth["Ntracks_trackj2"].dtype == (np.float32 if math.isnan(absent) else np.int32)
    with read_atlas(tmp_path / "main.h5") as result:
        assert tuple(result.columns) == OBSERVABLES
        for name in OBSERVABLES:
            expected = truth[name].to_numpy().astype(np.float32)
            expected[expected == -99] = np.nan
            column = read_all(result.columns[name])
            np.testing.assert_array_equal(column, expected)
            assert column.dtype == np.float32
            assert np.isnan(column).any() == (name in JET_OBSERVABLES)


@pytest.mark.parametrize(("sentinel", "marked"), [(None, -99), (-7.5, -7.5), (-99, None)])
def test_the_sentinel_is_the_callers(edit: Edit, sentinel: float | None, marked: float | None) -> None:
    def change(frame: Any) -> Any:
        frame.loc[3, "pT_trackj2"] = -99 if marked is None else marked
        return frame

    with read_atlas(edit(change), sentinel=sentinel) as result:
        value = result.columns["pT_trackj2"][3:4]
    assert value.tolist() == [-99.0] if sentinel is None else np.isnan(value).all()


def test_metadata_are_complete(files: dict[str, Path]) -> None:
    with read_atlas(files) as result:
        filled = json.loads(json.dumps(result.metadata))
        for entry in filled["components"]:
            assert "covariance" not in entry
            entry["covariance"] = COVARIANCE
        assert not {"schema_version", "created", "events"} & set(filled)
        filled |= {"schema_version": "1.1.0", "created": "2026-01-31T12:00:00Z", "events": EVENTS}
        assert schemas.check(filled, "release") == []
        members = {entry["name"]: entry["members"] for entry in filled["components"] if "members" in entry}
        assert members == {name: source.shape[1] for name, source in result.families.items()}
        assert [entry["name"] for entry in filled["observables"]] == list(result.columns)
        assert {entry["name"] for entry in filled["canvases"]} == set(result.canvases) == {"sherpa", "nonDY"}
        for entry in filled["canvases"]:
            there = result.canvases[entry["name"]]
            assert entry["events"] == there.event_id.shape[0]
            assert {family["name"]: family["members"] for family in entry["families"]} == {
                name: source.shape[1] for name, source in there.families.items()
            }
        assert filled["weights"]["central_value"] == {"rule": "median", "family": "ensemble"}
        assert {test["name"] for test in filled["closure"]["tests"]} == set(result.closure)
        for name in ("sherpa", "nonDY"):
            assert component(result, name)["canvas"] == name
        assert all(component(result, name)["kind"] == "variation" for name in VARIATIONS)
        assert "leave_out" in component(result, "nonclosure")["description"]


def test_events_are_inside_the_declared_ranges_and_the_fiducial_region(files: dict[str, Path]) -> None:
    with read_atlas(files) as result:
        for columns in (result.columns, *(canvas.columns for canvas in result.canvases.values())):
            events = {name: read_all(source).astype(np.float64) for name, source in columns.items()}
            for entry in result.metadata["observables"]:
                values, limits = events[entry["name"]], entry["valid_range"]
                if limits["minimum"] is not None:
                    assert not (values < limits["minimum"]).any(), entry
                if limits["maximum"] is not None:
                    assert not (values > limits["maximum"]).any(), entry
                assert entry["missing"]["rule"] == ("nan" if entry["name"] in JET_OBSERVABLES else "never")
            for requirement in result.metadata["fiducial"]["selection"]:
                values = parse(requirement["expression"])(events)
                low, high = requirement["minimum"], requirement["maximum"]
                assert low is None or (values >= low - requirement["tolerance"]).all(), requirement
                assert high is None or (values <= high + requirement["tolerance"]).all(), requirement


def test_it_can_be_published(files: dict[str, Path], tmp_path: Path) -> None:
    with atlas.read_atlas(files, data_kind="pseudodata") as result:
        publish(result, tmp_path / "release.h5")
    truth = table(files["main"])
    with open_release(tmp_path / "release.h5") as release:
        np.testing.assert_array_equal(release.nominal_weights, truth["weights_nominal"])
        assert release.metadata["data_kind"] == "pseudodata"
        stored = release.datasets["canvases/sherpa/weights/nominal"].read()
    np.testing.assert_array_equal(stored, table(files["sherpa"])["weights_nominal"])


def test_provenance_and_cross_section_are_measured(files: dict[str, Path]) -> None:
    with read_atlas(list(files.values())) as result:
        inputs = result.metadata["inputs"]
        cross_section = result.metadata["cross_section"]
    for entry, path, rows in zip(inputs, files.values(), (EVENTS, SHERPA_EVENTS, NONDY_EVENTS), strict=True):
        assert entry["file"] == path.name
        assert entry["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert entry["rows"] == rows
    exact = math.fsum(table(files["main"])["weights_nominal"].astype(float))
    assert cross_section["value"] == pytest.approx(exact, rel=1e-14)
    assert cross_section["unit"] == "fb"
    assert "float64" in cross_section["source"]


def test_nonclosure_shifts_any_histogram_by_its_nonclosure(files: dict[str, Path]) -> None:
    truth = table(files["main"]).astype(np.float64)
    with read_atlas(files) as result:
        shifted = read_all(result.families["nonclosure"])[:, 0].astype(np.float64)
        nominal = read_all(result.nominal).astype(np.float64)
        closure = result.metadata["closure"]
    for name, bins in (("pT_ll", [200, 230, 300, 450, 1000]), ("y_ll", [-2.5, -1, 0, 1, 2.5])):

        def histogram(weights: Any, name: str = name, bins: Any = bins) -> np.ndarray:
            return np.histogram(truth[name], bins=bins, weights=weights)[0]

        expected = histogram(truth["weights_dd"]) - histogram(truth["target_dd"])
        assert np.abs(expected).max() > 0.1
        np.testing.assert_allclose(histogram(shifted) - histogram(nominal), expected, atol=1e-4)
    ratio = truth["weights_dd"].sum() / truth["target_dd"].sum() - 1
    assert closure["results"][0]["value"] == pytest.approx(ratio, rel=1e-9)
    assert closure["tests"][0]["unfolded"] == "stored"


def test_sherpa_bootstraps_are_rescaled_by_one_factor(files: dict[str, Path]) -> None:
    truth = table(files["sherpa"]).astype(np.float64)
    replicas = truth[numbered("bootstrap_mc", 25)].to_numpy()
    nominal = truth["weights_nominal"].sum()
    assert replicas.sum(axis=0).mean() / nominal == pytest.approx(26.5, rel=0.05)
    with read_atlas(files) as result:
        canvas = result.canvases["sherpa"]
        stored = read_all(canvas.families["bootstrap_mc"]).astype(np.float64)
        described = result.metadata["canvases"][0]["families"][0]["description"]
        assert read_all(canvas.nominal).tobytes() == table(files["sherpa"])["weights_nominal"].to_numpy().tobytes()
        assert read_all(canvas.event_id).tolist() == list(range(SHERPA_EVENTS))
    factor = nominal / replicas.sum(axis=0).mean()
    np.testing.assert_allclose(stored, replicas * factor, rtol=1e-7)
    assert stored.sum(axis=0).mean() == pytest.approx(nominal, rel=1e-7)
    assert f"{1 / factor:.4g} times the nominal" in described
    assert f"{factor:.9g}" in described


def _side_with(scales: dict[str, float]) -> Change:
    """Give a side file bootstraps that sum to ``scales`` times its nominal."""

    def change(frame: Any) -> Any:
        kept = frame[[*OBSERVABLES, "weights_nominal"]]
        rng = np.random.default_rng(4)
        added = {
            f"weights_{family}_{number}": frame["weights_nominal"] * np.float32(scale * rng.normal(1, 0.01))
            for family, scale in scales.items()
            for number in range(3)
        }
        return pd.concat([kept, pd.DataFrame(added)], axis=1)

    return change


def test_both_families_of_a_side_file_take_the_same_factor(edit: Edit, files: dict[str, Path]) -> None:
    side = edit(_side_with({"bootstrap_mc": 26.5, "bootstrap_data": 26.9}), "sherpa")
    with read_atlas({"main": files["main"], "sherpa": side}) as result:
        families = result.canvases["sherpa"].families
        sums = {name: read_all(source).sum(dtype=np.float64) for name, source in families.items()}
        original = {name: table(side)[numbered(name, 3)].to_numpy(np.float64).sum() for name in families}
    factors = [sums[name] / original[name] for name in ("bootstrap_mc", "bootstrap_data")]
    assert factors[0] == pytest.approx(factors[1], rel=1e-6)
    assert factors[0] == pytest.approx(1 / 26.7, rel=0.02)


def test_bootstraps_that_fit_their_nominal_stay_as_they_are(edit: Edit, files: dict[str, Path]) -> None:
    side = edit(_side_with({"bootstrap_mc": 1.03, "ensemble": 1.0}), "nonDY")
    with read_atlas([files["main"], side]) as result:
        families = result.canvases["nonDY"].families
        for name, source in families.items():
            assert read_all(source).tobytes() == table(side)[numbered(name, 3)].to_numpy().tobytes()
        entries = result.metadata["canvases"][0]["families"]
    assert {entry["name"]: entry["kind"] for entry in entries} == {"bootstrap_mc": "bootstrap", "ensemble": "ensemble"}
    assert "times the nominal" not in str(entries)


@pytest.mark.parametrize("scales", [{"bootstrap_mc": 26.5, "bootstrap_data": 1.0}, {"bootstrap_mc": -1.0}])
def test_bootstraps_that_no_single_factor_puts_right(
    edit: Edit, files: dict[str, Path], scales: dict[str, float]
) -> None:
    side = edit(_side_with(scales), "sherpa")
    with pytest.raises(InputError, match=r"one common factor; found bootstrap"), read_atlas([files["main"], side]):
        pass


def _add(**columns: float) -> Change:
    return lambda frame: frame.assign(**{name: np.float32(value) for name, value in columns.items()})


def _drop(*names: str) -> Change:
    return lambda frame: frame.drop(columns=list(names))


def _rename(**names: str) -> Change:
    return lambda frame: frame.rename(columns=names)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            _add(weights_bootstrap_mc_test_3=1, my_column=2),
            "found 2 others: 'weights_bootstrap_mc_test_3', 'my_column'",
        ),
        (_rename(weights_ensemble_7="weights_ensemble_07"), "1 others: 'weights_ensemble_07'"),
        (_rename(weights_pileup="weights_pile_up"), "'weights_pile_up'.*did you mean weights_pileup"),
        (_drop("weights_bootstrap_mc_24", "weights_bootstrap_mc_7"), "_mc_.*found 23, no number 7;"),
        (_drop("weights_ensemble_0"), "weights_ensemble_.*found 99, no number 0;"),
        (_rename(weights_ensemble_99="weights_ensemble_99999999999"), "found 100, no number 99, 100"),
        (_drop(*numbered("bootstrap_data", 25)[1:]), "bootstrap_data.*found 1, one alone"),
        (_drop(*numbered("bootstrap_data", 25)), "lacks 1 columns or families that it should hold: bootstrap_data"),
        (_drop("weights_muCalID", "tau2_trackj1"), "lacks 2 columns.*: tau2_trackj1, weights_muCalID"),
        (_drop("weight_mc"), "lacks 1 columns.*: weight_mc"),
        (_add(weights_lumi=0.017), "expected the nominal times one factor"),
        (lambda frame: frame.assign(weights_lumi=frame["weights_nominal"] * np.float32(0.983)), "factors from 0.98"),
        (lambda frame: frame.assign(weights_lumi=frame["weights_nominal"]), "factors from 1 to 1"),
        (lambda frame: frame.assign(weights_nominal=-frame["weights_nominal"]), "weights_nominal.*a positive, finite"),
        (_add(target_dd=0), "target_dd: expected weights with a positive, finite sum; found 0"),
        (_add(weight_mc=math.nan), "weight_mc: expected weights with a finite sum; found nan"),
    ],
)
def test_other_files_are_refused(edit: Edit, change: Change, message: str) -> None:
    path = edit(change)
    with pytest.raises(InputError, match=message) as caught, read_atlas(path):
        pass
    assert str(path) in str(caught.value)


def test_a_luminosity_that_is_off_in_one_event_is_no_pure_factor(edit: Edit) -> None:
    def change(scale: float) -> Change:
        def nudge(frame: Any) -> Any:
            frame.loc[EVENTS - 1, "weights_lumi"] *= np.float32(scale)
            return frame

        return nudge

    with pytest.raises(InputError, match=r"factors from 1\.01[67]\d* to 1\.0170"), read_atlas(edit(change(1 - 3e-5))):
        pass
    with read_atlas(edit(change(1 + 3e-6))):
        pass


def test_events_without_weight_have_no_factor(edit: Edit) -> None:
    def change(luminosity: float) -> Change:
        def blank(frame: Any) -> Any:
            frame.loc[3, "weights_nominal"] = 0
            frame.loc[3, "weights_lumi"] = luminosity
            return frame

        return blank

    with read_atlas(edit(change(0))) as result:
        assert component(result, "lumi")["relative_uncertainty"] == 0.017
    with pytest.raises(InputError, match="to inf"), read_atlas(edit(change(1e-6))):
        pass


def test_the_luminosity_becomes_a_scale(files: dict[str, Path]) -> None:
    with read_atlas(files["main"]) as result:
        lumi = component(result, "lumi")
        assert (lumi["kind"], lumi["relative_uncertainty"]) == ("scale", 0.017)
        assert result.metadata["luminosity"] == {"value": 139, "unit": "fb-1", "relative_uncertainty": 0.017}
        assert "lumi" not in result.families


def test_a_look_alike_of_a_family_can_be_left_out_by_name(edit: Edit) -> None:
    path = edit(_add(weights_bootstrap_mc_test_3=1, my_column=2))
    with read_atlas(path, ignore=["weights_bootstrap_mc_test_3", "my_column", "weights_pileup"]) as result:
        assert result.families["bootstrap_mc"].shape == (EVENTS, 25)
        assert result.families["pileup"].shape == (EVENTS, 1)  # a known column is never ignored
        notes = " ".join(result.metadata["validity"]["notes"])
    assert "not carried over: weights_bootstrap_mc_test_3, my_column" in notes
    assert "weights_pileup" not in notes


@pytest.mark.parametrize("multiplicities", [True, False])
def test_event_sampling_is_measured(tmp_path: Path, lookalike: ModuleType, *, multiplicities: bool) -> None:
    lookalike.make_main(tmp_path / "main.h5", EVENTS, multiplicities=multiplicities)
    zeros = (table(tmp_path / "main.h5")[numbered("bootstrap_mc", 25)] == 0).to_numpy().mean()
    with read_atlas(tmp_path / "main.h5") as result:
        names = [entry["name"] for entry in result.metadata["components"]]
        bootstrap = component(result, "bootstrap_mc")
        assert component(result, "bootstrap_data")["includes_event_sampling"] is False
        assert bootstrap["includes_event_sampling"] is multiplicities
        assert f"{100 * zeros:.1f} %" in bootstrap["description"]
        assert ("event_sampling" in names) is not multiplicities
        if not multiplicities:
            assert component(result, "event_sampling")["seed"] == 240520041


def test_half_of_the_multiplicities_do_not_count_as_all(edit: Edit, files: dict[str, Path]) -> None:
    def change(frame: Any) -> Any:
        half = numbered("bootstrap_mc", 25)[:12]
        return frame.assign(**dict.fromkeys(half, frame["weights_nominal"]))

    with read_atlas(edit(change)) as result:
        assert component(result, "bootstrap_mc")["includes_event_sampling"] is False


def test_without_side_files_there_is_a_note(files: dict[str, Path]) -> None:
    with read_atlas(files["main"]) as result:
        assert result.canvases == {}
        assert result.metadata["canvases"] == []
        assert not [entry for entry in result.metadata["components"] if entry["kind"] == "two_point"]
        assert len(result.metadata["inputs"]) == 1
        notes = result.metadata["validity"]["notes"]
        for name in ("sherpa", "nonDY"):
            assert f"multifold_{name}.h5 was not given: the component {name} is left out" in notes
    with read_atlas([files["nonDY"], files["main"]]) as result:
        assert list(result.canvases) == ["nonDY"]
        assert "nonDY" not in " ".join(result.metadata["validity"]["notes"])
        assert component(result, "nonDY")["canvas"] == "nonDY"


def test_a_side_file_without_an_observable_is_refused(edit: Edit, files: dict[str, Path]) -> None:
    side = edit(_drop("m_trackj2"), "sherpa")
    with pytest.raises(InputError, match=r"sherpa\.h5: lacks 1 .*: m_trackj2"), read_atlas([files["main"], side]):
        pass


def test_the_caller_can_replace_what_the_files_do_not_say(files: dict[str, Path], tmp_path: Path) -> None:
    own = {
        "licence": "CC-BY-4.0",
        "cross_section": {"value": 1.81, "unit": "pb", "source": "the paper"},
    }
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(own))
    (tmp_path / "own.json").write_text(json.dumps(own))
    for metadata in (own, tmp_path / "own.yaml", str(tmp_path / "own.json")):
        with read_atlas(files["main"], metadata=metadata) as result:
            assert {key: result.metadata[key] for key in own} == own
            assert result.metadata["contact"] == "ATLAS Collaboration, atlas.publications@cern.ch"
    validity = {"minimum_effective_events_per_bin": 10, "severity": "error", "notes": []}
    with read_atlas(files["main"], metadata={"validity": validity}) as result:
        result.metadata["validity"]["notes"].append("mine")
    assert validity["notes"] == []
    with read_atlas(files["main"]) as result:
        assert "mine" not in result.metadata["validity"]["notes"]


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"inputs": []}, "metadata: inputs: says what the files hold"),
        ({"events": 3}, "events: says what the files hold"),
        ({"license": "CC0-1.0"}, "'license': no such key; did you mean licence"),
        (["licence"], "expected a mapping"),
        (b"[1, 2]", "own.yaml: expected a mapping"),
        (b"a: [", "own.yaml: not YAML"),
        (b"\xff\xfe\xff", "own.yaml: not YAML"),
        (b"a: !!python/object/apply:os.getcwd []", "own.yaml: not YAML"),
        (b"", "own.yaml: expected a mapping"),
        (None, "own.yaml: cannot be read"),
    ],
)
def test_metadata_that_cannot_be_used(files: dict[str, Path], tmp_path: Path, metadata: Any, message: str) -> None:
    path = tmp_path / "own.yaml"
    if isinstance(metadata, bytes):
        path.write_bytes(metadata)
    given = path if metadata is None or isinstance(metadata, bytes) else metadata
    with pytest.raises(InputError, match=message), read_atlas(files["main"], metadata=given):
        pass


@pytest.mark.parametrize(
    ("roles", "message"),
    [
        (["a.h5", "b.h5"], r"one of each role, main, sherpa, nonDY.*found a\.h5 and b\.h5 for main"),
        (["a.h5", "b_sherpa.h5", "c_SHERPA.h5"], "for sherpa"),
        (["multifold_nonDY.h5"], r"expected the main file.*found multifold_nonDY\.h5"),
        ([], "found none"),
        ({"main": "a.h5", "herwig": "b.h5"}, "found 'herwig'"),
        ({"sherpa": "b.h5"}, "expected the main file"),
        ("nowhere.h5", "no such file"),
    ],
)
def test_files_without_a_role(roles: Any, message: str) -> None:
    with pytest.raises(InputError, match=message), read_atlas(roles):
        pass


def test_double_precision_is_summed_as_it_is_and_rounded_once(tmp_path: Path, lookalike: ModuleType) -> None:
    path = tmp_path / "main.h5"
    lookalike.make_main(path, EVENTS, dtype=np.float64)
    truth = table(path)
    assert truth["weights_nominal"].dtype == np.float64
    with read_atlas(path) as result:
        assert result.nominal.dtype == np.float64
        assert result.metadata["cross_section"]["value"] == pytest.approx(
            math.fsum(truth["weights_nominal"]), rel=1e-14
        )
        assert read_all(result.families["ensemble"]).tobytes() == truth[numbered("ensemble", 100)].to_numpy().tobytes()
        shifted = read_all(result.families["nonclosure"])[:, 0]
        assert "rounded to float32" in result.metadata["description"]
        assert component(result, "lumi")["relative_uncertainty"] == 0.017
    nominal = truth["weights_nominal"].astype(np.float32).astype(float)
    expected = (nominal + (truth["weights_dd"] - truth["target_dd"])).astype(np.float32)
    np.testing.assert_array_equal(shifted, expected)


def test_a_prior_of_another_normalisation_is_noted(edit: Edit) -> None:
    with read_atlas(edit(lambda frame: frame.assign(weight_mc=frame["weight_mc"] * np.float32(1000)))) as result:
        note = next(note for note in result.metadata["validity"]["notes"] if note.startswith("The prior"))
    assert "times the nominal: only its shape" in note
    assert float(note.split()[4]) == pytest.approx(940, rel=0.01)


def test_the_result_is_of_no_use_after_the_block(files: dict[str, Path]) -> None:
    with read_atlas(files) as result:
        pass
    for source in (result.nominal, result.columns["pT_ll"], result.families["nonclosure"]):
        with pytest.raises(InputError, match="closed"):
            source[0:3]
