"""What a publisher vouches for, against sums written out."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from omnifold_pub import Release, UnfoldingResult, open_release, publish
from omnifold_pub.cli import main
from omnifold_pub.errors import ValidityError, ValidityWarning
from omnifold_pub.estimators import Custom, Histogram, Moments, Profile, Quantiles, Ratio, Statistic
from omnifold_pub.observables.binning import Axis
from omnifold_pub.validity import Limits, ValidRange, same_expression
from tests.conftest import make_result

EDGES = [-3.0, -1.5, -1.0, 0.0, 1.0, 2.0, 5.0, 50.0]  # the last bin is empty


@pytest.fixture(scope="module")
def unlimited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    """A release that vouches for everything."""
    with open_release(publish(make_result(), tmp_path_factory.mktemp("validity") / "release.h5")) as opened:
        yield opened


@pytest.fixture
def limited(unlimited: Release) -> Iterator[Release]:
    """A release whose limits a test may change."""
    before = copy.deepcopy(unlimited.metadata)
    yield unlimited
    unlimited.metadata.clear()
    unlimited.metadata.update(before)


def limit(release: Release, **limits: Any) -> None:
    names = {"events": "minimum_effective_events_per_bin", "data": "minimum_effective_data_events_per_bin"}
    release.metadata["validity"].update({names.get(key, key): value for key, value in limits.items()})


def interval(expression: str, minimum: float | None = None, maximum: float | None = None, **more: str) -> Any:
    return {"expression": expression, "minimum": minimum, "maximum": maximum, **more}


def warned(release: Release, *args: Any, **options: Any) -> str:
    """Return the text of the one warning; empty if there was none."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        release.measure(*args, **options)
    assert len(caught) <= 1
    assert all(w.category is ValidityWarning and w.filename == __file__ for w in caught)
    return str(caught[0].message) if caught else ""


def named_bins(text: str, statistic: Histogram) -> set[int]:
    return {i for i, label in enumerate(statistic.labels) if f" {label} (" in text}


@pytest.mark.parametrize("least", [1, 20, 60, 100])
def test_bins_with_too_few_effective_events_are_named(limited: Release, result: UnfoldingResult, least: int) -> None:
    limit(limited, events=least)
    x, w = result.columns["x"][:], result.nominal[:].astype(np.float64)
    expected = set()
    for i, (low, high) in enumerate(itertools.pairwise(EDGES)):
        inside = w[(x >= low) & (x < high)]
        if not len(inside) or inside.sum() ** 2 / (inside**2).sum() < least:
            expected.add(i)
    assert len(EDGES) - 2 in expected
    assert (least == 1) == (len(expected) == 1)
    one = Histogram("x", EDGES)
    text = warned(limited, "x", EDGES)
    shown = min(len(expected), 5)
    assert named_bins(text, one) == set(sorted(expected)[:shown])
    assert f"of at least {least}" in text
    assert ("and " in text and " more." in text) == (len(expected) > 5)


def test_the_message_says_where_what_and_what_to_do(limited: Release) -> None:
    limit(limited, events=5, ranges=[interval("x", -6, 6, note="Tracks end there")])
    assert warned(limited, {"x": EDGES, "z": [0, 0.5, 1]}) == (
        "release.h5: the publisher does not vouch for 'x' in 5 - 50 (0 effective events of at least 5; reaches beyond "
        "-6 <= x <= 6). Merge these bins with their neighbours, leave them out, or select events inside (where); "
        "suggest_bins proposes bins that are vouched for. -6 <= x <= 6: Tracks end there"
    )


def test_one_warning_for_all_observables_of_a_call(limited: Release) -> None:
    limit(limited, events=1)
    text = warned(limited, {"x": EDGES, "far": ("z", [0, 1, 2])})
    assert "'x' in 5 - 50" in text
    assert "'far' in 1 - 2" in text


def test_severity_error_refuses(limited: Release) -> None:
    limit(limited, events=1, severity="error")
    with pytest.raises(ValidityError, match=r"release.h5: the publisher does not vouch for 'x' in 5 - 50 \(0 eff"):
        limited.measure("x", EDGES)
    assert limited.measure("x", EDGES[:-1]).values().shape == (6,)


