"""The drift command as a user types it."""

from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from omnifold_pub import UnfoldingResult, open_release, publish
from omnifold_pub.cli import main
from omnifold_pub.estimators import Histogram
from omnifold_pub.reinterpret.drift import drift

X = ("-o", "x", "-b", "-2,-0.7,0.1,0.8,2.5")
Y = ("-o", "y", "-b", "0,15,40,120")
BINS: dict[str, list[float]] = {"x": [-2, -0.7, 0.1, 0.8, 2.5], "y": [0, 15, 40, 120]}


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["drift", *map(str, arguments)])


@pytest.fixture
def later(tmp_path: Path, result: UnfoldingResult) -> Path:
    """A release of twice the rate, everything else alike."""

    def double(weights: Any) -> Any:
        return (2 * np.asarray(weights[:])).astype(np.float32)

    metadata = copy.deepcopy(result.metadata)
    metadata["cross_section"]["value"] *= 2
    assert result.prior is not None
    changed = dataclasses.replace(
        result,
        nominal=double(result.nominal),
        families={name: double(family) for name, family in result.families.items()},
        prior=double(result.prior),
        closure={},
        metadata={**metadata, "closure": {"performed": False, "description": "none", "results": [], "tests": []}},
    )
    return publish(changed, tmp_path / "later.h5")


def test_the_example_of_the_help(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("old.h5", "new.h5"):
        (tmp_path / name).symlink_to(project / "release/zjets/zjets.h5")
    monkeypatch.chdir(tmp_path)
    words = (
        " ".join(run("--help").stdout.split()).partition("Example: omnifold-pub drift ")[2].partition(" Options:")[0]
    )
    outcome = run(*words.split())
    assert outcome.exit_code == 0, outcome.stderr
    assert "chi2 = 0.00 for 3, p = 1" in outcome.stdout


def test_no_change_from_itself(published: Path) -> None:
    outcome = run(published, published, *X, *Y, "--alarm", "0.05")
    assert outcome.exit_code == 0, outcome.stderr
    for words in ("Each observable by itself", "chi2 = 0.00 for 7, p = 1", "Taken as independent", "--shared NAME"):
        assert words in outcome.stdout


def test_the_document_is_that_of_the_library(published: Path, later: Path) -> None:
    outcome = run(published, later, *X, *Y, "--shared", "shift", "--leave-out", "pdf", "--json")
    assert outcome.exit_code == 0, outcome.stderr
    with open_release(published) as old, open_release(later) as new:
        expected = drift(old.measure(BINS), new.measure(BINS), shared=["shift"], leave_out=["pdf"]).to_dict()
    found = json.loads(outcome.stdout)
    assert (found.pop("old"), found.pop("new")) == (str(published), str(later))
    assert found == expected
    assert all(one["new"] == pytest.approx(2 * one["old"]) for o in found["observables"] for one in o["bins"])


def test_an_alarm_is_an_exit_status_and_a_rate_is_no_shape(published: Path, later: Path) -> None:
    assert run(published, later, *X, "--alarm", "0.9").exit_code == 1  # a toy of large uncertainties
    quiet = run(published, later, *X, "--alarm", "0.9", "--shape")
    assert quiet.exit_code == 0, quiet.stdout
    assert "chi2 = 0.00 for 3" in quiet.stdout


def test_shapes_in_the_command_are_normalised_spectra(published: Path, later: Path) -> None:
    spectra = {name: Histogram(name, edges, normalise=True) for name, edges in BINS.items()}
    with open_release(published) as old, open_release(later) as new:
        expected = drift(old.measure(spectra), new.measure(spectra)).test
    found = json.loads(run(published, later, *X, *Y, "--shape", "--json").stdout)
    assert (found["chi2"], found["dof"], found["p_value"]) == (expected.chi2, 5, expected.p_value)


@pytest.mark.parametrize(
    ("arguments", "status", "expected"),
    [
        (("--shared", "nothing"), 2, "no component"),
        (("--shared", "mc_bootstrap"), 1, "seeds"),
        (("--leave-out", "nothing"), 2, "to leave out"),
        (("--alarm", "2"), 2, "--alarm"),
    ],
)
def test_calls_that_cannot_be_followed(published: Path, arguments: tuple[str, ...], status: int, expected: str) -> None:
    outcome = run(published, published, *X, *arguments)
    assert outcome.exit_code == status
    assert expected in outcome.stderr
