from __future__ import annotations

import copy
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from omnifold_pub import schemas
from omnifold_pub.schemas import MOST_PROBLEMS, SCHEMA_VERSION, Problem, SchemaName, check, load_schema
from omnifold_pub.unfold.result import UnfoldingResult

Schema = dict[str, Any]
NAMES: list[SchemaName] = ["analysis", "release"]
SMALL: list[SchemaName] = ["campaign", "manifest", "measurement", "report"]

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


def release_metadata(result: UnfoldingResult) -> Schema:
    """Return metadata with a stand-in for all that publishing fills in."""
    covariance = {"estimator": "x", "centre": "x", "divisor": "x", "correlation": "estimated"}
    filled = {
        "schema_version": SCHEMA_VERSION,
        "created": "2026-01-31T12:00:00Z",
        "events": len(result.columns["x"][:]),
    }
    metadata = copy.deepcopy(result.metadata) | filled
    for component in metadata["components"]:
        component.setdefault("covariance", covariance)
    return metadata


@pytest.fixture
def metadata(result: UnfoldingResult) -> Schema:
    """Complete metadata of a release."""
    return release_metadata(result)


def nodes(schema: Any) -> Iterator[Schema]:
    pending = [schema]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            yield node
            pending += node.values()
        elif isinstance(node, list):
            pending += node


@pytest.mark.parametrize("name", [*NAMES, *SMALL])
def test_schemas_are_valid_2020_12(name: SchemaName) -> None:
    schema = load_schema(name)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert SCHEMA_VERSION in schema["$id"]
    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("name", [*NAMES, *SMALL])
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
    free = {".unfolding.settings", "$defs.campaign.trainings"}
    assert open_objects == (free if name == "release" else set())


def test_every_value_of_a_release_has_an_example_that_its_schema_takes() -> None:
    schema = load_schema("release")
    leaves = {
        path: node
        for path, node in properties(schema)
        if "$ref" not in node and node.get("type") not in ("object", "array") and "properties" not in node
    }
    assert len(leaves) > 50
    assert [path for path, node in leaves.items() if not node.get("examples")] == []
    for path, node in leaves.items():
        validator = jsonschema.Draft202012Validator({**node, "$defs": schema["$defs"]})
        assert [example for example in node["examples"] if not validator.is_valid(example)] == [], path


def test_every_example_of_a_release_is_valid() -> None:
    schema = load_schema("release")
    for node in nodes({"properties": schema["properties"], "$defs": schema["$defs"]}):
        if isinstance(node.get("examples"), list) and ({"type", "$ref", "enum", "const", "oneOf"} & set(node)):
            validator = jsonschema.Draft202012Validator({**node, "$defs": schema["$defs"]})
            assert [example for example in node["examples"] if not validator.is_valid(example)] == []


def test_words_that_both_schemas_use_mean_the_same() -> None:
    shared = [load_schema(name)["$defs"] for name in NAMES]
    both = set(shared[0]) & set(shared[1])
    assert {
        "four_momenta",
        "fiducial",
        "objects",
        "closure",
        "validity",
        "creators",
        "licence",
        "luminosity",
        "text",
    } <= both
    assert {key for key in both if shared[0][key] != shared[1][key]} == set()


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


def test_the_metadata_of_a_release_pass(metadata: Schema) -> None:
    assert check(metadata, "release") == []


def test_a_document_is_not_changed(zjets_document: Schema) -> None:
    before = copy.deepcopy(zjets_document)
    check(zjets_document, "analysis")
    assert zjets_document == before


def changed(document: Schema, path: list[str | int], value: object) -> Schema:
    """Return a copy with one value replaced, at a path of keys and indices."""
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
        (["schema_version"], "2.0.0", Problem("schema_version", "expected one of 1.0.0, 1.1.0", "'2.0.0'")),
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
        (
            ["publication"],
            {"contact": "x", "licence": "MIT"},
            Problem("publication", "expected the keys creators, validity, closure", "none of that name"),
        ),
        (
            ["campaign", "mc_bootstrap"],
            1,
            Problem("campaign.mc_bootstrap", "expected anything but 1", "1"),
        ),
        (
            ["fiducial", "selection", 0, "minimum"],
            "none",
            Problem("fiducial.selection[0].minimum", "expected number or null", "'none'"),
        ),
        (
            ["objects", 1, "definition"],
            " FILL IN: what it is",
            Problem("objects[1].definition", "expected this blank to be filled in", "' FILL IN: what it is'"),
        ),
        (
            ["observables", 2, "name"],
            "FILL IN",
            Problem("observables[2].name", "expected this blank to be filled in", "'FILL IN'"),
        ),
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
    assert problems[0].expected.startswith("expected the keys schema_version, title, description, data_kind")


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


