from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from omnifold_pub.deposit import Deposit, files, package
from omnifold_pub.errors import MissingExtraError, PublishError, ReleaseError
from omnifold_pub.format.writing import ReleaseWriter
from omnifold_pub.validate import Finding, Report

Pack = Callable[..., Deposit]
NAMES = {
    "CITATION.cff",
    "LICENSE",
    "README.md",
    "croissant.json",
    "datacite.json",
    "release.h5",
    "release.manifest.json",
    "ro-crate-metadata.json",
}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_folder_holds_the_release_byte_for_byte_and_all_documents(
    pack: Pack, release_file: Path, tmp_path: Path
) -> None:
    deposit = pack(tmp_path / "deposit")
    found = contents(deposit.folder)
    assert set(found) == NAMES == {file.name for file in deposit.files}
    assert found["release.h5"] == release_file.read_bytes()
    for file in deposit.files:
        assert (file.bytes, file.sha256) == (len(found[file.name]), hashlib.sha256(found[file.name]).hexdigest())


def test_manifest_of_a_single_file(pack: Pack, release_file: Path, tmp_path: Path, metadata: dict[str, Any]) -> None:
    manifest = json.loads((pack(tmp_path / "deposit").folder / "release.manifest.json").read_bytes())
    content = release_file.read_bytes()
    assert manifest == {
        "schema_version": "1.1.0",
        "kind": "manifest",
        "title": metadata["title"],
        "events": 400,
        "created": "2026-01-31T12:00:00+00:00",
        "files": [
            {
                "file": "release.h5",
                "sha256": hashlib.sha256(content).hexdigest(),
                "bytes": len(content),
                "events": 400,
            }
        ],
    }


def test_same_release_gives_the_same_bytes(pack: Pack, tmp_path: Path) -> None:
    assert contents(pack(tmp_path / "one").folder) == contents(pack(tmp_path / "two").folder)


