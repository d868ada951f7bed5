"""Measurements as CSV: one row for each bin, every digit kept."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from omnifold_pub.atomic import replacing
from omnifold_pub.errors import PublishError
from omnifold_pub.estimators.base import BinnedStatistic
from omnifold_pub.presentation.measured import Measured
from omnifold_pub.presentation.rows import columns_of

__all__ = ["csv_of", "csv_table", "write_csv"]

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What makes a spreadsheet take a cell for a formula (OWASP, CSV Injection)."""


def _cell(text: str) -> str:
    """Return text that no spreadsheet executes: with an apostrophe before what would start a formula.

    >>> _cell("=1+1"), _cell("pT_ll")
    ("'=1+1", 'pT_ll')
    """
    return f"'{text}" if text.startswith(_FORMULA) else text


def _comment(text: str) -> str:
    """Return a line of the header; what follows a comma in it starts no cell with a formula either."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    for separator in ",;":
        line = line.replace(separator, f"{separator} ").replace(f"{separator}  ", f"{separator} ")
    return f"# {line}".replace('"', "'")


def _header(measured: Measured, what: str) -> Iterator[str]:
    yield _comment(f"omnifold_pub measurement: {what}")
    for statistic, unit in zip(measured.statistics, measured.units, strict=True):
        yield _comment(f"{statistic.name}: unit {unit or 'not the same for all its numbers, or not known'}")
        for number, axis in enumerate(statistic.axes if isinstance(statistic, BinnedStatistic) else (), start=1):
            in_unit = f" [{axis.unit}]" if axis.unit not in ("", "1") else ""
            yield _comment(f"{statistic.name}: axis {number} is {axis.name}{in_unit}")


def _places(measured: Measured, axes: int) -> Iterator[list[float | str]]:
    """Yield observable and edges (empty beyond its axes) of each bin, or its label where it has no edges."""
    for statistic, part in zip(measured.statistics, measured.slices, strict=True):
        if not isinstance(statistic, BinnedStatistic):
            empty = [""] * (2 * axes)
            for label in measured.labels[part]:
                yield [_cell(statistic.name), *empty, _cell(label)]
            continue
        bins: list[list[float | str]] = [[]]
        for axis in statistic.axes:
            bins = [[*before, low, high] for before in bins for low, high in axis]
        for edges in bins:
            yield [_cell(statistic.name), *edges, *[""] * (2 * (axes - len(statistic.axes))), ""]


def csv_of(measured: Measured) -> str:
    """Return CSV text: lines with ``#``, a row of column names, a row for each bin.

    Text is quoted and numbers are not, so that ``csv.QUOTE_NONNUMERIC`` reads it back; numbers have all the digits
    that they need to come back the same, effective events that nobody knows are empty. A text cell that begins with
    what a spreadsheet takes for a formula gets an apostrophe before it.
    """
    numbers = columns_of(measured)
    axes = max(len(s.axes) if isinstance(s, BinnedStatistic) else 0 for s in measured.statistics)
    sides = [f"{side}_{i}" if axes > 1 else side for i in range(1, axes + 1) for side in ("low", "high")]
    unbinned = any(not isinstance(statistic, BinnedStatistic) for statistic in measured.statistics)
    stream = io.StringIO()
    stream.writelines(f"{line}\n" for line in _header(measured, "value and standard uncertainties of each bin"))
    writer = csv.writer(stream, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerow(["observable", *sides, *(["label"] if unbinned else []), *numbers])
    rows = zip(*(column.tolist() for column in numbers.values()), strict=True)
    for place, row in zip(_places(measured, axes), rows, strict=True):
        writer.writerow([*(place if unbinned else place[:-1]), *("" if math.isnan(n) else n for n in row)])
    return stream.getvalue()


def csv_table(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    r"""Return CSV text of a table: text is quoted and starts no formula, numbers are not, None is empty.

    >>> csv_table(["name", "most"], [["=x", 1.5], ["y", None]])
    '"name","most"\n"\'=x",1.5\n"y",""\n'
    """
    stream = io.StringIO()
    writer = csv.writer(stream, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerow(names)
    for row in rows:
        cells = ["" if cell is None else cell for cell in row]
        writer.writerow([_cell(" ".join(cell.split())) if isinstance(cell, str) else cell for cell in cells])
    return stream.getvalue()


def _covariance_csv(measured: Measured) -> str:
    lines = [*_header(measured, "total covariance"), "# row and column: bins as in the table of values"]
    lines += [",".join(map(repr, row)) for row in measured.covariance().tolist()]
    return "".join(f"{line}\n" for line in lines)


def write_csv(measured: Measured, path: str | Path | None, *, covariance: str | Path | None) -> str:
    """Write the table and, where a path is given for it, the total covariance; each file whole or not at all.

    Returns
    -------
    str
        The table.

    Raises
    ------
    PublishError
        If a file cannot be written.
    """
    text = csv_of(measured)
    _write(path, text)
    if covariance is not None:
        _write(covariance, _covariance_csv(measured))
    return text


def _write(path: str | Path | None, text: str) -> None:
    if path is None:
        return
    try:
        with replacing(Path(path)) as temporary:
            temporary.write_bytes(text.encode())
    except OSError as error:
        msg = f"{path}: expected to write a CSV file there; found {error.strerror or error}; nothing is left of it"
        raise PublishError(msg) from error
