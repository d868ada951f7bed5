from __future__ import annotations

import copy
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import jsonschema
import pytest

from omnifold_pub.errors import OmnifoldPubError
from omnifold_pub.publish import publish
from omnifold_pub.release import open_release
from omnifold_pub.schemas import SCHEMA_VERSION, Problem, check, load_schema
from omnifold_pub.unfold.result import UnfoldingResult

Schema = dict[str, Any]
SchemaName = Literal["analysis", "release"]
NAMES: list[SchemaName] = ["analysis", "release"]

NAME_PATTERN = load_schema("analysis")["$defs"]["name"]["pattern"]


def properties(schema: Any, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Walk every property that a schema declares; conditions on declared ones are none."""
    for key, value in schema.get("properties", {}).items():
        yield f"{path}.{key}", value
        yield from properties(value, f"{path}.{key}")
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from properties(schema[key], f"{path}[]")
    for key, value in schema.get("$defs", {}).items():
        yield from properties(value, f"{path}$defs.{key}")


def nodes(schema: Any) -> Iterator[Schema]:
    pending = [schema]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            yield node
            pending += node.values()
        elif isinstance(node, list):
            pending += node


@pytest.mark.parametrize("name", NAMES)
def test_schemas_are_valid_2020_12(name: SchemaName) -> None:
    schema = load_schema(name)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert SCHEMA_VERSION in schema["$id"]
    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("name", NAMES)
def test_the_schemas_are_those_of_the_checkout(name: SchemaName, project: Path) -> None:
    path = project / "schemas" / SCHEMA_VERSION / f"{name}.schema.json"
    assert load_schema(name) == json.loads(path.read_text())


@pytest.mark.parametrize("name", NAMES)
def test_every_property_is_described_or_referenced(name: SchemaName) -> None:
    bare = [path for path, schema in properties(load_schema(name)) if not {"description", "$ref"} & set(schema)]
    assert bare == []


@pytest.mark.parametrize("name", NAMES)
def test_every_object_says_which_keys_it_takes(name: SchemaName) -> None:
    open_objects = {
        path
        for path, schema in properties(load_schema(name))
        if schema.get("type") == "object" and "additionalProperties" not in schema
    }
    allowed = {"release": {".omnifold", ".campaign", ".trainings"}, "analysis": set()}
    assert open_objects == allowed[name]


@pytest.mark.parametrize("name", NAMES)
def test_required_keys_are_declared(name: SchemaName) -> None:
    for node in nodes(load_schema(name)):
        if node.get("type") == "object" and isinstance(node.get("required"), list):
            assert set(node["required"]) <= set(node["properties"])


@pytest.mark.parametrize("name", NAMES)
def test_references_stay_in_the_document(name: SchemaName) -> None:
    schema = load_schema(name)
    references = {node["$ref"] for node in nodes(schema) if isinstance(node.get("$ref"), str)}
    assert references == {f"#/$defs/{key}" for key in schema["$defs"]}


def test_checking_needs_no_network(zjets_document: Schema, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        msg = "a connection was tried"
        raise AssertionError(msg)

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    document = zjets_document | {"$schema": "https://example.org/another", "$ref": "https://example.org/a.json"}
    assert [problem.path for problem in check(document, "analysis")] == [""]


def test_the_demo_s_analysis_passes(zjets_document: Schema) -> None:
    assert check(zjets_document, "analysis") == []


def test_the_metadata_of_a_release_pass(result: UnfoldingResult, tmp_path: Path) -> None:
    with open_release(publish(result, tmp_path / "release.h5")) as release:
        assert check(release.metadata, "release") == []


def test_a_document_is_not_changed(zjets_document: Schema) -> None:
    before = copy.deepcopy(zjets_document)
    check(zjets_document, "analysis")
    assert zjets_document == before


def changed(document: Schema, path: list[str | int], value: object) -> Schema:
    document = copy.deepcopy(document)
    node: Any = document
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = value
    return document


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        (["observables", 3, "unit"], 5, Problem("observables[3].unit", "expected string", "5")),
        (["weight_unit"], "nb", Problem("weight_unit", "expected one of pb, fb", "'nb'")),
        (["schema_version"], "2.0.0", Problem("schema_version", "expected '1.0.0'", "'2.0.0'")),
        (["luminosity", "value"], 0, Problem("luminosity.value", "expected exclusiveMinimum 0", "0")),
        (
            ["inputs", "variations", 1, "tree"],
            "",
            Problem("inputs.variations[1].tree", "expected minLength 1", "''"),
        ),
        (
            ["observables", 23, "name"],
            "1st",
            Problem("observables[23].name", f"expected text that matches {NAME_PATTERN}", "'1st'"),
        ),
        (
            ["collision", "energy"],
            13,
            Problem("collision", "expected only the keys energy_tev, system", "unknown 'energy'"),
        ),
        (["publication"], {"contact": "x"}, Problem("publication", "expected the keys licence", "none of that name")),
    ],
)
def test_a_problem_says_where_what_was_expected_and_found(
    zjets_document: Schema, path: list[str | int], value: object, problem: Problem
) -> None:
    assert check(changed(zjets_document, path, value), "analysis") == [problem]


def test_a_problem_is_one_line() -> None:
    assert str(Problem("a[0].b", "expected string", "5")) == "a[0].b: expected string; found 5"
    assert str(Problem("", "expected object", "None")) == "the document: expected object; found None"


def test_several_missing_keys_are_one_problem() -> None:
    problems = check({}, "analysis")
    assert len(problems) == 1
    assert problems[0].expected.startswith("expected the keys schema_version, title, data_kind")


def test_several_unknown_keys_are_one_problem(zjets_document: Schema) -> None:
    problems = check(zjets_document | {"b": 1, "a": 2}, "analysis")
    assert [problem.found for problem in problems] == ["unknown 'a', 'b'"]


def test_problems_of_a_list_come_in_its_order(zjets_document: Schema) -> None:
    document = copy.deepcopy(zjets_document)
    for index in (10, 2, 1, 23):
        document["observables"][index]["unit"] = None
    assert [problem.path for problem in check(document, "analysis")] == [
        f"observables[{index}].unit" for index in (1, 2, 10, 23)
    ]


def test_what_is_found_is_cut_to_a_readable_length(zjets_document: Schema) -> None:
    problems = check(changed(zjets_document, ["luminosity"], "x" * 100_000), "analysis")
    assert len(str(problems[0])) < 200


@pytest.mark.parametrize("document", [None, 3, "text", [], True])
@pytest.mark.parametrize("name", NAMES)
def test_something_else_than_a_mapping_is_a_problem(name: SchemaName, document: object) -> None:
    assert [str(p) for p in check(document, name)] == [f"the document: expected object; found {document!r}"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, b"bytes", object()])
def test_what_json_cannot_hold_is_a_problem(zjets_document: Schema, value: object) -> None:
    problems = check(changed(zjets_document, ["title"], value), "analysis")
    assert len(problems) == 1
    assert problems[0].expected in {"expected a finite number", "expected text, a number, a list or a mapping"}


def test_keys_of_several_types_are_a_problem(zjets_document: Schema) -> None:
    assert len(check(zjets_document | {1: "x", "unknown": "y"}, "analysis")) == 1


def test_a_name_ends_where_its_line_does(zjets_document: Schema) -> None:
    assert check(changed(zjets_document, ["observables", 0, "name"], "pT_ll\n"), "analysis") != []


@pytest.mark.parametrize(
    ("component", "expected"),
    [
        ({"kind": "bootstrap", "members": 1, "resampled": "data", "includes_event_sampling": False}, "minimum 2"),
        ({"kind": "bootstrap", "members": 5}, "keys resampled, includes_event_sampling"),
        ({"kind": "bootstrap"}, "members"),
        ({"kind": "ensemble", "members": 1}, "minimum 2"),
        ({"kind": "variation", "members": 3}, "maximum 2"),
        ({"kind": "two_point", "members": 2}, "expected 1"),
        ({"kind": "hessian"}, "keys members"),
        ({"kind": "scale"}, "keys relative_uncertainty"),
        ({"kind": "scale", "relative_uncertainty": 0.1, "members": 1}, "expected not"),
        ({"kind": "event_sampling", "members": 1}, "expected not"),
        ({"kind": "guess", "members": 1}, "one of bootstrap, ensemble"),
    ],
)
def test_each_kind_of_component_has_its_conditions(
    result: UnfoldingResult, tmp_path: Path, component: Schema, expected: str
) -> None:
    with open_release(publish(result, tmp_path / "release.h5")) as release:
        metadata = release.metadata
    metadata["components"].append({"name": "extra", "description": "x", **component})
    problems = [str(problem) for problem in check(metadata, "release")]
    place = f"components[{len(metadata['components']) - 1}]"
    assert any(problem.startswith(place) and expected in problem for problem in problems)


@pytest.mark.parametrize("rule", [{"rule": "single", "family": "ensemble"}, {"rule": "mean"}, {"rule": "mode"}])
def test_a_central_value_names_its_ensemble_unless_single(
    result: UnfoldingResult, tmp_path: Path, rule: Schema
) -> None:
    result.metadata["weights"]["central_value"] = rule
    with pytest.raises(OmnifoldPubError, match="central_value"):
        publish(result, tmp_path / "release.h5")
