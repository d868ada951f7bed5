"""Rounded weights: exact against fractions, and what is said of the error is what it is."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from omnifold_pub.precision import ALLOWED_BITS, PrecisionMeter, round_mantissa

Floats = NDArray[np.float32]
LARGEST = float(np.finfo(np.float32).max)
SMALLEST_EXPONENT = -126

single = st.floats(width=32, allow_nan=False, allow_infinity=False)
kept = st.sampled_from(list(ALLOWED_BITS))


def one(value: float, bits: int) -> np.float32:
    return np.float32(round_mantissa(np.array([value], dtype=np.float32), bits)[0])


def reference(value: float, bits: int) -> float:
    """Round an exact fraction to ``bits`` bits behind the point of its significand, halves to even."""
    exact = Fraction(value)
    if exact == 0:
        return value
    exponent = SMALLEST_EXPONENT
    while abs(exact) >= Fraction(2) ** (exponent + 1):
        exponent += 1
    quantum = Fraction(2) ** (exponent - bits)
    rounded = round(exact / quantum) * quantum  # Python rounds halves of fractions to even
    return float(rounded) if abs(rounded) < Fraction(2) ** 128 else float(np.copysign(np.inf, value))


@settings(max_examples=400, deadline=None)
@given(value=single, bits=kept)
def test_rounding_is_to_the_nearest_with_halves_to_even(value: float, bits: int) -> None:
    found, wanted = float(one(value, bits)), reference(value, bits)
    assert found == wanted
    assert np.signbit(found) == np.signbit(value)


@pytest.mark.parametrize("bits", ALLOWED_BITS)
def test_halves_go_to_the_even_neighbour(bits: int) -> None:
    quantum = 2.0**-bits
    values = 1 + (np.arange(64) + 0.5) * quantum
    rounded = round_mantissa(values.astype(np.float32), bits)
    assert rounded.tolist() == [reference(value, bits) for value in values.tolist()]
    assert ((rounded - 1) / quantum % 2 == 0).all()


@settings(max_examples=200, deadline=None)
@given(value=single.filter(lambda v: 2.0**-126 <= abs(v) < LARGEST / 2), bits=kept)
def test_the_relative_error_has_its_bound(value: float, bits: int) -> None:
    exact = Fraction(value)
    assert abs(Fraction(float(one(value, bits))) - exact) <= abs(exact) * Fraction(2) ** -(bits + 1)


@settings(max_examples=200, deadline=None)
@given(value=single, bits=kept)
def test_bits_are_gone_and_rounding_again_changes_nothing(value: float, bits: int) -> None:
    rounded = one(value, bits)
    assert int(rounded.view(np.uint32)) & ((1 << (23 - bits)) - 1) == 0
    assert one(float(rounded), bits).tobytes() == rounded.tobytes()


@pytest.mark.parametrize("bits", ALLOWED_BITS)
@pytest.mark.parametrize(
    "word",
    [0x7F800000, 0xFF800000, 0x7FC00000, 0xFFC00000, 0x7FFFFFFF, 0xFFFFFFFF, 0x7F800001, 0xFF800001],
    ids=hex,
)
def test_what_is_not_finite_stays_what_it_is(word: int, bits: int) -> None:
    value = np.array([word], dtype=np.uint32).view(np.float32)
    rounded = round_mantissa(value, bits)
    assert np.isnan(rounded).tolist() == np.isnan(value).tolist()
    assert np.isinf(rounded).tolist() == np.isinf(value).tolist()
    assert np.signbit(rounded).tolist() == np.signbit(value).tolist()


def test_sums_are_not_biased() -> None:
    weights = np.random.default_rng(1).gamma(2.0, 1.0, 200_000).astype(np.float32)
    error = round_mantissa(weights, 10).astype(np.float64) - weights
    assert abs(error.mean()) < 4 * error.std() / np.sqrt(len(error))


def test_the_given_array_is_not_changed() -> None:
    weights = np.array([1.2345678, 9.876543], dtype=np.float32)
    before = weights.tobytes()
    assert round_mantissa(weights, 10).tobytes() != before
    assert weights.tobytes() == before


@pytest.mark.parametrize("members", [1, 2, 7])
@pytest.mark.parametrize("bins", [1, 5])
@pytest.mark.parametrize("step", [100, 37, 1])
def test_the_meter_finds_the_worst_errors_whatever_the_blocks(members: int, bins: int, step: int) -> None:
    rng = np.random.default_rng(3)
    weights = rng.gamma(2.0, 1.0, (100, members)).astype(np.float32)
    where = rng.integers(-1, bins, 100)
    rounded = round_mantissa(weights, 10)
    meter = PrecisionMeter(where.astype(np.int8), bins, members)
    for start in range(0, 100, step):
        meter.add(start, weights[start : start + step], rounded[start : start + step])
    relative = np.abs(rounded.astype(np.longdouble) - weights) / np.abs(weights.astype(np.longdouble))
    assert meter.worst_relative_error == pytest.approx(float(relative.max()), rel=1e-12)
    assert meter.worst_covariance_error == pytest.approx(worst_change(weights, rounded, where, bins), rel=1e-6)


def worst_change(exact: Floats, rounded: Floats, where: NDArray[np.int64], bins: int) -> float:
    if exact.shape[1] < 2:
        return 0.0
    covariances = []
    for family in (exact, rounded):
        sums = np.array([family[where == i].astype(np.longdouble).sum(axis=0) for i in range(bins)])
        spread = sums - sums.mean(axis=1, keepdims=True)
        covariances.append(spread @ spread.T / (family.shape[1] - 1))
    deviations = np.sqrt(np.diag(covariances[0]))
    return float((np.abs(covariances[1] - covariances[0]) / np.outer(deviations, deviations)).max())


def test_weights_too_small_for_a_relative_error_do_not_count() -> None:
    weights = np.array([[1e-45, 0.0], [1.0, 1.0]], dtype=np.float32)
    meter = PrecisionMeter(np.zeros(2, dtype=np.int8), 1, 2)
    meter.add(0, weights, round_mantissa(weights, 10))
    assert meter.worst_relative_error == 0.0


@pytest.mark.parametrize("bad", [np.nan, np.inf, LARGEST])
def test_weights_that_are_not_finite_do_not_break_the_meter(bad: float) -> None:
    weights = np.array([[bad, 1.1], [1.2, 1.3]], dtype=np.float32)
    meter = PrecisionMeter(np.zeros(2, dtype=np.int8), 1, 2)
    meter.add(0, weights, round_mantissa(weights, 10))
    assert np.isfinite(meter.worst_relative_error)
    assert np.isfinite(meter.worst_covariance_error)
