"""What the page gives to copy runs, and gives the numbers of the page."""

from __future__ import annotations

import contextlib
import io
import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from omnifold_pub import Theory
from omnifold_pub.cli import main
from omnifold_pub.explorer.answers import answer, verdicts
from omnifold_pub.explorer.desk import Desk
from omnifold_pub.explorer.questions import Question
from omnifold_pub.explorer.theories import Recipe
from omnifold_pub.reinterpret.weight_families import Combination

QUESTIONS = [
    Question("pT_ll", "edges", "200, 230, 270, 350, 1000"),
    Question("tau2_trackj1 / tau1_trackj1", "equal", "3, 0.2, 0.9", where="pT_ll > 250 & y_ll > -2", nan="drop"),
    Question("pT_ll", "edges", "200, 230.1, 270.3, 1000", density=False),
    Question("m_trackj1", "suggested", "4", normalise=True),
    Question("-y_ll", "equal", "3, -2, 2", density=False, normalise=True),
]


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.observable)
def test_the_python_gives_the_same_numbers(desk: Desk, question: Question) -> None:
    shown = answer(desk, desk.measured(question))
    space: dict[str, Any] = {}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(shown["python"], space)  # noqa: S102 - that is what people do with it
    space["release"].close()
    measurement = space["measurement"]
    assert measurement.axes[0].edges.tolist() == shown["edges"]
    assert measurement.values().tolist() == shown["values"]
    assert measurement.uncertainties().tolist() == shown["total"]
    chi2, dof, p_value = printed.getvalue().splitlines()[-1].split()
    expected = verdicts(desk.confronted(question))[0]
    assert (float(chi2), int(dof), float(p_value)) == (expected["chi2"], expected["dof"], expected["p_value"])


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.observable)
def test_the_commands_give_the_same_numbers(desk: Desk, question: Question) -> None:
    shown = answer(desk, desk.measured(question))
    lines = [shlex.split(line, comments=True) for line in shown["commands"].splitlines()]
    measured, *compared = [line for line in lines if line]
    document = _run(measured)
    assert document["values"] == shown["values"]
    assert document["uncertainties"] == shown["total"]
    assert len(compared) == 1
    for command in compared:
        document, expected = _run(command), verdicts(desk.confronted(question))[0]
        assert document["dof"] == expected["dof"]
        assert document["chi2"] == pytest.approx(expected["chi2"], rel=1e-9)  # of contents, or of densities
        assert document["p_value"] == pytest.approx(expected["p_value"], abs=2e-4)


def _run(command: list[str]) -> Any:
    assert command[0] == "omnifold-pub"
    outcome = CliRunner().invoke(main, [*command[1:], "--json"])
    assert outcome.exit_code == 0, outcome.output
    return json.loads(outcome.stdout)


def test_quotes_of_the_shell_cannot_be_broken(desk: Desk) -> None:
    text = answer(desk, desk.measured(Question("pT_ll * (y_ll > 0)", "edges", "0, 300", where="pT_ll > 2e2")))[
        "commands"
    ]
    assert "'pT_ll * (y_ll > 0)'" in text
    assert "'pT_ll > 2e2'" in text


def test_a_recipe_is_python_that_reads_the_theory(theory_file: Path) -> None:
    options: dict[str, object] = {"tree": "events", "weight": "weight", "unit": "pb", "sentinel": -99.0}
    families = {"same": Combination("envelope", ("weight",))}
    recipe = Recipe("from_root", str(theory_file), options | {"families": families}, then=".in_unit('fb')")
    import omnifold_pub

    space = {"omnifold_pub": omnifold_pub, "Combination": Combination}
    theory = eval(recipe.python(["pT_ll"]), space)  # noqa: S307
    assert isinstance(theory, Theory)
    expected = Theory.from_root(theory_file, tree="events", weight="weight", unit="pb", columns=["pT_ll"])
    np.testing.assert_allclose(theory.weights, 1000 * expected.weights)
    assert (theory.unit, list(theory.events), list(theory.families)) == ("fb", ["pT_ll"], ["same"])
