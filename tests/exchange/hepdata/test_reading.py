"""Submissions that are read back, and those that are damaged."""

from __future__ import annotations

import gzip
import io
import json
import re
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from omnifold_pub import JointMeasurement, Measurement, Release
from omnifold_pub.errors import ReleaseError
from omnifold_pub.exchange.hepdata import read_submission
from omnifold_pub.exchange.methods import Exchangeable
from omnifold_pub.measurement import Estimate
from tests.exchange.hepdata.conftest import EDGES, Write


def test_every_number_comes_back(every_kind_folder: Path, every_kind: JointMeasurement) -> None:
    back = JointMeasurement.from_dict(read_submission(every_kind_folder))
    assert back.to_dict() == every_kind.to_dict()
    for component in every_kind.components:
        assert (back.covariance(component.name) == every_kind.covariance(component.name)).all()
        assert (back.members(component.name) == every_kind.members(component.name)).all()


def test_its_tests_are_the_same(write: Write, x: Measurement) -> None:
    back = Measurement.from_dict(read_submission(write(x, "s.tar.gz")))
    prediction = x.nominal * np.linspace(0.9, 1.1, 4)
    for options in ({}, {"shape_only": True}, {"leave_out": ["pdf"]}):
        assert back.chi2(prediction, **options) == x.chi2(prediction, **options)


@pytest.mark.parametrize(
    ("what", "edges"),
    [
        ({"components": ["event_sampling"]}, EDGES),
        ({}, [-1, 0, 1, 50, 60]),
        ({"density": True}, np.linspace(-1, 1, 75)),
    ],
    ids=["no members", "an empty bin", "attached matrices"],
)
def test_odd_ones_come_back_too(write: Write, release: Release, what: dict[str, Any], edges: Any) -> None:
    measured = release.measure("x", edges, **what)
    assert Measurement.from_dict(read_submission(write(measured))).to_dict() == measured.to_dict()


def test_members_may_be_left_out(x: Measurement, tmp_path: Path) -> None:
    Exchangeable.to_hepdata(x, tmp_path / "submission", members=False)
    back = Measurement.from_dict(read_submission(tmp_path / "submission"))
    assert back.to_dict() == x.to_dict(members=False)
    assert "member_values" not in (tmp_path / "submission/omnifold_pub.json").read_text()


def test_what_is_no_measurement_is_refused_as_one(every_kind_folder: Path) -> None:
    with pytest.raises(ReleaseError, match="expected measurement; found joint"):
        Measurement.from_dict(read_submission(every_kind_folder))


def test_archives_with_a_folder_inside_are_read(write: Write, x: Measurement, tmp_path: Path) -> None:
    folder = write(x)
    expected = read_submission(folder)
    shutil.make_archive(str(tmp_path / "zipped"), "zip", tmp_path, "submission")
    shutil.make_archive(str(tmp_path / "tarred"), "tar", tmp_path, "submission")
    for name in ("zipped.zip", "tarred.tar"):
        assert read_submission(tmp_path / name) == expected


def in_file(name: str, old: str, new: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1))

    return damage


