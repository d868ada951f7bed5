"""One pass over events and weights: the sums that statistics are functions of, under every member at once."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.accumulation.event_set import EventSet
from omnifold_pub.errors import ObservableError
from omnifold_pub.estimators.base import SumStatistic
from omnifold_pub.format.reading import cores
from omnifold_pub.format.tiles import chunk_bytes, tiles
from omnifold_pub.observables.blocks import Block, UndefinedValuesError, count_undefined
from omnifold_pub.observables.events import definition_text
from omnifold_pub.progress import Progress, silent
from omnifold_pub.statistics.resampling import poisson_multiplicities
from omnifold_pub.statistics.sums import BinIndex

__all__ = ["BLOCK_BUDGET", "Pass", "Sums", "Worker", "accumulate", "in_threads"]

Array = NDArray[np.float64]

BLOCK_BUDGET = 256 * 1024 * 1024
"""Bytes that may be read and decoded at a time, over all threads."""

_REPLICAS_AT_A_TIME = 16


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums over events.

    Attributes
    ----------
    nominal, squares : numpy.ndarray
        ``sum[sum]`` of w f and of w^2 f, f what a statistic multiplies weights with.
    families : dict
        ``sum[sum, member]`` by family.
    replicas : numpy.ndarray
        ``sum[sum, replica]`` under Poisson multiplicities of the events; no columns where none were asked for.
    overlaps : numpy.ndarray
        ``sum[sum, sum]`` of w^2 over the events in both; empty where not asked for.
    """

    nominal: Array
    squares: Array
    families: dict[str, Array]
    replicas: Array
    overlaps: Array

    def add(self, other: Sums) -> None:
        """Add the sums over other events to these, in place."""
        self.nominal[...] += other.nominal
        self.squares[...] += other.squares
        self.replicas[...] += other.replicas
        self.overlaps[...] += other.overlaps
        for name, total in self.families.items():
            total += other.families[name]


@dataclass(frozen=True, eq=False)
class Pass:
    """What is summed, and over which events.

    Attributes
    ----------
    source : EventSet
        The events.
    statistics : sequence of SumStatistic
        Their sums are numbered through.
    families : sequence of str
        Weight families to sum.
    overlaps : bool
        Whether the sums of w^2 over events in two bins are wanted.
    replicas, seed : int
        How many Poisson replicas of the events, and their seed.
    """

    source: EventSet
    statistics: Sequence[SumStatistic]
    families: Sequence[str] = ()
    overlaps: bool = False
    replicas: int = 0
    seed: int = 0
    groups: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "groups", tuple(n for statistic in self.statistics for n in statistic.groups))

    def blocks(self) -> list[tuple[int, int]]:
        """Return (start, stop) of the blocks that it is done in."""
        return self.source.blocks(self.families)

    def block_bytes(self) -> int:
        """Return about how much memory one block takes: a chunk as it is stored, decoded and in float64; columns."""
        largest = max((chunk_bytes(self.source.families[name]) for name in self.families), default=0)
        start, stop = self.blocks()[0]
        columns = 8 * (3 * len(self.groups) + len(self.source.columns)) * (stop - start)
        members = sum(self.source.families[name].shape[1] for name in self.families) + self.replicas
        return 4 * largest + columns + 8 * sum(self.groups) * members

    def index(self, block: Block) -> BinIndex:
        """Return what each event of a block adds to."""
        layers = [layer for statistic in self.statistics for layer in statistic.layers(block)]
        return BinIndex([layer.index for layer in layers], self.groups, [layer.factor for layer in layers])

    def __call__(self, start: int, stop: int) -> Sums:
        """Return the sums over events ``start`` to ``stop``.

        Raises
        ------
        UndefinedValuesError
            If an observable is undefined for some of them, and may not be.
        """
        index = self.index(Block(self.source.events(start, stop)))
        weights = self.source.weights(start, stop)
        squares = weights**2
        families = {}
        for name in self.families:
            array = self.source.families[name]
            families[name] = np.zeros((index.bins, array.shape[1]))
            for tile in tiles(array, start, stop):
                families[name][:, tile.left : tile.right] += index.sums(tile.load(), tile.first)
        replicas = np.zeros((index.bins, self.replicas))
        if self.replicas:
            ids = self.source.event_id.read(start, stop)
            for first in range(0, self.replicas, _REPLICAS_AT_A_TIME):
                chosen = range(first, min(first + _REPLICAS_AT_A_TIME, self.replicas))
                drawn = np.stack([poisson_multiplicities(self.seed, replica, ids) for replica in chosen], axis=1)
                replicas[:, chosen.start : chosen.stop] = index.sums(drawn * weights[:, np.newaxis])
        overlaps = index.overlaps(squares) if self.overlaps else np.zeros((0, 0))
        return Sums(index.sums(weights), index.sums(squares), families, replicas, overlaps)

    def count_undefined(self, error: UndefinedValuesError) -> ObservableError:
        """Go over all events again, for an error that says how many are undefined."""
        blocks = ((start, Block(self.source.events(start, stop))) for start, stop in self.blocks())
        return count_undefined(error, blocks, self.source.size)

    def check_functions(self) -> None:
        """See to it that functions of users depend on each event alone, since they are given some at a time.

        Raises
        ------
        ObservableError
            If one gives another value for an event when it sees fewer others beside it.
        """
        functions = {d for statistic in self.statistics for d in statistic.used if not isinstance(d, str)}
        start, stop = self.blocks()[0]
        half = (start + stop + 1) // 2
        if not functions or half == stop:
            return
        some, fewer = (Block(self.source.events(start, end)) for end in (stop, half))
        for function in functions:
            expected, found = (block.values(function, None, "drop") for block in (some, fewer))
            expected = expected[: half - start]
            if not np.allclose(found, expected, rtol=1e-5, atol=0, equal_nan=True):
                row = int(np.flatnonzero(~np.isclose(found, expected, rtol=1e-5, atol=0, equal_nan=True))[0])
                msg = (
                    f"observable function {definition_text(function)!r}: event in row {row} has the value "
                    f"{expected[row]:g} among {some.size} events and {found[row]:g} among {fewer.size}; a value must "
                    "depend on its event alone. What depends on all events is a statistic: see estimate"
                )
                raise ObservableError(msg)


