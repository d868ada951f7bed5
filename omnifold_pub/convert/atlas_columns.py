"""Which columns the public ATLAS files hold, what they sum to, and views of them that compute."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.convert.atlas_metadata import OBSERVABLES, VARIATIONS
from omnifold_pub.convert.pytables import PyTablesFrame
from omnifold_pub.errors import InputError
from omnifold_pub.messages import shorten, suggest

__all__ = [
    "CLOSURE",
    "LUMINOSITY",
    "NOMINAL",
    "PRIOR",
    "REQUIRED",
    "Derived",
    "Totals",
    "add_up",
    "families_of",
    "nonclosure",
    "rescaled",
    "row_numbers",
    "with_nan",
]

NOMINAL = "weights_nominal"
PRIOR = "weight_mc"
LUMINOSITY = "weights_lumi"
CLOSURE = ("weights_dd", "target_dd")
"""Unfolded, and what it should have found."""

FAMILIES = ("ensemble", "bootstrap_data", "bootstrap_mc")
_MEMBER = re.compile(rf"weights_({'|'.join(FAMILIES)})_(0|[1-9][0-9]*)")
_SINGLE = (NOMINAL, PRIOR, LUMINOSITY, *CLOSURE, *(f"weights_{name}" for name in VARIATIONS))
REQUIRED = (*_SINGLE, *FAMILIES)
"""What the main file holds beside the observables."""


def families_of(
    frame: PyTablesFrame, required: Sequence[str], *, ignore: Sequence[str] = ()
) -> dict[str, tuple[str, ...]]:
    """Return the columns of each family of replicas, in the order of their numbers.

    Parameters
    ----------
    frame : PyTablesFrame
        One of the files.
    required : sequence of str
        Columns and families that it must hold beside the observables.
    ignore : sequence of str
        Unknown columns to leave out.

    Raises
    ------
    InputError
        If a column is unknown, one that is required is not there, or a family has gaps or a single member.
    """
    numbers: dict[str, list[int]] = {}
    unknown = []
    for name in frame.columns:
        # The whole name: "weights_bootstrap_mc_" alone also begins "weights_bootstrap_mc_test_3".
        if match := _MEMBER.fullmatch(name):
            numbers.setdefault(match[1], []).append(int(match[2]))
        elif name not in _SINGLE and name not in OBSERVABLES and name not in ignore:
            unknown.append(name)
    if unknown:
        hint = suggest(unknown[0], [*_SINGLE, *OBSERVABLES])
        msg = (
            f"{frame.path}: expected the columns of the public ATLAS files; found {len(unknown)} others: "
            f"{', '.join(map(shorten, unknown[:20]))}{', ...' if len(unknown) > 20 else ''} ({hint}); rename them, "
            "or name them in ignore to leave them out"
        )
        raise InputError(msg)
    missing = [name for name in (*OBSERVABLES, *required) if name not in frame.columns and name not in numbers]
    if missing:
        msg = f"{frame.path}: lacks {len(missing)} columns or families that it should hold: {', '.join(missing)}"
        raise InputError(msg)
    for family, there in numbers.items():
        gaps = sorted(set(range(min(max(there) + 1, len(there) + 20))) - set(there))
        if gaps or len(there) < 2:
            found = f"no number {', '.join(map(str, gaps[:5]))}" if gaps else "one alone"
            msg = (
                f"{frame.path}: weights_{family}_*: expected at least two members, numbered from 0 without a gap; "
                f"found {len(there)}, {found}; fetch the file again"
            )
            raise InputError(msg)
    return {
        family: tuple(f"weights_{family}_{number}" for number in range(len(numbers[family])))
        for family in FAMILIES
        if family in numbers
    }


@dataclass(frozen=True)
class Derived:
    """An array that is computed of others when it is sliced.

    Attributes
    ----------
    shape : tuple of int
        ``(event,)`` or ``(event, member)``.
    dtype : numpy.dtype
        Of what it returns.
    compute : callable
        Rows to their values, whose shape is right and whose type need not be.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    compute: Callable[[slice], NDArray[Any]]

    def __getitem__(self, rows: slice, /) -> NDArray[Any]:
        """Return some rows."""
        return self.compute(rows).astype(self.dtype, copy=False)


