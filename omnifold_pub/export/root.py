"""ROOT: a TTree ``events`` with one basket per branch and block, the metadata in a TObjString."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import InputError
from omnifold_pub.export.contents import Contents, damaged
from omnifold_pub.extras import require
from omnifold_pub.messages import suggest

__all__ = ["RootTable", "write"]

_TREE = "events"
_METADATA = "metadata"
_CANVAS = "canvas"
_EXTRA = "root"

_DAMAGED = "not a ROOT file, or a damaged one"


def write(path: Path, contents: Contents) -> None:
    """Write a file, emptied if it is there.

    Raises
    ------
    OSError
        If the disk does not take it.
    MissingExtraError
        If uproot is not installed.
    """
    require("uproot", extra=_EXTRA, purpose="Writing ROOT files")
    import uproot

    blocks = len(contents.edges) - 1
    # An open file, because uproot takes a colon in a name for the beginning of an object's path.
    with path.open("w+b") as raw, uproot.recreate(raw, compression=uproot.ZLIB(1)) as file:
        file[_METADATA] = contents.metadata
        if contents.canvas is not None:
            file[_CANVAS] = contents.canvas
        tree = file.mktree(_TREE, contents.dtypes, initial_basket_capacity=blocks)
        for _, block in contents.blocks():
            tree.extend(block)


class RootTable:
    """A ROOT file open for reading.

    Attributes
    ----------
    dtypes : dict
        Type of each branch.
    edges : list of int
        First row of each basket, and the number of rows.
    metadata, canvas : str or None
        The release's metadata, as JSON; the name of the canvas.

    Raises
    ------
    InputError
        If it is not a ROOT file with a TTree ``events`` of numbers, or a damaged one.
    MissingExtraError
        If uproot is not installed.
    """

    def __init__(self, path: Path) -> None:
        require("uproot", extra=_EXTRA, purpose="Reading ROOT files")
        import uproot

        self._path = path
        try:
            file = uproot.open(path)
            self._finalizer = weakref.finalize(self, file.close)
            self._read_header(file)
        except InputError:
            raise
        except Exception as error:  # whatever a damaged file makes of uproot
            raise damaged(self._path, _DAMAGED, error) from error

    def _read_header(self, file: Any) -> None:
        there = file.keys(cycle=False)
        if _TREE not in there:
            msg = f"{self._path}: no tree {_TREE!r}; {suggest(_TREE, there)}"
            raise InputError(msg)
        self._branches = {branch.name: branch for branch in file[_TREE].branches}
        self.dtypes = {name: _dtype(branch) for name, branch in self._branches.items()}
        self.edges = [int(edge) for edge in next(iter(self._branches.values())).entry_offsets]
        self.metadata = str(file[_METADATA]) if _METADATA in there else None
        self.canvas = str(file[_CANVAS]) if _CANVAS in there else None

    def block(self, index: int, names: Sequence[str]) -> list[NDArray[Any]]:
        """Return branches between two edges, ``[event]`` each.

        Raises
        ------
        InputError
            If they cannot be read.
        """
        start, stop = self.edges[index : index + 2]
        try:
            return [self._branches[name].array(entry_start=start, entry_stop=stop, library="np") for name in names]
        except Exception as error:  # whatever a damaged file makes of uproot
            raise damaged(self._path, _DAMAGED, error) from error


def _dtype(branch: Any) -> np.dtype[Any]:
    """Return the type of one number per event; of anything else, a type that no export has."""
    dtype = getattr(branch.interpretation, "to_dtype", np.dtype(object))
    return np.dtype(dtype).newbyteorder("=")
