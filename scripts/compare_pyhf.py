"""Compare what pyhf finds in exported workspaces with the closed form.

Usage: ``python scripts/compare_pyhf.py [--bins 5 10 20 40] [--seed 1]``

A falling spectrum with a bump on it, three kinds of covariance, pseudo-data with a signal of three standard deviations,
without one, and without one but off by five standard deviations in directions that the signal does not have. pyhf's own
scan finds the limits (scipy, its default optimiser), its fits the best fit, their rise one error beside it the error;
minuit's own are shown beside. Prints a markdown table of differences in percent.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyhf
from numpy.typing import NDArray
from scipy.stats import chi2, norm

from omnifold_pub.errors import StatisticsError
from omnifold_pub.exchange.gaussian import Strength, strength
from omnifold_pub.exchange.pyhf import Document, refitted, workspace_of
from omnifold_pub.exchange.whitening import Whitened, whiten

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

KINDS = ("diagonal", "strongly correlated", "dominant systematic", "dominant systematic, named")
CASES = ("signal of 3 sigma", "no signal", "5 sigma of tension")
_BOUNDS = (0.3, 30.0)  # of the scan, in errors of mu; near 0 pyhf finds NaN


@dataclass(frozen=True)
class Difference:
    """How far pyhf is off.

    Attributes
    ----------
    scale : float
        Counts that stand for one unit.
    best_fit, error : float
        In errors of mu; relative. With scipy.
    observed, expected : float
        Limits, relative; of the five expected ones that which is off most. With scipy.
    minuit_best_fit, minuit_error : float
        As minuit says.
    seconds : float
        One fit with scipy.
    """

    scale: float
    best_fit: float
    error: float
    observed: float
    expected: float
    minuit_best_fit: float
    minuit_error: float
    seconds: float


def pseudo_experiment(kind: str, case: str, bins: int, *, seed: int) -> Whitened:
    """Return one of them, whitened."""
    rng = np.random.default_rng([seed, bins, KINDS.index(kind), CASES.index(case)])
    centres = (np.arange(bins) + 0.5) / bins
    background: Vector = 1000 * np.exp(-3 * centres)
    signal: Vector = 200 * np.exp(-(((centres - 0.5) / 0.15) ** 2) / 2)
    shift: Vector = 0.2 * background * (1 - centres)
    if kind == "diagonal":
        rest: Matrix = np.diag((0.05 * background) ** 2)
        total = rest
    elif kind == "strongly correlated":
        rest = 0.95 ** np.abs(np.subtract.outer(np.arange(bins), np.arange(bins)))
        rest *= np.outer(0.05 * background, 0.05 * background)
        total = rest
    else:
        rest = np.diag((0.02 * background) ** 2)
        total = rest + np.outer(shift, shift)
    inverse = np.linalg.inv(total)
    error = float(signal @ inverse @ signal) ** -0.5
    noise: Vector = np.linalg.cholesky(total) @ rng.normal(size=bins)
    if case == "5 sigma of tension":
        noise -= signal * float(signal @ inverse @ noise) * error**2
        noise *= np.sqrt(chi2.isf(2 * norm.sf(5), bins - 1) / float(noise @ inverse @ noise))
    injected = 3 * error if case == "signal of 3 sigma" else 0.0
    named = kind.endswith("named")
    return whiten(
        background + injected * signal + noise,
        signal,
        rest if named else total,
        background=background,
        shifts={"scale": shift} if named else None,
    )


def compare(white: Whitened) -> Difference:
    """Export, fit, find the limits."""
    expected = strength(white)
    document = workspace_of(white)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "jsonschema.RefResolver", DeprecationWarning)
        return _compare(json.loads(json.dumps(document)), expected)


def _compare(document: Document, expected: Strength) -> Difference:
    ours = refitted(document, expected)
    workspace = pyhf.Workspace(document)
    model = workspace.model(measurement_name="fit")
    data = workspace.data(model)
    pyhf.set_backend("numpy", pyhf.optimize.minuit_optimizer())
    fitted = pyhf.infer.mle.fit(data, model, return_uncertainties=True)[model.config.poi_index]
    pyhf.set_backend("numpy", pyhf.optimize.scipy_optimizer())
    start = time.perf_counter()
    pyhf.infer.mle.fit(data, model)
    seconds = time.perf_counter() - start
    model = workspace.model(measurement_name="limit")
    low, high = (one * expected.error for one in _BOUNDS)
    observed, bands = pyhf.infer.intervals.upper_limits.toms748_scan(workspace.data(model), model, low, high)
    worst = max(abs(float(one) / other - 1) for one, other in zip(bands, expected.expected, strict=True))
    return Difference(
        document["observations"][1]["data"][0],
        abs(ours.best_fit - expected.best_fit) / expected.error,
        abs(ours.error / expected.error - 1),
        abs(float(observed) / expected.limit - 1),
        worst,
        abs(float(fitted[0]) - expected.best_fit) / expected.error,
        abs(float(fitted[1]) / expected.error - 1),
        seconds,
    )


def table(bins: Sequence[int], *, seed: int) -> list[str]:
    """Return the rows in markdown; differences are in percent, that of mu in percent of its error."""
    names = ("mu", "its error", "observed limit", "expected limits", "Minuit's mu", "its error", "fit")
    columns = ("Covariance", "Data", "Bins", "A", *names)
    rows = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for kind in KINDS:
        for case in CASES:
            for number in bins:
                try:
                    found = compare(pseudo_experiment(kind, case, number, seed=seed))
                except StatisticsError:
                    rows.append(f"| {kind} | {case} | {number} | refused | | | | | | | |")
                    continue
                numbers = (
                    found.best_fit,
                    found.error,
                    found.observed,
                    found.expected,
                    found.minuit_best_fit,
                    found.minuit_error,
                )
                cells = " | ".join(f"{100 * one:.3f}" for one in numbers)
                rows.append(
                    f"| {kind} | {case} | {number} | {found.scale:.0e} | {cells} | {1e3 * found.seconds:.1f} ms |"
                )
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bins", type=int, nargs="+", default=[5, 10, 20, 40])
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    sys.stdout.write("\n".join(table(options.bins, seed=options.seed)) + "\n")


if __name__ == "__main__":
    main()
