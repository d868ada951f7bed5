"""The site builds without a warning, and what it links to is there."""

from __future__ import annotations

import json
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import omnifold_pub

pytest.importorskip("myst_nb", reason="the documentation is built with Sphinx: pip install '.[docs]'")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


WITHOUT_TITLE = {"search.html"}
"""What the theme fills in while it is read."""


class _Page(HTMLParser):
    """Ids and links of a page, its title, and how many formulas it has."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.headings = 0
        self.formulas = 0
        self.no_alternative: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {key: value or "" for key, value in attrs}
        self.ids.add(found.get("id", ""))
        self.headings += tag == "h1"
        self.formulas += tag == "math"
        self.links += [found[key] for key in ("href", "src") if key in found]
        if tag == "img" and not found.get("alt"):
            self.no_alternative.append(found["src"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; tutorials without their results, see the tests of these."""
    out = tmp_path_factory.mktemp("site")
    docs = Path(__file__).parents[2] / "docs"
    options = ["-W", "--keep-going", "-n", "-q", "-E", "-D", "nb_execution_mode=off"]
    command = [sys.executable, "-m", "sphinx", *options, "-d", str(out / "trees"), str(docs), str(out / "html")]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out / "html"


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, _Page]:
    """Its pages."""
    parsed = {}
    for path in site.rglob("*.html"):
        if "_downloads" in path.parts:  # files of the checkout as they are
            continue
        parsed[path.resolve()] = page = _Page()
        page.feed(path.read_text())
    return parsed


def test_no_link_within_the_site_is_dead(pages: dict[Path, _Page]) -> None:
    dead = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.exists():
                dead.append(f"{path.name}: {link}: no such file")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].ids:
                dead.append(f"{path.name}: {link}: no such place")
    assert len(pages) > 20
    assert not dead, "\n".join(dead)


def test_it_needs_no_network_to_be_read(pages: dict[Path, _Page]) -> None:
    scripts = [link for page in pages.values() for link in page.links if link.startswith("http") and ".js" in link]
    assert not scripts


def test_formulas_are_drawn_by_the_browser_itself(site: Path, pages: dict[Path, _Page]) -> None:
    statistics = next(
        page for path, page in pages.items() if path.name == "statistics.html" and "api" not in path.parts
    )
    assert statistics.formulas > 50


def test_every_public_name_has_its_place(pages: dict[Path, _Page]) -> None:
    there = set().union(*(page.ids for page in pages.values()))
    names = set(omnifold_pub.__all__) - {"__version__"}
    assert {name for name in names if f"omnifold_pub.{name}" not in there} <= {"OmnifoldPubError", "Report"}
    assert "omnifold_pub.errors.OmnifoldPubError" in there
    assert "omnifold_pub.validate.findings.Report" in there


def test_every_page_has_one_title_and_pictures_their_words(pages: dict[Path, _Page]) -> None:
    for path, page in pages.items():
        assert page.headings == (path.name not in WITHOUT_TITLE), path
        if path.parent.name != "tutorials":  # what cells draw is described by the text around it
            assert not page.no_alternative, path


def test_tutorials_can_be_downloaded_as_notebooks(site: Path, pages: dict[Path, _Page]) -> None:
    for name in ("publisher", "reader", "reinterpreter", "archive"):
        links = [
            link for link in pages[site.resolve() / f"tutorials/{name}.html"].links if link.endswith(f"{name}.ipynb")
        ]
        notebook = json.loads((site / "tutorials" / unquote(links[0])).read_text())
        assert any(cell["cell_type"] == "code" for cell in notebook["cells"])
