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
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError, best_match
from jsonschema.validators import extend
from referencing import Registry

from omnifold_pub.messages import shorten

__all__ = ["SCHEMA_VERSION", "Problem", "SchemaName", "check", "load_schema"]

SCHEMA_VERSION = "1.1.0"

SchemaName = Literal["analysis", "campaign", "manifest", "measurement", "release", "report"]

MOST_PROBLEMS = 100
"""Collected of one document: a hostile one may hold millions."""

MOST_NESTED = 100
"""Levels of a document. Ours have a dozen; thousands would exhaust the stack of whoever walks them."""

MOST_VALUES = 5_000_000
"""In a document that YAML aliases blow up, whatever is repeated counted each time."""

_LISTED = 10
_BLANK = "FILL IN"


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


def _brief(value: object) -> str:
    """Describe a value of any size in one short line."""
    if isinstance(value, dict) and value:
        return f"a mapping with the keys {_listed(list(value))}"
    if isinstance(value, list) and value:
        return f"a list of {len(value)}"
    return shorten(_cut(value))


def _cut(value: object) -> object:
    return value[:200] if isinstance(value, str) else value


def _step(path: str, step: object) -> str:
    """Add a step to a path; a key may be any text, of any length."""
    if isinstance(step, int):
        return f"{path}[{step}]"
    key = " ".join(str(_cut(step)).split())
    key = key if len(key) <= 60 else f"{key[:57]}..."
    return f"{path}.{key}" if path else key


def _path(error: ValidationError) -> str:
    text = ""
    for step in error.absolute_path:
        text = _step(text, step)
    return text


