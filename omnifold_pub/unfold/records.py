"""What a run directory says of trainings that are not finished: which are at work, and which failed, and why.

::

    RUN/session.json          the process that works, or worked, here: host, pid, start, workers
    RUN/running/<name>.json   a training under way: host, pid, start
    RUN/failures/<name>.json  a training that failed: attempts, reason, time, host

They are for people and `omnifold_pub.unfold.status`; no weight depends on them. The process that holds the run
directory's lock writes them, and takes away what a killed one left.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self, TypeVar

from omnifold_pub.atomic import remove_parts
from omnifold_pub.errors import RunError

__all__ = ["Claim", "Failure", "Records", "RunWarning", "Session", "now"]


class RunWarning(UserWarning):
    """Something went wrong in a run and is made good: a training is tried again, a damaged file made anew."""


def now() -> str:
    """Return the time, as the records have it.

    >>> datetime.fromisoformat(now()).utcoffset().total_seconds()
    0.0
    """
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True)
class Session:
    """A process that works through a campaign.

    Attributes
    ----------
    host : str
        Its machine.
    pid : int
        Its number there.
    started : str
        Time, ISO 8601.
    workers : int, optional
        Training processes on its machine; None on a cluster.
    scheduler : str, optional
        Address of the cluster.
    """

    host: str
    pid: int
    started: str
    workers: int | None = None
    scheduler: str | None = None

    @classmethod
    def of_this_process(cls, *, workers: int | None, scheduler: str | None) -> Self:
        """Return what this process would say of itself."""
        return cls(socket.gethostname(), os.getpid(), now(), workers, scheduler)


@dataclass(frozen=True)
class Claim:
    """A training under way.

    Attributes
    ----------
    training : str
        Its name.
    host : str
        Machine, or address of a cluster's worker.
    pid : int
        Process there.
    started : str
        Time, ISO 8601.
    """

    training: str
    host: str
    pid: int
    started: str


@dataclass(frozen=True)
class Failure:
    """A training that failed.

    Attributes
    ----------
    training : str
        Its name.
    attempts : int
        How often it was tried in the run; 0 where a training that it needs failed.
    final : bool
        Whether the run gave it up.
    reason : str
        Of the last attempt.
    time : str
        When, ISO 8601.
    host : str
        Where.
    details : str
        Traceback, where the error was none of ours.
    """

    training: str
    attempts: int
    final: bool
    reason: str
    time: str
    host: str
    details: str = ""


Record = TypeVar("Record", Session, Claim, Failure)


def _read(path: Path, kind: type[Record]) -> Record | None:
    """Return a record; None where it went away meanwhile."""
    try:
        return kind(**json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        msg = f"{path}: cannot be read: {error}; delete it, nothing but the status needs it"
        raise RunError(msg) from None


class Records:
    """The records of a run directory.

    Parameters
    ----------
    directory : pathlib.Path
        The run directory.
    """

    def __init__(self, directory: Path) -> None:
        self._session = directory / "session.json"
        self._running = directory / "running"
        self._failures = directory / "failures"

    def begin(self, session: Session) -> None:
        """Write who is at work, and take away what those before left.

        Raises
        ------
        RunError
            If the disk does not take it.
        """
        for folder in (self._running, self._failures):
            with contextlib.suppress(FileExistsError):
                folder.mkdir()
            remove_parts(folder)
        self.clear_claims()
        for path in self._failures.glob("*.json"):
            path.unlink(missing_ok=True)
        self._write(self._session, session)

    def clear_claims(self) -> None:
        """Forget what was under way."""
        for path in self._running.glob("*.json"):
            path.unlink(missing_ok=True)

    def claim(self, claim: Claim) -> None:
        """Write down that a training is under way."""
        self._write(self._running / f"{claim.training}.json", claim)

    def release(self, training: str) -> None:
        """Write down that it is not any more."""
        (self._running / f"{training}.json").unlink(missing_ok=True)

    def fail(self, failure: Failure) -> None:
        """Write down that a training failed."""
        self._write(self._failures / f"{failure.training}.json", failure)

    def forgive(self, training: str) -> None:
        """Forget that it failed: it was done after all."""
        (self._failures / f"{training}.json").unlink(missing_ok=True)

    @property
    def session(self) -> Session | None:
        """The process that works, or worked last, here.

        Raises
        ------
        RunError
            If a record cannot be read; so do the others.
        """
        return _read(self._session, Session)

    @property
    def claims(self) -> dict[str, Claim]:
        """Trainings under way, by name, if the process that claimed them is alive."""
        found = [_read(path, Claim) for path in sorted(self._running.glob("*.json"))]
        return {claim.training: claim for claim in found if claim is not None}

    @property
    def failures(self) -> dict[str, Failure]:
        """Trainings that failed, by name."""
        found = [_read(path, Failure) for path in sorted(self._failures.glob("*.json"))]
        return {failure.training: failure for failure in found if failure is not None}

    @staticmethod
    def _write(path: Path, record: Session | Claim | Failure) -> None:
        part = path.with_name(f".{path.name}.part")  # whole or not there, but not flushed: nothing depends on it
        try:
            part.write_text(json.dumps(asdict(record), indent=1) + "\n")
            part.replace(path)
        except OSError as error:
            msg = f"{path}: not written: {error.strerror}. Free some space and run the same command again"
            raise RunError(msg) from error
