"""How large the uncertainties are, and which of them dominate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.measurement import Estimate, Measurement
from omnifold_pub.progress import Progress
from omnifold_pub.release import Release
from omnifold_pub.statistics.components import Component

__all__ = ["Budget", "BudgetRow", "SpectrumBudget", "budget_of", "fiducial_cross_section"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class BudgetRow:
    """What one component does to the fiducial cross section.

    Attributes
    ----------
    component : Component
        The declaration.
    error : float
        Standard uncertainty, in the release's unit.
    share : float
        Of the variance.
    """

    component: Component
    error: float
    share: float


@dataclass(frozen=True)
class SpectrumBudget:
    """Relative uncertainty of the bins of one spectrum.

    Attributes
    ----------
    observable : str
        Its name.
    bins : int
        Number of bins that are not empty.
    least, median, largest : float
        Relative total uncertainty of a bin.
    widest : str
        The bin where it is largest.
    dominant : str
        The component with the largest share of the relative variance, summed over the bins; empty without any.
    share : float
        That share.
    """

    observable: str
    bins: int
    least: float
    median: float
    largest: float
    widest: str
    dominant: str
    share: float


@dataclass(frozen=True)
class Budget:
    """The uncertainty budget of a release.

    Attributes
    ----------
    value, error : float
        Fiducial cross section and its standard uncertainty.
    rows : tuple of BudgetRow
        One for each component, the largest first.
    spectra : tuple of SpectrumBudget
        One for each spectrum.
    """

    value: float
    error: float
    rows: tuple[BudgetRow, ...]
    spectra: tuple[SpectrumBudget, ...]

    @property
    def dominants(self) -> dict[str, int]:
        """In how many spectra each component dominates, the most frequent first."""
        names = [one.dominant for one in self.spectra if one.dominant]
        return {name: names.count(name) for name in sorted(set(names), key=lambda name: (-names.count(name), name))}


def _total(_: Mapping[str, NDArray[np.float32]], weights: Array) -> float:
    return float(weights.sum())


def fiducial_cross_section(release: Release, *, progress: Progress | None = None) -> Estimate:
    """Return the sum of all weights with its uncertainty by component."""
    return release.estimate(_total, progress=progress)


def _spectrum_budget(measurement: Measurement) -> SpectrumBudget:
    values = np.abs(measurement.nominal)
    there = values > 0
    relative = measurement.uncertainties()[there] / values[there]
    if not len(relative):
        return SpectrumBudget(measurement.name, 0, 0.0, 0.0, 0.0, "", "", 0.0)
    variances = {
        component.name: float(np.sum((measurement.uncertainties(component.name)[there] / values[there]) ** 2))
        for component in measurement.components
    }
    total = sum(variances.values())
    dominant = max(variances, key=lambda name: variances[name]) if total > 0 else ""
    widest = np.flatnonzero(there)[int(np.argmax(relative))]
    return SpectrumBudget(
        observable=measurement.name,
        bins=len(relative),
        least=float(relative.min()),
        median=float(np.median(relative)),
        largest=float(relative.max()),
        widest=measurement.labels[widest],
        dominant=dominant,
        share=variances[dominant] / total if dominant else 0.0,
    )


def budget_of(cross_section: Estimate, measurements: Mapping[str, Measurement]) -> Budget:
    """Return the budget of the fiducial cross section and of spectra.

    Parameters
    ----------
    cross_section : Estimate
        As `fiducial_cross_section` returns it.
    measurements : mapping
        Spectra by name.
    """
    variance = float(cross_section.covariance()[0, 0])
    rows = [
        BudgetRow(component, error, error**2 / variance if variance > 0 else 0.0)
        for component in cross_section.components
        for error in [float(cross_section.uncertainties(component.name)[0])]
    ]
    rows.sort(key=lambda row: -row.error)
    return Budget(
        value=float(cross_section.nominal[0]),
        error=float(np.sqrt(variance)),
        rows=tuple(rows),
        spectra=tuple(_spectrum_budget(measurement) for measurement in measurements.values()),
    )