def test_folder_is_readable_as_the_umask_says(pack: Pack, tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        assert pack(tmp_path / "deposit").folder.stat().st_mode & 0o777 == 0o755
    finally:
        os.umask(before)


def test_folder_that_is_there_is_refused(pack: Pack, tmp_path: Path) -> None:
    target = tmp_path / "deposit"
    target.mkdir()
    (target / "mine.txt").write_text("kept")
    with pytest.raises(PublishError, match="already there"):
        pack(target)
    with pytest.raises(PublishError, match=r"does not list: mine\.txt"):
        pack(target, overwrite=True)
    assert contents(target) == {"mine.txt": b"kept"}


def test_overwriting_replaces_a_deposit_whole(pack: Pack, tmp_path: Path, metadata: dict[str, Any]) -> None:
    target = pack(tmp_path / "deposit").folder
    metadata["title"] = "Another title"
    pack(target, overwrite=True)
    assert (target / "README.md").read_text().startswith("# Another title\n")
    assert set(contents(target)) == NAMES
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deposit", "release.h5"]


def test_file_put_into_a_deposit_is_not_overwritten(pack: Pack, tmp_path: Path) -> None:
    target = pack(tmp_path / "deposit").folder
    (target / "notes.txt").write_text("mine")
    with pytest.raises(PublishError, match=r"notes\.txt"):
        pack(target, overwrite=True)
    assert (target / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("there", [False, True])
def test_nothing_changes_if_a_document_fails(
    pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, there: bool
) -> None:
    target = tmp_path / "deposit"
    before = contents(pack(target).folder) if there else None
    monkeypatch.setattr("omnifold_pub.deposit.rocrate.crate_problems", lambda folder: ["a broken crate"])
    with pytest.raises(PublishError, match="a broken crate"):
        pack(target, overwrite=there)
    assert (contents(target) if target.exists() else None) == before
    assert {path.name for path in tmp_path.iterdir()} <= {"deposit", "release.h5"}


def test_old_deposit_comes_back_if_the_new_one_cannot_take_its_name(
    pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = pack(tmp_path / "deposit").folder
    before = contents(target)
    rename = Path.rename

    def failing(self: Path, other: Path) -> Path:
        if self.name.endswith(".part"):
            raise OSError(5, "Input/output error")
        return rename(self, other)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OSError, match="Input/output error"):
        pack(target, overwrite=True)
    assert contents(target) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deposit", "release.h5"]


def test_copy_that_differs_is_refused(pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(path: Path) -> files.DepositFile:
        return files.DepositFile(path.name, 0, "0" * 64)

    monkeypatch.setattr(files, "describe_file", damaged)
    with pytest.raises(PublishError, match=r"release\.h5: its copy .* expected sha256"):
        pack(tmp_path / "deposit")
    assert not (tmp_path / "deposit").exists()


def test_release_that_is_not_valid_is_refused(
    release_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finding = Finding("sum", "required", "/weights/nominal", "1.277 pb", "33.8 pb", "Mend the unit.")
    report = Report(str(release_file), ("sum",), (finding,))
    monkeypatch.setattr(sys.modules["omnifold_pub.validate"], "validate", lambda path, progress: report)
    with pytest.raises(ReleaseError, match=r"not valid, so it is not packaged: /weights/nominal: expected 1\.277 pb"):
        package(release_file, tmp_path / "deposit")
    assert not (tmp_path / "deposit").exists()


def test_recommendations_are_passed_on(
    pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metadata: dict[str, Any]
) -> None:
    monkeypatch.setattr("omnifold_pub.deposit.sources.check_release", lambda release, progress: ("think of sampling",))
    remarks = pack(tmp_path / "deposit").remarks
    assert remarks[0] == "think of sampling"
    assert [remark for remark in remarks[1:] if "schema.org/version" not in remark] == []


def shards(folder: Path) -> dict[str, Any]:
    entries = []
    for i in range(2):
        path = folder / f"release_{i}.h5"
        with ReleaseWriter(path) as writer:
            writer.write("weights/nominal", "float32", (200,), [np.full(200, i + 1, np.float32)])
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        entries.append({"file": path.name, "sha256": digest, "bytes": len(content), "events": 200})
    document = {
        "schema_version": "1.1.0",
        "kind": "manifest",
        "title": "Z",
        "events": 400,
        "created": "2026-01-31T12:00:00Z",
    }
    return {**document, "files": entries}


def test_sharded_release_is_packaged_with_all_its_files(pack: Pack, tmp_path: Path) -> None:
    manifest = shards(tmp_path)
    path = tmp_path / "release.manifest.json"
    (tmp_path / "release.h5").unlink()
    path.write_text(json.dumps(manifest))
    deposit = pack(tmp_path / "deposit", path)
    assert {"release_0.h5", "release_1.h5"} <= set(contents(deposit.folder))
    assert json.loads((deposit.folder / path.name).read_text()) == manifest
    readme = (deposit.folder / "README.md").read_text()
    assert 'omnifold_pub.open_release("release.manifest.json")' in readme
    assert 'files = ["release_0.h5", "release_1.h5"]' in readme
    crate = json.loads((deposit.folder / "ro-crate-metadata.json").read_text())["@graph"]
    (action,) = (entity for entity in crate if entity["@id"] == "#unfolding")
    assert action["result"] == [{"@id": "release_0.h5"}, {"@id": "release_1.h5"}]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m["files"][1].update(sha256="0" * 64), r"release_1\.h5: expected sha256 0000"),
        (lambda m: m["files"][1].update(bytes=3), r"release_1\.h5: expected 3 bytes"),
        (lambda m: m["files"][1].update(file="../release_1.h5"), r"not a manifest of a release: files\[1\]\.file"),
        (lambda m: m["files"][1].update(file="release_9.h5"), r"release_9\.h5: no such file"),
        (lambda m: m["files"].clear(), "not a manifest of a release: files"),
        (lambda m: m.pop("files"), "not a manifest of a release: the document: expected the keys files"),
    ],
)
def test_manifest_that_does_not_fit_is_refused(
    pack: Pack, tmp_path: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    manifest = shards(tmp_path)
    change(manifest)
    path = tmp_path / "release.manifest.json"
    path.write_text(json.dumps(manifest))
    with pytest.raises(ReleaseError, match=message):
        pack(tmp_path / "deposit", path)


def test_manifest_beside_a_file_counts_too(pack: Pack, tmp_path: Path) -> None:
    (tmp_path / "release.manifest.json").write_text(json.dumps(shards(tmp_path)))
    with pytest.raises(ReleaseError, match=r"names release_0\.h5, release_1\.h5"):
        pack(tmp_path / "deposit")


def test_one_shard_of_several_is_refused(pack: Pack, tmp_path: Path, metadata: dict[str, Any]) -> None:
    metadata["shard"] = {"index": 0, "count": 2, "events_total": 800}
    with pytest.raises(ReleaseError, match="one file of several"):
        pack(tmp_path / "deposit")


def test_release_with_the_name_of_a_document_is_refused(pack: Pack, tmp_path: Path) -> None:
    (tmp_path / "LICENSE").write_bytes(b"x")
    with pytest.raises(PublishError, match=r"LICENSE: the deposit has a document of that name"):
        pack(tmp_path / "deposit", tmp_path / "LICENSE")


@pytest.mark.parametrize("name", ["release 1.h5", 'a".h5', "ü.h5", "-rf.h5", "a\nb.h5"])
def test_name_that_an_archive_may_not_take_is_refused(
    pack: Pack, release_file: Path, tmp_path: Path, name: str
) -> None:
    with pytest.raises(PublishError, match="expected letters, digits"):
        pack(tmp_path / "deposit", release_file.rename(tmp_path / name))


@pytest.mark.parametrize("target", ["file", "link", "none/deposit"])
def test_target_that_cannot_be_a_folder_is_refused(pack: Pack, tmp_path: Path, target: str) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(PublishError, match=r"expected a folder|no such folder"):
        pack(tmp_path / target, overwrite=True)
    assert (tmp_path / "link").is_symlink()


def test_missing_package_is_named(release_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("omnifold_pub.extras.find_spec", lambda name: None if name == "mlcroissant" else True)
    with pytest.raises(MissingExtraError, match=r"mlcroissant.*omnifold-pub\[deposit\]"):
        package(release_file, tmp_path / "deposit")


OFFLINE = """
import json, sys, warnings
from pathlib import Path

warnings.simplefilter("error")

def refuse(event, arguments):
    if event == "socket.__new__":  # the inspection talks to its process through one; it leads nowhere else
        return
    if event.startswith(("socket.", "urllib.", "http.")):
        raise RuntimeError(f"the network was asked for: {event} {arguments}")

sys.addaudithook(refuse)
from omnifold_pub.deposit import package, sources

metadata = json.loads(Path(sys.argv[2]).read_text())
sources.check_release = lambda release, progress: ()
sources.read_metadata = lambda release: metadata
print(len(package(sys.argv[1], sys.argv[3]).files))
try:
    import socket
    socket.create_connection(("127.0.0.1", 9))
except RuntimeError:
    print("hook at work")
"""


def test_nothing_is_fetched_and_no_warning_is_given(
    release_file: Path, tmp_path: Path, metadata: dict[str, Any]
) -> None:
    (tmp_path / "metadata.json").write_text(json.dumps(metadata))
    arguments = [release_file, tmp_path / "metadata.json", tmp_path / "deposit"]
    run = subprocess.run(
        [sys.executable, "-c", OFFLINE, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stdout.split("\n")[:2], run.stderr) == (0, ["8", "hook at work"], "")
