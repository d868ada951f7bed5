"""Distances between two weighted samples, and what they are between two samples of the same law.

The floors are closed forms for weighted events, from the normal limit of the difference of two histograms or of two
distribution functions. They are exact as both samples grow, and take the samples to be independent: pseudo-data and
their truth share fluctuations, so that an unfolding may come out below.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from omnifold_pub.errors import StatisticsError
from omnifold_pub.reinterpret.two_sample.floor import Floor

__all__ = ["sliced_wasserstein", "triangular_discriminator", "triangular_floor", "wasserstein"]

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

_PER_MILLE = 1000  # the discriminator is quoted times 1000 in the literature
_GRID = 100  # points of the integral behind the deviation of a Wasserstein distance
_SEED = 20_191_107  # fixed: the same samples have the same distance


def _shares(weights: ArrayLike, where: str) -> Vector:
    array = np.asarray(weights, dtype=np.float64)
    total = float(array.sum())
    if array.ndim != 1 or not (np.isfinite(array).all() and total > 0):
        msg = f"{where}: expected finite weights with a sum above 0; found shape {array.shape}, sum {total:g}"
        raise StatisticsError(msg)
    return array / total


def triangular_discriminator(first: ArrayLike, second: ArrayLike) -> float:
    r"""Return the triangular discriminator of two histograms, times 1000.

    :math:`\Delta(p, q) = \frac{1}{2} \sum_b (p_b - q_b)^2 / (p_b + q_b)` of contents that sum to 1, as in Gras et al.,
    JHEP 07 (2017) 091, arXiv:1704.03878, and, times 1000, in the table of arXiv:1911.09107: 0 for the same, 1000 for
    spectra that share no bin. Bins that are empty in both, or whose contents sum to nothing, do not count.

    Parameters
    ----------
    first, second : array_like
        ``content[bin]``, integrated over each bin, in any unit.

    Raises
    ------
    StatisticsError
        If a histogram has no positive sum, or they differ in length.

    Examples
    --------
    >>> triangular_discriminator([1, 0], [0, 1]), triangular_discriminator([2, 2], [1, 1])
    (1000.0, 0.0)
    """
    p, q = _shares(first, "first histogram"), _shares(second, "second histogram")
    if p.shape != q.shape:
        msg = f"triangular discriminator: expected histograms of the same bins; found {len(p)} and {len(q)} bins"
        raise StatisticsError(msg)
    both = p + q
    return float(_PER_MILLE * 0.5 * ((p - q)[both > 0] ** 2 / both[both > 0]).sum())


def _histogram_covariance(law: Vector, squares: Vector) -> Matrix:
    """Return the covariance of contents that sum to 1 around a law, of their sums of squared weights."""
    cross = np.outer(squares, law)
    covariance: Matrix = np.diag(squares) - cross - cross.T + np.outer(law, law) * squares.sum()
    return covariance


def triangular_floor(first: ArrayLike, first_squares: ArrayLike, second: ArrayLike, second_squares: ArrayLike) -> Floor:
    r"""Return the triangular discriminator of two samples of the same law, times 1000.

    With V the sum of the covariances of both contents and m the mean of the contents, the discriminator is the
    quadratic form of D = diag(1 / 4m): mean tr(DV), variance 2 tr(DVDV). Without weights this is (bins - 1) / 4 times
    (1/n + 1/m), n and m the numbers of events.

    Parameters
    ----------
    first, second : array_like
        ``sum of w[bin]``.
    first_squares, second_squares : array_like
        ``sum of w^2[bin]``.

    Raises
    ------
    StatisticsError
        If a histogram has no positive sum.

    Examples
    --------
    >>> floor = triangular_floor([50, 50], [50, 50], [200, 200], [200, 200])
    >>> round(floor.mean, 3), 1000 * (2 - 1) / 4 * (1 / 100 + 1 / 400)
    (3.125, 3.125)
    """
    p, q = _shares(first, "first histogram"), _shares(second, "second histogram")
    law = (p + q) / 2
    used = law > 0
    total = np.zeros((len(p), len(p)))
    for content, squares in ((first, first_squares), (second, second_squares)):
        scaled = np.asarray(squares, dtype=np.float64) / np.sum(np.asarray(content, dtype=np.float64)) ** 2
        total += _histogram_covariance(law, scaled)
    product = total[np.ix_(used, used)] / (4 * law[used])
    return Floor(_PER_MILLE * float(np.trace(product)), _PER_MILLE * float(np.sqrt(2 * np.sum(product * product.T))))


def _checked_values(values: ArrayLike, weights: Sequence[ArrayLike], where: str) -> tuple[Vector, list[Vector]]:
    array = np.asarray(values, dtype=np.float64)
    if not np.isfinite(array).all() or any(np.shape(one) != array.shape for one in weights):
        shapes = [np.shape(one) for one in weights]
        msg = f"{where}: expected finite values, one for each weight; found shape {array.shape}, weights {shapes}"
        raise StatisticsError(msg)
    return array, [_shares(one, where) for one in weights]


def wasserstein(
    values: ArrayLike, weights: Sequence[ArrayLike], others: ArrayLike, other_weights: ArrayLike
) -> tuple[list[float], Floor]:
    r"""Return Wasserstein-1 distances of one sample under several sets of weights from another sample.

    In one dimension the distance is exactly :math:`\int |F - G| dx`, F and G the weighted distribution functions, which
    is the integral over the difference of the quantile functions (Vallender, Theory Probab. Appl. 18 (1974) 784).
    Negative weights are taken as they are. All sets of weights share one sorting.

    The floor is that of the first set of weights: F - G is normal with a known covariance C, so that the mean is
    :math:`\sqrt{2/\pi} \int \sqrt{C(x, x)} dx` (del Barrio, Gine, Matran, Ann. Probab. 27 (1999) 1009), and the
    variance the integral of the covariance of the absolute values of two normal variables.

    Parameters
    ----------
    values, others : array_like
        ``value[event]`` of the two samples.
    weights : sequence of array_like
        ``weight[event]`` of the first, as many sets as wanted.
    other_weights : array_like
        Of the second.

    Returns
    -------
    distances : list of float
        In the unit of the values, one for each set of weights.
    floor : Floor
        For the first set of weights.

    Raises
    ------
    StatisticsError
        If a value is not finite, or weights have no positive sum.

    Examples
    --------
    >>> wasserstein([0.0, 1.0], [[1, 1], [0, 1]], [1.0, 2.0], [3, 3])[0]
    [1.0, 0.5]
    """
    x, shares = _checked_values(values, weights, "first sample")
    y, (other,) = _checked_values(others, [other_weights], "second sample")
    pooled = np.concatenate([x, y])
    order = np.argsort(pooled)
    gaps = np.diff(pooled[order])
    from_first = order < len(x)
    rows_first, rows_second = order[from_first], order[~from_first] - len(x)
    masses = np.zeros(len(order))
    masses[~from_first] = other[rows_second]
    second = np.cumsum(masses)[:-1]
    distances, first = [], second
    for number, share in enumerate(shares):
        masses = np.zeros(len(order))
        masses[from_first] = share[rows_first]
        distribution = np.cumsum(masses)[:-1]
        first = distribution if number == 0 else first
        distances.append(float(np.abs(distribution - second) @ gaps))
    squares = np.zeros(len(order))
    squares[from_first] = shares[0][rows_first] ** 2
    squares[~from_first] = other[rows_second] ** 2
    return distances, _wasserstein_floor((first + second) / 2, np.cumsum(squares), gaps)


def _wasserstein_floor(law: Vector, squares: Vector, gaps: Vector) -> Floor:
    """Return the floor, of the common distribution function, the cumulated squared weights of both, and the gaps."""
    total, squares = squares[-1], squares[:-1]
    spread = np.sqrt(np.maximum(squares * (1 - 2 * law) + law**2 * total, 0)) * gaps
    reach = np.cumsum(spread)
    if not len(reach) or reach[-1] <= 0:
        return Floor(0.0, 0.0)
    at = np.searchsorted(reach, (np.arange(_GRID) + 0.5) / _GRID * reach[-1])
    f, s = law[at], squares[at]
    covariance = np.minimum.outer(s, s) - np.outer(f, s) - np.outer(s, f) + np.outer(f, f) * total
    scale = np.sqrt(np.diag(covariance))
    rho = np.clip(covariance / np.outer(scale, scale), -1, 1)
    absolute = 2 / np.pi * (np.sqrt(1 - rho**2) + rho * np.arcsin(rho) - 1)
    deviation = reach[-1] * np.sqrt(max(float(absolute.mean()), 0))
    return Floor(float(np.sqrt(2 / np.pi) * reach[-1]), float(deviation))


def sliced_wasserstein(
    points: Matrix,
    weights: Sequence[ArrayLike],
    others: Matrix,
    other_weights: ArrayLike,
    *,
    projections: int = 50,
) -> tuple[list[float], Floor]:
    """Return sliced Wasserstein-1 distances of one sample under several sets of weights from another sample.

    The mean of `wasserstein` over directions that are uniform on the sphere (Bonneel et al., J. Math. Imaging Vis. 51
    (2015) 22), the same ones for each call. One dimension has one direction. The floor's mean is exact; its deviation
    is the mean of the directions' deviations, which it cannot exceed and reaches if they all fluctuate together.

    Parameters
    ----------
    points, others : numpy.ndarray
        ``value[event, dimension]``, in units that can be compared.
    weights, other_weights
        As for `wasserstein`.
    projections : int
        Number of directions.

    Raises
    ------
    StatisticsError
        If a value is not finite, or weights have no positive sum.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> x = rng.normal(size=(500, 3))
    >>> sliced_wasserstein(x, [np.ones(500)], x, np.ones(500))[0]
    [0.0]
    """
    if projections < 1:
        msg = f"sliced Wasserstein distance: expected at least one projection; found {projections}"
        raise StatisticsError(msg)
    dimensions = points.shape[1]
    directions = np.random.default_rng(_SEED).normal(size=(dimensions, 1 if dimensions == 1 else projections))
    directions /= np.linalg.norm(directions, axis=0)
    found = [wasserstein(points @ d, weights, others @ d, other_weights) for d in directions.T]
    distances = np.mean([one for one, _ in found], axis=0)
    mean, deviation = np.mean([(floor.mean, floor.deviation) for _, floor in found], axis=0)
    return distances.tolist(), Floor(float(mean), float(deviation))
