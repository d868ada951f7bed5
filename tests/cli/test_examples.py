"""The examples that the help of the commands gives, run as they stand."""

from __future__ import annotations

import inspect
import re
import shlex
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyhepmc
import pytest
import uproot
from babyyoda.grogu.histo1d_v3 import Histo1D_v3
from click.testing import CliRunner

from omnifold_pub.cli import main

COMMANDS = ("compare", "fit", "export pyhf", "export hs3", "export yoda", "export smefit", "export hepdata")


def command_of(name: str) -> click.Command:
    found: click.Command = main
    for word in name.split():
        assert isinstance(found, click.Group)
        found = found.commands[word]
    return found


def examples(name: str) -> list[str]:
    """Return the examples of a command, each on one line."""
    text = inspect.cleandoc(command_of(name).help or "")
    found = re.findall(r"^Example: (omnifold-pub .*?)(?=\n\n|\Z)", text, re.MULTILINE | re.DOTALL)
    return [" ".join(one.split()) for one in found]


def all_examples() -> list[object]:
    """Return those of all commands; all 24 observables of a release take their time."""
    found: list[object] = []
    for name in COMMANDS:
        for one in examples(name):
            slow = name == "export hepdata"
            found.append(
                pytest.param(one, marks=pytest.mark.slow, id=one[13:60]) if slow else pytest.param(one, id=one[13:60])
            )
    return found


@pytest.fixture(scope="module")
def folder(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the examples name."""
    folder = tmp_path_factory.mktemp("examples")
    (folder / "release.h5").symlink_to(project / "release/zjets/zjets.h5")
    (folder / "theory.root").symlink_to(project / "tests/data/zjets/theory.root")
    with uproot.open(folder / "theory.root") as file:
        table = file["events"].arrays(["pT_ll", "weight"], library="np")
    for name, inside in (
        ("low", table["pT_ll"] < 300),
        ("high", table["pT_ll"] > 300),
        ("signal", table["pT_ll"] > 450),
    ):
        signal = {"pT_ll": table["pT_ll"], "weight": np.where(inside, 0.1 * table["weight"], 0)}
        pq.write_table(pa.table(signal), folder / f"{name}.parquet")
        with uproot.recreate(folder / f"{name}.root") as file:
            file["events"] = signal
    filled = Histo1D_v3([200.0, 300.0, 1000.0])
    filled.d_key = "/ANALYSIS/pT"
    for value, weight in zip(table["pT_ll"][:5000], table["weight"][:5000], strict=True):
        filled.fill(float(value), float(weight))
    (folder / "rivet.yoda").write_text(f"{filled.to_string()}\n")
    run = pyhepmc.GenRunInfo()
    run.weight_names = ["nominal", "MUR2", "MUR0.5"]
    source = project / "tests/data/hepmc/zjets.hepmc.gz"
    with pyhepmc.open(source) as events, pyhepmc.open(folder / "events.hepmc.gz", "w") as file:
        for event in events:
            (weight,) = event.weights
            event.run_info = run
            event.weights = [weight, 1.1 * weight, 0.9 * weight]
            file.write(event)
    return folder


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help_with_an_example(name: str) -> None:
    shown = CliRunner().invoke(main, [*name.split(), "--help"])
    assert shown.exit_code == 0
    assert f"Example: omnifold-pub {name} " in shown.stdout
    assert examples(name)
    assert all(one.startswith(f"omnifold-pub {name} ") for one in examples(name))


@pytest.mark.parametrize("example", all_examples())
def test_examples_work_as_they_stand(folder: Path, example: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    outcome = CliRunner().invoke(main, shlex.split(example)[1:])
    assert outcome.exit_code == 0, outcome.output
    assert outcome.stdout