def _listed(names: list[object]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(shorten(_cut(name)) for name in names[:_LISTED]) + more


def _problem(error: ValidationError) -> Problem:
    if error.context:
        return _alternatives(error)
    path, found = _path(error), _brief(error.instance)
    # Our own schemas: for each of these keywords the value has the one type that it has there.
    value: Any = error.validator_value
    instance: Any = error.instance
    match error.validator:
        case "additionalProperties":
            schema: Any = error.schema
            known = set(schema.get("properties", {}))
            unknown = sorted(set(instance) - known, key=str)
            return Problem(path, f"expected only the keys {', '.join(sorted(known))}", f"unknown {_listed(unknown)}")
        case "required":
            missing = [key for key in value if key not in instance]
            return Problem(path, f"expected the keys {', '.join(missing)}", "none of that name")
        case "enum":
            expected = f"one of {', '.join(map(str, value))}"
        case "const":
            expected = f"{value!r}{_reason(error)}"
        case "pattern" if instance.lstrip().startswith(_BLANK):
            expected = "this blank to be filled in"
        case "pattern" if _BLANK in value:  # of the schemas' text, which has no other rule
            expected = "text without control characters"
        case "pattern":
            expected = f"text that matches {value}"
        case "type":
            expected = " or ".join(value) if isinstance(value, list) else value
        case "not" if set(value) == {"required"} and isinstance(instance, dict):
            held = ", ".join(f"{key}: {_brief(instance[key])}" for key in value["required"])
            return Problem(path, f"expected no key {', '.join(value['required'])}{_reason(error)}", held)
        case "not" if set(value) <= {"const", "description"}:
            expected = f"anything but {value['const']!r}"
        case "oneOf":
            expected = "exactly one of the forms that are allowed here, but it has several"
        case _:
            expected = f"{error.validator} {shorten(value)}"
    return Problem(path, f"expected {expected}", found)


def _reason(error: ValidationError) -> str:
    """Say why a condition asks for it, where the schema says so."""
    conditional = {"then", "else"} & set(error.absolute_schema_path)
    reason = error.schema.get("description", "") if conditional and isinstance(error.schema, dict) else ""
    return f" ({reason.rstrip('.')})" if reason else ""


def _alternatives(error: ValidationError) -> Problem:
    """Report what a document lacks that matches none of several forms: of the nearest form, or of each of them."""
    best = best_match([error])
    if best is not None and best is not error:
        return _problem(best)
    forms: dict[int, dict[str, None]] = {}  # the same sentence once, in the order of the schema
    for part in error.context:
        sentence = _problem(part).expected.removeprefix("expected ")
        forms.setdefault(int(part.relative_schema_path[0]), {})[sentence] = None
    either = ", or ".join(" and ".join(sentences) for sentences in forms.values())
    return Problem(_path(error), f"expected {either}", _brief(error.instance))


def _unquotable(document: object) -> Problem | None:
    """Find what nobody could write out in a message: endless nesting, endless repetition, endless numbers."""
    stack: list[tuple[object, Iterator[object]]] = [(None, iter((document,)))]
    counts = [0]
    distinct = 0
    sizes: dict[int, int] = {}  # of the containers that are done with
    while stack:
        node, parts = stack[-1]
        for part in parts:
            distinct += 1
            if isinstance(part, int) and part.bit_length() > 1024:
                return Problem("", "expected numbers that a float64 can hold", "a larger one")
            if isinstance(part, dict | list) and id(part) not in sizes:
                if len(stack) > MOST_NESTED:
                    return Problem("", f"expected at most {MOST_NESTED} levels of lists and mappings", "more")
                stack.append((part, chain(part, part.values()) if isinstance(part, dict) else iter(part)))
                counts.append(1)
                break
            counts[-1] += sizes.get(id(part), 1)
        else:
            stack.pop()
            sizes[id(node)] = size = counts.pop()
            if size > max(MOST_VALUES, 2 * distinct):
                return Problem("", f"expected at most {MOST_VALUES} values", "more")
            if counts:
                counts[-1] += size
    return None


def _not_json(document: object) -> Iterator[Problem]:
    """Find what JSON cannot hold. Each container is visited once, however often aliases repeat it."""
    pending: list[tuple[str, dict[object, object] | list[object]]] = []
    seen: set[int] = set()

    def look(path: str, key: object, value: object) -> Iterator[Problem]:
        if isinstance(value, dict | list):
            pending.append((_step(path, key), value))
        elif isinstance(value, float) and not math.isfinite(value):
            yield Problem(_step(path, key), "expected a finite number", str(value))
        elif not isinstance(value, str | int | float | None):
            yield Problem(_step(path, key), "expected text, a number, a list or a mapping", shorten(value))

    yield from look("", "", document)
    while pending:
        path, node = pending.pop()
        if id(node) not in seen:
            seen.add(id(node))
            for key, value in node.items() if isinstance(node, dict) else enumerate(node):
                yield from look(path, key, value)


def _items(validator: Any, items: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    """Look at the items of a list, unless there are more of them than the schema allows: that is reported already."""
    if not isinstance(instance, list) or len(instance) <= schema.get("maxItems", math.inf):
        yield from Draft202012Validator.VALIDATORS["items"](validator, items, instance, schema)


_Validator = extend(Draft202012Validator, {"items": _items})  # type: ignore[no-untyped-call]


def check(document: object, name: SchemaName) -> list[Problem]:
    """Return the problems of a document in its order, `MOST_PROBLEMS` of them at most; an empty list if there is none.

    >>> check({"schema_version": "1.1.0"}, "analysis")[0].expected.startswith("expected the keys title")
    True
    """
    unquotable = _unquotable(document)
    if unquotable is not None:
        return [unquotable]
    problems = list(islice(_not_json(document), MOST_PROBLEMS))
    validator = _Validator(load_schema(name), format_checker=FormatChecker(), registry=Registry())

    def position(error: ValidationError) -> list[int]:
        """Return where in the document the error is: the number of each step among its siblings."""
        node: Any = document
        steps = []
        for step in error.absolute_path:
            steps.append(step if isinstance(step, int) else list(node).index(step))
            node = node[step]
        return steps

    reported = {problem.path for problem in problems}
    errors = list(islice(validator.iter_errors(document), MOST_PROBLEMS))
    # Of a value of another type nothing else is worth a word: what is asked of a mapping it breaks all the same.
    mistyped = {_path(error) for error in errors if error.validator == "type"}
    errors = [error for error in errors if error.validator == "type" or _path(error) not in mistyped]
    found = (_problem(error) for error in sorted(errors, key=position))
    unique = dict.fromkeys([*problems, *(problem for problem in found if problem.path not in reported)])
    return list(unique)[:MOST_PROBLEMS]
