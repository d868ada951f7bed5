"""Measurements in a terminal: what bars say, and that they fit."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.console import Console

from omnifold_pub import JointMeasurement, Release
from omnifold_pub.presentation.bars import ASCII, BLOCKS, Scale, bar, share_bar
from omnifold_pub.presentation.terminal import TerminalView

numbers = st.floats(-1e6, 1e6, allow_subnormal=False)
positive = st.floats(0, 1e5, allow_subnormal=False)


@example(pairs=[(2.0, 0.0), (2.2250738585072014e-308, 0.0)], width=5)
@given(pairs=st.lists(st.tuples(numbers, positive), min_size=1, max_size=8), width=st.integers(5, 60))
def test_a_bar_ends_within_a_cell_of_its_interval(pairs: list[tuple[float, float]], width: int) -> None:
    values, errors = np.array(pairs).T
    scale = Scale.of(values, errors)
    for value, error in pairs:
        drawn = bar(value, error, scale=scale, width=width, signs=ASCII)
        assert len(drawn) <= width
        assert set(drawn) <= {"#", "="}
        assert "=#" not in drawn
        upper = width * scale.place(value + error)
        assert abs(len(drawn) - upper) <= (1 if error > 0 else 0.5) + 1e-6
        if error > 0:
            assert abs(drawn.count("#") - width * scale.place(value - error)) <= 1 + 1e-6
            assert "=" in drawn


def test_a_scale_is_logarithmic_only_where_it_can_be() -> None:
    none = np.zeros(2)
    assert Scale.of(np.array([1.0, 60.0]), none) == Scale(1.0, 60.0, logarithmic=True)
    assert Scale.of(np.array([0.0, 60.0]), none) == Scale(0.0, 60.0, logarithmic=False)
    assert Scale.of(np.array([-3.0, 6.0]), np.array([1.0, 0.0])) == Scale(-4.0, 6.0, logarithmic=False)
    assert Scale.of(np.array([np.nan, 6.0]), none) == Scale(0.0, 6.0, logarithmic=False)
    assert Scale.of(np.array([np.nan]), np.array([0.0])).high > 0
    assert Scale.of(none, none).high > 0
    assert Scale(1.0, 100.0, logarithmic=True).place(10.0) == pytest.approx(0.5)


def test_eighths_of_a_cell_are_drawn() -> None:
    assert share_bar(0.25 + 0.5 / 8, width=8) == "\N{FULL BLOCK}\N{FULL BLOCK}\N{LEFT HALF BLOCK}"
    assert share_bar(0.0, width=8) == ""


def shown(joint: JointMeasurement, width: int, encoding: str = "utf-8") -> list[str]:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=stream, width=width, force_terminal=True, color_system=None, legacy_windows=False)
    console.print(TerminalView(joint))
    stream.flush()
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode(encoding).splitlines()


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
@pytest.mark.parametrize("kinds", ["computable", "functions"])
def test_every_kind_of_statistic_fits(request: pytest.FixtureRequest, kinds: str, width: int) -> None:
    measured: JointMeasurement = request.getfixturevalue(kinds)
    lines = shown(measured, width)
    assert max(map(len, lines)) <= width
    text = "".join("".join(lines).split())
    for name in measured.names:
        assert "".join(name.split()) in text


def test_values_bars_and_components_are_those_of_the_measurement(release: Release) -> None:
    joint = release.measure({"x": [-1.0, 0.0, 2.0]})
    lines = shown(joint, 80)
    heights, errors = joint.values() / [1, 2], joint.uncertainties() / [1, 2]
    scale = Scale.of(heights, errors)
    for label, height, error in zip(("-1 - 0", "0 - 2"), heights, errors, strict=True):
        (row,) = [line for line in lines if line.startswith(f"{label} ") and BLOCKS.full in line]
        drawn = row[row.index(BLOCKS.full) :].rstrip()
        assert drawn == bar(height, error, scale=scale, width=48, signs=BLOCKS)
        assert float(row.split()[5]) == pytest.approx(100 * error / height, abs=0.051)
    assert any("value per bin width, linear from 0" in line for line in lines)
    for component in joint.components:
        (row,) = [line for line in lines if line.split()[:1] == [component.name]]
        relative = 100 * joint.uncertainties(component.name) / joint.values()
        assert [float(cell) for cell in row.split()[1:]] == pytest.approx(relative, abs=0.051)


def test_many_bins_are_summed_up_where_they_do_not_fit(release: Release) -> None:
    joint = release.measure({"x": np.linspace(-1, 1, 13)})
    (row,) = [line for line in shown(joint, 80) if line.split()[:1] == ["data_bootstrap"]]
    relative = 100 * joint.uncertainties("data_bootstrap") / joint.values()
    assert [float(cell) for cell in row.split()[1:4]] == pytest.approx(
        [relative.min(), np.median(relative), relative.max()], abs=0.051
    )
    shares = [line.split()[4] for line in shown(joint, 80) if line.split()[5:6] == ["%"] or "%" in line.split()[4:6]]
    assert shares
    assert any(line.split()[:1] == ["data_bootstrap"] and len(line.split()) == 13 for line in shown(joint, 400))


def test_a_terminal_without_blocks_gets_letters(release: Release) -> None:
    text = "\n".join(shown(release.measure({"x": [-1.0, 0.0, 2.0]}), 80, encoding="ascii"))
    assert "####" in text
    assert BLOCKS.full not in text
