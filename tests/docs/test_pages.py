"""Every snippet and command of the documentation, run in the order of each page; and what they print.

``RENEW_DOCS=1`` writes what is printed now into the pages; read what it changed before you keep it.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.snippets import Block, blocks_of, differences, renewed, run

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(path for folder in (".", "howto") for path in (DOCS / folder).glob("*.md"))
NEEDED = (
    "docs/example_metadata.yaml",
    "release/zjets",
    "scripts/make_atlas_lookalike.py",
    "tests/data/hepmc",
    "tests/data/zjets",
)
SLOW = {"howto/cluster.md", "howto/look.md"}


def _name(page: Path) -> str:
    return page.relative_to(DOCS).as_posix()


WITH_CODE = [page for page in PAGES if blocks_of(page.read_text())]


@pytest.fixture
def checkout(tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what pages use of the checkout; one may write into it."""
    for needed in NEEDED:
        there, here = project / needed, tmp_path / needed
        here.parent.mkdir(parents=True, exist_ok=True)
        if there.is_dir():
            shutil.copytree(there, here)
        else:
            shutil.copy(there, here)
    (tmp_path / "build").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "page", [pytest.param(p, id=_name(p), marks=[pytest.mark.slow] if _name(p) in SLOW else []) for p in WITH_CODE]
)
@pytest.mark.usefixtures("checkout")
def test_snippets_print_what_the_page_says(page: Path) -> None:
    text = page.read_text()
    namespace: dict[str, Any] = {}
    printed: str | None = None
    outputs: list[tuple[Block, str]] = []
    problems = []
    for block in blocks_of(text):
        if block.language == "text":
            assert printed is not None, f"{_name(page)}: text after nothing that was run:\n{block.text}"
            outputs.append((block, printed))
            problems.append(differences(block.text, printed))
            printed = None
        else:
            printed = run(block, namespace, _name(page))
    if os.environ.get("RENEW_DOCS") == "1":
        page.write_text(renewed(text, [(b, b.text if "...\n" in b.text else p) for b, p in outputs]))
        return
    assert not any(problems), "\n".join(filter(None, problems))


def test_every_extra_that_is_asked_for_is_explained(project: Path) -> None:
    index = (DOCS / "index.md").read_text()
    asked = {
        extra
        for path in (project / "omnifold_pub").rglob("*.py")
        for extra in re.findall(r'extra="(\w+)"', path.read_text())
    }
    assert len(asked) > 10
    assert {extra for extra in asked if f"`{extra}`" not in index} == set()
