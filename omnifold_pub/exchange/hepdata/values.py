"""Tables of values: bins, values, and the signed error of each source."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import PublishError
from omnifold_pub.estimators import Histogram, Profile
from omnifold_pub.estimators.base import BinnedStatistic, Statistic
from omnifold_pub.exchange.breakdown import ErrorSource, error_sources
from omnifold_pub.exchange.hepdata.columns import NO_NUMBER, Cell, Column, Table
from omnifold_pub.exchange.hepdata.names import Names
from omnifold_pub.exchange.hepdata.record import Record, escaped
from omnifold_pub.observables.binning import Axis
from omnifold_pub.observables.events import definition_text
from omnifold_pub.presentation.measured import Measured

__all__ = ["SEPARATOR", "bin_columns", "value_tables"]

SEPARATOR = ","
"""Between class and name in the label of an error, as HEPData's examples have it: ``sys,lumi``."""

_MEANING = {
    "estimated": "standard deviation of replicas; what lies between bins is in the covariance",
    "full": "shift of all bins together, with its sign",
    "none": "shift without correlation between bins",
}


def _axis_name(axis: Axis) -> str:
    return axis.label.removesuffix(f"[{axis.unit}]").strip() or axis.name


def bin_columns(statistic: Statistic, size: int) -> tuple[Column, ...]:
    """Return the independent variables: low and high edges along each axis, the last axis running fastest.

    Numbers of a statistic without bins have their labels.
    """
    if not isinstance(statistic, BinnedStatistic):
        labels = statistic.labels or tuple(f"{statistic.name}[{i}]" for i in range(size))
        return (Column("Quantity", labels),)
    bins = list(itertools.product(*statistic.axes))
    return tuple(
        Column(_axis_name(axis), tuple(edges[i] for edges in bins), axis.unit if axis.unit not in ("", "1") else "")
        for i, axis in enumerate(statistic.axes)
    )


def _what(statistic: Statistic) -> tuple[str, tuple[str, ...]]:
    """Return what the numbers are, in words and in HEPData's."""
    if isinstance(statistic, Histogram):
        share = "Share of the cross section" if statistic.normalise else "Cross section"
        density = " per unit of the observable" if statistic.density else ""
        known = () if statistic.normalise else (("DSIG",) if statistic.density else ("SIG",))
        return f"{share} in each bin{density}", known
    if isinstance(statistic, Profile):
        return f"Mean of {definition_text(statistic.observable)}", ()
    return statistic.name, ()


def _caption(statistic: Statistic, unit: str, sources: Sequence[ErrorSource], record: Record) -> str:
    parts = [f"{_what(statistic)[0]}: {statistic.name}."]
    where = getattr(statistic, "where", None)
    if where is not None:
        parts.append(f"Selection: {definition_text(where)}.")
    if "fiducial" in record.metadata:
        parts.append(f"Fiducial region: {record.metadata['fiducial']['description']}.")
    if unit:
        parts.append("Pure numbers." if unit == "1" else f"Unit: {unit}.")
    for source in sources:
        said = f"{source.component.description}; " if source.component.description else ""
        parts.append(f"Error {source.label(SEPARATOR)}: {said}{_MEANING[source.correlation]}.")
    return escaped(" ".join(parts))


def _values(name: str, values: NDArray[np.float64], variances: NDArray[np.float64]) -> tuple[Cell, ...]:
    """Return the values; of an empty bin, without any error, no number."""
    bare = np.flatnonzero((variances == 0) & (values != 0))
    if len(bare):
        msg = (
            f"{name}: bin {bare[0] + 1} has the value {values[bare[0]]:.6g} and no uncertainty at all ({len(bare)} "
            "bins are so); HEPData refuses bins whose errors are all zero: leave it out, or measure all components"
        )
        raise PublishError(msg)
    return tuple(
        NO_NUMBER if variance == 0 else value for value, variance in zip(values.tolist(), variances, strict=True)
    )


def value_tables(measured: Measured, record: Record, names: Names) -> list[Table]:
    """Return a table for each statistic.

    Raises
    ------
    PublishError
        If a bin has a value and no uncertainty.
    """
    sources = error_sources(measured)
    variances = np.diag(measured.covariance())
    tables = []
    for statistic, bins, unit in zip(measured.statistics, measured.slices, measured.units, strict=True):
        name, file = names.take(statistic.name)
        size = bins.stop - bins.start
        errors = tuple((source.label(SEPARATOR), tuple(source.shift[bins].tolist())) for source in sources)
        values = _values(name, measured.nominal[bins], variances[bins])
        words, observables = _what(statistic)
        column = Column(words, values, "" if unit == "1" else unit, errors, record.qualifiers())
        caption = _caption(statistic, unit, sources, record)
        tables.append(Table(name, file, caption, bin_columns(statistic, size), (column,), observables))
    return tables
