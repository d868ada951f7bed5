"""Expressions as formulas: with the symbols of the columns, for the axes of pictures."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from omnifold_pub.observables.expressions import Expression

__all__ = ["formula_of"]

_CONDITION, _SIGN, _SUM, _TERM, _POWER, _ATOM = range(6)
"""How tightly a part holds together."""

_OPERATORS: dict[type[ast.operator], tuple[str, int]] = {
    ast.Add: (" + ", _SUM),
    ast.Sub: (" - ", _SUM),
    ast.Mult: (r"\,", _TERM),
    ast.Div: (" / ", _TERM),
    ast.Mod: (r"\;\mathrm{mod}\;", _TERM),
}
_CONDITIONS: dict[type[ast.cmpop], str] = {
    ast.Lt: "<",
    ast.LtE: r"\leq",
    ast.Gt: ">",
    ast.GtE: r"\geq",
    ast.Eq: "=",
    ast.NotEq: r"\neq",
}
_LONGEST = 160
"""Characters of a formula that an axis has room for."""


def formula_of(expression: Expression, symbols: Mapping[str, str]) -> str:
    r"""Return LaTeX of an expression; empty where it would be too long for an axis.

    Parameters
    ----------
    expression : Expression
        See `omnifold_pub.observables.expressions.parse`.
    symbols : mapping
        LaTeX of the columns by name, without dollar signs.

    Examples
    --------
    >>> from omnifold_pub.observables.expressions import parse
    >>> formula_of(parse("a / (b + 1)"), {"a": r"\tau_2", "b": r"\tau_1"})
    '\\tau_2 / (\\tau_1 + 1)'
    >>> formula_of(parse("sqrt(abs(a) ** 2 - 2)"), {"a": "y"})
    '\\sqrt{|y|^{2} - 2}'
    """
    text = _written(expression.tree, symbols)[0]
    return text if len(text) <= _LONGEST else ""


def _written(node: ast.expr, symbols: Mapping[str, str]) -> tuple[str, int]:
    """Return a part of an expression, and how tightly it holds together."""
    match node:
        case ast.Constant(value=value):
            return _number(value), _ATOM
        case ast.Name(id="pi"):
            return r"\pi", _ATOM
        case ast.Name(id=name):
            return symbols.get(name) or rf"\mathrm{{{_plain(name)}}}", _ATOM
        case ast.UnaryOp(op=operator):
            if isinstance(operator, ast.Not):
                return rf"\mathrm{{not}}\;{_inside(node.operand, symbols, _ATOM)}", _CONDITION
            sign = "-" if isinstance(operator, ast.USub) else "+"
            return f"{sign}{_inside(node.operand, symbols, _TERM)}", _SIGN
        case ast.BinOp(op=ast.Pow()):
            base = _inside(node.left, symbols, _ATOM)
            twice = "^" in base and not base.startswith("(")  # LaTeX knows no double superscript
            base = f"({base})" if twice else base
            return f"{base}^{{{_written(node.right, symbols)[0]}}}", _POWER
        case ast.BinOp():
            sign, level = _OPERATORS[type(node.op)]
            least = _SIGN if level == _SUM else level
            right = level if isinstance(node.op, ast.Add) else level + 1
            return f"{_inside(node.left, symbols, least)}{sign}{_inside(node.right, symbols, right)}", level
        case ast.BoolOp():
            word = r"\;\mathrm{and}\;" if isinstance(node.op, ast.And) else r"\;\mathrm{or}\;"
            return word.join(f"({_written(value, symbols)[0]})" for value in node.values), _CONDITION
        case ast.Compare():
            parts = [_inside(node.left, symbols, _SIGN)]
            for condition, right_node in zip(node.ops, node.comparators, strict=True):
                parts += [_CONDITIONS[type(condition)], _inside(right_node, symbols, _SIGN)]
            return " ".join(parts), _CONDITION
        case ast.Call(func=ast.Name(id=name)):
            return _called(name, [_written(argument, symbols)[0] for argument in node.args])
    return "", _ATOM


def _inside(node: ast.expr, symbols: Mapping[str, str], least: int) -> str:
    """Return a part of an expression, in parentheses if it holds together less than it must."""
    text, level = _written(node, symbols)
    return text if level >= least else f"({text})"


def _number(value: object) -> str:
    r"""Return a plain number.

    >>> _number(91.2), _number(1e-7)
    ('91.2', '10^{-7}')
    """
    digits, _, exponent = format(value, "g").partition("e")
    if not exponent:
        return digits
    power = f"10^{{{int(exponent)}}}"
    return power if digits == "1" else rf"{digits} \times {power}"


def _called(name: str, arguments: list[str]) -> tuple[str, int]:
    if name == "abs":
        return f"|{arguments[0]}|", _ATOM
    if name == "sqrt":
        return rf"\sqrt{{{arguments[0]}}}", _ATOM
    return rf"\mathrm{{{_plain(name)}}}({', '.join(arguments)})", _ATOM


def _plain(name: str) -> str:
    return name.replace("_", r"\_")
