"""What the workers of a cluster are sent, and what they do with it."""

from __future__ import annotations

from dataclasses import dataclass
from traceback import format_exception
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.accumulation.calls import Calls, Members
from omnifold_pub.accumulation.opened import Origin, opened
from omnifold_pub.accumulation.sums import Pass, Sums
from omnifold_pub.errors import ObservableError, OmnifoldPubError
from omnifold_pub.observables.blocks import UndefinedValuesError
from omnifold_pub.observables.events import Definition

__all__ = ["Blocks", "Failure", "MemberCalls", "Piece", "Task", "Undefined", "pack", "run_piece"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Failure:
    """An error of ours, as it travels: a task that fails is a thing for Dask to log, and what it holds may not travel.

    Attributes
    ----------
    error : OmnifoldPubError
        Without its traceback, which is a note.
    """

    error: OmnifoldPubError


@dataclass(frozen=True, eq=False)
class Undefined:
    """An `UndefinedValuesError`, as it travels."""

    definition: Definition
    where: Definition | None


@dataclass(frozen=True, eq=False)
class Task:
    """What all tasks of a set have in common; each has its own copy, so that threads share no function's state.

    Attributes
    ----------
    origin : Origin
        The release.
    options : dict
        What else a pass, or calls, are made of.
    """

    origin: Origin
    options: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Blocks:
    """Sums over the events of some blocks."""

    canvas: str | None
    blocks: tuple[tuple[int, int], ...]

    def __call__(self, task: Task) -> Sums:
        """Sum in this process."""
        with opened(task.origin) as data:
            work = Pass(data.sources[self.canvas], **task.options)
            total = work(*self.blocks[0])
            for block in self.blocks[1:]:
                total.add(work(*block))
            return total


@dataclass(frozen=True, eq=False)
class MemberCalls:
    """Calls under some members, of statistics that have so many numbers each if that is known."""

    members: Members
    start: int
    stop: int
    sizes: tuple[int, ...]

    def __call__(self, task: Task) -> list[Array]:
        """Call in this process; return ``T[bin, member]`` of each statistic."""
        with opened(task.origin) as data:
            source = data.sources[self.members.canvas]
            return Calls(task.options["statistics"], self.sizes)(source, self.members, self.start, self.stop)


Piece = Blocks | MemberCalls
"""What one task does."""


def pack(task: Task) -> bytes:
    """Return what all tasks of a set have in common as bytes.

    Raises
    ------
    ObservableError
        If a statistic cannot be sent.
    """
    import cloudpickle  # type: ignore[import-untyped]

    try:
        return bytes(cloudpickle.dumps(task))
    except Exception as error:
        msg = (
            f"the statistics cannot be sent to a cluster: {type(error).__name__}: {error}; expected functions and "
            "objects that can be copied: no open files, locks or connections in them"
        )
        raise ObservableError(msg) from error


def _unpack(packed: bytes) -> Task:
    """Undo `pack`, inside of a task: were it left to Dask, a worker that lacks a module would be heard of no more.

    Raises
    ------
    ObservableError
        If a statistic cannot be built here.
    """
    import cloudpickle

    try:
        task: Task = cloudpickle.loads(packed)
    except Exception as error:
        msg = (
            f"the statistics cannot be rebuilt on a worker of the cluster: {type(error).__name__}: {error}; expected "
            "the same packages there as here, and your own modules: see upload_file of the client"
        )
        raise ObservableError(msg) from error
    return task


def run_piece(piece: Piece, packed: bytes) -> Sums | list[Array] | Failure | Undefined:
    """Run one task on a worker."""
    try:
        return piece(_unpack(packed))
    except UndefinedValuesError as error:
        return Undefined(error.definition, error.where)
    except OmnifoldPubError as error:
        from distributed import get_worker

        bare = type(error)(*error.args)
        bare.add_note(f"On the worker {get_worker().address}:\n{''.join(format_exception(error))}")
        return Failure(bare)
