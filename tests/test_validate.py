"""Validation: every check has a file that fails it, and all that is wrong is reported at once."""

from __future__ import annotations

import itertools
import json
import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from omnifold_pub import Report, UnfoldingResult, publish, validate
from omnifold_pub import format as layout
from omnifold_pub.cli import main
from omnifold_pub.errors import ReleaseError
from omnifold_pub.validate import CHECKS, Finding, Level

Edit = Callable[[h5py.File], object]


@pytest.fixture
def result(result: UnfoldingResult) -> UnfoldingResult:
    """The result made by hand, without its few negative weights: nothing at all is amiss in it."""
    return replace(result, families={name: np.abs(family) for name, family in result.families.items()})


def validate_edited(path: Path, *edits: Edit) -> Report:
    """Change a copy of a release and validate it."""
    copy = path.with_name("edited.h5")
    shutil.copyfile(path, copy)
    with h5py.File(copy, "r+") as file:
        for edit in edits:
            edit(file)
    return validate(copy)


def metadata(change: Callable[[dict[str, Any]], object]) -> Edit:
    def edit(file: h5py.File) -> None:
        document = json.loads(bytes(file["metadata"][()]))
        change(document)
        del file["metadata"]
        file.create_dataset("metadata", data=np.frombuffer(json.dumps(document).encode(), dtype=np.uint8))

    return edit


def component(which: str, **keys: object) -> Edit:
    def change(document: dict[str, Any]) -> None:
        next(entry for entry in document["components"] if entry["name"] == which).update(keys)

    return metadata(change)


def put(name: str, where: Any, value: float) -> Edit:
    return lambda file: file[name].__setitem__(where, value)


def scale(name: str, factor: float, where: Any = ...) -> Edit:
    def edit(file: h5py.File) -> None:
        data = file[name][()]
        data[where] *= np.float32(factor)
        file[name][...] = data

    return edit


def remove(name: str) -> Edit:
    return lambda file: file.__delitem__(name)


def add(name: str, data: object) -> Edit:
    return lambda file: file.create_dataset(name, data=data)


def change_type(name: str, dtype: str) -> Edit:
    def edit(file: h5py.File) -> None:
        data = file[name][()]
        del file[name]
        file[name] = data.astype(dtype)

    return edit


def turn_into_group(name: str) -> Edit:
    def edit(file: h5py.File) -> None:
        del file[name]
        file.create_group(name)

    return edit


def without_event_sampling(document: dict[str, Any]) -> None:
    document["components"] = [entry for entry in document["components"] if entry["kind"] != "event_sampling"]


@dataclass(frozen=True)
class Case:
    """An edit of a valid release, and the one finding that it causes."""

    edit: Edit
    code: str
    path: str
    expected: str
    found: str
    level: Level = "required"


