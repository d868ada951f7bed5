"""A template of a release's metadata: commented YAML, made of the schema alone, so that it cannot fall behind it.

No value is chosen for the publisher: whatever has to be decided is a blank, and blanks do not pass the check.
"""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from referencing import Registry

from omnifold_pub.atomic import replacing
from omnifold_pub.errors import PublishError
from omnifold_pub.metadata import BLANK, FILLED_IN_BY_PUBLISH, Schema, form, resolve
from omnifold_pub.schemas import SCHEMA_VERSION, load_schema

__all__ = ["template", "write_template"]

_WIDTH = 100
_HEAD = (
    f"Metadata of a release, format {SCHEMA_VERSION}: what its columns and weights mean.",
    f"Fill in every blank ({BLANK}), then run: omnifold-pub metadata check on this file.",
    "An empty list or mapping is a blank too: write it below its key, or [] where it may be empty.",
    "What is commented out may stay so. To use it, take away the # of its lines and nothing else.",
    'Text that looks like something else stands in quotes: unit: "1".',
)


def template() -> str:
    """Return the template, a YAML document.

    >>> print(template()[template().index("title:"):].splitlines()[0])
    title: FILL IN
    """
    head = [line for sentence in _HEAD for line in _prose(sentence)]
    return "\n".join([*head, "", *_mapping(load_schema("release"), "", spaced=True)]).rstrip() + "\n"


def write_template(path: str | Path) -> Path:
    """Write the template to a new file: whole, or not at all.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    PublishError
        If there is such a file, there is no such folder, or the disk does not take it.
    """
    path = Path(path)
    if path.exists() or path.is_symlink():
        msg = f"{path}: exists already; choose another name or remove it first"
        raise PublishError(msg)
    try:
        with replacing(path) as temporary:
            temporary.write_text(template(), encoding="utf-8")
    except OSError as error:
        msg = f"{path}: not written: {error.strerror or error}"
        raise PublishError(msg) from None
    return path


def _mapping(schema: Schema, path: str, *, spaced: bool = False) -> list[str]:
    """Return the lines of a mapping; what only some choices need is there, and says so."""
    absent = FILLED_IN_BY_PUBLISH.get(path, ())
    reasons: dict[str, dict[str, list[str]]] = {}
    for choice, option, alternatives in _choices(schema):
        for needed in alternatives[0]:
            reasons.setdefault(needed, {}).setdefault(choice, []).append(option)
    lines: list[str] = []
    for key, value in schema["properties"].items():
        place = f"{path}.{key}" if path else key
        if key in absent:
            lines += _prose(f"{key}: left out, publishing fills it in.", value["description"])
        elif key in schema["required"]:
            lines += _entry(key, value, place)
        elif key in reasons:
            when = " or ".join(f"{choice} is {' or '.join(options)}" for choice, options in reasons[key].items())
            lines += _entry(key, value, place, note=f"Only where {when}: take it away otherwise.")
        else:
            lines += _optional(key, value, place)
        lines += [""] * spaced
    return lines


def _entry(key: str, schema: Schema, path: str, *, note: str = "") -> list[str]:
    """Return the lines of a key: what it means, and its blank."""
    schema = resolve(schema)
    if "properties" in schema:
        return [*_prose(schema["description"], note), f"{key}:", *_indented(_mapping(schema, path))]
    body, form_and_example = [f"{key}: {BLANK}"], _form_and_example(schema)
    if schema.get("type") == "object":  # any names
        body = [f"{key}:  # {BLANK}", *_commented([f"  {name}: {BLANK}" for name in schema["examples"][0]])]
    elif schema.get("type") == "array":
        items, optional = _items(resolve(schema["items"]), f"{path}[]"), bool(note)
        if schema.get("minItems") or optional:
            form_and_example += ", one or more"
        else:
            form_and_example += "; [] if there is none"
        if absent := FILLED_IN_BY_PUBLISH.get(f"{path}[]"):
            note = f"{note} Left out of each, publishing fills it in: {', '.join(absent)}.".lstrip()
        if optional or (len(items) == 1 and schema.get("minItems")):  # optional: a comment as a whole
            body = [f"{key}:", *_indented([line for item in items for line in item])]
        else:
            body = [f"{key}:  # {BLANK}", *_commented(_indented([line for item in items for line in item]))]
    return [*_prose(schema["description"], f"{form_and_example}.", note), *body]


def _optional(key: str, schema: Schema, path: str) -> list[str]:
    prose, body = _split(_entry(key, schema, path, note="Optional."))
    return [*prose, *_commented(body)]


def _split(lines: list[str]) -> tuple[list[str], list[str]]:
    start = next(i for i, line in enumerate(lines) if not line.startswith("#"))
    return lines[:start], lines[start:]


