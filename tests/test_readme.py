"""Every command and snippet of the README, run in its order."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from omnifold_pub import UnfoldingResult
from omnifold_pub.cli import main
from omnifold_pub.cli.console import Group
from tests.snippets import ANALYSIS, Block, blocks_of, differences, run


@pytest.fixture(scope="module")
def blocks(project: Path) -> list[Block]:
    return blocks_of((project / "README.md").read_text())


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
    for file in (
        "docs/example_metadata.yaml",
        "release/zjets/zjets.h5",
        "scripts/make_atlas_lookalike.py",
        "tests/data/hepmc/zjets.hepmc.gz",
    ):
        (tmp_path / file).parent.mkdir(exist_ok=True, parents=True)
        shutil.copy(project / file, tmp_path / file)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("as_after_the_demo")
def test_python_snippets_run(blocks: list[Block]) -> None:
    namespace: dict[str, object] = {}
    printed = []
    for number, block in enumerate(blocks):
        if block.language == "python":
            printed.append(run(block, namespace, "README.md") or "")
            if "release/zjets/zjets.h5" in block.text:  # the same numbers for everybody
                assert not differences(blocks[number + 1].text, printed[-1])
    assert len(printed) == 7
    assert "data_bootstrap bootstrap" in "".join(printed)


@pytest.mark.slow
@pytest.mark.usefixtures("as_after_the_demo")
def test_commands_run(blocks: list[Block], quick_run: tuple[Path, UnfoldingResult]) -> None:
    commands = [line for block in blocks if block.language == "console" for line in block.text.splitlines()]
    ANALYSIS.write_text(_with_quick_trainings(ANALYSIS, quick_run[0]))
    assert [line for line in commands if line.startswith("make")] == ["make demo", "make test"]
    ours = [line for line in commands if not line.startswith("make")]
    assert len(ours) == 28
    for line in ours:
        run(Block("console", line, 0, 0), {}, "README.md")


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
