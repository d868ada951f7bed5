"""Schemas of earlier versions: kept as they were, and what the present one adds is optional."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry

from omnifold_pub.schemas import SCHEMA_VERSION, check

Schema = dict[str, Any]

FIRST = "1.0.0"
DIGESTS_OF_THE_FIRST = {
    "analysis": "eccc114037ad2af419411480ef6014055de75c150a2dad1866a536583f7c11bd",
    "campaign": "b221b5eb6098a97619981cbf69fb05ee1d89d26381f919f4e7352d3cd8b99442",
    "manifest": "8c272938a926ab40956f97cc21d3a693f6a20dfea3ce542981035c7aa8df0177",
    "measurement": "729f79ec7bddfc8177bdba4923e251c253226cf656764bf1dcb5faeb61fb0f39",
    "release": "7bc095eea9209caf59c3fec0c03c41716267593590824ff174132d9bc69fd220",
    "report": "4e65e54aa393932fad433a8672d952cde013277be001ca6f6ca998c839a76112",
}
MOMENTUM = {"name": "l1", "description": "A muon", "pt": "pT", "eta": "eta", "phi": "phi", "mass": 0.1}
RANGE = {"expression": "x", "minimum": 0, "maximum": None}


def schema(project: Path, version: str, name: str) -> Schema:
    document: Schema = json.loads((project / f"schemas/{version}/{name}.schema.json").read_text())
    return document


def validator(document: Schema) -> Draft202012Validator:
    return Draft202012Validator(document, registry=Registry())


@pytest.mark.parametrize("name", DIGESTS_OF_THE_FIRST)
def test_the_first_version_is_never_changed(project: Path, name: str) -> None:
    stored = (project / f"schemas/{FIRST}/{name}.schema.json").read_bytes()
    assert hashlib.sha256(stored).hexdigest() == DIGESTS_OF_THE_FIRST[name]


def test_every_version_has_the_same_schemas(project: Path) -> None:
    first, present = (
        {path.name for path in (project / "schemas" / version).iterdir()} for version in (FIRST, SCHEMA_VERSION)
    )
    assert first == present == {f"{name}.schema.json" for name in DIGESTS_OF_THE_FIRST}


def differences(old: Any, new: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield what changed from one schema to another, as (kind, path)."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in old.keys() | new.keys():
            place = f"{path}/{key}"
            if key not in new:
                yield "removed", place
            elif key not in old:
                yield "added", place
            else:
                yield from differences(old[key], new[key], place)
    elif old != new:
        yield "changed", path


@pytest.mark.parametrize("name", ["campaign", "manifest", "report"])
def test_small_documents_are_what_they_were(project: Path, name: str) -> None:
    found = set(differences(schema(project, FIRST, name), schema(project, SCHEMA_VERSION, name)))
    assert found <= {("changed", "/$id"), ("changed", "/properties/schema_version/examples")}


def test_what_is_new_in_a_release_is_declared_and_required_nowhere(project: Path) -> None:
    found = set(differences(schema(project, FIRST, "release"), schema(project, SCHEMA_VERSION, "release")))
    validity = "/$defs/validity/properties"
    assert found == {
        ("changed", "/$id"),
        ("changed", "/properties/schema_version/examples"),
        ("added", "/allOf"),
        ("added", "/properties/four_momenta"),
        ("added", "/$defs/four_momenta"),
        ("added", "/properties/unfolding/properties/diagnostics"),
        ("added", "/$defs/fits"),
        ("added", "/$defs/fiducial/properties/definition"),
        ("added", f"{validity}/ranges"),
        ("added", f"{validity}/minimum_effective_data_events_per_bin"),
    }  # "required" is in none of them


def test_an_analysis_of_the_first_version_passes_both(project: Path, zjets_document: Schema) -> None:
    document = copy.deepcopy(zjets_document) | {"schema_version": FIRST}
    for key in ("four_momenta",):
        del document[key]
    document["fiducial"].pop("definition", None)
    for key in ("ranges", "minimum_effective_data_events_per_bin"):
        del document["publication"]["validity"][key]
    for version in (FIRST, SCHEMA_VERSION):
        validator(schema(project, version, "analysis")).validate(document)
    document["omnifold"]["folds"] = 5
    assert not validator(schema(project, FIRST, "analysis")).is_valid(document)


def test_a_measurement_keeps_every_key_it_had(project: Path) -> None:
    found = differences(schema(project, FIRST, "measurement"), schema(project, SCHEMA_VERSION, "measurement"))
    assert [path for kind, path in found if kind == "removed" and "/properties/" in path] == []


@pytest.fixture
def old(project: Path) -> Schema:
    """The metadata of the frozen release of the first version."""
    from omnifold_pub import open_release

    with open_release(project / f"tests/archive/v{FIRST}/release.h5") as release:
        return copy.deepcopy(release.metadata)


def test_metadata_of_the_first_version_pass_both(project: Path, old: Schema) -> None:
    assert old["schema_version"] == FIRST
    assert check(old, "release") == []
    validator(schema(project, FIRST, "release")).validate(old)


@pytest.mark.parametrize("version", ["1.1.0", "1.1.7"])
def test_what_is_new_passes_the_present_one_only(project: Path, old: Schema, version: str) -> None:
    added = {"ranges": [RANGE | {"note": "why"}], "minimum_effective_data_events_per_bin": 100}
    new = old | {"schema_version": version, "four_momenta": [MOMENTUM], "validity": old["validity"] | added}
    assert check(new, "release") == []
    assert not validator(schema(project, FIRST, "release")).is_valid(new)


@pytest.mark.parametrize("version", ["1.0.0", "1.0.12"])
def test_a_release_holds_nothing_newer_than_its_version(old: Schema, version: str) -> None:
    added = {"ranges": [RANGE], "minimum_effective_data_events_per_bin": 100}
    new = old | {"schema_version": version, "four_momenta": [], "validity": old["validity"] | added}
    assert [str(problem) for problem in check(new, "release")] == [
        "the document: expected no key four_momenta (New in version 1.1.0); found four_momenta: []",
        (
            "validity: expected no key minimum_effective_data_events_per_bin (New in version 1.1.0); "
            "found minimum_effective_data_events_per_bin: 100"
        ),
        "validity: expected no key ranges (New in version 1.1.0); found ranges: a list of 1",
    ]


@pytest.mark.parametrize(
    ("momentum", "problem"),
    [
        ({"rapidity": "y"}, "four_momenta[0]: expected no key rapidity, or no key eta; found"),
        ({"eta": None}, "four_momenta[0].eta: expected string; found None"),
        ({"mass": -0.1}, "four_momenta[0].mass: expected minimum 0; found -0.1"),
        ({"mass": "m 1"}, "four_momenta[0].mass: expected text that matches"),
        ({"mass": True}, "four_momenta[0].mass: expected string, or number; found True"),
        ({"pt": "a + b"}, "four_momenta[0].pt: expected text that matches"),
        ({"energy": "E"}, "four_momenta[0]: expected only the keys"),
    ],
)
def test_a_four_momentum_is_of_one_form(old: Schema, momentum: Schema, problem: str) -> None:
    new = old | {"schema_version": SCHEMA_VERSION, "four_momenta": [MOMENTUM | momentum]}
    (found,) = check(new, "release")
    assert str(found).startswith(problem)


@pytest.mark.parametrize("key", ["name", "description", "pt", "eta", "phi", "mass"])
def test_a_four_momentum_needs_each_of_its_keys(old: Schema, key: str) -> None:
    momentum = {k: v for k, v in MOMENTUM.items() if k != key}
    (found,) = check(old | {"schema_version": SCHEMA_VERSION, "four_momenta": [momentum]}, "release")
    assert (found.path, key in found.expected) == ("four_momenta[0]", True)


@pytest.mark.parametrize("key", ["expression", "minimum", "maximum"])
def test_a_range_needs_each_of_its_keys(old: Schema, key: str) -> None:
    validity = old["validity"] | {"ranges": [{k: v for k, v in RANGE.items() if k != key}]}
    (found,) = check(old | {"schema_version": SCHEMA_VERSION, "validity": validity}, "release")
    assert str(found) == f"validity.ranges[0]: expected the keys {key}; found none of that name"


@pytest.mark.parametrize("value", [-1, 0.5, "100", None, True])
def test_effective_data_events_are_counted(old: Schema, value: object) -> None:
    validity = old["validity"] | {"minimum_effective_data_events_per_bin": value}
    (found,) = check(old | {"schema_version": SCHEMA_VERSION, "validity": validity}, "release")
    assert found.path == "validity.minimum_effective_data_events_per_bin"
