"""export pyhf and export hs3, as a user types them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import uproot
from click.testing import CliRunner, Result

from omnifold_pub import open_release
from omnifold_pub.cli.console import Group
from omnifold_pub.cli.exchanging import export
from omnifold_pub.reinterpret.theory import Theory

MAIN = Group("omnifold-pub", commands={"export": export})
THEORY = ("--tree", "events", "--weight", "weight", "--unit", "pb", "--sentinel", "-99")
MASS = ("-o", "m_trackj1", "-b", "0,7,14,26,60")
EDGES = [0.0, 7.0, 14.0, 26.0, 60.0]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(MAIN, ["export", *map(str, arguments)])


@pytest.fixture(scope="module")
def signal(tmp_path_factory: pytest.TempPathFactory, zjets: Path) -> Path:
    """A tenth of the events, of heavy jets alone."""
    with uproot.open(zjets / "theory.root") as file:
        arrays = file["events"].arrays(["m_trackj1", "weight"], library="np")
    path = tmp_path_factory.mktemp("signal") / "signal.root"
    with uproot.recreate(path) as out:
        weight = np.where(arrays["m_trackj1"] > 14, 0.1 * arrays["weight"], 0)
        out["events"] = {"m_trackj1": arrays["m_trackj1"], "weight": weight}
    return path


@pytest.mark.parametrize("command", ["pyhf", "hs3"])
def test_help_says_what_and_how(command: str) -> None:
    outcome = run(command, "--help")
    assert outcome.exit_code == 0
    assert f"Example: omnifold-pub export {command}" in outcome.stdout
    outcome = run(command, "release.h5")
    assert outcome.exit_code == 2


@pytest.mark.parametrize("extra", [(), ("--named", "--leave-out", "muscale_up")])
def test_a_signal_beside_a_background_is_exported(
    quick_release: Path, zjets: Path, signal: Path, tmp_path: Path, extra: tuple[str, ...]
) -> None:
    background = zjets / "theory.root"
    files = ("--signal", signal, "--background", background)
    with open_release(quick_release) as release:
        measured = release.measure("m_trackj1", EDGES)
    options: dict[str, Any] = {
        "tree": "events",
        "weight": "weight",
        "unit": "pb",
        "columns": ["m_trackj1"],
        "sentinel": -99,
    }
    moved, _ = Theory.from_root(signal, **options).predict(measured)
    fixed, covariance = Theory.from_root(background, **options).predict(measured)
    leave_out = ("muscale_up",) if extra else ()
    mode: Literal["named", "whitened"] = "named" if extra else "whitened"
    arguments: dict[str, Any] = {"background": fixed, "covariance": covariance, "leave_out": leave_out}
    expected = measured.signal_strength(moved, **arguments)

    said = []
    for command in ("pyhf", "hs3"):
        outcome = run(command, quick_release, tmp_path / f"{command}.json", *files, *THEORY, *MASS, *extra)
        assert outcome.exit_code == 0, outcome.stderr
        said.append(outcome.stdout)
    assert said[0] == said[1]
    found = re.match(
        r"mu = (\S+) \+- (\S+), chi2 = (\S+) for 3 dof\nmu < (\S+) at 95% CLs; without a signal, ", said[0]
    )
    assert found
    numbers = [float(one) for one in found.groups()]
    assert numbers == pytest.approx([expected.best_fit, expected.error, expected.chi2, expected.limit], rel=2e-3)
    workspace = json.loads((tmp_path / "pyhf.json").read_text())
    np.testing.assert_allclose(
        workspace["observations"][0]["data"],
        measured.to_pyhf(moved, mode=mode, **arguments)["observations"][0]["data"],
    )
    names = {one["name"] for one in workspace["channels"][0]["samples"][0]["modifiers"]}
    assert names == ({"trackeff_down", "pileup_up"} if extra else {"inert"})
    likelihood = json.loads((tmp_path / "hs3.json").read_text())
    assert likelihood["likelihoods"][0]["name"] == "measurement"


def test_what_cannot_be_written_is_told(quick_release: Path, signal: Path, tmp_path: Path) -> None:
    out = tmp_path / "workspace.json"
    outcome = run("pyhf", quick_release, out, "--signal", signal, *THEORY, *MASS, "--leave-out", "absent")
    assert outcome.exit_code == 2
    assert "no component 'absent' to leave out" in outcome.stderr
    assert not out.exists()
    assert run("pyhf", quick_release, out, "--signal", tmp_path / "absent.root", *THEORY, *MASS).exit_code == 2
    assert run("pyhf", quick_release, out, "--signal", signal, *THEORY, *MASS, "--where", "x > 1").exit_code == 2


@pytest.mark.filterwarnings("ignore:jsonschema.RefResolver:DeprecationWarning")
def test_a_grid_of_signals_is_exported_for_the_command_line_of_pyhf(published: Path, tmp_path: Path) -> None:
    import pyhf
    import pyhf.cli

    rng = np.random.default_rng(3)
    edges = [-2.0, -0.7, 0.1, 0.8, 2.5]
    files = {}
    for name, mean in (("background", 0.0), ("500", -1.0), ("750", 1.0)):
        files[name] = tmp_path / f"{name}.root"
        with uproot.recreate(files[name]) as file:
            weight = np.full(2000, (9.5 if name == "background" else 1.0) / 2000)
            file["events"] = {"x": rng.normal(mean, 1.0 if name == "background" else 0.3, 2000), "weight": weight}
    out = tmp_path / "grid.json"
    grid = [word for point in ("500", "750") for word in ("--signal-at", f"{point},low", files[point])]
    options = (*THEORY[:6], "-o", "x", "-b", ",".join(map(str, edges)), "--background", files["background"])
    named = ("--labels", "mass,width", "--record", "ins1234567")
    outcome = run("pyhf", published, out, *grid, *named, *options)
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.stdout.count("at 95% CLs") == 2
    assert outcome.stdout.startswith("mass,width = 500,low:\nmu = ")
    backend = pyhf.get_backend()
    try:
        patches = tmp_path / "grid.patchset.json"
        arguments = ["patchset", "apply", str(out), str(patches), "--name", "mass_750p0_width_low"]
        applied = CliRunner().invoke(pyhf.cli.cli, [*arguments, "--output-file", str(tmp_path / "one.json")])
        assert applied.exit_code == 0, applied.output
        fitted = CliRunner().invoke(pyhf.cli.cli, ["fit", str(tmp_path / "one.json"), "--measurement", "fit"])
        assert fitted.exit_code == 0, fitted.output
    finally:
        pyhf.set_backend(*backend)
    with open_release(published) as release:
        measured = release.measure({"x": edges})
    theories = {
        name: Theory.from_root(path, tree="events", weight="weight", unit="pb", columns=["x"]).predict(measured)
        for name, path in files.items()
    }
    background, covariance = theories["background"]
    expected = measured.signal_strength(theories["750"][0], background=background, covariance=covariance)
    (found,) = json.loads(fitted.stdout)["mle_parameters"]["mu"]
    assert found == pytest.approx(expected.best_fit, abs=5e-3 * expected.error)
    assert f"mu = {expected.best_fit:.4g} +- {expected.error:.4g}" in outcome.stdout

    for wrong, message in (
        ((), "expected either --signal, or --signal-at"),
        ((*grid, "--signal", files["500"]), "expected either --signal, or --signal-at"),
        (grid, "needs --labels and --record"),
        ((*grid, *grid[:3], *named), "is given twice"),
    ):
        outcome = run("pyhf", published, tmp_path / "other.json", *wrong, *options)
        assert outcome.exit_code == 2
        assert message in outcome.stderr
    outcome = run("pyhf", published, tmp_path / "other.json", *grid, *named[:3], "1234567", *options)
    assert outcome.exit_code == 2
    assert "expected its name in HEPData" in outcome.stderr
    assert not (tmp_path / "other.json").exists()
