"""The closure command as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import uproot
from click.testing import CliRunner, Result

from omnifold_pub import UnfoldingResult, open_release
from omnifold_pub.cli import console, main
from omnifold_pub.cli.closure import closure
from omnifold_pub.closure import gathered
from omnifold_pub.report import write_report

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


def test_what_was_found_goes_into_the_metadata_and_the_report(
    tmp_path: Path, quick_run: tuple[Path, UnfoldingResult], quick_release: Path, zjets: Path
) -> None:
    bins = ("-o", "pT_ll", "-b", "200,250,1000", "--no-classifier", "--json")
    printed = run(quick_release, zjets / "data_truth.root", *TREE, *bins)
    assert printed.exit_code == 0, printed.stderr
    table = tmp_path / "table.json"
    table.write_text(printed.stdout)
    path = tmp_path / "release.h5"
    outcome = CliRunner().invoke(main, ["publish", str(quick_run[0]), str(path), "--closure", str(table)])
    assert outcome.exit_code == 0, outcome.output
    with open_release(path) as release:
        told = release.metadata["closure"]
        assert told["performed"]
        results = gathered(told["results"])
        assert (results[0].name, results[0].statistic) == ("pT_ll", "chi2")
        expected = json.loads(printed.stdout)["observables"][0]["chi2"]["prior"]
        assert results[0].prior == pytest.approx(expected, rel=1e-3)
        page = write_report(release, tmp_path / "report.html", observables={"pT_ll": [200, 250, 1000]}).read_text()
    assert "sliced Wasserstein-1 distance</td>" in page
    assert "by chance alone" in page
    assert "effective events, step 1" in page
    refused = CliRunner().invoke(
        main, ["publish", str(quick_run[0]), str(tmp_path / "b.h5"), "--closure", str(zjets / "samples.json")]
    )
    assert refused.exit_code == 1
    assert "expected what omnifold-pub closure --json prints" in refused.output
    assert not (tmp_path / "b.h5").exists()
