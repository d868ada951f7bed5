"""The JSON Schemas that come with the package, and checking a document against one.

Schemas are never fetched and never taken from the document they check.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError
from referencing import Registry

from omnifold_pub.messages import shorten

__all__ = ["SCHEMA_VERSION", "Problem", "check", "load_schema"]

SCHEMA_VERSION = "1.0.0"

SchemaName = Literal["analysis", "release"]


@dataclass(frozen=True)
class Problem:
    """One place where a document is not what its schema asks for.

    Attributes
    ----------
    path : str
        Where in the document, such as ``observables[3].unit``.
    expected : str
        What the schema asks for.
    found : str
        What stands there.
    """

    path: str
    expected: str
    found: str

    def __str__(self) -> str:
        """Return one line."""
        return f"{self.path or 'the document'}: {self.expected}; found {self.found}"


@cache
def load_schema(name: SchemaName) -> dict[str, Any]:
    """Return a schema of the current version.

    >>> load_schema("release")["title"]
    'omnifold_pub release metadata'
    """
    relative = f"schemas/{SCHEMA_VERSION}/{name}.schema.json"
    shipped = resources.files("omnifold_pub").joinpath(f"_{relative}")
    # In a checkout the schemas stand beside the package; a wheel carries them inside.
    text = shipped.read_text() if shipped.is_file() else (Path(__file__).parents[1] / relative).read_text()
    schema: dict[str, Any] = json.loads(text)
    return schema


def _path(error: ValidationError) -> str:
    text = ""
    for step in error.absolute_path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text


def _problem(error: ValidationError) -> Problem:
    found = shorten(error.instance)
    # Our own schemas: for each of these keywords the value has the one type that it has there.
    value: Any = error.validator_value
    instance: Any = error.instance
    if error.validator == "additionalProperties":
        schema: Any = error.schema
        known = sorted(schema["properties"])
        unknown = ", ".join(shorten(key) for key in sorted(set(instance) - set(known), key=str))
        return Problem(_path(error), f"expected only the keys {', '.join(known)}", f"unknown {unknown}")
    if error.validator == "required":
        missing = [key for key in value if key not in instance]
        return Problem(_path(error), f"expected the keys {', '.join(missing)}", "none of that name")
    if error.validator == "enum":
        return Problem(_path(error), f"expected one of {', '.join(map(str, value))}", found)
    if error.validator == "const":
        return Problem(_path(error), f"expected {value!r}", found)
    if error.validator == "pattern":
        return Problem(_path(error), f"expected text that matches {value}", found)
    if error.validator == "type":
        return Problem(_path(error), f"expected {value}", found)
    return Problem(_path(error), f"expected {error.validator} {shorten(value)}", found)


def _not_json(document: object) -> Iterator[Problem]:
    """Find what JSON cannot hold. Each container is visited once, however often aliases repeat it."""
    pending: list[tuple[str, object]] = [("", document)]
    seen: set[int] = set()
    while pending:
        path, node = pending.pop()
        if isinstance(node, dict | list):
            if id(node) in seen:
                continue
            seen.add(id(node))
            for key, value in node.items() if isinstance(node, dict) else enumerate(node):
                step = f"[{key}]" if isinstance(node, list) else f".{key}" if path else str(key)
                pending.append((path + step, value))
        elif isinstance(node, float) and not math.isfinite(node):
            yield Problem(path, "expected a finite number", str(node))
        elif not isinstance(node, str | int | float | None):
            yield Problem(path, "expected text, a number, a list or a mapping", shorten(node))


def check(document: object, name: SchemaName) -> list[Problem]:
    """Return every problem of a document, in its order; an empty list if there is none.

    >>> check({"schema_version": "1.0.0"}, "analysis")[0].expected.startswith("expected the keys title")
    True
    """
    validator = Draft202012Validator(load_schema(name), format_checker=FormatChecker(), registry=Registry())

    def position(error: ValidationError) -> list[tuple[int, str]]:
        return [(step, "") if isinstance(step, int) else (-1, str(step)) for step in error.absolute_path]

    problems = list(_not_json(document))
    reported = {problem.path for problem in problems}
    found = map(_problem, sorted(validator.iter_errors(document), key=position))
    return list(dict.fromkeys([*problems, *(problem for problem in found if problem.path not in reported)]))
