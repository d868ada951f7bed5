"""Read flat columns from a ROOT file (TTree or RNTuple) through uproot."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import InputError
from omnifold_pub.extras import require
from omnifold_pub.messages import shorten, suggest

__all__ = ["opened", "read_columns"]


def _read(file: Any, path: Path, tree: str, branches: Sequence[str]) -> dict[str, NDArray[Any]]:
    names = file.keys(cycle=False)
    if tree not in names:
        msg = f"{path}: no tree {shorten(tree)}; {suggest(tree, names)}"
        raise InputError(msg)
    events = file[tree]
    if not hasattr(events, "num_entries"):
        msg = f"{path}: {tree!r} is a {file.classname_of(tree)}; expected a TTree or an RNTuple"
        raise InputError(msg)
    there = list(events.keys())
    missing = sorted(set(branches) - set(there))
    if missing:
        hints = "; ".join(f"{shorten(name)}: {suggest(name, there)}" for name in missing[:5])
        msg = f"{path}: tree {tree!r} lacks {len(missing)} of the {len(branches)} branches asked for. {hints}"
        raise InputError(msg)
    if events.num_entries == 0:
        msg = f"{path}: tree {tree!r} is empty; expected at least one event"
        raise InputError(msg)
    columns: dict[str, NDArray[Any]] = events.arrays(branches, library="np")
    return columns


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open a ROOT file; whatever a damaged one makes of uproot, while it is read, is an `InputError`.

    Parameters
    ----------
    path : pathlib.Path
        ROOT file.

    Yields
    ------
    uproot.ReadOnlyDirectory
        The file.

    Raises
    ------
    InputError
        If the file is missing or damaged.
    MissingExtraError
        If uproot is not installed.
    """
    require("uproot", extra="root", purpose="Reading ROOT files")
    import uproot

    if not path.is_file():
        msg = f"{path}: no such file"
        raise InputError(msg)
    try:
        with uproot.open(path) as file:
            yield file
    except InputError:
        raise
    except Exception as error:  # whatever a damaged file makes of uproot
        reason = shorten(f"{type(error).__name__}: {error}", 160)
        msg = f"{path}: not a ROOT file, or a damaged one ({reason})"
        raise InputError(msg) from error


def read_columns(path: Path, tree: str, branches: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Read branches of one number per event.

    Parameters
    ----------
    path : pathlib.Path
        ROOT file.
    tree : str
        TTree or RNTuple in it.
    branches : sequence of str
        Each is read once, in any order.

    Returns
    -------
    dict
        ``columns[branch][event]``, with the types of the file.

    Raises
    ------
    InputError
        If the file, the tree or a branch is missing or unreadable, a branch has not one number per event,
        or there are no events.
    MissingExtraError
        If uproot is not installed.
    """
    with opened(path) as file:
        columns = _read(file, path, tree, sorted(set(branches)))
    for name, column in columns.items():
        if column.ndim != 1 or np.asarray(column).dtype.kind not in "biuf":
            msg = f"{path}: branch {name!r}: expected one number per event; found {column.dtype} {list(column.shape)}"
            raise InputError(msg)
    return columns
