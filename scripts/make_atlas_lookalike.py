"""Make files that look like the public ATLAS ones: pandas tables of Z+jets events with all their weights.

Usage: ``python scripts/make_atlas_lookalike.py OUTPUT_DIR [--events N] [--float64] [--absent nan] ...``

Writes ``multifold.h5`` (200 columns), ``multifold_sherpa.h5`` (51) and ``multifold_nonDY.h5`` (26). The physics is
made up, but consistent: falling spectra, muons that obey the fiducial cuts, jets that recoil against the dimuon. So
are the weights: the nominal is the median of the ensemble, the luminosity is a pure factor, and the bootstraps of the
Sherpa file are 26.5 times too large, as the public ones are.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

EVENTS, SHERPA_EVENTS, NONDY_EVENTS = 418_014, 326_430, 433_397
ENSEMBLE, BOOTSTRAPS = 100, 25
CROSS_SECTION = 1809.5  # fb
SHERPA_BOOTSTRAP_FACTOR = 26.5
LUMINOSITY_FACTOR = 1.017
Z_MASS, Z_WIDTH = 91.19, 2.495
SENTINEL = -99

VARIATIONS = (
    "pileup",
    *(f"muEff{name}" for name in ("Reco", "Iso", "Track", "Trig")),
    *(f"muCal{name}" for name in ("ID", "MS", "ResBias", "Scale")),
    *(f"track{name}" for name in ("EffMain", "EffJet", "Fake", "PtScale")),
    *(f"theory{name}" for name in ("PSjet", "PSsoft", "MPI", "PSscale", "AlphaS", "QCD", "PDF")),
    "topBackground",
)

Array = NDArray[np.float64]
Columns = dict[str, Array]


def _boosted_muons(rng: np.random.Generator, count: int, slope: float) -> Columns:
    """Throw Z bosons of falling pT, decay them isotropically, and keep what passes the fiducial cuts."""
    pt = 200 * (1 - rng.random(count)) ** (-1 / slope)
    rapidity, phi = rng.normal(0, 1.2, count), rng.uniform(-np.pi, np.pi, count)
    mass = Z_MASS + Z_WIDTH / 2 * np.tan(rng.uniform(-1.4, 1.4, count))
    cosine, azimuth = rng.uniform(-1, 1, count), rng.uniform(-np.pi, np.pi, count)
    sine = np.sqrt(1 - cosine**2)
    direction = np.stack([sine * np.cos(azimuth), sine * np.sin(azimuth), cosine])
    transverse = np.hypot(mass, pt)
    momentum = np.stack([pt * np.cos(phi), pt * np.sin(phi), transverse * np.sinh(rapidity)])
    energy = transverse * np.cosh(rapidity)
    muons = []
    for sign in (1, -1):
        rest = sign * direction * mass / 2
        along = (momentum * rest).sum(axis=0)
        muons.append(rest + momentum * (along / (mass * (energy + mass)) + 0.5))
    first, second = muons
    leading = np.hypot(first[0], first[1]) > np.hypot(second[0], second[1])
    columns = {"pT_ll": pt, "y_ll": rapidity, "phi_ll": phi, "mass": mass}
    for name, (x, y, z) in (
        ("l1", np.where(leading, first, second)),
        ("l2", np.where(leading, second, first)),
    ):
        columns[f"pT_{name}"] = np.hypot(x, y)
        columns[f"eta_{name}"] = np.arcsinh(z / np.hypot(x, y))
        columns[f"phi_{name}"] = np.arctan2(y, x)
    # A little inside the cuts, so that rounding to single precision carries nobody out.
    passed = (columns["pT_l2"] > 25.001) & (np.abs(mass - 91) < 9.99) & (pt > 200.001) & (pt < 3500)
    passed &= (np.abs(columns["eta_l1"]) < 2.499) & (np.abs(columns["eta_l2"]) < 2.499)
    return {name: column[passed] for name, column in columns.items()}


def throw_events(rng: np.random.Generator, events: int, *, slope: float = 3.2, absent: float = SENTINEL) -> Columns:
    """Return the 24 observables, ``absent`` where an event has no jet."""
    pieces: list[Columns] = []
    while sum(len(piece["pT_ll"]) for piece in pieces) < events:
        pieces.append(_boosted_muons(rng, max(1000, events), slope))
    muons = {name: np.concatenate([piece[name] for piece in pieces])[:events] for name in pieces[0]}
    columns = {
        name: muons[name] for name in ("pT_ll", "pT_l1", "pT_l2", "eta_l1", "eta_l2", "phi_l1", "phi_l2", "y_ll")
    }
    share = rng.beta(6, 4, events)
    leading_pt = 1 + muons["pT_ll"] * share
    present = rng.random(events) > 0.002
    for jet, pt, there in (
        (1, leading_pt, present),
        (2, 0.6 + (leading_pt - 0.6) * rng.beta(1, 4, events), present & (rng.random(events) > 0.03)),
    ):
        back = np.pi + rng.normal(0, 0.25, events) if jet == 1 else rng.uniform(-np.pi, np.pi, events)
        tracks = 1 + rng.poisson(3.5 + 2.2 * np.log1p(pt / 10))
        tau1 = np.where(tracks > 1, rng.beta(2, 12, events), 0)
        tau2 = np.where(tracks > 2, tau1 * rng.beta(5, 4, events), 0)
        values = {
            "pT": pt,
            "y": np.clip(muons["y_ll"] * 0.3 + rng.normal(0, 0.9, events), -2.49, 2.49),
            "phi": (muons["phi_ll"] + back + np.pi) % (2 * np.pi) - np.pi,
            "m": pt * 0.4 * tau1 + rng.normal(0, 0.01, events),
            "tau1": tau1,
            "tau2": tau2,
            "tau3": np.where(tracks > 3, tau2 * rng.beta(6, 4, events), 0),
        }
        columns |= {f"{name}_trackj{jet}": np.where(there, column, absent) for name, column in values.items()}
        columns[f"Ntracks_trackj{jet}"] = np.where(there, tracks, absent)
    names = [name for name in columns if not name.startswith("Ntracks")]
    return {name: columns[name] for name in (*names, "Ntracks_trackj1", "Ntracks_trackj2")}  # the public order


def _tilt(rng: np.random.Generator, columns: Columns, size: float) -> Array:
    """Return a smooth factor of the events, with a random slope in a few observables."""
    a, b, c, d = rng.normal(0, size, 4)
    jet = np.nan_to_num(columns["pT_trackj1"], nan=0).clip(min=0)
    log_pt = np.log(columns["pT_ll"] / 300)
    factor: Array = np.exp(a * log_pt + b * columns["y_ll"] ** 2 / 4 + c * np.log1p(jet / 100) + d * 0.3)
    return factor


def _prior_weights(rng: np.random.Generator, events: int, total: float) -> Array:
    weights = rng.gamma(4, 1, events)
    scaled: Array = weights * (total / weights.sum())
    return scaled


class Table:
    """Weights of one file, filled column by column in the type in which they are stored."""

    def __init__(self, events: int, columns: int, dtype: type[np.floating]) -> None:
        self.values = np.empty((events, columns), dtype=dtype)
        self.names: list[str] = []

    def add(self, name: str, values: NDArray[np.floating]) -> NDArray[np.floating]:
        """Append a column, and return it as stored."""
        self.names.append(name)
        self.values[:, len(self.names) - 1] = values
        stored: NDArray[np.floating] = self.values[:, len(self.names) - 1]
        return stored

    def write(self, path: Path, events: Columns) -> None:
        """Write observables in single precision, counts as integers where none is NaN, and the weights."""
        counts = {name: column for name, column in events.items() if name.startswith("Ntracks")}
        counted = np.int32 if not any(np.isnan(column).any() for column in counts.values()) else np.float32
        frame = pd.concat(
            [
                pd.DataFrame(
                    {name: column.astype(np.float32) for name, column in events.items() if name not in counts}
                ),
                pd.DataFrame({name: column.astype(counted) for name, column in counts.items()}),
                pd.DataFrame(self.values, columns=self.names, copy=False),
            ],
            axis=1,
        )
        frame.to_hdf(path, key="df", mode="w", format="fixed")


def _bootstrap(rng: np.random.Generator, columns: Columns, nominal: Array, *, multiplicities: bool) -> Array:
    counts = rng.poisson(1, len(nominal)) if multiplicities else 1
    replica: Array = nominal * _tilt(rng, columns, 0.01) * counts
    return replica


def make_main(
    path: Path,
    events: int,
    *,
    seed: int = 1,
    dtype: type[np.floating] = np.float32,
    absent: float = SENTINEL,
    multiplicities: bool = True,
) -> None:
    """Write the main file: 24 observables and 176 weight columns."""
    rng = np.random.default_rng([seed, 0])
    columns = throw_events(rng, events, absent=absent)
    table = Table(events, 4 + ENSEMBLE + 2 * BOOTSTRAPS + len(VARIATIONS) + 1, dtype)
    prior = table.add("weight_mc", _prior_weights(rng, events, 0.94 * CROSS_SECTION)).astype(np.float64)
    truth = prior * np.exp(0.08 * np.log(columns["pT_ll"] / 300) + 0.02 * columns["y_ll"] ** 2)
    truth *= CROSS_SECTION / truth.sum()
    table.add("weights_nominal", prior)  # until there is an ensemble
    for member in range(ENSEMBLE):
        scatter = _tilt(rng, columns, 0.01) * rng.normal(1, 0.05, events).clip(0.5, 2)
        table.add(f"weights_ensemble_{member}", truth * scatter)
    first = table.names.index("weights_ensemble_0")
    table.values[:, 1] = np.median(table.values[:, first : first + ENSEMBLE], axis=1)
    nominal = table.values[:, 1].astype(np.float64)

    target = table.add("target_dd", prior * _tilt(rng, columns, 0.05)).astype(np.float64)
    table.add("weights_dd", target * _tilt(rng, columns, 0.01))
    for member in range(BOOTSTRAPS):
        replica = _bootstrap(rng, columns, nominal, multiplicities=multiplicities)
        table.add(f"weights_bootstrap_mc_{member}", replica)
    for member in range(BOOTSTRAPS):
        table.add(f"weights_bootstrap_data_{member}", nominal * _tilt(rng, columns, 0.01))
    for name in VARIATIONS:
        table.add(f"weights_{name}", nominal * _tilt(rng, columns, 0.01))
    table.add("weights_lumi", nominal * LUMINOSITY_FACTOR)
    table.write(path, columns)


def make_side(
    path: Path,
    events: int,
    *,
    seed: int,
    slope: float,
    bootstraps: int = 0,
    dtype: type[np.floating] = np.float32,
    absent: float = SENTINEL,
) -> None:
    """Write another simulation's file: observables, prior, nominal and perhaps bootstraps that sum to 26.5 times it."""
    rng = np.random.default_rng([1, seed])
    columns = throw_events(rng, events, slope=slope, absent=absent)
    table = Table(events, 2 + bootstraps, dtype)
    prior = table.add("weight_mc", _prior_weights(rng, events, 0.9 * CROSS_SECTION)).astype(np.float64)
    shaped = prior * _tilt(rng, columns, 0.02)
    nominal = table.add("weights_nominal", shaped * (1.003 * CROSS_SECTION / shaped.sum())).astype(np.float64)
    for member in range(bootstraps):
        replica = _bootstrap(rng, columns, nominal, multiplicities=False)
        table.add(f"weights_bootstrap_mc_{member}", replica * SHERPA_BOOTSTRAP_FACTOR)
    table.write(path, columns)


