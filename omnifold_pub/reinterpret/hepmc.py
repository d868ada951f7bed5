"""Particles from HepMC files, streamed."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import zlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.definitions.particles import Particles, is_hadron
from omnifold_pub.errors import InputError
from omnifold_pub.extras import require
from omnifold_pub.messages import shorten
from omnifold_pub.reinterpret.generated import EventFile, Piece

__all__ = ["hepmc_file"]

PIECE = 1000
"""Events that are looked at together."""

_FINAL, _DECAYED = 1, 2
_TAU = 15

_TAIL = 256
_START, _END = b"START_EVENT_LISTING", b"END_EVENT_LISTING"
_FORMATS = {"HepMC3": b"HepMC::Asciiv3", "HepMC2": b"HepMC::IO_GenEvent"}


@lru_cache(maxsize=4096)
def _makes_others_secondary(pdg_id: int) -> bool:
    return abs(pdg_id) == _TAU or is_hadron(pdg_id)


def hepmc_file(path: Path) -> EventFile:
    """Return a HepMC file, plain or compressed, of the versions 2 and 3.

    Raises
    ------
    InputError
        If there is no such file; while it is read, if it is damaged or not HepMC.
    MissingExtraError
        If pyhepmc is not installed.
    """
    require("pyhepmc", extra="hepmc", purpose="Reading HepMC files")
    if not path.is_file():
        msg = f"{path}: no such file"
        raise InputError(msg)
    return EventFile(path.name, lambda: _pieces(path))


class _Listing:
    """A file that is read once, and looked at on the way: readers of HepMC end without a word where a file is cut."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._last = b""
        self.starts = 0

    def read(self, size: int = -1) -> bytes:
        """Read on."""
        found = self._file.read(size)
        self._look(found)
        return found

    def readinto(self, buffer: memoryview) -> int:
        """Read on, into a buffer."""
        found = self.read(len(buffer))
        buffer[: len(found)] = found
        return len(found)

    def write(self, data: bytes) -> int:
        """Refuse to: that there is such a method tells pyhepmc that this is a file."""
        msg = f"expected to read alone; asked to write {len(data)} bytes"
        raise OSError(msg)

    def _look(self, found: bytes) -> None:
        seen = self._last + found
        self.starts += seen.count(_START) - self._last.count(_START)
        self._last = seen[-_TAIL:]

    def is_whole(self) -> bool:
        """Tell, at the end, whether the file is one listing from its start to its end."""
        while self.read(1 << 20):
            pass
        return self.starts == 1 and self._last.rstrip().endswith(_END)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[_Listing, str]]:
    """Open a file, whatever compressed it, and say of which format it is."""
    openers = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
    with path.open("rb") as start:
        magic = start.read(6)
    opener: Any = next((one for sign, one in openers.items() if magic.startswith(sign)), open)
    with opener(path, "rb") as file:
        header = file.read(_TAIL)
        forms = [form for form, sign in _FORMATS.items() if sign in header]
        if not forms:
            msg = f"{path}: expected a listing of HepMC events; found a file that starts with {shorten(header[:40])}"
            raise InputError(msg)
        file.seek(0)
        yield _Listing(file), forms[0]


def _pieces(path: Path) -> Iterator[Piece]:
    import pyhepmc

    gathered: list[_Event] = []
    with _damage(path), _opened(path) as (listing, form), pyhepmc.open(listing, format=form) as file:
        for event in file:
            gathered.append(_Event(event, path))
            if len(gathered) == PIECE:
                yield _piece(gathered)
                gathered = []
        if not listing.is_whole():
            msg = f"{path}: not one whole listing of events: it is cut, or several files stand in one; mend or split it"
            raise InputError(msg)
    if gathered:
        yield _piece(gathered)


@contextlib.contextmanager
def _damage(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, RuntimeError, ValueError, lzma.LZMAError, zlib.error) as error:
        reason = shorten(f"{type(error).__name__}: {error}", 160)
        msg = f"{path}: not a HepMC file, or a damaged one ({reason})"
        raise InputError(msg) from error


class _Event:
    """What is kept of an event."""

    def __init__(self, event: Any, path: Path) -> None:
        import pyhepmc

        event.set_units(pyhepmc.Units.GEV, pyhepmc.Units.MM)
        data = pyhepmc.GenEventData()
        event.write_data(data)
        particles = np.asarray(data.particles)
        final = particles["status"] == _FINAL
        self.particles = particles[final]
        self.prompt = _prompt(particles, np.asarray(data.links1), np.asarray(data.links2))[final]
        self.weights = np.array(data.weights if len(data.weights) else [1.0], dtype=np.float64)
        self.names = _weight_names(event, len(self.weights), path)
        section = event.cross_section
        self.cross_section = None if section is None else float(section.xsec())


def _weight_names(event: Any, size: int, path: Path) -> tuple[str, ...]:
    names = tuple(event.run_info.weight_names) if event.run_info is not None else ()
    if not names:
        return tuple(str(number) for number in range(size))
    if len(names) != size:
        msg = f"{path}: event {event.event_number}: expected a weight for each of {len(names)} names; found {size}"
        raise InputError(msg)
    return names


def _prompt(particles: NDArray[Any], sources: NDArray[Any], targets: NDArray[Any]) -> NDArray[np.bool_]:
    """Return ``[particle]``: whether neither a hadron nor a tau lepton has decayed to it.

    HepMC numbers particles from 1 upward and vertices from -1 downward; ``sources[i] -> targets[i]`` leads from a
    particle to the vertex that it ends in, or from a vertex to a particle that starts there.
    """
    ends = sources > 0
    into, vertex = sources[ends] - 1, -targets[ends]
    start = np.zeros(len(particles), dtype=np.int64)  # vertex where a particle starts; 0: none
    start[targets[~ends] - 1] = -sources[~ends]
    parents = particles[into]
    decayed = parents["status"] == _DECAYED
    decayed &= np.array([_makes_others_secondary(int(number)) for number in parents["pid"]], dtype=bool)
    secondary = np.zeros(max(int(vertex.max(initial=0)), int(start.max(initial=0))) + 1, dtype=bool)
    secondary[vertex[decayed]] = True
    count = -1
    while count != (count := int(secondary.sum())):  # one generation of decays after the other
        secondary[vertex[secondary[start[into]]]] = True
    return np.asarray(~secondary[start])


def _piece(events: list[_Event]) -> Piece:
    names = events[0].names
    for number, event in enumerate(events):
        if event.names != names:
            msg = f"event {number} of a piece: expected the weights {shorten(names)}; found {shorten(event.names)}"
            raise InputError(msg)
    every = np.concatenate([event.particles for event in events])
    offsets = np.cumsum([0, *(len(event.particles) for event in events)])
    particles = Particles.from_columns(
        offsets,
        every["pid"],
        every["px"],
        every["py"],
        every["pz"],
        every["e"],
        np.concatenate([event.prompt for event in events]),
    )
    stated = [event.cross_section for event in events if event.cross_section is not None]
    return Piece(particles, np.stack([event.weights for event in events]), names, stated[-1] if stated else None)
