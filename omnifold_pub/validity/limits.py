"""What the publisher of a release vouches for."""

from __future__ import annotations

import ast
import math
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.observables.binning import Axis
from omnifold_pub.observables.events import Definition
from omnifold_pub.observables.expressions import parse

__all__ = ["Limits", "ValidRange", "same_expression"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

_ROUNDING = 1e-6  # relative: columns are float32


class _Floats(ast.NodeTransformer):
    """Makes the numbers of an expression float64: 2 is 2.0."""

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        return ast.Constant(float(cast("float", node.value)))


def same_expression(one: Definition, other: Definition) -> bool:
    """Tell whether two observables are the same expression but for blanks, parentheses and the writing of numbers.

    Functions are the same as themselves alone; nothing is known of algebra.

    Examples
    --------
    >>> same_expression("(tau2)/tau1", "tau2 / tau1"), same_expression("tau2 / tau1", "tau1 / tau2")
    (True, False)
    """
    if not isinstance(one, str) or not isinstance(other, str):
        return one is other
    trees = (ast.parse(ast.unparse(parse(text).tree), mode="eval") for text in (one, other))
    first, second = (ast.dump(_Floats().visit(tree)) for tree in trees)
    return first == second


@dataclass(frozen=True)
class ValidRange:
    """Values of an expression that are vouched for: a closed interval.

    Attributes
    ----------
    expression : str
        A column, or an expression of columns.
    minimum, maximum : float
        Its ends; infinite where there is no bound.
    note : str
        Why not beyond.
    """

    expression: str
    minimum: float = -math.inf
    maximum: float = math.inf
    note: str = ""

    def __str__(self) -> str:
        """Return it as an inequality."""
        low = f"{self.minimum:g} <= " if math.isfinite(self.minimum) else ""
        return low + self.expression + (f" <= {self.maximum:g}" if math.isfinite(self.maximum) else "")

    def excludes(self, values: Array) -> Mask:
        """Tell which values are outside, beyond the rounding of float32; NaN is not."""
        low, high = self.minimum, self.maximum
        below = values < (low - _ROUNDING * abs(low) if math.isfinite(low) else low)
        above = values > (high + _ROUNDING * abs(high) if math.isfinite(high) else high)
        return below | above

    def reached_beyond(self, axis: Axis) -> Mask:
        """Tell which bins of an axis of this expression reach beyond it."""
        return self.excludes(axis.edges[:-1]) | self.excludes(axis.edges[1:])


@dataclass(frozen=True)
class Limits:
    """What the publisher of a release vouches for.

    Attributes
    ----------
    effective_events : float
        Least (sum w)^2 / sum w^2 of a bin.
    data_events : float
        Least T^2 / V of a bin, V its variance under all bootstraps of the data; 0 where there are none.
    ranges : tuple of ValidRange
        Values that are vouched for.
    data_bootstraps : tuple of str
        Components that resample the data.
    severity : {"warning", "error"}
        What happens outside.
    """

    effective_events: float
    data_events: float
    ranges: tuple[ValidRange, ...]
    data_bootstraps: tuple[str, ...]
    severity: Literal["warning", "error"]

    @classmethod
    def from_metadata(cls, metadata: dict[str, Any]) -> Limits:
        """Read them from a release's metadata."""
        validity = metadata["validity"]
        bootstraps = tuple(
            entry["name"]
            for entry in metadata["components"]
            if entry["kind"] == "bootstrap" and entry.get("resampled") == "data"
        )
        return cls(
            effective_events=validity["minimum_effective_events_per_bin"],
            data_events=validity.get("minimum_effective_data_events_per_bin", 0) if bootstraps else 0,
            ranges=tuple(
                ValidRange(
                    entry["expression"],
                    -math.inf if entry["minimum"] is None else entry["minimum"],
                    math.inf if entry["maximum"] is None else entry["maximum"],
                    entry.get("note", ""),
                )
                for entry in validity.get("ranges", [])
            ),
            data_bootstraps=bootstraps,
            severity=validity["severity"],
        )