def with_nan(frame: PyTablesFrame, name: str, sentinel: float | None) -> Derived:
    """Return an observable in float32, with NaN where it is ``sentinel``."""
    column = frame.column(name)

    def compute(rows: slice) -> NDArray[Any]:
        values = column[rows]
        return values if sentinel is None else np.where(values == sentinel, np.nan, values)

    return Derived(column.shape, np.dtype(np.float32), compute)


def rescaled(frame: PyTablesFrame, names: Sequence[str], factor: float) -> Derived:
    """Return a family in float32, every member times ``factor``."""
    family = frame.family(names)
    return Derived(family.shape, np.dtype(np.float32), lambda rows: family[rows] * np.float64(factor))


def row_numbers(frame: PyTablesFrame) -> Derived:
    """Return the rows of a file as identifiers of its events."""
    return Derived((frame.rows,), np.dtype(np.int64), lambda rows: np.array(range(frame.rows)[rows], dtype=np.int64))


def nonclosure(frame: PyTablesFrame) -> Derived:
    """Return nominal + (unfolded - target), ``[event, 1]``: it shifts any histogram by its non-closure."""
    source = frame.family([NOMINAL, *CLOSURE])

    def compute(rows: slice) -> NDArray[Any]:
        # The nominal as it will be stored, so that its rounding is not part of the shift.
        values = source[rows].astype(np.float64)
        nominal = values[:, 0].astype(np.float32).astype(np.float64)
        shifted: NDArray[Any] = (nominal + (values[:, 1] - values[:, 2]))[:, np.newaxis]
        return shifted

    return Derived((frame.rows, 1), np.dtype(np.float32), compute)


@dataclass(frozen=True)
class Totals:
    """Sums over all events of a file, in float64.

    Attributes
    ----------
    sums : mapping
        Column to its sum.
    zeros : float
        Share of the weights of ``bootstrap_mc`` that are exactly 0, of events whose nominal weight is not; NaN
        where there is none.
    luminosity : tuple of float
        Smallest and largest ratio of the luminosity's weight to the nominal; NaN where there is none.
    """

    sums: Mapping[str, float]
    zeros: float
    luminosity: tuple[float, float]


def add_up(frame: PyTablesFrame, names: Sequence[str]) -> Totals:
    """Read some columns once, block by block, and add them up.

    Raises
    ------
    InputError
        If a sum is not finite, or that of the nominal or of the closure's target is not positive.
    """
    replicas = [index for index, name in enumerate(names) if name.startswith("weights_bootstrap_mc_")]
    source = frame.family(names)
    partial, zeros, counted, low, high = [], 0, 0, math.inf, -math.inf
    for rows in frame.row_blocks():
        values = source[rows]
        partial.append(values.sum(axis=0, dtype=np.float64))
        nominal = values[:, names.index(NOMINAL)]
        there = nominal != 0
        zeros += int(np.count_nonzero(values[there][:, replicas] == 0))
        counted += int(np.count_nonzero(there)) * len(replicas)
        if LUMINOSITY in names:
            shifted = values[:, names.index(LUMINOSITY)].astype(np.float64)
            ratios = np.divide(shifted, nominal, out=np.where(shifted == 0, np.nan, np.inf), where=there)
            if not np.isnan(ratios).all():
                low, high = min(low, float(np.nanmin(ratios))), max(high, float(np.nanmax(ratios)))
    sums = {name: math.fsum(column) for name, column in zip(names, np.array(partial).T.tolist(), strict=True)}
    for name, total in sums.items():
        positive = name in (NOMINAL, CLOSURE[1])
        if not math.isfinite(total) or (positive and total <= 0):
            expected = "a positive, finite sum" if positive else "a finite sum"
            msg = f"{frame.path}: {name}: expected weights with {expected}; found {total}; fetch the file again"
            raise InputError(msg)
    return Totals(sums, zeros / counted if counted else math.nan, (low, high) if low <= high else (math.nan, math.nan))
