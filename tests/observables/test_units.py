from __future__ import annotations

import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.mathtext import MathTextParser

from omnifold_pub.observables.expressions import FUNCTIONS, parse
from omnifold_pub.observables.formulas import formula_of
from omnifold_pub.observables.units import unit_of

UNITS = {"p": "GeV", "q": "GeV", "d": "mm", "s": "%", "n": "1", "phi": "rad"}
SYMBOLS = {"p": r"p_T^{\mu_1}", "q": "q", "n": r"\tau_2^{j_1}", "phi": r"\phi_{\mu}"}


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("p", "GeV"),
        ("p / q", "1"),
        ("p * q / d", "GeV^2 / mm"),
        ("d / (p * q)", "mm / GeV^2"),
        ("1 / p", "1 / GeV"),
        ("1 / (p * d)", "1 / (GeV mm)"),
        ("p ** 2 / 2", "GeV^2"),
        ("p ** -1.5", "1 / GeV^(3/2)"),
        ("p ** (1 / 3)", "GeV^(1/3)"),
        ("p ** 0", "1"),
        ("2 ** n", "1"),
        ("p - 91.2", "GeV"),
        ("p % 10", "GeV"),
        ("-p + q", "GeV"),
        ("where(p > 30, p, 0)", "GeV"),
        ("where(p > 30, 1, 0)", "1"),
        ("maximum(p, q)", "GeV"),
        ("hypot(n, phi)", "1"),
        ("delta_phi(phi, 0)", "rad"),
        ("arctan2(p, q)", "rad"),
        ("pi - abs(phi)", "rad"),
        ("cos(phi)", "1"),
        ("log10(p / q)", "1"),
        ("(p > 30) & (n < 2)", "1"),
        ("(p > 30) * q", "GeV"),
        ("s / s", "1"),
        ("sqrt(2 * p * q * (cosh(n) - cos(phi)))", "GeV"),
        # nothing follows
        ("p + n", ""),
        ("p + d", ""),
        ("exp(p)", ""),
        ("log(p)", ""),
        ("arctan2(p, d)", ""),
        ("p ** n", ""),
        ("2 ** p", ""),
        ("p ** 0.123456789", ""),
        ("s * d / 100", ""),
        ("p * unknown", ""),
    ],
)
def test_units_of_expressions(text: str, unit: str) -> None:
    assert unit_of(parse(text), UNITS) == unit


def test_a_unit_that_is_no_word_is_kept_together() -> None:
    units = {"a": "GeV / c", "b": "GeV / c"}
    assert unit_of(parse("a + b"), units) == "GeV / c"
    assert unit_of(parse("a * b"), units) == "(GeV / c)^2"
    assert unit_of(parse("a / b"), units) == "1"


def expressions(leaves: list[str], operators: list[str], functions: list[str]) -> st.SearchStrategy[str]:
    def larger(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        binary = st.tuples(parts, st.sampled_from(operators), parts).map(lambda found: "({}) {} ({})".format(*found))
        calls = st.sampled_from(functions).flatmap(
            lambda name: st.tuples(*[parts] * FUNCTIONS[name][1]).map(lambda given: f"{name}({', '.join(given)})")
        )
        return binary | calls

    return st.recursive(st.sampled_from(leaves), larger, max_leaves=6)


ALIKE = ["abs", "sqrt", "hypot", "minimum", "maximum"]


@settings(max_examples=300, deadline=None, derandomize=True)
@given(expressions(["p", "q", "n"], ["+", "-", "*", "/", "%"], ALIKE))
def test_numbers_scale_with_their_unit(text: str) -> None:
    """In units 1024 times as small, they are larger by 1024 to the power of GeV in their unit."""
    expression = parse(text)
    unit = unit_of(expression, UNITS)
    found = re.fullmatch(r"(1 / )?GeV(?:\^\(?([\d/]+)\)?)?", unit)
    if not unit:
        return
    power = 0.0 if unit == "1" else float(Fraction(found[2] or 1)) * (-1 if found[1] else 1) if found else None
    assert power is not None, unit
    events = {"p": np.array([3.0, 1.25]), "q": np.array([2.0, 7.0]), "n": np.array([0.5, 3.0])}
    before = expression(events)
    after = expression(events | {"p": 1024 * events["p"], "q": 1024 * events["q"]})  # exactly, but for square roots
    there = np.isfinite(before) & np.isfinite(after)
    np.testing.assert_allclose(after[there], before[there] * 1024.0**power, rtol=1e-9, atol=1e-9)


EVERYTHING = ["+", "-", "*", "/", "**", "%", "<", ">=", "&", "|"]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(expressions(["p", "n", "phi", "2", "1e-9", "pi", "x_y", "-n", "~p"], EVERYTHING, sorted(FUNCTIONS)))
def test_formulas_can_be_drawn(text: str) -> None:
    formula = formula_of(parse(f"({text}) + n"), SYMBOLS)
    if formula:
        MathTextParser("path").parse(f"${formula}$")


@pytest.mark.parametrize(
    ("text", "formula"),
    [
        ("p / q / n", r"p_T^{\mu_1} / q / \tau_2^{j_1}"),
        ("p / (q / n)", r"p_T^{\mu_1} / (q / \tau_2^{j_1})"),
        ("q - (p - n)", r"q - (p_T^{\mu_1} - \tau_2^{j_1})"),
        ("-q ** 2", "-q^{2}"),
        ("(-q) ** 2", "(-q)^{2}"),
        ("p ** 2", r"(p_T^{\mu_1})^{2}"),
        ("2 * (q + 1)", r"2\,(q + 1)"),
        ("q * -1", r"q\,(-1)"),
        ("1e-3 * x_y", r"0.001\,\mathrm{x\_y}"),
        ("delta_phi(phi, pi)", r"\mathrm{delta\_phi}(\phi_{\mu}, \pi)"),
        ("(p > 30) * q", r"(p_T^{\mu_1} > 30)\,q"),
        ("q + " * 50 + "q", ""),
    ],
)
def test_formulas(text: str, formula: str) -> None:
    assert formula_of(parse(text), SYMBOLS) == formula
