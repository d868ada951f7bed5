"""The same partial sums and calls on the workers of a Dask cluster.

What is sent with each task: which release, the statistics with the functions in them (as cloudpickle has it), numbers
of blocks or members. A large table that a function needs is better read by it from a file. Each worker reads the
release itself, so it must be there for all of them, under the same path or URL. What comes back for each group of
blocks: 8 bytes for each of K sums under each of M members; where the error of the events needs it, K x K (statistics
linear in the weights) or K x 200 (others) more. That is 8 MB for 1000 sums and 1000 members. A worker needs the memory
of one group's sums and of a few chunks for each of its threads; to call functions of all events (`Custom`,
`Quantiles`), that of the whole columns which they use.

A task has the blocks or members of one group, and there are a few groups for each thread. Those of a worker that is
lost are done by another, as Dask has it: a task that was on four workers when they died is given up. Where there is no
worker left, it is waited for one.
"""

from __future__ import annotations

import contextlib
import copy
import uuid
from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.accumulation.calls import Members, Sources
from omnifold_pub.accumulation.opened import Origin
from omnifold_pub.accumulation.sums import Pass, Sums
from omnifold_pub.accumulation.tasks import Blocks, Failure, MemberCalls, Piece, Task, Undefined, pack, run_piece
from omnifold_pub.errors import ClusterError, ObservableError
from omnifold_pub.estimators.base import EventStatistic
from omnifold_pub.extras import require
from omnifold_pub.format.layout import FAMILY_CHUNK
from omnifold_pub.messages import shorten
from omnifold_pub.observables.blocks import UndefinedValuesError

if TYPE_CHECKING:
    from distributed import Client, Future

__all__ = ["Cluster", "check_client"]

Array = NDArray[np.float64]

_GROUPS_EACH = 4
"""Tasks for each thread of the cluster: a slow one does not hold up the rest."""

_FEWEST_GROUPS = 16
"""Tasks at least, should workers come later."""


def check_client(scheduler: object) -> None:
    """Refuse what is no client of a cluster that tasks can be sent to.

    Raises
    ------
    MissingExtraError
        If Dask is not installed.
    ObservableError
        If it is something else, or not connected.
    """
    require("distributed", extra="dask", purpose="Measuring on a cluster")
    from distributed import Client

    expected = "expected a connected dask.distributed.Client, such as Client(cluster)"
    if not isinstance(scheduler, Client):
        msg = f"scheduler: {expected}; found {type(scheduler).__name__} {shorten(scheduler)}"
        raise ObservableError(msg)
    if scheduler.status != "running" or scheduler.asynchronous:
        found = "one that is asynchronous" if scheduler.asynchronous else f"one that is {scheduler.status}"
        msg = f"scheduler: {expected}; found {found}"
        raise ObservableError(msg)


def _given_up(error: BaseException) -> NoReturn:
    msg = (
        f"the cluster gave up: {error}. Where its workers die, most often of too much memory or in a function of the "
        "user's, give them more memory or fewer threads each; where it was stopped, measure again"
    )
    raise ClusterError(msg) from error


def _result(future: Future[Any]) -> Any:
    """Wait for the result of a task, and raise what it raised.

    Raises
    ------
    OmnifoldPubError
        As the task did; or if the cluster gave up.
    """
    from distributed import CancelledError, KilledWorker
    from distributed.client import ClosedClientError

    try:
        found = future.result()
    except (CancelledError, ClosedClientError, KilledWorker) as error:
        _given_up(error)
    if isinstance(found, Failure):
        raise found.error
    if isinstance(found, Undefined):
        raise UndefinedValuesError(found.definition, found.where)
    return found


