"""Statistics that need all events at a time: a call for each member."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.accumulation.event_set import EventSet
from omnifold_pub.errors import ObservableError
from omnifold_pub.estimators.base import EventStatistic
from omnifold_pub.format.layout import FAMILY_CHUNK
from omnifold_pub.statistics.resampling import poisson_multiplicities

__all__ = ["Calls"]

Array = NDArray[np.float64]


class Calls:
    """Calls statistics with the weights of one member after the other; keeps their sizes.

    Parameters
    ----------
    statistics : sequence of EventStatistic
        What is called.
    """

    def __init__(self, statistics: Sequence[EventStatistic]) -> None:
        self.statistics = statistics
        self._sizes: dict[int, int] = {}

    def __call__(self, source: EventSet, members: Iterable[tuple[str, Array]]) -> list[Array]:
        """Return ``T[bin, member]`` of each statistic, for (name, ``weight[event]``) of each member.

        Raises
        ------
        ObservableError
            If one fails, or returns another shape than before or what is not finite.
        """
        if not self.statistics:
            return []
        events = source.events()
        prepared = [statistic.prepare(events) for statistic in self.statistics]
        columns: list[list[Array]] = [[] for _ in self.statistics]
        for which, weights in members:
            weights.flags.writeable = False  # the same array may serve several components
            for number, function in enumerate(prepared):
                columns[number].append(self._call(number, function, weights, which))
        return [np.stack(column, axis=1) for column in columns]

    def _call(self, number: int, function: Callable[[Array], Array], weights: Array, which: str) -> Array:
        where = f"statistic {self.statistics[number].name!r}, {which}"
        try:
            value = function(weights)
        except ObservableError:
            raise
        except Exception as error:
            msg = f"{where}: failed with {type(error).__name__}: {error}"
            raise ObservableError(msg) from error
        size = self._sizes.setdefault(number, value.size)
        if value.shape != (size,) or not np.isfinite(value).all():
            msg = f"{where}: expected {size} finite numbers; found {value!r}"
            raise ObservableError(msg)
        return value


def family_members(source: EventSet, name: str) -> Iterator[tuple[str, Array]]:
    """Yield the members of a family; as many are read at a time as are stored beside each other."""
    array, step = source.families[name], FAMILY_CHUNK[1]
    for first in range(0, array.shape[1], step):
        block = array.read(columns=slice(first, min(first + step, array.shape[1])))
        for column in range(block.shape[1]):
            yield f"{name}[{first + column}]", block[:, column].astype(np.float64)


def poisson_members(source: EventSet, weights: Array, seed: int, replicas: int) -> Iterator[tuple[str, Array]]:
    """Yield the nominal weights under Poisson multiplicities of the events."""
    ids = source.event_id.read()
    for replica in range(replicas):
        yield f"event replica {replica}", weights * poisson_multiplicities(seed, replica, ids)
