"""The schemas of the small documents: campaign, validation report, measurement, manifest.

Measurements themselves are made, and spoilt, among the tests of `omnifold_pub.presentation`.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry

from omnifold_pub.schemas import SCHEMA_VERSION
from omnifold_pub.validate.findings import Finding, Report
from tests.conftest import change, drop

Schema = dict[str, Any]
Load = Callable[[str], Schema]

NAMES = ["campaign", "report", "measurement", "manifest"]


@pytest.fixture(scope="module")
def load(project: Path) -> Load:
    def read(name: str) -> Schema:
        schema: Schema = json.loads((project / "schemas" / SCHEMA_VERSION / f"{name}.schema.json").read_text())
        return schema

    return read


def validator(schema: Schema) -> Draft202012Validator:
    return Draft202012Validator(schema, registry=Registry())


def nodes(schema: Any) -> Iterator[Schema]:
    if isinstance(schema, dict):
        yield schema
        for value in schema.values():
            yield from nodes(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from nodes(value)


def declared(schema: Schema) -> Iterator[tuple[str, Schema]]:
    """Yield every key that a document may have; conditions on them declare none."""
    for key, value in schema.get("properties", {}).items():
        yield key, value
        yield from declared(value)
    if "items" in schema:
        yield "[]", schema["items"]
        yield from declared(schema["items"])
    for key, value in schema.get("$defs", {}).items():
        yield key, value
        yield from declared(value)


@pytest.mark.parametrize("name", NAMES)
def test_schemas_are_valid_2020_12_and_named(load: Load, name: str) -> None:
    schema = load(name)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"urn:omnifold-pub:{SCHEMA_VERSION}:{name}"
    assert schema["title"].startswith("omnifold_pub ")
    Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("name", NAMES)
def test_every_key_is_described(load: Load, name: str) -> None:
    assert load(name)["description"]
    assert [key for key, value in declared(load(name)) if not value.get("description")] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_value_has_an_example_that_its_schema_takes(load: Load, name: str) -> None:
    schema = load(name)
    definitions = schema.get("$defs", {})
    tried = 0
    for key, value in declared(schema):
        assert "examples" in value or "$ref" in value or "properties" in value or "items" in value, key
        for example in value.get("examples", ()):
            validator({**value, "$defs": definitions}).validate(example)
            tried += 1
    assert tried >= 6


@pytest.mark.parametrize("name", NAMES)
def test_objects_are_closed_and_ask_only_for_keys_they_declare(load: Load, name: str) -> None:
    for node in nodes(load(name)):
        if node.get("type") == "object" and node.get("examples") != [{"count": 150}]:  # what trainings report is free
            assert node["additionalProperties"] is False
            assert set(node["required"]) <= set(node["properties"])


@pytest.mark.parametrize("name", NAMES)
def test_definitions_are_those_that_are_referenced(load: Load, name: str) -> None:
    schema = load(name)
    references = {node["$ref"] for node in nodes(schema) if isinstance(node.get("$ref"), str)}
    assert references == {f"#/$defs/{key}" for key in schema.get("$defs", {})}


@pytest.mark.parametrize("name", NAMES)
def test_patterns_end_where_their_line_does(load: Load, name: str) -> None:
    patterns = {node["pattern"] for node in nodes(load(name)) if isinstance(node.get("pattern"), str)}
    names = {pattern for pattern in patterns if "FILL IN" not in pattern}  # text may end with a line end
    assert all(pattern.endswith(r"$(?!\n)") for pattern in names)


def test_a_campaign_is_the_one_of_the_release(load: Load) -> None:
    own = {key: value for key, value in load("campaign").items() if key not in {"$schema", "$id", "title"}}
    assert own == load("release")["$defs"]["campaign"]


@pytest.mark.parametrize("name", ["report", "measurement", "manifest"])
def test_words_shared_with_the_release_mean_the_same(load: Load, name: str) -> None:
    schema, release = load(name), load("release")
    assert schema["properties"]["schema_version"] == release["properties"]["schema_version"]
    for key in {"text", "name", "sha256"} & set(schema.get("$defs", {})):
        assert schema["$defs"][key] == release["$defs"][key]


def test_kinds_and_units_are_those_of_the_release(load: Load) -> None:
    schema, release = load("measurement"), load("release")
    component = release["properties"]["components"]["items"]["properties"]
    assert schema["properties"]["components"]["items"]["properties"]["kind"] == component["kind"]
    assert schema["properties"]["unit"]["enum"] == release["properties"]["weights"]["properties"]["unit"]["enum"]
    assert load("manifest")["properties"]["created"] == release["properties"]["created"]


CAMPAIGN = {"seed": 1, "ensemble": 4, "data_bootstrap": 25, "mc_bootstrap": 0, "trainings_per_variation": 1}


def report() -> Schema:
    findings = (
        Finding("finite_weights", "required", "/weights/ensemble", "finite weights", "3 of 10 are not", "Mend them."),
        Finding("negative_weights", "optional", "/weights/nominal", "no negative weight", "1 of 10", ""),
    )
    document = Report("release.h5", ("readable", "schema", "finite_weights", "negative_weights"), findings).to_dict()
    version = metadata.version("omnifold-pub")
    return {**document, "schema_version": SCHEMA_VERSION, "kind": "validation report", "omnifold_pub": version}


def manifest() -> Schema:
    files = [{"file": f"release_{i}.h5", "sha256": f"{i:064x}", "bytes": 1000 + i, "events": 10} for i in range(3)]
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "manifest",
        "title": "Z+jets",
        "created": "2026-01-31T12:00:00+00:00",
        "events": 30,
        "files": files,
    }


MAKE: dict[str, Callable[[], Schema]] = {
    "campaign": lambda: copy.deepcopy(CAMPAIGN),
    "report": report,
    "manifest": manifest,
}


@pytest.mark.parametrize("name", MAKE)
def test_what_the_package_makes_passes(load: Load, name: str) -> None:
    document = json.loads(json.dumps(MAKE[name](), allow_nan=False))
    validator(load(name)).validate(document)


@pytest.mark.parametrize("name", MAKE)
def test_no_key_may_be_missing_or_unknown(load: Load, name: str) -> None:
    check = validator(load(name))
    document = MAKE[name]()
    for key in document:
        assert not check.is_valid({k: value for k, value in document.items() if k != key}), key
    assert not check.is_valid(document | {"extra": 1})


WRONG = [
    ("campaign", change("ensemble", to=0)),
    ("campaign", change("seed", to=2**32)),
    ("campaign", change("data_bootstrap", to=-1)),
    ("campaign", change("trainings_per_variation", to=1.5)),
    ("report", change("kind", to="report")),
    ("report", change("schema_version", to="2.0.0")),
    ("report", change("valid", to=True)),  # with a finding that is required
    ("report", drop("findings", 0)),  # not valid, and nothing required is amiss
    ("report", change("findings", 0, "level", to="fatal")),
    ("report", drop("findings", 0, "hint")),
    ("report", change("findings", 0, "file", to="x")),
    ("report", change("checks", to=["schema", "schema"])),
    ("report", change("checks", 0, to="Not a code")),
    ("manifest", change("files", to=[])),
    ("manifest", change("title", to="FILL IN")),
    ("manifest", change("created", to="yesterday")),
    ("manifest", change("events", to=0)),
    ("manifest", change("files", 0, "bytes", to=0)),
    ("manifest", change("files", 0, "events", to=0)),
    ("manifest", change("files", 0, "sha256", to="0" * 63)),
    ("manifest", change("files", 0, "sha256", to="A" * 64)),
    ("manifest", change("files", 0, "sha256", to="0" * 64 + "\n")),
]


@pytest.mark.parametrize(("name", "mutate"), WRONG, ids=[f"{name}-{i}" for i, (name, _) in enumerate(WRONG)])
def test_what_is_wrong_is_refused(load: Load, name: str, mutate: Callable[[Any], None]) -> None:
    document = copy.deepcopy(MAKE[name]())
    mutate(document)
    assert not validator(load(name)).is_valid(document)


@pytest.mark.parametrize("level", ["recommended", "optional"])
def test_a_report_is_valid_unless_something_required_is_amiss(load: Load, level: str) -> None:
    document = report()
    document["findings"][0]["level"] = level
    check = validator(load("report"))
    assert not check.is_valid(document)
    assert check.is_valid(document | {"valid": True})
    assert check.is_valid(document | {"valid": True, "findings": []})


@pytest.mark.parametrize("file", ["release.h5", "a", "release 1.h5", "ünïcode.h5", "a..b", "-", "x" * 255])
def test_a_plain_file_name_is_taken(load: Load, file: str) -> None:
    document = manifest()
    document["files"][0]["file"] = file
    validator(load("manifest")).validate(document)


@pytest.mark.parametrize(
    "file",
    ["", ".", "..", ".hidden", "../x.h5", "/etc/x.h5", "a/b.h5", "a\\b.h5", "C:\\x", "a\n", "\na", "a\0b", "x" * 256],
)
def test_a_file_elsewhere_is_refused(load: Load, file: str) -> None:
    document = manifest()
    document["files"][0]["file"] = file
    assert not validator(load("manifest")).is_valid(document)
