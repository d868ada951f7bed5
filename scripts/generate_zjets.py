"""Generate Z(mumu) + jets events with Pythia 8 and a parametric detector: samples as those that the demo is made of.

Usage: ``python scripts/generate_zjets.py simulation 1000 simulation.root [--variations] [--hepmc events.hepmc.gz]``

Needs the extra ``zjets`` and ``pythia8mc==8.317.2`` (GPL-2.0-or-later; later versions have no wheel for Python 3.11).
Particle level: `omnifold_pub.definitions.zjets`. The weights are in pb.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pythia8mc
import uproot
from numpy.typing import NDArray
from zjets_detector import VARIATIONS, Detector, measure
from zjets_filter import Filter
from zjets_settings import BIASED, PROCESS, SAMPLES

from omnifold_pub.definitions.definition import FiducialColumns
from omnifold_pub.definitions.particles import Particles
from omnifold_pub.definitions.zjets import OBSERVABLES, dress_muons, zjets

BATCH = 500
SENTINEL = -99.0
SIGMA_EVENTS = 20_000, 100_000
"""Hard processes that the cross section is computed with, at least and at most: 0.3 % and 0.13 % of precision, a tenth
of what the events themselves know it to."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Batch:
    """Some events after hadronisation.

    Attributes
    ----------
    particles : Particles
        Stable ones.
    weights : numpy.ndarray
        ``[event]``, of the generator.
    vetoed : numpy.ndarray
        ``[event]``, bool: whether the filter, were it active, would have dropped the event.
    """

    particles: Particles
    weights: Array
    vetoed: NDArray[np.bool_]


@dataclass
class Generator:
    """Pythia with the settings of a sample.

    Attributes
    ----------
    sample : str
        See `SAMPLES`.
    seed : int
        Of the random numbers.
    everything : bool
        Give all particles: neutral hadrons, and photons of decays, which no observable looks at, take time.
    active : bool
        Whether the filter drops events; else it only says which it would have dropped.
    """

    sample: str
    seed: int
    everything: bool = False
    active: bool = True
    pythia: Any = field(init=False)
    filter: Filter = field(init=False)

    def __post_init__(self) -> None:
        self.pythia = _pythia(self.sample, self.seed)
        self.filter = Filter(biased=BIASED[0] in SAMPLES[self.sample], active=self.active)
        self.pythia.setUserHooksPtr(self.filter)
        if not self.pythia.init():
            sys.exit("Pythia does not start")

    def batch(self, size: int = BATCH) -> Batch:
        """Generate until there are so many events."""
        rows: list[tuple[int, float, float, float, float, bool]] = []
        offsets: list[int] = [0]
        weights: list[float] = []
        vetoed: list[bool] = []
        while len(weights) < size:
            if not self.pythia.next():
                continue
            for particle in self.pythia.event:
                if not particle.isFinal():
                    continue
                prompt = particle.statusAbs() < 80  # 81 to 89: from hadronisation, 91 to 99: from decays
                if self.everything or particle.isCharged() or (prompt and particle.id() == 22):
                    momentum = particle.px(), particle.py(), particle.pz(), particle.e()
                    rows.append((particle.id(), *momentum, prompt))
            offsets.append(len(rows))
            weights.append(self.pythia.infoPython().weight())
            vetoed.append(self.filter.would_veto)
        particles = Particles.from_columns(offsets, *zip(*rows, strict=True))
        return Batch(particles, np.array(weights), np.array(vetoed))


def _pythia(sample: str, seed: int, *more: str) -> Any:
    pythia = pythia8mc.Pythia("", False)  # noqa: FBT003 - no banner
    for setting in [*PROCESS, *SAMPLES[sample], "Random:setSeed=on", f"Random:seed={seed}", *more]:
        pythia.readString(setting)
    return pythia


def cross_section(sample: str, seed: int, *, kept: int) -> float:
    """Return the cross section of the hard process in pb, for a sample of so many events."""
    pythia = _pythia(sample, seed, "PartonLevel:all=off", "HadronLevel:all=off")
    pythia.init()
    for _ in range(int(np.clip(20 * kept, *SIGMA_EVENTS))):
        pythia.next()
    return float(pythia.infoPython().sigmaGen()) * 1e9  # from mb


