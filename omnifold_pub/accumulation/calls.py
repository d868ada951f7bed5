"""Statistics that need all events at a time: a call for each member."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.accumulation.event_set import EventSet
from omnifold_pub.errors import ObservableError
from omnifold_pub.estimators.base import EventStatistic
from omnifold_pub.format.layout import FAMILY_CHUNK
from omnifold_pub.statistics.resampling import poisson_multiplicities

__all__ = ["Caller", "Calls", "Members", "Sources", "in_this_process"]

Array = NDArray[np.float64]
Sources = Mapping[str | None, EventSet]
"""Events by canvas, the release's own under None."""

_ONE_AT_A_TIME = threading.RLock()
"""Functions of users run one at a time in a process: nobody asks them to be safe in threads."""


@dataclass(frozen=True)
class Members:
    """Members that statistics are called under: all that any process needs to find their weights.

    Attributes
    ----------
    name : str
        Of the family; of the only member where there is none.
    size : int
        How many there are.
    kind : {"nominal", "family", "poisson"}
        Nominal weights, those of a family, or nominal ones under Poisson multiplicities of the events.
    canvas : str, optional
        Whose events; by default the release's own.
    factor : float
        Of nominal weights.
    seed : int
        Of the multiplicities.
    """

    name: str
    size: int = 1
    kind: Literal["nominal", "family", "poisson"] = "nominal"
    canvas: str | None = None
    factor: float = 1.0
    seed: int = 0

    def weights(self, source: EventSet, start: int, stop: int) -> Iterator[tuple[str, Array]]:
        """Yield name and ``weight[event]`` of members ``start`` to ``stop``.

        As many members of a family are read at a time as are stored beside each other.
        """
        if self.kind == "family":
            array, step = source.families[self.name], FAMILY_CHUNK[1]
            first = start
            while first < stop:
                last = min(stop, (first // step + 1) * step)
                block = array.read(columns=slice(first, last))
                for column in range(block.shape[1]):
                    yield f"{self.name}[{first + column}]", block[:, column].astype(np.float64)
                first = last
        elif self.kind == "poisson":
            nominal, ids = source.weights(), source.event_id.read()
            for replica in range(start, stop):
                yield f"event replica {replica}", nominal * poisson_multiplicities(self.seed, replica, ids)
        else:
            for _ in range(start, stop):
                yield self.name, source.weights() * self.factor


class Calls:
    """Calls statistics with the weights of one member after the other; keeps their sizes.

    Parameters
    ----------
    statistics : sequence of EventStatistic
        What is called.
    sizes : sequence of int, optional
        How many numbers each returned elsewhere.
    """

    def __init__(self, statistics: Sequence[EventStatistic], sizes: Sequence[int] = ()) -> None:
        self.statistics = statistics
        self._sizes = dict(enumerate(sizes))

    def __call__(self, source: EventSet, members: Members, start: int, stop: int) -> list[Array]:
        """Return ``T[bin, member]`` of each statistic under members ``start`` to ``stop``.

        Raises
        ------
        ObservableError
            If one fails, or returns another shape than before or what is not finite.
        """
        events = source.events()
        prepared = [statistic.prepare(events) for statistic in self.statistics]
        columns: list[list[Array]] = [[] for _ in self.statistics]
        for which, weights in members.weights(source, start, stop):
            weights.flags.writeable = False  # all statistics are called with the same array
            for number, function in enumerate(prepared):
                columns[number].append(self._call(number, function, weights, which))
        return [np.stack(column, axis=1) for column in columns]

    def _call(self, number: int, function: Callable[[Array], Array], weights: Array, which: str) -> Array:
        where = f"statistic {self.statistics[number].name!r}, {which}"
        try:
            with _ONE_AT_A_TIME:
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


class Caller(Protocol):
    """Calls statistics somewhere, and returns what they give in the order of the members."""

    def __call__(
        self, statistics: Sequence[EventStatistic], sources: Sources, wanted: Sequence[Members]
    ) -> Generator[list[Array]]:
        """Yield ``T[bin, member]`` of each statistic for each of the wanted sets; the first is the nominal one."""
        ...


def in_this_process(
    statistics: Sequence[EventStatistic], sources: Sources, wanted: Sequence[Members]
) -> Generator[list[Array]]:
    """Call statistics here, see `Caller`."""
    call = Calls(statistics)
    for members in wanted:
        yield call(sources[members.canvas], members, 0, members.size)
