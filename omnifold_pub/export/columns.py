"""Which column of an export holds which dataset of a release: one table of one row per event.

::

    event_id                        /event_id
    <observable>                    /events/<observable>
    weight_nominal                  /weights/nominal
    weight_prior                    /prior
    weight_<component>_<member>     /weights/<component>, one column for each member, counted from 0
    closure_<test>_target           /closure/<test>/target
    closure_<test>_unfolded         /closure/<test>/unfolded

A canvas is a table of its own with the first three and with its families.
Columns are never taken apart to learn what they are: writer and reader both build this plan from the metadata.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from omnifold_pub.errors import PublishError
from omnifold_pub.messages import shorten

__all__ = ["Columns", "canvas_names", "check_clashes", "network_names", "plan"]

_WEIGHT = np.dtype("float32")


@dataclass(frozen=True)
class Columns:
    """The columns that hold one dataset.

    Attributes
    ----------
    dataset : str
        Path in the release, such as ``weights/data_bootstrap``.
    names : tuple of str
        One column, or one for each member.
    dtype : numpy.dtype
        As the metadata declare it.
    family : bool
        Whether the dataset is ``[event, member]``; there are families of one member.
    """

    dataset: str
    names: tuple[str, ...]
    dtype: np.dtype[Any]
    family: bool = False


def canvas_names(metadata: Mapping[str, Any]) -> list[str]:
    """Return the names of the canvases.

    >>> canvas_names({"canvases": [{"name": "sherpa"}]}), canvas_names({})
    (['sherpa'], [])
    """
    return [canvas["name"] for canvas in metadata.get("canvases", [])]


def network_names(metadata: Mapping[str, Any]) -> list[str]:
    """Return the names of the networks, which no export holds.

    >>> network_names({"networks": [{"name": "ensemble_0000"}]})
    ['ensemble_0000']
    """
    return [network["name"] for network in metadata.get("networks", [])]


def _family(dataset: str, entry: Mapping[str, Any]) -> Columns:
    names = tuple(f"weight_{entry['name']}_{member}" for member in range(entry["members"]))
    return Columns(f"{dataset}/{entry['name']}", names, _WEIGHT, family=True)


def _closure(metadata: Mapping[str, Any]) -> list[Columns]:
    columns = []
    for test in metadata["closure"]["tests"]:
        there = {"target": "canvas" not in test, "unfolded": test["unfolded"] == "stored"}
        columns += [
            Columns(f"closure/{test['name']}/{what}", (f"closure_{test['name']}_{what}",), _WEIGHT)
            for what, stored in there.items()
            if stored
        ]
    return columns


def plan(metadata: Mapping[str, Any], canvas: str | None = None) -> tuple[Columns, ...]:
    """Return the columns of a release, or of one of its canvases, in their order.

    Parameters
    ----------
    metadata : mapping
        After ``schemas/1.1.0/release.schema.json``.
    canvas : str, optional
        Name of a canvas that the metadata declare.

    Examples
    --------
    >>> metadata = {
    ...     "observables": [{"name": "pT_ll", "dtype": "float32"}],
    ...     "weights": {"prior": False},
    ...     "components": [{"name": "mc_bootstrap", "members": 2}, {"name": "luminosity"}],
    ...     "closure": {"tests": []},
    ... }
    >>> [name for columns in plan(metadata) for name in columns.names]
    ['event_id', 'pT_ll', 'weight_nominal', 'weight_mc_bootstrap_0', 'weight_mc_bootstrap_1']
    """
    prefix = f"canvases/{canvas}/" if canvas is not None else ""
    columns = [Columns(f"{prefix}event_id", ("event_id",), np.dtype("int64"))]
    columns += [
        Columns(f"{prefix}events/{entry['name']}", (entry["name"],), np.dtype(entry["dtype"]))
        for entry in metadata["observables"]
    ]
    columns.append(Columns(f"{prefix}weights/nominal", ("weight_nominal",), _WEIGHT))
    if canvas is not None:
        entry = next(entry for entry in metadata["canvases"] if entry["name"] == canvas)
        return (*columns, *(_family(f"{prefix}weights", family) for family in entry["families"]))
    if metadata["weights"]["prior"]:
        columns.append(Columns("prior", ("weight_prior",), _WEIGHT))
    columns += [_family("weights", entry) for entry in metadata["components"] if "members" in entry]
    return (*columns, *_closure(metadata))


def check_clashes(columns: tuple[Columns, ...], where: str) -> None:
    """Make sure that no two datasets want the same column.

    Weights cannot clash with each other, whatever their components are called: the member is the last part of the
    name. An observable can be called like a weight.

    Raises
    ------
    PublishError
        Naming the column and its datasets.

    Examples
    --------
    >>> weight = Columns("weights/a", ("weight_a_0", "weight_a_1"), np.dtype("f4"), family=True)
    >>> check_clashes((weight, Columns("weights/a_1", ("weight_a_1_0",), np.dtype("f4"), family=True)), "x.parquet")
    >>> check_clashes((weight, Columns("events/weight_a_1", ("weight_a_1",), np.dtype("f4"))), "x.parquet")
    Traceback (most recent call last):
    ...
    omnifold_pub.errors.PublishError: x.parquet: not written: the column 'weight_a_1' would have to hold \
/weights/a and /events/weight_a_1; an export needs one name for each. Rename the observable in the release
    """
    [(name, times)] = Counter(name for entry in columns for name in entry.names).most_common(1)
    if times == 1:
        return
    wanted = " and ".join(f"/{entry.dataset}" for entry in columns if name in entry.names)
    msg = (
        f"{where}: not written: the column {shorten(name)} would have to hold {wanted}; "
        "an export needs one name for each. Rename the observable in the release"
    )
    raise PublishError(msg)