TRAINED = {"trainings_per_member": 1}
BOOTSTRAP = {"resampled": "data", "includes_event_sampling": False, "seed": 1} | TRAINED


@pytest.mark.parametrize(
    ("component", "problem"),
    [
        ({"kind": "bootstrap", "members": 1, **BOOTSTRAP}, ".members: expected minimum 2; found 1"),
        (
            {"kind": "bootstrap", "members": 5, **TRAINED},
            ": expected the keys resampled, includes_event_sampling, seed; found none of that name",
        ),
        ({"kind": "bootstrap", **BOOTSTRAP}, ": expected the keys members; found none of that name"),
        ({"kind": "ensemble", "members": 1, **TRAINED}, ".members: expected minimum 2; found 1"),
        ({"kind": "ensemble", "members": 2}, ": expected the keys trainings_per_member; found none of that name"),
        ({"kind": "variation", "members": 3, **TRAINED}, ".members: expected maximum 2; found 3"),
        ({"kind": "hessian", **TRAINED}, ": expected the keys members; found none of that name"),
        ({"kind": "scale"}, ": expected the keys relative_uncertainty; found none of that name"),
        (
            {"kind": "scale", "relative_uncertainty": 0.1, "members": 1},
            ": expected no key members; found members: 1",
        ),
        ({"kind": "event_sampling", "seed": 1, "members": 1}, ": expected no key members; found members: 1"),
        ({"kind": "event_sampling", "seed": None}, ".seed: expected integer; found None"),
        (
            {"kind": "variation", "members": 1, "canvas": "other", **TRAINED},
            ".kind: expected 'two_point' (Only a two-point has a canvas); found 'variation'",
        ),
        ({"kind": "two_point", "members": 2, **TRAINED}, ".members: expected 1 (Columns of the family); found 2"),
        (
            {"kind": "two_point"},
            (
                ": expected the keys members, trainings_per_member, or the keys canvas; "
                "found a mapping with the keys 'name', 'description', 'covariance', 'kind'"
            ),
        ),
    ],
)
def test_each_kind_of_component_has_its_conditions(metadata: Schema, component: Schema, problem: str) -> None:
    covariance = metadata["components"][0]["covariance"]
    metadata["components"].append({"name": "extra", "description": "x", "covariance": covariance, **component})
    place = f"components[{len(metadata['components']) - 1}]"
    assert [str(found) for found in check(metadata, "release")] == [place + problem]


def test_an_unknown_kind_is_told_those_there_are(metadata: Schema) -> None:
    problems = check(changed(metadata, ["components", 0, "kind"], "guess"), "release")
    assert [p.expected for p in problems if p.path == "components[0].kind"] == [
        "expected one of bootstrap, ensemble, variation, two_point, hessian, scale, event_sampling"
    ]


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        (
            ["weights", "central_value"],
            {"rule": "single", "family": "ensemble"},
            "weights.central_value: expected no key family; found family: 'ensemble'",
        ),
        (
            ["weights", "central_value"],
            {"rule": "mean"},
            "weights.central_value: expected the keys family; found none of that name",
        ),
        (
            ["weights", "central_value", "rule"],
            "mode",
            "weights.central_value.rule: expected one of mean, median, single; found 'mode'",
        ),
        (
            ["observables", 2, "missing"],
            {"rule": "nan", "meaning": "x"},
            "observables[2].missing.rule: expected 'never' (Integers have no NaN); found 'nan'",
        ),
        (
            ["observables", 0, "missing"],
            {"rule": "nan"},
            "observables[0].missing: expected the keys meaning; found none of that name",
        ),
        (["closure", "results"], [], "closure.results: expected minItems 1; found []"),
        (["closure", "performed"], False, "closure.results: expected maxItems 0; found a list of 1"),
        (
            ["inputs", 0, "sha256"],
            "abc",
            "inputs[0].sha256: expected text that matches ^[0-9a-f]{64}$(?!\\n); found 'abc'",
        ),
        (["inputs", 0, "sha256"], 5, "inputs[0].sha256: expected string, or null; found 5"),
    ],
)
def test_a_condition_that_is_not_met_reads_well(
    metadata: Schema, path: list[str | int], value: object, problem: str
) -> None:
    assert [str(found) for found in check(changed(metadata, path, value), "release")] == [problem]


