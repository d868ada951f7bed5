"""The command: what it reads, what it says, whom it lets in."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from omnifold_pub import Theory, open_release
from omnifold_pub.cli import main
from omnifold_pub.explorer import server
from omnifold_pub.explorer.desk import Desk

pytest.importorskip("fastapi", reason="FastAPI is not installed")

HESSIAN = ("--weight", "weight", "--unit", "fb")
TABLE = ("--tree", "events", "--weight", "weight", "--unit", "pb", "--sentinel", "-99")


@pytest.fixture
def desks(monkeypatch: pytest.MonkeyPatch) -> list[Desk]:
    """The desks that are opened by the command; nothing is served."""
    found: list[Desk] = []

    def create(desk: Desk, token: str) -> Any:
        found.append(desk)
        assert len(token) == 32
        return token

    monkeypatch.setattr(server, "create_app", create)
    monkeypatch.setattr(server, "serve", lambda _, *, port, started: started(port or 4321))
    return found


def test_the_address_is_all_that_is_printed(desks: list[Desk], reference: Path) -> None:
    outcome = CliRunner().invoke(main, ["explore", str(reference), "--no-browser"])
    assert outcome.exit_code == 0
    assert re.fullmatch(r"http://127\.0\.0\.1:4321/[\w-]{32}/\n", outcome.stdout)
    assert "24431 events" in outcome.stderr
    assert desks[0].memory > 5e6
    assert not desks[0].theories


def test_the_browser_is_opened_at_that_address(
    desks: list[Desk], reference: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    outcome = CliRunner().invoke(main, ["explore", str(reference), "--port", "5000"])
    assert opened == [outcome.stdout.strip()]
    assert ":5000/" in opened[0]


def _reads(desk: Desk, columns: list[str]) -> list[Theory]:
    """Run what the page says reads each theory."""
    import omnifold_pub
    from omnifold_pub.reinterpret.weight_families import Combination

    space = {"omnifold_pub": omnifold_pub, "Combination": Combination}
    return [eval(one.recipe.python(columns), dict(space)) for one in desk.theories if one.recipe]  # noqa: S307


@pytest.mark.slow
def test_theories_of_every_kind_are_offered_with_what_reads_them(
    desks: list[Desk], reference: Path, theory_file: Path, project: Path, tmp_path: Path
) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = {
        "weight": [0.5, 0.25, 0.25],
        "weight_up": [0.6, 0.3, 0.2],
        "pT_ll": [210.0, 260.0, 300.0],
        "other": [1, 2, 3],
    }
    pq.write_table(pa.table(table), tmp_path / "narrow.parquet")
    events = project / "tests/data/hepmc/zjets.hepmc.gz"
    for path, arguments in (
        (theory_file, TABLE),
        (tmp_path / "narrow.parquet", ("--weight", "weight", "--unit", "fb", "--family", "w", "envelope", "weight_up")),
        (
            tmp_path / "narrow.parquet",
            (*HESSIAN, "--family", "w", "hessian", "weight_up", "--family-level", "w", "0.9"),
        ),
        (tmp_path / "narrow.parquet", ("--weight", "weight", "--unit", "none")),
        (events, ("--unit", "fb")),
        (events, ("--cross-section", "12.5", "--definition", "zjets")),
    ):
        outcome = CliRunner().invoke(main, ["explore", str(reference), "--no-browser", "-t", str(path), *arguments])
        assert outcome.exit_code == 0, outcome.output
        offered = desks[-1].theories[0]
        again = _reads(desks[-1], ["pT_ll"])[0]
        assert isinstance(offered.theory, Theory)
        assert offered.theory.unit == again.unit
        np.testing.assert_array_equal(offered.theory.weights, again.weights)
        np.testing.assert_array_equal(offered.theory.events["pT_ll"], again.events["pT_ll"])
        assert {name: one.combination for name, one in offered.theory.families.items()} == {
            name: one.combination for name, one in again.families.items()
        }
        assert offered.recipe is not None
        assert offered.recipe.arguments[0] == str(path)
        given = offered.recipe.arguments[1:]
        assert dict(zip(given[::2], given[1::2], strict=False)) == dict(
            zip(arguments[::2], arguments[1::2], strict=False)
        )
    with open_release(reference) as release:
        assert list(desks[0].theories[0].theory.events) == list(release.events)  # type: ignore[attr-defined]
    assert list(desks[1].theories[0].theory.events) == ["pT_ll"]  # type: ignore[attr-defined]


def test_theories_of_one_name_are_numbered(desks: list[Desk], reference: Path, theory_file: Path) -> None:
    twice = ("-t", str(theory_file), "-t", str(theory_file))
    CliRunner().invoke(main, ["explore", str(reference), "--no-browser", *twice, *TABLE])
    assert [one.name for one in desks[0].theories] == ["theory.root", "theory.root (2)"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--weight", "weight", "--unit", "pb"), "missing --tree"),
        (("--tree", "nothing", "--weight", "weight", "--unit", "pb"), "no tree"),
        (("--tree", "events", "--weight", "w", "--unit", "pb"), "lacks"),
    ],
)
def test_a_theory_that_cannot_be_read_says_why(
    desks: list[Desk], reference: Path, theory_file: Path, arguments: tuple[str, ...], said: str
) -> None:
    outcome = CliRunner().invoke(main, ["explore", str(reference), "-t", str(theory_file), *arguments])
    assert outcome.exit_code in (1, 2)
    assert said in outcome.stderr
    assert not desks


def test_a_port_that_is_taken_says_so(reference: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        outcome = CliRunner().invoke(main, ["explore", str(reference), "--no-browser", "--port", port])
    assert outcome.exit_code == 1
    assert f"port {port}: cannot be had" in outcome.stderr
    assert not outcome.stdout
