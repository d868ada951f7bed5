"""Arithmetic expressions of event columns, through a whitelist of the Python grammar. Nothing reaches ``eval``."""

from __future__ import annotations

import ast
import re
import threading
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import ObservableError
from omnifold_pub.messages import shorten

__all__ = ["FUNCTIONS", "Expression", "parse"]

MAX_LENGTH = 2000
MAX_DEPTH = 80

Array = NDArray[Any]

_PARSING = threading.Lock()
"""Filters of warnings are those of the whole process: threads that set them back in another order leave some behind."""


def _delta_phi(a: Array, b: Array) -> Array:
    difference = np.asarray(a - b)
    wrapped: Array = difference - 2 * np.pi * np.round(difference / (2 * np.pi))
    return wrapped


FUNCTIONS: dict[str, tuple[Callable[..., Array], int]] = {
    "abs": (np.abs, 1),
    "sqrt": (np.sqrt, 1),
    "exp": (np.exp, 1),
    "log": (np.log, 1),
    "log10": (np.log10, 1),
    "sin": (np.sin, 1),
    "cos": (np.cos, 1),
    "tan": (np.tan, 1),
    "arcsin": (np.arcsin, 1),
    "arccos": (np.arccos, 1),
    "arctan": (np.arctan, 1),
    "arctan2": (np.arctan2, 2),
    "sinh": (np.sinh, 1),
    "cosh": (np.cosh, 1),
    "tanh": (np.tanh, 1),
    "floor": (np.floor, 1),
    "hypot": (np.hypot, 2),
    "minimum": (np.minimum, 2),
    "maximum": (np.maximum, 2),
    "where": (np.where, 3),
    "delta_phi": (_delta_phi, 2),
}
"""Functions an expression may call, with their number of arguments; ``delta_phi`` wraps into [-pi, pi]."""

_CONSTANTS = {"pi": np.float64(np.pi)}

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Array]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.true_divide,
    ast.Pow: np.power,
    ast.Mod: np.mod,
}
_UNARY: dict[type[ast.unaryop], Callable[[Any], Array]] = {
    ast.USub: np.negative,
    ast.UAdd: np.positive,
    ast.Not: np.logical_not,
}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Array]] = {
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
    ast.Eq: np.equal,
    ast.NotEq: np.not_equal,
}


@dataclass(frozen=True)
class Expression:
    """A checked expression.

    Attributes
    ----------
    text : str
        As it was written.
    columns : tuple of str
        Columns it uses, sorted.
    tree : ast.expr
        As Python reads it, with nothing in it but what is allowed.
    """

    text: str
    columns: tuple[str, ...]
    tree: ast.expr

    def __call__(self, events: Mapping[str, Array]) -> Array:
        """Evaluate in float64; ``result[event]``."""
        with np.errstate(all="ignore"):  # what is not finite is counted by the caller, with its own rule
            return np.asarray(_evaluate(self.tree, events))


def _number(node: ast.expr, events: Mapping[str, Array]) -> Any:
    """Evaluate an operand of arithmetic: conditions count as 0 and 1."""
    return np.asarray(_evaluate(node, events), dtype=np.float64)


def _evaluate(node: ast.expr, events: Mapping[str, Array]) -> Any:
    match node:
        case ast.Constant():
            return np.float64(node.value)  # type: ignore[arg-type]
        case ast.Name():
            return events[node.id].astype(np.float64) if node.id not in _CONSTANTS else _CONSTANTS[node.id]
        case ast.BinOp():
            return _BINARY[type(node.op)](_number(node.left, events), _number(node.right, events))
        case ast.UnaryOp():
            return _UNARY[type(node.op)](_number(node.operand, events))
        case ast.BoolOp():
            combine = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
            result = _evaluate(node.values[0], events)
            for value in node.values[1:]:
                result = combine(result, _evaluate(value, events))
            return result
        case ast.Compare():
            left, result = _evaluate(node.left, events), np.True_
            for operator, right_node in zip(node.ops, node.comparators, strict=True):
                right = _evaluate(right_node, events)
                result = np.logical_and(result, _COMPARE[type(operator)](left, right))
                left = right
            return result
        case ast.Call(func=ast.Name(id=name)):
            return FUNCTIONS[name][0](*(_number(argument, events) for argument in node.args))
    msg = f"unchecked expression node {type(node).__name__}"  # _check lets none through
    raise ObservableError(msg)


