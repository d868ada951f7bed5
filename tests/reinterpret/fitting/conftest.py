"""Measurements that are drawn, of a truth that is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from omnifold_pub import Measurement
from omnifold_pub.estimators import Histogram
from omnifold_pub.statistics.components import Component, ComponentResult, component_covariance

Array = NDArray[np.float64]
MakeMeasurement = Callable[..., Measurement]


def _measurement(nominal: Array, parts: dict[str, Array], *, edges: Array | None = None) -> Measurement:
    """Make a measurement of components: bootstrap members ``[member, bin]``, or an analytic ``covariance[bin, bin]``.

    Names that begin with "bootstrap" are replicas, with "shift" one-sided variations, with "model" two-points.
    """
    bins = len(nominal)
    results = []
    for name, array in parts.items():
        if name.startswith("bootstrap"):
            component = Component(name, "bootstrap", members=len(array))
        elif name.startswith("shift"):
            component = Component(name, "variation", members=1)
        elif name.startswith("model"):
            component = Component(name, "two_point", members=1)
        else:
            results.append(ComponentResult(Component(name, "event_sampling"), np.empty((0, bins)), array))
            continue
        covariance = component_covariance(component, array, nominal, central="single")
        results.append(ComponentResult(component, array, covariance))
    return Measurement(
        nominal=nominal,
        results=tuple(results),
        statistics=(Histogram("x", np.arange(bins + 1.0) if edges is None else edges),),
        sizes=(bins,),
        units=("pb",),
        weight_unit="pb",
        effective_events=np.full(bins, np.nan),
        central="single",
    )


@pytest.fixture(scope="session")
def make_measurement() -> MakeMeasurement:
    """Return the function that makes one."""
    return _measurement
