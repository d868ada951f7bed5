"""Theories of every kind, as the commands read them; and what is wrong with some, told once and clearly."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hist
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import uproot
from babyyoda.grogu.histo1d_v3 import Histo1D_v3
from click.testing import CliRunner, Result
from numpy.typing import NDArray

from omnifold_pub import Theory, compare, open_release
from omnifold_pub.cli.comparing import compare as compare_command
from omnifold_pub.cli.console import Group
from omnifold_pub.cli.exchanging import export
from omnifold_pub.cli.fitting import fit
from omnifold_pub.reinterpret.weight_families import Combination

MAIN = Group("omnifold-pub", commands={"compare": compare_command, "fit": fit, "export": export})
EDGES = [-2.0, -0.7, 0.1, 0.8, 2.5]
X = ("-o", "x", "-b", "-2,-0.7,0.1,0.8,2.5")
ROOT = ("--tree", "events", "--weight", "weight", "--unit", "pb")
PARQUET = ROOT[2:]
YODA = ("--object", "x", "/MINE/x", "--unit", "pb")
SIZE = 400

Columns = dict[str, NDArray[Any]]
Write = Callable[[Path, Columns], Path]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(MAIN, [str(argument) for argument in arguments])


def columns(**changed: NDArray[Any]) -> Columns:
    """Return events as the release has them, in single precision."""
    rng = np.random.default_rng(6)
    x, weight = rng.normal(0, 1, SIZE).astype(np.float32), rng.gamma(4, 10 / 4 / SIZE, SIZE)
    made: Columns = {"x": x, "weight": weight, "up": weight * (1.1 + 0.1 * x), "down": weight * (0.9 - 0.1 * x)}
    return made | changed


def to_root(path: Path, table: Columns) -> Path:
    with uproot.recreate(path) as file:
        file["events"] = table
    return path


def to_parquet(path: Path, table: Columns) -> Path:
    pq.write_table(pa.table(table), path)
    return path


def to_yoda(path: Path, table: Columns, edges: list[float] = EDGES) -> Path:
    text = ""
    for key, weights in (("", "weight"), ("[up]", "up"), ("[down]", "down")):
        filled = Histo1D_v3(edges)
        filled.d_key = f"/MINE/x{key}"
        for value, weight in zip(table["x"], table[weights], strict=True):
            filled.fill(float(value), float(weight))
        text += f"{filled.to_string()}\n"
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def to_root_histograms(path: Path, table: Columns) -> Path:
    with uproot.recreate(path) as file:
        for key, weights in (("", "weight"), ("[up]", "up"), ("[down]", "down")):
            filled = hist.Hist.new.Var(EDGES).Weight().fill(table["x"], weight=table[weights])
            file[f"folder/x{key}"] = filled
        file["events"] = table
    return path


@pytest.fixture
def table() -> Columns:
    return columns()


@pytest.mark.parametrize(
    ("name", "write", "options"),
    [
        ("t.root", to_root, ROOT),
        ("t.parquet", to_parquet, PARQUET),
        ("t.yoda", to_yoda, YODA),
        ("t.yoda.gz", to_yoda, YODA),
        ("t_histograms.root", to_root_histograms, ("--object", "x", "folder/x", "--unit", "pb")),
        ("no_suffix", to_parquet, PARQUET),  # its content tells
    ],
)
def test_each_kind_of_file_is_compared_as_its_events_are(
    published: Path, tmp_path: Path, table: Columns, name: str, write: Write, options: tuple[str, ...]
) -> None:
    families = {"scales": Combination("envelope", ("up", "down"))}
    theory = Theory.from_root(
        to_root(tmp_path / "direct.root", table),
        tree="events",
        weight="weight",
        unit="pb",
        columns=["x"],
        families=families,
    )
    with open_release(published) as release:
        expected = compare(release.measure({"x": EDGES}), theory).to_dict()
    family = ("--family", "scales", "envelope", "up", "--family", "scales", "envelope", "d*n")
    outcome = run("compare", published, write(tmp_path / name, table), *options, *family, *X, "--json")
    assert outcome.exit_code == 0, outcome.stderr
    found = json.loads(outcome.stdout)
    assert found["theory"] == name
    for key in ("predicted", "predicted_uncertainty", "chi2", "dof"):
        assert found[key] == pytest.approx(expected[key], rel=1e-4), key
    assert {one["name"] for one in found["dissection"]["components"]} >= {"theory: statistics", "theory: scales"}


@pytest.mark.parametrize(
    ("rule", "level", "combination"),
    [
        ("hessian", (), Combination("hessian", ("up", "down"))),
        ("hessian-pairs", (), Combination("hessian", ("up", "down"), paired=True)),
        (
            "hessian-pairs",
            ("--family-level", "pdf", "0.9"),
            Combination("hessian", ("up", "down"), paired=True, confidence_level=0.9),
        ),
    ],
)
def test_eigenvectors_come_as_their_set_has_them(
    published: Path, tmp_path: Path, table: Columns, rule: str, level: tuple[str, ...], combination: Combination
) -> None:
    path = to_parquet(tmp_path / "t.parquet", table)
    family = ("--family", "pdf", rule, "up", "--family", "pdf", rule, "down", *level)
    outcome = run("compare", published, path, *PARQUET, *family, *X, "--json")
    assert outcome.exit_code == 0, outcome.stderr
    theory = Theory.from_parquet(path, weight="weight", unit="pb", columns=["x"], families={"pdf": combination})
    with open_release(published) as release:
        expected = compare(release.measure({"x": EDGES}), theory)
    assert json.loads(outcome.stdout)["predicted_uncertainty"] == expected.to_dict()["predicted_uncertainty"]
    odd = run("compare", published, path, *PARQUET, "--family", "pdf", "hessian-pairs", "up", *X)
    assert odd.exit_code == 1
    assert "paired: expected an even number of members; found 1" in odd.stderr


def test_theories_of_several_kinds_are_ranked_and_fitted_together(
    published: Path, tmp_path: Path, table: Columns
) -> None:
    table["x"] = table["x"].astype(np.float64).round(3)  # the same numbers in all files
    files = [
        to_root(tmp_path / "t.root", table),
        to_parquet(tmp_path / "t.parquet", table),
        to_yoda(tmp_path / "t.yoda", table),
    ]
    outcome = run("compare", published, *files, *ROOT, *YODA[:3], *X, "--json")
    assert outcome.exit_code == 0, outcome.stderr
    assert {one["theory"] for one in json.loads(outcome.stdout)["theories"]} == {file.name for file in files}
    found = []
    for file in files:
        outcome = run("fit", published, "--template", "mu", file, *ROOT, *YODA[:3], *X, "--json")
        assert outcome.exit_code == 0, outcome.stderr
        found.append(json.loads(outcome.stdout)["parameters"][0]["value"])
    assert found == pytest.approx([found[0]] * 3, rel=1e-3)


def test_weights_of_parquet_are_reweighted_as_those_of_root(published: Path, tmp_path: Path, table: Columns) -> None:
    table["w1"] = table["weight"] * np.tanh(table["x"])
    found = []
    for write, options in ((to_root, ROOT), (to_parquet, PARQUET)):
        model = ("--fixed", write(tmp_path / "t", table), "--reweight", "c", "w1", "-")
        outcome = run("fit", published, *model, *options, *X, "--json")
        assert outcome.exit_code == 0, outcome.stderr
        found.append(json.loads(outcome.stdout)["parameters"])
    assert found[0] == found[1]


def test_what_is_stated_of_the_normalisation_counts(published: Path, tmp_path: Path, table: Columns) -> None:
    path = to_parquet(tmp_path / "t.parquet", table)

    def predicted(*options: str) -> float:
        outcome = run("compare", published, path, "--weight", "weight", *options, *X, "--json")
        assert outcome.exit_code == 0, outcome.stderr
        return float(np.sum(json.loads(outcome.stdout)["predicted"]))

    inside = ((table["x"] >= -2) & (table["x"] < 2.5)) @ table["weight"] / table["weight"].sum()
    assert predicted("--unit", "pb", "--cross-section", "3.5") == pytest.approx(3.5 * inside, rel=1e-6)
    shape = run("compare", published, path, "--weight", "weight", "--unit", "none", *X)
    assert shape.exit_code == 1
    assert "has no cross section, so that it can only be compared in shape" in shape.stderr
    assert predicted("--unit", "none", "--shape") > 0


LHE = """<?xml version="1.0"?>
<LesHouchesEvents version="3.0">
<init>
2212 2212 6500.0 6500.0 0 0 303400 303400 -4 1
1.3 0.1 1.0 1
</init>
{events}</LesHouchesEvents>
"""
LHE_EVENT = """<event>
 5 1 1.0 9.1e+01 7.5e-03 1.1e-01
 2 -1 0 0 501 0 0.0 0.0 700.0 700.0 0.0 0.0 9.0
 -2 -1 0 0 0 501 0.0 0.0 -700.0 700.0 0.0 0.0 9.0
 23 2 1 2 0 0 {pair} 0.0 0.0 700.0 91.0 0.0 9.0
 13 1 3 3 0 0 {half} 45.0 0.0 {energy} 0.0 0.0 1.0
 -13 1 3 3 0 0 {half} -45.0 0.0 {energy} 0.0 0.0 -1.0
