"""The order of a campaign's work: what must be done first, what is tried again, what is given up."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol

from omnifold_pub.errors import TrainingError
from omnifold_pub.unfold.job import Ended, Started
from omnifold_pub.unfold.plan import Training
from omnifold_pub.unfold.records import Claim, Failure, Records, RunWarning, now

__all__ = ["ATTEMPTS", "Workers", "work_through"]

ATTEMPTS = 2
"""How often a training is tried in one run."""


class Workers(Protocol):
    """Whoever does trainings and stores them: processes of this machine, or of a cluster."""

    def submit(self, training: Training, number: int) -> None:
        """Hand over a training, for the ``number``-th attempt at it; it is begun when a worker is free."""

    def events(self) -> Sequence[Started | Ended]:
        """Wait until something has happened; return what.

        Raises
        ------
        OmnifoldPubError
            If there can be no workers any more.
        """

    def close(self) -> None:
        """Let the workers go; what is under way is dropped."""


class _WorkList:
    """Trainings that are not done yet."""

    def __init__(self, trainings: Sequence[Training], done: Sequence[str]) -> None:
        self.done = set(done)
        self.waiting = {training.name: training for training in trainings}
        self.submitted: dict[str, Training] = {}
        self.failed: dict[str, Failure] = {}
        self.attempts: Counter[str] = Counter()

    def ready(self) -> list[Training]:
        """Return those that may begin now, in the order of the plan; they count as submitted from here on."""
        found = [t for t in self.waiting.values() if self.done.issuperset(t.after)]
        for training in found:
            self.submitted[training.name] = self.waiting.pop(training.name)
        return found

    def finish(self, name: str) -> None:
        """Take a training off the list."""
        del self.submitted[name]
        self.done.add(name)

    def fail(self, ended: Ended) -> Failure:
        """Count a failed attempt; put the training back, or give it up."""
        training = self.submitted.pop(ended.training)
        attempts = self.attempts[training.name]
        failure = Failure(
            training.name, attempts, attempts >= ATTEMPTS, str(ended.reason), now(), ended.host, ended.details
        )
        if failure.final:
            self.failed[training.name] = failure
        else:
            self.waiting[training.name] = training
        return failure

    def block(self) -> list[Failure]:
        """Give up what can never begin; return it."""
        blocked = []
        while found := [t for t in self.waiting.values() if not self.failed.keys().isdisjoint(t.after)]:
            for training in found:
                del self.waiting[training.name]
                names = ", ".join(name for name in training.after if name in self.failed)
                failure = Failure(
                    training.name, 0, final=True, reason=f"needs {names}, which failed", time=now(), host=""
                )
                self.failed[training.name] = failure
                blocked.append(failure)
        return blocked


def work_through(
    trainings: Sequence[Training],
    workers: Workers,
    records: Records,
    *,
    done: Sequence[str] = (),
    on_finished: Callable[[], None],
) -> None:
    """Do trainings, each after those that it builds on; try what fails once more.

    Parameters
    ----------
    trainings : sequence of Training
        What is to be done.
    workers : Workers
        Who does it.
    records : Records
        Where it is written down what is under way and what failed.
    done : sequence of str
        Names of trainings that were finished before.
    on_finished : callable
        Called after each.

    Raises
    ------
    TrainingError
        If trainings failed twice: all of them with their reasons, when the others are finished. At once, if all others
        would fail of the same.
    """
    work = _WorkList(trainings, done)
    while True:
        for training in work.ready():
            work.attempts[training.name] += 1
            workers.submit(training, work.attempts[training.name])
        if not work.submitted:
            break
        for event in workers.events():
            if event.training not in work.submitted:  # told late
                continue
            if isinstance(event, Started):
                records.claim(Claim(event.training, event.host, event.pid, event.started))
                continue
            records.release(event.training)
            if event.reason is None:
                work.finish(event.training)
                records.forgive(event.training)
                on_finished()
            elif event.fatal:
                raise TrainingError(f"training {event.training}: {event.reason}")  # noqa: EM102
            else:
                failure = work.fail(event)
                records.fail(failure)
                if not failure.final:
                    warnings.warn(
                        f"training {failure.training} failed and is tried again: {failure.reason}", RunWarning, 2
                    )
        for failure in work.block():
            records.fail(failure)
    if work.waiting:
        name, training = next(iter(work.waiting.items()))
        msg = f"training {name} comes after {', '.join(training.after)}, not all of which are in the campaign"
        raise TrainingError(msg)
    if work.failed:
        lines = "\n  ".join(f"{failure.training}: {failure.reason}" for failure in work.failed.values())
        msg = (
            f"{len(work.failed)} of {len(trainings)} trainings failed, each of them {ATTEMPTS} times or for want of "
            f"another; the rest are finished and kept, and the same command tries these again:\n  {lines}"
        )
        raise TrainingError(msg)
