"""``omnifold-pub plot`` draws what it is asked for, or says what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from omnifold_pub.cli import main
from omnifold_pub.cli.pictures import KINDS

BEGINNINGS = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}
X = ("-o", "x", "-b", "-2.5,-1,0,1,2.5")
TWO = (*X, "-o", "z", "-b", "0,0.5,1")
ARGUMENTS: dict[str, tuple[str, ...]] = {
    "spectrum": (*X, "--prior", "--bands", "separate"),
    "breakdown": X,
    "correlation": TWO,
    "covariance": (*TWO, "--component", "pdf"),
    "fan": (*X, "--component", "mc_bootstrap"),
    "pulls": (*X, "--prior"),
    "2d": TWO,
    "weights": (),
    "closure": (),
}


@pytest.fixture
def archived(project: Path) -> str:
    return str(project / "tests/archive/v1.1.0/release.h5")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["plot", *arguments])


@pytest.mark.parametrize("kind", list(ARGUMENTS))
def test_each_kind_is_drawn(kind: str, archived: str, tmp_path: Path) -> None:
    output = tmp_path / "picture.png"
    result = run(archived, *ARGUMENTS[kind], "--kind", kind, "--output", str(output))
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{output}\n"
    with Image.open(output) as picture:
        assert picture.size[0] > 600
        assert len(set(picture.convert("L").tobytes())) > 20


def test_every_kind_is_tried_somewhere() -> None:
    assert set(KINDS) == {*ARGUMENTS, "ranking", "iterations"}


def test_a_theory_is_drawn_and_ranked(quick_release: Path, zjets: Path, tmp_path: Path) -> None:
    theory = ["--theory", str(zjets / "theory.root"), "--tree", "events", "--weight", "weight", "--unit", "pb"]
    theory += ["--sentinel", "-99", "-o", "pT_ll", "-b", "200,250,300,600", "--where", "Ntracks_trackj1 >= 8"]
    for kind in ("spectrum", "ranking"):
        output = tmp_path / f"{kind}.svg"
        result = run(str(quick_release), *theory, "--kind", kind, "--output", str(output))
        assert result.exit_code == 0, result.stderr
        assert "<!-- theory" in output.read_text()  # matplotlib says so beside the glyphs


def test_trainings_are_drawn(quick_release: Path, tmp_path: Path) -> None:
    output = tmp_path / "trainings.png"
    result = run(str(quick_release), "--kind", "iterations", "--output", str(output))
    assert result.exit_code == 0, result.stderr
    assert output.stat().st_size > 0


@pytest.mark.parametrize("suffix", list(BEGINNINGS))
def test_the_suffix_says_the_format_and_the_same_picture_is_the_same_file(
    suffix: str, archived: str, tmp_path: Path
) -> None:
    files = [tmp_path / f"{number}.{suffix}" for number in (1, 2)]
    for file in files:
        assert run(archived, *X, "--kind", "breakdown", "--output", str(file)).exit_code == 0
    first, second = (file.read_bytes() for file in files)
    assert first == second
    assert first.startswith(BEGINNINGS[suffix])


def test_bins_are_proposed_where_none_are_given(archived: str, tmp_path: Path) -> None:
    assert run(archived, "-o", "x", "--kind", "breakdown", "--output", str(tmp_path / "x.png")).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((*X, "--output", "x.jpg"), "expected a name that ends in .png, .pdf, .svg; found 'x.jpg'"),
        (("--output", "x.png"), "--kind spectrum takes 1 --observable; found 0"),
        ((*X, "--kind", "2d", "--output", "x.png"), "--kind 2d takes 2 --observable; found 1"),
        ((*TWO, "--kind", "closure", "--output", "x.png"), "--kind closure takes 0 or 1 --observable; found 2"),
        (("--kind", "ranking", "--output", "x.png"), "--kind ranking takes 1 or more --observable; found 0"),
        ((*X, "--kind", "ranking", "--output", "x.png"), "give one --theory or several"),
        ((*X, "--kind", "pulls", "--output", "x.png"), "give a --theory, or --prior"),
        ((*X, "--kind", "fan", "--output", "x.png"), "say which with --component; there are ensemble, data_bootstrap"),
        (
            (*X, "-b", "0,1", "--output", "x.png"),
            "expected one --bins for each --observable, or none at all; found 2 for 1",
        ),
        (("-o", "x", "-o", "x", "--kind", "2d", "--output", "x.png"), "an observable is given twice"),
    ],
)
def test_a_bad_call_says_what_is_missing(
    arguments: tuple[str, ...], message: str, archived: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(archived, *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert list(tmp_path.iterdir()) == []


def test_a_release_that_says_nothing_of_its_trainings_is_at_fault(archived: str, tmp_path: Path) -> None:
    result = run(archived, "--kind", "iterations", "--output", str(tmp_path / "x.png"))
    assert result.exit_code == 1
    assert "says nothing of its trainings" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_closure_test_is_repeated(archived: str, tmp_path: Path) -> None:
    output = tmp_path / "closure.svg"
    result = run(archived, *X, "--kind", "closure", "--output", str(output))
    assert result.exit_code == 0, result.stderr
    assert "<!-- closure: dd -->" in output.read_text()
    result = run(archived, *X, "--kind", "closure", "--test", "none", "--output", str(output))
    assert result.exit_code == 1
    assert "no closure test 'none'" in result.stderr
