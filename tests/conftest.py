"""Shared by all tests: the small real inputs, and one quick campaign on them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from omnifold_pub import Release, UnfoldingResult, open_release, publish
from omnifold_pub.unfold.campaign import unfold

ROOT = Path(__file__).parents[1]
ZJETS = ROOT / "tests/data/zjets"

QUICK: dict[str, Any] = {
    "omnifold": {"iterations": 1, "hidden": [8], "batch_size": 4096, "learning_rate": 0.01, "max_epochs": 1},
    "campaign": {"seed": 7, "ensemble": 2, "data_bootstrap": 4, "mc_bootstrap": 4, "trainings_per_variation": 1},
}


@pytest.fixture(scope="session")
def project() -> Path:
    """The folder of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def zjets() -> Path:
    """The folder of the small real inputs."""
    return ZJETS


@pytest.fixture(scope="session")
def zjets_document() -> dict[str, Any]:
    """The demo's analysis file, as a document."""
    document: dict[str, Any] = yaml.safe_load((ZJETS / "analysis.yaml").read_text())
    return document


WriteAnalysis = Callable[..., Path]


@pytest.fixture(scope="session")
def quick_analysis(tmp_path_factory: pytest.TempPathFactory, zjets_document: dict[str, Any]) -> WriteAnalysis:
    """Write an analysis file of the small real inputs with short trainings, changed as asked for.

    ``quick_analysis(lambda document: document["inputs"].update(sentinel=0))`` returns its path.
    """

    def write(change: Callable[[dict[str, Any]], object] | None = None) -> Path:
        document = copy.deepcopy(zjets_document) | copy.deepcopy(QUICK)
        inputs = document["inputs"]
        for entry in (inputs["simulation"], inputs["data"], *inputs["variations"]):
            entry["file"] = str(ZJETS / entry["file"])
        if change is not None:
            change(document)
        path = tmp_path_factory.mktemp("analysis") / "analysis.yaml"
        path.write_text(yaml.safe_dump(document, sort_keys=False))
        return path

    return write


@pytest.fixture(scope="session")
def quick_run(tmp_path_factory: pytest.TempPathFactory, quick_analysis: WriteAnalysis) -> tuple[Path, UnfoldingResult]:
    """A finished run directory with short trainings on the small real inputs, and what it collected."""
    run = tmp_path_factory.mktemp("run")
    return run, unfold(quick_analysis(), run)


@pytest.fixture(scope="session")
def quick_release(tmp_path_factory: pytest.TempPathFactory, quick_run: tuple[Path, UnfoldingResult]) -> Path:
    """The release of that run; do not write to it."""
    return publish(quick_run[1], tmp_path_factory.mktemp("release") / "release.h5")


def make_result(events: int = 500, members: int = 12, seed: int = 1) -> UnfoldingResult:
    """Make a small valid result by hand: x present everywhere, y absent from some events, all kinds of components."""
    rng = np.random.default_rng(seed)
    base = rng.gamma(2.0, 0.01, events)
    ensemble = (base[:, np.newaxis] * rng.normal(1, 0.05, (events, 4))).astype(np.float32)
    nominal = ensemble.mean(axis=1, dtype=np.float64).astype(np.float32)

    def around(count: int, width: float) -> NDArray[np.float32]:
        factors = rng.normal(1, width, (events, count))
        family: NDArray[np.float32] = (nominal[:, np.newaxis] * factors).astype(np.float32)
        return family

    y = rng.exponential(30, events).astype(np.float32)
    y[rng.random(events) < 0.2] = np.nan
    component = {"description": "as its name says"}
    return UnfoldingResult(
        event_id=np.arange(events, dtype=np.int64) * 3,
        columns={"x": rng.normal(0, 1, events).astype(np.float32), "y": y},
        nominal=nominal,
        families={
            "ensemble": ensemble,
            "data_bootstrap": around(members, 0.3),
            "mc_bootstrap": around(members, 0.3),
            "shift": around(1, 0.1) * np.float32(1.02),
            "up_down": np.stack([nominal * np.float32(1.03), nominal * np.float32(0.98)], axis=1),
            "model": around(1, 0.1),
            "pdf": around(3, 0.02),
        },
        metadata={
            "title": "Made by hand",
            "data_kind": "toy",
            "process": "none",
            "collision": {"system": "pp", "energy_tev": 13},
            "fiducial": "everything",
            "luminosity": {"value": 1000.0, "unit": "pb-1", "relative_uncertainty": 0.02},
            "weights": {
                "unit": "pb",
                "sum": "fiducial cross section",
                "includes_generator_weight": True,
                "central_value": {"rule": "mean", "family": "ensemble"},
                "prior": True,
            },
            "observables": [
                {"name": "x", "description": "first", "unit": "1", "latex": "x", "may_be_absent": False},
                {"name": "y", "description": "second", "unit": "GeV", "latex": "y", "may_be_absent": True},
            ],
            "components": [
                {"name": "ensemble", "kind": "ensemble", "members": 4, **component},
                {
                    "name": "data_bootstrap",
                    "kind": "bootstrap",
                    "members": members,
                    "resampled": "data",
                    "includes_event_sampling": False,
                    **component,
                },
                {
                    "name": "mc_bootstrap",
                    "kind": "bootstrap",
                    "members": members,
                    "resampled": "simulation",
                    "includes_event_sampling": False,
                    **component,
                },
                {"name": "shift", "kind": "variation", "members": 1, **component},
                {"name": "up_down", "kind": "variation", "members": 2, **component},
                {"name": "model", "kind": "two_point", "members": 1, "correlated": False, **component},
                {"name": "pdf", "kind": "hessian", "members": 3, **component},
                {"name": "luminosity", "kind": "scale", "relative_uncertainty": 0.02, **component},
                {"name": "event_sampling", "kind": "event_sampling", "seed": 3, **component},
            ],
            "contact": "nobody",
            "licence": "CC0-1.0",
            "software": {"by hand": "1"},
        },
        prior=(nominal * np.float32(1.1)),
    )


@pytest.fixture
def result() -> UnfoldingResult:
    """A small valid result made by hand, with every kind of component; see `make_result`."""
    return make_result()


@pytest.fixture
def release_path(tmp_path: Path, result: UnfoldingResult) -> Path:
    """Its release."""
    return publish(result, tmp_path / "release.h5")


@pytest.fixture
def release(release_path: Path) -> Iterator[Release]:
    """That release, open."""
    with open_release(release_path) as opened:
        yield opened
