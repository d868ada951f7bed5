"""Final-state particles of many events, as a generator leaves them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from omnifold_pub.errors import InputError
from omnifold_pub.messages import shorten

__all__ = ["Particles", "is_hadron", "three_charge"]

Column = NDArray[np.float64]
Mask = NDArray[np.bool_]

_QUARK_CHARGE = (0, -1, 2, -1, 2, -1, 2)
"""Three times the charge of d, u, s, c, b, t by their number."""
_OTHERS = {24: 3, 34: 3, 37: 3}
"""W, W' and the charged Higgs boson."""


@lru_cache(maxsize=4096)
def three_charge(pdg_id: int) -> int:
    """Return three times the electric charge of a particle.

    From the digits of the numbering scheme: Particle Data Group, Review of Particle Physics, chapter Monte Carlo
    particle numbering scheme. Nuclei are read from their proton number. 0 for what the scheme has no charge for.

    Parameters
    ----------
    pdg_id : int
        Number of the particle; negative for an antiparticle.

    Examples
    --------
    >>> [three_charge(number) for number in (211, -11, 2212, 22, 3112, -3334)]
    [3, 3, 3, 0, -3, 3]
    """
    size, sign = abs(pdg_id), 1 if pdg_id > 0 else -1
    if size < 100:
        if 1 <= size <= 6:
            return sign * _QUARK_CHARGE[size]
        if 11 <= size <= 18:
            return -3 * sign * (size % 2)
        return sign * _OTHERS.get(size, 0)
    if size > 1_000_000_000:
        return sign * 3 * (size // 10_000 % 1000)
    q1, q2, q3 = (size // place % 10 for place in (1000, 100, 10))
    if max(q1, q2, q3) > 6 or not is_hadron(pdg_id):
        return 0
    if q1:
        return sign * sum(_QUARK_CHARGE[q] for q in (q1, q2, q3))
    charge = _QUARK_CHARGE[q2] - _QUARK_CHARGE[q3]
    return sign * (-charge if q2 in (3, 5) else charge)  # of the heavier flavour: K+ is u sbar, D+ is c dbar


@lru_cache(maxsize=4096)
def is_hadron(pdg_id: int) -> bool:
    """Tell whether a particle is a meson or a baryon.

    From the digits of the numbering scheme (see `three_charge`): two or three quarks and a spin. Diquarks, strings
    and clusters of a generator are none.

    Examples
    --------
    >>> [is_hadron(number) for number in (111, 130, -5122, 2103, 92, 21, 1000010020)]
    [True, True, True, False, False, False, False]
    """
    size = abs(pdg_id)
    if size < 100 or size > 10_000_000:
        return False
    spin, q3, q2, q1 = (size // place % 10 for place in (1, 10, 100, 1000))
    if size in (130, 310):
        return True
    return bool(spin and q3 and q2) if not q1 or q3 else False


@dataclass(frozen=True, eq=False)
class Particles:
    """Stable particles of several events, one event after the other.

    Attributes
    ----------
    offsets : numpy.ndarray
        ``offsets[event + 1]``, int64: particles ``offsets[i]`` to ``offsets[i + 1]`` belong to event i.
    pdg_id : numpy.ndarray
        ``[particle]``, int64: number of the Particle Data Group.
    px, py, pz, energy : numpy.ndarray
        ``[particle]``, float64, in GeV.
    prompt : numpy.ndarray
        ``[particle]``, bool: neither a hadron nor a tau lepton has decayed to it, directly or by others.

    Raises
    ------
    InputError
        If the arrays do not fit to each other, or a momentum is not finite.

    Examples
    --------
    >>> event = Particles.of_events([[(13, 3.0, 4.0, 0.0, 5.0, True)], []])
    >>> len(event), event.pt.tolist(), event.event.tolist()
    (2, [5.0], [0])
    """

    offsets: NDArray[np.int64]
    pdg_id: NDArray[np.int64]
    px: Column
    py: Column
    pz: Column
    energy: Column
    prompt: Mask

    def __post_init__(self) -> None:
        momenta = (self.px, self.py, self.pz, self.energy)
        size = len(self.pdg_id)
        lengths = {len(array) for array in (*momenta, self.prompt)}
        offsets = self.offsets
        if (
            lengths != {size}
            or len(offsets) < 1
            or offsets[0] != 0
            or offsets[-1] != size
            or (np.diff(offsets) < 0).any()
        ):
            found = f"{size} numbers, arrays of {sorted(lengths)}, offsets {shorten(offsets)}"
            msg = f"particles: expected arrays of one length and rising offsets that end there; found {found}"
            raise InputError(msg)
        bad = np.flatnonzero(~np.all([np.isfinite(array) for array in momenta], axis=0))
        if len(bad):
            event = int(np.searchsorted(offsets, bad[0], side="right")) - 1
            msg = f"particles: {len(bad)} momenta are not finite, the first in event {event}; mend or drop these events"
            raise InputError(msg)

    @classmethod
    def of_events(cls, events: Iterable[Sequence[Sequence[Any]]]) -> Self:
        """Build from rows ``(pdg_id, px, py, pz, energy, prompt)``, a sequence of them for each event."""
        listed = [list(event) for event in events]
        rows = [row for event in listed for row in event]
        columns = list(zip(*rows, strict=True)) if rows else [()] * 6
        return cls.from_columns(np.cumsum([0, *map(len, listed)]), *columns)

    @classmethod
    def from_columns(
        cls,
        offsets: ArrayLike,
        pdg_id: ArrayLike,
        px: ArrayLike,
        py: ArrayLike,
        pz: ArrayLike,
        energy: ArrayLike,
        prompt: ArrayLike,
    ) -> Self:
        """Build from arrays of any number type."""
        return cls(
            offsets=np.asarray(offsets, dtype=np.int64),
            pdg_id=np.asarray(pdg_id, dtype=np.int64),
            px=np.asarray(px, dtype=np.float64),
            py=np.asarray(py, dtype=np.float64),
            pz=np.asarray(pz, dtype=np.float64),
            energy=np.asarray(energy, dtype=np.float64),
            prompt=np.asarray(prompt, dtype=bool),
        )

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self.offsets) - 1

    @property
    def event(self) -> NDArray[np.int64]:
        """Return ``event[particle]``: which event each belongs to."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    @property
    def charged(self) -> Mask:
        """Return ``[particle]``: whether it has an electric charge."""
        numbers, where = np.unique(self.pdg_id, return_inverse=True)
        charged: Mask = np.array([three_charge(int(number)) != 0 for number in numbers], dtype=bool)[where]
        return charged

    @property
    def pt(self) -> Column:
        """Return the transverse momentum, ``[particle]``, in GeV."""
        return np.hypot(self.px, self.py)

    @property
    def eta(self) -> Column:
        """Return the pseudorapidity, ``[particle]``; infinite along the beam."""
        pt = self.pt
        along = np.where(self.pz == 0, 0.0, np.copysign(np.inf, self.pz))
        return np.arcsinh(np.divide(self.pz, pt, out=along, where=pt > 0))

    @property
    def phi(self) -> Column:
        """Return the azimuth, ``[particle]``, in rad, from -pi to pi."""
        return np.arctan2(self.py, self.px)

    def select(self, chosen: Mask) -> Particles:
        """Return the chosen particles, ``chosen[particle]``, alone; all events stay."""
        kept = np.concatenate([[0], np.cumsum(chosen)])[self.offsets]
        return type(self)(
            offsets=kept,
            pdg_id=self.pdg_id[chosen],
            px=self.px[chosen],
            py=self.py[chosen],
            pz=self.pz[chosen],
            energy=self.energy[chosen],
            prompt=self.prompt[chosen],
        )
