from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory, project: Path) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=project, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def test_the_wheel_carries_schemas_template_and_licence(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for name in (
        "omnifold_pub/_schemas/1.0.0/release.schema.json",
        "omnifold_pub/_schemas/1.1.0/release.schema.json",
        "omnifold_pub/_schemas/1.1.0/analysis.schema.json",
        "omnifold_pub/explorer/page/explorer.js",
        "omnifold_pub/explorer/page/index.html",
        "omnifold_pub/templates/report.css",
        "omnifold_pub/templates/report.html",
        "omnifold_pub/py.typed",
    ):
        assert name in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not any(name.startswith(("tests", "scripts")) for name in names)


def test_an_installed_package_reads_a_release_far_from_the_checkout(
    wheel: Path, tmp_path: Path, quick_release: Path
) -> None:
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    code = (
        "import sys, omnifold_pub; print(omnifold_pub.__file__); "
        "print(omnifold_pub.open_release(sys.argv[1]).measure('pT_ll', [200, 1000]).values())"
    )
    outcome = subprocess.run(
        [sys.executable, "-c", code, str(quick_release)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(site) in outcome.stdout


def test_every_dependency_is_pinned(project: Path) -> None:
    pinned = {
        line.partition("==")[0].lower().replace("_", "-")
        for line in (project / "constraints.txt").read_text().splitlines()
        if "==" in line
    }
    document = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    extras = document["optional-dependencies"]
    wanted = [
        *document["dependencies"],
        *(entry for extra in ("dev", "unfold", "root", "plot", "remote") for entry in extras[extra]),
    ]
    names = {entry.partition(">=")[0].partition("[")[0].lower().replace("_", "-") for entry in wanted}
    assert names - {"omnifold-pub"} <= pinned
    assert "torch==2.13.0" in (project / "constraints.txt").read_text().splitlines()


def test_versions_agree(project: Path) -> None:
    version = tomllib.loads((project / "pyproject.toml").read_text())["project"]["version"]
    assert f"version: {version}" in (project / "CITATION.cff").read_text()
