"""Tables as objects of `hepdata_lib`, for those who put a submission of many sources together with it."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from omnifold_pub.exchange.hepdata.columns import Column, Table
from omnifold_pub.exchange.hepdata.names import Names
from omnifold_pub.exchange.hepdata.record import Record
from omnifold_pub.exchange.hepdata.submission import Submission
from omnifold_pub.exchange.hepdata.values import value_tables
from omnifold_pub.extras import require
from omnifold_pub.presentation.measured import Measured

if TYPE_CHECKING:
    import hepdata_lib

__all__ = ["hepdata_lib_tables"]

_EVERY_DIGIT = 20
"""Significant digits to keep; a float64 has 17, the package keeps 5 unless told."""


def hepdata_lib_tables(measured: Measured | Submission, record: Record | None = None) -> list[hepdata_lib.Table]:
    """Return the tables of a measurement, or all of a submission, with every digit, for ``Submission.add_table``.

    `hepdata_lib` makes ``yaml.CLoader`` unusable for the whole process when it is imported, and imports
    `hepdata_validator`, which is under the GPL. That is why nothing else here imports it.

    Parameters
    ----------
    measured : Measured or Submission
        A measurement gives its tables of values; a submission the matrices as well.
    record : Record, optional
        What is known beside the numbers of a measurement.

    Raises
    ------
    MissingExtraError
        If `hepdata_lib` is not installed.
    PublishError
        If a bin has a value and no uncertainty.
    """
    require("hepdata_lib", extra="hepdata", purpose="Tables of hepdata_lib")
    if isinstance(measured, Submission):
        record, tables = measured.record, list(measured.tables)
    else:
        record = record or Record()
        tables = value_tables(measured, record, Names())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of jsonschema.RefResolver, which they import
        import hepdata_lib
    return [_table(hepdata_lib, table, record) for table in tables]


def _table(library: Any, table: Table, record: Record) -> hepdata_lib.Table:
    made = library.Table(table.name)
    made.description, made.location = table.description, ""
    made.keywords = {one["name"]: one["values"] for one in record.keywords(table.observables)}
    if record.licence:
        made.add_data_license(**record.licence)
    for column, is_independent in [(c, True) for c in table.independent] + [(c, False) for c in table.dependent]:
        made.add_variable(_variable(library, column, is_independent=is_independent))
    return made


def _variable(library: Any, column: Column, *, is_independent: bool) -> Any:
    variable = library.Variable(
        column.name,
        is_independent=is_independent,
        is_binned=all(isinstance(value, tuple) for value in column.values),
        units=column.unit,
        values=list(column.values),
        zero_uncertainties_warning=False,
    )
    variable.digits = _EVERY_DIGIT
    for qualifier in column.qualifiers:
        variable.add_qualifier(qualifier["name"], qualifier["value"], qualifier.get("units", ""))
    for label, errors in column.errors:
        uncertainty = library.Uncertainty(label)
        uncertainty.values = list(errors)
        variable.add_uncertainty(uncertainty)
    return variable