def pattern(name: str, old: str, new: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        text, count = re.subn(old, new, (folder / name).read_text(), count=1)
        assert count
        (folder / name).write_text(text)

    return damage


def in_layout(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        document = json.loads((folder / "omnifold_pub.json").read_text())
        change(document)
        (folder / "omnifold_pub.json").write_text(json.dumps(document))

    return damage


VARIANCE = r'"Covariance".*\n.*\n  - .*'
ERROR = r'symerror: [^,]*, label: "sys,shift"'


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda f: (f / "submission.yaml").unlink(), "expected a submission with submission.yaml; found none"),
        (lambda f: (f / "omnifold_pub.json").unlink(), "the attached file omnifold_pub.json; found none"),
        (lambda f: (f / "x.yaml").unlink(), "the data file of table 'x'"),
        (in_file("submission.yaml", "data_file: x.yaml", "data_file: ../x.yaml"), "the data file of table 'x'"),
        (in_file("submission.yaml", "name: x\n", "name: other\n"), "a table 'x'; found"),
        (in_file("submission.yaml", "comment:", "]comment:"), "YAML in submission.yaml"),
        (in_file("x.yaml", "{low: -2.0, high: -0.7}", "{low: -2.0, high: -0.8}"), "the bins of table 'x'"),
        (pattern("x.yaml", ERROR, 'symerror: 0.1, label: "sys,shift"'), "of shift in row 1 of table 'x'"),
        (pattern("x.yaml", ERROR, 'symerror: big, label: "sys,shift"'), "finite numbers in table 'x'; found 'big'"),
        (pattern("x.yaml", ERROR, "symerror: 0.1"), "errors with labels in table 'x'"),
        (pattern("x.yaml", "- value: [^\n]*", "- value: .nan"), "finite numbers in table 'x'; found nan"),
        (in_file("x.yaml", "dependent_variables:\n- header", "dependent:\n- header"), "independent_variables"),
        (pattern("Covariance_of_shift.yaml", r"  - \{value: [^1-9].*\n", ""), "16 rows in table"),
        (pattern("Covariance_of_all_components.yaml", VARIANCE, "x}\n  values:\n  - {value: -1.0}"), "not negative"),
        (in_layout(lambda d: d.update(format="other")), "omnifold_pub.json: expected format"),
        (in_layout(lambda d: d.update(version=2)), "expected version 1, which this program reads; found 2"),
        (in_layout(lambda d: d.update(values=["x", "y"])), "a table for each of 1 statistics; found 2"),
        (in_layout(lambda d: d.update(values=[1])), "names of tables under values"),
        (in_layout(lambda d: d.update(matrices="none")), "11 covariances in tables or files; found 11 in 'none'"),
        (in_layout(lambda d: d.update(measurement=[])), "a measurement without its numbers"),
        (in_layout(lambda d: d["measurement"].pop("components")), "observables and components"),
        (in_layout(lambda d: d["measurement"]["observables"][0].pop("axes")), "a statistic that can be made"),
        (lambda f: (f / "omnifold_pub.json").write_text("{"), "omnifold_pub.json: expected a JSON document"),
    ],
)  # fmt: skip
def test_damage_is_told(write: Write, x: Measurement, damage: Callable[[Path], None], said: str) -> None:
    folder = write(x)
    damage(folder)
    with pytest.raises(ReleaseError) as told:
        read_submission(folder)
    assert said in str(told.value)


def test_a_value_that_was_changed_does_not_fit_to_its_members(write: Write, x: Measurement) -> None:
    folder = write(x)
    pattern("x.yaml", "- value: [^\n]*", "- value: 1.0")(folder)
    with pytest.raises(ReleaseError, match="the covariance of its members"):
        Measurement.from_dict(read_submission(folder))


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"no gzip", id="no gzip"),
        pytest.param(gzip.compress(b"1,2\n3,4\n"), id="too few rows"),
        pytest.param(gzip.compress(b"a,b\n"), id="no numbers"),
    ],
)
def test_a_damaged_matrix_is_told(write: Write, release: Release, content: bytes) -> None:
    folder = write(release.measure("x", np.linspace(-1, 1, 75)))
    (folder / "Covariance_of_shift.csv.gz").write_bytes(content)
    with pytest.raises(ReleaseError, match=r"Covariance_of_shift\.csv\.gz: expected"):
        read_submission(folder)


def test_no_archive_writes_to_the_disk_or_fills_the_memory(tmp_path: Path, monkeypatch: Any) -> None:
    with tarfile.open(tmp_path / "evil.tar.gz", "w:gz") as tar:
        for name, size in (("../outside", 5), ("submission.yaml", 5)):
            entry = tarfile.TarInfo(name)
            entry.size = size
            tar.addfile(entry, io.BytesIO(bytes(size)))
    before = set(tmp_path.parent.rglob("*"))
    with pytest.raises(ReleaseError, match=r"the attached file omnifold_pub\.json; found none"):
        read_submission(tmp_path / "evil.tar.gz")
    assert set(tmp_path.parent.rglob("*")) == before
    monkeypatch.setattr("omnifold_pub.exchange.hepdata.bundle._LARGEST", 9)
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr("submission.yaml", "x" * 10)
    for name in ("evil.tar.gz", "evil.zip"):
        with pytest.raises(ReleaseError, match="expected at most 9 bytes in all, unpacked"):
            read_submission(tmp_path / name)


@pytest.mark.parametrize("name", ["absent", "absent.tar.gz", "text.txt", "text.zip", "text.tgz"])
def test_what_is_no_submission_is_refused(tmp_path: Path, name: str) -> None:
    if name.startswith("text"):
        (tmp_path / name).write_text("words")
    with pytest.raises(ReleaseError, match=f"{name}: expected a"):
        read_submission(tmp_path / name)


def test_the_method_reads_its_own_class(write: Write, x: Measurement) -> None:
    class Readable(Measurement, Exchangeable):
        pass

    folder = write(x)
    assert Readable.from_hepdata.__func__(Measurement, folder).to_dict() == x.to_dict()  # type: ignore[attr-defined]
    assert isinstance(Readable.from_hepdata.__func__(Estimate, folder), Measurement)  # type: ignore[attr-defined]
