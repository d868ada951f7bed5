"""The closure command as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import uproot
from click.testing import CliRunner, Result

from omnifold_pub import open_release
from omnifold_pub.cli import console
from omnifold_pub.cli.closure import closure

TREE = ("--tree", "events", "--weight", "weight", "--unit", "pb", "--sentinel", "-99")
X = ("-o", "x", "-b", "-10,-1,0,1,10")


def run(*arguments: object) -> Result:
    group = console.Group(commands={"closure": closure})
    return CliRunner().invoke(group, ["closure", *map(str, arguments)])


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory, published: Path) -> Path:
    """The release's events under its nominal weights, with a sentinel, as a ROOT file."""
    path = tmp_path_factory.mktemp("truth") / "truth.root"
    with open_release(published) as release, uproot.recreate(path) as file:
        columns = {name: release.events[name].astype(float) for name in release.events}
        columns["y"] = np.where(np.isnan(columns["y"]), -99, columns["y"])
        columns["weight"] = release.nominal_weights.astype(float)
        file["events"] = columns
    return path


def test_the_truth_itself_is_at_no_distance(published: Path, truth: Path) -> None:
    outcome = run(published, truth, *TREE, *X, "-o", "y", "-b", "0,15,40,400", "--no-classifier", "--json")
    assert outcome.exit_code == 0, outcome.stderr
    found = json.loads(outcome.stdout)
    assert [row["observable"] for row in found["observables"]] == ["x", "y"]
    for row in found["observables"]:
        assert row["chi2"]["unfolded"] == pytest.approx(0, abs=1e-6)
        assert row["wasserstein"]["unfolded"] == pytest.approx(0, abs=1e-6)
        assert row["p_value"] > 0.99
    assert found["classifier_auc"] is None


def test_the_table(published: Path, truth: Path) -> None:
    outcome = run(published, truth, *TREE, *X, "--no-classifier")
    assert outcome.exit_code == 0, outcome.stderr
    for words in ("than the prior", "nearer", "4.0 +- 2.8", "triangular", "sliced Wasserstein-1"):
        assert words in outcome.stdout
    assert "AUC" not in outcome.stdout


def test_all_observables_by_default_and_bins_as_proposed(published: Path, truth: Path) -> None:
    outcome = run(published, truth, *TREE, "-n", 3, "--no-classifier", "--no-prior", "--json")
    assert outcome.exit_code == 0, outcome.stderr
    found = json.loads(outcome.stdout)
    with open_release(published) as release:
        assert [row["observable"] for row in found["observables"]] == list(release.events)
        assert found["observables"][0]["edges"] == release.suggest_bins("x", 3).edges.tolist()
    assert found["sliced_wasserstein"]["prior"] is None


def test_a_classifier_is_trained_unless_told_otherwise(published: Path, truth: Path) -> None:
    outcome = run(published, truth, *TREE, *X)
    assert outcome.exit_code == 0, outcome.stderr
    assert "AUC of a classifier" in outcome.stdout


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("-o", "x", "-o", "x"), "given twice"),
        (("-o", "x", "-o", "y", "-b", "0,1"), "one --bins for each"),
        (("-b", "0,1"), "one --bins for each"),
        (("-o", "x", "-b", "0,one"), "bin edges"),
        (("-o", "nothing"), "nothing"),
    ],
)
def test_calls_that_cannot_be_followed(published: Path, truth: Path, arguments: tuple[str, ...], expected: str) -> None:
    outcome = run(published, truth, *TREE, "--no-classifier", *arguments)
    assert outcome.exit_code == 2
    assert expected in outcome.stderr
