"""export: of events as ever, and of measurements in the formats of other programs."""

from __future__ import annotations

import hashlib
import shlex
from pathlib import Path

import babyyoda
import click
import pytest
import yaml
from click.testing import CliRunner, Result

from omnifold_pub import JointMeasurement, Release, open_release
from omnifold_pub.cli.console import Group
from omnifold_pub.cli.exchanging import export
from omnifold_pub.exchange.hepdata import read_submission
from omnifold_pub.export import read_export
from tests.exchange.hepdata.conftest import complaints


@click.group(cls=Group, commands=[export])
def main() -> None:
    """Stand for the program."""


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["export", *map(str, arguments)])


def test_events_are_exported_with_and_without_saying_so(release_path: Path, tmp_path: Path) -> None:
    for number, arguments in enumerate([(), ("events",)]):
        out = tmp_path / f"{number}.parquet"
        assert run(*arguments, release_path, out).exit_code == 0
        assert read_export(out).nominal.shape == (500,)
    assert run("--format", "root", release_path, tmp_path / "out.root").exit_code == 0
    assert run("--format", "csv", release_path, tmp_path / "out.csv").exit_code == 2


@pytest.mark.parametrize("arguments", [["--help"], ["hepdata", "--help"], ["yoda", "--help"], ["smefit", "--help"]])
def test_each_command_has_help_with_an_example(arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.exit_code == 0
    assert "Example: omnifold-pub export" in done.stdout


def test_all_observables_go_to_hepdata(release_path: Path, release: Release, tmp_path: Path) -> None:
    out = tmp_path / "submission"
    done = run("hepdata", release_path, out)
    assert done.exit_code == 0, done.stderr
    assert done.stderr.startswith("note: no DOI of the release is known")
    names = [observable["name"] for observable in release.metadata["observables"]]
    back = JointMeasurement.from_dict(read_submission(out))
    assert list(back.names) == names
    assert back.to_dict() == release.measure({name: release.suggest_bins(name) for name in names}).to_dict()
    assert done.stdout == f"{out}: 4 observables, {len(back.nominal)} bins, 10 components\n"


@pytest.mark.slow
def test_the_reference_release_exports_its_24_marginals(project: Path, tmp_path: Path) -> None:
    out = tmp_path / "submission.tar.gz"
    release = project / "release/zjets/zjets.h5"
    done = run("hepdata", release, out, "--doi", "10.5281/zenodo.1", "--reaction", "P P --> Z0 JET X")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith(f"{out}: 24 observables, ")
    assert out.stat().st_size < 50_000_000
    assert complaints(out) == {}
    back = JointMeasurement.from_dict(read_submission(out))
    with open_release(release) as opened:
        names = [observable["name"] for observable in opened.metadata["observables"]]
        expected = opened.measure({name: back[name].axes[0] for name in names})
    assert (back.covariance() == expected.covariance()).all()
    assert back.to_dict() == expected.to_dict()


def test_what_is_asked_for_goes_to_hepdata(release_path: Path, release: Release, tmp_path: Path) -> None:
    out = tmp_path / "submission.tar.gz"
    options = "-o x -o 'x * z' -b -1,0,1 -b -2,0,2 --where 'n >= 2' --density --doi 10.5281/zenodo.1 --no-members"
    done = run("hepdata", release_path, out, *shlex.split(options))
    assert (done.exit_code, done.stderr) == (0, "")
    back = JointMeasurement.from_dict(read_submission(out))
    expected = release.measure({"x": [-1, 0, 1], "x * z": [-2, 0, 2]}, where="n >= 2", density=True)
    assert back.to_dict(members=False) == expected.to_dict(members=False)
    again = run("hepdata", release_path, out, "-o", "x")
    assert again.exit_code == 1
    assert "exists already" in again.stderr
    assert run("hepdata", release_path, out, "-o", "x", "--overwrite").exit_code == 0


def test_the_manifest_of_a_release_brings_its_files(release_path: Path, tmp_path: Path) -> None:
    (manifest,) = release_path.parent.glob("*.manifest.json")
    out = tmp_path / "submission"
    assert run("hepdata", manifest, out, "-o", "x", "--doi", "10.5281/zenodo.1").exit_code == 0
    said = next(yaml.safe_load_all((out / "submission.yaml").read_text()))["additional_resources"][0]["description"]
    for file in (manifest, release_path):
        assert hashlib.sha256(file.read_bytes()).hexdigest() in said


def test_densities_go_to_yoda(release_path: Path, release: Release, tmp_path: Path) -> None:
    out = tmp_path / "r.yoda"
    done = run("yoda", release_path, out, "-o", "x", "-b", "-1,0,1.5", "--analysis", "TOY")
    assert (done.exit_code, done.stdout) == (0, "/REF/TOY/d01-x01-y01: x\n")
    assert "contents of bins" not in done.stderr
    values = [one.val() for one in babyyoda.read(str(out))["/REF/TOY/d01-x01-y01"].bins()]
    assert values == release.measure("x", [-1, 0, 1.5], density=True).nominal.tolist()
    done = run("yoda", release_path, out, "-o", "x", "-b", "-1,0,1.5", "--analysis", "TOY", "--integrated")
    assert "ExchangeWarning: " in done.stderr
    assert "x: contents of bins" in done.stderr
    assert run("yoda", release_path, out, "-o", "x", "--analysis", "TOY", "--yoda", "1").exit_code == 0
    assert "SCATTER2D" in out.read_text()


def test_one_observable_goes_to_smefit(release_path: Path, release: Release, tmp_path: Path) -> None:
    out = tmp_path / "TOY_X.yaml"
    done = run("smefit", release_path, out, "-o", "x", "-b", "-1,0,1.5", "--prefix", "TOY_")
    assert (done.exit_code, done.stdout) == (0, f"{out}: 2 values\n")
    found = yaml.safe_load(out.read_text())
    assert found["dataset_name"] == "TOY_X"
    assert found["data_central"] == release.measure("x", [-1, 0, 1.5]).nominal.tolist()
    assert "TOY_luminosity" in found["sys_names"]


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        ("-o x -o y -b 0,1", 2, "expected one --bins for each --observable, or none at all; found 1 for 2"),
        ("-b 0,1", 2, "found 1 for 0"),
        ("-o x -o x", 2, "an observable is given twice"),
        ("-o x -b 0,1,b", 2, "expected bin edges"),
        ("-o absent", 2, "absent"),
        ("-o x --doi zenodo.1", 1, "doi: expected one such as 10.5281"),
    ],
)
def test_a_wrong_call_is_told(release_path: Path, tmp_path: Path, options: str, status: int, said: str) -> None:
    done = run("hepdata", release_path, tmp_path / "submission", *shlex.split(options))
    assert done.exit_code == status
    assert said in done.stderr
    assert not (tmp_path / "submission").exists()
