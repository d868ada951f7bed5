"""A release to be exported: arrays in memory that answer like an open release."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

EVENTS, CANVAS_EVENTS = 500, 300


@dataclass(frozen=True)
class StoredArray:
    """A dataset of the stand-in."""

    values: NDArray[Any]

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.values.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape

    def read(self, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        return self.values[start:stop]


@dataclass(frozen=True)
class StandIn:
    """A release that is nowhere on disk."""

    metadata: dict[str, Any]
    datasets: dict[str, StoredArray]
    path: Path = Path("stand_in.h5")


MakeRelease = Callable[[dict[str, Any], dict[str, NDArray[Any]]], StandIn]


@pytest.fixture(scope="session")
def make_release() -> MakeRelease:
    """Make a release of metadata and datasets."""
    return lambda metadata, arrays: StandIn(metadata, {name: StoredArray(array) for name, array in arrays.items()})


def _observable(name: str, dtype: str) -> dict[str, Any]:
    return {
        "name": name,
        "description": "An observable, in µ",
        "unit": "GeV",
        "latex": name,
        "dtype": dtype,
        "valid_range": {"minimum": None, "maximum": None},
        "missing": {"rule": "never"},
    }


def _component(name: str, members: int) -> dict[str, Any]:
    covariance = {"estimator": "e", "centre": "c", "divisor": "R - 1", "correlation": "estimated"}
    entry = {"name": name, "description": "d", "covariance": covariance}
    if members == 1:
        return {**entry, "kind": "variation", "members": 1, "trainings_per_member": 1}
    resampling = {"resampled": "data", "seed": 1, "includes_event_sampling": False}
    return {**entry, "kind": "bootstrap", "members": members, "trainings_per_member": 1, **resampling}


def _closure_test(name: str, unfolded: str) -> dict[str, Any]:
    return {"name": name, "description": "d", "unfolded": unfolded}


@pytest.fixture(scope="session")
def base_metadata() -> dict[str, Any]:
    """Metadata of a release with everything in it."""
    metadata: dict[str, Any] = {
        "schema_version": "1.1.0",
        "title": "Export, with a µ and a 'quote'",
        "description": "d",
        "created": "2026-01-31T12:00:00+00:00",
        "data_kind": "toy",
        "process": "Z",
        "collision": {"system": "pp", "energy_tev": 13},
        "fiducial": {
            "description": "d",
            "selection": [{"expression": "pT", "minimum": 0.1, "maximum": None, "tolerance": 1e-05}],
        },
        "objects": [{"name": "muon", "definition": "d"}],
        "luminosity": {"value": 139, "unit": "fb-1", "relative_uncertainty": 0.017},
        "cross_section": {"value": 1.277, "unit": "pb"},
        "events": EVENTS,
        "weights": {
            "unit": "pb",
            "sum": "fiducial cross section",
            "includes_generator_weight": True,
            "central_value": {"rule": "single"},
            "prior": True,
            "clamps": {"applied": False},
        },
        "observables": [
            _observable("pT", "float32"),
            _observable("mass", "float64"),
            _observable("jets", "int32"),
            _observable("run", "int64"),
            _observable("class", "float32"),
        ],
        # 'a' member 1 is weight_a_1, and 'a_1' member 0 is weight_a_1_0.
        "components": [
            _component("a", 12),
            _component("a_1", 2),
            _component("up", 1),
            {
                "name": "lumi",
                "kind": "scale",
                "description": "d",
                "covariance": {"estimator": "e", "centre": "c", "divisor": "1", "correlation": "full"},
                "relative_uncertainty": 0.017,
            },
        ],
        "canvases": [
            {
                "name": "sherpa",
                "description": "d",
                "generator": "Sherpa",
                "events": CANVAS_EVENTS,
                "families": [{"name": "mc", "kind": "bootstrap", "description": "d", "members": 3}],
            },
            {"name": "truth", "description": "d", "generator": "g", "events": 7, "families": []},
        ],
        "networks": [{"name": "ensemble_0000", "description": "d", "format": "safetensors", "bytes": 8}],
        "validity": {"minimum_effective_events_per_bin": 0, "severity": "warning", "notes": []},
        "unfolding": {"method": "OmniFold", "program": "p", "version": "1", "settings": {"iterations": 4}},
        "inputs": [{"role": "simulation", "file": "mc.root", "sha256": None, "rows": 255453}],
        "closure": {
            "performed": True,
            "description": "d",
            "results": [{"name": "pT", "statistic": "chi2", "value": 6.1}],
            "tests": [
                _closure_test("dd", "nominal"),
                _closure_test("dd_target", "stored"),
                {**_closure_test("other", "nominal"), "canvas": "truth"},
            ],
        },
        "creators": [{"name": "Doe, Jane"}],
        "contact": "jane@example.org",
        "licence": "CC0-1.0",
        "software": {"torch": "2.13.0"},
    }
    return metadata


def random_bits(rng: np.random.Generator, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """Return numbers of any bits: NaN of all payloads, infinities, subnormals."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.frombuffer(rng.bytes(size), dtype=dtype).reshape(shape)


@pytest.fixture(scope="session")
def base_arrays() -> dict[str, NDArray[Any]]:
    """Datasets of the same release, of random bits."""
    rng = np.random.default_rng(20240501)
    arrays: dict[str, NDArray[Any]] = {}
    for prefix, events, families in (
        ("", EVENTS, {"a": 12, "a_1": 2, "up": 1}),
        ("canvases/sherpa/", CANVAS_EVENTS, {"mc": 3}),
        ("canvases/truth/", 7, {}),
    ):
        arrays[f"{prefix}event_id"] = rng.permutation(np.arange(-5, events - 5))
        for name, dtype in {"pT": "f4", "mass": "f8", "jets": "i4", "run": "i8", "class": "f4"}.items():
            arrays[f"{prefix}events/{name}"] = random_bits(rng, f"<{dtype}", (events,))
        arrays[f"{prefix}weights/nominal"] = random_bits(rng, "<f4", (events,))
        for name, members in families.items():
            arrays[f"{prefix}weights/{name}"] = random_bits(rng, "<f4", (events, members))
    for name in ("prior", "closure/dd/target", "closure/dd_target/target", "closure/dd_target/unfolded"):
        arrays[name] = random_bits(rng, "<f4", (EVENTS,))
    arrays["networks/ensemble_0000"] = np.zeros(8, np.uint8)
    return arrays


@pytest.fixture
def metadata(base_metadata: dict[str, Any]) -> dict[str, Any]:
    """Metadata that a test may change."""
    return copy.deepcopy(base_metadata)


@pytest.fixture
def stand_in(make_release: MakeRelease, metadata: dict[str, Any], base_arrays: dict[str, NDArray[Any]]) -> StandIn:
    """A release of five observables of four types, three families, two canvases, closure, prior and a network."""
    return make_release(metadata, base_arrays)
