"""What is written for HEPData: tables, matrices, and everything that HEPData asks for."""

from __future__ import annotations

import gzip
import hashlib
import io
import itertools
import math
import tarfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from omnifold_pub import JointMeasurement, Measurement, Release
from omnifold_pub.errors import PublishError
from omnifold_pub.estimators import Histogram
from omnifold_pub.exchange.hepdata import Record, Submission, submission_of, write_submission
from omnifold_pub.exchange.hepdata.bridge import hepdata_lib_tables
from omnifold_pub.exchange.hepdata.columns import Column, Table, data_yaml
from omnifold_pub.exchange.hepdata.matrices import LAYOUT
from omnifold_pub.exchange.hepdata.names import Names
from omnifold_pub.exchange.hepdata.rules import broken_rules
from omnifold_pub.exchange.methods import Exchangeable
from omnifold_pub.measurement import Estimate
from tests.exchange.hepdata.conftest import EDGES, Write, complaints, documents, numbers


def submission(measured: Estimate, **record: Any) -> Submission:
    return submission_of(measured, measured.to_dict(), Record(**record))


Tables = dict[str, dict[str, Any]]


@pytest.mark.slow
def test_hepdata_takes_a_folder_and_an_archive(every_kind_folder: Path, write: Write, x: Measurement) -> None:
    assert complaints(every_kind_folder) == {}
    assert complaints(write(x, "submission.tar.gz")) == {}


def test_the_validator_would_see_a_mistake(write: Write, x: Measurement) -> None:
    folder = write(x)
    (folder / "x.yaml").write_text((folder / "x.yaml").read_text().replace("symerror", "error"))
    assert "x.yaml" in "".join(complaints(folder))


def test_values_bins_and_signed_errors_are_the_measurements(write: Write, x: Measurement, release: Release) -> None:
    _, tables = documents(write(x))
    table = tables["x"]
    assert numbers(table) == x.values().tolist()
    (axis,) = table["data"]["independent_variables"]
    assert axis["values"] == [{"low": low, "high": high} for low, high in itertools.pairwise(EDGES)]
    cells = table["data"]["dependent_variables"][0]["values"]
    found = {e["label"]: [c["errors"][k]["symerror"] for c in cells] for k, e in enumerate(cells[0]["errors"])}
    one, pair = x.members("shift"), x.members("up_down")
    assert found["sys,shift"] == (one[0] - x.nominal).tolist()
    assert found["sys,up_down"] == ((pair[0] - pair[1]) / 2).tolist()
    assert found["uncor,model"] == (x.members("model")[0] - x.nominal).tolist()
    assert found["sys,pdf[2]"] == (x.members("pdf")[1] - x.nominal).tolist()
    assert found["stat,data_bootstrap"] == x.uncertainties("data_bootstrap").tolist()
    assert min(found["sys,pdf[2]"]) < 0 < max(found["sys,pdf[2]"])
    np.testing.assert_allclose(sum(np.square(e) for e in found.values()), np.diag(x.covariance()), rtol=1e-12)
    units = table["data"]["dependent_variables"][0]["header"]["units"]
    assert units == release.unit


def test_two_axes_run_as_the_bins_do(every_table: Tables, every_kind: JointMeasurement) -> None:
    table = every_table["shares"]
    first, second = table["data"]["independent_variables"]
    shares = every_kind["shares"]
    for row, value in enumerate(numbers(table)):
        x, n = (bins["values"][row] for bins in (first, second))
        i, j = shares.axes[0].edges.tolist().index(x["low"]), shares.axes[1].edges.tolist().index(n["low"])
        assert value == shares.values()[i, j]


def test_flow_bins_have_infinite_edges(every_table: Tables) -> None:
    bins = every_table["x * z"]["data"]["independent_variables"][0]["values"]
    assert (bins[0]["low"], bins[-1]["high"]) == (-math.inf, math.inf)


def test_matrices_are_there_of_each_component_and_of_all(every_table: Tables, every_kind: JointMeasurement) -> None:
    bins = len(every_kind.nominal)
    places = [(i, j) for i in range(bins) for j in range(bins)]
    for component, name in [(None, "all components"), *((c.name, c.name) for c in every_kind.components)]:
        for kind, matrix in (
            ("Covariance", every_kind.covariance(component)),
            ("Correlation", every_kind.correlation(component)),
        ):
            table = every_table[f"{kind} of {name}"]
            rows, columns = (
                [c["value"] for c in variable["values"]] for variable in table["data"]["independent_variables"]
            )
            assert list(zip(rows, columns, strict=True)) == [(i + 1, j + 1) for i, j in places]
            assert numbers(table) == [matrix[place] for place in places]
            assert "x: 1 to 4; x * z: 5 to 8" in table["description"]
    off = every_kind.covariance()[every_kind.slice("x"), every_kind.slice("profile")]
    assert np.abs(off).max() > 0  # the blocks between observables are in them


