"""A parametric detector for Z(mumu) + jets: muons and tracks that are lost, smeared and invented.

Efficiencies and resolutions are round numbers of the size that the detectors of the Large Hadron Collider have.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.definitions.particles import Particles
from omnifold_pub.definitions.track_jets import cluster
from omnifold_pub.definitions.zjets import MUON_ETA, TRACK_ETA, TRACK_PT, jet_columns, muon_columns

PION_MASS = 0.13957039
MUON_MASS = 0.1056583755
Columns = dict[str, NDArray[np.float64]]
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Detector:
    """What can be varied.

    Attributes
    ----------
    track_efficiency : float
        Multiplies the efficiency of tracks.
    muon_scale : float
        Multiplies transverse momenta of muons.
    muon_resolution, track_resolution : float
        Multiply relative resolutions of transverse momenta.
    pileup_tracks : float
        Mean number of tracks of other collisions.
    pileup_jets : float
        Probability of a jet of another collision.
    """

    track_efficiency: float = 1.0
    muon_scale: float = 1.0
    muon_resolution: float = 1.0
    track_resolution: float = 1.0
    pileup_tracks: float = 4.0
    pileup_jets: float = 0.015


VARIATIONS = {
    "trackeff_down": Detector(track_efficiency=0.98),
    "muscale_up": Detector(muon_scale=1.003),
    "pileup_up": Detector(pileup_tracks=6.0, pileup_jets=0.0225),
}


def measure(
    particles: Particles,
    muons: tuple[Array, NDArray[np.int64]],
    detector: Detector,
    *,
    seed: tuple[int, ...],
) -> tuple[NDArray[np.bool_], Columns]:
    """Return what the detector makes of events: which pass, and their columns, NaN where there is nothing.

    The same seed gives the same random numbers to every variation, so that a variation differs from the nominal
    detector by what it varies and not by chance.
    """
    dressed, numbers = muons
    streams = [np.random.default_rng([*seed, stream]) for stream in range(5)]
    passes, columns = muon_columns(_muons(dressed, detector, streams[0]))
    eta = np.arcsinh(dressed[:, :, 2] / np.hypot(dressed[:, :, 0], dressed[:, :, 1]))
    efficiency = np.where(np.abs(eta) < 0.1, 0.66, 0.925)
    passes &= (streams[1].random(eta.shape) < efficiency).all(axis=1)
    passes &= (np.abs(columns["eta_l1"]) < MUON_ETA) & (np.abs(columns["eta_l2"]) < MUON_ETA)
    inside = particles.charged & (particles.pt > 0.3) & (np.abs(particles.eta) < TRACK_ETA + 0.1)
    inside[numbers[numbers >= 0]] = False
    tracks = _tracks(particles.select(inside), detector, streams[2])
    everything = _with_pileup(tracks, detector, streams[3], streams[4])
    seen = (everything.pt > TRACK_PT) & (np.abs(everything.eta) < TRACK_ETA) & passes[everything.event]
    columns |= jet_columns(cluster(everything.select(seen)))
    return passes, {name: np.where(passes, column, np.nan) for name, column in columns.items()}


def _momenta(pt: Array, eta: Array, phi: Array, mass: float) -> tuple[Array, Array, Array, Array]:
    px, py, pz = pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)
    return px, py, pz, np.sqrt(px**2 + py**2 + pz**2 + mass**2)


def _muons(dressed: Array, detector: Detector, rng: np.random.Generator) -> Array:
    """Return smeared muons ``[event, muon, component]``, the leading one first; 2 % are smeared 2.5 times as much."""
    px, py, pz, _ = np.moveaxis(dressed, 2, 0)
    pt, phi = np.hypot(px, py), np.arctan2(py, px)
    resolution = detector.muon_resolution * np.hypot(0.02, 1.3e-4 * pt)
    resolution = resolution * np.where(rng.random(pt.shape) < 0.02, 2.5, 1.0)
    smeared = detector.muon_scale * pt * np.maximum(1 + resolution * rng.standard_normal(pt.shape), 0.05)
    eta = np.arcsinh(pz / pt) + 3e-4 * rng.standard_normal(pt.shape)
    phi = phi + 2e-4 * rng.standard_normal(pt.shape)
    found = np.stack(_momenta(smeared, eta, phi, MUON_MASS), axis=2)
    order = np.argsort(-np.where(np.isnan(smeared), 0, smeared), axis=1)
    return np.take_along_axis(found, order[:, :, np.newaxis], axis=1)


def _tracks(charged: Particles, detector: Detector, rng: np.random.Generator) -> Particles:
    """Return tracks: lost, also in the company of others nearby, and smeared."""
    pt, eta, phi = charged.pt, charged.eta, charged.phi
    efficiency = 0.91 - 0.01 * np.abs(eta) ** 1.5 - 0.03 * np.clip(pt / 20, 0, 1)
    kept = rng.random(len(pt)) < detector.track_efficiency * efficiency
    resolution = detector.track_resolution * np.hypot(0.012, 3e-4 * pt)
    smeared = pt * np.maximum(1 + resolution * rng.standard_normal(len(pt)), 0.05)
    eta = eta + 1e-3 * rng.standard_normal(len(pt))
    phi = phi + 9e-4 * rng.standard_normal(len(pt))
    momenta = _momenta(smeared, eta, phi, PION_MASS)
    track = Particles(charged.offsets, charged.pdg_id, *momenta, np.zeros(len(pt), dtype=bool))
    return track.select(kept)


def _with_pileup(
    tracks: Particles, detector: Detector, soft: np.random.Generator, hard: np.random.Generator
) -> Particles:
    """Add single soft tracks of other collisions, and now and then a jet of them."""
    size = len(tracks)
    number = soft.poisson(detector.pileup_tracks, size)
    event = np.repeat(np.arange(size), number)
    pt = TRACK_PT + soft.exponential(0.6, len(event))
    eta, phi = soft.uniform(-TRACK_ETA, TRACK_ETA, len(event)), soft.uniform(-np.pi, np.pi, len(event))
    lucky = np.flatnonzero(hard.random(size) < detector.pileup_jets)
    multiplicity = 3 + hard.poisson(3, len(lucky))
    jet = np.repeat(np.arange(len(lucky)), multiplicity)
    jet_pt = 8 + hard.exponential(5, len(lucky))
    share = hard.exponential(1, len(jet))
    share /= np.bincount(jet, share, minlength=len(lucky))[jet]
    jet_eta, jet_phi = hard.uniform(-2.1, 2.1, len(lucky)), hard.uniform(-np.pi, np.pi, len(lucky))
    event = np.concatenate([event, lucky[jet]])
    pt = np.concatenate([pt, jet_pt[jet] * share])
    eta = np.concatenate([eta, jet_eta[jet] + 0.1 * hard.standard_normal(len(jet))])
    phi = np.concatenate([phi, jet_phi[jet] + 0.1 * hard.standard_normal(len(jet))])
    more = _momenta(pt, eta, phi, PION_MASS)
    event = np.concatenate([tracks.event, event])
    order = np.argsort(event, kind="stable")
    px, py, pz, energy = (
        np.concatenate([old, new])[order]
        for old, new in zip((tracks.px, tracks.py, tracks.pz, tracks.energy), more, strict=True)
    )
    offsets = np.concatenate([[0], np.cumsum(np.bincount(event, minlength=size))])
    numbers = np.full(len(event), 211, dtype=np.int64)
    return Particles(offsets, numbers, px, py, pz, energy, np.zeros(len(event), dtype=bool))
