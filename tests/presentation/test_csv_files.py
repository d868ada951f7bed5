"""Measurements as CSV, read by other programs."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from omnifold_pub import JointMeasurement, Measurement, Release
from omnifold_pub.errors import PublishError
from omnifold_pub.estimators import Moments


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty one."""
    folder = tmp_path / "csv"
    folder.mkdir()
    return folder


def test_pandas_reads_every_digit(folder: Path, measurement: Measurement) -> None:
    path = folder / "x.csv"
    text = measurement.to_csv(path)
    assert path.read_text() == text
    frame = pd.read_csv(path, comment="#")
    np.testing.assert_array_equal(frame["value"], measurement.nominal)
    np.testing.assert_array_equal(frame["uncertainty"], measurement.uncertainties())
    np.testing.assert_array_equal(frame["effective_events"], measurement.effective_events)
    for component in measurement.components:
        np.testing.assert_array_equal(frame[component.name], measurement.uncertainties(component.name))
    assert list(zip(frame["low"], frame["high"], strict=True)) == list(measurement.axes[0])
    assert set(frame["observable"]) == {"x"}
    assert list(folder.iterdir()) == [path]


def test_the_csv_module_reads_every_digit(computable: JointMeasurement) -> None:
    text = computable.to_csv()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    rows: list[list[Any]] = list(csv.reader(lines, quoting=csv.QUOTE_NONNUMERIC))
    header = rows.pop(0)
    assert header[:7] == ["observable", "low_1", "high_1", "low_2", "high_2", "label", "value"]
    assert [row[0] for row in rows] == [
        name for name, n in zip(computable.names, computable.sizes, strict=True) for _ in range(n)
    ]
    assert [row[header.index("value")] for row in rows] == computable.nominal.tolist()
    shares = [row[1:5] for row in rows if row[0] == "shares"]
    assert shares == [[-1, 0, 0, 2.5], [-1, 0, 2.5, 20], [0, 1, 0, 2.5], [0, 1, 2.5, 20]]
    flow = [row[1:6] for row in rows if row[0] == "x * z"]
    assert flow[0] == [-np.inf, -1, "", "", ""]
    assert flow[-1] == [1, np.inf, "", "", ""]
    (median,) = (row for row in rows if row[5] == "quantile 0.5 of x")
    assert median[-1] == ""


def test_the_header_says_units_and_axes(computable: JointMeasurement) -> None:
    head = [line for line in computable.to_csv().splitlines() if line.startswith("#")]
    assert "# density: unit pb / GeV" in head
    assert "# density: axis 1 is y [GeV]" in head
    assert "# shares: axis 2 is n" in head
    assert "# moments: unit not the same for all its numbers, or not known" not in head  # x is a pure number


def test_the_covariance_is_a_matrix_of_its_own(folder: Path, computable: JointMeasurement) -> None:
    computable.to_csv(folder / "values.csv", covariance=folder / "covariance.csv")
    matrix = np.loadtxt(folder / "covariance.csv", delimiter=",")
    np.testing.assert_array_equal(matrix, computable.covariance())
    assert len(list(folder.iterdir())) == 2


def test_nothing_is_half_written(folder: Path, measurement: Measurement) -> None:
    with pytest.raises(PublishError, match="expected to write a CSV file there; found No such file"):
        measurement.to_csv(folder / "nowhere" / "x.csv")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "name", ["=1+1", "+1", "-x", "@SUM(A1)", "\t=1", "a,=1+1", 'a","=1+1', "a\n=1+1", "#a", "a # b"]
)
def test_no_cell_is_a_formula_and_no_name_breaks_a_row(release: Release, name: str) -> None:
    found = release.measure({name: Moments("x", [1, 2], name=name)})
    text = found.to_csv()
    rows = list(csv.reader(io.StringIO(text)))
    cells = [cell for row in rows for cell in row]
    numbers = {repr(n) for n in found.nominal.tolist()}
    assert [c for c in cells if c.startswith(("=", "+", "-", "@", "\t", "\r")) and c not in numbers] == []
    frame = pd.read_csv(io.StringIO(text), comment="#")
    assert len(frame) == 2
    assert set(frame["observable"]) == {f"'{name}" if name[0] in "=+-@\t" else name}


def test_components_that_are_called_as_columns_are_told_apart(measurement: Measurement) -> None:
    results = tuple(
        replace(r, component=replace(r.component, name="value")) if r.component.name == "pdf" else r
        for r in measurement.results
    )
    named = replace(measurement, results=results)
    frame = pd.read_csv(io.StringIO(named.to_csv()), comment="#")
    np.testing.assert_array_equal(frame["value"], named.nominal)
    np.testing.assert_array_equal(frame["value_"], named.uncertainties("value"))
    np.testing.assert_array_equal(named.to_dataframe()["value_"], named.uncertainties("value"))