def test_the_total_is_a_table_and_never_an_error(every_table: Tables) -> None:
    for table in every_table.values():
        for column in table["data"]["dependent_variables"]:
            labels = {e["label"].lower() for cell in column["values"] for e in cell.get("errors", [])}
            assert "total" not in labels


@pytest.mark.parametrize(("bins", "attached"), [(70, False), (71, True)])
def test_a_matrix_of_more_than_5000_rows_is_a_file(
    write: Write, release: Release, bins: int, *, attached: bool
) -> None:
    measured = release.measure("x", np.linspace(-1.5, 1.5, bins + 1), components=["luminosity"])
    folder = write(measured)
    assert not attached or complaints(folder) == {}  # of the largest tables it takes a minute
    whole, tables = documents(folder)
    assert max(len(numbers(table)) for table in tables.values()) <= 5000
    locations = [resource["location"] for resource in whole["additional_resources"]]
    files = [location for location in locations if location.startswith(("Covariance", "Correlation"))]
    assert len(files) == (4 if attached else 0)
    assert len(tables) == (1 if attached else 5)
    for component, file in zip((None, "luminosity"), files[::2], strict=False):
        text = gzip.decompress((folder / file).read_bytes()).decode()
        assert (np.loadtxt(io.StringIO(text), delimiter=",") == measured.covariance(component)).all()


def test_of_many_observables_each_has_its_own_matrices_as_tables(write: Write, release: Release) -> None:
    edges = np.linspace(-1.5, 1.5, 36)
    measured = release.measure({"x": edges, "y": [0, 20, 60, 200], "w": ("x + 0.1", edges)}, components=["pdf"])
    folder = write(measured)
    assert complaints(folder) == {}
    tables = documents(folder)[1]
    assert numbers(tables["Covariance of y"]) == measured["y"].covariance().ravel().tolist()
    assert numbers(tables["Correlation of w"]) == measured["w"].correlation().ravel().tolist()
    assert "Covariance of pdf" not in tables


def test_hepdata_lib_makes_the_same_tables(every_kind: JointMeasurement, x: Measurement) -> None:
    made = submission(every_kind)
    theirs = hepdata_lib_tables(made)
    assert [table.name for table in theirs] == [table.name for table in made.tables]
    for one, table in zip(theirs, made.tables, strict=True):
        own = yaml.load(data_yaml(table), Loader=yaml.CSafeLoader)
        for key, is_independent in (("independent_variables", True), ("dependent_variables", False)):
            expected = [_plain(v.make_dict()) for v in one.variables if v.is_independent is is_independent]
            assert own[key] == expected
    assert [table.name for table in hepdata_lib_tables(x, Record(metadata={"licence": "MIT"}))] == ["x"]


def _plain(made: dict[str, Any]) -> dict[str, Any]:
    return {**made, "values": [dict(cell) for cell in made["values"]]}


def test_the_record_points_to_the_release(write: Write, x: Measurement, release_path: Path) -> None:
    whole, tables = documents(write(x, doi="doi:10.5281/zenodo.1", files=[release_path], reactions=["P P --> X"]))
    release, layout = whole["additional_resources"]
    assert release["location"] == "https://doi.org/10.5281/zenodo.1"
    assert hashlib.sha256(release_path.read_bytes()).hexdigest() in release["description"]
    assert layout["location"] == "omnifold_pub.json"
    licence = {"name": "CC0-1.0", "url": "https://creativecommons.org/publicdomain/zero/1.0/"}
    assert release["license"] == layout["license"] == tables["x"]["data_license"] == licence
    found = {keyword["name"]: keyword["values"] for keyword in tables["x"]["keywords"]}
    assert found == {"reactions": ["P P --> X"], "observables": ["SIG"], "cmenergies": [13000.0], "phrases": ["none"]}
    qualifiers = tables["x"]["data"]["dependent_variables"][0]["qualifiers"]
    assert qualifiers == [
        {"name": "RE", "value": "P P --> X"},
        {"name": "SQRT(S)", "units": "GEV", "value": 13000.0},
    ]


def test_without_a_doi_the_checksum_is_in_the_comment(write: Write, x: Measurement, release_path: Path) -> None:
    whole, _ = documents(write(x, files=[release_path]))
    assert hashlib.sha256(release_path.read_bytes()).hexdigest() in whole["comment"]
    assert [resource["location"] for resource in whole["additional_resources"]] == ["omnifold_pub.json"]


