"""Factors on a simulation's weights, computed of its particle level."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import InputError
from omnifold_pub.inputs.sample import Sample
from omnifold_pub.observables.expressions import parse

__all__ = ["expression_factor"]


def expression_factor(
    text: str,
    simulation: Sample,
    what: str,
    *,
    extra: Mapping[str, NDArray[Any]] | None = None,
    sentinel: float | None = None,
) -> NDArray[np.float64]:
    """Compute a factor for every event of a simulation: 1 where it fails truth, and so has nothing to compute it of.

    Parameters
    ----------
    text : str
        Expression of the observables at particle level, and of ``extra``.
    simulation : Sample
        The events.
    what : str
        What the factor is for, for messages.
    extra : mapping, optional
        ``extra[branch][event]``: further columns that the expression may use.
    sentinel : float, optional
        Value that marks an absent one among these.

    Returns
    -------
    numpy.ndarray
        ``factor[event]``, float64, finite and not negative.

    Raises
    ------
    InputError
        If the factor of an event that passes truth is no number or is negative, or the reweighted events sum to
        nothing.

    Examples
    --------
    >>> from omnifold_pub.inputs.sample import Columns
    >>> x, weight = Columns.from_arrays({"x": np.array([1.0, 2.0, 3.0])}), np.ones(3)
    >>> rows = np.array([True, True, False])
    >>> sample = Sample("mc", x, rows, weight, np.arange(3), x, rows, weight)
    >>> expression_factor("1 + x / 2", sample, "prior tilt").tolist()
    [1.5, 2.0, 1.0]
    """
    expression = parse(text)
    rows = simulation.pass_truth
    truth = simulation.particle_level.select(rows)
    columns: dict[str, NDArray[Any]] = {}
    for name in expression.columns:
        if extra is not None and name in extra:
            column = extra[name][rows].astype(np.float64)
            absent = column.astype(np.float32) == np.float32(np.nan if sentinel is None else sentinel)
            columns[name] = np.where(absent, np.nan, column)
        else:
            columns[name] = truth.with_nan(name)
    values = expression(columns).astype(np.float64)
    where = f"{simulation.name}: {what}"
    for bad, state in ((~np.isfinite(values), "is no finite number"), (values < 0, "is negative")):
        if bad.any():
            first = int(np.flatnonzero(bad)[0])
            held = ", ".join(f"{name} = {column[first]:g}" for name, column in columns.items())
            msg = (
                f"{where}: {text!r} {state} in {int(bad.sum())} of {len(values)} events that pass truth, the first in "
                f"row {np.flatnonzero(rows)[first]} ({held}); give such events a value: where(condition, a, b) takes b "
                "where a comparison has an absent column in it"
            )
            raise InputError(msg)
    factor = np.ones(len(simulation))
    factor[rows] = values
    simulation.reweighted(factor, where)  # is checked as every sample is
    return factor
