"""The manifest: what it says of files, and which manifests are refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from omnifold_pub.errors import ReleaseError
from omnifold_pub.format.manifest import (
    file_entry,
    is_manifest,
    make_manifest,
    manifest_path,
    read_manifest,
)

METADATA = {"title": "Z+jets, µµ", "created": "2026-01-31T12:00:00+00:00", "events": 7, "more": "not said again"}


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A manifest of two files, with the files."""
    (tmp_path / "a.h5").write_bytes(b"first")
    (tmp_path / "b.h5").write_bytes(b"second!")
    entries = [file_entry(tmp_path / "a.h5", "a.h5", 3), file_entry(tmp_path / "b.h5", "other name.h5", 4)]
    path = tmp_path / "x.manifest.json"
    path.write_bytes(make_manifest(METADATA, entries))
    return path


@pytest.mark.parametrize(
    ("release", "manifest"),
    [
        ("a/release.h5", "a/release.manifest.json"),
        ("release", "release.manifest.json"),
        ("a/x.manifest.json", "a/x.manifest.json"),
    ],
)
def test_the_manifest_stands_beside_the_release(release: str, manifest: str) -> None:
    assert manifest_path(Path(release)) == Path(manifest)
    assert is_manifest(Path(manifest))
    assert is_manifest(Path(release)) == (release == manifest)


def test_a_dot_in_the_name_is_part_of_it() -> None:
    names = ["release.h5", "release-1.0", "release-1.1", "release-1.2.h5", "release-1.3.h5"]
    assert len({manifest_path(Path(name)) for name in names}) == len(names)


def test_it_says_what_the_files_are(written: Path, project: Path) -> None:
    document = json.loads(written.read_bytes())
    assert document == {
        "schema_version": "1.1.0",
        "kind": "manifest",
        "title": METADATA["title"],
        "created": METADATA["created"],
        "events": 7,
        "files": [
            {"file": "a.h5", "sha256": hashlib.sha256(b"first").hexdigest(), "bytes": 5, "events": 3},
            {"file": "other name.h5", "sha256": hashlib.sha256(b"second!").hexdigest(), "bytes": 7, "events": 4},
        ],
    }
    schema = json.loads((project / "schemas/1.1.0/manifest.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(document)
    assert written.read_bytes() == json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True).encode() + b"\n"
    assert read_manifest(written) == document


def test_checksums_are_those_of_the_whole_file(tmp_path: Path) -> None:
    data = bytes(range(256)) * 5000
    (tmp_path / "x").write_bytes(data)
    assert file_entry(tmp_path / "x", "x", 1)["sha256"] == hashlib.sha256(data).hexdigest()


FOREIGN = ["../a.h5", "/etc/passwd", "sub/a.h5", ".hidden.h5", "a\\b.h5", "", "a\nb.h5", "a\x00.h5", "..", "a.h5\n"]


@pytest.mark.parametrize("name", FOREIGN)
def test_a_file_elsewhere_is_refused(written: Path, name: str) -> None:
    refuse(written, lambda document: document["files"][1].update(file=name), r"files\[1\].file")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(files=[]), "files"),
        (lambda d: d.pop("files"), "files"),
        (lambda d: d.update(more=1), "more"),
        (lambda d: d.update(kind="release"), "kind"),
        (lambda d: d.update(events=0), "events"),
        (lambda d: d.update(schema_version="2.0.0"), "schema_version"),
        (lambda d: d["files"][0].update(sha256="A" * 64), r"files\[0\].sha256"),
        (lambda d: d["files"][0].update(bytes=0), r"files\[0\].bytes"),
        (lambda d: d["files"][0].update(bytes="5"), r"files\[0\].bytes"),
        (lambda d: d["files"][0].pop("events"), r"files\[0\]"),
    ],
)
def test_what_breaks_the_schema_is_refused(written: Path, change: Callable[[Any], object], message: str) -> None:
    refuse(written, change, message)


def refuse(path: Path, change: Callable[[Any], object], message: str) -> None:
    document = json.loads(path.read_bytes())
    change(document)
    path.write_text(json.dumps(document))
    with pytest.raises(ReleaseError, match=rf"x\.manifest\.json: not a manifest of a release: .*{message}"):
        read_manifest(path)


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"\xff\xfe", b'{"a": NaN}', b'{"a": 1, "a": 2}', b"[" * 100_000, b'{"a": "' + b"x" * 5_000_000],
    ids=["empty", "cut off", "a list", "no text", "NaN", "a key twice", "deep", "long"],
)
def test_what_is_no_strict_json_is_refused(written: Path, data: bytes) -> None:
    written.write_bytes(data)
    with pytest.raises(ReleaseError, match=r"x\.manifest\.json: expected"):
        read_manifest(written)


def test_a_manifest_that_is_not_there_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match=r"x\.manifest\.json: the manifest cannot be read: No such file"):
        read_manifest(tmp_path / "x.manifest.json")
