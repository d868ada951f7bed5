"""Events of a generator, file by file: from particles to the columns of a theory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.definitions.definition import FiducialDefinition, find_definition
from omnifold_pub.definitions.particles import Particles
from omnifold_pub.errors import InputError
from omnifold_pub.inputs.sample import Columns
from omnifold_pub.messages import shorten, suggest
from omnifold_pub.observables.events import Events
from omnifold_pub.reinterpret.weight_families import Combination, Family, check_family, pick_members

__all__ = ["EventFile", "Piece", "read_events"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Piece:
    """Some events of a file.

    Attributes
    ----------
    particles : Particles
        Stable ones.
    weights : numpy.ndarray
        ``weight[event, name]``, all weights of the file.
    names : tuple of str
        Of the weights.
    cross_section : float or None
        In pb, of all events under the first weight, as far as this piece knows it.
    """

    particles: Particles
    weights: Array
    names: tuple[str, ...]
    cross_section: float | None


@dataclass(frozen=True)
class EventFile:
    """A file of generated events.

    Attributes
    ----------
    name : str
        Of the file.
    pieces : callable
        Returns an iterator over its events.
    partons : bool
        Whether the events have seen neither shower nor hadronisation.
    """

    name: str
    pieces: Callable[[], Iterator[Piece]]
    partons: bool = False


@dataclass
class _Sums:
    """What is collected on the way."""

    events: int = 0
    total: float = 0.0  # of the nominal weights
    first: float = 0.0  # of the first weights, which the file's cross section is of
    cross_section: float | None = None
    names: tuple[str, ...] = ()


def _columns_of(definition: FiducialDefinition, file: EventFile) -> tuple[str, ...]:
    if not file.partons:
        return definition.columns
    if not definition.parton_columns:
        msg = (
            f"{file.name}: these events have seen no shower, and all that definition {definition.name!r} computes "
            "needs hadrons; shower them first, and read the HepMC file"
        )
        raise InputError(msg)
    return definition.parton_columns


def _nominal(names: tuple[str, ...], weight: str | None, where: str) -> int:
    if weight is None:
        return 0
    if weight not in names:
        msg = f"{where}: no weight {shorten(weight)}; {suggest(weight, names)}"
        raise InputError(msg)
    return names.index(weight)


def _check(piece: Piece, sums: _Sums, where: str) -> None:
    if sums.names and piece.names != sums.names:
        msg = (
            f"{where}: event {sums.events} and later: expected the weights of the first events, {len(sums.names)}; "
            f"found {len(piece.names)}: {shorten(piece.names)}"
        )
        raise InputError(msg)
    bad = np.argwhere(~np.isfinite(piece.weights))
    if len(bad):
        event, number = bad[0]
        value = piece.weights[event, number]
        msg = (
            f"{where}: weight {piece.names[number]!r} of event {sums.events + event} is {value}; "
            "expected finite weights: remove such events or mend their weights"
        )
        raise InputError(msg)


def read_events(
    file: EventFile,
    definition: FiducialDefinition | str,
    name: str | None,
    weight: str | None,
    cross_section: float | None,
    families: Mapping[str, Combination],
) -> tuple[str, Events, Array, str | None, dict[str, Family]]:
    """Read a file and return what a `omnifold_pub.Theory` is made of: name, events, weights, unit, families.

    Parameters
    ----------
    file : EventFile
        Of HepMC or of Les Houches events.
    definition : FiducialDefinition or str
        Fiducial region and observables.
    name : str, optional
        By default the file's.
    weight : str, optional
        Nominal weight; by default the first.
    cross_section : float, optional
        Of all events, in pb; by default what the file states.
    families : mapping
        Which weights are variations.

    Raises
    ------
    InputError
        If there are no events, a weight is missing or not finite, the cross section is not above 0, or no event is in
        the fiducial region.
    """
    found = find_definition(definition) if isinstance(definition, str) else definition
    columns = _columns_of(found, file)
    where, sums = file.name, _Sums()
    kept: dict[str, list[Array]] = {column: [] for column in columns}
    weights: list[Array] = []
    members: dict[str, tuple[str, ...]] = {}
    nominal = 0
    for piece in file.pieces():
        _check(piece, sums, where)
        if not sums.names:
            sums.names = piece.names
            nominal = _nominal(piece.names, weight, where)
            members = {family: pick_members(one, piece.names, where) for family, one in families.items()}
        fiducial = found(piece.particles)
        for column in columns:
            kept[column].append(fiducial.columns[column][fiducial.passes])
        weights.append(piece.weights[fiducial.passes])
        sums.events += len(piece.weights)
        sums.total += float(piece.weights[:, nominal].sum())
        sums.first += float(piece.weights[:, 0].sum())
        sums.cross_section = piece.cross_section if piece.cross_section is not None else sums.cross_section
    inside = np.concatenate(weights) if weights else np.empty((0, 1))
    _check_overlap(found, sums, len(inside), where)
    factor, unit = _normalisation(sums, cross_section, where)
    every = inside * factor
    title = name or where
    picked = {}
    for family, names in members.items():
        chosen = every[:, [sums.names.index(member) for member in names]]
        picked[family] = Family(families[family], names, chosen)
        check_family(family, picked[family], every[:, nominal], title)
    if not every[:, nominal].sum() > 0:
        msg = f"{title}: the weights of the fiducial events sum to {every[:, nominal].sum():g}; expected more than 0"
        raise InputError(msg)
    table = Columns.from_arrays({column: np.concatenate(parts) for column, parts in kept.items()})
    events = Events(len(every), table.names, table.with_nan, where=title)
    return title, events, np.ascontiguousarray(every[:, nominal]), unit, picked


def _check_overlap(definition: FiducialDefinition, sums: _Sums, inside: int, where: str) -> None:
    if not sums.events:
        msg = f"{where}: there are no events; expected at least one"
        raise InputError(msg)
    if not inside:
        msg = (
            f"{where}: none of its {sums.events} events is in the fiducial region of definition {definition.name!r} "
            f"({definition.description}); is it the same process, in GeV, after the decays?"
        )
        raise InputError(msg)


def _normalisation(sums: _Sums, stated: float | None, where: str) -> tuple[float, str | None]:
    """Return what all weights are multiplied with, and their unit.

    The file states the cross section of its first weight, which all others are relative to.
    """
    for total in (sums.total, sums.first) if stated is None else (sums.total,):
        if not total > 0:
            msg = f"{where}: the weights of all {sums.events} events sum to {total:g}; expected more than 0"
            raise InputError(msg)
    sigma = sums.cross_section if stated is None else stated
    if sigma is None:
        return 1 / sums.total, None
    if not (np.isfinite(sigma) and sigma > 0):
        source = "the file states" if stated is None else "cross_section is"
        msg = f"{where}: {source} a cross section of {sigma:g} pb; expected more than 0: state the right one"
        raise InputError(msg)
    return sigma / (sums.first if stated is None else sums.total), "pb"
