"""What is known about the public ATLAS measurement (arXiv:2405.20041) that its files do not say."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["FACTS", "JET_OBSERVABLES", "OBSERVABLES", "SIDE_FILES", "VARIATIONS", "observable_entries"]

VARIATIONS: dict[str, str] = {
    "pileup": "Pile-up reweighting",
    "muEffReco": "Muon reconstruction efficiency",
    "muEffIso": "Muon isolation efficiency",
    "muEffTrack": "Muon track-to-vertex association efficiency",
    "muEffTrig": "Muon trigger efficiency",
    "muCalID": "Muon momentum resolution of the inner detector",
    "muCalMS": "Muon momentum resolution of the muon spectrometer",
    "muCalResBias": "Muon momentum bias that depends on the charge",
    "muCalScale": "Muon momentum scale",
    "trackEffMain": "Track reconstruction efficiency",
    "trackEffJet": "Track reconstruction efficiency inside jets",
    "trackFake": "Rate of fake tracks",
    "trackPtScale": "Track momentum scale",
    "theoryPSjet": "Parton shower, jet-like variation",
    "theoryPSsoft": "Parton shower, soft variation",
    "theoryMPI": "Multiple parton interactions",
    "theoryPSscale": "Scale of the parton shower",
    "theoryAlphaS": "Strong coupling",
    "theoryQCD": "Renormalisation and factorisation scales",
    "theoryPDF": "Parton distribution functions",
    "topBackground": "Background of top quarks",
}
"""Systematic variations, by the name of their column without ``weights_``; luminosity and closure apart."""

SIDE_FILES: dict[str, tuple[str, str]] = {
    "sherpa": ("Sherpa", "unfolded with another generator, Sherpa"),
    "nonDY": (
        "MadGraph5_aMC@NLO + Pythia 8, with electroweak Zjj and diboson production",
        "unfolded with another composition of the simulation, with processes other than Drell-Yan",
    ),
}
"""Canvases: name to (generator, what was done)."""

_MUON_MASS = 0.1056583755  # GeV, PDG 2024; of a bare muon: no column holds that of a dressed one
_ROOM = 1e-3  # of an angle, a rapidity or a momentum in GeV that was computed in single precision
_PHI = math.pi + _ROOM

Row = tuple[str, str, str, str, float | None, float | None]

_MUONS: tuple[Row, ...] = (
    ("pT_ll", "Transverse momentum of the dimuon system", "GeV", r"p_T^{\mu\mu}", 200 - _ROOM, None),
    ("y_ll", "Rapidity of the dimuon system", "1", r"y_{\mu\mu}", -2.5 - _ROOM, 2.5 + _ROOM),
    ("pT_l1", "Transverse momentum of the leading muon", "GeV", r"p_T^{\mu_1}", 25 - _ROOM, None),
    ("pT_l2", "Transverse momentum of the subleading muon", "GeV", r"p_T^{\mu_2}", 25 - _ROOM, None),
    ("eta_l1", "Pseudorapidity of the leading muon", "1", r"\eta_{\mu_1}", -2.5 - _ROOM, 2.5 + _ROOM),
    ("eta_l2", "Pseudorapidity of the subleading muon", "1", r"\eta_{\mu_2}", -2.5 - _ROOM, 2.5 + _ROOM),
    ("phi_l1", "Azimuth of the leading muon", "rad", r"\phi_{\mu_1}", -_PHI, _PHI),
    ("phi_l2", "Azimuth of the subleading muon", "rad", r"\phi_{\mu_2}", -_PHI, _PHI),
)

_JET: tuple[Row, ...] = (
    ("pT", "Transverse momentum", "GeV", "p_T", 0, None),
    ("y", "Rapidity", "1", "y", -2.5 - _ROOM, 2.5 + _ROOM),
    ("phi", "Azimuth", "rad", r"\phi", -_PHI, _PHI),
    # The mass of a narrow jet is a small difference of large numbers, and comes out slightly negative.
    ("m", "Mass", "GeV", "m", -1, None),
    ("tau1", "1-subjettiness", "1", r"\tau_1", 0, None),
    ("tau2", "2-subjettiness", "1", r"\tau_2", 0, None),
    ("tau3", "3-subjettiness", "1", r"\tau_3", 0, None),
    ("Ntracks", "Number of charged particles", "1", r"N_\mathrm{ch}", 0, None),
)

JET_OBSERVABLES: tuple[str, ...] = tuple(f"{row[0]}_trackj{jet}" for jet in (1, 2) for row in _JET)
"""Observables that an event may lack."""

OBSERVABLES: tuple[str, ...] = (*(row[0] for row in _MUONS), *JET_OBSERVABLES)
"""All 24, in the order of the release."""


def observable_entries() -> list[dict[str, Any]]:
    """Return the 24 entries of the metadata's ``observables``.

    >>> [entry["name"] for entry in observable_entries()][7:9]
    ['phi_l2', 'pT_trackj1']
    """
    rows = [(row, "never", "") for row in _MUONS]
    for jet, word in ((1, "leading"), (2, "subleading")):
        for name, what, unit, symbol, minimum, maximum in _JET:
            described = f"{what} of the {word} charged-particle jet"
            latex = f"{{{symbol}}}^{{j_{jet}}}"
            row = (f"{name}_trackj{jet}", described, unit, latex, minimum, maximum)
            rows.append((row, "nan", f"The event has no {word} charged-particle jet"))
    return [
        {
            "name": name,
            "description": described,
            "unit": unit,
            "latex": latex,
            "dtype": "float32",
            "valid_range": {"minimum": minimum, "maximum": maximum},
            "missing": {"rule": rule, "meaning": meaning} if meaning else {"rule": rule},
        }
        for (name, described, unit, latex, minimum, maximum), rule, meaning in rows
    ]


def _four_momenta() -> list[dict[str, Any]]:
    """Return the two muons and the two jets, as the metadata declare them."""
    muons = [
        {
            "name": f"l{i}",
            "description": f"{word} muon",
            "pt": f"pT_l{i}",
            "eta": f"eta_l{i}",
            "phi": f"phi_l{i}",
            "mass": _MUON_MASS,
        }
        for i, word in ((1, "Leading"), (2, "Subleading"))
    ]
    jets = [
        {
            "name": f"trackj{i}",
            "description": f"{word} charged-particle jet",
            "pt": f"pT_trackj{i}",
            "rapidity": f"y_trackj{i}",
            "phi": f"phi_trackj{i}",
            "mass": f"m_trackj{i}",
        }
        for i, word in ((1, "Leading"), (2, "Subleading"))
    ]
    return [*muons, *jets]


def _requirement(expression: str, minimum: float | None, maximum: float | None, tolerance: float) -> dict[str, Any]:
    return {"expression": expression, "minimum": minimum, "maximum": maximum, "tolerance": tolerance}


FACTS: dict[str, Any] = {
    "title": "Z(mumu)+jets in 24 observables at 13 TeV, unbinned (ATLAS)",
    "description": (
        "A simultaneous unbinned measurement of 24 observables of Z(mumu)+jets events, unfolded with OmniFold by the "
        "ATLAS Collaboration (arXiv:2405.20041), imported from the public files of pandas. The event identifier is "
        "the row in them. Values that they hold in more than single precision are rounded to float32."
    ),
    "process": "Z(mumu)+jets",
    "collision": {"system": "pp", "energy_tev": 13},
    "fiducial": {
        "description": (
            "Two dressed muons with pT > 25 GeV and |eta| < 2.5, 81 < m(mumu) < 101 GeV, pT(mumu) > 200 GeV"
        ),
        "selection": [
            _requirement("pT_ll", 200, None, _ROOM),
            _requirement("pT_l1", 25, None, _ROOM),
            _requirement("pT_l2", 25, None, _ROOM),
            _requirement("abs(eta_l1)", None, 2.5, _ROOM),
            _requirement("abs(eta_l2)", None, 2.5, _ROOM),
            # Of massless muons. A muon that is dressed with photons has a mass: in Pythia 8 the pair's was up to
            # 7 GeV above this one. No column holds it.
            _requirement("sqrt(2 * pT_l1 * pT_l2 * (cosh(eta_l1 - eta_l2) - cos(phi_l1 - phi_l2)))", 81, 101, 8),
        ],
    },
    "objects": [
        {"name": "muon", "definition": "Dressed with photons; pT > 25 GeV, |eta| < 2.5; ordered in pT"},
        {
            "name": "charged-particle jet",
            "definition": (
                "Anti-kt, R = 0.4, of charged particles with pT > 0.5 GeV and |eta| < 2.5 except the two muons; "
                "ordered in pT"
            ),
        },
    ],
    "four_momenta": _four_momenta(),
    "validity": {
        "minimum_effective_events_per_bin": 5000,
        "severity": "warning",
        "notes": [
            (
                "Charged-particle jets go down to very low pT, where jet observables mean little: a bin of a jet "
                "observable should ask for a jet of a few GeV"
            )
        ],
    },
    "creators": [{"name": "ATLAS Collaboration", "affiliation": "CERN"}],
    "contact": "ATLAS Collaboration, atlas.publications@cern.ch",
    "licence": "CC0-1.0",
    "keywords": ["ATLAS", "Z+jets", "unbinned", "unfolding", "OmniFold"],
    "references": [
        "arXiv:2405.20041 (ATLAS, Phys. Rev. Lett. 133 (2024) 261803)",
        "doi:10.5281/zenodo.11507450 (the public files)",
        "arXiv:1911.09107 (OmniFold)",
    ],
}
"""Top-level entries of the metadata that are the same for all files; each can be overridden."""
