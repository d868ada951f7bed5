"""Tables for people."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from omnifold_pub import JointMeasurement, Measurement, Release
from omnifold_pub.estimators import Moments
from omnifold_pub.presentation.tables import SHORT, TERMINAL, Table, html_text, plain_text, rounded, tables_of


def test_text_shows_every_bin_aligned_and_without_colours(measurement: Measurement) -> None:
    lines = plain_text(tables_of(measurement, SHORT)).splitlines()
    assert lines[0] == "x: cross section per bin in pb"
    assert lines[1].split()[:5] == ["bin", "value", "+-", "total", "%"]
    assert [line[:12].strip() for line in lines[2:]] == list(measurement.labels)
    assert "\x1b" not in str(measurement)
    ends = {len(line) for line in lines[2:]}
    assert len(ends) == 1  # the last column is one of numbers, to the right
    assert repr(measurement).count("\n") == 0


def test_print_fits_into_a_terminal_and_leaves_nothing_out(measurement: Measurement) -> None:
    title, *lines = str(measurement).splitlines()
    assert all(len(line) <= TERMINAL for line in lines)
    assert title == "x: cross section per bin in pb"
    pieces = [piece.splitlines() for piece in "\n".join(lines).split("\n\n")]
    assert len(pieces) == 2
    (whole,) = tables_of(measurement, SHORT)
    for number, row in enumerate([whole.columns, *whole.rows]):
        first, second = (piece[number] for piece in pieces)
        assert first.startswith(row[0])
        assert second.startswith(row[0])
        assert (first + second.removeprefix(row[0])).split() == " ".join(row).split()


def test_numbers_are_those_of_the_measurement(measurement: Measurement) -> None:
    (table,) = tables_of(measurement, SHORT)
    for row, value, error in zip(table.rows, measurement.nominal, measurement.uncertainties(), strict=True):
        assert float(row[1]) == pytest.approx(value, abs=0.05 * error)
        assert float(row[2]) == pytest.approx(error, rel=0.051)
        assert float(row[3]) == pytest.approx(100 * error / value, abs=0.051)


@given(st.floats(-1e12, 1e12), st.floats(1e-12, 1e12))
def test_a_pair_is_rounded_to_two_digits_of_the_uncertainty(value: float, error: float) -> None:
    shown_value, shown_error = map(float, rounded(value, error))
    assert shown_error == pytest.approx(error, rel=0.0501)
    assert shown_value == pytest.approx(value, abs=0.0501 * error + 1e-9 * abs(value))


def test_many_components_are_shortened_to_the_largest(measurement: Measurement) -> None:
    (table,) = tables_of(measurement, SHORT)
    shown = [name.removesuffix(" %") for name in table.columns[4:]]
    assert shown[-1] == "5 others"
    assert len(shown) == SHORT.components
    relative = {
        c.name: np.sum((measurement.uncertainties(c.name) / measurement.nominal) ** 2) for c in measurement.components
    }
    assert set(shown[:-1]) == set(sorted(relative, key=relative.__getitem__)[-5:])
    others = [measurement.covariance(name) for name in relative if name not in shown]
    band = np.sqrt(np.diag(np.sum(others, axis=0)))
    for row, one in zip(table.rows, 100 * band / measurement.nominal, strict=True):
        assert float(row[-1]) == pytest.approx(one, abs=0.051)


def test_all_components_are_there_without_limits(measurement: Measurement) -> None:
    values, components = tables_of(measurement)
    assert len(values.rows) == 4
    assert [row[0] for row in components.rows] == ["total", *(c.name for c in measurement.components)]
    assert float(components.rows[1][1]) == pytest.approx(
        100 * measurement.uncertainties("ensemble")[0] / measurement.nominal[0], abs=0.051
    )


def test_many_bins_are_shortened_in_the_middle(release: Release) -> None:
    fine = release.measure("x", np.linspace(-2, 2, 101))
    lines = plain_text(tables_of(fine, SHORT)).splitlines()
    assert len(lines) == 2 + SHORT.bins + 1
    assert lines[2 + SHORT.bins // 2].split()[0] == "..."
    assert lines[-1].startswith("1.96 - 2")
    assert sum(len(table.rows) for table in tables_of(fine)) == 100 + 11


def test_many_statistics_are_counted(release: Release) -> None:
    joint = release.measure({f"m{i}": Moments("x", name=f"m{i}") for i in range(12)})
    assert str(joint).endswith("... and 2 more")
    assert "m9: value" in str(joint)
    assert "m10" not in str(joint)


def test_a_joint_measurement_has_a_table_for_each(computable: JointMeasurement) -> None:
    titles = [table.title for table in tables_of(computable, SHORT)]
    assert titles == [
        "x: cross section per bin in pb",
        "x * z: cross section per bin in pb, where n >= 2",
        "shares: share of the cross section per bin",
        "density: cross section per bin width in pb / GeV",
        "profile: value in GeV, where z > 0.2",
        "ratio: value",
        "moments: value",
        "quantiles: value",
    ]


def test_an_empty_bin_has_no_percentage(release: Release) -> None:
    (table,) = tables_of(release.measure("x", [-1, 1, 500, 501]), SHORT)
    assert table.rows[2][1:4] == ("0", "0", "-")


def test_no_name_moves_the_cursor_or_is_markup(release: Release) -> None:
    name = "\x1b[31m[bold]x[/bold]\n\r\x07"
    joint = release.measure({name: Moments("x", name=name)})
    for text in (str(joint), joint._repr_html_()):
        assert not re.search(r"[\x00-\x09\x0b-\x1f]", text)
    stream = io.StringIO()
    Console(file=stream, width=200).print(joint)
    assert "[bold]x[/bold]" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


def test_rich_draws_the_same_cells(measurement: Measurement) -> None:
    stream = io.StringIO()
    Console(file=stream, width=200).print(measurement)
    assert [line.split() for line in stream.getvalue().splitlines()] == [
        line.split() for line in plain_text(tables_of(measurement, SHORT)).splitlines()
    ]


def test_cells_stay_on_one_line_in_a_narrow_terminal(measurement: Measurement) -> None:
    stream = io.StringIO()
    Console(file=stream, width=80).print(measurement)
    for label in measurement.labels:
        assert label in stream.getvalue()


class Cells(HTMLParser):
    """Collects the cells of each row, and every tag."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data


def test_a_notebook_gets_the_same_cells(measurement: Measurement) -> None:
    parser = Cells()
    parser.feed(measurement._repr_html_())
    (table,) = tables_of(measurement, SHORT)
    assert parser.rows == [list(table.columns), *map(list, table.rows)]


def test_html_is_escaped_and_without_script(release: Release) -> None:
    name = "<script>alert(1)</script><img src=x onerror=alert(1)>&\"'"
    parser = Cells()
    parser.feed(release.measure({name: Moments("x", name=name)})._repr_html_())
    assert parser.tags == {"div", "table", "caption", "thead", "tbody", "tr", "th", "td"}
    assert parser.attributes == {"style"}


def test_a_table_without_rows_is_drawn() -> None:
    empty = Table("nothing", ("a", "b"), ())
    assert plain_text([empty]) == "nothing\na  b"
    assert "<th" in html_text([empty])


def test_a_negative_value_has_a_positive_percentage(measurement: Measurement) -> None:
    (table,) = tables_of(replace(measurement, nominal=-measurement.nominal), SHORT)
    assert all(float(row[3]) > 0 for row in table.rows)
