"""Releases of every version of the format, frozen when the version was new, give the same answers for ever.

To freeze a new version, in this folder: ``python -c "import conftest, test_archive as t; t.freeze(conftest.make_result(
events=300, members=6))"``, which refuses to touch one that is there.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from omnifold_pub import Release, UnfoldingResult, open_release, publish, validate, verify
from omnifold_pub.format.layout import FORMAT_VERSION
from omnifold_pub.observables.momenta import FourMomentum, vector_of

ARCHIVE = Path(__file__).parent / "archive"
VERSIONS = sorted(path for path in ARCHIVE.iterdir() if path.is_dir())


def with_everything(result: UnfoldingResult) -> UnfoldingResult:
    """Declare what the result made by hand does not: a four-momentum and limits of validity."""
    momentum = {"name": "jet", "description": "made up", "pt": "y", "eta": "x", "phi": "z", "mass": 4.18}
    units = {"y": "GeV", "z": "rad"}
    validity = {
        "ranges": [{"expression": "x * y", "minimum": None, "maximum": 200, "note": "as frozen"}],
        "minimum_effective_data_events_per_bin": 5,
    }
    added = {
        "observables": [o | {"unit": units.get(o["name"], o["unit"])} for o in result.metadata["observables"]],
        "four_momenta": [momentum],
        "validity": result.metadata["validity"] | validity,
    }
    return replace(result, metadata=result.metadata | added)


def answers(release: Release) -> dict[str, Any]:
    """What a reader gets out of a frozen release: spectra, covariances, canvas, closure, everything stored."""
    joint = release.measure({"x": [-3, -1, 0, 1, 3], "x_and_y": ("x * y", [-200, -20, 0, 20, 200]), "n": [0, 2, 4, 12]})
    closure = release.closure("dd", "x", [-3, 0, 3])
    mean = release.estimate(lambda events, weights: np.average(events["z"], weights=weights))
    declared = [FourMomentum.from_document(entry) for entry in release.metadata.get("four_momenta", [])]
    momenta = {momentum.name: vector_of(momentum, release.events) for momentum in declared}
    since_1_1 = {
        "momenta": {
            name: [float(np.nansum(getattr(vector, key))) for key in ("E", "px", "py", "pz")]
            for name, vector in momenta.items()
        },
        "validity": release.metadata["validity"],
    }
    return {
        **(since_1_1 if declared else {}),
        "values": joint.values().tolist(),
        "covariance": {c.name: joint.covariance(c.name).tolist() for c in joint.components},
        "closure": [closure.unfolded.tolist(), closure.target.tolist()],
        "canvas": float(release.canvas("other")[1].sum(dtype=np.float64)),
        "network": release.network("tiny").hex(),
        "mean": {"values": mean.values().tolist(), "covariance": mean.covariance().tolist()},
        "title": release.metadata["title"],
        "sums": {
            name: float(np.nansum(array.read(), dtype=np.float64)) for name, array in sorted(release.datasets.items())
        },
    }


def freeze(result: UnfoldingResult) -> None:
    """Write the frozen file of the present version."""
    folder = ARCHIVE / f"v{FORMAT_VERSION}"
    folder.mkdir()
    publish(with_everything(result), folder / "release.h5")
    with open_release(folder / "release.h5") as release:
        (folder / "answers.json").write_text(json.dumps(answers(release), indent=1) + "\n")


def test_the_present_version_is_frozen() -> None:
    assert f"v{FORMAT_VERSION}" in {path.name for path in VERSIONS}


@pytest.mark.parametrize("folder", VERSIONS, ids=lambda path: str(path.name))
def test_a_frozen_release_gives_the_answers_it_gave(folder: Path) -> None:
    expected = json.loads((folder / "answers.json").read_text())
    with open_release(folder / "release.h5") as release:
        assert f"v{release.metadata['schema_version']}" == folder.name
        found = answers(release)
    assert found.keys() == expected.keys()
    for key in {"network", "title", "validity"} & set(expected):
        assert found.pop(key) == expected.pop(key)
    _close(found, expected)


def _close(found: Any, expected: Any) -> None:
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key in expected:
            _close(found[key], expected[key])
    else:
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("folder", VERSIONS, ids=lambda path: str(path.name))
def test_a_frozen_release_is_valid_and_intact(folder: Path) -> None:
    assert validate(folder / "release.h5").valid
    assert verify(folder / "release.h5").valid
