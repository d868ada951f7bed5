"""Verification: files against their manifest, values against the digests inside."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import jsonschema
import numpy as np
import pytest

from omnifold_pub import UnfoldingResult, publish, validate
from omnifold_pub.errors import ReleaseError
from omnifold_pub.format.documents import encode_document
from omnifold_pub.format.layout import DIGESTS, METADATA
from omnifold_pub.format.manifest import manifest_path
from omnifold_pub.format.store import open_store
from omnifold_pub.format.writing import ReleaseWriter
from omnifold_pub.integrity import VERIFICATIONS, verify

WITHOUT_MANIFEST = ("structure", "digest")


@pytest.fixture
def sharded(tmp_path: Path, result: UnfoldingResult) -> Path:
    """A release in three files: its manifest."""
    return publish(result, tmp_path / "release.manifest.json", shard_events=200)


def edited(path: Path, target: Path, change: Callable[[dict[str, Any], dict[str, Any]], object]) -> Path:
    """Write a changed copy of a release that keeps the digests of the original."""
    with open_store(path) as store:
        (part,) = store.parts
        digests, metadata = part.digests(), part.metadata
        arrays = {name: part.file.datasets[name].read() for name in digests if name != METADATA}
    change(arrays, metadata)
    with ReleaseWriter(target) as writer:
        for name, array in arrays.items():
            writer.write(name, array.dtype.str, array.shape, [array])
        writer.write_bytes(METADATA, encode_document(metadata))
        writer.write_bytes(DIGESTS, encode_document(digests))
    return target


def edit_manifest(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def found(path: Path) -> list[tuple[str, str]]:
    report = verify(path)
    assert all(finding.level == "required" and finding.hint for finding in report.findings)
    assert report.valid == (not report.findings)
    return [(finding.code, finding.path) for finding in report.findings]


# Good


def test_a_release_as_it_was_published_is_verified_in_full(release_path: Path) -> None:
    report = verify(release_path)
    assert report.findings == ()
    assert report.checks == VERIFICATIONS == ("manifest", "file", "structure", "digest")
    assert report.path == str(release_path)


def test_a_release_can_be_named_by_its_manifest(release_path: Path) -> None:
    report = verify(manifest_path(release_path))
    assert (report.findings, report.checks) == ((), VERIFICATIONS)


def test_a_release_in_several_files_is_verified_in_full(sharded: Path) -> None:
    report = verify(str(sharded))
    assert (report.findings, report.checks) == ((), VERIFICATIONS)


def test_a_manifest_says_what_sha256sum_says(release_path: Path) -> None:
    (entry,) = json.loads(manifest_path(release_path).read_text())["files"]
    assert entry["sha256"] == hashlib.sha256(release_path.read_bytes()).hexdigest()


@pytest.mark.parametrize("how", ["manifest removed", "release renamed", "release moved"])
def test_without_a_manifest_the_digests_inside_are_compared_and_the_report_says_so(
    release_path: Path, tmp_path: Path, how: str
) -> None:
    path = release_path
    if how == "manifest removed":
        manifest_path(release_path).unlink()
    elif how == "release renamed":
        path = release_path.rename(tmp_path / "other.h5")
    else:
        (tmp_path / "folder").mkdir()
        path = release_path.rename(tmp_path / "folder" / release_path.name)
    report = verify(path)
    assert (report.findings, report.checks) == ((), WITHOUT_MANIFEST)


def test_a_report_obeys_its_schema(release_path: Path, project: Path) -> None:
    schema = json.loads((project / "schemas/1.1.0/report.schema.json").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    validator.validate(verify(release_path).to_dict())
    release_path.write_bytes(b"nothing")
    document = verify(release_path).to_dict()
    validator.validate(document)
    assert document["valid"] is False


def test_progress_ends_with_all_of_it(release_path: Path) -> None:
    calls: list[tuple[int, int, str]] = []
    verify(release_path, progress=lambda done, total, what: calls.append((done, total, what)))
    assert list(dict.fromkeys(call[2] for call in calls)) == ["checksum MB", "verifying MB"]
    for what in ("checksum MB", "verifying MB"):
        told = [call[:2] for call in calls if call[2] == what]
        assert told == sorted(told)
        assert told[-1][0] == told[-1][1]
        assert len({total for _, total in told}) == 1


def test_a_release_packed_anew_differs_from_its_manifest_and_not_from_its_digests(
    release_path: Path, tmp_path: Path
) -> None:
    packed = tmp_path / "packed.h5"
    with h5py.File(release_path) as old, h5py.File(packed, "w", libver=("v110", "v110")) as new:
        names: list[str] = []
        old.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        for name in names:
            new.create_dataset(name, data=old[name][()], chunks=True, fletcher32=True, compression=9)
    report = verify(packed)
    assert (report.findings, report.checks) == ((), WITHOUT_MANIFEST)
    shutil.copyfile(packed, release_path)
    assert found(release_path) == [("file", str(release_path))]
    assert validate(packed).valid


# Changed


def test_an_edited_value_is_found_by_the_file_and_by_its_digest(release_path: Path, tmp_path: Path) -> None:
    copy = edited(release_path, tmp_path / "copy.h5", lambda a, m: a["weights/nominal"].__setitem__(3, 1.0))
    assert found(copy) == [("digest", "/weights/nominal")]
    shutil.move(copy, release_path)
    assert found(release_path) == [("file", str(release_path)), ("digest", "/weights/nominal")]


def test_edited_metadata_are_found_by_their_digest(release_path: Path, tmp_path: Path) -> None:
    copy = edited(release_path, tmp_path / "copy.h5", lambda a, m: m["cross_section"].update(value=1.0))
    assert found(copy) == [("digest", "/metadata")]


def test_what_only_validation_minds_is_not_verifications_business(release_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "changed.h5"
    with open_store(release_path) as store, ReleaseWriter(path) as writer:
        for name, dataset in store.arrays.items():
            values = dataset.read()
            writer.write(name, values.dtype.str, values.shape, [np.zeros_like(values) if name == "prior" else values])
        writer.write_documents({**store.metadata, "cross_section": {"value": 1e9, "unit": "pb"}})
    assert found(path) == []
    assert not validate(path).valid


def test_a_dataset_left_out_or_added_stops_before_the_digests(release_path: Path, tmp_path: Path) -> None:
    path = edited(release_path, tmp_path / "a.h5", lambda a, m: a.pop("prior"))
    report = verify(path)
    assert [(f.code, f.path) for f in report.findings] == [("shape", "/prior")]
    assert report.checks == ("structure",)
    path = edited(release_path, tmp_path / "b.h5", lambda a, m: a.update(more=a["event_id"]))
    assert found(path) == [("undeclared", "/more")]


def test_one_flipped_bit_is_found(release_path: Path) -> None:
    with h5py.File(release_path) as file:
        chunk = file["weights/pdf"].id.get_chunk_info(0)
    content = bytearray(release_path.read_bytes())
    content[chunk.byte_offset + chunk.size // 2] ^= 1
    release_path.write_bytes(content)
    report = verify(release_path)
    assert [finding.code for finding in report.findings] == ["file", "digest"]
    assert report.findings[0].found == hashlib.sha256(content).hexdigest()
    assert "/weights/pdf: cannot be read, the file is damaged" in report.findings[1].found


@pytest.mark.parametrize("content", [b"", b"text"])
def test_what_is_no_release_is_found(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "text.h5"
    path.write_bytes(content)
    report = verify(path)
    assert [(f.code, f.path) for f in report.findings] == [("structure", str(path))]
    assert "not an HDF5 file" in report.findings[0].found
    assert report.checks == ("structure",)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    for name in ("absent.h5", "absent.manifest.json", ""):
        with pytest.raises(ReleaseError, match=r"no such file|not a file"):
            verify(tmp_path / name)


# Manifests


def test_a_manifest_of_another_release_is_found(release_path: Path, tmp_path: Path, result: UnfoldingResult) -> None:
    other = publish(result, tmp_path / "other.h5")
    shutil.copyfile(manifest_path(other), manifest_path(release_path))
    report = verify(release_path)
    assert [(f.code, f.path) for f in report.findings] == [("manifest", str(manifest_path(release_path)))]
    assert (report.findings[0].expected, report.findings[0].found) == ("the file release.h5", "other.h5")
    assert report.checks == VERIFICATIONS


def test_a_release_renamed_with_its_manifest_is_found(release_path: Path, tmp_path: Path) -> None:
    manifest_path(release_path).rename(tmp_path / "renamed.manifest.json")
    renamed = release_path.rename(tmp_path / "renamed.h5")
    assert found(renamed) == [("manifest", str(tmp_path / "renamed.manifest.json"))]


def test_a_wrong_checksum_in_the_manifest_is_found(release_path: Path) -> None:
    edit_manifest(manifest_path(release_path), lambda m: m["files"][0].update(sha256="0" * 64))
    (finding,) = verify(release_path).findings
    assert (finding.code, finding.path) == ("file", str(release_path))
    assert finding.expected == f"SHA-256 {'0' * 64}"
    assert finding.found == hashlib.sha256(release_path.read_bytes()).hexdigest()


@pytest.mark.parametrize("text", ["", "{}", "[1, 2]", "\udcff"])
def test_a_manifest_that_is_none_is_found(release_path: Path, text: str) -> None:
    beside = manifest_path(release_path)
    beside.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert found(release_path) == [("manifest", str(beside))]
    assert found(beside) == [("manifest", str(beside)), ("structure", str(beside))]


def test_a_missing_part_is_found(sharded: Path) -> None:
    part = sharded.with_name(json.loads(sharded.read_text())["files"][1]["file"])
    part.unlink()
    report = verify(sharded)
    assert [(f.code, f.path) for f in report.findings] == [("file", str(part)), ("structure", str(sharded))]
    assert report.findings[0].found == "no such file"


def test_a_part_of_another_size_is_found(sharded: Path) -> None:
    edit_manifest(sharded, lambda m: m["files"][1].update(bytes=m["files"][1]["bytes"] + 1))
    assert found(sharded) == [("structure", str(sharded))]


def test_swapped_parts_are_found(sharded: Path) -> None:
    edit_manifest(sharded, lambda m: m["files"].reverse())
    assert found(sharded) == [("shards", "/metadata shard")]


def test_an_edited_part_is_found(sharded: Path, tmp_path: Path) -> None:
    part = sharded.with_name(json.loads(sharded.read_text())["files"][2]["file"])
    copy = edited(part, tmp_path / "copy.h5", lambda a, m: a["event_id"].__setitem__(0, 5))
    shutil.move(copy, part)
    edit_manifest(sharded, lambda m: m["files"][2].update(bytes=part.stat().st_size))
    assert found(sharded) == [("file", str(part)), ("digest", f"{part.name}: /event_id")]


def test_one_part_alone_is_not_a_release(sharded: Path) -> None:
    part = sharded.with_name(json.loads(sharded.read_text())["files"][0]["file"])
    report = verify(part)
    assert [(f.code, f.path) for f in report.findings] == [("shards", "/metadata shard")]
    assert report.checks == ("structure",)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda m: m.update(events=7), id="events in all"),
        pytest.param(lambda m: m["files"][0].update(events=7), id="events of a file"),
        pytest.param(lambda m: m["files"][0].update(bytes=7), id="bytes"),
    ],
)
def test_wrong_numbers_in_the_manifest_are_found(
    release_path: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    edit_manifest(manifest_path(release_path), change)
    assert not verify(release_path).valid