def test_nothing_need_be_known_of_the_release(write: Write, x: Measurement) -> None:
    folder = write(x, metadata={})
    assert complaints(folder) == {}
    assert "data_license" not in documents(folder)[1]["x"]


def test_html_is_shown_as_it_is(every_table: Tables) -> None:
    assert "Selection: n &gt;= 2 &amp; x &lt; 3." in every_table["x * z"]["description"]


@pytest.mark.parametrize("doi", ["zenodo.1", "10.1/" + "x" * 300])
def test_a_wrong_doi_is_refused(write: Write, x: Measurement, doi: str) -> None:
    with pytest.raises(PublishError, match=r"doi: expected one such as 10\.5281"):
        write(x, doi=doi)


def test_a_file_of_the_release_that_is_not_there_is_refused(write: Write, x: Measurement, tmp_path: Path) -> None:
    with pytest.raises(PublishError, match=r"absent\.h5: expected a file of the release"):
        write(x, files=[tmp_path / "absent.h5"])
    assert not (tmp_path / "submission").exists()


def test_an_empty_bin_has_neither_number_nor_errors(write: Write, release: Release) -> None:
    folder = write(release.measure("x", [-1, 0, 1, 50, 60]))
    assert complaints(folder) == {}
    cells = documents(folder)[1]["x"]["data"]["dependent_variables"][0]["values"]
    assert cells[3] == {"value": "-"}
    assert all("errors" in cell for cell in cells[:3])


def test_a_bin_with_a_value_and_no_error_is_refused(write: Write, release: Release, tmp_path: Path) -> None:
    flat = Histogram("x", EDGES, normalise=True)
    measured = release.measure(flat, components=["luminosity"])  # a scale does not move a normalised spectrum
    bare = Estimate.from_dict(measured.to_dict() | {"form": "estimate"})
    for result in bare.results:
        result.covariance[:] = 0
    with pytest.raises(PublishError, match=r"bin 1 has the value .* and no uncertainty at all .4 bins"):
        write(bare)
    assert list(tmp_path.glob("*sub*")) == []


def test_values_without_uncertainties_are_refused(write: Write, release: Release) -> None:
    with pytest.raises(PublishError, match="expected components of the covariance; found none"):
        write(release.measure("x", EDGES, components=[]))


def test_long_names_and_names_that_are_alike_stay_apart(write: Write, release: Release) -> None:
    long = " + ".join(["x"] * 30)
    measured = release.measure({long: EDGES, f"{long} + x": EDGES, "x / z": [-1, 1], "x * z": [-1, 1]})
    folder = write(measured)
    assert complaints(folder) == {}
    names = list(documents(folder)[1])
    assert all(len(name) <= 64 for name in names)
    assert len({name.lower() for name in names}) == len(names)
    files = [path.name.lower() for path in folder.iterdir()]
    assert len(set(files)) == len(files)


def make_table(**changed: Any) -> Table:
    rows = {"values": (1.0,), "errors": (("sys,a", (0.1,)),)} | changed.pop("column", {})
    columns = {"independent": (Column("x", changed.pop("bins", ((0.0, 1.0),))),), "dependent": (Column("y", **rows),)}
    return Table(**({"name": "t", "file": "t.yaml", "description": LAYOUT} | columns | changed))


BIG = {"column": {"values": (1.0,) * 5001, "errors": ()}, "bins": (1.0,) * 5001}


@pytest.mark.parametrize(
    ("table", "files", "archive", "said"),
    [
        (make_table(), {}, 50_000_001, "the archive: expected at most 50000000 bytes"),
        (make_table(), {"t.yaml": bytes(10_000_001)}, 1, "t.yaml: expected at most 10000000 bytes; found 10000001"),
        (make_table(is_matrix=True, **BIG), {}, 1, "expected a matrix of at most 5000 rows; found 5001"),
        (make_table(name="n" * 65), {}, 1, "expected a name of at most 64 characters; found 65"),
        (make_table(column={"errors": (("sys,a", (0.0,)),)}), {}, 1, "row 1: expected an error; found all zero"),
        (make_table(column={"errors": (("Total", (0.1,)),)}), {}, 1, "the error label 'total'"),
        (make_table(column={"errors": (("a", (0.1,)), ("a", (0.1,)))}), {}, 1, "found 'a' again"),
        (make_table(is_matrix=True, description="A matrix"), {}, 1, "caption to describe the layout of the matrix"),
        (make_table(bins=((-math.inf, math.inf),)), {}, 1, "row 1: expected a finite edge; found both infinite"),
    ],
)
def test_each_rule_is_checked(table: Table, files: dict[str, bytes], archive: int, said: str) -> None:
    (problem,) = broken_rules([table], files, archive)
    assert said in problem


