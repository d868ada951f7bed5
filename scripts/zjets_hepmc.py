"""Write what the observables of Z(mumu) + jets need of generated events as HepMC3."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyhepmc
from numpy.typing import NDArray

from omnifold_pub.definitions.particles import Particles
from omnifold_pub.definitions.zjets import dress_muons

__all__ = ["write_hepmc"]

BEAM = 6500.0
TRACK_PT, TRACK_ETA = 0.4, 2.6
"""A little more than the definition takes, so that its own cuts have something to do."""
NEAR = 0.15
"""Photons of hadron decays are written up to this distance from a muon: they must not be added to it."""
_PION = 111


def write_hepmc(
    path: Path,
    batches: Iterable[tuple[Particles, NDArray[np.float64], NDArray[np.bool_]]],
    *,
    sigma: float,
) -> None:
    """Write the events that pass, one vertex for all that is prompt or a hadron, another for photons of decays.

    Parameters
    ----------
    path : pathlib.Path
        ``.hepmc``, or ``.hepmc.gz`` for a compressed file.
    batches : iterable
        (particles, ``weight[event]``, ``passes[event]``).
    sigma : float
        The cross section of the events that are written, in pb.
    """
    run = pyhepmc.GenRunInfo()
    run.weight_names = ["nominal"]
    run.tools = [("Pythia", "8.317", "Z(mumu) + jets, only what scripts/zjets_hepmc.py keeps of each event")]
    number = 0
    with pyhepmc.open(path, "w") as file:
        for particles, weights, passes in batches:
            for index, kept in _slim_rows(particles, passes):
                event = _event(particles, kept, run, number)
                event.weights = [weights[index]]
                section = pyhepmc.GenCrossSection()
                event.cross_section = section
                section.set_cross_section(sigma, 0.0)
                file.write(event)
                number += 1


def _slim_rows(particles: Particles, passes: NDArray[np.bool_]) -> Iterable[tuple[int, NDArray[np.int64]]]:
    """Yield each event that passes, with the numbers of the particles that are kept of it."""
    _, muons = dress_muons(particles)
    eta, phi = particles.eta, particles.phi
    tracks = particles.charged & (particles.pt > TRACK_PT) & (np.abs(eta) < TRACK_ETA)
    photons = particles.pdg_id == 22
    for event in np.flatnonzero(passes):
        here = slice(int(particles.offsets[event]), int(particles.offsets[event + 1]))
        apart = np.full(here.stop - here.start, np.inf)
        for muon in muons[event]:
            turn = np.abs(phi[here] - phi[muon])
            apart = np.minimum(apart, np.hypot(eta[here] - eta[muon], np.minimum(turn, 2 * np.pi - turn)))
        kept = tracks[here] | (photons[here] & (particles.prompt[here] | (apart < NEAR)))
        kept |= (np.abs(particles.pdg_id[here]) == 13) & particles.prompt[here]
        yield int(event), here.start + np.flatnonzero(kept)


def _event(particles: Particles, kept: NDArray[np.int64], run: Any, number: int) -> Any:
    event = pyhepmc.GenEvent(pyhepmc.Units.GEV, pyhepmc.Units.MM)
    event.run_info = run
    event.event_number = number
    first = pyhepmc.GenVertex()
    for side in (1, -1):
        first.add_particle_in(pyhepmc.GenParticle((0, 0, side * BEAM, BEAM), 2212, 4))
    event.add_vertex(first)
    momenta = np.stack([particles.px, particles.py, particles.pz, particles.energy], axis=1)
    # Of the others only photons and muons tell whether they come of a decay: no one asks hadrons.
    decayed = [i for i in kept if particles.pdg_id[i] in (22, 13, -13) and not particles.prompt[i]]
    for i in kept:
        if i not in decayed:
            first.add_particle_out(pyhepmc.GenParticle(tuple(momenta[i]), int(particles.pdg_id[i]), 1))
    if decayed:
        parent = pyhepmc.GenParticle(tuple(momenta[decayed].sum(axis=0)), _PION, 2)
        first.add_particle_out(parent)
        second = pyhepmc.GenVertex()
        second.add_particle_in(parent)
        for i in decayed:
            second.add_particle_out(pyhepmc.GenParticle(tuple(momenta[i]), int(particles.pdg_id[i]), 1))
        event.add_vertex(second)
    return event
