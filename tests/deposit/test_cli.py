from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from omnifold_pub.cli.depositing import package
from omnifold_pub.deposit import Deposit
from omnifold_pub.errors import PublishError


def test_command_lists_the_files(pack: Callable[..., Deposit], release_file: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(package, [str(release_file), str(tmp_path / "deposit")])
    assert (result.exit_code, result.exception) == (0, None)
    assert "8 files" in result.stdout
    assert "ro-crate-metadata.json" in result.stdout
    assert result.stderr.startswith("note: croissant.json: ")


def test_command_speaks_json(pack: Callable[..., Deposit], release_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "deposit"
    result = CliRunner().invoke(package, [str(release_file), str(folder), "--json"])
    document = json.loads(result.stdout)
    assert {file["file"]: file["bytes"] for file in document["files"]} == {
        path.name: path.stat().st_size for path in folder.iterdir()
    }


def test_command_overwrites_only_if_told_to(pack: Callable[..., Deposit], release_file: Path, tmp_path: Path) -> None:
    arguments = [str(release_file), str(tmp_path / "deposit")]
    assert CliRunner().invoke(package, arguments).exit_code == 0
    with pytest.raises(PublishError, match="already there"):
        CliRunner().invoke(package, arguments, catch_exceptions=False)
    assert CliRunner().invoke(package, [*arguments, "--overwrite"]).exit_code == 0
