"""Shared by all tests: the small real inputs, and one quick campaign on them."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from omnifold_pub import Release, UnfoldingResult, open_release, publish
from omnifold_pub.unfold.campaign import unfold
from omnifold_pub.unfold.result import Canvas, ClosureWeights

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).parents[1]
ZJETS = ROOT / "tests/data/zjets"

QUICK: dict[str, Any] = {
    "omnifold": {"iterations": 1, "hidden": [8], "batch_size": 4096, "learning_rate": 0.01, "max_epochs": 1},
    "campaign": {"seed": 7, "ensemble": 2, "data_bootstrap": 4, "mc_bootstrap": 4, "trainings_per_variation": 1},
}


BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium or Chrome, of the machine or as playwright installs it, without a window."""
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: pages are not tried in a browser")
    with playwright.sync_playwright() as driver:
        own = Path(driver.chromium.executable_path)
        path = next(filter(None, map(shutil.which, BROWSERS)), str(own) if own.is_file() else None)
        if path is None:
            pytest.skip("no Chromium or Chrome on this machine: pages are not tried in a browser")
        found: Browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def announce(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Add a line to the summary at the end of the run, to be seen also where all went well."""
    return lambda line: record_property("announce", line)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print these lines, whichever process they come from."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for key, line in getattr(report, "user_properties", ()):
                if key == "announce":
                    terminalreporter.write_line(str(line))


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


def change(*steps: str | int, to: object) -> Callable[[Any], None]:
    """Return what puts something at a place of a document."""

    def apply(document: Any) -> None:
        for step in steps[:-1]:
            document = document[step]
        document[steps[-1]] = to

    return apply


def drop(*steps: str | int) -> Callable[[Any], None]:
    """Return what takes a place out of a document."""

    def apply(document: Any) -> None:
        for step in steps[:-1]:
            document = document[step]
        del document[steps[-1]]

    return apply


def open_files(folder: Path) -> int:
    """Return how many descriptors of this process are files of a folder; what else is open is others' business."""
    found = 0
    for number in os.listdir("/proc/self/fd"):  # noqa: PTH208 - iterdir opens it too
        with contextlib.suppress(OSError):  # closed meanwhile
            found += os.readlink(f"/proc/self/fd/{number}").startswith(f"{folder}/")  # noqa: PTH115
    return found


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


BIN_BY_BIN: dict[str, Any] = {
    "estimator": "sum over members of (T_m - centre)(T_m - centre)^T / divisor",
    "centre": "nominal",
    "divisor": "1",
    "correlation": "none",
}
"""Covariance of a component that says nothing of what lies between bins."""


def make_network() -> bytes:
    """Make a real safetensors file of one number by hand: length of the header, header, tensor."""
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    return len(header).to_bytes(8, "little") + header + np.array([0.5], dtype="<f4").tobytes()


def make_columns(rng: np.random.Generator, events: int) -> dict[str, NDArray[Any]]:
    """Make the columns of such a result: x, n and z present everywhere, y absent from some events."""
    y = rng.exponential(30, events).astype(np.float32)
    y[rng.random(events) < 0.2] = np.nan
    x = rng.normal(0, 1, events).astype(np.float32)
    more = rng.spawn(1)[0]
    return {"x": x, "y": y, "n": more.poisson(3, events).astype(np.int32), "z": more.random(events)}


def make_observables() -> list[dict[str, Any]]:
    """Describe these columns."""

    def entry(name: str, dtype: str, minimum: float | None, maximum: float | None, **more: Any) -> dict[str, Any]:
        return {
            "name": name,
            "description": f"the observable {name}",
            "unit": "1",
            "latex": name,
            "dtype": dtype,
            "valid_range": {"minimum": minimum, "maximum": maximum},
            "missing": {"rule": "never"},
        } | more

    return [
        entry("x", "float32", None, None),
        entry("y", "float32", 0, None, unit="GeV", missing={"rule": "nan", "meaning": "The event has no y"}),
        entry("n", "int32", 0, None),
        entry("z", "float64", 0, 1),
    ]


def make_components(members: int) -> list[dict[str, Any]]:
    """Describe the components of such a result: one of each kind and form."""

    def entry(name: str, kind: str, **more: Any) -> dict[str, Any]:
        trained = {"trainings_per_member": 1} if "members" in more else {}
        return {"name": name, "kind": kind, "description": "as its name says", **trained, **more}

    bootstrap = {"members": members, "includes_event_sampling": False}
    return [
        entry("ensemble", "ensemble", members=4),
        entry("data_bootstrap", "bootstrap", resampled="data", seed=1, **bootstrap),
        entry("mc_bootstrap", "bootstrap", resampled="simulation", seed=None, **bootstrap),
        entry("shift", "variation", members=1),
        entry("up_down", "variation", members=2),
        entry("model", "two_point", members=1, covariance=BIN_BY_BIN),
        entry("generator", "two_point", canvas="other"),
        entry("pdf", "hessian", members=3),
        entry("luminosity", "scale", relative_uncertainty=0.02),
        entry("event_sampling", "event_sampling", seed=3),
    ]


def make_metadata(events: int, members: int, cross_section: float) -> dict[str, Any]:
    """Describe such a result, but for what publishing fills in."""
    return {
        "title": "Made by hand",
        "description": "Random numbers with every kind of component.",
        "data_kind": "toy",
        "process": "none",
        "collision": {"system": "pp", "energy_tev": 13},
        "fiducial": {
            "description": "x between -10 and 10",
            "selection": [{"expression": "x", "minimum": -10, "maximum": 10, "tolerance": 0}],
        },
        "objects": [{"name": "number", "definition": "A random number"}],
        "luminosity": {"value": 1000.0, "unit": "pb-1", "relative_uncertainty": 0.02},
        "cross_section": {"value": cross_section, "unit": "pb"},
        "weights": {
            "unit": "pb",
            "sum": "fiducial cross section",
            "includes_generator_weight": True,
            "central_value": {"rule": "mean", "family": "ensemble"},
            "prior": True,
            "clamps": {"applied": False},
        },
        "observables": make_observables(),
        "components": make_components(members),
        "canvases": [
            {
                "name": "other",
                "description": "Other random numbers",
                "generator": "another seed",
                "events": events * 7 // 10,
                "families": [{"name": "replicas", "kind": "bootstrap", "description": "replicas", "members": 3}],
            }
        ],
        "networks": [
            {
                "name": "tiny",
                "description": "One number",
                "format": "safetensors",
                "bytes": len(make_network()),
            }
        ],
        "validity": {"minimum_effective_events_per_bin": 0, "severity": "warning", "notes": []},
        "unfolding": {"method": "none", "program": "by hand", "version": "1", "settings": {"iterations": 0}},
        "inputs": [{"role": "simulation", "file": "random numbers", "sha256": None, "rows": events}],
        "closure": {
            "performed": True,
            "description": "Weights of the same events that are known",
            "results": [{"name": "x", "statistic": "chi2", "value": 5.0, "bins": 6, "p_value": 0.54}],
            "tests": [{"name": "dd", "description": "The target again, with noise", "unfolded": "stored"}],
        },
        "creators": [{"name": "Nobody"}],
        "contact": "nobody",
        "licence": "CC0-1.0",
        "software": {"by hand": "1"},
    }


def make_result(events: int = 500, members: int = 12, seed: int = 1) -> UnfoldingResult:
    """Make a small valid result by hand, with everything that a release can hold.

    Every kind of component, columns of several types (y is absent from some events), a canvas of other events
    ("other"), a closure test ("dd") and a network ("tiny").
    """
    rng = np.random.default_rng(seed)
    base = rng.gamma(2.0, 0.01, events)
    ensemble = (base[:, np.newaxis] * rng.normal(1, 0.05, (events, 4))).astype(np.float32)
    mean = ensemble.mean(axis=1, dtype=np.float64)
    nominal = mean.astype(np.float32)

    def around(centre: NDArray[np.float32], count: int, width: float) -> NDArray[np.float32]:
        factors = rng.normal(1, width, (len(centre), count))
        family: NDArray[np.float32] = (centre[:, np.newaxis] * factors).astype(np.float32)
        return family

    columns = make_columns(rng, events)
    families = {
        "ensemble": ensemble,
        "data_bootstrap": around(nominal, members, 0.3),
        "mc_bootstrap": around(nominal, members, 0.3),
        "shift": around(nominal, 1, 0.1) * np.float32(1.02),
        "up_down": np.stack([nominal * np.float32(1.03), nominal * np.float32(0.98)], axis=1),
        "model": around(nominal, 1, 0.1),
        "pdf": around(nominal, 3, 0.02),
    }
    others = events * 7 // 10
    other = rng.gamma(2.0, 0.01 * events / others, others).astype(np.float32)
    return UnfoldingResult(
        event_id=np.arange(events, dtype=np.int64) * 3,
        columns=columns,
        nominal=nominal,
        families=families,
        metadata=make_metadata(events, members, float(mean.sum())),
        prior=(nominal * np.float32(1.1)),
        canvases={
            "other": Canvas(
                event_id=np.arange(others, dtype=np.int64) + 7,
                columns=make_columns(rng, others),
                nominal=other,
                families={"replicas": around(other, 3, 0.3)},
            )
        },
        closure={"dd": ClosureWeights(target=nominal, unfolded=around(nominal, 1, 0.01)[:, 0])},
        networks={"tiny": make_network()},
    )


@pytest.fixture
def result() -> UnfoldingResult:
    """A small valid result made by hand, with everything that a release can hold; see `make_result`."""
    return make_result()


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its release, published once; do not write to it."""
    return publish(make_result(), tmp_path_factory.mktemp("published") / "release.h5")


@pytest.fixture
def release_path(tmp_path: Path, published: Path) -> Path:
    """A copy of it, with its manifest, to do anything with."""
    for file in published.parent.iterdir():
        shutil.copy(file, tmp_path)
    return tmp_path / published.name


@pytest.fixture
def release(release_path: Path) -> Iterator[Release]:
    """That release, open."""
    with open_release(release_path) as opened:
        yield opened
