"""Numbers that are linear in a sample's weights, and distances between two samples that are made of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import StatisticsError

__all__ = ["Discriminant", "Features", "Slices"]

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

_SEED = 20_191_107  # fixed: the same samples have the same distance
_RIDGE = 1e-3  # of the features' mean variance: directions without any are no discriminant


class Features(ABC):
    """Features of events; a sample is their mean under its weights."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of features."""

    @abstractmethod
    def sums(self, points: Matrix, weights: Matrix) -> Matrix:
        """Return ``sum[feature, set]`` over some events, of ``value[event, coordinate]`` and ``weight[event, set]``."""

    @abstractmethod
    def distances(self, differences: Matrix) -> dict[str, Vector]:
        """Return ``distance[row]`` by name, of differences of means ``[row, feature]``."""


@dataclass(frozen=True, eq=False)
class Slices(Features):
    r"""Distribution functions along directions: Wasserstein and energy distances.

    F and G the distribution functions of the two samples projected on a direction, the sliced Wasserstein-1 distance is
    the mean over directions of :math:`\int |F - G| dt` (Bonneel et al., J. Math. Imaging Vis. 51 (2015) 22). The energy
    distance :math:`2 E|X - Y| - E|X - X'| - E|Y - Y'|` (Szekely and Rizzo, J. Stat. Plan. Inference 143 (2013) 1249)
    is :math:`2 \int (F - G)^2 dt` in one dimension, and in d dimensions the mean of that over all directions times
    :math:`\sqrt\pi \, \Gamma((d + 1) / 2) / \Gamma(d / 2)`, since the mean of a vector's projections is proportional to
    its length. Both integrals are sums over a grid that is fixed beforehand.

    Attributes
    ----------
    directions : numpy.ndarray
        ``[coordinate, direction]``, of length 1.
    edges : numpy.ndarray
        ``[direction, edge]``: of the grid.
    """

    directions: Matrix
    edges: Matrix

    @classmethod
    def of(cls, points: Matrix, *, projections: int = 50, cells: int = 100) -> Slices:
        """Choose directions that are uniform on the sphere, and grids with as many of these events in each cell.

        Parameters
        ----------
        points : numpy.ndarray
            ``value[event, coordinate]`` of both samples.
        projections : int
            Number of directions; one dimension has one.
        cells : int
            Of the grid along each.

        Raises
        ------
        StatisticsError
            If there is no direction or no cell, or a value is not finite.
        """
        if projections < 1 or cells < 2 or not np.isfinite(points).all():
            found = f"{projections} and {cells}" if np.isfinite(points).all() else "values that are not finite"
            msg = f"sliced distances: expected at least 1 projection and 2 cells, and finite values; found {found}"
            raise StatisticsError(msg)
        dimensions = points.shape[1]
        rng = np.random.default_rng(_SEED)
        directions = rng.normal(size=(dimensions, 1 if dimensions == 1 else projections))
        directions /= np.linalg.norm(directions, axis=0)
        edges = np.quantile(points @ directions, np.linspace(0, 1, cells + 1), axis=0).T
        return cls(directions, np.ascontiguousarray(edges))

    @property
    def size(self) -> int:
        """Number of inner edges, along all directions."""
        return len(self.edges) * (len(self.edges[0]) - 2)

    def sums(self, points: Matrix, weights: Matrix) -> Matrix:
        """Return the weight below the middle of each cell but the outermost, along each direction in turn."""
        from scipy import sparse

        events, cells = len(points), self.edges.shape[1] - 1
        found = []
        for direction, edges in zip(self.directions.T, self.edges, strict=True):
            cell = np.searchsorted(edges[1:-1], points @ direction, side="right")
            inside = sparse.csr_array((np.ones(events), (cell, np.arange(events))), shape=(cells, events))
            found.append(np.cumsum(inside @ weights, axis=0)[:-1])
        return np.concatenate(found)

    def distances(self, differences: Matrix) -> dict[str, Vector]:
        """Return ``sliced Wasserstein`` and ``energy`` distances."""
        from scipy import special

        number, dimensions = len(self.edges), len(self.directions)
        widths = (self.edges[:, 2:] - self.edges[:, :-2]).ravel() / (2 * number)
        log_factor = special.gammaln((dimensions + 1) / 2) - special.gammaln(dimensions / 2)
        factor = np.sqrt(np.pi) * np.exp(log_factor)
        return {
            "sliced Wasserstein": np.abs(differences) @ widths,
            "energy": 2 * factor * (differences**2 @ widths),
        }


@dataclass(frozen=True, eq=False)
class Discriminant(Features):
    r"""Fisher's linear discriminant in coordinates, their squares and products: a classifier that is trained at once.

    With :math:`\mu` the difference of the samples' mean features and S their covariance within both, the best linear
    score separates the samples by :math:`\sqrt{\mu^T S^{-1} \mu}` of its standard deviations (Fisher, Ann. Eugenics 7
    (1936) 179). The score is found anew for each pair of samples, so that its freedom to adapt is in the null
    distribution; see Friedman, SLAC-PUB-10325 (2003) for tests by classifiers.

    Attributes
    ----------
    whitening : numpy.ndarray
        ``[direction, feature]``: turns S into the unit matrix.
    """

    whitening: Matrix

    @classmethod
    def of(cls, points: Matrix, weights: Vector) -> Discriminant:
        """Take the covariance within, from both samples as one.

        Parameters
        ----------
        points : numpy.ndarray
            ``value[event, coordinate]`` of both samples, of bounded range: ranks.
        weights : numpy.ndarray
            ``weight[event]``; each sample's sum to the same.
        """
        features = _products(points)
        share = weights / weights.sum()
        mean = share @ features
        covariance = (features * share[:, np.newaxis]).T @ features - np.outer(mean, mean)
        values, vectors = np.linalg.eigh(covariance)
        kept = np.maximum(values, 0) + _RIDGE * values.mean()
        return cls((vectors / np.sqrt(kept)).T)

    @property
    def size(self) -> int:
        """Number of features."""
        return len(self.whitening)

    def sums(self, points: Matrix, weights: Matrix) -> Matrix:
        """Return the weighted sums of coordinates, their squares and products."""
        found: Matrix = _products(points).T @ weights
        return found

    def distances(self, differences: Matrix) -> dict[str, Vector]:
        """Return the separation by the ``discriminant``."""
        return {"discriminant": np.linalg.norm(differences @ self.whitening.T, axis=1)}


def _products(points: Matrix) -> Matrix:
    rows, columns = np.triu_indices(points.shape[1])
    return np.concatenate([points, points[:, rows] * points[:, columns]], axis=1)
