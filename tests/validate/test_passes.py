"""Digests: what was written is what is read, in every kind of dataset."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from omnifold_pub import validate
from omnifold_pub.format.documents import encode_document
from omnifold_pub.format.layout import DIGESTS, METADATA, declared_datasets
from omnifold_pub.format.store import open_store
from omnifold_pub.format.writing import ReleaseWriter

STATED = "the SHA-256 that /digests states, "


def nudge(name: str) -> Callable[[dict[str, Any], Any], None]:
    """Change the last number of a dataset by as little as its type allows."""

    def change(arrays: dict[str, Any], metadata: Any) -> None:
        flat = arrays[name].reshape(-1)
        if flat.dtype.kind == "f":
            flat[-1] = np.nextafter(flat[-1], flat.dtype.type(0))
        else:
            flat[-1] += 1

    return change


CASES: dict[str, tuple[Any, ...]] = {
    name: (nudge(name), "digest", "required", f"/{name}", STATED, "")
    for name in (
        "event_id",
        "events/x",
        "events/n",
        "events/z",
        "weights/nominal",
        "weights/ensemble",
        "weights/shift",
        "prior",
        "closure/dd/target",
        "closure/dd/unfolded",
        "canvases/other/event_id",
        "canvases/other/events/n",
        "canvases/other/weights/nominal",
        "canvases/other/weights/replicas",
        "networks/tiny",
    )
} | {
    METADATA: (lambda a, m: m.update(title="Another title"), "digest", "required", "/metadata", STATED, ""),
}


@pytest.mark.parametrize("name", CASES)
def test_an_edit_that_leaves_the_digests_behind_is_found(assert_only: Callable[..., None], name: str) -> None:
    assert_only(*CASES[name], stale=True)


def test_every_kind_of_dataset_is_among_the_edited(sound: Path) -> None:
    def kind(path: str) -> str:
        return "/".join(part for part in path.split("/") if part not in {"x", "n", "z", "y"})

    with open_store(sound) as store:
        declared = declared_datasets(store.metadata)
    families = {"data_bootstrap", "mc_bootstrap", "up_down", "model", "pdf"}
    assert {kind(path) for path in declared if path.split("/")[-1] not in families} == {kind(p) for p in CASES} - {
        METADATA
    }


def test_a_digest_is_that_of_the_little_endian_bytes_row_by_row(sound: Path, rewritten: Callable[..., Path]) -> None:
    with open_store(sound) as store:
        stated = store.parts[0].digests()
        values = {name: store.arrays[name].read() for name in store.arrays}
    assert set(stated) == {*values, METADATA}
    for name, array in values.items():
        assert stated[name] == hashlib.sha256(array.astype(array.dtype.newbyteorder("<")).tobytes("C")).hexdigest()
    (finding,) = validate(rewritten(nudge("weights/pdf"), stale=True)).findings
    edited = {"weights/pdf": values["weights/pdf"].copy()}
    nudge("weights/pdf")(edited, None)
    assert finding.expected.endswith(stated["weights/pdf"])
    assert finding.found == hashlib.sha256(edited["weights/pdf"].tobytes()).hexdigest()


def with_digests(path: Path, target: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Write a release again with other digests."""
    with open_store(path) as store, ReleaseWriter(target) as writer:
        digests = store.parts[0].digests()
        for name, dataset in store.parts[0].file.datasets.items():
            if name != DIGESTS:
                writer.write(name, dataset.dtype.str, dataset.shape, [dataset.read()])
        change(digests)
        writer.write_bytes(DIGESTS, encode_document(digests))
    return target


@pytest.mark.parametrize(
    ("change", "path", "expected", "found"),
    [
        (lambda d: d.pop("events/x"), "/events/x", f"{STATED}none", ""),
        (lambda d: d.pop("metadata"), "/metadata", f"{STATED}none", ""),
        (lambda d: d.update(prior=7), "/prior", f"{STATED}7", ""),
        (lambda d: d.update(prior=d["prior"].upper()), "/prior", STATED, ""),
        (lambda d: d.update(absent="0" * 64), "edited.h5: /digests", "datasets of the file", "absent"),
    ],
    ids=["none", "none of the metadata", "a number", "upper case", "of nothing"],
)
def test_digests_that_do_not_match_the_file_are_found(
    sound: Path, tmp_path: Path, change: Callable[[Any], object], path: str, expected: str, found: str
) -> None:
    (finding,) = validate(with_digests(sound, tmp_path / "edited.h5", change)).findings
    assert (finding.code, finding.level, finding.path) == ("digest", "required", path)
    assert expected in finding.expected
    assert found in finding.found


def test_a_release_without_digests_is_refused(sound: Path, tmp_path: Path) -> None:
    target = tmp_path / "bare.h5"
    with open_store(sound) as store, ReleaseWriter(target) as writer:
        for name, dataset in store.parts[0].file.datasets.items():
            if name != DIGESTS:
                writer.write(name, dataset.dtype.str, dataset.shape, [dataset.read()])
    (finding,) = validate(target).findings
    assert finding.code == "readable"
    assert "/digests: no such dataset" in finding.found


def test_the_digests_of_every_part_are_compared(sharded: Path, tmp_path: Path, rewritten: Callable[..., Path]) -> None:
    document = json.loads(sharded.read_text())
    names = [entry["file"] for entry in document["files"]]
    for name in names:
        shutil.copyfile(sharded.with_name(name), tmp_path / name)
    shutil.move(rewritten(nudge("events/x"), of=tmp_path / names[2], stale=True), tmp_path / names[2])
    document["files"][2]["bytes"] = (tmp_path / names[2]).stat().st_size
    manifest = tmp_path / sharded.name
    manifest.write_text(json.dumps(document))
    assert [(f.code, f.path) for f in validate(manifest).findings] == [("digest", f"{names[2]}: /events/x")]
