"""Merging fine bins into bins that are inside of all limits, about equal, and round."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.accumulation.evaluation import Evaluation
from omnifold_pub.observables.rounding import coarseness
from omnifold_pub.validity import Limits

__all__ = ["FineBins", "without_bin"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

_ROUNDNESS = 0.03  # what a factor of two in coarseness is worth, against (events / mean events - 1)^2 of a bin


def _joint_variance(found: Evaluation, names: Sequence[str] | None = None) -> Array:
    """Return ``variance[i, j]`` of the content from edge i to edge j, of some components or of all."""
    size = len(found.nominal)
    total = np.zeros((size + 1, size + 1))
    for result in found.results:
        if names is None or result.component.name in names:
            covariance = result.covariance
            if not result.component.correlated:  # declared bin by bin, whatever the bins are
                shifts = result.members - found.nominal
                covariance = shifts.T @ shifts
            total[1:, 1:] += covariance.cumsum(axis=0).cumsum(axis=1)
    diagonal = np.diag(total)
    variance: Array = np.maximum(diagonal[np.newaxis, :] + diagonal[:, np.newaxis] - total - total.T, 0)
    return variance


def _between(numbers: Array) -> Array:
    """Return ``sum[i, j]`` from edge i to edge j."""
    sums = np.concatenate([[0.0], np.cumsum(numbers)])
    between: Array = sums[np.newaxis, :] - sums[:, np.newaxis]
    return between


@dataclass(frozen=True, eq=False)
class FineBins:
    """A histogram in fine bins: what any merging of them gives.

    Attributes
    ----------
    edges : numpy.ndarray
        ``edge[edge]``.
    amount : numpy.ndarray
        ``amount[i, j]``: effective events of the fine bins from edge i to edge j, added up.
    usable : numpy.ndarray
        ``usable[i, j]``: whether a bin from edge i to edge j is inside of all limits.
    """

    edges: Array
    amount: Array
    usable: Mask

    @classmethod
    def of(
        cls, found: Evaluation, edges: Array, limits: Limits, *, uncertainty: float, outside: Iterable[int]
    ) -> FineBins:
        """Compute it from a measurement in fine bins.

        Parameters
        ----------
        found : Evaluation
            The measurement.
        edges : numpy.ndarray
            ``edge[edge]`` of the fine bins.
        limits : Limits
            Of effective events and effective data events.
        uncertainty : float
            Largest relative uncertainty, all components together.
        outside : iterable of int
            Fine bins that no bin may hold.
        """
        effective = found.effective_events
        squares = np.divide(found.nominal**2, effective, out=np.zeros_like(effective), where=effective > 0)
        content, spread = _between(found.nominal), _between(squares)
        with np.errstate(divide="ignore", invalid="ignore"):
            events = np.where(spread > 0, content**2 / spread, 0)
            data_events = content**2 / _joint_variance(found, limits.data_bootstraps)
            relative = np.sqrt(_joint_variance(found)) / np.abs(content)
        strict = 1 + 1e-9  # sums are rounded
        usable = np.triu(events >= strict * limits.effective_events, 1)
        if limits.data_events:
            usable &= (content != 0) & (data_events >= strict * limits.data_events)  # NaN and 0 / 0 are not
        if math.isfinite(uncertainty):
            usable &= relative * strict <= uncertainty
        bad = np.zeros(len(found.nominal))
        bad[list(outside)] = 1
        usable &= _between(bad) == 0
        return cls(edges, _between(effective), usable)

    @property
    def total(self) -> float:
        """Effective events of all fine bins, added up."""
        return float(self.amount[0, -1])

    def part(self, first: int, last: int) -> FineBins:
        """Return what lies from one edge to another."""
        inside = slice(first, last + 1)
        return FineBins(self.edges[inside], self.amount[inside, inside], self.usable[inside, inside])

    def reach(self, most: int) -> list[Mask]:
        """Return ``reached[bins][edge]``: whether so many usable bins lead from the first edge there."""
        reached = [np.arange(len(self.edges)) == 0]
        for _ in range(most):
            reached.append((reached[-1][:, np.newaxis] & self.usable).any(axis=0))
        return reached

    def partition(self, bins: int, *, rounded: bool) -> Array | None:
        """Return the edges of at most so many bins, about equal and round; None if not even one is usable."""
        possible = [n for n, reached in enumerate(self.reach(bins)) if n and reached[-1]]
        if not possible:
            return None
        bins = possible[-1]
        cost = (self.amount * (bins / max(self.total, 1e-300)) - 1) ** 2
        if rounded:
            grain = np.array([coarseness(edge) for edge in self.edges.tolist()])
            grain[-1] = np.inf  # it is the last edge of any partition
            widths = np.maximum(self.edges[np.newaxis, :] - self.edges[:, np.newaxis], 1e-300)
            cost = cost + _ROUNDNESS * np.log2(np.maximum(widths / grain, 1))
        cost[~self.usable] = np.inf
        best = np.where(np.arange(len(self.edges)) == 0, 0.0, np.inf)
        origins = []
        for _ in range(bins):
            through = best[:, np.newaxis] + cost
            origins.append(through.argmin(axis=0))
            best = through.min(axis=0)
        chosen = [len(self.edges) - 1]
        for origin in reversed(origins):
            chosen.append(int(origin[chosen[-1]]))
        return self.edges[chosen[::-1]]

    def largest_usable(self) -> tuple[int, int] | None:
        """Return the edges of the usable bin with the most events; None if there is none."""
        if not self.usable.any():
            return None
        amounts = np.where(self.usable, self.amount, -1.0)
        first, last = np.unravel_index(int(amounts.argmax()), amounts.shape)
        return int(first), int(last)


def without_bin(edges: Array, bad: int, events: Array) -> Array:
    """Merge a bin with that neighbour which has fewer events.

    >>> without_bin(np.array([0.0, 1, 2, 3]), 1, np.array([50.0, 3, 20])).tolist()
    [0.0, 1.0, 3.0]
    """
    left = bad > 0 and (bad == len(events) - 1 or events[bad - 1] <= events[bad + 1])
    return np.delete(edges, bad if left else bad + 1)
