"""Histograms from ROOT files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from omnifold_pub.errors import InputError
from omnifold_pub.inputs.root import opened
from omnifold_pub.messages import shorten, suggest
from omnifold_pub.reinterpret.spectrum import Spectrum, contents_of

__all__ = ["read_root_histograms"]

_HISTOGRAM = re.compile("TH[12][CSIFDL]")


def read_root_histograms(path: Path, observables: Mapping[str, str], *, density: bool) -> dict[str, Spectrum]:
    """Read histograms of a ROOT file, each with those of the same name under other weights.

    Parameters
    ----------
    path : pathlib.Path
        ROOT file.
    observables : mapping
        ``observables[name]``: path of a TH1 or a TH2 in the file; ``PATH[weight]`` beside it is the same under a
        weight.
    density : bool
        Whether the contents are divided by the widths of the bins.

    Returns
    -------
    dict
        ``spectra[name]``; the members of each are called as the weights.

    Raises
    ------
    InputError
        If the file is missing or damaged, or has no such histogram.
    MissingExtraError
        If uproot is not installed.
    """
    with opened(path) as file:
        return {name: _spectrum(file, path, key, density=density) for name, key in observables.items()}


def _spectrum(file: Any, path: Path, key: str, *, density: bool) -> Spectrum:
    classes: dict[str, str] = {name.partition(";")[0]: kind for name, kind in file.classnames().items()}
    there = [name for name, kind in classes.items() if _HISTOGRAM.fullmatch(kind)]
    if key not in there:
        found = f" (it is a {classes[key]})" if key in classes else ""
        msg = f"{path}: no histogram (TH1, TH2) {shorten(key)}{found}; {suggest(key, there)}"
        raise InputError(msg)
    contents, variances, edges = contents_of(file[key], density=density, where=f"{path}: {key}")
    members = {
        other[len(key) + 1 : -1]: contents_of(file[other], density=density, where=f"{path}: {other}")[0]
        for other in there
        if other.startswith(f"{key}[") and other.endswith("]")
    }
    return Spectrum(edges, contents, np.diag(variances), members)
