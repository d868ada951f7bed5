"""How far a campaign is: what is done, under way, failed and left. Reading alone, also while it goes on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from omnifold_pub.errors import RunError
from omnifold_pub.inputs.analysis import parse_analysis
from omnifold_pub.unfold import store
from omnifold_pub.unfold.plan import Training
from omnifold_pub.unfold.records import Claim, Failure, Records, Session
from omnifold_pub.unfold.run import Campaign, inputs_path, lock_path

try:
    import fcntl
except ImportError:  # not POSIX
    fcntl = None  # type: ignore[assignment]

__all__ = ["FamilyStatus", "State", "Status", "is_at_work", "read_status"]

State = Literal["done", "running", "failed", "remaining"]


@dataclass(frozen=True)
class FamilyStatus:
    """How many trainings of a family are in which state."""

    family: str
    done: int = 0
    running: int = 0
    failed: int = 0
    remaining: int = 0

    @property
    def trainings(self) -> int:
        """All of them."""
        return self.done + self.running + self.failed + self.remaining


@dataclass(frozen=True)
class Status:
    """How far a campaign is.

    Attributes
    ----------
    at_work : bool
        Whether a process works through it now.
    session : Session, optional
        That process, or the last one that did.
    families : tuple of FamilyStatus
        In the order of the plan; none while a first run still reads its inputs.
    failures : tuple of Failure
        Of trainings that are not done: those that were given up, and those that will be tried again.
    running : tuple of Claim
        Trainings under way.
    elapsed : float, optional
        Seconds since the process at work began.
    spent : float
        Seconds that the finished trainings took, added up.
    left : float, optional
        Seconds until all are done, if the rest take as long as those that are finished, on as many workers as there are
        now; None where none is finished, or nobody is at work.
    """

    at_work: bool
    session: Session | None
    families: tuple[FamilyStatus, ...]
    failures: tuple[Failure, ...]
    running: tuple[Claim, ...]
    elapsed: float | None
    spent: float
    left: float | None

    @property
    def total(self) -> FamilyStatus:
        """All families together."""
        counts = {state: sum(getattr(family, state) for family in self.families) for state in _STATES}
        return FamilyStatus("all", **counts)

    @property
    def good(self) -> bool:
        """Whether everything is done, or under way without a failure."""
        total = self.total
        finished = bool(self.families) and total.done == total.trainings
        return not total.failed and (finished or self.at_work)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it; times in seconds."""

        def counts(family: FamilyStatus) -> dict[str, int]:
            return {"trainings": family.trainings, **{state: getattr(family, state) for state in _STATES}}

        return {
            "at_work": self.at_work,
            "session": None if self.session is None else vars(self.session),
            "total": counts(self.total),
            "families": [{"family": family.family, **counts(family)} for family in self.families],
            "running": [vars(claim) for claim in self.running],
            "failures": [vars(failure) for failure in self.failures],
            "elapsed": self.elapsed,
            "spent": self.spent,
            "left": self.left,
        }


_STATES: tuple[State, ...] = ("done", "running", "failed", "remaining")


def is_at_work(directory: Path) -> bool:
    """Return whether a process holds a run directory's lock.

    The lock is asked for, shared, and given back at once: `omnifold_pub.unfold.campaign.unfold` waits as long.
    """
    path = lock_path(directory)
    if not path.exists():
        return False
    if fcntl is None:
        import filelock

        try:
            with filelock.FileLock(path, timeout=0):
                return False
        except filelock.Timeout:
            return True
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def read_status(run: str | Path) -> Status:
    """Read how far the campaign of a run directory is.

    Nothing is written, so it can be asked at any time, also of a run of others, or one that was killed.

    Parameters
    ----------
    run : str or path-like
        Run directory.

    Raises
    ------
    RunError
        If the folder is no run directory, or a record in it is damaged.
    """
    directory = Path(run)
    at_work = is_at_work(directory)
    records = Records(directory)
    inputs = inputs_path(directory)
    session = records.session
    elapsed = None if session is None or not at_work else _seconds_since(session.started)
    if not inputs.exists():
        if at_work:
            return Status(at_work, session, (), (), (), elapsed, 0.0, None)
        msg = f"{run}: not a run directory; make one with omnifold-pub campaign run"
        raise RunError(msg)
    campaign = Campaign.of(parse_analysis(store.read_header(inputs)["analysis"], inputs), directory)
    claims = records.claims if at_work else {}
    failures = records.failures
    seconds: list[float] = []
    states: dict[str, State] = {}
    for training in campaign.trainings:
        took = _took(campaign.training_path(training))
        if took is not None:
            states[training.name] = "done"
            seconds.append(took)
        elif training.name in claims:
            states[training.name] = "running"
        else:
            failure = failures.get(training.name)
            states[training.name] = "failed" if failure is not None and failure.final else "remaining"
    running = tuple(claim for name, claim in claims.items() if states.get(name) == "running")
    return Status(
        at_work=at_work,
        session=session,
        families=_families(campaign.trainings, states),
        failures=tuple(f for name, f in failures.items() if states.get(name, "done") != "done"),
        running=running,
        elapsed=elapsed,
        spent=sum(seconds),
        left=_left(seconds, running, list(states.values()).count("remaining")) if at_work else None,
    )


def _families(trainings: Sequence[Training], states: dict[str, State]) -> tuple[FamilyStatus, ...]:
    names = list(dict.fromkeys(training.family for training in trainings))
    found = []
    for name in names:
        of_family = [states[training.name] for training in trainings if training.family == name]
        found.append(FamilyStatus(name, **{state: of_family.count(state) for state in _STATES}))
    return tuple(found)


def _took(path: Path) -> float | None:
    """Return the seconds that a training took; None where it is not there whole."""
    if not path.exists():
        return None
    try:
        return float(store.read_header(path)["run"]["seconds"])
    except RunError:  # damaged, and made anew by the next run
        return None


def _seconds_since(moment: str) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()


def _left(seconds: Sequence[float], running: Sequence[Claim], remaining: int) -> float | None:
    """Return how long the rest takes, each training the mean of those that are done."""
    if not seconds or not (running or remaining):
        return 0.0 if seconds else None
    mean = sum(seconds) / len(seconds)
    begun = sum(max(mean - _seconds_since(claim.started), 0.0) for claim in running)
    return (begun + remaining * mean) / max(len(running), 1)
