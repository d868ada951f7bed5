"""Leptons from Les Houches event files."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from omnifold_pub.definitions.particles import Particles
from omnifold_pub.errors import InputError
from omnifold_pub.extras import require
from omnifold_pub.messages import shorten
from omnifold_pub.reinterpret.generated import EventFile, Piece

__all__ = ["lhe_file"]

PIECE = 5000
"""Events that are looked at together."""

NOMINAL = "nominal"
"""Name of the weight in an event's first line."""
_FINAL = 1


def lhe_file(path: Path) -> EventFile:
    """Return a Les Houches file (Alwall et al., Comput. Phys. Commun. 176 (2007) 300), plain or gzipped.

    Raises
    ------
    InputError
        If there is no such file; while it is read, if it is damaged or none.
    MissingExtraError
        If pylhe is not installed.
    """
    require("pylhe", extra="hepmc", purpose="Reading Les Houches files")
    if not path.is_file():
        msg = f"{path}: no such file"
        raise InputError(msg)
    return EventFile(path.name, lambda: _pieces(path), partons=True)


def _pieces(path: Path) -> Iterator[Piece]:
    import pylhe

    with _damage(path):
        file = pylhe.LHEFile.fromfile(path)
        sigma = float(sum(process.xSection for process in file.init.procInfo))
        events = iter(file.events)
    while True:
        with _damage(path):
            gathered = list(islice(events, PIECE))
        if not gathered:
            return
        yield _piece(gathered, sigma, path)


@contextlib.contextmanager
def _damage(path: Path) -> Iterator[None]:
    """Say that a file is damaged, whatever it makes of its reader, which ends with a mere warning where XML breaks."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        try:
            yield
        except Exception as error:
            reason = shorten(f"{type(error).__name__}: {error}", 160)
            msg = f"{path}: not a Les Houches file, or a damaged one ({reason})"
            raise InputError(msg) from error


def _piece(events: list[Any], sigma: float, path: Path) -> Piece:
    names = (NOMINAL, *events[0].weights)
    rows = []
    for event in events:
        if (NOMINAL, *event.weights) != names:
            msg = (
                f"{path}: expected the same weights in all events, {shorten(names)}; found {shorten([*event.weights])}"
            )
            raise InputError(msg)
        # Nothing has decayed yet but what the matrix element knows: all of it is prompt.
        rows.append([(p.id, p.px, p.py, p.pz, p.e, True) for p in event.particles if p.status == _FINAL])
    weights = np.array([[event.eventinfo.weight, *event.weights.values()] for event in events], dtype=np.float64)
    return Piece(Particles.of_events(rows), weights, names, sigma)
