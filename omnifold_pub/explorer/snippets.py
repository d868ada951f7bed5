"""The same measurement without the page: as Python, and as commands."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omnifold_pub.explorer.desk import Desk, Measured
from omnifold_pub.explorer.theories import Recipe

__all__ = ["commands", "python"]

_LINE = 100  # characters


def _edges(found: Measured) -> str:
    """Return the edges with every digit that matters."""
    short = ((f"{edge:.12g}", edge) for edge in found.edges)
    return ", ".join(text if float(text) == edge else repr(edge) for text, edge in short)


def _place(desk: Desk) -> str:
    path = desk.release.path
    return str(path) if isinstance(path, Path) else path.address


def _call(name: str, arguments: list[str]) -> str:
    """Return a call, on lines of its own if it is long."""
    line = f"{name}({', '.join(arguments)})"
    return line if len(line) <= _LINE else f"{name}(\n" + "".join(f"    {one},\n" for one in arguments) + ")"


def _measure(found: Measured, options: Mapping[str, Any]) -> str:
    given = [repr(found.question.observable), f"[{_edges(found)}]"]
    return _call("release.measure", [*given, *(f"{name}={value!r}" for name, value in options.items())])


def _recipes(desk: Desk, found: Measured) -> list[tuple[str, Recipe]]:
    """Return name and recipe of each theory that predicts this."""
    pairs = zip(desk.theories, found.overlays, strict=True)
    recipes = [offered.recipe for offered, overlay in pairs if not overlay.problem]
    known = [recipe for recipe in recipes if recipe is not None]
    return [("theory" if len(known) == 1 else f"theory_{n}", recipe) for n, recipe in enumerate(known, start=1)]


def python(desk: Desk, found: Measured) -> str:
    """Return the lines of Python that measure the same, and test the theories."""
    question, recipes = found.question, _recipes(desk, found)
    lines = ["import omnifold_pub"]
    if any("families" in recipe.options for _, recipe in recipes):
        lines.append("from omnifold_pub.reinterpret.weight_families import Combination")
    lines += ["", f"release = omnifold_pub.open_release({_place(desk)!r})"]
    lines += [f"measurement = {_measure(found, question.options())}", "print(measurement)"]
    compared, shape = "measurement", ""
    if recipes and question.normalise:  # shapes are compared from the contents of bins
        lines += ["", f"contents = {_measure(found, question.selecting())}"]
        compared, shape = "contents", ", shape_only=True"
    for name, recipe in recipes:
        lines += [
            "",
            f"{name} = {recipe.python(found.columns)}",
            f"test = omnifold_pub.compare({compared}, {name}{shape}).test",
            "print(test.chi2, test.dof, test.p_value)",
        ]
    return "\n".join(lines) + "\n"


def commands(desk: Desk, found: Measured) -> str:
    """Return the commands that measure the same, and test the theories."""
    question, place = found.question, _place(desk)
    wanted = ["-o", question.observable, "-b", _edges(found).replace(" ", "")]
    nan = ["--nan", "drop"] if question.nan == "drop" else []
    where = ["--where", question.where] if question.where else []
    switches = [f"--{name}" for name in ("density", "normalise") if getattr(question, name)]
    lines = [["omnifold-pub", "measure", place, *wanted, *where, *nan, *switches]]
    recipes = [recipe for _, recipe in _recipes(desk, found) if recipe.arguments]
    shape = ["--shape"] if question.normalise else []
    lines += [["omnifold-pub", "compare", place, *one.arguments, *wanted, *where, *nan, *shape] for one in recipes]
    return "\n".join(map(shlex.join, lines)) + "\n"
