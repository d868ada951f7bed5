"""The command for inputs as a user types it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from omnifold_pub.cli import main
from omnifold_pub.cli.inputs import inputs as command


def run(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def test_help_says_what_and_how() -> None:
    outcome = run("check", "--help")
    assert outcome.exit_code == 0
    assert "Example: omnifold-pub inputs check analysis.yaml" in outcome.stdout
    assert "inputs" in main.commands


def test_the_demo_has_no_error_and_the_two_spikes_that_are_there(zjets: Path) -> None:
    outcome = run("check", zjets / "analysis.yaml")
    assert outcome.exit_code == 0
    assert "no error" in outcome.stdout
    assert "\nerror" not in outcome.stdout
    warnings = [line for line in outcome.stdout.splitlines() if line.startswith("warning: ")]
    # tau3 is 0 by definition for a jet of three particles or fewer.
    assert [line.split(": expected")[0] for line in warnings] == [
        "warning: spike: tau3_trackj1",
        "warning: spike: tau3_trackj2",
    ]
    assert all("exactly 0 in" in line for line in warnings)


def test_json_and_the_exit_status_say_the_same(tmp_path: Path, zjets_document: dict[str, Any]) -> None:
    inputs = zjets_document["inputs"] | {"variations": []}
    path = tmp_path / "analysis.yaml"
    path.write_text(yaml.safe_dump(zjets_document | {"inputs": inputs}))
    outcome = run("check", path, "--json")
    assert outcome.exit_code == 1
    report = json.loads(outcome.stdout)
    assert report["kind"] == "input report"
    assert report["path"] == str(path)
    assert not report["usable"]
    errors = [finding for finding in report["findings"] if finding["level"] == "error"]
    assert [(finding["code"], finding["path"]) for finding in errors] == [
        ("readable", "mc.root"),
        ("readable", "data.root"),
    ]
    assert set(errors[0]) == {"code", "level", "path", "expected", "found", "hint"}
    assert report["counts"] == {"error": 2, "warning": 0, "note": 0}


def test_the_table_is_by_level_and_errors_come_first(tmp_path: Path) -> None:
    path = tmp_path / "analysis.yaml"
    path.write_text("title: nothing more")
    outcome = run("check", path)
    assert outcome.exit_code == 1
    assert re.search(r"^error +analysis +1$", outcome.stdout, re.MULTILINE)
    assert "NOT USABLE" in outcome.stdout


def test_a_file_that_is_not_there_is_a_bad_call(tmp_path: Path) -> None:
    assert run("check", tmp_path / "nothing.yaml").exit_code == 2


@pytest.mark.slow
def test_it_needs_no_torch(zjets: Path) -> None:
    code = (
        "import sys\nfrom omnifold_pub.inputs.doctor import check_inputs\n"
        f"assert check_inputs({str(zjets / 'analysis.yaml')!r}).usable\nprint('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