def test_effective_data_events_are_those_of_the_data_bootstraps(limited: Release, result: UnfoldingResult) -> None:
    def data_events(names: list[str]) -> list[float]:
        found, x = [], result.columns["x"][:]
        for low, high in itertools.pairwise(EDGES[:-1]):
            inside = (x >= low) & (x < high)
            variance = sum(result.families[name][:][inside].sum(axis=0, dtype=float).var(ddof=1) for name in names)
            found.append(float(result.nominal[:][inside].sum(dtype=float) ** 2 / variance))
        return found

    one = Histogram("x", EDGES[:-1])
    for names in (["data_bootstrap"], ["data_bootstrap", "mc_bootstrap"]):
        expected = data_events(names)
        limit(limited, data=round(sorted(expected)[3]) + 1)
        for entry in limited.metadata["components"]:
            if entry["kind"] == "bootstrap":
                entry["resampled"] = "data" if entry["name"] in names else "simulation"
        text = warned(limited, one)
        least = limited.metadata["validity"]["minimum_effective_data_events_per_bin"]
        assert named_bins(text, one) == {i for i, events in enumerate(expected) if events < least}
        assert f"{math.floor(10 * min(expected)) / 10:,g} effective data events of at least {least:,}" in text
        assert warned(limited, dataclasses.replace(one, density=True)) == text
        assert warned(limited, dataclasses.replace(one, normalise=True)) == ""


def test_an_empty_bin_has_no_effective_data_events(limited: Release) -> None:
    limit(limited, data=1)
    assert "5 - 50 (0 effective data events of at least 1)" in warned(limited, "x", EDGES)


def test_without_bootstraps_of_the_data_their_limit_says_nothing(limited: Release) -> None:
    limit(limited, data=10**9)
    for entry in limited.metadata["components"]:
        if entry.get("resampled") == "data":
            entry["resampled"] = "simulation"
    assert warned(limited, "x", EDGES) == ""


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("x/y", " ( x ) / (y)", True),
        ("2*x", "2.0 * x", True),
        ("(x + y) + z", "x + y + z", True),
        ("x & y > 1", "(x) & ((y > 1))", True),
        ("x + (y + z)", "x + y + z", False),
        ("x / y", "y / x", False),
        ("x", "y", False),
        ("-x", "x", False),
    ],
)
def test_expressions_are_compared_and_not_their_text(one: str, other: str, same: bool) -> None:  # noqa: FBT001
    assert same_expression(one, other) is same
    assert same_expression(other, one) is same


def test_a_function_is_the_same_as_itself_alone() -> None:
    def x(events: Any) -> Any:
        return events["x"]

    assert same_expression(x, x)
    assert not same_expression(x, "x")


REACH = "reaches beyond -1 <= x <= 2"


@pytest.mark.parametrize(
    ("statistic", "bad"),
    [
        (Histogram("x", [-1, 0, 2]), []),
        (Histogram(" (x) ", [-1, 0, 2]), []),
        (Histogram(" (x) ", [-1.5, 0, 2]), ["-1.5 - 0"]),
        (Histogram("x", [-1.1, 0, 2.1]), ["-1.1 - 0", "0 - 2.1"]),
        (Histogram("x", [-1, 0, float(np.nextafter(np.float32(2), np.float32(3)))]), []),  # rounded to float32
        (Histogram("x", [-1, 0, 2], flow=True), ["-inf - -1", "2 - inf"]),
        (Histogram(["z", "x"], [[0.0, 0.5, 1.0], [0.0, 2.0, 4.0]]), ["0 - 0.5, 2 - 4", "0.5 - 1, 2 - 4"]),
        (Profile("z", "x", [0, 1, 3]), ["1 - 3"]),
        (Ratio(Histogram("x", [0, 1, 3]), Histogram("x", [0, 1, 3])), ["1 - 3"]),
        (Ratio(Histogram("z", [0, 0.5, 1]), Histogram("x", [0, 1, 3])), ["0.5 - 1"]),
    ],
)
def test_bins_that_reach_beyond_a_range(limited: Release, statistic: Statistic, bad: list[str]) -> None:
    limit(limited, ranges=[interval("x", -1, 2)])
    text = warned(limited, statistic)
    assert text.count(REACH) >= len(bad)
    assert bool(text) == bool(bad)
    for label in bad:
        assert f"{label} ({REACH}" in text


def test_a_range_without_bounds_excludes_nothing(limited: Release) -> None:
    limit(limited, ranges=[interval("x"), interval("x", None, 50)])
    assert warned(limited, "x", EDGES, flow=False) == ""
    assert str(ValidRange("x")) == "x"
    assert "reaches beyond x <= 50" in warned(limited, "x", EDGES, flow=True)


HOLDS = "(holds events outside of x <= 1)"
ONLY = "(holds only events outside of x <= 1)"