def main() -> None:
    """Write the three files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, help="folder to write into; made if it is not there")
    parser.add_argument("--events", type=int, default=EVENTS, help="rows of multifold.h5")
    parser.add_argument("--sherpa-events", type=int, default=SHERPA_EVENTS, help="rows of multifold_sherpa.h5; 0: none")
    parser.add_argument("--nondy-events", type=int, default=NONDY_EVENTS, help="rows of multifold_nonDY.h5; 0: none")
    parser.add_argument("--float64", action="store_true", help="weights in double precision")
    parser.add_argument("--absent", choices=("sentinel", "nan"), default="sentinel", help="mark of an absent jet")
    parser.add_argument(
        "--no-multiplicities", action="store_true", help="bootstraps of the simulation without Poisson(1) factors"
    )
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    dtype = np.float64 if arguments.float64 else np.float32
    absent = np.nan if arguments.absent == "nan" else SENTINEL
    make_main(
        arguments.output / "multifold.h5",
        arguments.events,
        seed=arguments.seed,
        dtype=dtype,
        absent=absent,
        multiplicities=not arguments.no_multiplicities,
    )
    for name, rows, slope, bootstraps in (
        ("sherpa", arguments.sherpa_events, 3.4, BOOTSTRAPS),
        ("nonDY", arguments.nondy_events, 3.15, 0),
    ):
        if rows:
            seed = 10 * arguments.seed + len(name)
            path = arguments.output / f"multifold_{name}.h5"
            make_side(path, rows, seed=seed, slope=slope, bootstraps=bootstraps, dtype=dtype, absent=absent)
    for path in sorted(arguments.output.glob("multifold*.h5")):
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")  # noqa: T201


if __name__ == "__main__":
    main()