CASES = {
    "title missing": Case(metadata(lambda m: m.pop("title")), "schema", "/metadata ", "the keys title", "none"),
    "unknown unit": Case(
        metadata(lambda m: m["weights"].update(unit="barn")), "schema", "/metadata weights.unit", "pb, fb", "'barn'"
    ),
    "not a date": Case(metadata(lambda m: m.update(created=7)), "schema", "/metadata created", "string", "7"),
    "observable twice": Case(
        metadata(lambda m: m["observables"].append(m["observables"][0])),
        "names",
        "/metadata observables",
        "unique names",
        "'x' more than once",
    ),
    "component twice": Case(
        metadata(lambda m: m["components"].append(m["components"][-1])),
        "names",
        "/metadata components",
        "unique names",
        "'event_sampling' more than once",
    ),
    "column missing": Case(remove("events/x"), "shape", "/events/x", "float32 [500]", "nothing"),
    "column is a group": Case(turn_into_group("events/x"), "shape", "/events/x", "float32 [500]", "a group"),
    "family missing": Case(remove("weights/pdf"), "shape", "/weights/pdf", "float32 [500, 3]", "nothing"),
    "prior missing": Case(remove("prior"), "shape", "/prior", "float32 [500]", "nothing"),
    "more members declared": Case(
        component("pdf", members=4), "shape", "/weights/pdf", "float32 [500, 4]", "float32 [500, 3]"
    ),
    "double precision": Case(
        change_type("weights/nominal", "<f8"), "shape", "/weights/nominal", "float32 [500]", "float64 [500]"
    ),
    "big endian": Case(change_type("prior", ">f4"), "shape", "/prior", "float32 [500]", ">f4 [500]"),
    "short ids": Case(change_type("event_id", "<i4"), "shape", "/event_id", "int64 [500]", "int32 [500]"),
    "extra column": Case(
        add("events/z", np.zeros(500, np.float32)), "undeclared", "/events/z", "only declared datasets", "this one"
    ),
    "family of a longer name": Case(
        add("weights/data_bootstrap_test", np.zeros((500, 12), np.float32)),
        "undeclared",
        "/weights/data_bootstrap_test",
        "only declared datasets",
        "this one",
    ),
    "extra at the top": Case(add("notes", 1), "undeclared", "/notes", "only declared datasets", "this one"),
    "prior not declared": Case(
        metadata(lambda m: m["weights"].pop("prior")), "undeclared", "/prior", "only declared datasets", "this one"
    ),
    "repeated ids": Case(put("event_id", slice(0, 3), 1497), "event_id", "/event_id", "unique ids", "3 repeated"),
    "infinite column": Case(put("events/y", 3, np.inf), "columns", "/events/y", "finite values", "1 infinite"),
    "NaN not announced": Case(put("events/x", slice(2), np.nan), "columns", "/events/x", "no NaN", "2 NaN of 500"),
    "NaN in the prior": Case(put("prior", 3, np.nan), "finite_weights", "/prior", "finite weights", "1 of 500"),
    "NaN in a family": Case(
        put("weights/mc_bootstrap", (3, 2), np.nan), "finite_weights", "/weights/mc_bootstrap", "finite", "1 of 6000"
    ),
    "infinity in a family": Case(
        put("weights/pdf", (slice(5), 0), np.inf), "finite_weights", "/weights/pdf", "finite weights", "5 of 1500"
    ),
    "a negative weight": Case(
        scale("weights/pdf", -1, (3, 2)),
        "negative_weights",
        "/weights/pdf",
        "no negative weight",
        "1 of 1500",
        "optional",
    ),
    "a negative prior": Case(
        scale("prior", -1, 3), "negative_weights", "/prior", "no negative weight", "1 of 500", "optional"
    ),
    "bootstrap in another unit": Case(
        scale("weights/data_bootstrap", 26.5),
        "family_total",
        "/weights/data_bootstrap",
        "members that sum to the nominal's",
        "26.",
    ),
    "bootstrap halved": Case(
        scale("weights/mc_bootstrap", 0.5), "family_total", "/weights/mc_bootstrap", "members that sum to", " 0."
    ),
    "variation three times": Case(
        scale("weights/shift", 3), "family_total", "/weights/shift[:, 0]", "within a factor 2", "3."
    ),
    "down variation a third": Case(
        scale("weights/up_down", 1 / 3, np.s_[:, 1]),
        "family_total",
        "/weights/up_down[:, 1]",
        "within a factor 2",
        "0.3267 times as much",
    ),
    "one eigenvector three times": Case(
        scale("weights/pdf", 3, np.s_[:, 2]),
        "family_total",
        "/weights/pdf[:, 2]",
        "within a factor 2",
        "times as much",
    ),
    "one nominal weight off": Case(
        scale("weights/nominal", 1.001, 11), "central_value", "/weights/nominal", "the mean of /weights/ensemble", "off"
    ),
    "nominal not the median": Case(
        metadata(lambda m: m["weights"]["central_value"].update(rule="median")),
        "central_value",
        "/weights/nominal",
        "the median of /weights/ensemble",
        "off",
    ),
    "central value of a bootstrap": Case(
        metadata(lambda m: m["weights"]["central_value"].update(family="data_bootstrap")),
        "central_value",
        "/metadata weights.central_value.family",
        "a component of kind 'ensemble'",
        "'data_bootstrap'",
    ),
    "central value of nothing": Case(
        metadata(lambda m: m["weights"]["central_value"].update(family="absent")),
        "central_value",
        "/metadata weights.central_value.family",
        "a component of kind 'ensemble'",
        "'absent'",
    ),
    "no event sampling": Case(
        metadata(without_event_sampling),
        "event_sampling",
        "/metadata components",
        "event_sampling",
        "neither",
        "recommended",
    ),
    "event sampling twice": Case(
        component("mc_bootstrap", includes_event_sampling=True),
        "event_sampling",
        "/metadata components",
        "one component",
        "mc_bootstrap, event_sampling",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_each_defect_is_found_and_nothing_else(release_path: Path, name: str) -> None:
    case = CASES[name]
    report = validate_edited(release_path, case.edit)
    assert [(finding.code, finding.level) for finding in report.findings] == [(case.code, case.level)]
    (finding,) = report.findings
    assert finding.path == case.path
    assert case.expected in finding.expected
    assert case.found in finding.found
    assert finding.hint
    assert report.valid == (case.level != "required")


def test_a_valid_release_has_no_findings(release_path: Path) -> None:
    report = validate(release_path)
    assert report.valid
    assert report.findings == ()
    assert report.checks == ("readable", *CHECKS)


def test_every_check_is_covered_by_a_defect() -> None:
    elsewhere = {"nominal_total"}
    assert {case.code for case in CASES.values()} == set(CHECKS) - elsewhere


def test_a_finding_reads_as_one_line() -> None:
    finding = Finding("columns", "required", "/events/x", "no NaN", "2 NaN of 500", "Remove them.")
    assert str(finding) == "/events/x: expected no NaN; found 2 NaN of 500. Remove them."


@pytest.mark.parametrize(("factor", "found"), [(0.0, "0"), (-1.0, "-")])
def test_a_nominal_without_a_positive_sum_is_found(release_path: Path, factor: float, found: str) -> None:
    report = validate_edited(release_path, scale("weights/nominal", factor))
    finding = next(finding for finding in report.findings if finding.code == "nominal_total")
    assert (finding.level, finding.path, finding.expected) == ("required", "/weights/nominal", "a sum above 0")
    assert finding.found.startswith(found)


def test_a_nan_nominal_weight_is_found_and_not_blamed_on_the_families(release_path: Path) -> None:
    report = validate_edited(release_path, put("weights/nominal", 3, np.nan))
    assert not report.valid
    assert [(finding.code, finding.path) for finding in report.findings] == [("finite_weights", "/weights/nominal")]


def test_a_family_called_nominal_is_found(release_path: Path) -> None:
    report = validate_edited(release_path, component("pdf", name="nominal"))
    finding = next(finding for finding in report.findings if finding.code == "names")
    assert (finding.found, finding.expected) == ("'nominal'", "names of families")


def test_a_rescaled_ensemble_breaks_its_total_and_the_central_value(release_path: Path) -> None:
    report = validate_edited(release_path, scale("weights/ensemble", 2))
    assert [finding.code for finding in report.findings] == ["family_total", "central_value"]


def test_a_nominal_that_is_the_median_is_valid_under_the_median_rule(tmp_path: Path, result: UnfoldingResult) -> None:
    weights = {**result.metadata["weights"], "central_value": {"rule": "median", "family": "ensemble"}}
    median = np.median(result.families["ensemble"].astype(np.float64), axis=1).astype(np.float32)
    path = publish(
        replace(result, nominal=median, metadata={**result.metadata, "weights": weights}), tmp_path / "median.h5"
    )
    assert validate(path).valid
    report = validate_edited(path, metadata(lambda m: m["weights"]["central_value"].update(rule="mean")))
    assert [finding.code for finding in report.findings] == ["central_value"]


def test_a_single_run_needs_no_family_of_its_central_value(release_path: Path) -> None:
    single = metadata(lambda m: m["weights"].update(central_value={"rule": "single"}))
    assert validate_edited(release_path, single, scale("weights/nominal", 1.01)).valid


def test_totals_may_fluctuate_as_replicas_do(release_path: Path) -> None:
    assert validate_edited(release_path, scale("weights/data_bootstrap", 1.05)).valid


def test_all_defects_of_the_content_are_reported_at_once(release_path: Path) -> None:
    report = validate_edited(
        release_path,
        put("event_id", 0, 1497),
        put("events/x", 4, np.nan),
        put("events/y", 4, np.inf),
        put("prior", 0, np.nan),
        scale("weights/data_bootstrap", 26.5),
        scale("weights/shift", 3),
        scale("weights/nominal", 1.001, 11),
        scale("weights/pdf", -1, (3, 2)),
        metadata(without_event_sampling),
    )
    assert sorted((finding.code, finding.path) for finding in report.findings) == [
        ("central_value", "/weights/nominal"),
        ("columns", "/events/x"),
        ("columns", "/events/y"),
        ("event_id", "/event_id"),
        ("event_sampling", "/metadata components"),
        ("family_total", "/weights/data_bootstrap"),
        ("family_total", "/weights/shift[:, 0]"),
        ("finite_weights", "/prior"),
        ("negative_weights", "/weights/pdf"),
    ]


def test_all_defects_of_the_structure_are_reported_at_once(release_path: Path) -> None:
    report = validate_edited(
        release_path,
        remove("events/y"),
        change_type("prior", "<f8"),
        add("notes", 1),
        component("shift", members=2),
        metadata(lambda m: m["components"].append(m["components"][-1])),
        metadata(lambda m: m["weights"]["central_value"].update(family="pdf")),
    )
    assert sorted((finding.code, finding.path) for finding in report.findings) == [
        ("central_value", "/metadata weights.central_value.family"),
        ("names", "/metadata components"),
        ("shape", "/events/y"),
        ("shape", "/prior"),
        ("shape", "/weights/shift"),
        ("undeclared", "/notes"),
    ]


def test_all_defects_of_the_metadata_are_reported_at_once(release_path: Path) -> None:
    def spoil(document: dict[str, Any]) -> None:
        del document["contact"]
        document["collision"]["energy_tev"] = -13
        document["components"][0]["members"] = 1

    report = validate_edited(release_path, metadata(spoil))
    assert {finding.code for finding in report.findings} == {"schema"}
    assert {finding.path for finding in report.findings} == {
        "/metadata ",
        "/metadata collision.energy_tev",
        "/metadata components[0].members",
    }


def test_a_report_is_json(release_path: Path) -> None:
    report = validate_edited(release_path, put("event_id", 0, 1497), put("weights/pdf", (0, 0), np.nan))
    document = report.to_dict()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert document["valid"] is False
    assert document["findings"][0] == {
        "code": "event_id",
        "level": "required",
        "path": "/event_id",
        "expected": "unique ids",
        "found": "1 repeated",
        "hint": "Resampling needs each event once.",
    }


def assert_unreadable(path: Path, message: str) -> None:
    report = validate(path)
    assert not report.valid
    assert [finding.code for finding in report.findings] == ["readable"]
    assert message in report.findings[0].found


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="no such file"):
        validate(tmp_path / "absent.h5")


def test_a_text_file_is_not_hdf5(tmp_path: Path) -> None:
    path = tmp_path / "release.h5"
    path.write_text("x,y\n1,2\n")
    assert_unreadable(path, "not an HDF5 file")


def test_an_empty_file_is_not_hdf5(tmp_path: Path) -> None:
    path = tmp_path / "release.h5"
    path.touch()
    assert_unreadable(path, "not an HDF5 file")


def test_hdf5_of_somebody_else_is_not_a_release(tmp_path: Path) -> None:
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        file["data"] = np.arange(3)
    assert_unreadable(path, "this HDF5 file is not a release")


@pytest.mark.parametrize("lost", [1, 1000, 30_000])
def test_a_truncated_file_is_found(release_path: Path, lost: int) -> None:
    path = release_path.with_name("cut.h5")
    path.write_bytes(release_path.read_bytes()[:-lost])
    assert_unreadable(path, "damaged")


def flip(path: Path, position: int) -> Path:
    damaged = bytearray(path.read_bytes())
    damaged[position] ^= 1
    copy = path.with_name("flipped.h5")
    copy.write_bytes(damaged)
    return copy


@pytest.mark.parametrize("name", ["weights/nominal", "weights/pdf", "prior", "events/y", "event_id", "metadata"])
def test_one_flipped_bit_in_a_chunk_is_found_by_its_checksum(release_path: Path, name: str) -> None:
    with h5py.File(release_path) as file:
        chunk = file[name].id.get_chunk_info(0)
    path = flip(release_path, chunk.byte_offset + chunk.size // 2)
    report = validate(path)
    assert not report.valid
    assert [finding.code for finding in report.findings] == ["readable"]


def datasets(path: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: found.update({name: item[()].tobytes()}) if isinstance(item, h5py.Dataset) else None
        )
    return found


def test_a_flipped_bit_anywhere_is_found_or_changes_no_data(release_path: Path) -> None:
    truth, size = datasets(release_path), release_path.stat().st_size
    verdicts = set()
    for position in np.random.default_rng(1).integers(0, size, 60):
        path = flip(release_path, int(position))
        valid = validate(path).valid
        verdicts.add(valid)
        assert not valid or datasets(path) == truth
    assert False in verdicts


@pytest.mark.parametrize("version", ["2.0.0", "0.9.0", "", "next"])
def test_another_major_version_is_refused_with_a_hint(release_path: Path, version: str) -> None:
    report = validate_edited(release_path, metadata(lambda m: m.update(schema_version=version)))
    assert [finding.code for finding in report.findings] == ["readable"]
    assert f"format version {version!r}; this omnifold_pub reads 1.x.y. Upgrade it" in report.findings[0].found


def test_a_later_minor_version_is_read(release_path: Path) -> None:
    assert validate_edited(release_path, metadata(lambda m: m.update(schema_version="1.7.0"))).valid


def test_families_of_several_blocks_are_checked_to_the_last_row(
    release_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = [(start, min(start + 64, 500)) for start in range(0, 500, 64)]
    monkeypatch.setattr(layout, "family_blocks", lambda *_: blocks)
    assert validate(release_path).valid
    last = validate_edited(release_path, put("weights/pdf", (499, 2), np.nan), scale("weights/nominal", 1.001, 499))
    assert [finding.code for finding in last.findings] == ["central_value", "finite_weights"]


def test_progress_counts_every_weight_once(release_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    validate(release_path, progress=lambda done, total, _: calls.append((done, total)))
    total = 500 * (4 + 12 + 12 + 1 + 2 + 1 + 3)
    assert calls[-1] == (total, total)
    assert all(first[0] < second[0] for first, second in itertools.pairwise(calls))


def test_the_ratio_in_a_message_is_the_ratio_of_the_sums(release_path: Path, result: UnfoldingResult) -> None:
    report = validate_edited(release_path, scale("weights/model", 4))
    ratio = math.fsum(4 * result.families["model"][:, 0].astype(float)) / math.fsum(result.nominal.astype(float))
    assert f"{ratio:.4g} times as much" in report.findings[0].found


def test_only_checks_that_were_run_are_reported(release_path: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.h5"
    text.write_text("no HDF5")
    assert validate(text).checks == ("readable",)
    assert validate_edited(release_path, metadata(lambda m: m.update(title=3))).checks == ("readable", "schema")


def test_a_central_value_without_its_family_stops_before_the_content(release_path: Path) -> None:
    wrong = metadata(lambda m: m["weights"]["central_value"].update(family="data_bootstrap"))
    report = validate_edited(release_path, wrong)
    assert [finding.code for finding in report.findings] == ["central_value"]
    assert report.checks == ("readable", "schema", "names", "shape", "undeclared")
    table = CliRunner().invoke(main, ["validate", report.path]).stdout.splitlines()
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in table if line.strip()}
    assert (rows["undeclared"], rows["central_value"], rows["event_id"]) == ("good", "required", "not run")
