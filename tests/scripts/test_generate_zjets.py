"""Generated samples: what comes out, and that the filter loses nothing."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uproot

from omnifold_pub import Theory
from omnifold_pub.definitions.particles import Particles
from omnifold_pub.definitions.zjets import OBSERVABLES, dress_muons, zjets
from omnifold_pub.reinterpret.hepmc import hepmc_file


@pytest.fixture(scope="module")
def detector(project: Path) -> dict[str, Any]:
    return runpy.run_path(str(project / "scripts/zjets_detector.py"))


@pytest.fixture(scope="module")
def particles(project: Path) -> Particles:
    (piece,) = hepmc_file(project / "tests/data/hepmc/zjets.hepmc.gz").pieces()
    return piece.particles


def test_the_detector_loses_and_smears(detector: dict[str, Any], particles: Particles) -> None:
    muons = dress_muons(particles)
    passes, columns = detector["measure"](particles, muons, detector["Detector"](), seed=(1,))
    truth = zjets(particles).columns
    assert 0.7 < passes.mean() < 0.95
    assert set(columns) == set(OBSERVABLES)
    assert np.isnan(columns["pT_ll"][~passes]).all()
    ratio = columns["pT_l1"][passes] / truth["pT_l1"][passes] - 1
    assert abs(np.median(ratio)) < 0.01
    assert 0.02 < np.std(ratio) < 0.08
    jets = passes & (truth["pT_trackj1"] > 50) & (np.abs(columns["y_trackj1"] - truth["y_trackj1"]) < 0.1)
    tracks = columns["Ntracks_trackj1"][jets].sum() / truth["Ntracks_trackj1"][jets].sum()
    assert 0.83 < tracks < 0.95


def test_a_variation_changes_what_it_varies_and_nothing_else(detector: dict[str, Any], particles: Particles) -> None:
    muons = dress_muons(particles)
    passes, nominal = detector["measure"](particles, muons, detector["Detector"](), seed=(1,))
    found = {
        name: detector["measure"](particles, muons, varied, seed=(1,))
        for name, varied in detector["VARIATIONS"].items()
    }
    both, muscale = found["muscale_up"]
    both = both & passes
    np.testing.assert_allclose(muscale["pT_l1"][both], 1.003 * nominal["pT_l1"][both], rtol=1e-9)
    np.testing.assert_array_equal(muscale["m_trackj1"][both], nominal["m_trackj1"][both])
    for name in ("trackeff_down", "pileup_up"):
        same, columns = found[name]
        np.testing.assert_array_equal(same, passes)
        np.testing.assert_array_equal(columns["pT_l1"], nominal["pT_l1"])
    assert np.nansum(found["trackeff_down"][1]["Ntracks_trackj1"]) < np.nansum(nominal["Ntracks_trackj1"])


def test_the_settings_are_those_of_the_small_inputs(project: Path, zjets: Path) -> None:
    script = runpy.run_path(str(project / "scripts/zjets_settings.py"))
    described = json.loads((zjets / "samples.json").read_text())["samples"]
    for sample, name in (("simulation", "mc.root"), ("data", "data.root"), ("theory", "theory.root")):
        assert sorted([*script["PROCESS"], *script["SAMPLES"][sample]]) == sorted(described[name]["settings"])


@pytest.mark.slow
def test_a_folder_of_samples_is_cut_to_small_inputs(project: Path, tmp_path: Path) -> None:
    pytest.importorskip("pythia8mc")
    script = project / "scripts/generate_zjets_inputs.py"
    numbers = ["--simulation", "60", "--data", "50", "--theory", "40"]
    subprocess.run([sys.executable, str(script), str(tmp_path), *numbers], capture_output=True, text=True, check=True)
    small = runpy.run_path(str(project / "scripts/make_small_inputs.py"))
    small["cut"].__globals__.update(SIMULATION_ROWS=50, DATA_ROWS=20, THEORY_ROWS=30)
    described = small["cut"](tmp_path, tmp_path / "small")
    assert described["samples"]["mc.root"]["rows"] == 50
    for name, sample in described["samples"].items():
        with uproot.open(tmp_path / "small" / name) as file:
            columns = file["events"].arrays(library="np")
        assert {len(column) for column in columns.values()} == {sample["rows"]}
        if "weight" in columns:
            fiducial = columns.get("pass_truth", np.ones(sample["rows"], dtype=bool))
            assert columns["weight"][fiducial].sum() == pytest.approx(sample["sigma_fid_pb"], rel=1e-5)


@pytest.mark.slow
def test_generated_events_are_read_again(project: Path, tmp_path: Path) -> None:
    pytest.importorskip("pythia8mc")
    script = project / "scripts/generate_zjets.py"
    command = [sys.executable, str(script), "simulation", "60", str(tmp_path / "s.root"), "--seed", "4", "--variations"]
    command += ["--hepmc", str(tmp_path / "s.hepmc.gz")]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "per second of one core" in result.stdout
    with uproot.open(tmp_path / "s.root") as file:
        stored = file["events"].arrays(library="np")
    passes = stored["pass_truth"]
    assert len(passes) >= 60
    assert (passes | stored["pass_reco"]).all()
    assert 0.9 < stored["weight"][passes].sum() < 1.8  # pb; 1.34 of many events
    theory = Theory.from_hepmc(tmp_path / "s.hepmc.gz", definition="zjets")
    for name in OBSERVABLES:
        expected = np.where(stored[name][passes] == -99, np.nan, stored[name][passes])
        np.testing.assert_allclose(theory.events[name], expected, rtol=1e-5, atol=1e-6)
    with uproot.open(tmp_path / "s_pileup_up.root") as file:
        assert file["events"].num_entries == len(passes)


@pytest.mark.slow
def test_the_filter_loses_nothing_and_an_event_of_the_real_inputs_is_made_again(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pythia8mc")
    monkeypatch.syspath_prepend(str(project / "scripts"))
    script = runpy.run_path(str(project / "scripts/generate_zjets.py"))
    generator = script["Generator"]("simulation", 6, active=False)
    batch = generator.batch(400)
    kept = zjets(batch.particles).passes
    muons = dress_muons(batch.particles)
    detector = script["Detector"]()
    kept |= script["measure"](batch.particles, muons, detector, seed=(6,))[0]
    assert batch.vetoed.mean() > 0.3  # it would save something
    assert (kept & batch.vetoed).sum() <= 1
    np.testing.assert_allclose(generator.filter.sum_of_weights, batch.weights.sum(), rtol=0.02)

    first = script["Generator"]("data", 2002, active=False).batch(1)
    assert zjets(first.particles).columns["pT_ll"] == pytest.approx([203.3765411376953], rel=1e-6)
