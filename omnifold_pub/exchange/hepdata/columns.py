"""A table of HEPData: columns of numbers, and the YAML that holds them bit by bit."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["NO_NUMBER", "Cell", "Column", "Table", "data_yaml", "yaml_number"]

NO_NUMBER = "-"
"""What stands for the value of an empty bin, which has no error either."""

Cell = float | str | tuple[float, float]
"""A number, a text, or the low and high edge of a bin."""


@dataclass(frozen=True)
class Column:
    """A variable of a table.

    Attributes
    ----------
    name, unit : str
        Its header; the unit is empty for a pure number.
    values : tuple
        One for each row.
    errors : tuple of (str, tuple of float)
        Label and signed error of each row, of each source.
    qualifiers : tuple of dict
        Name, value and perhaps units of what else is to be known of it.
    """

    name: str
    values: tuple[Cell, ...]
    unit: str = ""
    errors: tuple[tuple[str, tuple[float, ...]], ...] = ()
    qualifiers: tuple[Mapping[str, str | float], ...] = ()

    @property
    def header(self) -> dict[str, str]:
        """Name and unit as HEPData has them."""
        return {"name": self.name} | ({"units": self.unit} if self.unit else {})

    def errors_of(self, row: int) -> list[tuple[str, float]]:
        """Return label and error of each source in a row; none where all are zero: HEPData refuses such rows."""
        found = [(label, values[row]) for label, values in self.errors]
        return found if any(error for _, error in found) else []


@dataclass(frozen=True)
class Table:
    """A table with what the submission says of it.

    Attributes
    ----------
    name : str
        At most 64 characters.
    file : str
        Name of its data file.
    description : str
        Its caption.
    independent, dependent : tuple of Column
        All of one length.
    observables : tuple of str
        Keywords: what is measured, in HEPData's words.
    is_matrix : bool
        Whether its rows are pairs of bins.
    """

    name: str
    file: str
    description: str
    independent: tuple[Column, ...]
    dependent: tuple[Column, ...]
    observables: tuple[str, ...] = ()
    is_matrix: bool = False

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.dependent[0].values)


def yaml_number(number: float) -> str:
    """Return a number that YAML 1.1 reads back bit by bit, as a number: it takes ``1e-05`` for a text.

    Examples
    --------
    >>> yaml_number(1e-05), yaml_number(0.1), yaml_number(3.0), yaml_number(-math.inf)
    ('1.0e-05', '0.1', '3.0', '-.inf')
    """
    if math.isinf(number):
        return ".inf" if number > 0 else "-.inf"
    text = repr(number)
    mantissa, e, exponent = text.partition("e")
    return f"{mantissa}.0e{exponent}" if e and "." not in mantissa else text


_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
"""What JSON lets stand in a text and YAML does not."""


def _scalar(value: float | str) -> str:
    if not isinstance(value, str):
        return yaml_number(value)
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=False))


def _flow(entries: Mapping[str, Any]) -> str:
    return "{" + ", ".join(f"{key}: {_scalar(value)}" for key, value in entries.items()) + "}"


def _cell(value: Cell) -> dict[str, Any]:
    return {"low": value[0], "high": value[1]} if isinstance(value, tuple) else {"value": value}


def _lines(column: Column) -> Iterator[str]:
    yield f"- header: {_flow(column.header)}"
    if column.qualifiers:
        yield "  qualifiers:"
        yield from (f"  - {_flow(qualifier)}" for qualifier in column.qualifiers)
    yield "  values:"
    for row, value in enumerate(column.values):
        errors = column.errors_of(row)
        if not errors:
            yield f"  - {_flow(_cell(value))}"
            continue
        yield f"  - value: {_scalar(value) if not isinstance(value, tuple) else _flow(_cell(value))}"
        yield "    errors:"
        for label, error in errors:
            yield f"    - {_flow({'symerror': error, 'label': label})}"


def data_yaml(table: Table) -> bytes:
    """Return the data file of a table, UTF-8.

    Written line by line: a YAML library takes seconds for a matrix of 5,000 rows. Errors are ``symerror`` with a sign:
    HEPData takes ``symerror: -0.4`` for ``plus: -0.4, minus: 0.4``.

    Examples
    --------
    >>> column = Column("y", (2.0,), errors=(("sys,a", (-0.4,)),))
    >>> print(data_yaml(Table("t", "t.yaml", "", (Column("x", ((0.0, 1.0),)),), (column,))).decode())
    independent_variables:
    - header: {name: "x"}
      values:
      - {low: 0.0, high: 1.0}
    dependent_variables:
    - header: {name: "y"}
      values:
      - value: 2.0
        errors:
        - {symerror: -0.4, label: "sys,a"}
    <BLANKLINE>
    """
    lines = ["independent_variables:", *(line for column in table.independent for line in _lines(column))]
    lines += ["dependent_variables:", *(line for column in table.dependent for line in _lines(column))]
    return "".join(f"{line}\n" for line in lines).encode()
