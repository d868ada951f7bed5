"""What HEPData asks of a submission beyond its schemas."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from omnifold_pub.exchange.hepdata.columns import Table
from omnifold_pub.exchange.hepdata.matrices import LAYOUT, MOST_ROWS
from omnifold_pub.exchange.hepdata.names import LONGEST_NAME

__all__ = ["LARGEST_ARCHIVE", "LARGEST_YAML", "broken_rules"]

LARGEST_ARCHIVE = 50_000_000
"""Bytes of an archive that can be uploaded."""

LARGEST_YAML = 10_000_000
"""Bytes of a YAML file."""

_FEWER = "measure fewer bins, or export fewer observables at a time"


def broken_rules(tables: Sequence[Table], files: Mapping[str, bytes], archive: int) -> list[str]:
    """Return what HEPData would refuse, or show badly; `hepdata-validator` looks at little of it.

    Parameters
    ----------
    tables : sequence of Table
        All of a submission.
    files : mapping
        Name to content of every file.
    archive : int
        Bytes of the archive of them.

    Returns
    -------
    list of str
        Where, what was found, what was expected, what to do; empty where all is well.

    Examples
    --------
    >>> broken_rules([], {}, 60_000_000)
    ['the archive: expected at most 50000000 bytes; found 60000000; measure fewer bins, or export fewer observables at \
a time']
    """
    found = [*_sizes(files, archive)]
    for table in tables:
        found += _of_table(table)
    for what, names in (("name", [t.name.lower() for t in tables]), ("file", [t.file.lower() for t in tables])):
        found += [f"{name}: two tables have this {what}" for name in sorted({n for n in names if names.count(n) > 1})]
    return found


def _sizes(files: Mapping[str, bytes], archive: int) -> Iterator[str]:
    if archive > LARGEST_ARCHIVE:
        yield f"the archive: expected at most {LARGEST_ARCHIVE} bytes; found {archive}; {_FEWER}"
    for name, content in files.items():
        if name.endswith(".yaml") and len(content) > LARGEST_YAML:
            yield f"{name}: expected at most {LARGEST_YAML} bytes; found {len(content)}; {_FEWER}"


def _of_table(table: Table) -> Iterator[str]:
    if len(table.name) > LONGEST_NAME:
        yield f"table {table.name!r}: expected a name of at most {LONGEST_NAME} characters; found {len(table.name)}"
    if table.is_matrix and table.rows > MOST_ROWS:
        yield f"table {table.name!r}: expected a matrix of at most {MOST_ROWS} rows; found {table.rows}; attach a file"
    if table.is_matrix and LAYOUT not in table.description:
        yield f"table {table.name!r}: expected its caption to describe the layout of the matrix"
    for column in table.independent:
        for row, value in enumerate(column.values, start=1):
            if isinstance(value, tuple) and all(map(math.isinf, value)):
                yield f"table {table.name!r}, row {row}: expected a finite edge; found both infinite; split the bin"
    for column in table.dependent:
        labels = [label for label, _ in column.errors]
        if any(label.strip().lower() == "total" for label in labels):
            yield f"table {table.name!r}: the error label 'total' would be added to its own parts; name it otherwise"
        for label in sorted({label for label in labels if labels.count(label) > 1}):
            yield f"table {table.name!r}: expected each error label once; found {label!r} again"
        for row in range(table.rows if labels else 0):
            if isinstance(column.values[row], float) and not column.errors_of(row):
                yield f"table {table.name!r}, row {row + 1}: expected an error; found all zero; leave the bin out"