@pytest.mark.parametrize(
    ("statistic", "bad"),
    [
        (Histogram("2 * x", [-2, 0, 2, 4]), [f"2 - 4 {HOLDS}"]),
        (Histogram("2 * x", [-2, 0, 2, 4], where="x <= 1"), []),
        (Histogram("x + 0 * z", [-2, 0, 1, 2], where="n > 2"), [f"1 - 2 {HOLDS}"]),
        (Histogram("z", [0, 0.5, 1]), []),  # it does not use x
        (Histogram("z", [0, 0.5, 1], where="x > 0.5"), []),  # some of the events are inside
        (Histogram("z", [0, 0.5, 1], where="x > 1"), [f"0 - 0.5 {ONLY}", f"0.5 - 1 {ONLY}"]),
        (Moments("x"), [f"mean of x {HOLDS}"]),
        (Moments("x", [1, 2], where="x < 0"), []),
        (Profile("x", "z", [0, 0.5, 1]), [f"0 - 0.5 {HOLDS}", f"0.5 - 1 {HOLDS}"]),
        (Histogram(lambda events: events["x"], [0, 1, 2]), []),  # nobody knows what it uses
        (Quantiles("x"), []),
        (Custom(lambda events, weights: weights @ events["x"], name="sum"), []),
    ],
)
def test_bins_that_hold_events_outside_of_a_range(limited: Release, statistic: Statistic, bad: list[str]) -> None:
    limit(limited, ranges=[interval("x", None, 1)])
    text = warned(limited, statistic)
    assert text.count("holds") == len(bad)
    assert all(one in text for one in bad)


def test_absent_objects_are_outside_of_nothing(limited: Release, result: UnfoldingResult) -> None:
    assert np.isnan(result.columns["y"][:]).any()
    limit(limited, ranges=[interval("where(y > 0, y, y) * 0 + x", None, 100)])
    assert warned(limited, "x + 0 * where(y > 0, 1, 1)", EDGES) == ""


def test_effective_events_of_means_count_and_those_of_functions_do_not(limited: Release) -> None:
    limit(limited, events=10**6)
    for statistic in (Moments("x"), Profile("z", "x", [0, 1]), Ratio(Histogram("x", [0, 1]), Histogram("x", [0, 1]))):
        assert "effective events of at least 1,000,000" in warned(limited, statistic)
    assert warned(limited, Quantiles("x")) == ""
    assert warned(limited, Custom(lambda events, weights: weights.sum(), name="sum")) == ""


@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e3), st.lists(st.floats(-3e3, 3e3), min_size=2, unique=True))
def test_reaching_beyond_is_having_values_outside(low: float, width: float, edges: list[float]) -> None:
    limits = ValidRange("x", low, low + width)
    axis = Axis.from_bins(sorted(edges))
    slack = 1e-6
    expected = [a < low - slack * abs(low) or b > low + width + slack * abs(low + width) for a, b in axis]
    assert limits.reached_beyond(axis).tolist() == expected


def test_limits_are_read_from_the_metadata(limited: Release) -> None:
    limit(limited, events=7, data=3, severity="error", ranges=[interval("x", 0, None, note="why")])
    assert Limits.from_metadata(limited.metadata) == Limits(
        7, 3, (ValidRange("x", 0, math.inf, "why"),), ("data_bootstrap",), "error"
    )


@pytest.fixture
def strict_path(tmp_path: Path, result: UnfoldingResult) -> Path:
    """A release that asks for 30 effective events."""
    result.metadata["validity"]["minimum_effective_events_per_bin"] = 30
    return publish(result, tmp_path / "strict.h5")


def test_the_command_line_shows_one_line_and_goes_on(strict_path: Path) -> None:
    run = CliRunner().invoke(main, ["measure", str(strict_path), "-o", "x", "-b", "-1,0,5,6"])
    assert run.exit_code == 0
    assert run.stderr == (
        "warning: strict.h5: the publisher does not vouch for 'x' in 5 - 6 (0 effective events of at least 30). Merge "
        "these bins with their neighbours, leave them out, or select events inside (where); suggest_bins proposes "
        "bins that are vouched for\n"
    )
    assert "5 - 6" in run.stdout


def test_severity_error_is_exit_status_1(tmp_path: Path, result: UnfoldingResult) -> None:
    result.metadata["validity"].update(minimum_effective_events_per_bin=30, severity="error")
    path = publish(result, tmp_path / "strict.h5")
    run = CliRunner().invoke(main, ["measure", str(path), "-o", "x", "-b", "-1,0,5,6"])
    assert run.exit_code == 1
    assert run.stderr.startswith("error: strict.h5: the publisher does not vouch for 'x' in 5 - 6")
    assert run.stdout == ""
