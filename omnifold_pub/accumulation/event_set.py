"""Events with their weights, wherever they are: in a release, in a canvas of it, in a theory."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.format.layout import row_blocks
from omnifold_pub.format.reading import Concatenated, StoredArray
from omnifold_pub.format.tiles import chunk_rows
from omnifold_pub.observables.events import Events
from omnifold_pub.observables.momenta import FourMomentum

__all__ = ["EventSet"]


@dataclass(frozen=True, eq=False)
class EventSet:
    """Events of one origin.

    Attributes
    ----------
    where : str
        What they are, for messages.
    size : int
        Number of events.
    columns : mapping
        ``[event]`` by name.
    nominal : StoredArray
        ``weight[event]``.
    event_id : StoredArray
        ``[event]``.
    families : mapping
        ``weight[event, member]`` by name.
    momenta : mapping
        Four-momenta that are declared, by name.
    """

    where: str
    size: int
    columns: Mapping[str, StoredArray]
    nominal: StoredArray
    event_id: StoredArray
    families: Mapping[str, StoredArray] = field(default_factory=dict)
    momenta: Mapping[str, FourMomentum] = field(default_factory=dict)

    def events(self, start: int = 0, stop: int | None = None) -> Events:
        """Return the columns of some events, each read when it is used."""
        stop = self.size if stop is None else stop
        return Events(
            stop - start,
            tuple(self.columns),
            lambda name: self.columns[name].read(start, stop),
            where=self.where,
            momenta=self.momenta,
        )

    def weights(self, start: int = 0, stop: int | None = None) -> NDArray[np.float64]:
        """Return the nominal ``weight[event]`` of some events in float64."""
        return self.nominal.read(start, stop).astype(np.float64)

    def blocks(self, families: Iterable[str]) -> list[tuple[int, int]]:
        """Return (start, stop) of the blocks of events that are best read at a time.

        They follow the chunks of the largest datasets, and end where a file ends.
        """
        read = [self.nominal, *(self.families[name] for name in families)]
        rows = max(map(chunk_rows, read))
        first = read[-1]
        sizes = [part.shape[0] for part in first.parts] if isinstance(first, Concatenated) else [self.size]
        tops = itertools.accumulate(sizes, initial=0)
        return [
            (top + start, top + stop)
            for top, size in zip(tops, sizes, strict=False)
            for start, stop in row_blocks(size, 1, step=rows, budget=rows)
        ]
