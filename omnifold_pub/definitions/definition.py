"""What a fiducial definition is, and where those there are come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.definitions.particles import Particles
from omnifold_pub.errors import InputError
from omnifold_pub.messages import shorten, suggest

__all__ = ["FiducialColumns", "FiducialDefinition", "definition_of", "find_definition", "known_definitions"]

GROUP = "omnifold_pub.definitions"
"""Entry points of this group are the definitions that installed packages bring."""

_OURS: Mapping[str, str] = {"zjets": "omnifold_pub.definitions.zjets"}
"""Module of each of ours; its ``DEFINITION`` is the definition."""


@dataclass(frozen=True, eq=False)
class FiducialColumns:
    """What a definition makes of events.

    Attributes
    ----------
    passes : numpy.ndarray
        ``[event]``, bool: whether the event is in the fiducial region.
    columns : mapping
        ``columns[name][event]``, float64, of all events; NaN where one lacks the object or is outside.
    """

    passes: NDArray[np.bool_]
    columns: Mapping[str, NDArray[np.float64]]


class _Compute(Protocol):
    def __call__(self, particles: Particles, /) -> FiducialColumns: ...


@dataclass(frozen=True)
class FiducialDefinition:
    """A fiducial region and its observables, as one function of particles.

    The same object serves the simulation that a measurement is unfolded with and the theories that are compared
    with the result.

    Attributes
    ----------
    name : str
        What the metadata of a release call it.
    version : int
        Rises with every change of what it computes.
    description : str
        In words.
    columns : tuple of str
        Observables that it computes.
    compute : callable
        Takes `Particles`, returns `FiducialColumns`.
    parton_columns : tuple of str
        Those that leptons alone decide, so that events before parton shower and hadronisation give them too; the
        fiducial region must then be decided by leptons alone as well. Empty where there are none.

    Examples
    --------
    >>> def count(particles):
    ...     pairs = np.diff(particles.offsets).astype(float)
    ...     return FiducialColumns(pairs > 0, {"n": pairs})
    >>> counted = FiducialDefinition("counting", 1, "Number of particles", ("n",), count)
    >>> counted(Particles.of_events([[(22, 1.0, 0.0, 0.0, 1.0, True)], []])).passes.tolist()
    [True, False]
    """

    name: str
    version: int
    description: str
    columns: tuple[str, ...]
    compute: Callable[[Particles], FiducialColumns]
    parton_columns: tuple[str, ...] = ()

    def __call__(self, particles: Particles) -> FiducialColumns:
        """Compute the observables of some events.

        Raises
        ------
        InputError
            If the function returned something else than one value for each event and observable.
        """
        found = self.compute(particles)
        shapes = {name: np.shape(column) for name, column in found.columns.items()}
        expected = dict.fromkeys(self.columns, (len(particles),))
        if shapes != expected or np.shape(found.passes) != (len(particles),):
            wrong = {name: shape for name, shape in shapes.items() if expected.get(name) != shape}
            lacking = sorted(set(expected) - set(shapes))
            msg = (
                f"definition {self.name!r}: expected its {len(expected)} columns and passes of {len(particles)} events "
                f"each; found columns {shorten(wrong)} that do not fit, lacking {shorten(lacking)}, "
                f"passes of {np.shape(found.passes)}"
            )
            raise InputError(msg)
        return found


def _entries() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def known_definitions() -> tuple[str, ...]:
    """Return the names of all definitions that are installed, ours first.

    >>> known_definitions()[0]
    'zjets'
    """
    return tuple(dict.fromkeys([*_OURS, *_entries()]))


def find_definition(name: str, *, version: int | None = None) -> FiducialDefinition:
    """Return the definition of a name.

    Ours, or one that an installed package offers as an entry point of the group ``omnifold_pub.definitions``. A file
    can name a definition; it can never bring code.

    Parameters
    ----------
    name : str
        See `known_definitions`.
    version : int, optional
        The version that a release was made with.

    Raises
    ------
    InputError
        If none of that name is installed, or it is of another version.

    Examples
    --------
    >>> find_definition("zjets", version=1).columns[:2]
    ('pT_ll', 'y_ll')
    """
    found: Any
    if name in _OURS:
        found = import_module(_OURS[name]).DEFINITION
    else:
        entries = _entries()
        if name not in entries:
            msg = (
                f"no fiducial definition {shorten(name)}; {suggest(name, known_definitions())}. Install the package "
                f"that offers it (entry points of the group {GROUP})"
            )
            raise InputError(msg)
        found = entries[name].load()
    if not isinstance(found, FiducialDefinition):
        msg = f"fiducial definition {shorten(name)}: expected a FiducialDefinition; found {shorten(found)}"
        raise InputError(msg)
    if version is not None and found.version != version:
        msg = (
            f"fiducial definition {shorten(name)}: expected version {version}; found {found.version} installed; "
            "install the release of its package that has the other"
        )
        raise InputError(msg)
    return found


def definition_of(metadata: Mapping[str, Any]) -> FiducialDefinition:
    """Return the definition that the metadata of a release, or an analysis file, name.

    Parameters
    ----------
    metadata : mapping
        The document, such as `omnifold_pub.Release.metadata`.

    Raises
    ------
    InputError
        If they name none, or one that is not installed.

    Examples
    --------
    >>> definition_of({"fiducial": {"definition": {"name": "zjets", "version": 1}}}).name
    'zjets'
    """
    entry = metadata["fiducial"].get("definition")
    if entry is None:
        known = ", ".join(known_definitions())
        msg = f"the metadata name no fiducial definition (fiducial.definition); choose one yourself: {known}"
        raise InputError(msg)
    return find_definition(entry["name"], version=entry["version"])