def test_what_keeps_the_rules_breaks_none() -> None:
    assert broken_rules([make_table()], {"t.yaml": bytes(10_000_000), "m.csv.gz": bytes(20_000_000)}, 50_000_000) == []
    twice = broken_rules([make_table(), make_table()], {}, 1)
    assert twice == ["t: two tables have this name", "t.yaml: two tables have this file"]


def test_a_broken_rule_leaves_nothing(write: Write, x: Measurement, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("omnifold_pub.exchange.hepdata.rules.LARGEST_YAML", 1000)
    with pytest.raises(PublishError, match=r"HEPData would not take this submission(?s:.*)x\.yaml: expected at most"):
        write(x)
    assert list(tmp_path.glob("*sub*")) == []


def test_the_size_of_the_archive_counts_not_that_of_the_files(write: Write, x: Measurement, monkeypatch: Any) -> None:
    size = sum(path.stat().st_size for path in write(x).iterdir())
    packed = write(x, "s.tgz").stat().st_size
    assert packed < size
    for limit, name in ((packed, "fits"), (packed - 1, "does not")):
        monkeypatch.setattr("omnifold_pub.exchange.hepdata.rules.LARGEST_ARCHIVE", limit)
        monkeypatch.setattr("omnifold_pub.exchange.hepdata.submission.LARGEST_ARCHIVE", limit)
        if name == "fits":
            write(x, name)
        else:
            with pytest.raises(PublishError, match="the archive: expected at most"):
                write(x, name)


def test_a_submission_is_replaced_and_nothing_else(write: Write, x: Measurement, tmp_path: Path) -> None:
    folder = write(x)
    with pytest.raises(PublishError, match="exists already"):
        write(x)
    (folder / "old.yaml").touch()
    write(x, overwrite=True)
    assert not (folder / "old.yaml").exists()
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/chapter.tex").touch()
    with pytest.raises(PublishError, match=r"expected a submission, a folder with submission\.yaml to overwrite"):
        write(x, "thesis", overwrite=True)
    assert (tmp_path / "thesis/chapter.tex").exists()
    with pytest.raises(PublishError, match="there is no folder"):
        write(x, "absent/submission")


def test_the_same_measurement_gives_the_same_bytes(write: Write, every_kind: JointMeasurement) -> None:
    assert write(every_kind, "a.tgz").read_bytes() == write(every_kind, "b.tgz").read_bytes()
    with tarfile.open(write(every_kind, "c.tgz")) as tar:
        assert sorted(tar.getnames()) == sorted(path.name for path in write(every_kind).iterdir())


def test_the_method_takes_what_the_function_takes(x: Measurement, tmp_path: Path, release: Release) -> None:
    path = Exchangeable.to_hepdata(x, tmp_path / "a", metadata=release.metadata, doi="10.5281/zenodo.1", members=False)
    assert complaints(path) == {}
    record = Record(release.metadata, "10.5281/zenodo.1")
    write_submission(x, x.to_dict(members=False), tmp_path / "b", record=record, overwrite=False)
    assert {p.name: p.read_bytes() for p in path.iterdir()} == {
        p.name: p.read_bytes() for p in (tmp_path / "b").iterdir()
    }


@pytest.mark.parametrize(
    "text", ["a: b", "- {x}", "%d", "'\"\\", "line\nbreak", "\x85\u2028\x7f", "smile \U0001f600", "1e5"]
)
def test_any_text_comes_back_from_yaml(text: str) -> None:
    column = Column(text, (text,), unit=text, errors=((text, (-1e-05,)),), qualifiers=({"name": text, "value": 1e22},))
    found = yaml.safe_load(data_yaml(make_table(independent=(column,), dependent=(column,))))
    (one,) = found["dependent_variables"]
    assert one["header"] == {"name": text, "units": text}
    assert one["values"] == [{"value": text, "errors": [{"symerror": -1e-05, "label": text}]}]
    assert one["qualifiers"] == [{"name": text, "value": 1e22}]
    name, file = Names().take(text)
    assert name.isprintable()
    assert not {"/", "\\", "\n"} & set(file)


def test_importing_hepdata_lib_is_left_to_who_asks_for_it(x: Measurement, write: Write) -> None:
    with warnings.catch_warnings(record=True) as said:
        write(x)
    assert said == []