def _refuse(text: str, what: str, hint: str = "") -> ObservableError:
    return ObservableError(f"expression {shorten(text)}: {what}{'; ' + hint if hint else ''}")


def _check(text: str, root: ast.expr) -> set[str]:
    """Walk the tree (without recursion) and return the columns; anything not on the lists is refused."""
    columns: set[str] = set()
    pending: list[tuple[ast.expr, int]] = [(root, 0)]
    while pending:
        node, depth = pending.pop()
        if depth > MAX_DEPTH:
            raise _refuse(text, f"nested more than {MAX_DEPTH} levels deep", "split it up")
        children: list[ast.expr]
        match node:
            case ast.Constant(value=value) if type(value) in (int, float):
                try:
                    float(value)  # type: ignore[arg-type]
                except OverflowError:
                    raise _refuse(text, "a number is too large for float64") from None
                children = []
            case ast.Name(id=name):
                if name in FUNCTIONS:
                    raise _refuse(text, f"{name!r} is a function", f"call it: {name}(...)")
                if name not in _CONSTANTS:
                    columns.add(name)
                children = []
            case ast.BinOp(op=op) if type(op) in _BINARY:
                children = [node.left, node.right]
            case ast.UnaryOp(op=unary) if type(unary) in _UNARY:
                children = [node.operand]
            case ast.BoolOp():
                children = node.values
            case ast.Compare(ops=ops) if all(type(op) in _COMPARE for op in ops):
                children = [node.left, *node.comparators]
            case ast.Call(func=ast.Name(id=name), keywords=[]) if name in FUNCTIONS:
                if len(node.args) != FUNCTIONS[name][1]:
                    raise _refuse(text, f"{name} takes {FUNCTIONS[name][1]} arguments, found {len(node.args)}")
                children = node.args
            case ast.Call():
                called = node.func.id if isinstance(node.func, ast.Name) else type(node.func).__name__
                raise _refuse(text, f"cannot call {called!r}", f"allowed are {', '.join(FUNCTIONS)}")
            case _:
                raise _refuse(
                    text,
                    f"{type(node).__name__} is not allowed",
                    "use numbers, columns, + - * / ** %, comparisons, & | ~ and functions such as sqrt(x)",
                )
        pending += [(child, depth + 1) for child in children]
    return columns


def parse(text: str) -> Expression:
    """Check an expression and return it ready to evaluate.

    Numbers, column names, ``pi``, ``+ - * / ** %``, comparisons (chained ones too), ``&``, ``|``, ``~``
    (binding less tightly than comparisons, as a physicist reads them) and the functions of `FUNCTIONS`.

    Raises
    ------
    ObservableError
        If anything else is in it, or it uses no column.

    Examples
    --------
    >>> ratio = parse("pT_l1 / pT_l2")
    >>> ratio.columns
    ('pT_l1', 'pT_l2')
    >>> ratio({"pT_l1": np.array([50.0]), "pT_l2": np.array([40.0])}).tolist()
    [1.25]
    >>> parse("__import__('os')")
    Traceback (most recent call last):
    ...
    omnifold_pub.errors.ObservableError: expression "__import__('os')": quotes are not allowed
    """
    if len(text) > MAX_LENGTH:
        raise _refuse(text, f"{len(text)} characters long", f"at most {MAX_LENGTH} are allowed")
    if "'" in text or '"' in text:
        raise _refuse(text, "quotes are not allowed")
    # Python binds & and | more tightly than comparisons; its 'and', 'or' and 'not' bind as wanted.
    python = re.sub(r"&&?", " and ", re.sub(r"\|\|?", " or ", text.replace("~", " not ")))
    try:
        with _PARSING, warnings.catch_warnings():
            warnings.simplefilter("error")
            root = ast.parse(python.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError, Warning) as error:
        detail = error.msg if isinstance(error, SyntaxError) else str(error) or type(error).__name__
        raise _refuse(text, f"cannot be read ({shorten(detail)})") from None
    columns = _check(text, root)
    if not columns:
        raise _refuse(text, "uses no column")
    return Expression(text=text, columns=tuple(sorted(columns)), tree=root)
