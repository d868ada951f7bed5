"""A measurement as a data set of SMEFiT, the program for global fits of effective field theories."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.atomic import replacing
from omnifold_pub.errors import ObservableError, PublishError
from omnifold_pub.exchange.breakdown import ErrorSource, error_sources
from omnifold_pub.extras import require
from omnifold_pub.presentation.measured import Measured

__all__ = ["smefit_document", "write_smefit"]

Matrix = NDArray[np.float64]

_DIAGONAL = 1e-12
_NOTHING = 1e-12


def smefit_document(
    measured: Measured, name: str, *, prefix: str = "", metadata: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return a measurement in SMEFiT's ``commondata`` format.

    SMEFiT's covariance is ``diag(statistical_error^2) + sum over systematics of s s^T``, in which ``UNCORR`` stands on
    the diagonal alone, ``CORR`` within the data set, and any other name for one parameter of all data sets that have
    it. So sources with a sign keep their names: two measurements of one release that are exported apart are correlated
    in them. What replicas estimate is a matrix: where it is diagonal it is the statistical error, otherwise its
    eigenvectors are ``CORR`` systematics, and the statistical error is zero. The sum is the total covariance.

    ``scale`` components (the luminosity) are ``MULT``, the rest ``ADD``; all are absolute, in the unit of the data.

    Parameters
    ----------
    measured : Measured
        Bins, numbered through.
    name : str
        Of the data set; the theory's file has the same.
    prefix : str
        Before the names of sources, so that those of other experiments that have the same name stay apart.
    metadata : mapping, optional
        Of the release: description, luminosity and DOI are taken from it.

    Returns
    -------
    dict
        To be written as YAML. SMEFiT wants a number for a list of one.

    Raises
    ------
    ObservableError
        If the values differ in their units, or a bin is zero, which SMEFiT divides by.

    References
    ----------
    T. Giani, G. Magni, J. Rojo, SMEFiT: a flexible toolbox for global interpretations of particle physics data with
    effective field theories, arXiv:2302.06660.
    """
    _check(measured, name)
    size = len(measured.nominal)
    sources = error_sources(measured)
    named = [source for source in sources if source.correlation == "full"]
    uncorrelated = [source for source in sources if source.correlation == "none"]
    estimated = [r.covariance for r in measured.results if r.component.is_replicated]
    statistical, rows = _statistical(sum(estimated, np.zeros((size, size))))
    systematics = [source.shift for source in (*named, *uncorrelated)] + list(rows)
    names = [prefix + source.name for source in named] + ["UNCORR"] * len(uncorrelated) + ["CORR"] * len(rows)
    kinds = [_kind(source) for source in (*named, *uncorrelated)] + ["ADD"] * len(rows)
    known = metadata or {}
    return {
        "dataset_name": name,
        **({"description": known["title"]} if "title" in known else {}),
        **({"doi": known["doi"]} if "doi" in known else {}),
        **({"luminosity": _inverse_femtobarn(known["luminosity"])} if "luminosity" in known else {}),
        "units": measured.units[0],
        "num_data": size,
        "num_sys": len(systematics),
        "data_central": _one_or_all(measured.nominal.tolist()),
        "statistical_error": _one_or_all(statistical.tolist()),
        "systematics": [row.tolist() for row in systematics],
        "sys_names": _one_or_all(names),
        "sys_type": kinds,
    }


def _check(measured: Measured, name: str) -> None:
    if len(set(measured.units)) != 1 or not measured.units[0]:
        msg = f"{name}: expected one unit of all values; found {', '.join(measured.units)}; export them one by one"
        raise ObservableError(msg)
    empty = np.flatnonzero(measured.nominal == 0)
    if len(empty):
        msg = f"{name}: expected values that SMEFiT can divide by; bin {empty[0]} is zero; leave it out"
        raise ObservableError(msg)


def _kind(source: ErrorSource) -> str:
    return "MULT" if source.component.kind == "scale" else "ADD"


def _statistical(covariance: Matrix) -> tuple[Matrix, Matrix]:
    """Return statistical errors ``[bin]`` and correlated ones ``[direction, bin]``."""
    errors: Matrix = np.sqrt(np.diag(covariance))
    apart = np.abs(covariance - np.diag(np.diag(covariance)))
    if (apart <= _DIAGONAL * np.outer(errors, errors)).all():
        return errors, np.empty((0, len(errors)))
    scale = np.where(errors > 0, errors, 1.0)
    strengths, vectors = np.linalg.eigh(covariance / np.outer(scale, scale))
    kept = strengths > _NOTHING * strengths[-1]
    rows = (vectors[:, kept] * np.sqrt(strengths[kept])).T * scale
    return np.zeros_like(errors), rows[::-1]


def _one_or_all(found: list[Any]) -> Any:
    return found[0] if len(found) == 1 else found


def _inverse_femtobarn(luminosity: Mapping[str, Any]) -> float:
    return float(luminosity["value"]) * {"fb-1": 1.0, "pb-1": 1e-3}[luminosity["unit"]]


def write_smefit(
    measured: Measured,
    path: str | Path,
    *,
    name: str = "",
    prefix: str = "",
    metadata: Mapping[str, Any] | None = None,
) -> Path:
    """Write a data set of SMEFiT, see `smefit_document`; the file whole or not at all.

    Parameters
    ----------
    measured : Measured
        Bins, numbered through.
    path : str or path-like
        The file; SMEFiT looks for ``commondata/<name>.yaml``.
    name : str, optional
        By default that of the file.
    prefix, metadata
        As for `smefit_document`.

    Raises
    ------
    ObservableError
        If SMEFiT cannot take the measurement.
    PublishError
        If the file cannot be written.
    MissingExtraError
        If PyYAML is not installed.
    """
    require("yaml", extra="yaml", purpose="Writing a data set of SMEFiT")
    import yaml

    path = Path(path)
    document = smefit_document(measured, name or path.stem, prefix=prefix, metadata=metadata)
    text = yaml.safe_dump(document, sort_keys=False)
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(text.encode())
    except OSError as error:
        msg = f"{path}: not written: {error.strerror or error}; nothing is left of it; choose another place"
        raise PublishError(msg) from error
    return path