def test_at_most_a_hundred_problems_are_collected(metadata: Schema) -> None:
    bad = {"name": 1}
    assert len(check(metadata | {"observables": [bad] * 5000}, "release")) <= MOST_PROBLEMS
    assert len(check(metadata | {"title": [float("nan")] * 5000}, "release")) == MOST_PROBLEMS


def test_a_list_that_is_too_long_is_not_walked(metadata: Schema) -> None:
    start = time.monotonic()
    problems = check(metadata | {"components": [metadata["components"][0]] * 40_000}, "release")
    assert [str(problem) for problem in problems] == ["components: expected maxItems 10000; found a list of 40000"]
    assert time.monotonic() - start < 5  # looking at all of them takes longer


def nested(levels: int) -> object:
    document: object = 1
    for _ in range(levels):
        document = [document]
    return document


def repeated(levels: int) -> object:
    document: object = "x"
    for _ in range(levels):
        document = [document] * 10
    return document


def containing_itself() -> object:
    document: list[object] = []
    document.append({"a": document})
    return document


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (nested(900), "expected at most 100 levels of lists and mappings; found more"),
        (containing_itself(), "expected at most 100 levels of lists and mappings; found more"),
        (repeated(40), "expected at most 5000000 values; found more"),
        (1 << 20_000, "expected numbers that a float64 can hold; found a larger one"),
        ({1 << 20_000: 1}, "expected numbers that a float64 can hold; found a larger one"),
    ],
    ids=["nested", "containing itself", "repeated", "number", "key"],
)
@pytest.mark.parametrize("path", [["title"], ["unfolding", "settings", "x"]])
def test_what_could_not_be_written_out_is_refused_at_once(
    metadata: Schema, path: list[str | int], value: object, problem: str
) -> None:
    metadata["unfolding"]["settings"]["x"] = 1
    assert [str(found) for found in check(changed(metadata, path, value), "release")] == [f"the document: {problem}"]


def test_a_long_document_without_aliases_is_fine(monkeypatch: pytest.MonkeyPatch, metadata: Schema) -> None:
    monkeypatch.setattr(schemas, "MOST_VALUES", 1000)
    metadata["unfolding"]["settings"]["x"] = [[float(j) for j in range(100)] for _ in range(100)]
    assert check(metadata, "release") == []
    metadata["unfolding"]["settings"]["x"] = repeated(4)
    assert [problem.expected for problem in check(metadata, "release")] == ["expected at most 1000 values"]


@pytest.mark.parametrize("document", [float("nan"), b"x"])
def test_a_document_of_one_value_that_json_cannot_hold_is_a_problem(document: object) -> None:
    assert [problem.path for problem in check(document, "release")] == [""]


def test_ordinary_repetition_by_aliases_is_fine(metadata: Schema) -> None:
    metadata["unfolding"]["settings"] = {"a": repeated(4), "b": nested(60)}
    assert check(metadata, "release") == []


def test_a_problem_is_one_short_line_whatever_the_keys(metadata: Schema) -> None:
    key = "a\nb" + "c" * 100_000
    problems = check(metadata | {"software": {key: 5}, key: 1} | {str(i): i for i in range(1000)}, "release")
    assert [problem.path[:13] for problem in problems] == ["", "software.a bc"]
    assert "and 991 more" in problems[0].found
    assert all(len(line) < 1000 for line in map(str, problems))
    assert all("\n" not in str(problem) for problem in problems)


@pytest.mark.parametrize("text", ["\x1b]0;owned\x07", "bell\x07", "a\x00b", "\x9b2J", "\x7f", "a\rb"])
def test_control_characters_are_refused(zjets_document: Schema, text: str) -> None:
    document = changed(zjets_document, ["title"], text)
    (problem,) = check(document, "analysis")
    assert (problem.path, problem.expected) == ("title", "expected text without control characters")
    assert "\x1b" not in str(problem)
    assert check(changed(zjets_document, ["title"], "two\nlines\tand \u03bc\u03bc"), "analysis") == []
