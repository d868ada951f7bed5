"""A complete release made by hand: its metadata, a file in its layout, and a way to package it."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from omnifold_pub.deposit import Deposit, package
from omnifold_pub.format.writing import ReleaseWriter

EVENTS = 400


def _component(name: str, kind: str, estimator: str, divisor: str, correlation: str, **more: Any) -> dict[str, Any]:
    covariance = {"estimator": estimator, "centre": "nominal", "divisor": divisor, "correlation": correlation}
    return {"name": name, "kind": kind, "description": f"What {name} varies", "covariance": covariance, **more}


def make_metadata() -> dict[str, Any]:
    """Return complete metadata, with every optional part and with text that is awkward on purpose."""
    family = {"members": 6, "trainings_per_member": 1}
    replicas = "sum over members of (T_m - centre)(T_m - centre)^T / divisor"
    return {
        "schema_version": "1.1.0",
        "title": "Z(mumu)+jets in 24 observables at 13 TeV",
        "description": "An unbinned measurement.\n\nWith a second paragraph, a_b_c, <b>markup</b> & 50 % of |eta|.",
        "created": "2026-01-31T12:00:00+00:00",
        "data_kind": "pseudodata",
        "process": "Z(mumu)+jets",
        "collision": {"system": "pp", "energy_tev": 13},
        "fiducial": {
            "description": "Two muons with pT > 25 GeV and |eta| < 2.5, pT(mumu) > 200 GeV",
            "selection": [
                {"expression": "pT_ll", "minimum": 200, "maximum": None, "tolerance": 0.001},
                {"expression": "abs(eta_l1)", "minimum": None, "maximum": 2.5, "tolerance": 1e-05},
            ],
        },
        "objects": [
            {"name": "muon", "definition": "Dressed with photons within dR < 0.1"},
            {"name": "track jet", "definition": "Anti-kt, R = 0.4, of charged particles with pT > 0.5 GeV"},
        ],
        "luminosity": {"value": 139, "unit": "fb-1", "relative_uncertainty": 0.017},
        "cross_section": {"value": 1.277, "unit": "pb", "source": "Table 3 of the paper"},
        "events": EVENTS,
        "weights": {
            "unit": "pb",
            "sum": "fiducial cross section",
            "includes_generator_weight": True,
            "central_value": {"rule": "median", "family": "ensemble"},
            "prior": True,
            "clamps": {
                "applied": True,
                "description": "Logit of every fit, to +-10",
                "touched": 3,
                "evaluated": 123456,
            },
        },
        "observables": [
            {
                "name": "n_jets",
                "description": "Number of track jets",
                "unit": "1",
                "latex": "n_{j}",
                "dtype": "int32",
                "valid_range": {"minimum": 0, "maximum": None},
                "missing": {"rule": "never"},
            },
            {
                "name": "pT_ll",
                "description": "Transverse momentum of the dimuon system",
                "unit": "GeV",
                "latex": r"p_T^{\mu\mu}",
                "dtype": "float32",
                "valid_range": {"minimum": 200, "maximum": None},
                "missing": {"rule": "never"},
            },
            {
                "name": "y_j2",
                "description": "Rapidity of the second track jet",
                "unit": "1",
                "latex": "|y_{j2}|",
                "dtype": "float64",
                "valid_range": {"minimum": -5, "maximum": 5},
                "missing": {"rule": "nan", "meaning": "The event has no second jet"},
            },
        ],
        "components": [
            _component("ensemble", "ensemble", replicas, "K (K - 1) / (pi/2)", "estimated", **family),
            _component(
                "data_bootstrap",
                "bootstrap",
                replicas,
                "R - 1",
                "estimated",
                resampled="data",
                seed=20241107,
                includes_event_sampling=False,
                precision={"mantissa_bits": 12, "worst_relative_error": 0.000122, "worst_covariance_error": 5e-05},
                **family,
            ),
            _component("track_eff", "variation", "D D^T", "1", "full", members=1, trainings_per_member=3),
            _component("model", "two_point", "D D^T", "1", "none", canvas="sherpa"),
            _component("luminosity", "scale", "D D^T", "1", "full", relative_uncertainty=0.017),
            _component("event_sampling", "event_sampling", "sum of w^2", "1", "estimated", seed=3),
        ],
        "canvases": [
            {
                "name": "sherpa",
                "description": "Unfolded with another generator",
                "generator": "Sherpa 2.2.11",
                "events": 50,
                "families": [],
            }
        ],
        "networks": [
            {"name": "ensemble_0000", "description": "Last iteration", "format": "safetensors", "bytes": 45000}
        ],
        "validity": {
            "minimum_effective_events_per_bin": 5000,
            "severity": "warning",
            "notes": ["Angles between jets closer than 0.1 are not resolved"],
        },
        "unfolding": {
            "method": "OmniFold",
            "program": "omnifold-pub",
            "version": "0.1.0",
            "settings": {"iterations": 4, "hidden": [100, 100]},
        },
        "inputs": [
            {
                "role": "simulation",
                "file": "mc.root",
                "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                "rows": 255453,
                "generator": "Pythia 8.317",
            },
            {"role": "data", "file": "data.root", "sha256": None, "rows": None},
        ],
        "closure": {
            "performed": True,
            "description": "Pseudo-data of another generator, unfolded with the nominal simulation",
            "results": [{"name": "pT_ll", "statistic": "chi2", "value": 6.1, "bins": 6, "p_value": 0.41}],
            "tests": [{"name": "dd", "description": "Reweighted to the data.", "unfolded": "nominal"}],
        },
        "creators": [
            {"name": "Noether, Emmy", "affiliation": "Institute of A", "orcid": "0000-0002-1825-0097"},
            {"name": "A & B Collaboration", "affiliation": "Institute of A"},
        ],
        "contact": "The authors <team@example.org>",
        "licence": "CC-BY-4.0",
        "doi": "10.5281/zenodo.11507450",
        "keywords": ["unfolding", "OmniFold", "unfolding"],
        "references": ["arXiv:1911.09107", "10.17182/hepdata.1", "A talk, 2024", "arXiv:1911.09107"],
        "software": {"omnifold-pub": "0.1.0", "torch": "2.13.0"},
    }


def write_release(path: Path, metadata: dict[str, Any]) -> Path:
    """Write a file with the names that a release has; its numbers mean nothing."""
    rng = np.random.default_rng(1)
    events = metadata["events"]
    rapidity = rng.normal(0, 1, events)
    rapidity[::5] = np.nan
    arrays = {
        "event_id": np.arange(events),
        "events/n_jets": rng.poisson(2, events).astype(np.int32),
        "events/pT_ll": (200 + rng.exponential(60, events)).astype(np.float32),
        "events/y_j2": rapidity,
    }
    nominal = rng.gamma(2, 0.001, events).astype(np.float32)
    arrays["weights/nominal"] = nominal
    arrays["weights/data_bootstrap"] = nominal[:, np.newaxis] * rng.poisson(1, (events, 6)).astype(np.float32)
    with ReleaseWriter(path) as writer:
        for name, array in arrays.items():
            writer.write(name, array.dtype.str, array.shape, [array])
        writer.write_documents(metadata)
    return path


@pytest.fixture
def metadata() -> dict[str, Any]:
    """Complete metadata, the test's own."""
    return copy.deepcopy(make_metadata())


