"""Event ids and columns: unique, finite, in range, in the fiducial region."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from omnifold_pub import UnfoldingResult, validate
from omnifold_pub.format import layout

Change = Callable[[dict[str, Any], dict[str, Any]], object]


def put(name: str, where: Any, value: float) -> Change:
    return lambda a, m: a[name].__setitem__(where, value)


def select(expression: str, minimum: float | None, maximum: float | None, tolerance: float = 0) -> Change:
    """Require this instead of what the sound release requires."""
    cut = {"expression": expression, "minimum": minimum, "maximum": maximum, "tolerance": tolerance}
    return lambda a, m: m["fiducial"].update(selection=[cut])


def both(*changes: Change) -> Change:
    return lambda a, m: [change(a, m) for change in changes]


CASES: dict[str, tuple[Any, ...]] = {
    "repeated ids": (
        put("event_id", slice(0, 3), 1497),
        *("event_id", "required", "/event_id", "unique ids", "3 repeated"),
    ),
    "repeated ids far apart": (
        put("event_id", 499, 0),
        "event_id",
        "required",
        "/event_id",
        "unique ids",
        "1 repeated",
    ),
    "repeated ids on a canvas": (
        put("canvases/other/event_id", 5, 11),
        *("event_id", "required", "/canvases/other/event_id", "unique ids", "1 repeated"),
    ),
    "infinite column": (
        put("events/y", 3, np.inf),
        *("columns", "required", "/events/y", "finite values", "1 infinite"),
    ),
    "NaN not announced": (
        put("events/z", slice(2), np.nan),
        *("columns", "required", "/events/z", "no NaN", "2 NaN of 500"),
    ),
    "NaN not announced on a canvas": (
        put("canvases/other/events/x", 349, np.nan),
        *("columns", "required", "/canvases/other/events/x", "no NaN", "1 NaN of 350"),
    ),
    "a forgotten sentinel": (
        put("events/y", slice(7, 10), -99),
        *("range", "required", "/events/y", "values in its valid range, 0 to inf", "3 of 500 outside, from -99 to "),
    ),
    "a forgotten sentinel on a canvas": (
        put("canvases/other/events/y", 1, -99),
        *("range", "required", "/canvases/other/events/y", "valid range, 0 to inf", "1 of 350 outside, from -99 to "),
    ),
    "a forgotten sentinel of integers": (
        put("events/n", 2, -99),
        *("range", "required", "/events/n", "valid range, 0 to inf", "1 of 500 outside, from -99 to "),
    ),
    "above the range": (
        put("events/z", 499, 1.5),
        *("range", "required", "/events/z", "valid range, 0 to 1", "1 of 500 outside, from "),
    ),
    "outside the fiducial region": (
        both(put("events/x", 3, 11), put("events/x", 400, -12)),
        *("fiducial", "required", "/events", "-10 <= x <= 10 (tolerance 0)"),
        "2 of 500 events outside, the first in row 3 (11)",
    ),
    "outside the fiducial region on a canvas": (
        put("canvases/other/events/x", 7, -10.5),
        *("fiducial", "required", "/canvases/other/events", "-10 <= x <= 10"),
        "1 of 350 events outside, the first in row 7 (-10.5)",
    ),
    "beyond the tolerance": (
        both(select("2 * x", -20, 20, 0.5), put("events/x", 0, 10.3)),
        *("fiducial", "required", "/events", "-20 <= 2 * x <= 20 (tolerance 0.5)"),
        "1 of 500 events outside, the first in row 0 (20.6)",
    ),
    "expression of present columns undefined": (
        both(
            select("sqrt(n + 1)", None, None),
            put("events/n", 4, -2),
            lambda a, m: m["observables"][2].update(valid_range={"minimum": None, "maximum": None}),
        ),
        *("fiducial", "required", "/events", "-inf <= sqrt(n + 1) <= inf"),
        "1 of 500 events outside, the first in row 4 (nan)",
    ),
    "a condition that fails": (
        both(select("(x > -10) & (n >= 0)", 1, None), put("events/x", 6, -11)),
        *("fiducial", "required", "/events", "1 <= (x > -10) & (n >= 0) <= inf"),
        "1 of 500 events outside, the first in row 6 (0)",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_each_defect_is_found_and_nothing_else(assert_only: Callable[..., None], name: str) -> None:
    assert_only(*CASES[name])


def test_a_narrow_range_counts_what_numpy_counts(rewritten: Callable[..., Path], sound_result: UnfoldingResult) -> None:
    def change(arrays: dict[str, Any], metadata: dict[str, Any]) -> None:
        metadata["observables"][0]["valid_range"] = {"minimum": -1, "maximum": 0.5}
        arrays["canvases/other/events/x"][:] = 0

    x = sound_result.columns["x"][:]
    (finding,) = validate(rewritten(change)).findings
    outside = np.count_nonzero((x < -1) | (x > 0.5))
    assert finding.found == f"{outside} of 500 outside, from {x.min():.6g} to {x.max():.6g}"


def test_an_absent_column_binds_no_event_to_the_selection(
    rewritten: Callable[..., Path], sound_result: UnfoldingResult
) -> None:
    assert np.isnan(sound_result.columns["y"][:]).any()
    assert validate(rewritten(select("y", 0, 1e6))).findings == ()


def test_what_is_undefined_of_present_columns_is_outside_and_of_absent_ones_is_not(
    rewritten: Callable[..., Path], sound_result: UnfoldingResult
) -> None:
    x, y = sound_result.columns["x"][:], sound_result.columns["y"][:]
    bad = ~np.isnan(y) & (x < 0)
    report = validate(rewritten(select("y + sqrt(x)", 0, 1e6)))
    assert [finding.path for finding in report.findings] == ["/events", "/canvases/other/events"]
    first = f"the first in row {np.flatnonzero(bad)[0]} (nan)"
    assert report.findings[0].found == f"{bad.sum()} of 500 events outside, {first}"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(put("events/x", 0, 10), id="on the bound"),
        pytest.param(both(select("x", -10, 10, 0.5), put("events/x", 0, 10.4)), id="within the tolerance"),
        pytest.param(put("events/x", 0, np.nextafter(np.float32(10), np.float32(11))), id="one rounding beyond"),
        pytest.param(put("events/z", 0, 1), id="on the end of its range"),
        pytest.param(put("events/y", slice(None), np.nan), id="absent everywhere"),
        pytest.param(put("event_id", 0, -(2**63)), id="the smallest id"),
        pytest.param(lambda a, m: a["event_id"].__imul__(-1), id="ids that fall"),
        pytest.param(
            lambda a, m: a["canvases/other/event_id"].__imul__(3), id="ids of a canvas among those of the release"
        ),
    ],
)
def test_what_is_sound_is_not_reported(rewritten: Callable[..., Path], change: Change) -> None:
    assert validate(rewritten(change)).findings == ()


def test_columns_of_many_blocks_are_read_to_the_last_row(
    rewritten: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def small(rows: int, row_bytes: int, **_: int) -> list[tuple[int, int]]:
        return [(start, min(start + 64, rows)) for start in range(0, rows, 64)]

    path = rewritten(both(put("events/x", 499, 11), put("events/z", 450, 2), put("event_id", 499, 0)))
    monkeypatch.setattr("omnifold_pub.format.reading.row_blocks", small)
    monkeypatch.setattr(layout, "row_blocks", small)
    report = validate(path)
    assert [(finding.code, finding.path) for finding in report.findings] == [
        ("event_id", "/event_id"),
        ("range", "/events/z"),
        ("fiducial", "/events"),
    ]
    assert "the first in row 499 (11)" in report.findings[-1].found


@pytest.mark.parametrize("bound", [10, None])
@pytest.mark.parametrize("expression", ["1 / n", "log(n)", "exp(1000 * (n == 0))"])
def test_an_infinite_expression_is_outside(
    assert_only: Callable[..., None], expression: str, bound: float | None
) -> None:
    def one_without(arrays: dict[str, Any], metadata: dict[str, Any]) -> None:
        arrays["events/n"][:] = 1
        arrays["canvases/other/events/n"][:] = 1
        arrays["events/n"][5] = 0

    change = both(select(expression, None if bound is None else -bound, bound), one_without)
    assert_only(change, "fiducial", "required", "/events", expression, "1 of 500 events outside, the first in row 5")


def test_repeated_ids_are_found_however_large_ids_are(assert_only: Callable[..., None]) -> None:
    def change(arrays: dict[str, Any], metadata: dict[str, Any]) -> None:
        arrays["event_id"][:4] = 0, 9 * 10**18, -9 * 10**18, 0

    assert_only(change, "event_id", "required", "/event_id", "unique ids", "1 repeated")