def generate(
    generator: Generator, kept: int, variations: dict[str, Detector]
) -> Iterator[tuple[dict[str, NDArray[Any]], Batch, FiducialColumns]]:
    """Generate batches until so many events are kept; yield their columns, the batch and what passes truth."""
    found = number = 0
    while found < kept:
        batch = generator.batch(min(BATCH, 20 + int(1.3 * (kept - found))))
        fiducial = zjets(batch.particles)
        muons = dress_muons(batch.particles)
        passes, reco = measure(batch.particles, muons, Detector(), seed=(generator.seed, number))
        columns: dict[str, NDArray[Any]] = {name: fiducial.columns[name] for name in OBSERVABLES}
        columns |= {f"reco_{name}": reco[name] for name in OBSERVABLES}
        columns |= {"pass_truth": fiducial.passes, "pass_reco": passes, "weight": batch.weights}
        for name, detector in variations.items():
            passes, reco = measure(batch.particles, muons, detector, seed=(generator.seed, number))
            columns |= {f"{name}:reco_{observable}": reco[observable] for observable in OBSERVABLES}
            columns[f"{name}:pass_reco"] = passes
        rows = columns["pass_truth"] | columns["pass_reco"]
        found += int(rows.sum())
        number += 1
        yield {name: column[rows] for name, column in columns.items()}, batch, fiducial


def sample_of(
    generator: Generator,
    kept: int,
    variations: dict[str, Detector],
    events: list[tuple[Particles, Array, NDArray[np.bool_]]] | None = None,
) -> tuple[dict[str, NDArray[Any]], float]:
    """Generate so many events at least; return their columns, weights in pb, and the generated cross section.

    ``events`` collects particles, generator weights and what passes truth.
    """
    parts = []
    for columns, batch, fiducial in generate(generator, kept, variations):
        parts.append(columns)
        if events is not None:
            events.append((batch.particles, batch.weights, fiducial.passes))
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    sigma = cross_section(generator.sample, generator.seed, kept=kept)
    columns["weight"] = columns["weight"] * sigma / generator.filter.sum_of_weights
    columns["event_id"] = np.arange(len(columns["weight"]), dtype=np.int32)
    return columns, sigma


def write_root(path: Path, columns: dict[str, NDArray[Any]]) -> None:
    """Write a TTree ``events``: float32 columns, -99 where there is nothing."""
    stored: dict[str, NDArray[Any]] = {}
    for name, column in columns.items():
        array = np.asarray(column)
        stored[name] = array if array.dtype.kind in "bi" else np.nan_to_num(array, nan=SENTINEL).astype(np.float32)
    with uproot.recreate(path) as file:
        file.mktree("events", {name: array.dtype for name, array in stored.items()})
        file["events"].extend(stored)


def main() -> None:
    """Generate, write, and say how fast it was."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sample", choices=sorted(SAMPLES))
    parser.add_argument("events", type=int, help="events to keep at least: those that pass truth or detector level")
    parser.add_argument("output", type=Path, help="ROOT file")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--variations", action="store_true", help="write OUTPUT_<variation>.root too")
    parser.add_argument("--hepmc", type=Path, help="write particles of the fiducial events there")
    arguments = parser.parse_args()
    generator = Generator(arguments.sample, arguments.seed, everything=arguments.hepmc is not None)
    start = time.process_time()
    events: list[tuple[Particles, Array, NDArray[np.bool_]]] | None = [] if arguments.hepmc else None
    columns, sigma = sample_of(generator, arguments.events, VARIATIONS if arguments.variations else {}, events)
    spent = time.process_time() - start
    fiducial_pb = float(columns["weight"][columns["pass_truth"]].sum())
    write_root(arguments.output, {name: column for name, column in columns.items() if ":" not in name})
    for name in VARIATIONS if arguments.variations else ():
        varied = {key.partition(":")[2]: column for key, column in columns.items() if key.startswith(f"{name}:")}
        write_root(arguments.output.with_name(f"{arguments.output.stem}_{name}.root"), varied)
    if events is not None:
        from zjets_hepmc import write_hepmc

        write_hepmc(arguments.hepmc, events, sigma=fiducial_pb)
    rate = len(columns["weight"]) / spent
    print(f"{arguments.output}: {len(columns['weight'])} events, {rate:.0f} per second of one core")  # noqa: T201
    print(f"{sigma:.4f} pb generated, {fiducial_pb:.4f} pb fiducial")  # noqa: T201


if __name__ == "__main__":
    main()
