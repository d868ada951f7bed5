"""Round numbers, by properties that define them."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnifold_pub.observables.rounding import coarseness, roundest

NUMBERS = st.floats(-1e12, 1e12, allow_nan=False)


@given(NUMBERS, NUMBERS)
def test_the_roundest_number_is_in_between(one: float, other: float) -> None:
    low, high = sorted((one, other))
    x = roundest(low, high)
    assert low < x <= high or low == high == x


@given(st.integers(-(10**6), 10**6), st.integers(1, 10**6))
def test_no_rounder_one_is_in_between(low: int, width: int) -> None:
    x = roundest(low / 1000, (low + width) / 1000)
    if x == 0:
        assert low < 0 <= low + width
        return
    for power in range(-4, 5):
        for step in (Fraction(1), Fraction(2), Fraction(5, 2), Fraction(5)):
            grid = step * Fraction(10) ** power
            multiple = math.floor(Fraction(low + width, 1000) / grid) * grid
            if multiple > Fraction(low, 1000):
                assert float(grid) <= coarseness(x) * (1 + 1e-12)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (283, 301, 300),
        (300, 301, 301),
        (299, 300, 300),
        (0.61, 0.74, 0.7),
        (-2.55, -2.49, -2.5),
        (1e-9, 3.3e-7, 2.5e-7),
        (91.12, 91.21, 91.2),
        (-1, 0, 0),
        (0, 1, 1),
    ],
)
def test_examples(low: float, high: float, expected: float) -> None:
    assert roundest(low, high) == expected


@given(st.integers(1, 10**6), st.integers(-8, 8))
def test_coarseness_divides(mantissa: int, power: int) -> None:
    x = float(f"{mantissa}e{power}")
    grain = coarseness(x)
    assert abs(x / grain - round(x / grain)) < 1e-6
    assert coarseness(-x) == grain
    assert grain >= 10.0**power * (1 - 1e-12)


@pytest.mark.parametrize(("x", "expected"), [(225, 25), (300, 100), (1000, 1000), (7.5, 2.5), (0.3, 0.1), (123, 1)])
def test_coarseness(x: float, expected: float) -> None:
    assert coarseness(x) == pytest.approx(expected, rel=1e-12)


def test_floats_without_choice_are_returned() -> None:
    low = 1 / 3
    assert roundest(low, math.nextafter(low, 1)) == math.nextafter(low, 1)
    assert math.isfinite(coarseness(1 / 3))
    assert roundest(5e-324, 1e-323) == 1e-323
    assert roundest(1e307, 1.1e308) > 1e307
