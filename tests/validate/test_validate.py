"""Validation as a whole: what cannot be read, what was run, and that all that is wrong is reported at once."""

from __future__ import annotations

import itertools
import json
import math
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from omnifold_pub import validate
from omnifold_pub.errors import ReleaseError
from omnifold_pub.format.layout import declared_datasets
from omnifold_pub.format.store import open_store
from omnifold_pub.validate import CHECKS


def test_every_check_has_a_defect_that_it_finds() -> None:
    covered: set[str] = set()
    for module in Path(__file__).parent.glob("test_*.py"):
        if module.name != Path(__file__).name:
            covered |= {case[1] for case in runpy.run_path(str(module)).get("CASES", {}).values()}
    assert covered == set(CHECKS)  # what cannot be read has its own tests below


def test_a_sound_release_has_no_findings_and_every_check_was_run(sound: Path) -> None:
    report = validate(sound)
    assert report.valid
    assert report.findings == ()
    assert report.checks == ("readable", *CHECKS)


def test_all_defects_of_the_content_are_reported_at_once_in_the_order_of_the_checks(
    rewritten: Callable[..., Path],
) -> None:
    def spoil(arrays: dict[str, Any], metadata: dict[str, Any]) -> None:
        metadata["components"] = [c for c in metadata["components"] if c["kind"] not in {"scale", "event_sampling"}]
        metadata["validity"]["minimum_effective_events_per_bin"] = 5000
        metadata["cross_section"]["unit"] = "fb"
        arrays["event_id"][0] = 1497
        arrays["events/x"][4] = np.nan
        arrays["events/x"][5] = 11
        arrays["events/y"][4] = np.inf
        arrays["events/y"][5] = -99
        arrays["prior"][0] = np.nan
        arrays["weights/pdf"][3, 2] *= -1
        arrays["weights/data_bootstrap"] *= np.float32(26.5)
        arrays["weights/mc_bootstrap"][:, 1] = arrays["weights/mc_bootstrap"][:, 0]
        arrays["weights/shift"] *= np.float32(3)
        arrays["weights/nominal"][11] *= np.float32(1.001)

    def spoil_the_rest(arrays: dict[str, Any], metadata: dict[str, Any]) -> None:
        arrays["networks/tiny"][-1] += 1

    once = rewritten(spoil)
    codes = [
        ("event_sampling", "/metadata components"),
        ("luminosity", "/metadata components"),
        ("event_id", "/event_id"),
        ("columns", "/events/x"),
        ("columns", "/events/y"),
        ("range", "/events/y"),
        ("fiducial", "/events"),
        ("finite_weights", "/prior"),
        ("negative_weights", "/weights/pdf"),
        ("cross_section", "/weights/nominal"),
        ("effective_events", "/weights/nominal"),
        ("family_total", "/weights/data_bootstrap"),
        ("family_total", "/weights/shift[:, 0]"),
        ("constant_replicas", "/weights/mc_bootstrap"),
        ("central_value", "/weights/nominal"),
    ]
    assert [(finding.code, finding.path) for finding in validate(once).findings] == codes
    twice = once.rename(once.with_name("once.h5"))
    again = validate(rewritten(spoil_the_rest, of=twice, stale=True))
    codes.insert(2, ("digest", "/networks/tiny"))
    assert [(finding.code, finding.path) for finding in again.findings] == codes


# What cannot be read


def assert_unreadable(path: Path, message: str) -> None:
    report = validate(path)
    assert not report.valid
    (finding,) = report.findings
    assert (finding.code, finding.level, finding.path) == ("readable", "required", str(path))
    assert finding.expected == "a release of omnifold_pub"
    assert message in finding.found
    assert "fetch it again" in finding.hint


@pytest.mark.parametrize("name", ["absent.h5", "absent.manifest.json", ""])
def test_a_missing_file_or_a_folder_is_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(ReleaseError, match=r"no such file|not a file"):
        validate(tmp_path / name)