def _items(schema: Schema, path: str) -> list[list[str]]:
    """Return the lines of a list's example items: one, or one for each choice that asks for keys of its own.

    A choice is a value of one key, or between the keys of which any item has one.
    """
    if "properties" not in schema:
        return [[f"- {BLANK}"]]
    choices = _choices(schema)
    if not choices:
        alternatives = _needed(schema, dict.fromkeys(schema["required"], BLANK))
        if not any(alternatives):
            return [_item(_mapping(schema, path))]
        choices = [("", "", alternatives)]
    absent = FILLED_IN_BY_PUBLISH.get(path, ())
    left = [key for key in schema["properties"] if key not in (*schema["required"], *absent)]
    explained: dict[str, list[str]] = {}  # saying the same once is enough
    items = []
    for choice, value, alternatives in choices:
        for needed in alternatives:
            left = [key for key in left if key not in needed]
            conditions = _conditions(schema, {choice: value, **dict.fromkeys(needed, BLANK)})
            lines = []
            for key, inner in schema["properties"].items():
                if key in absent or key not in (*schema["required"], *needed):
                    continue
                prose, body = _split(_entry(key, resolve(inner) | conditions.get(key, {}), f"{path}.{key}"))
                lines += [] if explained.get(key) == prose else prose
                lines += [f"{key}: {value}"] if key == choice else body
                explained[key] = prose
            items.append(_item(lines))
    more = [line for key in left for line in _optional(key, schema["properties"][key], f"{path}.{key}")]
    return [*items, _indented([*_prose("Each of these may also have:"), *more])] if more else items


def _choices(schema: Schema) -> list[tuple[str, str, list[tuple[str, ...]]]]:
    """Find the choices in a mapping that ask for further keys.

    Returns
    -------
    list of tuple
        Key, its value as YAML, and the sets of further keys of which one is needed.
    """
    found = []
    for key, value in schema["properties"].items():
        value = resolve(value)
        options: list[Any] = [True, False] if value.get("type") == "boolean" else value.get("enum", [])
        for option in options:
            alternatives = _needed(schema, {**dict.fromkeys(schema["required"], BLANK), key: option})
            if any(alternatives):
                found.append((key, option if isinstance(option, str) else json.dumps(option), alternatives))
    return found


def _needed(schema: Schema, instance: dict[str, Any]) -> list[tuple[str, ...]]:
    """Return the sets of keys that a mapping lacks, of which one is needed; what else is wrong does not count."""

    def missing(error: ValidationError) -> list[str]:
        required: Any = error.validator_value
        return [key for key in required if key not in instance]

    document = {**schema, "$defs": load_schema("release")["$defs"]}
    errors = [
        error
        for error in Draft202012Validator(document, registry=Registry()).iter_errors(instance)
        if not error.absolute_path
    ]
    always = [key for error in errors if error.validator == "required" for key in missing(error)]
    branches: dict[int | str, list[str]] = {}
    for error in errors:
        for inner in error.context or () if error.validator == "oneOf" else ():
            if inner.validator == "required":
                branches.setdefault(inner.relative_schema_path[0], []).extend(missing(inner))
    return [tuple(dict.fromkeys(always + branch)) for branch in branches.values() or [[]]]


def _conditions(schema: Schema, instance: dict[str, Any]) -> dict[str, Schema]:
    """Return what a choice asks of other keys, by their names."""
    conditions: dict[str, Schema] = {}
    for clause in schema.get("allOf", ()):
        if Draft202012Validator(clause["if"]).is_valid(instance):
            forms = [clause["then"], *clause["then"].get("oneOf", ())]
            for branch in forms:
                if set(branch.get("required", ())) <= set(instance):
                    conditions |= branch.get("properties", {})
    return {key: condition for key, condition in conditions.items() if key not in schema["required"]}


def _form_and_example(schema: Schema) -> str:
    words = form(schema)
    words = words[0].upper() + words[1:]
    if {"const", "enum"} & set(schema) or schema.get("type") in ("boolean", "array"):
        return words
    fits = Draft202012Validator({**schema, "$defs": load_schema("release")["$defs"]}, registry=Registry()).is_valid
    telling = [example for example in schema.get("examples", ()) if example is not None and fits(example)]
    return f"{words}, such as {json.dumps(telling[0], ensure_ascii=False)}" if telling else words


def _prose(*sentences: str) -> list[str]:
    text = " ".join(sentence for sentence in sentences if sentence)
    return [f"# {line}" for line in textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False)]


def _indented(lines: list[str]) -> list[str]:
    return [f"  {line}" for line in lines]


def _commented(lines: list[str]) -> list[str]:
    return [f"#{line}" for line in lines]


def _item(lines: list[str]) -> list[str]:
    return [f"{'  ' if i else '- '}{line}" for i, line in enumerate(lines)]
