"""Covariances and correlations: as tables, and beyond 5,000 rows as attached files."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import ReleaseError
from omnifold_pub.exchange.hepdata.columns import Column, Table, yaml_number
from omnifold_pub.exchange.hepdata.names import Names
from omnifold_pub.exchange.hepdata.record import escaped
from omnifold_pub.presentation.measured import Measured

__all__ = ["LAYOUT", "MOST_ROWS", "Attachment", "attached_matrix", "matrices", "own_matrices", "read_matrix"]

Matrix = NDArray[np.float64]

MOST_ROWS = 5000
"""Rows of a matrix that HEPData's pages can bear."""

LAYOUT = "Layout: one row for each pair of bins, row by row of the matrix; both columns number the bins from 1"

_ALL = "all components"
_LARGEST = 10**9  # bytes that an attached file may take when it is unpacked


@dataclass(frozen=True)
class Attachment:
    """A matrix as a file beside the tables: gzipped text, a line for each row, ``numpy.loadtxt(delimiter=",")``.

    Attributes
    ----------
    file : str
        Its name.
    description : str
        What it is.
    content : bytes
        The file.
    """

    file: str
    description: str
    content: bytes


def _numbering(places: Sequence[tuple[str, slice]]) -> str:
    parts = "; ".join(f"{name}: {bins.start + 1} to {bins.stop}" for name, bins in places)
    return f"{LAYOUT}, through the tables of values in their order ({parts})."


def _unit(units: Sequence[str]) -> str:
    unit = units[0] if len(set(units)) == 1 else ""
    return f"({unit})^2" if unit not in ("", "1") else ""


def _each(measured: Measured) -> Iterator[tuple[str | None, str, str]]:
    """Yield component, its name in a title, and a sentence on it; first the sum of all."""
    yield None, _ALL, "The sum of all components."
    for component in measured.components:
        said = f": {component.description}" if component.description else ""
        yield component.name, component.name, f"Component {component.name} ({component.kind}){said}."


def _pairs(bins: int) -> tuple[Column, Column]:
    numbers = range(1, bins + 1)
    rows = tuple(row for row in numbers for _ in numbers)
    return Column("Bin of the row", rows), Column("Bin of the column", tuple(numbers) * bins)


def _table(title: str, matrix: Matrix, said: str, unit: str, names: Names) -> Table:
    name, file = names.take(title)
    kind = title.partition(" ")[0]
    column = Column(kind, tuple(matrix.ravel().tolist()), unit if kind == "Covariance" else "")
    return Table(name, file, escaped(said), _pairs(len(matrix)), (column,), is_matrix=True)


def matrices(measured: Measured, names: Names) -> tuple[list[tuple[Table, Table]], list[tuple[Attachment, Attachment]]]:
    """Return covariance and correlation of all bins: their sum first, then each component.

    The blocks between observables are in them. They are tables, or attached files where a table would have more than
    5,000 rows; one of the lists is empty.
    """
    numbering = _numbering([(s.name, bins) for s, bins in zip(measured.statistics, measured.slices, strict=True)])
    tables: list[tuple[Table, Table]] = []
    attachments: list[tuple[Attachment, Attachment]] = []
    for component, name, said in _each(measured):
        covariance = measured.covariance(component)
        kinds = (("Covariance", covariance), ("Correlation", _correlation(covariance)))
        said = f"{said} {numbering}"
        if len(covariance) ** 2 <= MOST_ROWS:
            one, other = (_table(f"{k} of {name}", m, f"{k}. {said}", _unit(measured.units), names) for k, m in kinds)
            tables.append((one, other))
        else:
            first, second = (attached_matrix(f"{k} of {name}", m, f"{k}. {said}", names) for k, m in kinds)
            attachments.append((first, second))
    return tables, attachments


def own_matrices(measured: Measured, names: Names) -> list[Table]:
    """Return covariance and correlation of each observable by itself, of all components, as tables.

    They are for people who look at the record's page: the numbers are in the attached files as well.
    """
    tables = []
    total = measured.covariance()
    for statistic, bins, unit in zip(measured.statistics, measured.slices, measured.units, strict=True):
        covariance = total[bins, bins]
        if len(covariance) ** 2 > MOST_ROWS:
            continue
        said = f"of the bins of {statistic.name}. The sum of all components."
        numbering = _numbering([(statistic.name, slice(0, len(covariance)))])
        for kind, matrix in (("Covariance", covariance), ("Correlation", _correlation(covariance))):
            title = f"{kind} of {statistic.name}"
            tables.append(_table(title, matrix, f"{kind} {said} {numbering}", _unit([unit]), names))
    return tables


def _correlation(covariance: Matrix) -> Matrix:
    """Return ``correlation[bin, bin]``, as `omnifold_pub.measurement.Estimate.correlation` has it."""
    errors = np.sqrt(np.diag(covariance))
    scale = np.outer(errors, errors)
    found: Matrix = np.divide(covariance, scale, out=np.zeros_like(covariance), where=scale > 0)
    np.fill_diagonal(found, 1.0)
    return found


def attached_matrix(title: str, matrix: Matrix, said: str, names: Names) -> Attachment:
    """Return a matrix as a gzipped file whose bytes depend on the numbers alone."""
    file = names.take(title)[1].removesuffix(".yaml") + ".csv.gz"
    text = "".join(",".join(map(yaml_number, row)) + "\n" for row in matrix.tolist())
    said = said.replace(LAYOUT, "Layout: a line for each row of the matrix, numbers apart by commas; bins count from 1")
    return Attachment(file, said, gzip.compress(text.encode(), mtime=0))


def read_matrix(file: str, content: bytes, bins: int) -> Matrix:
    """Read an attached matrix.

    Raises
    ------
    ReleaseError
        If it is damaged or of another shape.
    """
    try:
        with gzip.open(io.BytesIO(content)) as stream:
            text = stream.read(_LARGEST + 1)
        rows = [[float(number) for number in line.split(b",")] for line in text[:_LARGEST].splitlines()]
    except (EOFError, OSError, ValueError, zlib.error) as error:
        msg = f"{file}: expected a gzipped file of numbers apart by commas; found {error}; download it anew"
        raise ReleaseError(msg) from None
    if len(rows) != bins or any(len(row) != bins for row in rows):
        shape = f"{len(rows)} rows of {sorted({len(row) for row in rows})} numbers"
        msg = f"{file}: expected {bins} rows of {bins} numbers; found {shape}; download it anew"
        raise ReleaseError(msg)
    return np.array(rows)