@pytest.mark.parametrize("content", [b"", b"x,y\n1,2\n", b"\x89HDF\r\n\x1a\r\x02"], ids=["empty", "text", "mangled"])
def test_another_format_is_not_a_release(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "release.h5"
    path.write_bytes(content)
    assert_unreadable(path, "not an HDF5 file, or a damaged one")


@pytest.mark.parametrize("libver", ["earliest", "v110"])
def test_hdf5_of_somebody_else_is_not_a_release(tmp_path: Path, libver: str) -> None:
    path = tmp_path / "other.h5"
    with h5py.File(path, "w", libver=libver) as file:
        file.create_dataset("data", data=np.arange(3), chunks=(3,), fletcher32=True)
    assert_unreadable(path, "superblock of version 0" if libver == "earliest" else "is not a release")


@pytest.mark.parametrize("lost", [1, 1000, 30_000])
def test_a_truncated_file_is_found(sound: Path, tmp_path: Path, lost: int) -> None:
    path = tmp_path / "cut.h5"
    path.write_bytes(sound.read_bytes()[:-lost])
    assert_unreadable(path, "damaged")


def flipped(path: Path, target: Path, position: int) -> Path:
    damaged = bytearray(path.read_bytes())
    damaged[position] ^= 1
    target.write_bytes(damaged)
    return target


@pytest.mark.parametrize(
    "name",
    ["weights/nominal", "weights/pdf", "prior", "events/y", "event_id", "metadata", "digests", "networks/tiny"],
)
def test_one_flipped_bit_in_a_chunk_is_found_by_its_checksum(sound: Path, tmp_path: Path, name: str) -> None:
    with h5py.File(sound) as file:
        chunk = file[name].id.get_chunk_info(0)
    path = flipped(sound, tmp_path / "flipped.h5", chunk.byte_offset + chunk.size // 2)
    assert_unreadable(path, f"/{name}: cannot be read, the file is damaged (a checksum does not fit)")


@pytest.mark.slow
def test_a_flipped_bit_anywhere_is_found_or_changes_no_data(sound: Path, tmp_path: Path) -> None:
    def values(path: Path) -> dict[str, bytes]:
        with h5py.File(path) as file:
            return {name: file[name][()].tobytes() for name in names}

    with open_store(sound) as store:
        names = list(store.parts[0].file.datasets)
    truth, size = values(sound), sound.stat().st_size
    verdicts = set()
    for position in np.random.default_rng(1).integers(0, size, 40):
        path = flipped(sound, tmp_path / "flipped.h5", int(position))
        valid = validate(path).valid
        verdicts.add(valid)
        assert not valid or values(path) == truth
    assert False in verdicts


@pytest.mark.parametrize("version", ["2.0.0", "0.9.0", "1.2.0", "", "next"])
def test_another_or_a_later_version_is_refused_with_a_hint(rewritten: Callable[..., Path], version: str) -> None:
    path = rewritten(lambda a, m: m.update(schema_version=version))
    assert_unreadable(path, f"format version {version!r}; this omnifold_pub reads 1.0.0 to 1.1.x. Upgrade it")


@pytest.mark.parametrize("version", ["1.0.0", "1.0.7", "1.1.7"])
def test_an_earlier_version_and_a_later_patch_are_read(rewritten: Callable[..., Path], version: str) -> None:
    assert validate(rewritten(lambda a, m: m.update(schema_version=version))).findings == ()


def test_what_was_found_before_the_damage_is_reported(
    sound: Path, tmp_path: Path, rewritten: Callable[..., Path]
) -> None:
    edited = rewritten(lambda a, m: a["event_id"].__setitem__(0, 3))
    with h5py.File(edited) as file:
        chunk = file["prior"].id.get_chunk_info(0)
    report = validate(flipped(edited, tmp_path / "flipped.h5", chunk.byte_offset + 9))
    assert [finding.code for finding in report.findings] == ["readable", "event_id"]


# Progress


def test_progress_counts_every_byte_once(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, int]] = []
    report = validate(sound, progress=lambda done, total, what: calls.append((done, total)))
    assert report.valid
    with h5py.File(sound) as file:
        metadata = json.loads(bytes(file["metadata"][()]))
        sizes = {name: file[name].nbytes for name in declared_datasets(metadata)}
    total = math.ceil(sum(sizes.values()) / 2**20)
    assert len(calls) >= len(sizes)
    assert {call[1] for call in calls} == {total}
    assert all(first[0] <= second[0] for first, second in itertools.pairwise(calls))
