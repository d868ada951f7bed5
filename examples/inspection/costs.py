"""What the campaigns took, and what they would take with ten times the parts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from omnifold_pub.errors import RunError
from omnifold_pub.unfold.campaign import unfold
from omnifold_pub.unfold.costs import plan_costs

__all__ = ["PILOT", "TIMES", "Bill", "bill"]

TIMES = 10


@dataclass(frozen=True)
class Bill:
    """Time, memory and disk of one period's campaign.

    Attributes
    ----------
    trainings : int
        In a campaign.
    workers : int
        That work at a time.
    seconds, more_seconds : float
        That one training took here by the clock: the mean of this campaign's, and that of a pilot of two trainings
        with ten times the parts.
    minutes, more_minutes : float
        By the clock for all trainings, at that rate.
    memory, more_memory : float
        GB of all workers together.
    disk, more_disk : float
        MB of the release and of the run directory, which can go when the release is there; it grows as the parts do.
    """

    trainings: int
    workers: int
    seconds: float
    more_seconds: float
    minutes: float
    more_minutes: float
    memory: float
    more_memory: float
    disk: float
    more_disk: float

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return asdict(self)


def _size(path: Path) -> float:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files) / 1e6


PILOT: dict[str, Any] = {"seed": 1, "ensemble": 2, "data_bootstrap": 0, "mc_bootstrap": 0}
"""Campaign of the pilot."""


def bill(folder: Path, larger: Path, *, release: Path, workers: int | None) -> Bill:
    """Read what the trainings took, and run a pilot with ten times the parts.

    Parameters
    ----------
    folder : pathlib.Path
        Of a period, with ``analysis.yaml`` and the run directory ``run``.
    larger : pathlib.Path
        The folder of the pilot, with ten times the parts: ``analysis.yaml`` with `PILOT` as its campaign.
    release : pathlib.Path
        What was published.
    workers : int, optional
        Processes; by default one per core.

    Raises
    ------
    RunError
        If no training is finished.
    """
    now = plan_costs(folder / "analysis.yaml", run=folder / "run", workers=workers)
    unfold(larger / "analysis.yaml", larger / "run", workers=workers)
    more = plan_costs(larger / "analysis.yaml", run=larger / "run", workers=workers)
    if now.expected is None or more.expected is None or now.pilot is None or more.pilot is None:
        msg = f"{folder}: the costs were not measured; expected finished trainings: run the campaign first"
        raise RunError(msg)
    disk = _size(release) + _size(folder / "run")
    at_a_time = min(now.workers, now.trainings)
    return Bill(
        trainings=now.trainings,
        workers=now.workers,
        seconds=now.expected,
        more_seconds=more.expected,
        minutes=60 * now.hours(now.expected),
        more_minutes=60 * now.hours(more.expected),
        memory=now.pilot.memory * at_a_time / 1e9,
        more_memory=more.pilot.memory * at_a_time / 1e9,
        disk=disk,
        more_disk=TIMES * disk,
    )
