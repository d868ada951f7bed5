"""Measurements of the release made by hand, and a small one of which every number is chosen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from omnifold_pub import JointMeasurement, Measurement, open_release
from omnifold_pub.estimators import Histogram
from omnifold_pub.statistics.components import Component, ComponentResult, component_covariance


@pytest.fixture(scope="session")
def pair(published: Path) -> JointMeasurement:
    """Two histograms with every kind of component."""
    with open_release(published) as release:
        return release.measure({"x": [-2.0, -0.7, 0.1, 0.8, 2.5], "y": Histogram("y", [0, 15, 40, 120], density=True)})


def make_measurement(
    systematics: int, *, edges: tuple[float, ...] = (0.0, 1.0, 3.0), name: str = "source {}, [a]"
) -> Measurement:
    """Return a density of chosen numbers with one bootstrap and some variations, which shift all bins upward."""
    nominal = np.arange(1.0, len(edges))
    rng = np.random.default_rng(5)
    components = [Component("data", "bootstrap", members=8)]
    components += [Component(name.format(i), "variation", members=1) for i in range(systematics)]
    results = []
    for component in components:
        factors = rng.normal(0, 0.1, (component.members, len(nominal)))
        members = nominal * (1 + (np.abs(factors) if component.kind == "variation" else factors))
        covariance = component_covariance(component, members, nominal, central="mean")
        results.append(ComponentResult(component, members, covariance))
    statistic = Histogram("z", edges, density=True)
    return Measurement(
        nominal=nominal,
        results=tuple(results),
        statistics=(statistic,),
        sizes=(len(nominal),),
        units=("pb / GeV",),
        weight_unit="pb",
        effective_events=np.full(len(nominal), 100.0),
        central="mean",
    )
