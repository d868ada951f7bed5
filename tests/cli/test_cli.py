"""The commands as a user types them."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uproot
from click.testing import CliRunner, Result

from omnifold_pub import JointMeasurement, Theory, UnfoldingResult, compare, open_release
from omnifold_pub.cli import main
from omnifold_pub.errors import ValidityWarning
from omnifold_pub.presentation.tables import SHORT, plain_text, tables_of
from omnifold_pub.schemas import check

THEORY = ("--tree", "events", "--weight", "weight", "--unit", "pb", "--sentinel", "-99")
MASS = ("-o", "m_trackj1", "-b", "0,7,14,26,60")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.mark.parametrize("command", sorted(main.commands))
def test_help_says_what_and_how(command: str) -> None:
    outcome = run(command, "--help")
    assert outcome.exit_code == 0
    assert "Usage:" in outcome.stdout
    assert command in run("--help").stdout
    assert command == "demo" or "Example: omnifold-pub" in outcome.stdout


@pytest.mark.slow
def test_unfold_and_publish_and_validate(
    tmp_path: Path, quick_run: tuple[Path, UnfoldingResult], quick_analysis: Callable[..., Path]
) -> None:
    run_directory = tmp_path / "run"
    shutil.copytree(quick_run[0], run_directory)
    unfolded = run("campaign", "run", quick_analysis(), "--run", run_directory)
    assert unfolded.exit_code == 0
    assert "24431 events, 6 families, 13 members" in unfolded.stdout
    release = tmp_path / "release.h5"
    assert run("publish", run_directory, release).exit_code == 0
    assert run("validate", release).exit_code == 0
    again = run("publish", run_directory, release)
    assert again.exit_code == 1
    assert "exists already" in again.stderr
    assert run("publish", run_directory, release, "--overwrite").exit_code == 0


def test_validate_tells_a_script_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "not.h5"
    path.write_text("no HDF5")
    table = run("validate", path)
    assert table.exit_code == 1
    assert "NOT VALID" in table.stdout
    outcome = run("validate", path, "--json")
    assert outcome.exit_code == 1
    report = json.loads(outcome.stdout)
    assert report["valid"] is False
    assert [finding["code"] for finding in report["findings"]] == ["readable"]


def test_info_lists_observables_and_components(quick_release: Path) -> None:
    text = run("info", quick_release).stdout
    for word in ("pT_trackj2", "GeV", "data_bootstrap", "muscale_up", "13 TeV", "pseudodata"):
        assert word in text
    assert json.loads(run("info", quick_release, "--json").stdout)["events"] == 24431


def test_measure_prints_the_whole_covariance_as_json(quick_release: Path) -> None:
    outcome = run(
        "measure",
        quick_release,
        "-o",
        "pT_l1 / pT_l2",
        "-b",
        "1,1.5,2,5",
        "-o",
        "pT_ll",
        "-b",
        "200,300,1000",
        "--json",
    )
    printed = json.loads(outcome.stdout)
    with open_release(quick_release) as release:
        joint = release.measure({"pT_l1 / pT_l2": [1, 1.5, 2, 5], "pT_ll": [200, 300, 1000]})
    assert np.allclose(printed["covariance"], joint.covariance(), rtol=1e-12)
    components = {entry["name"]: entry["covariance"] for entry in printed["components"]}
    assert np.allclose(components["mc_bootstrap"], joint.covariance("mc_bootstrap"), rtol=1e-12)
    assert check(printed, "measurement") == []
    assert [entry["start"] for entry in printed["observables"]] == [0, 3]
    again = JointMeasurement.from_dict(printed)
    assert again.chi2(1.1 * joint.values()) == joint.chi2(1.1 * joint.values())


def test_measure_takes_what_a_histogram_takes(quick_release: Path) -> None:
    arguments = ("-o", "pT_ll", "-b", "200,300,450", "--where", "y_ll > 0", "--flow", "--normalise", "--json")
    printed = json.loads(run("measure", quick_release, *arguments).stdout)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ValidityWarning)  # nothing is below 200
        with open_release(quick_release) as release:
            expected = release.measure("pT_ll", [200, 300, 450], where="y_ll > 0", flow=True, normalise=True)
    assert printed["values"] == expected.values().tolist()
    (observable,) = printed["observables"]
    assert observable["axes"][0]["edges"] == ["-inf", 200, 300, 450, "inf"]
    assert observable["statistic"]["where"] == {"expression": "y_ll > 0"}
    density = json.loads(run("measure", quick_release, *arguments[:4], "--density", "--json").stdout)
    assert density["observables"][0]["unit"] == "pb / GeV"
    assert "pb / GeV" in run("measure", quick_release, *arguments[:4], "--density").stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--density", "--flow"), "an under- or overflow bin has no width"),
        (("--where", "pT_ll"), "expected a condition such as pT_ll > 300"),
        (("--where", "pT_lll > 3"), "did you mean pT_ll"),
    ],
)
def test_a_wrong_selection_or_option_is_told(quick_release: Path, options: tuple[str, ...], message: str) -> None:
    outcome = run("measure", quick_release, "-o", "pT_ll", "-b", "200,300,450", *options)
    assert outcome.exit_code == 2
    assert message in outcome.stderr
    assert outcome.stdout == ""


def test_the_table_is_the_one_that_python_prints(quick_release: Path) -> None:
    arguments = ("-o", "pT_ll", "-b", "200,300,1000", "-o", "m_trackj1", "-b", "0,7,14")
    with open_release(quick_release) as release:
        joint = release.measure({"pT_ll": [200, 300, 1000], "m_trackj1": [0, 7, 14]})
    expected = plain_text(tables_of(joint, SHORT))
    lines = run("measure", quick_release, *arguments).stdout.splitlines()
    assert [line.split() for line in lines] == [line.split() for line in expected.splitlines()]


def test_measure_prints_a_table(quick_release: Path) -> None:
    text = run("measure", quick_release, "-o", "pT_ll", "-b", "200,300,1000").stdout
    assert "200 - 300" in text
    assert "data_bootstrap %" in text


def test_compare_prints_chi2_degrees_of_freedom_and_p(quick_release: Path, zjets: Path) -> None:
    outcome = run("compare", quick_release, zjets / "theory.root", *THEORY, *MASS)
    assert outcome.exit_code == 0
    assert "for 4 dof, p = " in outcome.stdout
    printed = json.loads(run("compare", quick_release, zjets / "theory.root", *THEORY, *MASS, "--json").stdout)
    assert printed["bins"] == 4
    assert 0 < printed["p_value"] < 1


def test_compare_cuts_measurement_and_theory_alike(quick_release: Path, zjets: Path) -> None:
    cut = "Ntracks_trackj1 >= 8"  # of a column that is not compared
    printed = json.loads(
        run("compare", quick_release, zjets / "theory.root", *THEORY, *MASS, "--where", cut, "--json").stdout
    )
    theory = Theory.from_root(
        zjets / "theory.root",
        tree="events",
        weight="weight",
        unit="pb",
        columns=["m_trackj1", "Ntracks_trackj1"],
        sentinel=-99,
    )
    with open_release(quick_release) as release:
        measurement = release.measure("m_trackj1", [0, 7, 14, 26, 60], where=cut)
    expected = compare(measurement, theory).test
    assert printed["chi2"] == pytest.approx(expected.chi2)
    assert printed["p_value"] == pytest.approx(expected.p_value)


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("-o", "pT_ll"), 2, "Missing option"),
        (("-o", "pT_ll", "-b", "1,2", "-b", "1,2"), 2, "expected one --bins for each --observable"),
        (("-o", "pT_ll", "-b", "1,2", "-o", "pT_ll", "-b", "1,2"), 2, "given twice"),
        (("-o", "pT_ll", "-b", "1,two"), 2, "expected bin edges such as"),
        (("-o", "pT_ll", "-b", "2,1"), 2, "strictly increasing"),
        (("-o", "pT_lll", "-b", "1,2"), 2, "did you mean pT_ll"),
        (("-o", "__import__('os')", "-b", "1,2"), 2, "quotes are not allowed"),
        (("-o", "tau2_trackj1 / tau1_trackj1", "-b", "0,1"), 2, "is NaN for"),
    ],
)
def test_a_wrong_call_gets_one_clear_error(
    quick_release: Path, arguments: tuple[str, ...], status: int, message: str
) -> None:
    outcome = run("measure", quick_release, *arguments)
    assert outcome.exit_code == status
    assert message in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert outcome.stdout == ""


def test_a_broken_file_has_another_exit_status_than_a_wrong_call(tmp_path: Path, zjets: Path) -> None:
    assert run("info", zjets / "mc.root").exit_code == 1
    assert run("info", tmp_path / "nowhere.h5").exit_code == 2


def test_a_wrong_tree_name_is_told(quick_release: Path, zjets: Path) -> None:
    outcome = run("compare", quick_release, zjets / "theory.root", "--tree", "event", *THEORY[2:], *MASS)
    assert outcome.exit_code == 1
    assert "no tree 'event'; did you mean events?" in outcome.stderr


def _command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "omnifold_pub.cli", *map(str, arguments)]


@pytest.mark.parametrize(
    ("arguments", "drawn"),
    [
        (("validate",), (b"validating MB", b"4/4")),
        (("measure", "-o", "pT_ll", "-b", "200,300,1000"), (b"summing", b"2/2")),
    ],
)
def test_progress_is_drawn_on_a_terminal_and_nowhere_else(
    quick_release: Path, arguments: tuple[str, ...], drawn: tuple[bytes, ...]
) -> None:
    command = _command(arguments[0], quick_release, *arguments[1:])
    piped = subprocess.run(command, capture_output=True, check=True)
    assert piped.stderr == b""
    controller, terminal = pty.openpty()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=terminal)
    process.communicate()
    os.close(terminal)
    shown = os.read(controller, 65536)
    os.close(controller)
    for words in drawn:
        assert words in shown


def test_reports_are_printed_as_their_schema_says(quick_release: Path) -> None:
    for command in ("validate", "verify"):
        printed = json.loads(run(command, quick_release, "--json").stdout)
        assert check(printed, "report") == []
        assert printed["valid"]


def test_a_report_says_what_was_not_run(tmp_path: Path, quick_release: Path) -> None:
    damaged = tmp_path / "damaged.h5"
    damaged.write_bytes(quick_release.read_bytes()[:100_000])
    outcome = CliRunner().invoke(main, ["validate", str(damaged)])
    assert outcome.exit_code == 1
    rows = [line.split() for line in outcome.stdout.splitlines()]
    assert ["readable", "required"] in rows
    assert ["schema", "not", "run"] in rows


def test_a_closed_pipe_is_no_traceback(quick_release: Path) -> None:
    command = f"{' '.join(_command('info', quick_release))} | head -1"
    outcome = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)  # noqa: S607
    assert "Traceback" not in outcome.stderr


@pytest.mark.parametrize(
    ("package", "arguments", "extra"),
    [
        ("safetensors", ("campaign", "run", "{zjets}/analysis.yaml", "--run", "run"), "unfold"),
        ("torch", ("campaign", "run", "{zjets}/analysis.yaml", "--run", "run"), "unfold"),
        ("yaml", ("campaign", "run", "{zjets}/analysis.yaml", "--run", "run"), "yaml"),
        ("mplhep", ("demo", "--inputs", "{zjets}", "--output", "demo"), "plot"),
        ("uproot", ("compare", "{release}", "{zjets}/theory.root", *THEORY, *MASS), "root"),
    ],
)
def test_a_missing_extra_is_named(
    tmp_path: Path, zjets: Path, quick_release: Path, package: str, arguments: tuple[str, ...], extra: str
) -> None:
    filled = [argument.format(zjets=zjets, release=quick_release) for argument in arguments]
    code = f"import sys; sys.modules[{package!r}] = None; from omnifold_pub.cli import main; main({filled!r})"
    outcome = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert outcome.returncode == 1
    assert outcome.stderr.count("\n") == 1
    assert f"the package {package}, which is not installed" in outcome.stderr
    assert f"omnifold-pub[{extra}]" in outcome.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda document: document["observables"][0].update(truth="pT_lll"), "branches asked for. 'pT_lll': did you"),
        (lambda document: document["inputs"]["data"].update(tree="event"), "no tree 'event'; did you mean events?"),
        (lambda document: document["omnifold"].update(iteratoins=3), "unknown 'iteratoins'"),
        (lambda document: document["inputs"]["simulation"].update(file="empty.root"), "is empty"),
        (
            lambda document: document["inputs"]["simulation"].update(file="nan.root"),
            "1 of 5 reco weights are not finite",
        ),
        (lambda document: document["inputs"]["data"].update(file="nowhere.root"), "no such file"),
    ],
)
def test_bad_input_gets_one_clear_error_and_starts_no_run(
    tmp_path: Path,
    zjets: Path,
    quick_analysis: Callable[..., Path],
    change: Callable[[dict[str, Any]], None],
    message: str,
) -> None:
    analysis = quick_analysis(change)
    with uproot.open(zjets / "mc.root") as file:
        columns = file["events"].arrays(library="np", entry_stop=5)
    broken = columns | {"weight": np.where(np.arange(5) == 3, np.float32(np.nan), columns["weight"])}
    for name, arrays in (("empty", {key: column[:0] for key, column in columns.items()}), ("nan", broken)):
        with uproot.recreate(analysis.parent / f"{name}.root") as file:
            file.mktree("events", {key: column.dtype for key, column in arrays.items()})
            file["events"].extend(arrays)
    outcome = run("campaign", "run", analysis, "--run", tmp_path / "run")
    assert outcome.exit_code == 1
    assert message in outcome.stderr
    assert outcome.stderr.startswith("error: ")
    assert not (tmp_path / "run").exists()
