"""The template of the metadata against its schema, and the check of what publishers write."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from omnifold_pub import metadata, metadata_template
from omnifold_pub.errors import InputError, PublishError
from omnifold_pub.metadata import find_problems, read_metadata
from omnifold_pub.metadata_template import template, write_template
from omnifold_pub.yaml_documents import read_document

Document = dict[str, Any]

FILLED_IN = {"schema_version", "created", "events", "shard", "components[].covariance", "components[].precision"}
NEEDED_BY_KIND = [
    ("bootstrap", {"members", "trainings_per_member", "resampled", "includes_event_sampling", "seed"}),
    ("ensemble", {"members", "trainings_per_member"}),
    ("variation", {"members", "trainings_per_member"}),
    ("two_point", {"members", "trainings_per_member"}),
    ("two_point", {"canvas"}),
    ("hessian", {"members", "trainings_per_member"}),
    ("scale", {"relative_uncertainty"}),
    ("event_sampling", {"seed"}),
]


@pytest.fixture(scope="module")
def schema(project: Path) -> Document:
    document: Document = json.loads((project / "schemas/1.1.0/release.schema.json").read_text())
    return document


@pytest.fixture(scope="module")
def fresh() -> Document:
    document: Document = yaml.safe_load(template())
    return document


@pytest.fixture(scope="module")
def whole() -> Document:
    """The template with all that is commented out in use."""
    text, before = template(), ""
    while text != before:  # optional keys of optional keys
        text, before = re.sub(r"^( *)#(?=[^ ]|  )", r"\1", text, flags=re.MULTILINE), text
    document: Document = yaml.safe_load(text)
    return document


def resolved(schema: Document, node: Document) -> Document:
    if "$ref" in node:
        target: Document = schema["$defs"][node["$ref"].split("/")[-1]]
        return target | {key: value for key, value in node.items() if key != "$ref"}
    return node


def declared(schema: Document, node: Document, path: str = "") -> Iterator[tuple[str, Document, bool]]:
    """Yield path, schema and whether it is required, of every key that a schema declares."""
    node = resolved(schema, node)
    if "items" in node:
        yield from declared(schema, node["items"], f"{path}[]")
    for key, value in node.get("properties", {}).items():
        place = f"{path}.{key}" if path else key
        yield place, resolved(schema, value), key in node.get("required", ())
        yield from declared(schema, value, place)


def filled_in(path: str) -> bool:
    return any(path == place or path.startswith(f"{place}.") for place in FILLED_IN)


def leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from leaves(value, f"{path}.{key}" if path else key)
    elif isinstance(node, list):
        for i, value in enumerate(node):
            yield from leaves(value, f"{path}[{i}]")
    else:
        yield path, node


def keys_of(node: Any, path: str = "") -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield f"{path}.{key}" if path else key
            yield from keys_of(value, f"{path}.{key}" if path else key)
    elif isinstance(node, list):
        for value in node:
            yield from keys_of(value, f"{path}[]")


def example(schema: Document, node: Document) -> Any:
    """Return a schema's example, or make one of the examples of its parts."""
    node = resolved(schema, node)
    if "examples" in node:
        return node["examples"][0]
    if "items" in node:
        return [example(schema, node["items"])]
    return {key: example(schema, node["properties"][key]) for key in node["required"]}


