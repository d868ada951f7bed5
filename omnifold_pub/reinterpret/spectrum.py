"""One histogram of a theory, and reading it from what follows the Unified Histogram Interface (UHI)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import InputError, StatisticsError
from omnifold_pub.messages import shorten

__all__ = ["Spectrum", "check_edges", "contents_of"]

Array = NDArray[np.float64]

EDGE_TOLERANCE = 1e-6
"""Of the width of the narrower neighbour: by how much two edges that are the same may differ, as text rounds them."""

NEGATIVE = 1e-9
"""Relative to the largest eigenvalue: how far below 0 rounding may put one."""


@dataclass(frozen=True, eq=False)
class Spectrum:
    """One histogram of a theory.

    Attributes
    ----------
    edges : tuple of numpy.ndarray
        ``edges[axis][bin + 1]``; several axes are numbered through, the last running fastest.
    contents : numpy.ndarray
        ``content[bin]``, float64: the cross section in each bin, not divided by its width.
    covariance : numpy.ndarray
        ``covariance[bin, bin]`` of the finite number of events.
    members : mapping
        ``members[name][bin]``: the contents under each variation.

    Raises
    ------
    InputError
        If the numbers are not finite, or of another number than the bins.
    StatisticsError
        If the covariance is not symmetric, or not positive semi-definite.
    """

    edges: tuple[Array, ...]
    contents: Array
    covariance: Array
    members: Mapping[str, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        size = int(np.prod([len(edges) - 1 for edges in self.edges]))
        for what, array in (("contents", self.contents), *self.members.items()):
            if array.shape != (size,) or not np.isfinite(array).all():
                msg = f"{what}: expected a finite number for each of {size} bins; found {shorten(array)}"
                raise InputError(msg)
        covariance = self.covariance
        if covariance.shape != (size, size) or not np.isfinite(covariance).all():
            msg = f"covariance: expected finite numbers [bin, bin] for {size} bins; found shape {covariance.shape}"
            raise InputError(msg)
        if not np.allclose(covariance, covariance.T, rtol=1e-9, atol=0):
            msg = "covariance: expected a symmetric matrix; found one that is not: are rows and columns in one order?"
            raise StatisticsError(msg)
        values = np.linalg.eigvalsh(covariance)
        if values[0] < -NEGATIVE * max(values[-1], 0.0) or (values[-1] <= 0 and covariance.any()):
            msg = (
                f"covariance: expected a positive semi-definite matrix; found the eigenvalue {values[0]:.3g} beside "
                f"{values[-1]:.3g}: some combination of bins would have a negative variance"
            )
            raise StatisticsError(msg)

    @classmethod
    def from_contents(
        cls,
        edges: Sequence[Any],
        contents: Any,
        *,
        variances: Any = None,
        covariance: Any = None,
        members: Mapping[str, Any] | None = None,
    ) -> Self:
        """Build from arrays: the variances, or the whole covariance, or nothing of it for 0.

        Parameters
        ----------
        edges : sequence
            Of one axis, or a sequence of such.
        contents : array_like
            The cross section in each bin, not divided by its width; one dimension for each axis, or numbered through.

        Raises
        ------
        InputError
            If there are variances and a covariance, or a variance below 0.
        """
        several = len(edges) > 0 and np.ndim(edges[0]) == 1
        axes = tuple(np.asarray(one, dtype=np.float64) for one in (edges if several else [edges]))
        flat = np.asarray(contents, dtype=np.float64).ravel()
        if variances is not None and covariance is not None:
            msg = "expected variances or a covariance; found both: leave out the variances"
            raise InputError(msg)
        if covariance is None:
            diagonal = np.zeros(len(flat)) if variances is None else np.asarray(variances, dtype=np.float64).ravel()
            if (diagonal < 0).any():
                msg = f"variances: expected numbers of at least 0; found {diagonal.min():g}"
                raise InputError(msg)
            matrix = np.diag(diagonal)
        else:
            matrix = np.asarray(covariance, dtype=np.float64)
        varied = {name: np.asarray(one, dtype=np.float64).ravel() for name, one in (members or {}).items()}
        return cls(axes, flat, matrix, varied)


def check_edges(found: Sequence[Array], expected: Sequence[Array], where: str) -> None:
    """Refuse bins that are not those of the measurement."""
    same = len(found) == len(expected) and all(
        len(one) == len(other) and bool((np.abs(_gaps(one, other)) <= EDGE_TOLERANCE).all())
        for one, other in zip(found, expected, strict=True)
    )
    if not same:
        theirs, ours = ([edges.tolist() for edges in axes] for axes in (found, expected))
        msg = (
            f"{where}: expected the measurement's bins {shorten(ours, 200)}; found {shorten(theirs, 200)}; "
            "fill the theory in these bins, or measure in the theory's"
        )
        raise InputError(msg)


def _gaps(one: Array, other: Array) -> Array:
    """Return how far edges are apart, in widths of the narrower bin beside; infinite ones are 0 from themselves."""
    widths = np.diff(other)
    narrow = np.minimum(np.append(widths, np.inf), np.insert(widths, 0, np.inf))
    narrow = np.where(np.isfinite(narrow), narrow, 1.0)  # beside two infinite bins
    apart = np.where(one == other, 0.0, 1.0)
    finite = np.isfinite(one) & np.isfinite(other)
    apart[finite] = (one[finite] - other[finite]) / narrow[finite]
    return apart


def contents_of(histogram: Any, *, density: bool, where: str) -> tuple[Array, Array, tuple[Array, ...]]:
    """Return contents, variances and edges of a histogram that follows the UHI."""
    try:
        axes = tuple(_edges(axis) for axis in histogram.axes)
        values = np.asarray(histogram.values(), dtype=np.float64)
        found = histogram.variances()
    except (AttributeError, TypeError, ValueError) as error:
        msg = f"{where}: expected a histogram with axes, values() and variances(); found {shorten(histogram)}"
        raise InputError(msg) from error
    variances = np.zeros_like(values) if found is None else np.asarray(found, dtype=np.float64)
    if density:
        volume = np.ones(())
        for edges in axes:
            volume = np.multiply.outer(volume, np.diff(edges))
        values, variances = values * volume, variances * volume**2
    return values.ravel(), variances.ravel(), axes


def _edges(axis: Any) -> Array:
    """Return edges of an axis of `hist` or `boost_histogram` (an array) or `uproot` (a method)."""
    edges = getattr(axis, "edges", None)
    if callable(edges):
        return np.asarray(edges(), dtype=np.float64)
    if edges is not None:
        return np.asarray(edges, dtype=np.float64)
    pairs: Iterable[tuple[float, float]] = list(axis)
    lows, highs = zip(*pairs, strict=True)
    return np.asarray([*lows, highs[-1]], dtype=np.float64)
