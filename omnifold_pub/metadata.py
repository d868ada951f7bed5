"""Metadata of a release, as a publisher writes them before there is a release."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry

from omnifold_pub.errors import InputError
from omnifold_pub.schemas import SCHEMA_VERSION, Problem, check, load_schema
from omnifold_pub.yaml_documents import read_document

__all__ = ["BLANK", "FILLED_IN_BY_PUBLISH", "Schema", "find_problems", "form", "read_metadata", "resolve"]

Schema = dict[str, Any]

BLANK = "FILL IN"
"""What stands where a publisher has to decide; the schema takes it for nothing."""

FILLED_IN_BY_PUBLISH = {
    "": ("schema_version", "created", "events", "shard"),
    "components[]": ("covariance", "precision"),
}
"""Keys that a publisher leaves out, by the place of their mapping."""

_BOUNDS = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
_WORDS = {
    "string": "text",
    "boolean": "true or false",
    "array": "list",
    "object": "mapping of names to values",
    "null": "null",
}


def read_metadata(path: str | Path) -> dict[str, Any]:
    """Read and check the metadata that a publisher wrote.

    Parameters
    ----------
    path : str or path-like
        YAML, or JSON where the name ends in ``.json``.

    Returns
    -------
    dict
        The document. Keys that publishing fills in are there only if the file has them.

    Raises
    ------
    InputError
        If the file is not what its kind or the schema asks for; every problem is listed.
    MissingExtraError
        If PyYAML is not installed.
    """
    path = Path(path)
    document: dict[str, Any] = read_document(path, purpose="Reading metadata in YAML")
    problems = find_problems(document)
    if problems:
        lines = "\n  ".join(map(str, problems))
        msg = f"{path}: not the metadata of a release of schema {SCHEMA_VERSION}:\n  {lines}"
        raise InputError(msg)
    return document


def find_problems(document: object) -> list[Problem]:
    """Return the blanks that are left, each once and in reading order, then what else is wrong.

    Keys that publishing fills in may be left out.

    >>> find_problems("FILL IN")[0].found
    'a blank'
    """
    problems = check(_completed(document), "release")
    blanks: dict[str, Problem] = {}
    for path, value, schema in _leaves(document):
        if isinstance(value, str) or not _may_be_null(schema):
            meaning = f" ({schema['description'].rstrip('.')})" if "description" in schema else ""
            blanks[path] = Problem(path, f"expected {form(schema)}{meaning}", "a blank")
    return [*blanks.values(), *(problem for problem in problems if problem.path not in blanks)]


def _completed(document: object) -> object:
    """Let the schema's examples stand for what publishing fills in."""
    if not isinstance(document, dict):
        return document
    release = load_schema("release")
    document = _examples(release, FILLED_IN_BY_PUBLISH[""]) | document
    if isinstance(document.get("components"), list):
        stand_ins = _examples(release["properties"]["components"]["items"], FILLED_IN_BY_PUBLISH["components[]"])
        document["components"] = [
            stand_ins | component if isinstance(component, dict) else component for component in document["components"]
        ]
    return document


def _may_be_null(schema: Schema) -> bool:
    """Whether an empty value is an answer; where it is none, it is a blank."""
    return Draft202012Validator({**schema, "$defs": load_schema("release")["$defs"]}, registry=Registry()).is_valid(
        None
    )


def _examples(schema: Schema, keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: schema["properties"][key]["examples"][0] for key in keys if key in schema["required"]}


def _leaves(document: object) -> Iterator[tuple[str, object, Schema]]:
    """Yield path, value and schema of each empty value and each blank, in reading order.

    Each container is visited once, however often aliases repeat it.
    """
    pending: list[tuple[str, object, Schema]] = [("", document, load_schema("release"))]
    seen: set[int] = set()
    while pending:
        path, node, schema = pending.pop()
        schema = resolve(schema)
        if isinstance(node, dict | list):
            if id(node) in seen:
                continue
            seen.add(id(node))
            if isinstance(node, list):
                inner = [(f"{path}[{i}]", value, schema.get("items", {})) for i, value in enumerate(node)]
            else:
                keys = schema.get("properties", {})
                other = schema.get("additionalProperties") or {}
                inner = [
                    (f"{path}.{key}" if path else str(key), value, keys.get(key, other)) for key, value in node.items()
                ]
            pending += reversed(inner)
        elif node is None or (isinstance(node, str) and node.lstrip().startswith(BLANK)):
            yield path, node, schema


def resolve(schema: Schema) -> Schema:
    """Put a definition in the place of its reference."""
    if "$ref" not in schema:
        return schema
    name = schema["$ref"].removeprefix("#/$defs/")
    target: Schema = load_schema("release")["$defs"][name]
    own = {key: value for key, value in schema.items() if key != "$ref"}
    if name == "name" and "description" in own:
        own["description"] = f"{own['description']} {target['description']}"
    return target | own


def form(schema: Schema) -> str:
    """Say in words which values a schema takes."""
    if "const" in schema:
        return f"the one value {json.dumps(schema['const'])}"
    if "enum" in schema:
        return f"one of {', '.join(schema['enum'])}"
    if "oneOf" in schema:
        return " or ".join(form(resolve(choice)) for choice in schema["oneOf"])
    types = schema.get("type", "a value")
    words = " or ".join(_WORDS.get(word, word) for word in ([types] if isinstance(types, str) else types))
    bounds = [f"{word} {schema[key]}" for key, word in _BOUNDS.items() if key in schema]
    return ", ".join([words, *bounds])
