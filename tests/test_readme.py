"""Every command and snippet of the README, run in its order."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from omnifold_pub import UnfoldingResult
from omnifold_pub.cli import main
from omnifold_pub.cli.console import Group

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def blocks(project: Path) -> list[tuple[str, str]]:
    return BLOCK.findall((project / "README.md").read_text())


@pytest.fixture
def as_after_the_demo(
    tmp_path: Path,
    project: Path,
    quick_release: Path,
    quick_run: tuple[Path, UnfoldingResult],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A folder that looks as a checkout does after ``make demo``, with quicker trainings."""
    (tmp_path / "build/demo").mkdir(parents=True)
    shutil.copy(quick_release, tmp_path / "build/demo/release.h5")
    shutil.copytree(quick_run[0], tmp_path / "build/demo/run")
    (tmp_path / "tests/data").mkdir(parents=True)
    shutil.copytree(project / "tests/data/zjets", tmp_path / "tests/data/zjets")
    for file in ("docs/example_metadata.yaml", "scripts/make_atlas_lookalike.py", "release/zjets/zjets.h5"):
        (tmp_path / file).parent.mkdir(exist_ok=True, parents=True)
        shutil.copy(project / file, tmp_path / file)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("as_after_the_demo")
def test_python_snippets_run(blocks: list[tuple[str, str]]) -> None:
    namespace: dict[str, object] = {}
    printed = []
    for number, (language, snippet) in enumerate(blocks):
        if language != "python":
            continue
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            exec(compile(snippet, "README.md", "exec"), namespace)  # noqa: S102
        printed.append(output.getvalue())
        if "release/zjets/zjets.h5" in snippet:  # the same numbers for everybody
            assert blocks[number + 1] == ("text", printed[-1])
    assert len(printed) == 7
    assert "data_bootstrap bootstrap" in "".join(printed)


@pytest.mark.usefixtures("as_after_the_demo")
def test_commands_run(blocks: list[tuple[str, str]], quick_run: tuple[Path, UnfoldingResult]) -> None:
    commands = [line for language, text in blocks if language == "console" for line in text.splitlines()]
    analysis = Path("tests/data/zjets/analysis.yaml")
    analysis.write_text(_with_quick_trainings(analysis, quick_run[0]))
    ours = [line for line in commands if line.startswith("omnifold-pub")]
    scripts = [line for line in commands if line.startswith("python scripts/")]
    for line in commands:
        if line in scripts:
            subprocess.run([sys.executable, *shlex.split(line)[1:]], check=True, capture_output=True)
        if line in ours:
            outcome = CliRunner().invoke(main, shlex.split(line)[1:])
            assert outcome.exit_code == 0, f"{line}\n{outcome.output}"
    assert (len(ours), len(scripts)) == (23, 1)
    assert set(commands) - set(ours) - set(scripts) == {"make demo", "make test"}


def _with_quick_trainings(analysis: Path, run: Path) -> str:
    """Return the analysis file with the settings of a finished run, so that nothing is trained again."""
    import yaml

    from omnifold_pub.unfold.store import read_header

    document = yaml.safe_load(analysis.read_text())
    finished = read_header(run / "inputs.safetensors")["analysis"]
    return yaml.safe_dump(document | {key: finished[key] for key in ("omnifold", "campaign")})


def test_the_two_make_commands_are_what_ci_runs(project: Path) -> None:
    ci = (project / ".ci/run").read_text()
    makefile = (project / "Makefile").read_text()
    for target in ("demo", "test"):
        assert re.search(rf"^make {target}$", ci, re.MULTILINE)
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_every_command_is_in_the_readme(project: Path) -> None:
    readme = (project / "README.md").read_text()
    assert isinstance(main, Group)
    for command in main.commands:
        assert f"omnifold-pub {command}" in readme or f"make {command}" in readme


def test_links_to_files_lead_somewhere(project: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", (project / "README.md").read_text())
    assert links
    for link in links:
        assert (project / link).exists(), link
