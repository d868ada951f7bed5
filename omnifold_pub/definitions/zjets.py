"""Z(mumu) + jets: two dressed muons, and jets of charged particles with their substructure.

The 24 observables of the ATLAS measurement, arXiv:2405.20041. Needs `fastjet` and `vector`.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.definitions.definition import FiducialColumns, FiducialDefinition
from omnifold_pub.definitions.particles import Particles
from omnifold_pub.definitions.track_jets import JETS, TrackJets, cluster
from omnifold_pub.extras import require

__all__ = ["DEFINITION", "OBSERVABLES", "dress_muons", "jet_columns", "muon_columns", "zjets"]

DRESSING = 0.1
"""Largest distance in (eta, phi) of a photon that is added to a muon."""
Z_MASS = 91.1876
"""GeV (Particle Data Group)."""
MUON_PT, MUON_ETA = 25.0, 2.5
DIMUON_MASS = (81.0, 101.0)
DIMUON_PT = 200.0
TRACK_PT, TRACK_ETA = 0.5, 2.5

MUON_OBSERVABLES = ("pT_ll", "y_ll", "pT_l1", "pT_l2", "eta_l1", "eta_l2", "phi_l1", "phi_l2")
JET_OBSERVABLES = ("pT", "y", "phi", "m", "tau1", "tau2", "tau3", "Ntracks")
OBSERVABLES = (*MUON_OBSERVABLES, *(f"{what}_trackj{jet}" for jet in (1, 2) for what in JET_OBSERVABLES))

Momenta = NDArray[np.float64]


def _distance(eta: Any, phi: Any, other_eta: Any, other_phi: Any) -> Any:
    apart = np.abs(phi - other_phi)
    return np.hypot(eta - other_eta, np.minimum(apart, 2 * np.pi - apart))


def dress_muons(particles: Particles) -> tuple[Momenta, NDArray[np.int64]]:
    """Find the two muons of the Z in each event, with the photons around them.

    Of the prompt muons of opposite charge the pair whose mass, dressed, is nearest the Z's. A prompt photon is added
    to the nearest prompt muon, if it is within 0.1 in (eta, phi).

    Parameters
    ----------
    particles : Particles
        Stable ones.

    Returns
    -------
    momenta : numpy.ndarray
        ``momenta[event, muon, component]``, (px, py, pz, E) in GeV, the muon of the larger transverse momentum first;
        NaN where there is no pair.
    found : numpy.ndarray
        ``found[event, muon]``: which particle each is, as numbered in ``particles``; -1 where there is no pair.
    """
    momenta = np.full((len(particles), 2, 4), np.nan)
    found = np.full((len(particles), 2), -1, dtype=np.int64)
    muons = np.flatnonzero((np.abs(particles.pdg_id) == 13) & particles.prompt)
    photons = np.flatnonzero((particles.pdg_id == 22) & particles.prompt)
    four = np.stack([particles.px, particles.py, particles.pz, particles.energy], axis=1)
    eta, phi = particles.eta, particles.phi
    ends = np.searchsorted(muons, particles.offsets), np.searchsorted(photons, particles.offsets)
    for event in range(len(particles)):
        here = muons[ends[0][event] : ends[0][event + 1]]
        near = photons[ends[1][event] : ends[1][event + 1]]
        if len(here) < 2:
            continue
        dressed = four[here].copy()
        if len(near):
            apart = _distance(eta[near, np.newaxis], phi[near, np.newaxis], eta[here], phi[here])
            nearest = apart.argmin(axis=1)
            close = apart[np.arange(len(near)), nearest] < DRESSING
            np.add.at(dressed, nearest[close], four[near[close]])
        charges = np.sign(particles.pdg_id[here])
        pairs = [pair for pair in itertools.combinations(range(len(here)), 2) if charges[list(pair)].sum() == 0]
        if not pairs:
            continue
        sums = np.array([dressed[list(pair)].sum(axis=0) for pair in pairs])
        mass = np.sqrt(np.maximum(sums[:, 3] ** 2 - (sums[:, :3] ** 2).sum(axis=1), 0))
        pair = list(pairs[int(np.abs(mass - Z_MASS).argmin())])
        pair.sort(key=lambda muon: -np.hypot(*dressed[muon, :2]))
        momenta[event], found[event] = dressed[pair], here[pair]
    return momenta, found


def muon_columns(momenta: Momenta) -> tuple[NDArray[np.bool_], dict[str, NDArray[np.float64]]]:
    """Compute what the muons decide: the fiducial region and their observables.

    Parameters
    ----------
    momenta : numpy.ndarray
        ``momenta[event, muon, component]``, (px, py, pz, E) in GeV; NaN where there is no pair.

    Returns
    -------
    passes : numpy.ndarray
        ``[event]``: pT > 25 GeV and abs(eta) < 2.5 of both, 81 < m < 101 GeV and pT > 200 GeV of the pair.
    columns : dict
        ``columns[name][event]``, in GeV and rad; NaN where there is no pair.

    Raises
    ------
    MissingExtraError
        If ``vector`` is not installed.
    """
    require("vector", extra="zjets", purpose="Computing the observables of Z + jets")
    import vector

    first, second = (_momentum(vector, momenta[:, muon]) for muon in (0, 1))
    pair = first + second
    with np.errstate(invalid="ignore"):  # NaN where there is no pair
        passes = (pair.pt > DIMUON_PT) & (pair.mass > DIMUON_MASS[0]) & (pair.mass < DIMUON_MASS[1])
        for muon in (first, second):
            passes &= (muon.pt > MUON_PT) & (np.abs(muon.eta) < MUON_ETA)
        columns = {"pT_ll": pair.pt, "y_ll": pair.rapidity}
        for what in ("pt", "eta", "phi"):
            for number, muon in ((1, first), (2, second)):
                columns[f"{'pT' if what == 'pt' else what}_l{number}"] = getattr(muon, what)
    return np.asarray(passes), {name: np.asarray(column, dtype=np.float64) for name, column in columns.items()}


def _momentum(vector: Any, four: Momenta) -> Any:
    return vector.array({name: four[:, i] for i, name in enumerate(("px", "py", "pz", "E"))})


def jet_columns(jets: TrackJets) -> dict[str, NDArray[np.float64]]:
    """Return the observables of jets by their names: ``columns[name][event]``, NaN for an absent jet."""
    found = {"pT": jets.pt, "y": jets.rapidity, "phi": jets.phi, "m": jets.mass, "Ntracks": jets.tracks}
    found |= {f"tau{axes}": jets.tau[:, :, axes - 1] for axes in (1, 2, 3)}
    return {f"{what}_trackj{jet + 1}": found[what][:, jet] for jet in range(JETS) for what in JET_OBSERVABLES}


def zjets(particles: Particles) -> FiducialColumns:
    """Compute the 24 observables of Z(mumu) + jets from stable particles.

    Jets: anti-kt R = 0.4 (Cacciari, Salam, Soyez, JHEP 04 (2008) 063) of the charged particles of pT > 0.5 GeV and
    abs(eta) < 2.5 without the two muons, of pT > 10 GeV, the two of largest pT. N-subjettiness (Thaler, Van Tilburg,
    JHEP 03 (2011) 015) with beta = 1 and axes of the exclusive kt algorithm.

    Parameters
    ----------
    particles : Particles
        Stable (c tau > 10 mm) ones of each event.

    Returns
    -------
    FiducialColumns
        See `OBSERVABLES`; NaN for the columns of an absent jet, and all columns of an event outside.

    Raises
    ------
    MissingExtraError
        If ``fastjet`` or ``vector`` is not installed.

    Examples
    --------
    >>> back = [(13, 130.0, 45.0, 0.0, 137.568165, True), (-13, 130.0, -45.0, 0.0, 137.568165, True)]
    >>> recoil = [(211, -250.0, 0.0, 10.0, 250.2, False), (-211, -9.0, 0.5, 0.5, 9.03, False)]
    >>> found = zjets(Particles.of_events([back + recoil]))
    >>> bool(found.passes[0]), float(found.columns["pT_ll"][0]), float(found.columns["Ntracks_trackj1"][0])
    (True, 260.0, 2.0)
    """
    momenta, muons = dress_muons(particles)
    passes, columns = muon_columns(momenta)
    tracks = particles.charged & (particles.pt > TRACK_PT) & (np.abs(particles.eta) < TRACK_ETA)
    tracks[muons[muons >= 0]] = False
    tracks &= passes[particles.event]  # no jets where nobody asks for them
    columns |= jet_columns(cluster(particles.select(tracks)))
    return FiducialColumns(passes, {name: np.where(passes, columns[name], np.nan) for name in OBSERVABLES})


DEFINITION = FiducialDefinition(
    name="zjets",
    version=1,
    description=(
        "Two prompt muons dressed with prompt photons within 0.1, pT > 25 GeV, abs(eta) < 2.5, 81 < m < 101 GeV, "
        "pT(mumu) > 200 GeV; anti-kt R = 0.4 jets of charged particles of pT > 0.5 GeV, abs(eta) < 2.5, jet pT > 10 GeV"
    ),
    columns=OBSERVABLES,
    compute=zjets,
    parton_columns=MUON_OBSERVABLES,
)
