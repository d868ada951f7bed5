"""The page: whole, safe, told apart by a screen reader, right."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from omnifold_pub import open_release, publish, validate
from omnifold_pub.report import write_report
from omnifold_pub.report.writing import LARGEST
from tests.conftest import make_result
from tests.format.serving import serving
from tests.report.conftest import BINS, HOSTILE, a_theory
from tests.report.pages import Page


@pytest.fixture(params=["whole", "hostile"])
def page(request: pytest.FixtureRequest) -> Page:
    path: Path = request.getfixturevalue(request.param)
    assert path.stat().st_size < LARGEST
    return Page.of(path.read_text())


def test_nothing_is_loaded_and_nothing_runs(page: Page) -> None:
    assert page.loaded() == []
    for picture in page.pictures:
        assert picture.count(b"<svg") == 1
        assert b"<script" not in picture
        assert b"http://evil" not in picture
    (policy,) = [one["content"] for one in page.all("meta") if one.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "script-src" not in policy


def test_headings_pictures_and_tables_can_be_heard(page: Page) -> None:
    assert page.all("html") == [{"lang": "en"}]
    levels = [level for level, _ in page.headings]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert all(text.strip() for _, text in page.headings)
    for image in page.all("img"):
        assert len((image["alt"] or "").split()) > 8
    assert page.all("table")
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(cell.get("scope") in ("col", "row", "colgroup") for cell in page.all("th"))
    names = {one["id"] for _, one in page.elements if "id" in one}
    links = [one["href"] or "" for one in page.all("a")]
    assert {link[1:] for link in links if link.startswith("#")} <= names


def test_hostile_text_is_shown_as_text(hostile: Path) -> None:
    content = hostile.read_text()
    assert "<script" not in content
    page = Page.of(content)
    assert "1337" not in page.text.replace(HOSTILE, "")  # 7 * 191: nobody evaluated it
    assert page.text.count(HOSTILE) > 30
    assert page.headings[0] == (1, HOSTILE)


def test_the_three_answers_come_first(whole: Path) -> None:
    headings = [text for _, text in Page.of(whole.read_text()).headings]
    assert headings[:5] == [
        "Made by hand",
        "Three answers",
        "How large are the uncertainties, and which dominate?",
        "Is the unfolding trustworthy?",
        "Where is it not valid?",
    ]


def test_all_that_there_is_to_say_is_said(whole: Path) -> None:
    page = Page.of(whole.read_text())
    for words in (
        "x between -10 and 10",
        "Training diagnostics, which need no truth",
        "Stopped:",
        "sliced Wasserstein-1",
        "Closure, as the publisher reports it",
        "The target again, with noise",
        "Nobody looked beyond",
        "A note",
        "does not vouch for",
        "Nobody (",
        "arXiv:1911.09107",
        "This is a toy, not a measurement of nature.",
        "a shape",
    ):
        assert words in page.text, words


def test_numbers_are_those_of_the_release(whole: Path) -> None:
    page = Page.of(whole.read_text())
    with open_release(whole.parent / "whole.h5") as release:
        total = release.estimate(lambda _, weights: float(weights.sum()))
        with pytest.warns(match="does not vouch"):
            joint = release.measure(BINS)
        weights, x = release.nominal_weights.astype(float), release.events["x"]
    (budget,) = [table for table in page.tables if table[0][0] == "component"]
    errors = {row[0]: float(row[3]) for row in budget[1:]}
    assert errors["total"] == pytest.approx(total.uncertainties()[0], rel=0.06)
    for component in total.components:
        assert errors[component.name] == pytest.approx(total.uncertainties(component.name)[0], rel=0.06)
    (bins,) = [table for table in page.tables if table[0][:2] == ["spectrum", "bins"] and "median" in table[0]]
    relative = 100 * joint["x"].uncertainties() / joint["x"].values()
    shown = [float(cell.replace("\N{NO-BREAK SPACE}%", "")) for cell in bins[1][2:5]]
    assert shown == pytest.approx([relative.min(), np.median(relative), relative.max()], rel=0.06)
    (tails,) = [table for table in page.tables if table[0][:2] == ["spectrum", "bins from"]]
    highest = float(tails[1][6])
    tail = weights[x >= highest * (1 - 1e-5)]
    beyond = weights[x > highest * (1 + 1e-5)]
    assert tail.sum() ** 2 / (tail**2).sum() >= 20
    assert beyond.sum() ** 2 / (beyond**2).sum() < 20


def test_the_theories_chi2_are_those_of_compare(whole: Path) -> None:
    from omnifold_pub import compare

    page = Page.of(whole.read_text())
    (table,) = [table for table in page.tables if table[0][0] == "theory"]
    with open_release(whole.parent / "whole.h5") as release:
        with pytest.warns(match="does not vouch"):
            joint = release.measure(BINS)
        total = float(release.nominal_weights.sum())
    rows = {(row[0], row[1]): row for row in table[1:]}
    for name in BINS:
        test = compare(joint[name], a_theory(total=total)).test
        row = rows["theory", name]
        assert row[2:5] == ["cross section", f"{test.chi2:.1f}", str(test.dof)]
        assert rows["a shape", name][2] == "shape"
        assert rows["a shape", name][4] == str(test.dof - 1)


def test_the_lines_of_python_run_where_the_release_lies(whole: Path, hostile: Path) -> None:
    for path in (whole, hostile):
        code = Page.of(path.read_text()).code[0]
        assert len([line for line in code.splitlines() if line]) <= 5
        command = [sys.executable, "-W", "ignore", "-c", code]
        printed = subprocess.run(command, cwd=path.parent, capture_output=True, text=True, check=True).stdout
        assert "total %" in printed


def test_a_release_without_replicas_closure_or_diagnostics(bare: Callable[..., Path], tmp_path: Path) -> None:
    with open_release(bare()) as release:
        write_report(release, tmp_path / "report.html")
    page = Page.of((tmp_path / "report.html").read_text())
    assert page.loaded() == []
    assert "Nothing shows it: the release carries no closure test." in page.text
    assert "The release records no diagnostics of its trainings." in page.text
    assert "Training diagnostics" not in page.text
    assert "mostly sampling" in page.text
    assert len(page.pictures) == 5  # four spectra, correlation


def test_where_no_bin_is_vouched_for_it_says_so(bare: Callable[..., Path], tmp_path: Path) -> None:
    validity = {"minimum_effective_events_per_bin": 10_000, "severity": "error", "notes": []}
    with open_release(bare(validity=validity)) as release:
        write_report(release, tmp_path / "report.html")
    page = Page.of((tmp_path / "report.html").read_text())
    assert "No spectrum can be shown" in page.text
    assert "No bin can be vouched for in x, y, n, z." in page.text
    assert "release.estimate" in page.code[0]


def test_a_release_in_several_files(tmp_path: Path) -> None:
    path = publish(make_result(), tmp_path / "parts.manifest.json", shard_events=200)
    with open_release(path) as release:
        write_report(release, tmp_path / "report.html", observables=["x"])
    page = Page.of((tmp_path / "report.html").read_text())
    assert page.loaded() == []
    assert "parts.manifest.json" in page.code[0]


@pytest.mark.slow
def test_a_look_alike_of_the_atlas_release(project: Path, tmp_path: Path) -> None:
    def call(*command: object) -> None:
        subprocess.run([sys.executable, *map(str, command)], cwd=tmp_path, check=True, capture_output=True)

    events = ("--events", 2000, "--sherpa-events", 1500, "--nondy-events", 1500)
    call(project / "scripts/make_atlas_lookalike.py", ".", *events)
    files = ("multifold.h5", "multifold_sherpa.h5", "multifold_nonDY.h5")
    call("-m", "omnifold_pub.cli", "import", "atlas", *files, "--data-kind", "pseudodata", "--release", "atlas.h5")
    with open_release(tmp_path / "atlas.h5") as release:
        write_report(release, tmp_path / "report.html", observables={"pT_ll": [200, 250, 300, 1000]})
    page = Page.of((tmp_path / "report.html").read_text())
    assert page.loaded() == []
    assert "Some of the bins shown here are outside of the limits" in page.text  # 5,000 effective events are asked for
    assert "the publisher does not vouch for 'pT_ll' in 200 - 250" in page.text
    (budget,) = [table for table in page.tables if table[0][0] == "component"]
    assert {"lumi", "sherpa", "nonDY", "bootstrap_data"} <= {row[0] for row in budget}


def test_the_reference_release_is_judged_as_it_is(project: Path, tmp_path: Path) -> None:
    path = project / "release/zjets/zjets.h5"
    said: list[tuple[int, int, str]] = []
    ratio = "tau2_trackj1 / tau1_trackj1"
    observables: dict[str, Any] = {"pT_ll": [200, 230, 300, 1000], ratio: [0.2, 0.4, 0.6, 0.8, 1.0]}
    with open_release(path) as release:
        write_report(
            release,
            tmp_path / "report.html",
            observables=observables,
            validation=validate(path),
            progress=lambda *state: said.append(state),
        )
    page = Page.of((tmp_path / "report.html").read_text())
    assert page.loaded() == []
    assert f"Not in everything: closure fails for {ratio}" in page.text
    assert "The classifiers' odds are not calibrated to within their errors." in page.text
    assert "In nature (this is pseudo-data), outside of the fiducial region" in page.text
    assert len(page.pictures) == 5  # two spectra, correlation, closure, training
    assert {what for _, _, what in said} >= {"choosing bins", "closure tests", "drawing"}
    for what in {what for _, _, what in said}:
        done, total, _ = [state for state in said if state[2] == what][-1]
        assert done == total, what


def test_a_release_at_a_url_is_not_validated(whole: Path, tmp_path: Path) -> None:
    with serving(whole.parent) as server, open_release(f"{server.url}/whole.h5?token=secret") as release:
        write_report(release, tmp_path / "report.html", observables=["x"])
    page = Page.of((tmp_path / "report.html").read_text())
    assert page.loaded() == []
    assert "The file was not validated" in page.text
    assert "open_release('whole.h5')" in page.code[0]
    assert "secret" not in page.text


def test_pictures_that_do_not_fit_are_left_out_and_counted(
    bare: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("omnifold_pub.report.writing._ROOM", 150_000)
    with open_release(bare()) as release:
        write_report(release, tmp_path / "report.html")
    page = Page.of((tmp_path / "report.html").read_text())
    drawn = sum((image["alt"] or "").startswith("Unfolded spectrum") for image in page.all("img"))
    assert 0 < drawn < 4
    assert f"{4 - drawn} more spectra are in the tables below" in page.text


def test_long_text_takes_the_place_of_pictures(
    bare: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("omnifold_pub.report.writing.LARGEST", 250_000)
    with open_release(bare(description="word " * 2000)) as release:
        path = write_report(release, tmp_path / "report.html", observables=["x", "z", "n"])
    assert path.stat().st_size < 250_000
    assert "more spectra are in the tables below" in Page.of(path.read_text()).text


def test_the_file_is_whole_or_not_there(bare: Callable[..., Path], tmp_path: Path) -> None:
    from omnifold_pub.errors import PublishError

    (tmp_path / "folder.html").mkdir()
    with open_release(bare()) as release, pytest.raises(PublishError, match="expected to write the report there"):
        write_report(release, tmp_path / "folder.html", observables=["x"])
    shutil.rmtree(tmp_path / "folder.html")
    assert not list(tmp_path.glob("*.html*"))
