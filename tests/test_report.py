"""The one-page summary, of a release made by hand."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from omnifold_pub import Release, Theory, compare, validate
from omnifold_pub.closure import closure_table
from omnifold_pub.report import Summary, write_summary
from tests.test_training_summary import DIAGNOSTICS

BINS = {"x": [-10.0, -1.0, 0.0, 1.0, 10.0], "z": [0.0, 0.5, 1.0]}


def summarise(release: Release, folder: Path, metadata: dict[str, Any]) -> str:
    path = release.path
    assert isinstance(path, Path)
    rng = np.random.default_rng(1)
    weights = np.full(300, float(release.nominal_weights.sum()) / 300)
    theory = Theory.from_arrays({"x": rng.normal(size=300), "z": rng.random(300)}, weights, unit="pb")
    joint = release.measure(BINS)
    summary = Summary(
        release=path,
        metadata=metadata,
        report=validate(path),
        measurement=joint,
        comparison=compare(joint, theory),
        closure=closure_table(release, theory, observables=BINS, classifier=False, projections=3),
        cross_section=release.estimate(lambda _, weights: float(weights.sum())),
        truth_cross_section=1.0,
        prior_cross_section=1.1,
        pictures=(),
    )
    write_summary(summary, folder / "summary.html")
    return (folder / "summary.html").read_text()


def with_diagnostics(release: Release, diagnostics: list[dict[str, Any]]) -> dict[str, Any]:
    return {**release.metadata, "unfolding": {**release.metadata["unfolding"], "diagnostics": diagnostics}}


def test_closure_and_training_are_on_the_page(release: Release, tmp_path: Path) -> None:
    page = summarise(release, tmp_path, with_diagnostics(release, DIAGNOSTICS))
    assert "http" not in page
    for words in ("triangular discriminator", "4.0 ± 2.8", "sliced Wasserstein-1", "Training diagnostics", "Stopped:"):
        assert words in page
    assert "AUC of a classifier" not in page
    auc = np.mean([fit["auc"] for one in DIAGNOSTICS for fit in one["iterations"][0]["step1"]])
    assert f"{auc:.4f}" in page
    (picture,) = re.findall(r"data:image/svg\+xml;base64,([^\"]+)", page)
    assert b"<svg" in base64.b64decode(picture)


def test_a_release_without_diagnostics_has_no_such_section(release: Release, tmp_path: Path) -> None:
    page = summarise(release, tmp_path, release.metadata)
    assert "Training diagnostics" not in page
    assert "svg" not in page


@pytest.mark.parametrize("place", ["title", "rule"])
def test_metadata_cannot_put_markup_on_the_page(release: Release, tmp_path: Path, place: str) -> None:
    bad = "<script>alert(1)</script>"
    stopped = [{**DIAGNOSTICS[0], "stopped": {"iteration": 2, "rule": bad if place == "rule" else "done"}}]
    metadata = with_diagnostics(release, stopped)
    page = summarise(release, tmp_path, {**metadata, "title": bad} if place == "title" else metadata)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
