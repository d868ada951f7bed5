"""What a measurement is to those who present it."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.estimators.base import Statistic
from omnifold_pub.statistics.components import CentralRule, Component, ComponentResult

__all__ = ["Measured"]

Array = NDArray[np.float64]


class Measured(Protocol):
    """Values with a covariance by component: `omnifold_pub.measurement.Estimate` and what is derived of it."""

    @property
    def nominal(self) -> Array:
        """``T_0[bin]``."""

    @property
    def results(self) -> tuple[ComponentResult, ...]:
        """What each component does to it."""

    @property
    def statistics(self) -> tuple[Statistic, ...]:
        """What was computed."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """Numbers of each statistic."""

    @property
    def slices(self) -> tuple[slice, ...]:
        """Where the numbers of each are among all."""

    @property
    def labels(self) -> tuple[str, ...]:
        """What each number is."""

    @property
    def units(self) -> tuple[str, ...]:
        """Unit of each statistic."""

    @property
    def weight_unit(self) -> str:
        """Unit of the weights."""

    @property
    def effective_events(self) -> Array:
        """``[bin]``; NaN where nobody knows."""

    @property
    def central(self) -> CentralRule:
        """How the nominal weights were made."""

    @property
    def components(self) -> tuple[Component, ...]:
        """Components of the covariance."""

    def covariance(self, component: str | None = None) -> Array:
        """Return ``covariance[bin, bin]``."""

    def uncertainties(self, component: str | None = None) -> Array:
        """Return ``sqrt(diag(covariance))[bin]``."""
