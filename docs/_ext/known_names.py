"""Names in docstrings: a link if there is a page, code if there is none, a warning if there is no such thing."""

from __future__ import annotations

import importlib
import inspect
import re
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.domains.python import PyObject
from sphinx.environment import BuildEnvironment

_OURS = "omnifold_pub."


def exists(name: str) -> bool:
    """Return whether a module, or something in it, has this full name.

    >>> exists("omnifold_pub.errors.ReleaseError.args"), exists("omnifold_pub.errors.Nothing")
    (True, False)
    """
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            if not hasattr(found, part):  # a field, or set by its methods
                source = inspect.getsource(found) if inspect.isclass(found) else ""
                return re.search(rf"^ +(self\.)?{part}\b[^=\n]*[=:]", source, re.MULTILINE) is not None
            found = getattr(found, part)
        return True
    return False


def _unlinked(
    _app: Sphinx, _env: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> nodes.TextElement | None:
    if node.get("refdomain") != "py":
        return None
    target = str(node["reftarget"])
    return None if target.startswith(_OURS) and not exists(target) else content


def _types_in_words(_app: Sphinx, _what: str, _name: str, _found: object, _options: object, lines: list[str]) -> None:
    """Put the type of each attribute beside it, as the words that they are: "mapping by name" is no class."""
    types = {match[1]: match[2] for line in lines if (match := re.match(r":vartype ([^:]+): (.*)", line))}

    def together(match: re.Match[str]) -> str:
        names = match[1].replace(" ", "\u200b")  # of several: Sphinx would take the first for a type
        return f":ivar {names}: ({types.get(match[1], '')})"

    lines[:] = [re.sub(r"^:ivar ([^:]+):", together, line) for line in lines if not line.startswith(":vartype ")]


def _help_as_markup(_app: Sphinx, _context: object, lines: list[str]) -> None:
    """Keep what a command's help says from being taken for markup, and show its example as code."""
    text = "\n".join(re.sub(r"(?<!\*)\*(?!\*)", r"\*", line) for line in lines)
    example = re.compile(r"^( *)Example: ((?:.+\n?)+)", re.MULTILINE)
    text = example.sub(lambda found: f"{found[1]}Example: ``{' '.join(found[2].split())}``\n", text)
    lines[:] = text.split("\n")


def setup(app: Sphinx) -> dict[str, Any]:
    """Answer for what has no page."""
    app.connect("missing-reference", _unlinked)
    app.connect("autodoc-process-docstring", _types_in_words, priority=900)
    for part in ("description", "options", "arguments"):
        app.connect(f"sphinx-click-process-{part}", _help_as_markup)
    for field in PyObject.doc_field_types:  # what our docstrings call them
        field.label = "Attributes" if field.name == "variable" else field.label
    return {"parallel_read_safe": True, "parallel_write_safe": True}
