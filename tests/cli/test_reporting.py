"""The command report."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import uproot
from click.testing import CliRunner

from omnifold_pub.cli import main
from tests.report.pages import Page

THEORY = ["--tree", "events", "--weight", "weight", "--unit", "pb", "--sentinel", "-99"]


def run(*arguments: object) -> tuple[int, str, str]:
    outcome = CliRunner().invoke(main, ["report", *map(str, arguments)])
    return outcome.exit_code, outcome.stdout, outcome.stderr


def test_a_report_with_a_theory(release_path: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    with uproot.recreate(tmp_path / "theory.root") as file:
        file.mktree("events", {"x": "f4", "weight": "f8"})
        file["events"].extend({"x": rng.normal(size=300).astype("f4"), "weight": np.full(300, 0.03)})
    output = tmp_path / "page.html"
    wanted = ["--observable", "x", "-b", "-10,-1,0,1,10"]
    status, said, _ = run(release_path, *wanted, "--theory", tmp_path / "theory.root", *THEORY, "--output", output)
    assert status == 0
    assert said.startswith(f"{output}: 0.")
    page = Page.of(output.read_text())
    (table,) = [table for table in page.tables if table[0][0] == "theory"]
    assert [row[:3] for row in table[1:]] == [["theory.root", "x", "cross section"]]


def test_it_goes_into_the_working_directory(
    release_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    status, said, _ = run(release_path, "--observable", "x")
    assert (status, said.partition(":")[0]) == (0, "release.report.html")
    assert (tmp_path / "release.report.html").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output", "pT_ll"], "expected a name that ends in .html; found 'pT_ll'"),
        (["--observable", "x", "--observable", "x"], "given twice"),
        (["--observable", "x", "-b", "0,1", "-b", "0,1"], "expected one --bins for each --observable"),
        (["--observable", "nothing"], "nothing"),
    ],
)
def test_a_bad_call_is_told(release_path: Path, arguments: list[str], message: str) -> None:
    status, _, said = run(release_path, *arguments)
    assert status == 2
    assert message in said


def test_a_theory_without_its_options_is_a_bad_call(release_path: Path, zjets: Path) -> None:
    status, _, said = run(release_path, "--theory", zjets / "theory.root")
    assert status == 2
    assert "missing --tree, --weight, --unit" in said


@pytest.mark.parametrize("package", ["jinja2", "matplotlib", "mplhep"])
def test_a_missing_package_is_named(release_path: Path, tmp_path: Path, package: str) -> None:
    arguments = ["report", str(release_path), "--output", str(tmp_path / "page.html")]
    code = f"import sys; sys.modules[{package!r}] = None; from omnifold_pub.cli import main; main({arguments!r})"
    outcome = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert outcome.returncode == 1
    assert f"the package {package}, which is not installed" in outcome.stderr
    assert "omnifold-pub[plot]" in outcome.stderr
    assert not (tmp_path / "page.html").exists()
