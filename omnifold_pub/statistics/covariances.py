"""What a covariance matrix must be, and what it knows: its rank, in which directions, and in which bins it is short."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from omnifold_pub.errors import StatisticsError
from omnifold_pub.messages import shorten, suggest
from omnifold_pub.statistics.components import ComponentResult

__all__ = ["Spectrum", "checked_covariance", "checked_two_points", "fewest", "rank_of", "spectrum"]

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

_RELATIVE_RANK = 1e-10
_ASYMMETRY = 1e-8  # in units of the errors; sums in another order differ by far less
_NEGATIVE = 1e-8
_PART_OF_SHORTAGE = 0.05  # of a bin's own direction that is missing
_LISTED = 8


@dataclass(frozen=True, eq=False)
class Spectrum:
    """The directions in which a covariance matrix V is not zero.

    Attributes
    ----------
    bins : int
        Number of bins.
    rank : int
        Number of directions.
    transform : numpy.ndarray
        ``W[direction, bin]`` with W V W^T = 1: the square of W d is d^T V^-1 d, of the pseudo-inverse where the rank is
        short. The directions are the eigenvectors of the correlation matrix, so that small bins count as much as large
        ones.
    missing : numpy.ndarray
        ``[bin]``: how much of a bin's own direction V does not know, 0 to 1; they sum to bins - rank.
    """

    bins: int
    rank: int
    transform: Matrix
    missing: Vector

    def shortage(self, which: str | None = None) -> str:
        """Return what is wrong with a matrix whose rank is short, and which bins to merge.

        Parameters
        ----------
        which : str, optional
            Words on which bins; by default those that the missing directions lie in, unless that is all of them.
        """
        if which is None:
            concerned = np.flatnonzero(self.missing > _PART_OF_SHORTAGE)
            some = 0 < len(concerned) < self.bins
            which = f"bins {_listed(concerned)} with each other or a neighbour: they know too little" if some else ""
        return (
            f"the covariance of {self.bins} bins has rank {self.rank} and cannot be inverted; "
            f"merge bins down to {self.rank} or fewer{which and f' ({which})'}, or add a component that is missing"
        )


def fewest(effective_events: Vector, count: int) -> str:
    """Return words on the bins with the fewest effective events.

    >>> fewest(np.array([9.0, 1.0, 5.0]), 2)
    'first bins 1, 2, which have the fewest effective events'
    """
    bins = np.sort(np.argsort(effective_events, kind="stable")[: min(count, _LISTED)])
    return f"first bins {_listed(bins)}, which have the fewest effective events"


def _listed(bins: NDArray[np.intp]) -> str:
    return ", ".join(map(str, bins[:_LISTED])) + (", ..." if len(bins) > _LISTED else "")


def checked_covariance(
    covariance: ArrayLike, bins: int, what: str, *, semidefinite: Literal["assumed", "checked"] = "assumed"
) -> Matrix:
    """Return a covariance matrix as float64, exactly symmetric.

    Parameters
    ----------
    covariance : array_like
        ``covariance[bin, bin]``.
    bins : int
        Expected number of bins.
    what : str
        What it is, for the message.
    semidefinite : {"assumed", "checked"}
        Whether its eigenvalues are computed to see that none is negative.

    Raises
    ------
    StatisticsError
        If it has another shape, is not finite or not symmetric, or has a negative variance or eigenvalue.

    Examples
    --------
    >>> checked_covariance([[2, 1], [1, 2]], 2, "this").dtype
    dtype('float64')
    """
    matrix: Matrix = np.asarray(covariance, dtype=np.float64)
    if matrix.shape != (bins, bins):
        msg = f"{what} has shape {matrix.shape}; expected {(bins, bins)}, one row and one column for each bin"
        raise StatisticsError(msg)
    bad = np.argwhere(~np.isfinite(matrix))
    if len(bad):
        msg = f"{what} is {matrix[tuple(bad[0])]} at {tuple(map(int, bad[0]))}; expected finite numbers"
        raise StatisticsError(msg)
    variances = np.diag(matrix)
    if (variances < 0).any():
        bin_ = int(np.flatnonzero(variances < 0)[0])
        msg = f"{what} has the variance {variances[bin_]:g} in bin {bin_}; expected none below zero"
        raise StatisticsError(msg)
    units = _units(matrix)
    asymmetry = np.abs(matrix - matrix.T) / units
    if asymmetry.max() > _ASYMMETRY:
        row, column = (int(i) for i in np.unravel_index(int(asymmetry.argmax()), matrix.shape))
        msg = (
            f"{what} is not symmetric: {matrix[row, column]:g} at {(row, column)}, "
            f"{matrix[column, row]:g} at {(column, row)}"
        )
        raise StatisticsError(msg)
    matrix = (matrix + matrix.T) / 2
    if semidefinite == "checked":
        lowest = float(np.linalg.eigvalsh(matrix / units)[0])
        if lowest < -_NEGATIVE * bins:
            msg = (
                f"{what} is no covariance: in units of its own errors its lowest eigenvalue is {lowest:.3g}; "
                "expected none below zero"
            )
            raise StatisticsError(msg)
    return matrix


def checked_two_points(components: Sequence[ComponentResult], names: Sequence[str]) -> frozenset[str]:
    """Return the names of components that shall count bin by bin.

    Raises
    ------
    StatisticsError
        If there is no component of a name, or it is no two-point.

    Examples
    --------
    >>> checked_two_points([], [])
    frozenset()
    """
    kinds = {result.component.name: result.component.kind for result in components}
    chosen = frozenset([names] if isinstance(names, str) else names)
    for name in sorted(chosen):
        if name not in kinds:
            msg = f"no component {shorten(name)} to decorrelate in this test; {suggest(name, list(kinds))}"
            raise StatisticsError(msg)
        if kinds[name] != "two_point":
            msg = (
                f"component {name!r} is of kind {kinds[name]}; only the correlation of a two_point is a choice, "
                "that of any other kind is known: leave it as it is"
            )
            raise StatisticsError(msg)
    return chosen


def _units(matrix: Matrix) -> Matrix:
    """Return the products of the errors; 1 in place of an error that is zero."""
    errors = np.sqrt(np.diag(matrix))
    errors = np.where(errors > 0, errors, 1.0)
    return np.outer(errors, errors)


def rank_of(covariance: Matrix) -> int:
    """Return the rank of a covariance matrix in units of its own errors.

    Examples
    --------
    >>> rank_of(np.diag([1.0, 1e-24, 0.0]))
    2
    """
    values = np.linalg.eigvalsh(covariance / _units(covariance))
    return int((values > _RELATIVE_RANK * max(float(values[-1]), 0.0)).sum())


def spectrum(covariance: Matrix, *, zero_errors: bool = False) -> Spectrum:
    """Find the directions that a covariance matrix knows.

    Parameters
    ----------
    covariance : numpy.ndarray
        ``covariance[bin, bin]``, symmetric and positive semi-definite.
    zero_errors : bool
        True: bins without any uncertainty are directions that it does not know. Otherwise they are an error.

    Raises
    ------
    StatisticsError
        If a bin has no uncertainty and must have one, or no bin has any.

    Examples
    --------
    >>> spectrum(np.diag([4.0, 1.0])).rank
    2
    """
    bins = len(covariance)
    empty = np.flatnonzero(~(np.diag(covariance) > 0))
    if len(empty) == bins or (len(empty) and not zero_errors):
        more = f" ({len(empty)} such bins in all)" if len(empty) > 1 else ""
        msg = (
            f"bin {int(empty[0])} has no uncertainty at all{more}, so there is no chi2; "
            "merge it with a neighbour or leave it out"
        )
        raise StatisticsError(msg)
    units = _units(covariance)
    values, vectors = np.linalg.eigh(covariance / units)
    keep = values > _RELATIVE_RANK * values[-1]
    known = vectors[:, keep]
    transform: Matrix = (known / np.sqrt(values[keep])).T / np.sqrt(np.diag(units))
    return Spectrum(bins, int(keep.sum()), transform, 1 - (known**2).sum(axis=1))
