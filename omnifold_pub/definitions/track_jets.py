"""Jets of tracks and their N-subjettiness, by FastJet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.definitions.particles import Particles
from omnifold_pub.extras import require

__all__ = ["JETS", "TrackJets", "cluster"]

RADIUS = 0.4
JET_PT = 10.0
JETS = 2
"""Jets that are looked at: those of largest transverse momentum."""
AXES = 3
_ALL = 1000.0
"""Radius of the kt algorithm that finds the axes: so large that no particle goes with the beam."""

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TrackJets:
    """The leading jets of each event.

    Attributes
    ----------
    pt, rapidity, phi, mass, tracks : numpy.ndarray
        ``[event, jet]``, float64, in GeV and rad; NaN where there is no such jet.
    tau : numpy.ndarray
        ``tau[event, jet, axes - 1]``: N-subjettiness for 1, 2 and 3 axes; NaN where there is no such jet.
    """

    pt: Array
    rapidity: Array
    phi: Array
    mass: Array
    tracks: Array
    tau: Array


def cluster(tracks: Particles) -> TrackJets:
    r"""Cluster tracks to anti-kt jets and measure the leading two.

    N-subjettiness :math:`\tau_N = \sum_i p_{T,i} \min_k \Delta R_{ik} / (R \sum_i p_{T,i})` with distances in (y, phi)
    and axes from the exclusive kt algorithm, all in the E scheme; 0 for jets of at most N tracks.

    Parameters
    ----------
    tracks : Particles
        What the jets are made of.

    Returns
    -------
    TrackJets
        Of each event, jets of pT > 10 GeV.

    Raises
    ------
    MissingExtraError
        If ``fastjet`` is not installed.

    Examples
    --------
    >>> pions = [(211, 30.0, 0.0, 0.0, 30.1, False), (-211, 20.0, 4.0, 0.0, 20.5, False)]
    >>> jets = cluster(Particles.of_events([pions]))
    >>> jets.tracks[0].tolist(), jets.pt[0].round(3).tolist(), jets.tau[0, 0].round(3).tolist()
    ([2.0, nan], [50.16, nan], [0.238, 0.0, 0.0])
    """
    require("fastjet", "awkward", extra="zjets", purpose="Clustering jets")
    import awkward as ak
    import fastjet
    from fastjet import _swig

    _swig.ClusterSequence.set_fastjet_banner_stream(None)  # or it writes to stdout, where results go
    size = len(tracks)
    four = np.stack([tracks.px, tracks.py, tracks.pz, tracks.energy], axis=1)
    jets = _no_jets(size)
    if not len(four):
        return jets
    antikt = fastjet.JetDefinition(fastjet.antikt_algorithm, RADIUS)
    clustered = fastjet.ClusterSequence(_jagged(ak, four, tracks.offsets), antikt)
    members = clustered.constituent_index(min_pt=JET_PT)

    # Numbers of the tracks of all jets, jet after jet.
    event = np.repeat(np.arange(size), ak.to_numpy(ak.num(members)))
    if not len(event):
        return jets
    count = ak.to_numpy(ak.num(ak.flatten(members, axis=1)))
    track = ak.to_numpy(ak.flatten(members, axis=None)) + np.repeat(tracks.offsets[event], count)
    total = np.add.reduceat(four[track], np.concatenate([[0], np.cumsum(count)[:-1]]))

    # Place of each jet in its event, the largest transverse momentum first.
    pt = np.hypot(total[:, 0], total[:, 1])
    order = np.lexsort((-pt, event))
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order)) - np.searchsorted(event[order], event[order])

    kept = place < JETS
    where = event[kept], place[kept]
    jets.pt[where], jets.tracks[where] = pt[kept], count[kept]
    jets.rapidity[where] = np.arctanh(total[kept, 2] / total[kept, 3])
    jets.phi[where] = np.arctan2(total[kept, 1], total[kept, 0])
    jets.mass[where] = np.sqrt(np.maximum(total[kept, 3] ** 2 - (total[kept, :3] ** 2).sum(axis=1), 0))
    inside = np.repeat(kept, count)
    jets.tau[where] = _subjettiness(fastjet, ak, four[track[inside]], count[kept])
    return jets


def _no_jets(size: int) -> TrackJets:
    pt, rapidity, phi, mass, tracks = np.full((5, size, JETS), np.nan)
    return TrackJets(pt, rapidity, phi, mass, tracks, np.full((size, JETS, AXES), np.nan))


def _jagged(ak: Any, four: Array, offsets: NDArray[np.int64]) -> Any:
    """Return momenta as `fastjet` takes them: ``[event][particle]``, records of px, py, pz, E."""
    record = ak.zip({name: np.ascontiguousarray(four[:, i]) for i, name in enumerate(("px", "py", "pz", "E"))})
    layout = ak.contents.ListOffsetArray(ak.index.Index64(np.asarray(offsets, dtype=np.int64)), record.layout)
    return ak.Array(layout, with_name="Momentum4D")


def _subjettiness(fastjet: Any, ak: Any, four: Array, count: NDArray[np.int64]) -> Array:
    """Return ``tau[jet, axes - 1]`` of jets whose tracks stand one after the other, ``count[jet]`` of them."""
    tau = np.zeros((len(count), AXES))
    jet = np.repeat(np.arange(len(count)), count)
    pt = np.hypot(four[:, 0], four[:, 1])
    rapidity, phi = _directions(four)
    kt = fastjet.JetDefinition(fastjet.kt_algorithm, _ALL)
    for axes in range(1, AXES + 1):
        rich = count > axes
        if not rich.any():
            continue
        inside = rich[jet]
        offsets = np.concatenate([[0], np.cumsum(count[rich])])
        clustered = fastjet.ClusterSequence(_jagged(ak, four[inside], offsets), kt)
        members = clustered.exclusive_jets_constituent_index(njets=axes)
        number = np.repeat(np.arange(int(rich.sum())), count[rich])
        track = ak.to_numpy(ak.flatten(members, axis=None)) + offsets[number]
        stops = np.cumsum(ak.to_numpy(ak.flatten(ak.num(members, axis=2))))
        total = np.add.reduceat(four[inside][track], np.concatenate([[0], stops[:-1]]))
        along, around = (direction.reshape(-1, axes) for direction in _directions(total))
        apart = np.abs(phi[inside, np.newaxis] - around[number])
        apart = np.minimum(apart, 2 * np.pi - apart)
        nearest = np.hypot(rapidity[inside, np.newaxis] - along[number], apart).min(axis=1)
        tau[rich, axes - 1] = np.bincount(number, pt[inside] * nearest) / (RADIUS * np.bincount(number, pt[inside]))
    return tau


def _directions(four: Array) -> tuple[Array, Array]:
    """Return rapidity and azimuth of ``four[particle, component]``."""
    return np.arctanh(four[:, 2] / four[:, 3]), np.arctan2(four[:, 1], four[:, 0])
