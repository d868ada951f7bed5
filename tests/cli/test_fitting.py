"""The commands fit and compare, as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import uproot
from click.testing import CliRunner, Result

from omnifold_pub.cli.comparing import compare
from omnifold_pub.cli.console import Group
from omnifold_pub.cli.fitting import fit

THEORY = ("--tree", "events", "--weight", "weight", "--unit", "pb", "--sentinel", "-99")
MASS = ("-o", "m_trackj1", "-b", "0,7,14,26,60")
MAIN = Group("omnifold-pub", commands={"fit": fit, "compare": compare})


def run(*arguments: object) -> Result:
    return CliRunner().invoke(MAIN, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, zjets: Path) -> dict[str, Path]:
    """Theories with heavier leading jets by 0, 2 and 4 %, the first with branches to reweight it."""
    with uproot.open(zjets / "theory.root") as file:
        arrays = file["events"].arrays(["m_trackj1", "weight"], library="np")
    mass, weight = arrays["m_trackj1"], arrays["weight"]
    folder, found = tmp_path_factory.mktemp("theories"), {}
    tilt = np.where(mass > 0, np.tanh((mass - 12) / 10), 0)
    for percent in (0, 2, 4):
        path = folder / f"heavier_{percent}.root"
        moved = np.where(mass > 0, mass * (1 + percent / 100), mass)
        with uproot.recreate(path) as out:
            branches = {"m_trackj1": moved, "weight": weight, "w1": weight * tilt, "w2": weight * tilt**2 / 2}
            out["events"] = branches
        found[str(percent)] = path
    return found


@pytest.mark.parametrize("command", ["fit", "compare"])
def test_help_says_what_and_how(command: str) -> None:
    outcome = run(command, "--help")
    assert outcome.exit_code == 0
    assert "Example: omnifold-pub" in outcome.stdout


def test_templates_are_fitted(quick_release: Path, files: dict[str, Path]) -> None:
    outcome = run("fit", quick_release, "--template", "mu", files["0"], *THEORY, *MASS)
    assert outcome.exit_code == 0, outcome.stderr
    assert "for 3 dof, p = " in outcome.stdout
    printed = json.loads(run("fit", quick_release, "--template", "mu", files["0"], *THEORY, *MASS, "--json").stdout)
    (mu,) = printed["parameters"]
    assert mu["name"] == "mu"
    assert mu["lower"] < mu["value"] < mu["upper"]
    assert 0.5 < mu["value"] < 1.5
    assert printed["dof"] == 3


def test_a_grid_is_fitted(quick_release: Path, files: dict[str, Path]) -> None:
    nodes = [word for percent, path in files.items() for word in ("--grid", percent, path)]
    outcome = run("fit", quick_release, *nodes, "--parameter", "percent", *THEORY, *MASS, "--json")
    assert outcome.exit_code == 0, outcome.stderr
    (parameter,) = json.loads(outcome.stdout)["parameters"]
    assert parameter["name"] == "percent"
    assert 0 <= parameter["value"] <= 4


def test_a_reweighting_is_fitted(quick_release: Path, files: dict[str, Path]) -> None:
    model = ("--fixed", files["0"], "--reweight", "c", "w1", "w2")
    outcome = run("fit", quick_release, *model, *THEORY, *MASS, "--level", 0.95, "--json")
    assert outcome.exit_code == 0, outcome.stderr
    printed = json.loads(outcome.stdout)
    assert printed["level"] == 0.95
    assert printed["parameters"][0]["name"] == "c"
    less = run("fit", quick_release, *model, *THEORY, *MASS, "--leave-out", "muscale_up", "--json")
    assert "muscale_up" not in json.loads(less.stdout)["components"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "expected one kind of model"),
        (("--reweight", "c", "w1", "-"), "together with --fixed"),
        (("--template", "mu", "{0}", "--grid", "1", "{0}"), "expected one kind of model"),
        (("--grid", "1", "{0}", "--fixed", "{0}"), "not with --grid"),
        (("--grid", "1", "{0}", "--grid", "1", "{2}"), "is given twice"),
        (("--template", "mu", "{0}", "--template", "mu", "{2}"), "is given twice"),
    ],
)
def test_a_wrong_call(quick_release: Path, files: dict[str, Path], arguments: tuple[str, ...], message: str) -> None:
    filled = [word.format(files["0"], "", files["2"]) for word in arguments]
    outcome = run("fit", quick_release, *filled, *THEORY, *MASS)
    assert outcome.exit_code == 2
    assert message in outcome.stderr
    assert outcome.stdout == ""


def test_a_grid_of_two_is_refused(quick_release: Path, files: dict[str, Path]) -> None:
    outcome = run("fit", quick_release, "--grid", 0, files["0"], "--grid", 2, files["2"], *THEORY, *MASS)
    assert outcome.exit_code == 1
    assert "found 2 nodes, so that they are too few" in outcome.stderr


def test_compare_says_where_chi2_comes_from(quick_release: Path, zjets: Path) -> None:
    outcome = run("compare", quick_release, zjets / "theory.root", *THEORY, *MASS)
    assert outcome.exit_code == 0, outcome.stderr
    for words in (
        "for 4 dof, p = ",
        "with an exact theory",
        "shapes alone",
        "sum over m_trackj1",
        "components pay",
        "Directions",
    ):
        assert words in outcome.stdout
    printed = json.loads(run("compare", quick_release, zjets / "theory.root", *THEORY, *MASS, "--json").stdout)
    assert printed["bins"] == 4
    assert 0 < printed["p_value"] < 1
    assert sum(one["chi2_share"] for one in printed["dissection"]["bins"]) == pytest.approx(printed["chi2"])
    assert printed["shape"]["dof"] == 3
    assert printed["without_theory_uncertainty"]["chi2"] > printed["chi2"]
    assert printed["normalisation"][0]["observable"] == "m_trackj1"


def test_compare_in_shape(quick_release: Path, zjets: Path) -> None:
    outcome = run(
        "compare", quick_release, zjets / "theory.root", *THEORY, *MASS, "--shape", "--leave-out", "pileup_up"
    )
    assert outcome.exit_code == 0, outcome.stderr
    assert "shapes: chi2 = " in outcome.stdout
    assert "pileup_up" not in outcome.stdout
    assert [line.split()[:3] for line in outcome.stdout.splitlines()[2:5]] == [
        ["0", "-", "7"],
        ["7", "-", "14"],
        ["14", "-", "26"],
    ]
    assert "follows from its others" in outcome.stdout


def test_bins_say_which_observable_they_are_of(quick_release: Path, zjets: Path) -> None:
    two = (*MASS, "-o", "pT_ll", "-b", "200,300,1000")
    outcome = run("compare", quick_release, zjets / "theory.root", *THEORY, *two)
    assert outcome.exit_code == 0, outcome.stderr
    assert "(m_trackj1: 0 - 7)" in outcome.stdout
    printed = json.loads(run("compare", quick_release, zjets / "theory.root", *THEORY, *two, "--json").stdout)
    labels = [one["label"] for one in printed["dissection"]["bins"]]
    assert labels[0] == "m_trackj1: 0 - 7"
    assert labels[-1] == "pT_ll: 300 - 1000"


def test_a_comparison_stands_where_a_further_test_is_not_to_be_had(quick_release: Path, zjets: Path) -> None:
    """Without any component but the detector's three variations only the theory's own events fill the covariance."""
    less = [word for name in ("ensemble", "data_bootstrap", "mc_bootstrap") for word in ("--leave-out", name)]
    outcome = run("compare", quick_release, zjets / "theory.root", *THEORY, *MASS, *less)
    assert outcome.exit_code == 0, outcome.stderr
    assert "  with an exact theory: no test: the covariance of 4 bins has rank 3" in outcome.stdout
    assert "  shapes alone: chi2 = " in outcome.stdout
    assert "Directions that disagree most" in outcome.stdout
    printed = json.loads(run("compare", quick_release, zjets / "theory.root", *THEORY, *MASS, *less, "--json").stdout)
    assert "has rank 3" in printed["without_theory_uncertainty"]["refused"]
    assert printed["shape"]["dof"] == 3


def test_a_selection_of_events_is_fitted(quick_release: Path, files: dict[str, Path], zjets: Path) -> None:
    theory = ("--template", "mu", zjets / "theory.root", *THEORY, *MASS)
    found = [
        json.loads(run("fit", quick_release, *theory, *where, "--json").stdout)["prediction"]
        for where in ((), ("--where", "pT_ll > 250"))
    ]
    assert 0 < sum(found[1]) < sum(found[0])


def test_several_theories_are_ranked(quick_release: Path, files: dict[str, Path]) -> None:
    outcome = run("compare", quick_release, *files.values(), *THEORY, *MASS)
    assert outcome.exit_code == 0, outcome.stderr
    assert all(path.name in outcome.stdout for path in files.values())
    printed = json.loads(run("compare", quick_release, *files.values(), *THEORY, *MASS, "--json").stdout)
    p_values = [one["p_value"] for one in printed["theories"]]
    assert p_values == sorted(p_values, reverse=True)
    assert len(p_values) == 3


def test_one_bin_has_no_shape(quick_release: Path, zjets: Path) -> None:
    one = ("-o", "m_trackj1", "-b", "0,60")
    assert (
        json.loads(run("compare", quick_release, zjets / "theory.root", *THEORY, *one, "--json").stdout)["shape"]
        is None
    )
    outcome = run("compare", quick_release, zjets / "theory.root", *THEORY, *one)
    assert outcome.exit_code == 0, outcome.stderr
    assert "shapes alone" not in outcome.stdout
