"""The main job on a small real sample: unfold, publish, validate, measure, compare, and check against the truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.closure import ClosureTable, closure_table, prior_theory
from omnifold_pub.errors import InputError
from omnifold_pub.extras import require
from omnifold_pub.inputs.analysis import read_analysis
from omnifold_pub.measurement import Estimate, JointMeasurement, Measurement
from omnifold_pub.observables.binning import Axis
from omnifold_pub.observables.momenta import VectorColumns
from omnifold_pub.progress import Progress, silent
from omnifold_pub.publish import publish
from omnifold_pub.reinterpret.comparison import Comparison, compare
from omnifold_pub.reinterpret.theory import Theory
from omnifold_pub.release import open_release
from omnifold_pub.report import write_report
from omnifold_pub.unfold.campaign import unfold
from omnifold_pub.validate import Report, validate

__all__ = ["CLOSURE_BINS", "Outcome", "delta_phi_lj", "dimuon_mass", "run_demo"]

INPUTS = Path("tests/data/zjets")
"""Where the small samples are in a checkout."""

TAU21 = "tau2_trackj1 / tau1_trackj1"

CLOSURE_BINS: dict[str, list[float]] = {
    "Ntracks_trackj1": [1, 5, 8, 11, 14, 18, 40],
    "m_trackj1": [0, 4, 7, 10, 14, 19, 26, 60],
    "tau1_trackj1": [0, 0.04, 0.07, 0.10, 0.14, 0.19, 0.26, 0.5],
    TAU21: [0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0],
    "pT_ll": [200, 225, 255, 300, 360, 450, 1000],
    "pT_l1": [100, 160, 185, 215, 260, 320, 800],
}


def dimuon_mass(events: VectorColumns) -> NDArray[np.float64]:
    """Compute the invariant mass of the two muons in GeV, which no column holds."""
    dimuon: Any = events.vector("l1") + events.vector("l2")
    mass: NDArray[np.float64] = dimuon.mass
    return mass


def delta_phi_lj(events: VectorColumns) -> NDArray[np.float64]:
    """Compute the azimuth between the dimuon system and the leading jet, in [0, pi], which no column holds."""
    dimuon: Any = events.vector("l1") + events.vector("l2")
    azimuth: NDArray[np.float64] = np.abs(dimuon.deltaphi(events.vector("trackj1")))
    return azimuth


UNDECLARED: dict[str, Any] = {
    "tau21_trackj1": (TAU21, Axis.from_bins(CLOSURE_BINS[TAU21], label=r"$\tau_{21}^{j_1}$")),
    "delta_phi_lj": (
        delta_phi_lj,
        Axis.from_bins([0, 2.2, 2.7, 2.9, 3.0, 3.07, np.pi], label=r"$|\Delta\phi(\mu\mu, j_1)|$ [rad]"),
    ),
    "dimuon_mass": (
        dimuon_mass,
        Axis.from_bins([81, 86, 89, 90.5, 91.5, 93, 96, 101], label=r"$m_{\mu\mu}$ [GeV]"),
    ),
    "pT_l1 / pT_l2": Axis.from_bins([1, 1.3, 1.8, 2.5, 4, 10], label=r"$p_T^{\mu_1} / p_T^{\mu_2}$"),
}
"""Observables that no column holds and the training never saw by name, with their bins."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What the demo came to.

    Attributes
    ----------
    release : pathlib.Path
        The release it published.
    metadata : dict
        The release's.
    report : Report
        Outcome of its validation.
    measurement : JointMeasurement
        Observables that nobody declared, with the covariance between them.
    comparison : Comparison
        Theory against these.
    closure : ClosureTable
        Unfolded against the truth of the pseudo-data.
    cross_section : Estimate
        Fiducial cross section.
    truth_cross_section, prior_cross_section : float
        Of the truth and of the simulation.
    pictures : tuple of pathlib.Path
        Drawn along the way.
    summary : pathlib.Path
        The report of the release.
    """

    release: Path
    metadata: dict[str, Any]
    report: Report
    measurement: JointMeasurement
    comparison: Comparison
    closure: ClosureTable
    cross_section: Estimate
    truth_cross_section: float
    prior_cross_section: float
    pictures: tuple[Path, ...]
    summary: Path


def _total(_: Mapping[str, NDArray[np.float32]], weights: NDArray[np.float64]) -> float:
    return float(weights.sum())


def run_demo(
    output: str | Path, *, inputs: str | Path = INPUTS, workers: int | None = None, progress: Progress | None = None
) -> Outcome:
    """Run the main job and leave release, pictures and a report (``summary.html``) in a folder.

    Parameters
    ----------
    output : str or path-like
        Folder for everything; what a run before left in its ``run/`` is used again.
    inputs : str or path-like
        Folder with ``analysis.yaml``, the samples it names, ``data_truth.root`` and ``theory.root``.
    workers : int, optional
        Processes, by default one per core.
    progress : callable, optional
        Called with (done, total, what).

    Raises
    ------
    InputError
        If the inputs are not there.
    """
    require("matplotlib", "mplhep", "jinja2", extra="plot", purpose="The demo")
    require("vector", extra="vector", purpose="The demo")
    inputs, output = Path(inputs), Path(output)
    if not (inputs / "analysis.yaml").is_file():
        msg = f"{inputs}: no analysis.yaml here; run the demo in a checkout of the project, or name the inputs' folder"
        raise InputError(msg)
    output.mkdir(parents=True, exist_ok=True)
    analysis = read_analysis(inputs / "analysis.yaml")
    result = unfold(inputs / "analysis.yaml", output / "run", workers=workers, progress=progress)
    path = publish(result, output / "release.h5", overwrite=True, progress=progress)
    report = validate(path, progress=progress)

    names = [observable.name for observable in analysis.observables]
    settings: dict[str, Any] = {
        "tree": "events",
        "weight": "weight",
        "unit": analysis.document["weight_unit"],
        "columns": names,
        "sentinel": analysis.document["inputs"].get("sentinel"),
    }
    theory = Theory.from_root(inputs / "theory.root", name="theory (another tune)", **settings)
    truth = Theory.from_root(inputs / "data_truth.root", name="truth of the pseudo-data", **settings)
    with open_release(path) as release:
        measurement = release.measure(UNDECLARED, nan="drop")
        closures = {name: release.measure(name, bins, nan="drop") for name, bins in CLOSURE_BINS.items()}
        drawn = {name: measurement[name] for name in measurement.names}
        drawn |= {name: closure for name, closure in closures.items() if name != TAU21}  # drawn as tau21_trackj1
        prior = prior_theory(release)
        closure = closure_table(release, truth, observables=CLOSURE_BINS, nan="drop")
        summary = write_report(
            release,
            output / "summary.html",
            observables=UNDECLARED | {name: bins for name, bins in CLOSURE_BINS.items() if name != TAU21},
            theories=[theory],
            beside=[truth],
            closure=closure,
            validation=report,
            progress=progress,
        )
        return Outcome(
            release=path,
            metadata=release.metadata,
            report=report,
            measurement=measurement,
            comparison=compare(measurement, theory),
            closure=closure,
            cross_section=release.estimate(_total),
            truth_cross_section=float(truth.weights.sum()),
            prior_cross_section=float(prior.weights.sum()),
            pictures=_draw(
                release.metadata["title"], drawn, measurement, (prior, theory, truth), output, progress or silent
            ),
            summary=summary,
        )


def _draw(
    title: str,
    measurements: Mapping[str, Measurement],
    joint: JointMeasurement,
    predictions: tuple[Theory, Theory, Theory],
    output: Path,
    progress: Progress,
) -> tuple[Path, ...]:
    """Draw every spectrum with prior, theory and truth, and the correlation of the undeclared observables."""
    from matplotlib.figure import Figure

    from omnifold_pub import plots

    prior, theory, truth = predictions
    pictures: list[Path] = []
    total = len(measurements) + 1
    with plots.style():
        for name, measured in measurements.items():
            progress(len(pictures), total, "drawing")
            curves = []
            for source, colour, line in ((prior, "#c1440e", "--"), (theory, "#6a3d9a", "-."), (truth, "black", "-")):
                values, covariance = source.predict(measured)
                errors = None if source is prior else np.sqrt(np.diag(covariance))
                curves.append(plots.Curve(source.name, values, colour, line, errors))
            figure = plots.spectrum_figure(measured, curves=curves, title=title)
            pictures.append(output / f"{name.replace(' / ', '_over_')}.png")
            figure.savefig(pictures[-1])
        figure = Figure(figsize=(7.2, 6.4), layout="constrained")
        axes = plots.correlation(joint, ax=figure.subplots())
        axes.set_title("Observables that nobody declared: total correlation", loc="left")
        pictures.append(output / "correlation.png")
        figure.savefig(pictures[-1])
    progress(total, total, "drawing")
    return tuple(pictures)
