"""Fiducial region and valid ranges, held against the simulation before anything is trained."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import InputError, ObservableError
from omnifold_pub.inputs.sample import Columns
from omnifold_pub.messages import suggest
from omnifold_pub.observables.expressions import Expression, parse

__all__ = ["Interval", "Requirement", "check_events"]

FLOAT32_ROUNDING = 1e-6
"""Relative; a little more than float32's."""


@dataclass(frozen=True)
class Interval:
    """A closed interval.

    Attributes
    ----------
    minimum, maximum : float
        Bounds, infinite where there is none.
    """

    minimum: float = -math.inf
    maximum: float = math.inf

    @classmethod
    def from_document(cls, entry: Mapping[str, Any]) -> Self:
        """Take the bounds of a document that its schema has accepted; null is no bound.

        Raises
        ------
        ValueError
            If no number lies between them.

        Examples
        --------
        >>> Interval.from_document({"minimum": 10, "maximum": None})
        Interval(minimum=10.0, maximum=inf)
        """
        minimum, maximum = entry["minimum"], entry["maximum"]
        if minimum is not None and maximum is not None and minimum > maximum:
            msg = f"expected a minimum of at most the maximum; found {minimum:g} and {maximum:g}"
            raise ValueError(msg)
        return cls(-math.inf if minimum is None else float(minimum), math.inf if maximum is None else float(maximum))

    def contains(self, values: NDArray[Any], tolerance: float = 0.0) -> NDArray[np.bool_]:
        """Tell for ``values[event]`` whether they lie inside, or at most ``tolerance`` beyond; NaN does not.

        What rounding to float32 does is granted on top, as it is when a release is validated.
        """
        lowest = self.minimum - tolerance - FLOAT32_ROUNDING * abs(self.minimum)
        highest = self.maximum + tolerance + FLOAT32_ROUNDING * abs(self.maximum)
        inside: NDArray[np.bool_] = (values >= lowest) & (values <= highest)
        return inside


@dataclass(frozen=True)
class Requirement:
    """One requirement of the fiducial selection.

    Attributes
    ----------
    expression : Expression
        Of the particle-level columns.
    interval : Interval
        Where it lies in the fiducial region.
    tolerance : float
        How far beyond a bound the stored precision may carry an event that is inside.
    """

    expression: Expression
    interval: Interval
    tolerance: float

    @classmethod
    def from_document(cls, entry: Mapping[str, Any], columns: Collection[str]) -> Self:
        """Read one entry of ``fiducial.selection``; ``columns`` are the observables there are.

        Raises
        ------
        ValueError
            If the expression is not allowed, uses a column that is not there, or the bounds are the wrong way round.

        Examples
        --------
        >>> entry = {"expression": "abs(eta_l1)", "minimum": None, "maximum": 2.5, "tolerance": 0}
        >>> Requirement.from_document(entry, ["eta_l1"]).expression.columns
        ('eta_l1',)
        """
        try:
            expression = parse(entry["expression"])
        except ObservableError as error:
            raise ValueError(str(error)) from None
        unknown = [name for name in expression.columns if name not in columns]
        if unknown:
            msg = f"{unknown[0]!r} is no observable of the analysis; {suggest(unknown[0], sorted(columns))}"
            raise ValueError(msg)
        return cls(expression, Interval.from_document(entry), float(entry["tolerance"]))


def check_events(
    columns: Columns,
    rows: NDArray[np.int64],
    *,
    ranges: Mapping[str, Interval],
    selection: Collection[Requirement],
    where: str,
) -> None:
    """Hold particle-level events against what the analysis file says of them.

    An absent observable is in every range, and a requirement does not bind an event that lacks one of its columns.

    Parameters
    ----------
    columns : Columns
        Particle level of the events that pass the truth selection.
    rows : numpy.ndarray
        ``rows[event]``: where each of them stands in its file, for messages.
    ranges : mapping
        ``ranges[observable]``: values that can occur.
    selection : collection of Requirement
        The fiducial region.
    where : str
        What the events are, for messages.

    Raises
    ------
    InputError
        If an event is outside.
    """
    for name, interval in ranges.items():
        values = columns.with_nan(name).astype(np.float64)
        _refuse(values, ~np.isnan(values), f"{name!r}", interval, 0.0, "valid_range", rows, where)
    for requirement in selection:
        used = requirement.expression.columns
        present = np.all([columns.present[:, columns.names.index(name)] for name in used], axis=0)
        values = requirement.expression({name: columns.with_nan(name) for name in used}).astype(np.float64)
        what = f"{requirement.expression.text!r}"
        _refuse(values, present, what, requirement.interval, requirement.tolerance, "fiducial.selection", rows, where)


def _refuse(
    values: NDArray[np.float64],
    bound: NDArray[np.bool_],
    what: str,
    interval: Interval,
    tolerance: float,
    place: str,
    rows: NDArray[np.int64],
    where: str,
) -> None:
    """Raise if a value that is bound by an interval lies outside."""
    outside = np.flatnonzero(bound & ~interval.contains(values, tolerance))
    if len(outside):
        first = outside[0]
        msg = (
            f"{where}: {what} is outside of [{interval.minimum:g}, {interval.maximum:g}] in {len(outside)} of "
            f"{len(values)} events that pass truth, the first in row {rows[first]} ({values[first]:.7g}); "
            f"mend {place} in the analysis file, or the events"
        )
        raise InputError(msg)
