"""What a campaign consists of and what it costs, before it is run: `omnifold-pub campaign plan`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omnifold_pub.errors import RunError
from omnifold_pub.extras import require
from omnifold_pub.inputs.analysis import read_analysis
from omnifold_pub.inputs.reader import read_inputs
from omnifold_pub.unfold import store
from omnifold_pub.unfold.job import Device
from omnifold_pub.unfold.pilot import Pilot, measure_pilot
from omnifold_pub.unfold.plan import Training
from omnifold_pub.unfold.run import Campaign
from omnifold_pub.unfold.workers import available_cores

__all__ = ["Costs", "PlannedFamily", "plan_costs"]


@dataclass(frozen=True)
class PlannedFamily:
    """Trainings of one family.

    Attributes
    ----------
    family : str
        Its name.
    kind : str
        Whether they resample or vary something, in words.
    trainings : int
        How many.
    purposes : tuple of str
        What they resample or vary, each named once.
    after : tuple of str
        Families that must be finished before.
    """

    family: str
    kind: str
    trainings: int
    purposes: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True)
class Costs:
    """A campaign's trainings and what they cost.

    Attributes
    ----------
    families : tuple of PlannedFamily
        In the order of the plan.
    workers : int
        Processes that it is computed for.
    pilot : Pilot, optional
        What was measured on this machine.
    upper : float, optional
        Seconds of one training at most, from the pilot: all iterations and epochs.
    expected : float, optional
        Seconds of one training, the mean of those that are finished in a run directory.
    finished : int
        How many are.
    price : float, optional
        Of a core-hour.
    each : tuple of Training
        All trainings, in the order in which they are begun.
    """

    families: tuple[PlannedFamily, ...]
    workers: int
    pilot: Pilot | None = None
    upper: float | None = None
    expected: float | None = None
    finished: int = 0
    price: float | None = None
    each: tuple[Training, ...] = ()

    @property
    def trainings(self) -> int:
        """How many trainings there are."""
        return sum(family.trainings for family in self.families)

    def cost(self, seconds: float) -> float | None:
        """Return what one training costs if it takes so many seconds; None if a core-hour has no price."""
        return None if self.price is None else seconds / 3600 * self.price

    def core_hours(self, seconds: float) -> float:
        """Return core-hours of the campaign if one training takes so many seconds."""
        return self.trainings * seconds / 3600

    def hours(self, seconds: float) -> float:
        """Return hours by the clock on that many workers, each of which does one training at a time."""
        return -(-self.trainings // self.workers) * seconds / 3600

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""

        def estimate(seconds: float | None) -> dict[str, float | None] | None:
            if seconds is None:
                return None
            cost = self.cost(seconds)
            return {
                "seconds_per_training": seconds,
                "price_per_training": cost,
                "core_hours": self.core_hours(seconds),
                "hours": self.hours(seconds),
                "price": None if cost is None else self.trainings * cost,
            }

        return {
            "trainings": self.trainings,
            "workers": self.workers,
            "families": [
                {
                    "family": family.family,
                    "kind": family.kind,
                    "trainings": family.trainings,
                    "purposes": list(family.purposes),
                    "after": list(family.after),
                }
                for family in self.families
            ],
            "pilot": None if self.pilot is None else vars(self.pilot),
            "memory": None if self.pilot is None else self.pilot.memory * min(self.workers, self.trainings),
            "upper": estimate(self.upper),
            "expected": estimate(self.expected),
            "finished": self.finished,
            "list": [
                {"name": training.name, "purpose": training.purpose, **training.to_dict()} for training in self.each
            ],
        }


def plan_costs(
    analysis: str | Path,
    *,
    run: str | Path | None = None,
    workers: int | None = None,
    price: float | None = None,
    device: Device = "auto",
    pilot: bool = True,
) -> Costs:
    """List the trainings of an analysis and estimate what they cost.

    Parameters
    ----------
    analysis : str or path-like
        Analysis file (YAML).
    run : str or path-like, optional
        Run directory of this analysis: the mean time of its finished trainings, which stopped early or not, is what
        the others are expected to take.
    workers : int, optional
        Processes that it is computed for, by default one per core.
    price : float, optional
        Of a core-hour.
    device : {"auto", "cpu", "cuda"}
        What the pilot runs on.
    pilot : bool
        Whether to measure time and memory, for about 20 seconds, in a process of its own.

    Raises
    ------
    InputError
        If the inputs cannot be read.
    TrainingError
        If a training of the pilot fails.
    RunError
        If there are no finished trainings in the run directory, or a file is damaged.
    MissingExtraError
        If PyTorch is not installed.
    """
    require("torch", "uproot", extra="unfold", purpose="Planning a campaign")
    campaign = Campaign.of(read_analysis(analysis), Path(run or "."))
    seconds = [] if run is None else _finished(campaign)
    measured = measure_pilot(campaign, read_inputs(campaign.analysis), device=device) if pilot else None
    return Costs(
        families=_families(campaign.trainings),
        workers=workers or available_cores(),
        pilot=measured,
        upper=None if measured is None else measured.seconds(campaign.config),
        expected=sum(seconds) / len(seconds) if seconds else None,
        finished=len(seconds),
        price=price,
        each=tuple(campaign.trainings),
    )


def _finished(campaign: Campaign) -> list[float]:
    """Return the seconds of each finished training."""
    paths = [path for path in map(campaign.training_path, campaign.trainings) if path.exists()]
    if not paths:
        msg = f"{campaign.directory}: no finished trainings of this analysis; leave it out to measure a pilot instead"
        raise RunError(msg)
    return [float(store.read_header(path)["run"]["seconds"]) for path in paths]


def _families(trainings: list[Training]) -> tuple[PlannedFamily, ...]:
    family_of = {training.name: training.family for training in trainings}
    found = []
    for family in dict.fromkeys(family_of.values()):
        members = [training for training in trainings if training.family == family]
        purposes = tuple(dict.fromkeys(training.purpose for training in members))
        after = tuple(dict.fromkeys(family_of[name] for training in members for name in training.after))
        found.append(PlannedFamily(family, members[0].kind, len(members), purposes, after))
    return tuple(found)
