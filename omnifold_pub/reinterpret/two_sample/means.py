"""Mean features of a release and of a theory, under every set of weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.accumulation.evaluation import EVENT_SAMPLING_REPLICAS
from omnifold_pub.errors import StatisticsError
from omnifold_pub.format import layout
from omnifold_pub.reinterpret.theory import Theory
from omnifold_pub.reinterpret.two_sample.features import Features
from omnifold_pub.release import Release
from omnifold_pub.statistics.components import Component
from omnifold_pub.statistics.resampling import poisson_multiplicities

__all__ = ["release_means", "theory_means"]

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

_THEORY_SEED = 20_191_108  # not the release's: the theory's events are others
_ROWS = 20_000  # at a time


def _poisson(ids: NDArray[np.int64], replicas: int, seed: int) -> Matrix:
    """Return ``multiplicity[event, replica]``."""
    return np.stack([poisson_multiplicities(seed, r, ids) for r in range(replicas)], axis=1).astype(np.float64)


def release_means(
    release: Release, components: Sequence[Component], points: list[Matrix], kinds: list[Features]
) -> list[Matrix]:
    """Return ``mean[set, feature]`` of each kind of features: nominal weights, then each component's members."""
    data = release.datasets
    nominal, ids = data[f"{layout.WEIGHTS}/{layout.NOMINAL}"], data[layout.EVENT_ID]
    sums: list[Any] = [0.0] * len(kinds)
    totals: Any = 0.0
    for start in range(0, release.events.size, _ROWS):
        stop = min(start + _ROWS, release.events.size)
        weights = nominal.read(start, stop).astype(np.float64)
        columns = [weights[:, np.newaxis]]
        for component in components:
            if component.kind == "event_sampling":
                drawn = _poisson(ids.read(start, stop), EVENT_SAMPLING_REPLICAS, component.seed or 0)
                columns.append(weights[:, np.newaxis] * drawn)
            else:
                columns.append(data[f"{layout.WEIGHTS}/{component.name}"].read(start, stop).astype(np.float64))
        block = np.concatenate(columns, axis=1)
        totals = totals + block.sum(axis=0)
        sums = [one + kind.sums(x[start:stop], block) for one, kind, x in zip(sums, kinds, points, strict=True)]
    return [_means(one, totals, "the release") for one in sums]


def _means(sums: Matrix, totals: Vector, where: str) -> Matrix:
    if not (totals > 0).all():
        msg = f"{where}: under a set of weights their sum is {totals.min():.3g}; expected sums above 0"
        raise StatisticsError(msg)
    means: Matrix = (sums / totals).T
    return means


def theory_means(theory: Theory, points: list[Matrix], kinds: list[Features]) -> list[Matrix]:
    """Return ``mean[set, feature]``: the theory's weights, Poisson replicas of its events, its families' members."""
    sums: list[Any] = [0.0] * len(kinds)
    totals: Any = 0.0
    for start in range(0, theory.events.size, _ROWS):
        stop = min(start + _ROWS, theory.events.size)
        weights = theory.weights[start:stop, np.newaxis]
        drawn = _poisson(np.arange(start, stop), EVENT_SAMPLING_REPLICAS, _THEORY_SEED)
        varied = [family.weights[start:stop] for family in theory.families.values()]
        block = np.concatenate([weights, weights * drawn, *varied], axis=1)
        totals = totals + block.sum(axis=0)
        sums = [one + kind.sums(x[start:stop], block) for one, kind, x in zip(sums, kinds, points, strict=True)]
    return [_means(one, totals, theory.name) for one in sums]