</event>
"""


@pytest.fixture(scope="module")
def reference(project: Path) -> Path:
    """The reference release, whose metadata name a definition."""
    return project / "release/zjets/zjets.h5"


def test_generated_events_are_compared_by_the_definition_of_the_release(
    reference: Path, project: Path, tmp_path: Path
) -> None:
    bins = ("-o", "pT_ll", "-b", "200,230,270,1000")
    hepmc = project / "tests/data/hepmc/zjets.hepmc.gz"
    plain = tmp_path / "events.hepmc"
    plain.write_bytes(gzip.decompress(hepmc.read_bytes()))
    expected = Theory.from_hepmc(hepmc, definition="zjets")
    inside = np.histogram(expected.events["pT_ll"], [200, 230, 270, 1000], weights=expected.weights)[0]
    for path, options in ((hepmc, ()), (plain, ("--definition", "zjets", "--weight-name", "nominal"))):
        outcome = run("compare", reference, path, *options, *bins, "--json")
        assert outcome.exit_code == 0, outcome.stderr
        assert json.loads(outcome.stdout)["predicted"] == pytest.approx(inside.tolist())
    events = "".join(
        LHE_EVENT.format(pair=pt, half=pt / 2, energy=math.hypot(pt / 2, 45)) for pt in (150, 210, 220, 240, 300)
    )
    (tmp_path / "events.lhe").write_text(LHE.format(events=events))
    outcome = run("compare", reference, tmp_path / "events.lhe", *bins, "--json")
    assert outcome.exit_code == 0, outcome.stderr
    assert json.loads(outcome.stdout)["predicted"] == pytest.approx([0.52, 0.26, 0.26])  # of 1.3 pb in five events
    outcome = run("compare", reference, tmp_path / "events.lhe", *bins, "--unit", "fb")
    assert outcome.exit_code == 1
    assert "weights in fb, the measurement is in 'pb'" in outcome.stderr
    outcome = run("compare", reference, hepmc, "-o", "pT_ll", "-b", "200,1000", "--definition", "zjet")
    assert outcome.exit_code == 1
    assert "no fiducial definition 'zjet'" in outcome.stderr


def test_a_signal_of_histograms_is_exported(published: Path, tmp_path: Path, table: Columns) -> None:
    out = tmp_path / "likelihood.json"
    files = ("--signal", to_yoda(tmp_path / "t.yoda", table), "--background", to_root(tmp_path / "t.root", table))
    outcome = run("export", "hs3", published, out, *files, *ROOT, *YODA[:3], *X)
    assert outcome.exit_code == 0, outcome.stderr
    assert json.loads(out.read_text())["likelihoods"]


@pytest.mark.parametrize(
    ("write", "options", "message"),
    [
        (to_root, ("--unit", "pb"), "is a ROOT file: missing --tree, --weight"),
        (to_parquet, (), "is a Parquet file: missing --weight, --unit"),
        (to_yoda, (), "is a YODA file: missing --unit"),
        (to_yoda, ("--unit", "pb"), "say which histogram is of x: --object 'x' PATH"),
        (to_yoda, (*YODA, "--cross-section", "1"), "--cross-section is for events"),
        (to_root_histograms, ("--object", "y", "x", "--unit", "pb"), "say which histogram is of x: --object 'x' PATH"),
        (to_root_histograms, ("--object", "x", "folder/x"), "is a ROOT file: missing --unit"),
        (to_root, (*ROOT, "--family", "a", "envelope", "up", "--family", "a", "hessian", "down"), "expected one rule"),
        (to_root, (*ROOT, "--family", "a", "convolution", "up"), "'convolution' is not one of"),
        (to_root, (*ROOT, "--family-level", "a", "0.9"), "--family-level a: expected the name of a hessian --family"),
        (
            to_root,
            (*ROOT, "--family", "a", "envelope", "up", "--family-level", "a", "0.9"),
            "expected the name of a hessian --family",
        ),
    ],
)
def test_options_that_a_kind_needs_are_asked_for(
    published: Path, tmp_path: Path, table: Columns, write: Write, options: tuple[str, ...], message: str
) -> None:
    outcome = run("compare", published, write(tmp_path / "t", table), *options, *X)
    assert outcome.exit_code == 2
    assert message in outcome.stderr


def test_one_cross_section_is_not_that_of_many(published: Path, tmp_path: Path, table: Columns) -> None:
    files = [to_root(tmp_path / f"{number}.root", table) for number in range(2)]
    outcome = run("compare", published, *files, *ROOT, "--cross-section", 1, *X)
    assert outcome.exit_code == 2
    assert "--cross-section is that of one file; found 2 files" in outcome.stderr
    model: tuple[object, ...] = ("--fixed", files[0], "--reweight", "c", "up", "-", "--cross-section", 1)
    assert "does not go with --reweight" in run("fit", published, *model, *ROOT, *X).stderr
    model = ("--fixed", to_yoda(tmp_path / "t.yoda", table), "--reweight", "c", "up", "-")
    assert "takes the columns of a ROOT or a Parquet file" in run("fit", published, *model, *YODA, *X).stderr


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"pT,weight\n1,2\n", id="text"),
        pytest.param(gzip.compress(b"<xml/>"), id="gzip"),
        pytest.param(b"\x1f\x8brubbish", id="no gzip"),
    ],
)
def test_what_is_no_theory_is_told_by_its_content(published: Path, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "theory.root"
    path.write_bytes(content)
    outcome = run("compare", published, path, *ROOT, *X)
    assert outcome.exit_code == 1
    assert ("expected a file of ROOT, Parquet, HepMC" in outcome.stderr) or ("is none" in outcome.stderr)
    assert outcome.stderr.count("error") == 1
