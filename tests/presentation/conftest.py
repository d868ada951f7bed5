"""Measurements of every kind of statistic, of the release made by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from omnifold_pub import JointMeasurement, Measurement, Release
from omnifold_pub.estimators import Custom, Histogram, Moments, Profile, Quantiles, Ratio

EDGES = [-2.0, -0.7, 0.1, 0.8, 2.5]


def double(events: Mapping[str, NDArray[np.float32]]) -> NDArray[Any]:
    return 2 * events["z"]


def mean_x(events: Mapping[str, NDArray[np.float32]], weights: NDArray[np.float64]) -> float:
    return float(np.average(events["x"], weights=weights))


COMPUTABLE: dict[str, Any] = {
    "x": EDGES,
    "x * z": Histogram("x * z", [-1, 0, 1], where="n >= 2", flow=True, nan="drop"),
    "shares": Histogram(["x", "n"], [[-1.0, 0.0, 1.0], [0, 2.5, 20]], normalise=True),
    "density": Histogram("y", [0, 15, 40, 120], density=True),
    "profile": Profile("y", "x", EDGES, where="z > 0.2"),
    "ratio": Ratio(Histogram("x", EDGES, where="n > 2"), Histogram("x", EDGES)),
    "moments": Moments("x", [1, 2, 3]),
    "quantiles": Quantiles("x", [0.25, 0.5]),
}
FUNCTIONS: dict[str, Any] = {
    "function": Custom(mean_x),
    "doubled": Histogram(double, [0, 1, 2]),
    "of x": Profile(double, "x", EDGES),
    "by function": Ratio(Histogram(double, [0, 1, 2]), Histogram("z", [0, 0.5, 1])),
}


@pytest.fixture
def measurement(release: Release) -> Measurement:
    return release.measure("x", EDGES)


@pytest.fixture
def computable(release: Release) -> JointMeasurement:
    """One of each kind that expressions define."""
    return release.measure(COMPUTABLE)


@pytest.fixture
def functions(release: Release) -> JointMeasurement:
    """Those that Python functions define."""
    return release.measure(FUNCTIONS)
