"""A campaign on the small real inputs: what it leaves, and that being killed costs nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import pytest
from numpy.typing import NDArray

from omnifold_pub import UnfoldingResult
from omnifold_pub.errors import RunError, TrainingError
from omnifold_pub.schemas import check
from omnifold_pub.unfold.campaign import unfold
from omnifold_pub.unfold.collection import collect
from omnifold_pub.unfold.records import RunWarning
from omnifold_pub.unfold.result import ArraySource
from omnifold_pub.unfold.store import read_arrays, read_header, write_arrays

WriteAnalysis = Callable[..., Path]


def array(source: ArraySource) -> NDArray[Any]:
    """Read all of an array that a result holds."""
    return np.asarray(source[0 : source.shape[0]])


def test_families_are_as_asked_for(quick_run: tuple[Path, UnfoldingResult]) -> None:
    _, result = quick_run
    events = result.event_id.shape[0]
    shapes = {name: family.shape for name, family in result.families.items()}
    assert shapes == {
        "ensemble": (events, 2),
        "data_bootstrap": (events, 4),
        "mc_bootstrap": (events, 4),
        "trackeff_down": (events, 1),
        "muscale_up": (events, 1),
        "pileup_up": (events, 1),
    }
    assert len(result.columns) == 24
    assert array(result.nominal) == pytest.approx(array(result.families["ensemble"]).mean(axis=1), rel=1e-6)


def test_absent_jets_are_nan_and_no_sentinel_is_left(quick_run: tuple[Path, UnfoldingResult]) -> None:
    _, result = quick_run
    second_jet = [name for name in result.columns if name.endswith("trackj2")]
    absent = {name: np.isnan(array(result.columns[name])) for name in second_jet}
    assert 0.2 < absent["pT_trackj2"].mean() < 0.4
    assert all(np.array_equal(mask, absent["pT_trackj2"]) for mask in absent.values())
    assert not any((array(column) == -99).any() for column in result.columns.values())


def with_filled_in(metadata: dict[str, Any], events: int) -> dict[str, Any]:
    """Return metadata with a stand-in for all that publishing fills in."""
    covariance = {"estimator": "x", "centre": "x", "divisor": "x", "correlation": "estimated"}
    components = [{"covariance": covariance, **component} for component in metadata["components"]]
    filled = {"schema_version": "1.1.0", "created": "2026-01-31T12:00:00+00:00", "events": events}
    return metadata | filled | {"components": components}


def test_the_metadata_are_complete_but_for_what_publishing_fills_in(quick_run: tuple[Path, UnfoldingResult]) -> None:
    _, result = quick_run
    assert check(with_filled_in(result.metadata, result.event_id.shape[0]), "release") == []
    assert {"schema_version", "created", "events"}.isdisjoint(result.metadata)
    assert not any("covariance" in component for component in result.metadata["components"])


def test_the_metadata_say_what_the_analysis_and_the_trainings_say(
    quick_run: tuple[Path, UnfoldingResult], zjets_document: dict[str, Any]
) -> None:
    run, result = quick_run
    metadata = result.metadata
    for key in ("fiducial", "objects", "luminosity", "description", "four_momenta"):
        assert metadata[key] == zjets_document[key]
    for key, value in zjets_document["publication"].items():
        assert metadata[key] == value
    assert metadata["cross_section"]["value"] == array(result.nominal).sum(dtype=float)
    clamped = [read_header(path)["summary"]["clamped"] for path in run.glob("trainings/*.safetensors")]
    assert metadata["weights"]["clamps"] == {
        "applied": True,
        "description": "Logit of every network, to +-10, each time that weights are computed from it; the events whose "
        "logit was beyond hold 0 of the weight",
        "touched": sum(c["touched"] for c in clamped),
        "evaluated": sum(c["evaluated"] for c in clamped),
    }
    assert metadata["unfolding"]["settings"]["hidden"] == [8]
    assert metadata["unfolding"]["campaign"]["mc_bootstrap"] == 4
    assert metadata["unfolding"]["campaign"]["trainings"]["count"] == 13


def test_observables_say_how_they_are_stored(quick_run: tuple[Path, UnfoldingResult]) -> None:
    _, result = quick_run
    entries = {entry["name"]: entry for entry in result.metadata["observables"]}
    assert list(entries) == list(result.columns)
    meaning = "The event has no second charged-particle jet of pT > 10 GeV"
    assert entries["pT_ll"]["missing"] == {"rule": "never"}
    assert entries["tau2_trackj2"]["missing"] == {"rule": "nan", "meaning": meaning}
    for name, column in result.columns.items():
        assert column.dtype == entries[name]["dtype"]
        low, high = (entries[name]["valid_range"][bound] for bound in ("minimum", "maximum"))
        assert np.nanmin(array(column)) >= low
        assert high is None or np.nanmax(array(column)) <= high


def test_components_say_how_many_trainings_made_them(quick_run: tuple[Path, UnfoldingResult]) -> None:
    _, result = quick_run
    components = {component["name"]: component for component in result.metadata["components"]}
    assert set(components) == set(result.families)
    for name, component in components.items():
        assert component["members"] == result.families[name].shape[1]
        assert component["trainings_per_member"] == 1
    assert [components[name]["seed"] for name in ("data_bootstrap", "mc_bootstrap")] == [7, 8]


def test_networks_come_when_asked_for(quick_run: tuple[Path, UnfoldingResult]) -> None:
    run, result = quick_run
    assert result.networks == {}
    assert "networks" not in result.metadata
    collected = collect(run, networks=True)
    assert check(with_filled_in(collected.metadata, collected.event_id.shape[0]), "release") == []
    assert list(collected.networks) == ["ensemble_0000", "ensemble_0001"]
    entries = {entry["name"]: entry for entry in collected.metadata["networks"]}
    assert {name: entry["bytes"] for name, entry in entries.items()} == {
        name: len(content) for name, content in collected.networks.items()
    }
    assert collected.networks == collect(run, networks=True).networks


def test_a_second_run_finds_everything_done(
    quick_run: tuple[Path, UnfoldingResult], quick_analysis: WriteAnalysis
) -> None:
    run, result = quick_run
    stamps = {path: path.stat().st_mtime_ns for path in (run / "trainings").iterdir()}
    calls: list[tuple[int, int]] = []
    again = unfold(quick_analysis(), run, progress=lambda done, total, _: calls.append((done, total)))
    assert calls == [(13, 13)]
    assert {path: path.stat().st_mtime_ns for path in (run / "trainings").iterdir()} == stamps
    assert np.array_equal(array(again.families["mc_bootstrap"]), array(result.families["mc_bootstrap"]))


def test_each_training_keeps_its_state(quick_run: tuple[Path, UnfoldingResult]) -> None:
    path = quick_run[0] / "trainings/mc_bootstrap_0002.safetensors"
    summary = read_header(path)["summary"]
    assert summary["training"]["resampling_seed"] == 8
    assert summary["preprocessing"]["reco"]["flags"]
    assert summary["clamped"]["evaluated"] > 0
    assert {name.split("/")[0] for name in read_arrays(path, "networks/")} == {"step1", "step2", "fakes"}


def test_other_settings_in_the_same_run_directory_are_refused(
    quick_run: tuple[Path, UnfoldingResult], quick_analysis: WriteAnalysis
) -> None:
    changed = quick_analysis(lambda document: document["omnifold"].update(learning_rate=0.02))
    with pytest.raises(RunError, match="made with other inputs, settings or seeds"):
        unfold(changed, quick_run[0])


def test_titles_can_change_without_training_again(
    tmp_path: Path, quick_run: tuple[Path, UnfoldingResult], quick_analysis: WriteAnalysis
) -> None:
    run = tmp_path / "run"
    shutil.copytree(quick_run[0], run)
    result = unfold(quick_analysis(lambda document: document.update(title="A better title")), run)
    assert result.metadata["title"] == "A better title"
    assert collect(run).metadata["title"] == "A better title"


def test_a_run_directory_in_use_is_refused(
    quick_run: tuple[Path, UnfoldingResult], quick_analysis: WriteAnalysis
) -> None:
    with filelock.FileLock(quick_run[0] / "lock"), pytest.raises(RunError, match="another process is at work"):
        unfold(quick_analysis(), quick_run[0])


def test_a_missing_training_is_named(tmp_path: Path, quick_run: tuple[Path, UnfoldingResult]) -> None:
    run = tmp_path / "run"
    shutil.copytree(quick_run[0], run)
    (run / "trainings/muscale_up_0000.safetensors").unlink()
    with pytest.raises(RunError, match="1 of 13 trainings are not finished, the first is muscale_up_0000"):
        collect(run)


def test_a_training_of_another_campaign_is_not_mixed_in(
    tmp_path: Path, quick_run: tuple[Path, UnfoldingResult]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(quick_run[0], run)
    path = run / "trainings/ensemble_0001.safetensors"
    write_arrays(path, read_arrays(path), read_header(path) | {"fingerprint": "of another"})
    with pytest.raises(RunError, match=r"ensemble_0001.* made with other inputs"):
        collect(run)


def test_what_is_no_run_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not a run directory"):
        collect(tmp_path)


@pytest.mark.slow
def test_a_failing_training_is_reported_and_finished_ones_are_kept(
    tmp_path: Path, quick_analysis: WriteAnalysis
) -> None:
    def diverge(document: dict[str, Any]) -> None:
        document["omnifold"]["learning_rate"] = 1e30
        document["campaign"] = {"ensemble": 1, "data_bootstrap": 0, "mc_bootstrap": 0}
        del document["publication"]["validity"]["minimum_effective_data_events_per_bin"]
        document["inputs"]["variations"] = []

    with pytest.warns(RunWarning), pytest.raises(TrainingError, match="smaller learning_rate"):
        unfold(quick_analysis(diverge), tmp_path / "run")
    assert list((tmp_path / "run/trainings").iterdir()) == []


@pytest.mark.slow
def test_a_single_training_is_published_without_an_ensemble(tmp_path: Path, quick_analysis: WriteAnalysis) -> None:
    def single(document: dict[str, Any]) -> None:
        document["campaign"] = {"seed": 7, "ensemble": 1, "data_bootstrap": 0, "mc_bootstrap": 0}
        del document["publication"]["validity"]["minimum_effective_data_events_per_bin"]
        document["inputs"]["variations"] = []
        document["luminosity"] = {"value": 9.3, "unit": "fb-1", "relative_uncertainty": 0.02}

    metadata = unfold(quick_analysis(single), tmp_path / "run").metadata
    assert metadata["weights"]["central_value"] == {"rule": "single"}
    assert [c["kind"] for c in metadata["components"]] == ["event_sampling", "scale"]
    assert check(with_filled_in(metadata, 1), "release") == []
    assert list(collect(tmp_path / "run", networks=True).networks) == ["ensemble_0000"]