@pytest.fixture
def release_file(tmp_path: Path, metadata: dict[str, Any]) -> Path:
    """A file with the names that a release of these metadata has."""
    return write_release(tmp_path / "release.h5", metadata)


@pytest.fixture(scope="session")
def shared_deposit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished deposit of these metadata; do not write to it."""
    base = tmp_path_factory.mktemp("shared")
    metadata = make_metadata()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("omnifold_pub.deposit.sources.check_release", lambda release, progress: ())
        patch.setattr("omnifold_pub.deposit.sources.read_metadata", lambda release: metadata)
        return package(write_release(base / "release.h5", metadata), base / "deposit").folder


@pytest.fixture
def folder(shared_deposit: Path, tmp_path: Path) -> Path:
    """A copy of it, the test's own."""
    return shutil.copytree(shared_deposit, tmp_path / "deposit")


Pack = Callable[..., Deposit]


@pytest.fixture
def pack(monkeypatch: pytest.MonkeyPatch, release_file: Path, metadata: dict[str, Any]) -> Pack:
    """Package the file into a folder, with the reader and the validation stood in for."""
    monkeypatch.setattr("omnifold_pub.deposit.sources.check_release", lambda release, progress: ())
    monkeypatch.setattr("omnifold_pub.deposit.sources.read_metadata", lambda release: metadata)

    def run(folder: Path, release: Path = release_file, **options: Any) -> Deposit:
        return package(release, folder, **options)

    return run
