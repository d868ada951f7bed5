"""A submission to HEPData as a measurement again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import ObservableError, ReleaseError
from omnifold_pub.exchange.hepdata.bundle import Fetch, open_bundle
from omnifold_pub.exchange.hepdata.columns import NO_NUMBER
from omnifold_pub.exchange.hepdata.layout import LAYOUT_FILE, Layout, numbers_put_back
from omnifold_pub.exchange.hepdata.matrices import read_matrix
from omnifold_pub.exchange.hepdata.values import SEPARATOR, bin_columns
from omnifold_pub.extras import require
from omnifold_pub.messages import shorten, suggest
from omnifold_pub.presentation.recipes import restore

__all__ = ["read_submission"]

Matrix = NDArray[np.float64]

_ROUNDING = 1e-6
"""What an error in a table may differ by from the covariance."""


def read_submission(path: str | Path) -> dict[str, Any]:
    """Read what `write_submission` wrote: a folder, or an archive (.tar.gz, .tgz, .tar, .zip).

    All numbers are those of the tables and matrices, bit by bit; what the components are, and the values under each
    member, come from the attached ``omnifold_pub.json``. Bins and errors of each table are compared with both.

    Returns
    -------
    dict
        As `omnifold_pub.Measurement.from_dict` reads it.

    Raises
    ------
    ReleaseError
        If it is no such submission, or its tables do not fit to each other.
    MissingExtraError
        If PyYAML is not installed.
    """
    require("yaml", extra="yaml", purpose="Reading a submission of HEPData")
    path = Path(path)
    fetch = open_bundle(path)
    content = fetch(LAYOUT_FILE)
    if content is None:
        _refuse(path, f"the attached file {LAYOUT_FILE}", "none: only what omnifold_pub exported can be read back")
    layout = Layout.read(content)
    tables = _Tables(path, fetch)
    values: list[float] = []
    sizes: list[int] = []
    errors: list[Mapping[str, Matrix]] = []
    for name, statistic in zip(layout.values, layout.measurement["observables"], strict=True):
        table = tables[name]
        found, error = _rows(path, name, table)
        try:
            expected = bin_columns(restore(statistic), len(found))
        except (AttributeError, KeyError, TypeError, ValueError, ObservableError) as reason:
            _refuse(path, f"a statistic that can be made for table {name!r}", repr(reason))
        _check_bins(path, name, table, [column.values for column in expected])
        values += found
        sizes.append(len(found))
        errors.append(error)
    covariances = _covariances(path, layout, fetch, tables, len(values))
    _check_errors(path, layout, sizes, errors, covariances[1:])
    variances = np.diag(covariances[0])
    if (variances < 0).any():
        _refuse(path, "variances that are not negative", f"{variances.min():g} in the covariance")
    matrices = [matrix.tolist() for matrix in covariances]
    return numbers_put_back(layout.measurement, values, np.sqrt(variances).tolist(), matrices)


def _refuse(path: Path, expected: str, found: object) -> NoReturn:
    msg = f"{path}: expected {expected}; found {found}; download the submission anew, or export it again"
    raise ReleaseError(msg)


def _parsed(path: Path, name: str, content: bytes) -> list[Any]:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return list(yaml.load_all(content, Loader=loader))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        _refuse(path, f"YAML in {name}", " ".join(str(error).split()))


class _Tables:
    """The tables of a submission by name, each read when it is asked for."""

    def __init__(self, path: Path, fetch: Fetch) -> None:
        self._path, self._fetch = path, fetch
        documents = _parsed(path, "submission.yaml", fetch("submission.yaml") or b"")
        known = [d for d in documents if isinstance(d, dict) and isinstance(d.get("name"), str)]
        self._files = {d["name"]: d.get("data_file") for d in known}

    def __getitem__(self, name: str) -> Mapping[str, Any]:
        if name not in self._files:
            _refuse(self._path, f"a table {name!r}", suggest(name, list(self._files)))
        file = self._files[name]
        content = self._fetch(file) if isinstance(file, str) else None
        if content is None:
            _refuse(self._path, f"the data file of table {name!r}", shorten(file))
        documents = _parsed(self._path, str(file), content)
        if len(documents) != 1 or not isinstance(documents[0], dict):
            _refuse(self._path, f"one mapping in {file}", f"{len(documents)} documents")
        return documents[0]


def _variables(path: Path, name: str, table: Mapping[str, Any], key: str) -> list[list[dict[str, Any]]]:
    """Return the cells of each variable."""
    found = table.get(key)
    variables = found if isinstance(found, list) else []
    cells = [one["values"] for one in variables if isinstance(one, dict) and _are_cells(one.get("values"))]
    if not cells or len(cells) != len(variables):
        _refuse(path, f"{key} with values in table {name!r}", shorten(found))
    return cells


def _are_cells(values: object) -> bool:
    return isinstance(values, list) and all(isinstance(cell, dict) for cell in values)


def _number(path: Path, name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        _refuse(path, f"finite numbers in table {name!r}", shorten(value))
    return float(value)


def _check_bins(path: Path, name: str, table: Mapping[str, Any], expected: Sequence[Sequence[object]]) -> None:
    found = [
        tuple((cell["low"], cell["high"]) if "low" in cell and "high" in cell else cell.get("value") for cell in cells)
        for cells in _variables(path, name, table, "independent_variables")
    ]
    if found != [tuple(column) for column in expected]:
        _refuse(path, f"the bins of table {name!r} as {LAYOUT_FILE} has them", shorten(found))


def _rows(path: Path, name: str, table: Mapping[str, Any]) -> tuple[list[float], Mapping[str, Matrix]]:
    """Return the values, and the errors of each label."""
    cells = _variables(path, name, table, "dependent_variables")[0]
    values = [0.0 if cell.get("value") == NO_NUMBER else _number(path, name, cell.get("value")) for cell in cells]
    errors: dict[str, Matrix] = {}
    for row, cell in enumerate(cells):
        listed = cell.get("errors", [])
        for one in listed if isinstance(listed, list) else [None]:
            if not isinstance(one, dict) or not isinstance(one.get("label"), str):
                _refuse(path, f"errors with labels in table {name!r}", shorten(one))
            column = errors.setdefault(one["label"], np.zeros(len(cells)))
            column[row] = _number(path, name, one.get("symerror"))
    return values, errors


def _covariances(path: Path, layout: Layout, fetch: Fetch, tables: _Tables, bins: int) -> list[Matrix]:
    """Return the covariance of all components, then of each."""
    found = []
    for name in layout.covariances:
        if layout.matrices == "files":
            content = fetch(name)
            if content is None:
                _refuse(path, f"the attached file {name}", "none")
            found.append(read_matrix(name, content, bins))
            continue
        cells = _variables(path, name, tables[name], "dependent_variables")[0]
        if len(cells) != bins**2:
            _refuse(path, f"{bins**2} rows in table {name!r}", len(cells))
        numbers = [_number(path, name, cell.get("value")) for cell in cells]
        found.append(np.array(numbers).reshape(bins, bins))
    return found


def _check_errors(
    path: Path,
    layout: Layout,
    sizes: Sequence[int],
    errors: Sequence[Mapping[str, Matrix]],
    covariances: Sequence[Matrix],
) -> None:
    """Refuse tables whose errors are not those of the covariances."""
    start = 0
    for name, size, own in zip(layout.values, sizes, errors, strict=True):
        bins = slice(start, start + size)
        start = bins.stop
        for component, covariance in zip(layout.measurement["components"], covariances, strict=True):
            expected = np.sqrt(np.abs(np.diag(covariance)[bins]))
            squares = [error**2 for label, error in own.items() if _is_of(label, str(component.get("name")))]
            found = np.sqrt(sum(squares, np.zeros(len(expected))))
            wrong = np.flatnonzero(np.abs(found - expected) > _ROUNDING * expected)
            if len(wrong):
                row = int(wrong[0])
                what = f"an error {expected[row]:.6g} of {component['name']} in row {row + 1} of table {name!r}"
                _refuse(path, f"{what}, as its covariance says", f"{found[row]:.6g}")


def _is_of(label: str, component: str) -> bool:
    """Tell whether an error is of a component: ``sys,pdf[2]`` is of ``pdf``.

    >>> _is_of("sys,pdf[2]", "pdf"), _is_of("sys,pdf", "pdf"), _is_of("sys,pdf_as", "pdf")
    (True, True, False)
    """
    name = label.partition(SEPARATOR)[2]
    head, bracket, rest = name.rpartition("[")
    return name == component or (bool(bracket) and head == component and rest.rstrip("]").isdigit())
