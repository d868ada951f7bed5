"""Histograms from YODA files."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import InputError
from omnifold_pub.extras import require
from omnifold_pub.messages import shorten, suggest
from omnifold_pub.reinterpret.spectrum import Spectrum

__all__ = ["read_yoda"]

Array = NDArray[np.float64]

UNCORRELATED = ("stat", "uncor")
"""Error labels that start so, and an empty one, differ from bin to bin, as Contur has it."""


def read_yoda(path: Path, observables: Mapping[str, str]) -> dict[str, Spectrum]:
    """Read objects of a YODA file, each with the same object under other weights.

    A histogram's contents are its sums of weights, with sum w**2 as variance. An estimate is a density, so that its
    values are multiplied by the widths of the bins, along both axes where there are two; errors whose labels start with
    ``stat`` or ``uncor``, or are empty, count bin by bin, each other one as fully correlated between the bins,
    (up - down) / 2, signed.

    Parameters
    ----------
    path : pathlib.Path
        Plain or gzipped.
    observables : mapping
        ``observables[name]``: path of the object in the file.

    Returns
    -------
    dict
        ``spectra[name]``; the members of each are called as the weights.

    Raises
    ------
    InputError
        If the file is missing or damaged, or has no such object with bins.
    MissingExtraError
        If babyyoda is not installed.
    """
    require("babyyoda", extra="yoda", purpose="Reading YODA files")
    from babyyoda import grogu

    if not path.is_file():
        msg = f"{path}: no such file"
        raise InputError(msg)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # of lines that are skipped
        warnings.filterwarnings("ignore", "Unknown histogram type", UserWarning)  # of others' objects
        try:
            objects = grogu.read(str(path))
        except Exception as error:  # whatever a damaged file makes of its reader
            reason = shorten(f"{type(error).__name__}: {error}", 160)
            msg = f"{path}: not a YODA file, or a damaged one ({reason})"
            raise InputError(msg) from error
    spectra = {}
    for name, key in observables.items():
        if key not in objects:
            nominal = [there for there in objects if not there.endswith("]")]
            msg = f"{path}: no object {shorten(key)} of a kind with bins; {suggest(key, nominal)}"
            raise InputError(msg)
        edges, contents, covariance = _numbers(objects[key], f"{path}: {key}")
        members = {}
        for other, found in objects.items():
            if other.startswith(f"{key}[") and other.endswith("]"):
                members[other[len(key) + 1 : -1]] = _numbers(found, f"{path}: {other}")[1]
        spectra[name] = Spectrum(edges, contents, covariance, members)
    return spectra


def _numbers(found: Any, where: str) -> tuple[tuple[Array, ...], Array, Array]:
    """Return edges, contents and covariance of an object, without its flow bins."""
    kind = type(found).__name__
    known = [name for name in ("HISTO1D", "HISTO2D", "ESTIMATE1D", "ESTIMATE2D") if name in kind]
    if not known:
        msg = f"{where}: expected a Histo1D, a Histo2D, an Estimate1D or an Estimate2D; found {kind}"
        raise InputError(msg)
    edges: tuple[Array, ...] = (np.array(sorted(found.xEdges()), dtype=np.float64),)  # of version 2 unsorted
    bins = np.array(found.bins(), dtype=object)
    if known[0].endswith("2D"):
        edges = (np.array(found.xEdges(), dtype=np.float64), np.array(found.yEdges(), dtype=np.float64))
        # It runs over x fastest, we over the last axis.
        bins = bins.reshape(len(edges[1]) - 1, len(edges[0]) - 1).T.ravel()
    if known[0].startswith("ESTIMATE"):
        return edges, *_estimate(bins, found.error_labels(), edges)
    contents = np.array([one.sumW() for one in bins], dtype=np.float64)
    variances = np.array([one.sumW2() for one in bins], dtype=np.float64)
    return edges, contents, np.diag(variances)


def _estimate(bins: Array, labels: Sequence[str], edges: Sequence[Array]) -> tuple[Array, Array]:
    """Return contents and covariance of the densities in some bins."""
    volumes = functools.reduce(np.multiply.outer, [np.diff(axis) for axis in edges]).ravel()
    contents = np.array([one.val() for one in bins], dtype=np.float64) * volumes
    covariance = np.zeros((len(bins), len(bins)))
    for number, label in enumerate(labels):
        pairs = [(one.errors_dn()[number], one.errors_up()[number]) for one in bins]
        down, up = np.nan_to_num(np.array(pairs, dtype=np.float64)).T
        shift = (up - down) / 2 * volumes
        block = np.outer(shift, shift)
        covariance += np.diag(np.diag(block)) if not label or label.startswith(UNCORRELATED) else block
    return contents, covariance
