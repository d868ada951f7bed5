from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from omnifold_pub import UnfoldingResult, validate
from omnifold_pub.cli import main
from omnifold_pub.demo import CLOSURE_BINS, TAU21, delta_phi_lj, dimuon_mass, run_demo
from omnifold_pub.errors import InputError
from omnifold_pub.observables.events import Events
from omnifold_pub.observables.momenta import momenta_of
from tests.report.pages import Page


@pytest.fixture(scope="module")
def quick_inputs(tmp_path_factory: pytest.TempPathFactory, zjets: Path, quick_analysis: Callable[..., Path]) -> Path:
    """The demo's inputs, with short trainings."""
    folder = tmp_path_factory.mktemp("inputs")
    for path in zjets.glob("*.root"):
        (folder / path.name).symlink_to(path)
    shutil.copy(quick_analysis(), folder / "analysis.yaml")
    return folder


@pytest.mark.slow
def test_the_demo_leaves_release_pictures_and_summary(
    tmp_path: Path, quick_inputs: Path, quick_run: tuple[Path, UnfoldingResult]
) -> None:
    output = tmp_path / "demo"
    shutil.copytree(quick_run[0], output / "run")
    outcome = CliRunner().invoke(main, ["demo", "--inputs", str(quick_inputs), "--output", str(output)])
    assert outcome.exit_code == 0, outcome.stderr
    assert validate(output / "release.h5").valid
    pictures = list(output.glob("*.png"))
    assert len(pictures) == 10
    assert all(picture.read_bytes().startswith(b"\x89PNG") for picture in pictures)
    summary = (output / "summary.html").read_text()
    page = Page.of(summary)
    assert page.loaded() == []
    assert len(page.pictures) == 9 + 3  # spectra; correlation, closure, training
    assert "Closure against the truth of the pseudo-data" in page.text
    for name in CLOSURE_BINS:
        assert name in outcome.stdout
        assert name in summary
    commands = ("info", "measure", "compare", "explore")
    look, *hints = outcome.stdout.strip().splitlines()[-1 - len(commands) :]
    assert str(output / "summary.html") in look
    assert [hint.removeprefix(f"  {sys.argv[0]} ").split()[0] for hint in hints] == list(commands)


@pytest.mark.slow
def test_metadata_cannot_put_markup_into_the_summary(
    tmp_path: Path, quick_inputs: Path, quick_run: tuple[Path, UnfoldingResult]
) -> None:
    hostile = tmp_path / "inputs"
    shutil.copytree(quick_inputs, hostile, symlinks=True)
    document = yaml.safe_load((hostile / "analysis.yaml").read_text())
    document["title"] = "<script>alert(1)</script>"
    (hostile / "analysis.yaml").write_text(yaml.safe_dump(document))
    shutil.copytree(quick_run[0], tmp_path / "demo/run")
    run_demo(tmp_path / "demo", inputs=hostile)
    summary = (tmp_path / "demo/summary.html").read_text()
    assert "<script" not in summary
    assert "&lt;script&gt;" in summary


def test_missing_inputs_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no analysis\.yaml here"):
        run_demo(tmp_path / "demo", inputs=tmp_path)


def muons_and_jet(zjets_document: dict[str, Any], **columns: float) -> Events:
    """One event, with the four-momenta that the demo's analysis declares; the jet is light."""
    columns |= {"pT_trackj1": 30, "y_trackj1": 0.5, "m_trackj1": 0}
    return Events(
        1,
        tuple(columns),
        lambda name: np.array([columns[name]], dtype=np.float32),
        where="one event",
        momenta=momenta_of(zjets_document),
    )


def test_dimuon_mass_of_muons_back_to_back(zjets_document: dict[str, Any]) -> None:
    events = muons_and_jet(zjets_document, pT_l1=45.6, eta_l1=0, phi_l1=0, pT_l2=45.6, eta_l2=0, phi_l2=np.pi)
    assert dimuon_mass(events)[0] == pytest.approx(2 * np.hypot(45.6, 0.1056583755), rel=1e-6)


@pytest.mark.parametrize(("jet", "expected"), [(np.pi, np.pi), (-np.pi, np.pi), (0.5, 0.5), (-0.5, 0.5), (3.0, 3.0)])
def test_delta_phi_is_wrapped(zjets_document: dict[str, Any], jet: float, expected: float) -> None:
    muons = {"pT_l1": 50, "eta_l1": 1, "phi_l1": 0.1, "pT_l2": 50, "eta_l2": -1, "phi_l2": -0.1}
    events = muons_and_jet(zjets_document, **muons, phi_trackj1=jet)
    assert delta_phi_lj(events)[0] == pytest.approx(expected, abs=1e-6)


@pytest.mark.slow
def test_closure_of_the_demo(project: Path) -> None:
    """The demo itself, trainings and all; what ``make demo`` left in build/demo is used again."""
    summary = run_demo(project / "build/demo", inputs=project / "tests/data/zjets")
    closure = {row.observable: row for row in summary.closure.rows}
    for name in ("Ntracks_trackj1", "m_trackj1", "tau1_trackj1", TAU21):
        assert closure[name].verdict == "nearer", name
    for name in ("pT_ll", "pT_l1"):
        assert closure[name].verdict in ("nearer", "as near"), name
    value, error = summary.cross_section.values()[0], summary.cross_section.uncertainties()[0]
    assert abs(value - summary.truth_cross_section) < error
    assert summary.prior_cross_section / summary.truth_cross_section == pytest.approx(1.046, abs=0.001)
    assert summary.report.valid
    assert summary.report.findings == ()
