"""What info and measure show in a terminal, in a pipe, as JSON and as CSV."""

from __future__ import annotations

import csv
import fcntl
import io
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from omnifold_pub import open_release
from omnifold_pub.cli import main

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
BINS = ("-o", "pT_ll", "-b", "200,230,270,350,1000", "-o", "pT_l1 / pT_l2", "-b", "1,1.5,2,3,5")


@pytest.fixture(scope="module")
def release(project: Path) -> Path:
    return project / "release/zjets/zjets.h5"


def in_terminal(width: int, *arguments: object, errors: bool = False) -> tuple[list[str], bool]:
    """Run a command in a terminal of so many columns; return its lines, and whether there was a colour.

    With ``errors``, stderr is that terminal too.
    """
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    command = [sys.executable, "-m", "omnifold_pub.cli", *map(str, arguments)]
    kept = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES", "NO_COLOR")}
    environment = kept | {"TERM": "xterm-256color", "PYTHONUTF8": "1"}
    stderr = terminal if errors else subprocess.PIPE
    with subprocess.Popen(command, stdout=terminal, stderr=stderr, env=environment) as process:
        os.close(terminal)
        shown = b""
        while True:
            try:
                part = os.read(controller, 65536)
            except OSError:  # how Linux says that nobody writes any more
                break
            if not part:
                break
            shown += part
        os.close(controller)
        assert process.wait() == 0
    text = shown.decode().replace("\r\n", "\n")
    return _ESCAPES.sub("", text).splitlines(), "\x1b[" in text


@pytest.mark.parametrize("width", [60, 80, 120])
def test_measure_in_a_terminal(release: Path, width: int) -> None:
    lines, coloured = in_terminal(width, "measure", release, *BINS)
    assert coloured
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    assert text.count("\N{FULL BLOCK}") > 60
    assert "\N{MEDIUM SHADE}" in text
    assert "Uncertainty in %, by component" in text
    assert [line for line in lines if line.startswith("200 - 230 ")]
    assert ("events" in lines[1]) == (width == 120)


def test_a_warning_does_not_write_into_the_progress(release: Path) -> None:
    lines, _ = in_terminal(80, "measure", release, "-o", "pT_ll", "-b", "200,600,1000", errors=True)
    assert any("\N{BOX DRAWINGS HEAVY HORIZONTAL}" in line for line in lines)
    (warned,) = [line for line in lines if "warning:" in line]
    assert warned.startswith("warning: zjets.h5: the publisher does not vouch for 'pT_ll' in 600 - 1000 ")
    assert max(len(line) for line in lines) <= 80  # and no word is broken by the terminal


def test_a_wide_table_is_folded_and_words_are_whole(release: Path, zjets: Path) -> None:
    theory = (zjets / "theory.root", "--tree", "events", "--weight", "weight", "--unit", "pb", "--sentinel", "-99")
    question = ("compare", release, *theory, "-o", "pT_ll", "-b", "200,300,450,1000")
    lines, _ = in_terminal(80, *question)
    assert max(map(len, lines)) <= 80
    piped = run(*question).splitlines()
    for number in range(4):  # the heading and three bins, with observable and bin in front of each piece
        whole, first, second = (
            re.split(" {2,}", line.strip()) for line in (piped[1 + number], lines[1 + number], lines[6 + number])
        )
        assert whole == first + second[2:]
        assert second[:2] == whole[:2]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_info_in_a_terminal(release: Path, width: int) -> None:
    lines, coloured = in_terminal(width, "info", release)
    assert coloured
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    for words in ("24 observables", "6 components", "validity", "pT_trackj2", "data_bootstrap", "CC0-1.0"):
        assert words in text
    (row,) = [line for line in lines if line.startswith("mc_bootstrap")]
    assert row.split()[:3] == ["mc_bootstrap", "bootstrap", "20"]  # names are never broken


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_plan_in_a_terminal(quick_analysis: Callable[..., Path], width: int) -> None:
    def rename(document: dict[str, Any]) -> None:
        document["inputs"]["variations"][0]["name"] = "energy_scale_of_charged_jets"

    lines, coloured = in_terminal(width, "campaign", "plan", quick_analysis(rename), "--no-pilot")
    assert coloured
    assert max(map(len, lines)) <= width
    (row,) = [line.split() for line in lines if line.startswith("energy_scale_of_charged_jets")]
    assert row[:3] == ["energy_scale_of_charged_jets", "1", "detector"]  # names are never broken
    assert row[-1] == "-"  # and no column is lost


def run(*arguments: object) -> str:
    outcome = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert outcome.exit_code == 0, outcome.stderr
    return outcome.stdout


def test_a_pipe_gets_lines_that_can_be_searched(release: Path) -> None:
    lines = run("info", release).splitlines()
    assert not any("\x1b" in line or line != line.rstrip() for line in lines)
    keys = [line.partition(":")[0] for line in lines[1 : lines.index("")]]
    assert keys[:5] == ["pseudodata", "fiducial region", "cross section", "events", "validity"]
    assert keys[-2:] == ["closure", "licence"]
    (validity,) = [line for line in lines if line.startswith("validity: ")]
    assert validity.startswith(
        "validity: at least 200 effective events in a bin, at least 100 effective data events in"
    )
    assert validity.endswith("0.2 <= tau2_trackj1 / tau1_trackj1 <= 1; warning outside")
    longest = max(lines, key=len)
    assert longest.startswith("fiducial region: ")
    assert longest.endswith("pT > 10 GeV")  # one line, however long
    table = run("measure", release, *BINS)
    assert "\x1b" not in table
    assert "\N{FULL BLOCK}" not in table


def test_a_release_without_limits_says_so(release_path: Path) -> None:
    assert "\nvalidity: no limit is declared\n" in run("info", release_path)


def test_csv_has_every_digit(release: Path) -> None:
    text = run("measure", release, *BINS, "--csv")
    rows = list(csv.DictReader(line for line in io.StringIO(text) if not line.startswith("#")))
    with open_release(release) as opened:
        joint = opened.measure({"pT_ll": [200, 230, 270, 350, 1000], "pT_l1 / pT_l2": [1, 1.5, 2, 3, 5]})
    assert [float(row["value"]) for row in rows] == joint.values().tolist()
    assert np.allclose([float(row["mc_bootstrap"]) for row in rows], joint.uncertainties("mc_bootstrap"), rtol=1e-15)


def test_info_as_csv_is_that_of_json(release: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(run("info", release, "--csv"))))
    observables = json.loads(run("info", release, "--json"))["observables"]
    assert [row["name"] for row in rows] == [one["name"] for one in observables]
    assert [row["latex"] for row in rows] == [one["latex"] for one in observables]
    assert rows[0]["minimum"] == "0"
    assert rows[0]["maximum"] == "6500"


@pytest.mark.parametrize("command", [("info",), ("measure", *BINS)])
def test_two_forms_at_once_are_a_bad_call(release: Path, command: tuple[str, ...]) -> None:
    outcome = CliRunner().invoke(main, [command[0], str(release), *command[1:], "--json", "--csv"])
    assert outcome.exit_code == 2
    assert "expected --json or --csv; found both" in outcome.stderr
