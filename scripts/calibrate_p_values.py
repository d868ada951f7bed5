"""Measure how often a true prediction is rejected: the calibration of `chi2_test`, in pseudo-experiments.

Usage: ``python scripts/calibrate_p_values.py [--experiments 1000] [--bins 5 14 20] [--replicas 25 100] [--seed 1]``

Each pseudo-experiment draws a residual from its true covariance, and anew the replicas of all estimated parts; the test
gets the residual and what a release would hold: the analytic parts, and covariances of the replicas. Prints a markdown
table: how often the p-value is at most 5 %, in percent, with the binomial error.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.cli.console import progress_bars
from omnifold_pub.progress import silent
from omnifold_pub.statistics.components import Component, ComponentResult, component_covariance
from omnifold_pub.statistics.inference import chi2_test

Matrix = NDArray[np.float64]

LEVEL = 0.05
TOYS = 199
_ENSEMBLE = 10


@dataclass(frozen=True, eq=False)
class Source:
    """One part of the true covariance of a residual.

    Attributes
    ----------
    component : Component
        As a release declares it; its members are drawn anew in each pseudo-experiment, unless it has none.
    covariance : numpy.ndarray
        ``covariance[bin, bin]``: what the component adds to that of the residual.
    """

    component: Component
    covariance: Matrix


@dataclass(frozen=True)
class Rate:
    """How often a true prediction was rejected.

    Attributes
    ----------
    rejected : int
        Pseudo-experiments with a p-value of at most 5 %.
    experiments : int
        All of them.
    """

    rejected: int
    experiments: int

    @property
    def value(self) -> float:
        """The rate, 0 to 1."""
        return self.rejected / self.experiments

    @property
    def error(self) -> float:
        """Binomial error of a rate of 5 %."""
        return float(np.sqrt(LEVEL * (1 - LEVEL) / self.experiments))


def correlated(bins: int) -> Matrix:
    """Return a covariance of neighbours that go together, of errors that span a factor of ten."""
    position = np.arange(bins)
    errors = 10.0 ** np.linspace(0, 1, bins)
    matrix: Matrix = 0.6 ** np.abs(position[:, np.newaxis] - position) * np.outer(errors, errors)
    return matrix


def oblique(bins: int, decades: float) -> Matrix:
    """Return a covariance that is the same size as `correlated`, of other directions and other eigenvalues."""
    rotation, _ = np.linalg.qr(np.random.default_rng(bins).standard_normal((bins, bins)))
    values = 10.0 ** np.linspace(0, -decades, bins)
    lower = np.linalg.cholesky(correlated(bins))
    matrix: Matrix = lower @ (rotation * (values / values.mean())) @ rotation.T @ lower.T
    return matrix


def analytic(covariance: Matrix) -> Source:
    """Return a part that is known without replicas."""
    return Source(Component("event_sampling", "event_sampling"), covariance)


def bootstrap(covariance: Matrix, replicas: int, name: str = "bootstrap") -> Source:
    """Return a part that is known from replicas."""
    return Source(Component(name, "bootstrap", members=replicas), covariance)


def ensemble(covariance: Matrix) -> Source:
    """Return the part of a mean of few trainings."""
    return Source(Component("ensemble", "ensemble", members=_ENSEMBLE), covariance)


Mixture = Callable[[int, int], list[Source]]


def _luminosity(bins: int) -> Matrix:
    """Return an uncertainty that all bins share, and a little of their own."""
    errors = np.sqrt(np.diag(correlated(bins)))
    return np.outer(errors, errors) + 0.05 * np.diag(errors**2)


MIXTURES: dict[str, Mixture] = {
    "bootstrap alone": lambda p, n: [bootstrap(correlated(p), n)],
    "+ 0.01 analytic, diagonal": lambda p, n: [bootstrap(correlated(p), n), analytic(0.01 * _diagonal(p))],
    "+ 0.1 analytic, diagonal": lambda p, n: [bootstrap(correlated(p), n), analytic(0.1 * _diagonal(p))],
    "+ 1 analytic, diagonal": lambda p, n: [bootstrap(correlated(p), n), analytic(_diagonal(p))],
    "+ 10 analytic, diagonal": lambda p, n: [bootstrap(correlated(p), n), analytic(10 * _diagonal(p))],
    "+ 0.1 analytic, oblique": lambda p, n: [bootstrap(correlated(p), n), analytic(0.1 * oblique(p, 2))],
    "+ 1 analytic, oblique": lambda p, n: [bootstrap(correlated(p), n), analytic(oblique(p, 4))],
    "+ luminosity": lambda p, n: [bootstrap(correlated(p), n), analytic(_luminosity(p))],
    "two bootstraps": lambda p, n: [bootstrap(correlated(p), n), bootstrap(oblique(p, 1.5), 2 * n, "other")],
    "two bootstraps + 0.3 analytic": lambda p, n: [
        bootstrap(correlated(p), n),
        bootstrap(oblique(p, 1.5), 2 * n, "other"),
        analytic(0.3 * _diagonal(p)),
    ],
    "ensemble of 10 / 10 + bootstrap": lambda p, n: [ensemble(0.1 * oblique(p, 1.5)), bootstrap(correlated(p), n)],
    "ensemble of 10 + bootstrap + 1 analytic": lambda p, n: [
        ensemble(oblique(p, 1.5)),
        bootstrap(correlated(p), n),
        analytic(_diagonal(p)),
    ],
}
"""Name of a mixture -> its parts, given the bins and the replicas of the bootstrap."""


def _diagonal(bins: int) -> Matrix:
    return np.diag(np.diag(correlated(bins)))


def observed(source: Source, root: Matrix, rng: np.random.Generator) -> ComponentResult:
    """Draw what a release would hold of a part; root is that of its covariance."""
    component, count = source.component, source.component.members
    if not count:
        return ComponentResult(component, np.empty((0, len(root))), source.covariance)
    members = rng.standard_normal((count, len(root))) @ root.T
    if component.kind == "ensemble":
        members *= np.sqrt(count)  # the nominal is their mean
    covariance = component_covariance(component, members, members.mean(axis=0), central="mean")
    return ComponentResult(component, members, covariance)


def _root(covariance: Matrix) -> Matrix:
    return np.asarray(np.linalg.cholesky(covariance), dtype=np.float64)


def p_values(sources: Sequence[Source], experiments: int, *, seed: int, toys: int = TOYS) -> Iterator[float]:
    """Yield the p-value of a true prediction in each pseudo-experiment.

    Parameters
    ----------
    sources : sequence of Source
        Parts of the covariance.
    experiments : int
        How many.
    seed : int
        Of all random numbers; the test gets another one in each pseudo-experiment.
    toys : int
        Of the test.
    """
    rng = np.random.default_rng(seed)
    roots = [_root(source.covariance) for source in sources]
    bins = len(roots[0])
    for _ in range(experiments):
        residual = sum((root @ rng.standard_normal(bins) for root in roots), np.zeros(bins))
        parts = [observed(source, root, rng) for source, root in zip(sources, roots, strict=True)]
        yield chi2_test(residual, parts, toys=toys, seed=int(rng.integers(2**32))).p_value


def rejection_rate(sources: Sequence[Source], experiments: int, *, seed: int, toys: int = TOYS) -> Rate:
    """Return how often a true prediction is rejected; for the parameters see `p_values`."""
    return Rate(sum(p <= LEVEL for p in p_values(sources, experiments, seed=seed, toys=toys)), experiments)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=int, default=1000, help="pseudo-experiments in each cell of the table")
    parser.add_argument("--bins", type=int, nargs="+", default=[5, 14, 20])
    parser.add_argument("--replicas", type=int, nargs="+", default=[25, 100], help="of the (first) bootstrap")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    cells = [(bins, replicas) for bins in arguments.bins for replicas in arguments.replicas]
    possible = {name: [c for c in cells if c[1] > c[0] or name != "bootstrap alone"] for name in MIXTURES}
    total, done = sum(map(len, possible.values())), 0
    _print("| Rejected at 5 % | " + " | ".join(f"p = {p}, N = {n}" for p, n in cells) + " |")
    _print("|---|" + "---|" * len(cells))
    with progress_bars() as bars:
        tell = bars or silent
        for name, mixture in MIXTURES.items():
            row = []
            for number, cell in enumerate(cells):
                if cell not in possible[name]:
                    row.append("no p-value")
                    continue
                seed = arguments.seed + 1000 * number
                rate = rejection_rate(mixture(*cell), arguments.experiments, seed=seed)
                row.append(f"{100 * rate.value:.1f}")
                done += 1
                tell(done, total, "calibrating")
            _print(f"| {name} | " + " | ".join(row) + " |")
    error = 100 * Rate(0, arguments.experiments).error
    _print(f"\n{arguments.experiments} pseudo-experiments in each cell: the binomial error of 5 % is {error:.2f} %")


def _print(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a script


if __name__ == "__main__":
    main()
