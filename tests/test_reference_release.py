"""The reference release: valid as it is kept here, and what its recipe gives again."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from omnifold_pub import open_release, validate, verify
from omnifold_pub.cli import main
from omnifold_pub.demo import CLOSURE_BINS


@pytest.fixture(scope="module")
def reference(project: Path) -> Path:
    return project / "release/zjets/zjets.h5"


def test_it_is_valid_and_intact(reference: Path) -> None:
    report = validate(reference)
    assert report.valid
    assert report.findings == ()
    checked = verify(reference)
    assert checked.valid
    assert checked.checks == ("manifest", "file", "structure", "digest")


def test_it_is_small_and_complete(reference: Path) -> None:
    assert reference.stat().st_size < 15_000_000
    there = {path.name for path in reference.parent.iterdir()}
    documents = {"README.md", "datacite.json", "ro-crate-metadata.json", "croissant.json", "CITATION.cff", "LICENSE"}
    assert there == {"zjets.h5", "zjets.manifest.json", *documents}


def test_the_metadata_beside_it_are_those_inside(reference: Path) -> None:
    with open_release(reference) as release:
        assert json.loads((reference.parents[1] / "metadata.json").read_text()) == release.metadata
        assert release.metadata["data_kind"] == "pseudodata"
        assert len(release.metadata["networks"]) == release.metadata["unfolding"]["campaign"]["ensemble"]


def test_its_readme_runs(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(project)
    text = (project / "release/README.md").read_text()
    commands = re.findall(r"^omnifold-pub (.*)$", text, re.MULTILINE)
    assert len(commands) == 3
    for command in commands:
        outcome = CliRunner().invoke(main, command.split())
        assert outcome.exit_code == 0, outcome.output
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    namespace: dict[str, object] = {}
    exec(compile(code, "release/README.md", "exec"), namespace)  # noqa: S102
    ratio = np.array(capsys.readouterr().out.strip(" []\n").split(), dtype=float)
    assert len(ratio) == 5
    assert np.abs(ratio - 1).max() < 0.25


@pytest.mark.slow
def test_its_recipe_gives_the_same_physics_again(project: Path, reference: Path, tmp_path: Path) -> None:
    """Trainings on another processor differ as members of the ensemble do: both nominals have its covariance."""
    script = project / "scripts/build_reference_release.py"
    command = [sys.executable, str(script), str(tmp_path), "--run", str(project / "build/demo/run")]
    subprocess.run(command, check=True, capture_output=True, timeout=1800)
    with open_release(reference) as kept, open_release(tmp_path / "zjets/zjets.h5") as built:
        assert {key for key in kept.metadata if kept.metadata[key] != built.metadata[key]} <= {
            "created",
            "cross_section",
            "closure",
            "software",
            "unfolding",
            "weights",
            "networks",
        }
        pulls = []
        for name, bins in CLOSURE_BINS.items():
            one, other = kept.measure(name, bins, nan="drop"), built.measure(name, bins, nan="drop")
            noise = np.sqrt(one.covariance("ensemble").diagonal() + other.covariance("ensemble").diagonal())
            pulls.append((one.values() - other.values()) / noise)
            np.testing.assert_allclose(one.uncertainties(), other.uncertainties(), rtol=0.6)
    assert np.mean(np.concatenate(pulls) ** 2) < 4
