"""A release in several files: all of its parts, each once, in order, and of the same release."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from omnifold_pub import UnfoldingResult, publish, validate
from omnifold_pub.validate import CHECKS


@pytest.fixture
def parts(sharded: Path, tmp_path: Path) -> Path:
    """A copy of the release in three files that a test may spoil: its manifest."""
    for entry in json.loads(sharded.read_text())["files"]:
        shutil.copyfile(sharded.with_name(entry["file"]), tmp_path / entry["file"])
    return Path(shutil.copyfile(sharded, tmp_path / sharded.name))


def edit_manifest(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def shard_files(manifest: Path) -> list[Path]:
    return [manifest.with_name(entry["file"]) for entry in json.loads(manifest.read_text())["files"]]


def assert_one(path: Path, code: str, where: str, expected: str, found: str) -> None:
    report = validate(path)
    assert [(f.code, f.level, f.path) for f in report.findings] == [(code, "required", where)]
    assert expected in report.findings[0].expected
    assert found in report.findings[0].found
    assert not report.valid


def test_a_release_in_several_files_has_no_findings(sharded: Path) -> None:
    report = validate(sharded)
    assert report.findings == ()
    assert report.checks == ("readable", *CHECKS)
    assert report.path == str(sharded)


@pytest.mark.parametrize(("number", "events"), [(0, 200), (1, 200), (2, 100)])
def test_a_part_opened_alone_says_that_it_is_one(sharded: Path, number: int, events: int) -> None:
    expected = f"all parts in order, {events} events in 1 files"
    assert_one(shard_files(sharded)[number], "shards", "/metadata shard", expected, f"part {number + 1} of 3")


def test_swapped_parts_are_found(parts: Path) -> None:
    edit_manifest(parts, lambda m: m["files"].reverse())
    found = "part 3 of 3; part 2 of 3; part 1 of 3"
    assert_one(parts, "shards", "/metadata shard", "all parts in order, 500 events in 3 files", found)


def test_a_part_that_the_manifest_leaves_out_is_found(parts: Path) -> None:
    edit_manifest(parts, lambda m: m["files"].pop(1))
    assert_one(parts, "shards", "/metadata shard", "300 events in 2 files", "part 1 of 3; part 3 of 3")


def test_a_part_named_twice_is_found(parts: Path) -> None:
    edit_manifest(parts, lambda m: m["files"].insert(1, m["files"][1]))
    assert_one(parts, "shards", "/metadata shard", "700 events in 4 files", "part 2 of 3; part 2 of 3")


def test_a_part_of_another_release_is_found(parts: Path, sound_result: UnfoldingResult) -> None:
    other = replace(sound_result, metadata={**sound_result.metadata, "title": "Another"})
    strange = shard_files(publish(other, parts.with_name("strange.manifest.json"), shard_events=200))[1]

    def put_in(document: dict[str, Any]) -> None:
        document["files"][1] |= {"file": strange.name, "bytes": strange.stat().st_size}

    edit_manifest(parts, put_in)
    where = f"{strange.name}: /metadata"
    assert_one(parts, "shards", where, "the metadata of the first file", "title")


def test_a_whole_release_among_parts_is_found(parts: Path, sound: Path) -> None:
    shutil.copyfile(sound, parts.with_name("whole.h5"))
    edit_manifest(parts, lambda m: m["files"][2].update(file="whole.h5", bytes=sound.stat().st_size))
    report = validate(parts)
    assert ("shards", "/metadata shard") in {(finding.code, finding.path) for finding in report.findings}
    assert "part 2 of 3; none" in report.findings[-1].found


def test_a_missing_part_is_found(parts: Path) -> None:
    file = shard_files(parts)[1]
    file.unlink()
    assert_one(parts, "readable", str(parts), "a release of omnifold_pub", f"{file}: no such file")


def test_a_part_of_another_size_than_the_manifests_is_found(parts: Path) -> None:
    file = shard_files(parts)[2]
    size = file.stat().st_size
    edit_manifest(parts, lambda m: m["files"][2].update(bytes=size + 1))
    found = f"{file}: {size} bytes; the manifest {parts.name} says {size + 1}"
    assert_one(parts, "readable", str(parts), "a release of omnifold_pub", found)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": NaN}'])
def test_a_manifest_that_is_none_is_found(parts: Path, text: str) -> None:
    parts.write_text(text)
    assert_one(parts, "readable", str(parts), "a release of omnifold_pub", str(parts))


@pytest.mark.parametrize("name", ["../sound.h5", "/etc/passwd", ".hidden.h5", "a\\b.h5"])
def test_a_manifest_may_not_point_out_of_its_folder(parts: Path, name: str) -> None:
    edit_manifest(parts, lambda m: m["files"][0].update(file=name))
    assert_one(parts, "readable", str(parts), "a release of omnifold_pub", "files[0].file")


def test_a_defect_of_one_part_is_found_with_its_file(parts: Path, rewritten: Callable[..., Path]) -> None:
    file = shard_files(parts)[1]
    edited = rewritten(lambda a, m: m.update(title=3), of=file)
    shutil.move(edited, file)
    edit_manifest(parts, lambda m: m["files"][1].update(bytes=file.stat().st_size))
    assert_one(parts, "schema", f"{file.name}: /metadata title", "string", "3")


def test_an_event_in_two_parts_is_found(parts: Path, rewritten: Callable[..., Path]) -> None:
    file = shard_files(parts)[2]
    shutil.move(rewritten(lambda a, m: a["event_id"].__setitem__(0, 0), of=file), file)
    edit_manifest(parts, lambda m: m["files"][2].update(bytes=file.stat().st_size))
    assert_one(parts, "event_id", "/event_id", "unique ids", "1 repeated")
