"""Statistics of a document that nobody can compute again: Python functions made them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import ObservableError
from omnifold_pub.estimators.base import BinnedStatistic, EventStatistic, Layer
from omnifold_pub.messages import shorten
from omnifold_pub.observables.binning import Axis
from omnifold_pub.observables.blocks import Block
from omnifold_pub.observables.events import Events

__all__ = ["Restored", "RestoredBins"]


def _refuse(name: str) -> NoReturn:
    msg = (
        f"{shorten(name)}: it was restored from a document, and a Python function in it was not; expected a statistic "
        "that can be computed: measure it anew from the release"
    )
    raise ObservableError(msg)


@dataclass(frozen=True, eq=False)
class Restored(EventStatistic):
    """A statistic without bins, of which its name and what its numbers are is left.

    Attributes
    ----------
    name : str
        What it was called.
    labels : tuple of str
        What each number is; empty where nobody said.
    recipe : dict
        What the document says of how it was made.
    """

    name: str
    labels: tuple[str, ...] = ()
    recipe: dict[str, Any] = field(repr=False, kw_only=True)

    def prepare(self, events: Events) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:  # noqa: ARG002
        """Refuse.

        Raises
        ------
        ObservableError
            Always.
        """
        _refuse(self.name)


@dataclass(frozen=True, eq=False)
class RestoredBins(BinnedStatistic):
    """A binned statistic of which name and axes are left.

    Attributes
    ----------
    name : str
        What it was called.
    axes : tuple of Axis
        Its bins.
    kind : str
        Kind of the Unified Histogram Interface.
    recipe : dict
        What the document says of how it was made.
    """

    name: str
    axes: tuple[Axis, ...]
    kind: str = "COUNT"
    recipe: dict[str, Any] = field(repr=False, kw_only=True)

    @property
    def groups(self) -> tuple[int, ...]:
        """Refuse: nobody knows its sums."""
        _refuse(self.name)

    def layers(self, block: Block) -> list[Layer]:  # noqa: ARG002
        """Refuse: nobody knows its sums."""
        _refuse(self.name)

    def finish(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:  # noqa: ARG002
        """Refuse: nobody knows its sums."""
        _refuse(self.name)

    def effective(self, sums: NDArray[np.float64], squares: NDArray[np.float64]) -> NDArray[np.float64]:  # noqa: ARG002
        """Refuse: nobody knows its sums."""
        _refuse(self.name)
