"""With the reader and the validation themselves, nothing stood in for."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from omnifold_pub import UnfoldingResult, open_release, publish, verify
from omnifold_pub.deposit import package
from omnifold_pub.errors import ReleaseError


def run_examples(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Run the Python examples of a data sheet in its folder; return their names."""
    monkeypatch.chdir(folder)
    blocks = re.findall(r"^```python\n(.*?)^```", (folder / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    results: list[dict[str, Any]] = [{} for _ in blocks]
    with contextlib.redirect_stdout(io.StringIO()):
        for code, names in zip(blocks, results, strict=True):
            exec(compile(code, "README.md", "exec"), names)  # noqa: S102  the page's own examples
    return results


def check_examples(folder: Path, opened: str, monkeypatch: pytest.MonkeyPatch) -> None:
    by_package, by_hand = run_examples(folder, monkeypatch)
    np.testing.assert_allclose(
        by_hand["histogram"](by_hand["read"]("weights/nominal")), by_package["measurement"].values()
    )
    with open_release(folder / opened) as release:
        measurement = release.measure("x", by_package["edges"])
        assert by_hand["metadata"]["title"] == release.metadata["title"]
    np.testing.assert_allclose(by_package["measurement"].covariance(), measurement.covariance())
    component = measurement.covariance("data_bootstrap")
    np.testing.assert_allclose(np.cov(by_hand["spectra"], rowvar=False), component, rtol=1e-9, atol=1e-15)


def test_release_in_one_file(release_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deposit = package(release_path, tmp_path / "deposit")
    assert (deposit.folder / "release.h5").read_bytes() == release_path.read_bytes()
    beside = release_path.with_name("release.manifest.json").read_bytes()
    assert (deposit.folder / "release.manifest.json").read_bytes() == beside
    report = verify(deposit.folder / "release.h5")
    assert report.valid
    assert "file" in report.checks
    assert "hdf5plugin" not in (deposit.folder / "README.md").read_text()
    check_examples(deposit.folder, "release.h5", monkeypatch)


def test_release_that_needs_a_plugin_says_so(
    result: UnfoldingResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = publish(result, tmp_path / "release.h5", codec="blosc2-zstd")
    folder = package(path, tmp_path / "deposit").folder
    readme = (folder / "README.md").read_text()
    assert "import hdf5plugin" in readme
    assert "pip install 'omnifold-pub[codecs]'" in readme
    check_examples(folder, "release.h5", monkeypatch)


def test_release_without_its_manifest_gets_the_same_one(release_path: Path, tmp_path: Path) -> None:
    beside = release_path.with_name("release.manifest.json")
    content = beside.read_bytes()
    beside.unlink()
    assert (package(release_path, tmp_path / "deposit").folder / beside.name).read_bytes() == content


def test_release_in_several_files(result: UnfoldingResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = publish(result, tmp_path / "release.manifest.json", shard_events=200)
    deposit = package(path, tmp_path / "deposit")
    assert len([file for file in deposit.files if file.name.endswith(".h5")]) == 3
    assert verify(deposit.folder / path.name).valid
    check_examples(deposit.folder, path.name, monkeypatch)


def test_damaged_release_is_refused(release_path: Path, tmp_path: Path) -> None:
    release_path.with_name("release.manifest.json").unlink()
    release_path.write_bytes(release_path.read_bytes()[:-1000])
    with pytest.raises(ReleaseError):
        package(release_path, tmp_path / "deposit")
    assert not (tmp_path / "deposit").exists()
