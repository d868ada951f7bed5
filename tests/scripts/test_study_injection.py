"""The study of an injected reweighting: how pseudo-data are drawn, and that a training moves with it if asked for."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import uproot

from omnifold_pub import Theory, open_release

ROOT = Path(__file__).parents[2]
ZJETS = ROOT / "tests" / "data" / "zjets"


@pytest.fixture(scope="module")
def study() -> ModuleType:
    spec = importlib.util.spec_from_file_location("study_injection", ROOT / "scripts" / "study_injection.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["study_injection"] = module
    spec.loader.exec_module(module)
    return module


def test_events_are_drawn_with_their_weights(study: ModuleType) -> None:
    data = {"x": np.array([1.0, 2.0, 3.0]).repeat(10_000), "event_id": np.arange(30_000)}
    mean = np.array([0.5, 1.0, 2.0]).repeat(10_000)
    drawn = study.resampled(data, mean, np.random.default_rng(1))
    counts = [(drawn["x"] == value).sum() for value in (1, 2, 3)]
    np.testing.assert_allclose(counts, [5_000, 10_000, 20_000], rtol=0.05)
    np.testing.assert_array_equal(drawn["event_id"], np.arange(len(drawn["x"])))


@pytest.mark.slow
def test_an_injection_is_found_by_the_networks(study: ModuleType) -> None:
    with open_release(ROOT / "release" / "zjets" / "zjets.h5") as release:
        measurement, columns = release.measure(study.BINS), list(release.events)
    path = ZJETS / "data_truth.root"
    truth = Theory.from_root(path, tree="events", weight="weight", unit="pb", columns=columns, sentinel=-99)
    model = study.coupling(truth)
    with uproot.open(path) as file:
        rows = file["events"]["data_row"].array(library="np").astype(int)
    with uproot.open(ZJETS / "data.root") as file:
        data = file["events"].arrays(library="np")
    found = []
    for injected in (0.0, 0.3):
        mean = np.ones(len(data["event_id"]))
        mean[rows[rows >= 0]] = (model.weights(np.array([injected])) / truth.weights)[rows >= 0]
        contents = study.unfolded(study.resampled(data, mean, np.random.default_rng(3)), ZJETS, 5)
        found.append(study.fitted(measurement, model, contents)["c"])
    difference = found[1][0] - found[0][0]
    assert difference == pytest.approx(0.3, abs=3 * max(error for _, error in found))
    assert difference > 0.1
