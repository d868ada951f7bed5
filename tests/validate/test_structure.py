"""Names, shapes and types against the metadata."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from omnifold_pub import validate
from omnifold_pub.validate import CHECKS
from omnifold_pub.validate.structure import STRUCTURE_CHECKS


def component(metadata: dict[str, Any], name: str) -> dict[str, Any]:
    return next(entry for entry in metadata["components"] if entry["name"] == name)


def on_an_absent_canvas(arrays: dict[str, Any], metadata: dict[str, Any]) -> None:
    metadata["closure"]["tests"][0]["canvas"] = "absent"
    del arrays["closure/dd/target"]


def retyped(name: str, dtype: str) -> Callable[[Any, Any], object]:
    return lambda a, m: a.update({name: a[name].astype(dtype)})


CASES: dict[str, tuple[Any, ...]] = {
    "title missing": (lambda a, m: m.pop("title"), "schema", "required", "/metadata", "the keys title", "none"),
    "unknown unit": (
        lambda a, m: m["weights"].update(unit="barn"),
        *("schema", "required", "/metadata weights.unit", "pb, fb", "'barn'"),
    ),
    "not a date": (
        lambda a, m: m.update(created=7),
        *("schema", "required", "/metadata created", "string", "7"),
    ),
    "observable twice": (
        lambda a, m: m["observables"].append(m["observables"][0]),
        *("names", "required", "/metadata observables", "unique names", "'x' more than once"),
    ),
    "component twice": (
        lambda a, m: m["components"].append(component(m, "luminosity")),
        *("names", "required", "/metadata components", "unique names", "'luminosity' more than once"),
    ),
    "canvas twice": (
        lambda a, m: m["canvases"].append(m["canvases"][0]),
        *("names", "required", "/metadata canvases", "unique names", "'other' more than once"),
    ),
    "family of a canvas twice": (
        lambda a, m: m["canvases"][0]["families"].append(m["canvases"][0]["families"][0]),
        *("names", "required", "/metadata canvases other families", "unique names", "'replicas' more than once"),
    ),
    "network twice": (
        lambda a, m: m["networks"].append(m["networks"][0]),
        *("names", "required", "/metadata networks", "unique names", "'tiny' more than once"),
    ),
    "closure test twice": (
        lambda a, m: m["closure"]["tests"].append(m["closure"]["tests"][0]),
        *("names", "required", "/metadata closure.tests", "unique names", "'dd' more than once"),
    ),
    "canvas of a component named nowhere": (
        lambda a, m: component(m, "generator").update(canvas="absent"),
        *("names", "required", "/metadata components generator", "one of the canvases", "'absent'"),
    ),
    "canvas of a closure test named nowhere": (
        on_an_absent_canvas,
        *("names", "required", "/metadata closure.tests dd", "one of the canvases", "'absent'"),
    ),
    "central value of a bootstrap": (
        lambda a, m: m["weights"]["central_value"].update(family="data_bootstrap"),
        *("central_value", "required", "/metadata weights.central_value.family"),
        *("a component of kind 'ensemble'", "'data_bootstrap'"),
    ),
    "central value of nothing": (
        lambda a, m: m["weights"]["central_value"].update(family="absent"),
        *("central_value", "required", "/metadata weights.central_value.family"),
        *("a component of kind 'ensemble'", "'absent'"),
    ),
    "column missing": (
        lambda a, m: a.pop("events/x"),
        *("shape", "required", "/events/x", "float32 [500]", "nothing"),
    ),
    "family missing": (
        lambda a, m: a.pop("weights/pdf"),
        *("shape", "required", "/weights/pdf", "float32 [500, 3]", "nothing"),
    ),
    "ids missing": (
        lambda a, m: a.pop("event_id"),
        *("shape", "required", "/event_id", "int64 [500]", "nothing"),
    ),
    "prior missing": (lambda a, m: a.pop("prior"), "shape", "required", "/prior", "float32 [500]", "nothing"),
    "closure weights missing": (
        lambda a, m: a.pop("closure/dd/unfolded"),
        *("shape", "required", "/closure/dd/unfolded", "float32 [500]", "nothing"),
    ),
    "column of a canvas missing": (
        lambda a, m: a.pop("canvases/other/events/x"),
        *("shape", "required", "/canvases/other/events/x", "float32 [350]", "nothing"),
    ),
    "network of another size": (
        lambda a, m: a.update({"networks/tiny": a["networks/tiny"][:-1]}),
        *("shape", "required", "/networks/tiny", "uint8", "uint8"),
    ),
    "more members declared": (
        lambda a, m: component(m, "pdf").update(members=4),
        *("shape", "required", "/weights/pdf", "float32 [500, 4]", "float32 [500, 3]"),
    ),
    "one event less": (
        lambda a, m: a.update({"weights/pdf": a["weights/pdf"][:-1]}),
        *("shape", "required", "/weights/pdf", "float32 [500, 3]", "float32 [499, 3]"),
    ),
    "one axis too many": (
        lambda a, m: a.update({"prior": a["prior"][:, np.newaxis]}),
        *("shape", "required", "/prior", "float32 [500]", "float32 [500, 1]"),
    ),
    "double precision": (
        retyped("weights/nominal", "f8"),
        *("shape", "required", "/weights/nominal", "float32 [500]", "float64 [500]"),
    ),
    "short ids": (retyped("event_id", "i4"), "shape", "required", "/event_id", "int64 [500]", "int32 [500]"),
    "integers as floats": (
        retyped("events/n", "f4"),
        *("shape", "required", "/events/n", "int32 [500]", "float32 [500]"),
    ),
    "extra column": (
        lambda a, m: a.update({"events/q": a["events/x"]}),
        *("undeclared", "required", "/events/q", "only declared datasets", "this one"),
    ),
    "family of a longer name": (
        lambda a, m: a.update({"weights/data_bootstrap_test": a["weights/data_bootstrap"]}),
        *("undeclared", "required", "/weights/data_bootstrap_test", "only declared datasets", "this one"),
    ),
    "extra at the top": (
        lambda a, m: a.update(notes=a["event_id"]),
        *("undeclared", "required", "/notes", "only declared datasets", "this one"),
    ),
    "extra on a canvas": (
        lambda a, m: a.update({"canvases/other/prior": a["canvases/other/weights/nominal"]}),
        *("undeclared", "required", "/canvases/other/prior", "only declared datasets", "this one"),
    ),
    "prior not declared": (
        lambda a, m: m["weights"].update(prior=False),
        *("undeclared", "required", "/prior", "only declared datasets", "this one"),
    ),
    "one part opened alone": (
        lambda a, m: m.update(shard={"index": 0, "count": 3, "events_total": 1500}),
        *("shards", "required", "/metadata shard", "all parts in order, 500 events in 1 files", "part 1 of 3"),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_each_defect_is_found_and_nothing_else(assert_only: Callable[..., None], name: str) -> None:
    assert_only(*CASES[name])


def test_a_family_called_nominal_is_found(rewritten: Callable[..., Path]) -> None:
    report = validate(rewritten(lambda a, m: component(m, "pdf").update(name="nominal")))
    finding = next(finding for finding in report.findings if finding.code == "names")
    assert (finding.path, finding.expected, finding.found) == ("/metadata components", "names of families", "'nominal'")


def test_a_broken_structure_stops_before_the_content(rewritten: Callable[..., Path]) -> None:
    report = validate(rewritten(lambda a, m: a.pop("prior")))
    assert report.checks == ("readable", *STRUCTURE_CHECKS) == ("readable", *CHECKS[: len(STRUCTURE_CHECKS)])
    report = validate(rewritten(lambda a, m: m.update(title=3)))
    assert report.checks == ("readable", "schema")


def test_all_defects_of_the_structure_are_reported_at_once(rewritten: Callable[..., Path]) -> None:
    def spoil(arrays: dict[str, Any], metadata: dict[str, Any]) -> None:
        del arrays["events/y"]
        arrays["prior"] = arrays["prior"].astype(np.float64)
        arrays["notes"] = arrays["event_id"]
        component(metadata, "shift")["members"] = 2
        component(metadata, "shift")["covariance"]["divisor"] = "7"
        component(metadata, "generator")["canvas"] = "absent"
        metadata["components"].append(component(metadata, "luminosity"))
        metadata["weights"]["central_value"]["family"] = "pdf"

    assert [(finding.code, finding.path) for finding in validate(rewritten(spoil)).findings] == [
        ("names", "/metadata components"),
        ("names", "/metadata components generator"),
        ("shape", "/events/y"),
        ("shape", "/weights/shift"),
        ("shape", "/prior"),
        ("undeclared", "/notes"),
        ("central_value", "/metadata weights.central_value.family"),
    ]


def test_all_defects_of_the_metadata_are_reported_at_once(rewritten: Callable[..., Path]) -> None:
    def spoil(arrays: dict[str, Any], metadata: dict[str, Any]) -> None:
        del metadata["contact"]
        metadata["collision"]["energy_tev"] = -13
        metadata["components"][0]["members"] = 1

    report = validate(rewritten(spoil))
    assert {finding.code for finding in report.findings} == {"schema"}
    assert {finding.path for finding in report.findings} == {
        "/metadata",
        "/metadata collision.energy_tev",
        "/metadata components[0].members",
    }
