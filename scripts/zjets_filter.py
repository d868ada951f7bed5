"""What drops events of Z(mumu) + jets while Pythia 8 makes them, as soon as they can pass no selection."""

from __future__ import annotations

from typing import Any

import numpy as np
import pythia8mc
from zjets_settings import BIAS_POWER, BIAS_REFERENCE

from omnifold_pub.definitions.zjets import DRESSING

__all__ = ["Filter"]

_IN_DECAYS = 5
"""What Pythia calls a place in the shower of a resonance's decay."""


class Filter(pythia8mc.UserHooks):  # type: ignore[misc]
    """Gives up early on events that can pass no selection, and counts all of them.

    Three times: of the hard process; where the evolution of the shower has come down to `SCALE`, before the many soft
    interactions that take most of the time; and before hadronisation, where the muons are what they will be. The
    margins leave room for what the rest of the shower, photons and the detector can still do: of 2,000 events that are
    kept without it, it loses about one.
    """

    SCALE = 8.0

    def __init__(self, *, biased: bool, active: bool = True) -> None:
        super().__init__()
        self.biased = biased
        self.active = active
        self.generated = 0
        self.sum_of_weights = 0.0
        self.would_veto = False
        self.muons: list[Any] = []

    def canVetoProcessLevel(self) -> bool:  # noqa: N802 - Pythia's name
        """Ask to see hard processes."""
        return True

    def doVetoProcessLevel(self, process: Any) -> bool:  # noqa: N802
        """Count a hard process, and tell whether it is dropped."""
        self.generated += 1
        self.sum_of_weights += self._weight(process)
        self.muons = [process[i].p() for i in range(process.size()) if process[i].idAbs() == 13]
        self.would_veto = _hopeless(self.muons, pt=8.0, eta=3.0, pair=0.0)
        return self.active and self.would_veto

    def canVetoPT(self) -> bool:  # noqa: N802
        """Ask to see showers on their way."""
        return True

    def scaleVetoPT(self) -> float:  # noqa: N802
        """Return where on their way, in GeV."""
        return self.SCALE

    def doVetoPT(self, position: int, event: Any) -> bool:  # noqa: N802
        """Tell whether an event is dropped amid the shower."""
        if position == _IN_DECAYS:
            return False
        moved = next((event[i] for i in range(event.size() - 1, 0, -1) if event[i].id() == 23), None)
        if moved is None:
            return False
        boost = pythia8mc.RotBstMatrix()  # the muons go with their Z, which recoils against the shower
        boost.bst(self.muons[0] + self.muons[1], moved.p())
        muons = [pythia8mc.Vec4(muon) for muon in self.muons]
        for muon in muons:
            muon.rotbst(boost)
        hopeless = _hopeless(muons, pt=20.0, eta=2.6, pair=187.0)
        self.would_veto = self.would_veto or hopeless
        return self.active and hopeless

    def canVetoPartonLevel(self) -> bool:  # noqa: N802
        """Ask to see events before hadronisation."""
        return True

    def doVetoPartonLevel(self, event: Any) -> bool:  # noqa: N802
        """Tell whether an event is dropped before hadronisation."""
        muons, photons = [], []
        for i in range(event.size() - 1, 0, -1):  # the Z decays last: its muons and their photons stand at the end
            particle = event[i]
            if particle.id() == 23:
                break
            if particle.isFinal():
                kind = particle.idAbs()
                muons += [particle.p()] if kind == 13 else []
                photons += [particle.p()] if kind == 22 else []
        if len(muons) != 2:
            return False
        for photon in photons:
            nearest = min(muons, key=lambda muon: _distance(muon, photon))
            if _distance(nearest, photon) < DRESSING:
                nearest += photon
        hopeless = _hopeless(muons, pt=23.0, eta=2.505, pair=190.0, mass=(78.0, 107.0))
        self.would_veto = self.would_veto or hopeless
        return self.active and hopeless

    def _weight(self, process: Any) -> float:
        if not self.biased:
            return 1.0
        return float((BIAS_REFERENCE / process[5].pT()) ** BIAS_POWER)  # both of a two-to-two process have pTHat


def _hopeless(muons: list[Any], *, pt: float, eta: float, pair: float, mass: tuple[float, float] = (0, np.inf)) -> bool:
    """Tell whether two muons are too soft, too far forward, their pair too soft, or far from the mass of the Z."""
    first, second = muons
    if min(first.pT(), second.pT()) < pt or max(abs(first.eta()), abs(second.eta())) > eta:
        return True
    both = first + second
    return bool(both.pT() < pair or not mass[0] < both.mCalc() < mass[1])


def _distance(one: Any, other: Any) -> float:
    around = abs(one.phi() - other.phi())
    return float(np.hypot(one.eta() - other.eta(), min(around, 2 * np.pi - around)))
