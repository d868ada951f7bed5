"""Documents of the checkout as pages: their links are made to lead to the pages or files that they name."""

from __future__ import annotations

import os.path
import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

PAGES = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "examples/inspection/README.md": "inspection.md",
    "schemas/SPECIFICATION.md": "specification.md",
    "scripts/README.md": "figures.md",
    "scripts/closure/closure.md": "closure.md",
}
"""Documents of the checkout, and the page (in the folder of this documentation) that shows each."""

_LINK = re.compile(r"\[([^\]]*)\]\((?!https?:|#)([^)\s#]+)\)")


def link_on_page(document: str, text: str, link: str) -> str:
    """Return what a link of a document is on its page; a document that has no page is named, and not linked.

    Parameters
    ----------
    document : str
        Its path from the checkout's folder.
    text : str
        What is linked.
    link : str
        A path from the document's folder.
    """
    target = os.path.normpath(os.path.join(os.path.dirname(document), link))  # noqa: PTH118, PTH120 - of no file
    if target in PAGES:
        return f"[{text}]({PAGES[target]})"
    return f"`{target}`" if target.endswith(".md") else f"[{text}](../{target})"


def _rewrite(app: Sphinx, relative: Path, _parent: str, content: list[str]) -> None:
    document = (Path(app.srcdir) / relative).resolve().relative_to(Path(app.srcdir).parent).as_posix()
    content[0] = _LINK.sub(lambda found: link_on_page(document, found[1], found[2]), content[0])


def setup(app: Sphinx) -> dict[str, Any]:
    """Rewrite what is included."""
    app.connect("include-read", _rewrite)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
