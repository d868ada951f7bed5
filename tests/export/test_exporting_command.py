"""The command: what it writes, says, and answers when it cannot."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from omnifold_pub.cli.console import Group
from omnifold_pub.cli.exporting import export
from omnifold_pub.export import read_export


@pytest.fixture
def command(stand_in: Any, monkeypatch: pytest.MonkeyPatch) -> click.Group:
    """The command on its own, with the stand-in for a release."""
    monkeypatch.setattr("omnifold_pub.release.open_release", lambda _: nullcontext(stand_in))
    return Group("omnifold-pub", commands=[export])


def test_it_writes_all_files_and_names_them(command: click.Group, tmp_path: Path) -> None:
    (tmp_path / "release.h5").touch()
    out = tmp_path / "out.parquet"
    arguments = ["export", str(tmp_path / "release.h5"), str(out)]
    done = CliRunner().invoke(command, arguments)
    assert (done.exit_code, done.stderr) == (0, "Not exported: 1 networks\n")
    assert [line.split(": ")[0] for line in done.stdout.splitlines()] == [
        str(tmp_path / name) for name in ("out.parquet", "out.sherpa.parquet", "out.truth.parquet")
    ]
    assert read_export(out).nominal.shape == (500,)
    again = CliRunner().invoke(command, arguments)
    assert again.exit_code == 1
    assert again.stderr == f"error: {out}: exists already; choose another name or ask to overwrite it\n"
    assert CliRunner().invoke(command, [*arguments, "--overwrite"]).exit_code == 0


def test_pandas_is_asked_for_by_name(command: click.Group, tmp_path: Path) -> None:
    (tmp_path / "release.h5").touch()
    arguments = ["export", str(tmp_path / "release.h5"), str(tmp_path / "out.h5")]
    refused = CliRunner().invoke(command, arguments)
    assert refused.exit_code == 1
    assert "the suffix '.h5' tells no format" in refused.stderr
    assert CliRunner().invoke(command, [*arguments, "--format", "pandas"]).exit_code == 0
    assert CliRunner().invoke(command, [*arguments, "--format", "csv"]).exit_code == 2


def test_it_takes_a_real_release(release_path: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.root"
    done = CliRunner().invoke(Group(commands=[export]), ["export", str(release_path), str(out)])
    assert (done.exit_code, done.stderr) == (0, "Not exported: 1 networks\n")
    assert read_export(out).nominal.shape == (500,)