def filled(schema: Document, node: Document, value: Any) -> Any:
    """Put the schema's examples in the place of the blanks."""
    node = resolved(schema, node)
    if isinstance(value, dict) and value.get("kind") in {"variation", "two_point"} and "members" in value:
        value = value | {"members": 1}  # the example is a bootstrap's
    if isinstance(value, dict):
        keys = node.get("properties", {})
        free = node.get("additionalProperties") or {"examples": ["some value"]}
        return {key: filled(schema, keys.get(key, free), inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [filled(schema, node["items"], inner) for inner in value]
    return example(schema, node) if value in {None, "FILL IN"} else value


@pytest.fixture(scope="module")
def complete(schema: Document, fresh: Document, whole: Document) -> Document:
    document: Document = filled(schema, schema, fresh | {"components": whole["components"]})
    return document


def test_a_fresh_template_has_one_problem_per_blank_in_reading_order_and_no_other(fresh: Document) -> None:
    problems = find_problems(fresh)
    assert [problem.path for problem in problems] == [path for path, _ in leaves(fresh)]
    assert {problem.found for problem in problems} == {"a blank"}
    marks = [line for line in template().splitlines() if re.fullmatch(r" *[a-z][a-z0-9_]*:(  #)? FILL IN", line)]
    assert len(problems) == len(marks) > 50


def test_nothing_is_decided_for_the_publisher(fresh: Document, whole: Document) -> None:
    assert {value for _, value in leaves(fresh)} == {"FILL IN", None}
    decided = {path for path, value in leaves(whole) if value != "FILL IN"}
    assert decided == {f"components[{i}].kind" for i in range(len(NEEDED_BY_KIND))}


def test_filled_with_the_schema_s_examples_it_passes(complete: Document) -> None:
    assert find_problems(complete) == []


def test_with_all_that_is_optional_it_has_blanks_only_and_passes_when_filled(schema: Document, whole: Document) -> None:
    problems = find_problems(whole)
    assert {problem.found for problem in problems} == {"a blank"}
    assert [problem.path for problem in problems] == [path for path, value in leaves(whole) if value == "FILL IN"]
    assert find_problems(filled(schema, schema, whole)) == []


def test_every_key_of_the_schema_is_in_the_template(schema: Document, whole: Document) -> None:
    expected = {path for path, _, _ in declared(schema, schema)}
    free = {"software.torch", "unfolding.settings.iterations", "unfolding.campaign.trainings.count"}
    assert set(keys_of(whole)) - free == {path for path in expected if not filled_in(path)}


def test_every_required_key_is_there_and_needs_no_uncommenting(schema: Document, fresh: Document) -> None:
    there = set(keys_of(fresh))
    for path, _, required in declared(schema, schema):
        parent = path.rpartition(".")[0]
        unwritten = {"components[]", "closure.results[]", "closure.tests[]"}  # lists that stand empty
        if required and (not parent or parent.removesuffix("[]") in there) and parent not in unwritten:
            assert path in there or path in FILLED_IN, path


def test_the_comments_say_what_each_key_means(schema: Document) -> None:
    prose = " ".join(re.sub(r"^[ #-]*# ?", "", line) for line in template().splitlines())
    for path, node, _ in declared(schema, schema):
        if filled_in(path):
            continue
        assert node["description"] in prose, path
        for choice in node.get("enum", ()):
            assert choice in prose, path
        if node.get("type") in ("string", "number", "integer") and "const" not in node:
            assert f"such as {json.dumps(node['examples'][0])}" in prose, path


@pytest.mark.parametrize("key", ["schema_version", "created", "events", "covariance"])
def test_what_publishing_fills_in_is_left_out_and_named(key: str) -> None:
    comments = [line for line in template().splitlines() if line.lstrip().startswith("#")]
    assert any(key in line for line in comments)
    own = template().split("#canvases:")[0]  # a canvas has events of its own
    assert not re.search(rf"^[ #]*{key}: +(# )?FILL IN", own, re.MULTILINE)


def test_there_is_an_example_of_each_kind_of_component_with_the_keys_it_needs(
    schema: Document, complete: Document
) -> None:
    components = complete["components"]
    own = [(entry["kind"], set(entry) - {"name", "kind", "description", "precision"}) for entry in components]
    assert own == NEEDED_BY_KIND
    assert {kind for kind, _ in own} == set(schema["properties"]["components"]["items"]["properties"]["kind"]["enum"])


@pytest.mark.parametrize(
    ("kind", "form"),
    [
        ("bootstrap", "Integer, at least 2, at most 100000, such as 25."),
        ("variation", "Integer, at least 1, at most 2."),
        ("two_point", "The one value 1."),
        ("hessian", "Integer, at least 1, at most 100000, such as 25."),
    ],
)
def test_each_kind_says_how_many_members_it_takes(kind: str, form: str) -> None:
    after = template().split(f"kind: {kind}\n", 1)[1].split("members: FILL IN")[0]
    assert after.splitlines()[-2] == f"#    # Columns of the family. {form}"


@pytest.mark.parametrize(
    ("key", "when"),
    [
        ("family", "Only where rule is mean or median: take it away otherwise."),
        ("meaning", "Only where rule is nan: take it away otherwise."),
        ("description", "Only where applied is true: take it away otherwise."),
    ],
)
def test_a_key_that_depends_on_a_choice_says_on_which(key: str, when: str) -> None:
    text = re.sub(r"\n *# ", " ", template())
    assert re.search(rf"{re.escape(when)}\n *{key}: FILL IN", text)


@pytest.mark.parametrize("index", range(len(NEEDED_BY_KIND)))
def test_each_key_of_an_example_component_is_needed(complete: Document, index: int) -> None:
    for key in set(complete["components"][index]) - {"precision"}:
        document = copy.deepcopy(complete)
        del document["components"][index][key]
        assert find_problems(document), key


def test_the_template_follows_the_schema(schema: Document, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = copy.deepcopy(schema)
    changed["properties"]["beam"] = {"enum": ["round", "flat"], "description": "Shape of the beam."}
    changed["required"].append("beam")
    for module in (metadata, metadata_template):
        monkeypatch.setattr(module, "load_schema", lambda _: changed)
    assert "\n# Shape of the beam. One of round, flat.\nbeam: FILL IN\n" in template()


def test_a_list_that_may_be_empty_says_so() -> None:
    text = re.sub(r"\n *# ", " ", template())
    for key in ("notes", "results", "tests"):
        assert re.search(rf"List; \[\] if there is none\.\n *{key}:  # FILL IN", text)
    left_out = r"Left out of each, [^\n]*: covariance, precision"
    assert re.search(rf"List, one or more\. {left_out}\.\ncomponents:  # FILL IN", text)


def test_what_a_key_of_a_component_means_is_said_once() -> None:
    prose = [line for line in template().splitlines() if "What varies, and by how much." in line]
    assert len(prose) == 1


def test_lines_fit_a_screen() -> None:
    assert max(map(len, template().splitlines())) <= 120
    assert "\t" not in template()


def change(*steps: str | int, to: object) -> Callable[[Document], None]:
    def apply(document: Any) -> None:
        for step in steps[:-1]:
            document = document[step]
        document[steps[-1]] = to

    return apply


@pytest.mark.parametrize(
    ("mutate", "expected"),
    [
        (change("title", to=None), ["title: expected text (Title of the measurement); found a blank"]),
        (change("title", to="  FILL IN please"), ["title: expected text (Title of the measurement); found a blank"]),
        (
            change("unfolding", "settings", to={"layers": [64, "FILL IN"]}),
            ["unfolding.settings.layers[1]: expected a value; found a blank"],
        ),
        (change("inputs", 0, "sha256", to="FILL IN"), ["inputs[0].sha256: expected text or null (Of the file; null"]),
        (change("luminosity", "value", to="FILL IN"), ["luminosity.value: expected number, above 0 (Integrated lum"]),
        (change("weights", "sum", to="FILL IN"), ['weights.sum: expected the one value "fiducial cross section" (W']),
        (change("software", "numpy", to="FILL IN"), ["software.numpy: expected text"]),
        (change("luminosity", "unit", to="nb-1"), ["luminosity.unit: expected one of fb-1, pb-1; found 'nb-1'"]),
        (change("events", to=0), ["events: expected minimum 1; found 0"]),
        (change("components", 0, "covariance", to={}), ["components[0].covariance: expected the keys estimator"]),
        (change("observables", 0, to="pT_ll"), ["observables[0]: expected object; found 'pT_ll'"]),
        (change("components", to="luminosity"), ["components: expected array; found 'luminosity'"]),
        (change("tittle", to="x"), ["the document: expected only the keys"]),
        (change("inputs", 0, "rows", to=None), []),
        (change("inputs", 0, "sha256", to=None), []),
        (change("observables", 0, "valid_range", "minimum", to=None), []),
    ],
)
def test_each_problem_is_told_once(complete: Document, mutate: Callable[[Document], None], expected: list[str]) -> None:
    document = copy.deepcopy(complete)
    mutate(document)
    problems = [str(problem) for problem in find_problems(document)]
    assert len(problems) == len(expected)
    assert all(problem.startswith(start) for problem, start in zip(problems, expected, strict=True))


def test_blanks_come_before_what_is_wrong(complete: Document) -> None:
    document = copy.deepcopy(complete)
    document["contact"] = "FILL IN"
    document["closure"]["performed"] = "yes"
    document["data_kind"] = None
    assert [problem.path for problem in find_problems(document)][:3] == ["data_kind", "contact", "closure.performed"]


def test_every_blank_is_told_however_many_there_are(fresh: Document) -> None:
    document = fresh | {"observables": [copy.deepcopy(fresh["observables"][0]) for _ in range(50)]}
    assert [problem.path for problem in find_problems(document)] == [path for path, _ in leaves(document)]
    assert len(find_problems(document)) > 400


@pytest.mark.parametrize("document", [None, "FILL IN", 3, [], "text"])
def test_something_else_than_a_mapping_is_one_problem(document: object) -> None:
    assert [problem.path for problem in find_problems(document)] == [""]


def test_a_document_that_contains_itself_is_no_endless_loop(complete: Document) -> None:
    document = copy.deepcopy(complete)
    document["unfolding"]["settings"]["again"] = document
    assert find_problems(document) is not None


def test_the_document_is_not_changed(complete: Document) -> None:
    before = copy.deepcopy(complete)
    find_problems(complete)
    assert complete == before


@pytest.mark.parametrize("name", ["metadata.yaml", "metadata.yml", "metadata.json", "METADATA.JSON"])
def test_metadata_are_read_as_yaml_or_json(tmp_path: Path, complete: Document, name: str) -> None:
    path = tmp_path / name
    path.write_text(json.dumps(complete) if "j" in name.lower() else yaml.safe_dump(complete, sort_keys=False))
    assert read_metadata(path) == complete
    assert read_metadata(str(path)) == complete


def test_all_problems_are_in_the_error(tmp_path: Path) -> None:
    path = write_template(tmp_path / "metadata.yaml")
    with pytest.raises(InputError) as caught:
        read_metadata(path)
    lines = str(caught.value).splitlines()
    assert lines[0] == f"{path}: not the metadata of a release of schema 1.1.0:"
    assert lines[1:] == [f"  {problem}" for problem in find_problems(yaml.safe_load(template()))]


def test_a_number_with_an_exponent_is_a_number(tmp_path: Path, complete: Document) -> None:
    path = tmp_path / "metadata.yaml"
    text = yaml.safe_dump(complete, sort_keys=False)
    assert "tolerance: 1.0e-05" in text
    for number, value in (("1e-5", 1e-5), ("2E3", 2000.0), ("3.e+1", 30.0)):
        path.write_text(text.replace("tolerance: 1.0e-05", f"tolerance: {number}"))
        assert read_metadata(path)["fiducial"]["selection"][0]["tolerance"] == value


@pytest.mark.parametrize("word", ["e5", "1e", "1e-5 GeV", "v1e5", "1.0.0", "0000-0002-1825-0097"])
def test_words_that_look_like_numbers_are_words(tmp_path: Path, word: str) -> None:
    path = tmp_path / "words.yaml"
    path.write_text(f"word: {word}\n")
    assert read_document(path, purpose="Reading") == {"word": word}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.yaml", "title: x\ntitle: y\n", r"a\.yaml: not YAML: the key 'title' occurs twice"),
        ("a.yaml", "a:\n  b: 1\n  b: 2\n", r"a\.yaml: not YAML: the key 'b' occurs twice"),
        ("a.json", '{"a": [{"title": 1, "b": 2, "title": 3}]}', r"a\.json: not JSON: the key 'title' occurs twice"),
        ("a.yaml", "a: [1, 2", r"a\.yaml: not YAML: while parsing"),
        ("a.json", "{'a': 1}", r"a\.json: not JSON: Expecting property name"),
        ("a.json", "", r"a\.json: not JSON: Expecting value"),
        ("a.yaml", "a: !!python/object/apply:os.getcwd []", r"a\.yaml: not YAML: could not determine a constructor"),
        ("a.yaml", b"\xff\xfe\xfd", r"a\.yaml: not YAML: 'utf-8' codec"),
        ("a.yaml", "[" * 3000, r"a\.yaml: not YAML: "),
        ("a.json", "[" * 100_000, r"a\.json: not JSON: "),
    ],
)
def test_what_is_no_document_is_refused(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=message):
        read_metadata(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.yaml: cannot be read: No such file"):
        read_metadata(tmp_path / "none.yaml")
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        read_metadata(tmp_path)


def test_mappings_may_be_merged(tmp_path: Path) -> None:
    path = tmp_path / "merged.yaml"
    path.write_text("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\n")
    assert read_document(path, purpose="Reading")["b"] == {"x": 1, "y": 3}


def test_the_template_is_written_whole(tmp_path: Path) -> None:
    path = write_template(tmp_path / "metadata.yaml")
    assert path.read_text(encoding="utf-8") == template()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("make", [lambda p: p.write_text("mine"), lambda p: p.symlink_to("nowhere"), Path.mkdir])
def test_nothing_is_overwritten(tmp_path: Path, make: Callable[[Path], object]) -> None:
    path = tmp_path / "metadata.yaml"
    make(path)
    before = path.lstat()
    with pytest.raises(PublishError, match=r"metadata\.yaml: exists already"):
        write_template(path)
    assert path.lstat() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(PublishError, match="not written: No such file or directory"):
        write_template(tmp_path / "nowhere" / "metadata.yaml")


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, text: str, encoding: str) -> int:
        path.write_bytes(text.encode(encoding)[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(PublishError, match="not written: No space left on device"):
        write_template(tmp_path / "metadata.yaml")
    assert list(tmp_path.iterdir()) == []
