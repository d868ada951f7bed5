"""Binnings: one axis of a histogram, after the Unified Histogram Interface (UHI)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from omnifold_pub.errors import ObservableError
from omnifold_pub.messages import shorten

__all__ = ["Axis", "AxisTraits", "Bins"]


class _HasEdges(Protocol):
    """An axis of ours, of `hist` or of `boost_histogram`."""

    @property
    def edges(self) -> Any: ...


_FEW_EDGES = 64

Bins = ArrayLike | _HasEdges
"""What a binning can be given as: a sequence of edges, or an axis."""


@dataclass(frozen=True)
class AxisTraits:
    """UHI traits of an axis."""

    circular: bool = False
    discrete: bool = False


@dataclass(frozen=True, eq=False)
class Axis(Sequence[tuple[float, float]]):
    """Bins of an observable: a sequence of (lower, upper) edges.

    A value belongs to a bin if lower <= value < upper; the last finite bin includes its upper edge, as
    `numpy.histogram` has it. Under- and overflow are bins like others, whose outer edges are infinite.

    Attributes
    ----------
    edges : numpy.ndarray
        ``edges[bin + 1]``, float64, strictly increasing.
    name, label : str
        Of the observable; the label is for pictures.
    unit : str
        Of the edges: ``"1"`` for a pure number, empty where nobody said.
    """

    edges: NDArray[np.float64]
    name: str = ""
    label: str = ""
    unit: str = ""
    traits: AxisTraits = AxisTraits()

    @classmethod
    def from_bins(cls, bins: Bins, *, name: str = "", label: str = "", unit: str = "") -> Axis:
        """Build from a sequence of edges, or from an axis of ours, of `hist` or of `boost_histogram`.

        The label is the one given, or the axis's own, or the name; the unit the one given, or our axis's own.

        Raises
        ------
        ObservableError
            If there are fewer than two edges, or they are not strictly increasing numbers.

        Examples
        --------
        >>> Axis.from_bins([0, 10, 30], name="pT")[1]
        (10.0, 30.0)
        >>> Axis.from_bins([0, 10, 10])
        Traceback (most recent call last):
        ...
        omnifold_pub.errors.ObservableError: bins: expected strictly increasing edges; edge 2 is 10 after 10
        """
        where = f"bins of {name}" if name else "bins"
        try:
            given = np.asarray(getattr(bins, "edges", bins))
        except ValueError:  # a ragged sequence
            given = np.asarray(None)
        if given.dtype.kind not in "biuf":
            msg = f"{where}: expected a sequence of edges; found {shorten(bins)}"
            raise ObservableError(msg)
        if given.ndim != 1 or len(given) < 2:
            msg = f"{where}: expected a sequence of at least two edges; found {shorten(bins)}"
            raise ObservableError(msg)
        edges = given.astype(np.float64)
        wrong = np.flatnonzero(~(edges[1:] > edges[:-1]))  # NaN edges compare false and land here
        if len(wrong):
            i = int(wrong[0]) + 1
            msg = f"{where}: expected strictly increasing edges; edge {i} is {edges[i]:g} after {edges[i - 1]:g}"
            raise ObservableError(msg)
        edges.flags.writeable = False
        return cls(
            edges=edges,
            name=name,
            label=label or getattr(bins, "label", "") or name,
            unit=unit or (bins.unit if isinstance(bins, Axis) else ""),
        )

    @classmethod
    def regular(cls, bins: int, lower: float, upper: float, *, name: str = "", label: str = "") -> Axis:
        """Build ``bins`` equal bins from lower to upper.

        >>> len(Axis.regular(5, 0, 1))
        5
        """
        if bins < 1 or not np.isfinite([lower, upper]).all():
            msg = f"bins: expected at least one, between finite edges; found {bins} from {lower:g} to {upper:g}"
            raise ObservableError(msg)
        return cls.from_bins(np.linspace(lower, upper, bins + 1), name=name, label=label)

    def __len__(self) -> int:
        """Return the number of bins."""
        return len(self.edges) - 1

    def __getitem__(self, index: Any) -> Any:
        """Return the edges of a bin."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        i = range(len(self))[index]
        return float(self.edges[i]), float(self.edges[i + 1])

    def __iter__(self) -> Iterator[tuple[float, float]]:
        """Iterate over the bins' edges."""
        return (self[i] for i in range(len(self)))

    def __eq__(self, other: object) -> bool:
        """Two axes are equal if name and edges are."""
        return isinstance(other, Axis) and self.name == other.name and np.array_equal(self.edges, other.edges)

    def __hash__(self) -> int:
        """Hash of name and edges."""
        return hash((self.name, self.edges.tobytes()))

    def with_flow(self) -> Axis:
        """Return the axis with an underflow and an overflow bin, where it has none yet.

        >>> Axis.from_bins([0, 1, 2]).with_flow().edges.tolist()
        [-inf, 0.0, 1.0, 2.0, inf]
        """
        edges = np.concatenate([[-np.inf], self.edges[np.isfinite(self.edges)], [np.inf]])
        edges.flags.writeable = False
        return replace(self, edges=edges)

    def without_flow(self) -> Axis:
        """Return the axis of the bins between finite edges.

        Raises
        ------
        ObservableError
            If there is none.
        """
        inner = self.inner
        if inner.stop <= inner.start:
            msg = f"axis {shorten(self.name)}: expected a bin between finite edges; found {self.edges.tolist()}"
            raise ObservableError(msg)
        edges = self.edges[inner.start : inner.stop + 1]
        edges.flags.writeable = False
        return replace(self, edges=edges)

    @property
    def inner(self) -> slice:
        """Bins that are neither underflow nor overflow."""
        return slice(int(np.isneginf(self.edges[0])), len(self) - int(np.isposinf(self.edges[-1])))

    @property
    def widths(self) -> NDArray[np.float64]:
        """Return ``width[bin]``."""
        return np.diff(self.edges)

    @property
    def centers(self) -> NDArray[np.float64]:
        """Return ``center[bin]``."""
        return (self.edges[1:] + self.edges[:-1]) / 2

    def bins_of(self, values: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the bin of each value, -1 for those outside and for NaN.

        >>> Axis.from_bins([0, 1, 2]).bins_of(np.array([0.0, 1.0, 2.0, 2.5, np.nan])).tolist()
        [0, 1, 1, -1, -1]
        """
        if len(self.edges) <= _FEW_EDGES:  # comparing with each is several times faster than searching for a few
            passed, above = np.full(values.shape, -1, dtype=np.int8), np.empty(values.shape, dtype=np.bool_)
            for edge in self.edges:
                np.greater_equal(values, edge, out=above)
                passed += above.view(np.int8)
            index = passed.astype(np.int64)
        else:
            index = np.searchsorted(self.edges, values, side="right") - 1  # NaN is sorted behind everything
        inner = self.inner
        for last in {len(self), inner.stop} if inner.stop > inner.start else {len(self)}:
            index[values == self.edges[last]] = last - 1
        index[index >= len(self)] = -1
        return index