class Worker(Protocol):
    """Does the blocks of a pass somewhere, and returns their sums in the order of the blocks."""

    def __call__(self, work: Pass, blocks: Sequence[tuple[int, int]]) -> Generator[tuple[int, Sums]]:
        """Yield the sums of one block or several that follow each other, behind their number."""
        ...


def in_threads(*, threads: int | None = None, budget: int = BLOCK_BUDGET) -> Worker:
    """Return a worker that does blocks in threads of this process, as many as the budget of memory allows."""

    def run(work: Pass, blocks: Sequence[tuple[int, int]]) -> Generator[tuple[int, Sums]]:
        most = max(1, budget // max(1, work.block_bytes()))
        count = min(threads or cores(), most, len(blocks))
        with ThreadPoolExecutor(count, thread_name_prefix="omnifold_pub-sum") as pool:
            pending: deque[Future[Sums]] = deque()
            try:
                for block in blocks:
                    if len(pending) > count:
                        yield 1, pending.popleft().result()
                    pending.append(pool.submit(work, *block))
                while pending:
                    yield 1, pending.popleft().result()
            finally:
                for future in pending:
                    future.cancel()

    return run


def accumulate(work: Pass, *, worker: Worker, progress: Progress | None = None) -> Sums:
    """Return the sums over all events.

    Blocks are added in their order, whoever did them: the result does not depend on the number of threads.

    Raises
    ------
    ObservableError
        If an observable cannot be computed.
    ReleaseError
        If a file is damaged.
    """
    report: Callable[[int, int, str], None] = progress or silent
    blocks = work.blocks()
    total: Sums | None = None
    done = 0
    try:
        work.check_functions()
        with contextlib.closing(worker(work, blocks)) as parts:
            for count, part in parts:
                done += count
                if total is None:
                    total = part
                else:
                    total.add(part)
                report(done, len(blocks), "summing")
    except UndefinedValuesError as error:
        raise work.count_undefined(error) from None
    assert total is not None, "a set of events has at least one"  # noqa: S101
    return total
