"""The commands for metadata as a user types them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from omnifold_pub.cli.describing import metadata
from omnifold_pub.metadata_template import template


def run(*arguments: object) -> Result:
    return CliRunner().invoke(metadata, [str(argument) for argument in arguments])


@pytest.fixture
def filled(tmp_path: Path, project: Path) -> Path:
    """A complete file: the template's blanks filled by hand where it matters, by examples elsewhere."""
    schema = json.loads((project / "schemas/1.1.0/release.schema.json").read_text())

    def example(node: Any) -> Any:
        if "$ref" in node:
            node = {**schema["$defs"][str(node["$ref"]).split("/")[-1]], **node}
        if "items" in node:
            return [example(node["items"])]
        if "properties" in node:
            return {key: example(node["properties"][key]) for key in node["required"]}
        return node["examples"][0]

    document = {key: example(schema["properties"][key]) for key in yaml.safe_load(template()) if key != "components"}
    document["weights"]["central_value"] = {"rule": "single"}
    document["weights"]["clamps"] = {"applied": False}
    document["components"] = [
        {"name": "luminosity", "kind": "scale", "description": "1.7 %", "relative_uncertainty": 0.017}
    ]
    path = tmp_path / "metadata.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


@pytest.mark.parametrize("command", ["new", "check"])
def test_help_says_what_and_how(command: str) -> None:
    outcome = run(command, "--help")
    assert outcome.exit_code == 0
    assert f"Example: omnifold-pub metadata {command} metadata.yaml" in outcome.stdout
    assert command in run("--help").stdout


def test_a_new_file_is_incomplete_and_says_where(tmp_path: Path) -> None:
    path = tmp_path / "metadata.yaml"
    outcome = run("new", path)
    assert (outcome.exit_code, outcome.stderr) == (0, "")
    assert f"omnifold-pub metadata check {path}" in outcome.stdout
    checked = run("check", path)
    assert checked.exit_code == 1
    lines = checked.stdout.splitlines()
    assert lines[0] == "title: expected text (Title of the measurement); found a blank"
    assert checked.stderr == f"error: {path}: {len(lines)} to fill in or to mend\n"
    assert len({line.split(":")[0] for line in lines}) == len(lines) > 50


def test_new_never_overwrites(tmp_path: Path) -> None:
    path = tmp_path / "metadata.yaml"
    path.write_text("mine")
    outcome = run("new", path)
    assert outcome.exit_code == 1
    assert outcome.stderr.startswith(f"error: {path}: exists already")
    assert path.read_text() == "mine"


def test_what_is_complete_passes(filled: Path) -> None:
    outcome = run("check", filled)
    assert (outcome.exit_code, outcome.stdout, outcome.stderr) == (0, f"{filled}: complete\n", "")
    assert json.loads(run("check", filled, "--json").stdout) == {"path": str(filled), "valid": True, "problems": []}


def test_a_script_is_told_what_is_wrong(filled: Path) -> None:
    filled.write_text(filled.read_text().replace("data_kind: data", "data_kind: FILL IN").replace("pb\n", "nb\n", 1))
    outcome = run("check", filled, "--json")
    assert outcome.exit_code == 1
    printed = json.loads(outcome.stdout)
    assert printed["valid"] is False
    assert [(problem["path"], problem["found"]) for problem in printed["problems"]] == [
        ("data_kind", "a blank"),
        ("cross_section.unit", "'nb'"),
    ]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("check", "nowhere.yaml"), 2, "does not exist"),
        (("check",), 2, "Missing argument"),
        (("new",), 2, "Missing argument"),
        (("frobnicate",), 2, "No such command"),
        (("check", "broken.yaml"), 1, "broken.yaml: not YAML"),
        (("check", "broken.yaml", "--json"), 1, "broken.yaml: not YAML"),
        (("new", "no/such/folder.yaml"), 1, "not written: No such file"),
    ],
)
def test_exit_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], status: int, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.yaml").write_text("a: [")
    outcome = run(*arguments)
    assert outcome.exit_code == status
    assert message in outcome.stderr
    assert outcome.stdout == ""


def test_a_template_needs_no_yaml_and_a_check_names_the_extra(tmp_path: Path) -> None:
    code = "import sys; sys.modules['yaml'] = None; from omnifold_pub.cli.describing import metadata; metadata()"

    def start(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", code, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)

    assert start("new", "metadata.yaml").returncode == 0
    outcome = start("check", "metadata.yaml")
    assert outcome.returncode == 1
    assert "the package yaml, which is not installed" in outcome.stderr
    assert outcome.stderr.count("\n") == 1
