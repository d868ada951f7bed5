"""Units of expressions: what follows from those of the columns."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from fractions import Fraction

from omnifold_pub.observables.expressions import Expression

__all__ = ["divisor", "unit_of"]

Powers = dict[str, Fraction]
"""Of each unit; empty: a pure number."""

_WORD = re.compile(r"[^\W\d]+|%")
_ANGLES = ("arcsin", "arccos", "arctan", "arctan2", "delta_phi")
_LIKE = ("abs", "floor")
_ALIKE = ("hypot", "minimum", "maximum")
_MOST = 12
"""Denominator of an exponent."""


class _UnknownError(Exception):
    """Nobody can say the unit."""


def unit_of(expression: Expression, units: Mapping[str, str]) -> str:
    """Return the unit of an expression; empty where it does not follow from those of the columns.

    Plain numbers take any unit where they are added or compared, and have none where they multiply. Radians are pure
    numbers beside others.

    Parameters
    ----------
    expression : Expression
        See `omnifold_pub.observables.expressions.parse`.
    units : mapping
        Of the columns by name; ``"1"`` for pure numbers.

    Examples
    --------
    >>> from omnifold_pub.observables.expressions import parse
    >>> units = {"pT": "GeV", "E": "GeV", "y": "1", "phi": "rad"}
    >>> [unit_of(parse(text), units) for text in ("pT / E", "sqrt(pT * E)", "pT * E", "pT - 91.2", "abs(phi)")]
    ['1', 'GeV', 'GeV^2', 'GeV', 'rad']
    >>> [unit_of(parse(text), units) for text in ("sqrt(y ** 2 + phi ** 2)", "pT + y", "log(pT)")]
    ['1', '', '']
    """
    try:
        powers = _powers(expression.tree, units)
    except _UnknownError:
        return ""
    return _written(powers or {})


def divisor(unit: str) -> str:
    """Return a unit as it stands below a fraction bar; an observable in brackets stands for its own.

    >>> divisor("GeV"), divisor("GeV / mm"), divisor("GeV^(1/2)"), divisor("[pT + y]")
    ('GeV', '(GeV / mm)', 'GeV^(1/2)', '[pT + y]')
    """
    bracketed = unit.startswith("[") and unit.endswith("]")
    return f"({unit})" if not bracketed and re.search(r"[ /]", re.sub(r"\^\([^()]*\)", "", unit)) else unit


def _written(powers: Powers) -> str:
    """Return a unit as text.

    >>> _written({"GeV": Fraction(2), "mm": Fraction(-1)}), _written({"GeV": Fraction(-1, 2)}), _written({})
    ('GeV^2 / mm', '1 / GeV^(1/2)', '1')
    """
    above = [_power(name, power) for name, power in powers.items() if power > 0]
    below = [_power(name, -power) for name, power in powers.items() if power < 0]
    if not below:
        return " ".join(above) or "1"
    return f"{' '.join(above) or '1'} / {divisor(' '.join(below))}"


def _power(name: str, power: Fraction) -> str:
    if power == 1:
        return name
    base = name if _WORD.fullmatch(name) else f"({name})"
    return f"{base}^{power}" if power.denominator == 1 else f"{base}^({power})"


def _powers(node: ast.expr, units: Mapping[str, str]) -> Powers | None:
    """Return the unit of a part of an expression; None for a plain number, which takes any."""
    match node:
        case ast.Constant() | ast.Name(id="pi"):
            return None
        case ast.Name(id=name):
            unit = units.get(name, "")
            if not unit:
                raise _UnknownError
            return {} if unit == "1" else {unit: Fraction(1)}
        case ast.UnaryOp(op=ast.USub() | ast.UAdd()):
            return _powers(node.operand, units)
        case ast.BinOp(op=ast.Add() | ast.Sub() | ast.Mod()):
            return _alike(_powers(node.left, units), _powers(node.right, units))
        case ast.BinOp(op=ast.Mult() | ast.Div()):
            sign = -1 if isinstance(node.op, ast.Div) else 1
            left, right = _powers(node.left, units), _powers(node.right, units)
            return None if left is None and right is None else _product(left or {}, right or {}, sign)
        case ast.BinOp(op=ast.Pow()):
            return _raised(_powers(node.left, units), node.right, units)
        case ast.Call(func=ast.Name(id=name)):
            return _called(name, [_powers(argument, units) for argument in node.args])
    return {}  # conditions are 0 and 1


def _product(left: Powers, right: Powers, sign: int) -> Powers:
    powers = dict(left)
    for name, power in right.items():
        powers[name] = powers.get(name, Fraction(0)) + sign * power
    powers = {name: power for name, power in powers.items() if power}
    if "%" in powers and len(powers) > 1:  # nobody means the "% mm" that follows
        raise _UnknownError
    return powers


def _alike(*found: Powers | None) -> Powers | None:
    """Return the unit that all of them have."""
    known = [powers for powers in found if powers is not None]
    if not known or all(powers == known[0] for powers in known):
        return known[0] if known else None
    without = [{name: power for name, power in powers.items() if name != "rad"} for powers in known]
    if any(powers != without[0] for powers in without):
        raise _UnknownError
    return without[0]


def _raised(base: Powers | None, exponent: ast.expr, units: Mapping[str, str]) -> Powers | None:
    power = _number(exponent)
    if power is None:
        if base or _powers(exponent, units):  # GeV to the power of something that differs between events
            raise _UnknownError
        return {}
    return None if base is None else {name: power * one for name, one in base.items() if power}


def _number(node: ast.expr) -> Fraction | None:
    """Return a plain number that is a simple fraction; None if it is none."""
    match node:
        case ast.Constant(value=value) if isinstance(value, int | float):
            near = Fraction(value).limit_denominator(_MOST) if abs(value) < 1e3 else None
            return near if near is not None and abs(float(near) - value) < 1e-9 else None
        case ast.UnaryOp(op=ast.USub()):
            found = _number(node.operand)
            return None if found is None else -found
        case ast.BinOp(op=ast.Div()):
            above, below = _number(node.left), _number(node.right)
            return above / below if above is not None and below else None
    return None


def _called(name: str, found: list[Powers | None]) -> Powers | None:
    """Return the unit of what a function returns."""
    if name in _LIKE:
        return found[0]
    if name in _ALIKE:
        return _alike(*found)
    if name == "where":
        return _alike(*found[1:])
    if name == "sqrt":
        return None if found[0] is None else {unit: power / 2 for unit, power in found[0].items()}
    if name in ("arctan2", "delta_phi"):
        _alike(*found)
    elif any(set(powers or {}) - {"rad"} for powers in found):
        raise _UnknownError
    return {"rad": Fraction(1)} if name in _ANGLES else {}
