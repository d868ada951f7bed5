from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uproot

from omnifold_pub.errors import InputError
from omnifold_pub.inputs.analysis import Analysis, read_analysis
from omnifold_pub.inputs.fiducial import check_events
from omnifold_pub.inputs.sample import Columns
from omnifold_pub.observables.selection import Interval, Requirement

INF = float("inf")
NAN = float("nan")


def make_requirement(
    expression: str, minimum: float | None, maximum: float | None, tolerance: float = 0
) -> Requirement:
    entry = {"expression": expression, "minimum": minimum, "maximum": maximum, "tolerance": tolerance}
    return Requirement.from_document(entry, ["x", "y"])


def check(columns: dict[str, Any], *requirements: Requirement, ranges: dict[str, Interval] | None = None) -> None:
    table = Columns.from_arrays({name: np.asarray(column, dtype=np.float32) for name, column in columns.items()})
    check_events(table, 10 * np.arange(len(table)), ranges=ranges or {}, selection=requirements, where="here")


@pytest.mark.parametrize(
    ("values", "tolerance", "inside"),
    [([1, 2, 3], 0, [True, True, True]), ([0.9, 3.1, NAN, INF], 0, [False] * 4), ([0.9, 3.2], 0.1, [True, False])],
)
def test_an_interval_is_closed_and_nan_is_outside(values: list[float], tolerance: float, inside: list[bool]) -> None:
    assert Interval(1, 3).contains(np.array(values), tolerance).tolist() == inside


def test_rounding_to_float32_is_granted() -> None:
    assert Interval(-np.pi, 0.1).contains(np.array([-np.pi, 0.1], dtype=np.float32).astype(np.float64)).all()
    assert not Interval(-np.pi, 0.1).contains(np.array([-3.1416, 0.10001])).any()


def test_null_is_no_bound() -> None:
    assert Interval.from_document({"minimum": None, "maximum": None}) == Interval(-INF, INF)
    assert Interval.from_document({"minimum": 2, "maximum": 2}) == Interval(2, 2)


def test_events_on_the_bounds_and_within_the_tolerance_pass() -> None:
    check({"x": [-2, 2, 0], "y": [1, 1, 1]}, make_requirement("abs(x)", None, 2))
    check({"x": [2.0625], "y": [1]}, make_requirement("abs(x)", None, 2, 0.0625))


def test_the_row_in_the_file_and_the_value_are_told() -> None:
    message = r"here: 'x / y' is outside of \[1, inf\] in 2 of 3 events that pass truth, the first in row 10 \(0\.5\)"
    with pytest.raises(InputError, match=message):
        check({"x": [2, 1, 1], "y": [1, 2, 4]}, make_requirement("x / y", 1, None))


def test_an_event_that_lacks_a_column_is_not_bound() -> None:
    requirement = make_requirement("x + y", 1, None)
    check({"x": [0, 5], "y": [NAN, 1]}, requirement)
    with pytest.raises(InputError, match="row 10"):
        check({"x": [0, 0], "y": [NAN, 0.5]}, requirement)


def test_a_requirement_that_is_undefined_where_its_columns_are_there_is_not_met() -> None:
    with pytest.raises(InputError, match=r"'sqrt\(x\)' .* in 1 of 2 .* \(nan\)"):
        check({"x": [4, -1], "y": [0, 0]}, make_requirement("sqrt(x)", 0, None))


def test_a_condition_counts_as_one_or_zero() -> None:
    requirement = make_requirement("x > y", 1, 1)
    check({"x": [1], "y": [0]}, requirement)
    with pytest.raises(InputError):
        check({"x": [0], "y": [1]}, requirement)


def test_absent_values_are_in_every_range() -> None:
    check({"x": [1, NAN], "y": [0, 0]}, ranges={"x": Interval(1, 1)})
    with pytest.raises(InputError, match=r"'y' is outside of \[1, 1\] in 2 of 2 .* mend valid_range"):
        check({"x": [1, NAN], "y": [0, 0]}, ranges={"y": Interval(1, 1)})


def read_truth(analysis: Analysis, name: str) -> dict[str, Any]:
    with uproot.open(analysis.path.parent / name) as file:
        columns: dict[str, Any] = file["events"].arrays(library="np")
    passed = columns.get("pass_truth", np.ones(len(columns["pT_ll"]), dtype=bool)).astype(bool)
    return {name: column[passed] for name, column in columns.items()}


@pytest.mark.parametrize("name", ["mc.root", "theory.root", "data_truth.root"])
def test_the_demo_s_fiducial_region_and_ranges_hold_all_its_events(zjets: Path, name: str) -> None:
    analysis = read_analysis(zjets / "analysis.yaml")
    columns = read_truth(analysis, name)
    table = Columns.from_arrays({o.name: columns[o.name] for o in analysis.observables}, sentinel=-99)
    ranges = {o.name: o.valid_range for o in analysis.observables}
    check_events(table, np.arange(len(table)), ranges=ranges, selection=analysis.selection, where=name)


def test_the_demo_s_tolerances_are_not_generous(zjets: Path) -> None:
    """Zero where the columns are exact at the bound; for the mass, a few times what is measured."""
    analysis = read_analysis(zjets / "analysis.yaml")
    assert [r.tolerance for r in analysis.selection if not r.expression.text.startswith("sqrt")] == [0] * 9
    below, above = [r for r in analysis.selection if r.expression.text.startswith("sqrt")]
    columns = read_truth(analysis, "mc.root")
    p = {muon: [columns[f"{what}_{muon}"].astype(float) for what in ("pT", "eta", "phi")] for muon in ("l1", "l2")}
    momentum = sum(pt * np.array([np.cosh(eta), np.cos(phi), np.sin(phi), np.sinh(eta)]) for pt, eta, phi in p.values())
    mass = np.sqrt(momentum[0] ** 2 - (momentum[1:] ** 2).sum(axis=0))
    excursion = 81 - mass.min()
    assert excursion < below.tolerance < 3 * excursion
    # Truncated to 16 bits, phi is off by less than 2**-16 pi: m dm = p1 p2 sin(dphi) dphi.
    opening = np.abs(np.sin(p["l1"][2] - p["l2"][2])) * 2 * np.pi * 2.0**-16
    assert above.tolerance < 3 * (p["l1"][0] * p["l2"][0] / mass * opening).max()
