"""The report of a validation, as text and as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from omnifold_pub import validate
from omnifold_pub.validate import CHECKS, Finding, Report

REQUIRED = Finding("event_id", "required", "/event_id", "unique ids", "1 repeated", "Resampling needs each event once.")
OPTIONAL = Finding("negative_weights", "optional", "/prior", "no negative weight", "1 of 500", "Expected.")


@pytest.fixture(scope="session")
def schema(project: Path) -> jsonschema.Draft202012Validator:
    document = json.loads((project / "schemas/1.1.0/report.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(document)
    return jsonschema.Draft202012Validator(document)


def test_a_finding_reads_as_one_line() -> None:
    finding = Finding("columns", "required", "/events/x", "no NaN", "2 NaN of 500", "Remove them.")
    assert str(finding) == "/events/x: expected no NaN; found 2 NaN of 500. Remove them."


@pytest.mark.parametrize(
    ("findings", "valid"),
    [((), True), ((OPTIONAL,), True), ((REQUIRED,), False), ((OPTIONAL, REQUIRED), False)],
)
def test_a_report_is_valid_if_nothing_required_is_amiss_and_obeys_its_schema(
    schema: jsonschema.Draft202012Validator, findings: tuple[Finding, ...], *, valid: bool
) -> None:
    report = Report("release.h5", ("readable", *CHECKS), findings)
    assert report.valid == valid
    document = report.to_dict()
    schema.validate(document)
    assert not schema.is_valid({**document, "valid": not valid})
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_the_json_of_a_report_says_everything(
    rewritten: Callable[..., Path], schema: jsonschema.Draft202012Validator
) -> None:
    path = rewritten(lambda a, m: (a["event_id"].__setitem__(0, 3), a["prior"].__setitem__(0, np.nan)))
    document = validate(path).to_dict()
    schema.validate(document)
    assert document == {
        "schema_version": "1.1.0",
        "kind": "validation report",
        "omnifold_pub": version("omnifold-pub"),
        "path": str(path),
        "valid": False,
        "checks": ["readable", *CHECKS],
        "findings": [
            {
                "code": "event_id",
                "level": "required",
                "path": "/event_id",
                "expected": "unique ids",
                "found": "1 repeated",
                "hint": "Resampling needs each event once.",
            },
            {
                "code": "finite_weights",
                "level": "required",
                "path": "/prior",
                "expected": "finite weights",
                "found": "1 of 500 are not",
                "hint": "A training diverged; leave its member out.",
            },
        ],
    }


@pytest.mark.parametrize("which", ["sound", "sharded"])
def test_the_report_of_a_sound_release_obeys_its_schema(
    request: pytest.FixtureRequest, schema: jsonschema.Draft202012Validator, which: str
) -> None:
    schema.validate(validate(request.getfixturevalue(which)).to_dict())


def test_the_report_of_what_is_no_release_obeys_its_schema(
    tmp_path: Path, schema: jsonschema.Draft202012Validator
) -> None:
    path = tmp_path / "text.h5"
    path.write_text("no HDF5")
    document = validate(path).to_dict()
    schema.validate(document)
    assert document["checks"] == ["readable"]
