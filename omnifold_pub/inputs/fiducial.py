"""Fiducial region and valid ranges, held against the simulation before anything is trained."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import InputError
from omnifold_pub.inputs.sample import Columns
from omnifold_pub.observables.selection import Interval, Requirement

__all__ = ["check_events"]


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