def _parts(count: int, most: int) -> list[range]:
    """Return at most so many ranges, about equally long, one after the other.

    >>> _parts(5, 2), _parts(2, 9)
    ([range(0, 2), range(2, 5)], [range(0, 1), range(1, 2)])
    """
    most = min(count, most)
    return [range(count * number // most, count * (number + 1) // most) for number in range(most)]


@dataclass(frozen=True, eq=False)
class Cluster:
    """Workers of a Dask cluster that sum and call, see `omnifold_pub.accumulation.sums.Worker` and `Caller`.

    Attributes
    ----------
    client : distributed.Client
        The way to them.
    origin : Origin
        The release that they read.
    sources : mapping
        Its events, by canvas; the same objects that passes are over.
    """

    client: Client
    origin: Origin
    sources: Sources

    @property
    def groups(self) -> int:
        """Tasks that work is cut into."""
        client: Any = self.client  # of which parts have no types
        threads: int = sum(client.nthreads().values())
        return max(_FEWEST_GROUPS, _GROUPS_EACH * threads)

    def sums(self, work: Pass, blocks: Sequence[tuple[int, int]]) -> Generator[tuple[int, Sums]]:
        """Yield the sums of groups of blocks, behind the number of blocks.

        Raises
        ------
        OmnifoldPubError
            As the pass does on this machine; or if the cluster gives up.
        """
        canvas = next(name for name, source in self.sources.items() if source is work.source)
        options = {f.name: getattr(work, f.name) for f in fields(work) if f.init and f.name != "source"}
        groups = [tuple(blocks[part.start : part.stop]) for part in _parts(len(blocks), self.groups)]
        with contextlib.closing(self._results("sums", options, [Blocks(canvas, one) for one in groups])) as results:
            for group, found in zip(groups, results, strict=True):
                yield len(group), copy.deepcopy(found)  # others may hold the same, and it is going to be added to

    def calls(
        self,
        statistics: Sequence[EventStatistic],
        sources: Sources,  # noqa: ARG002 - the workers have their own
        wanted: Sequence[Members],
    ) -> Generator[list[Array]]:
        """Yield ``T[bin, member]`` of each statistic for each of the wanted sets of members.

        The first tells how many numbers each statistic has; what is wrong with it is found before much is sent.

        Raises
        ------
        OmnifoldPubError
            As the calls do on this machine; or if the cluster gives up.
        """
        if not wanted:
            return
        options = {"statistics": tuple(statistics)}
        first = next(iter(self._results("nominal", options, [MemberCalls(wanted[0], 0, wanted[0].size, ())])))
        yield first
        sizes = tuple(map(len, first))
        step = -(-sum(members.size for members in wanted) // self.groups)
        if step > FAMILY_CHUNK[1]:
            step -= step % FAMILY_CHUNK[1]  # members that are stored together are read together
        pieces = [
            [
                MemberCalls(members, start, min(start + step, members.size), sizes)
                for start in range(0, members.size, step)
            ]
            for members in wanted[1:]
        ]
        every = [piece for several in pieces for piece in several]
        with contextlib.closing(self._results("calls", options, every)) as results:
            for several in pieces:
                found = [next(results) for _ in several]
                yield [np.concatenate(columns, axis=1) for columns in zip(*found, strict=True)]

    def _results(self, what: str, options: dict[str, Any], pieces: Sequence[Piece]) -> Generator[Any]:
        """Yield the results of tasks in their order; cancel those that nobody waits for any more.

        Raises
        ------
        ObservableError
            If a statistic cannot be sent.
        OmnifoldPubError
            As a task did; or if the cluster gives up.
        """
        client: Any = self.client
        run = f"omnifold_pub-{what}-{uuid.uuid4().hex}"
        packed = pack(Task(self.origin, options))
        keys = [(run, number) for number in range(len(pieces))]
        # Sent with each piece: were it a common input, Dask would give all of them to the worker where that is.
        waiting = deque(client.map(run_piece, pieces, [packed] * len(pieces), key=keys, pure=False))
        try:
            while waiting:
                found = _result(waiting[0])
                waiting.popleft()
                yield found
        finally:
            if waiting and client.status == "running":
                client.cancel(list(waiting), reason="not needed any more")
