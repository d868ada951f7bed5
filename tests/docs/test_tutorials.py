"""The tutorials are notebooks that run from their first cell to their last, as their readers will."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

jupytext = pytest.importorskip("jupytext", reason="the tutorials are notebooks: pip install '.[docs]'")
nbclient = pytest.importorskip("nbclient", reason="the tutorials are notebooks: pip install '.[docs]'")

DOCS = Path(__file__).parents[2] / "docs"
TUTORIALS = sorted((DOCS / "tutorials").glob("*.md"))
NOTEBOOKS = [*TUTORIALS, DOCS / "howto/draw.md"]
SECONDS = 600


def test_there_is_one_for_each_user() -> None:
    assert [path.stem for path in TUTORIALS] == ["archive", "publisher", "reader", "reinterpreter"]


@pytest.mark.slow
@pytest.mark.timeout(SECONDS)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::RuntimeWarning")  # of Jupyter, about itself
@pytest.mark.parametrize("tutorial", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_run(tutorial: Path, tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("tests/data/zjets", "release/zjets"):
        shutil.copytree(project / folder, tmp_path / folder)
    place = tmp_path / tutorial.parent.relative_to(project)
    place.mkdir(parents=True)
    (tmp_path / "build").mkdir()
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    notebook = jupytext.read(tutorial)
    client = nbclient.NotebookClient(notebook, timeout=SECONDS, resources={"metadata": {"path": str(place)}})
    client.execute()
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in cells)
    errors = [output for cell in cells for output in cell.outputs if output.output_type == "error"]
    warned = [
        output.text
        for cell in cells
        for output in cell.outputs
        if output.output_type == "stream" and output.name == "stderr" and "Warning" in output.text
    ]
    assert not errors
    assert not warned
    assert any(cell.outputs for cell in cells)
