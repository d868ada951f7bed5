"""What a release says of its trainings, iteration by iteration: numbers for a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["STEPS", "Diagnostics", "IterationRow", "Range", "count_stops", "iteration_rows"]

Diagnostics = Sequence[dict[str, Any]]
"""``unfolding.diagnostics`` of a release's metadata."""

STEPS = (("step1", "step 1"), ("step2", "step 2"), ("fakes", "fakes"))
"""Keys of the fits of an iteration, and what the steps are called."""


@dataclass(frozen=True)
class Range:
    """Mean, smallest and largest of a number over trainings and folds."""

    mean: float
    least: float
    largest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Range:
        """Return that of some numbers, at least one."""
        return cls(float(np.mean(values)), float(np.min(values)), float(np.max(values)))


@dataclass(frozen=True)
class IterationRow:
    """One iteration of all trainings.

    Attributes
    ----------
    iteration : int
        From 1.
    trainings : int
        How many have it.
    auc : dict
        Range by step.
    calibration : float
        Worst chi2/ndf of any fit; 0 if none could be tested.
    worst_step : str
        Where that was.
    pull : float
        Largest ``|ratio - 1| / error`` of any bin of any fit.
    effective_events, max_over_mean, push_change : Range
        Of the weights.
    seconds : Range or None
        Wall time; None where nobody measured it.
    """

    iteration: int
    trainings: int
    auc: dict[str, Range]
    calibration: float
    worst_step: str
    pull: float
    effective_events: Range
    max_over_mean: Range
    push_change: Range
    seconds: Range | None


def _fits(entry: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the fits of an iteration behind the name of their step."""
    for key, label in STEPS:
        for fit in entry.get(key, []):
            yield label, fit


def _pull(calibration: dict[str, Any]) -> float:
    pairs = zip(calibration["ratios"], calibration["errors"], strict=True)
    return max((abs(ratio - 1) / error for ratio, error in pairs if ratio is not None and error), default=0.0)


def iteration_rows(diagnostics: Diagnostics) -> tuple[IterationRow, ...]:
    """Summarise the diagnostics of trainings; a training that stopped early counts as far as it went.

    Parameters
    ----------
    diagnostics : sequence of dict
        ``unfolding.diagnostics`` of a release's metadata.

    Examples
    --------
    >>> iteration_rows([])
    ()
    """
    by_number: dict[int, list[dict[str, Any]]] = {}
    for training in diagnostics:
        for entry in training["iterations"]:
            by_number.setdefault(entry["iteration"], []).append(entry)
    rows = []
    for number, entries in sorted(by_number.items()):
        fits = [found for entry in entries for found in _fits(entry)]
        tested = [
            (fit["calibration"]["chi2"] / fit["calibration"]["ndf"], label)
            for label, fit in fits
            if fit["calibration"]["ndf"]
        ]
        worst, step = max(tested, default=(0.0, ""))
        steps = [label for _, label in STEPS if any(label == one for one, _ in fits)]
        seconds = [entry["seconds"] for entry in entries if "seconds" in entry]
        rows.append(
            IterationRow(
                iteration=number,
                trainings=len(entries),
                auc={label: Range.of([fit["auc"] for one, fit in fits if one == label]) for label in steps},
                calibration=worst,
                worst_step=step,
                pull=max((_pull(fit["calibration"]) for _, fit in fits), default=0.0),
                effective_events=Range.of([entry["weights"]["effective_events"] for entry in entries]),
                max_over_mean=Range.of([entry["weights"]["max_over_mean"] for entry in entries]),
                push_change=Range.of([entry["weights"]["push_change"] for entry in entries]),
                seconds=Range.of(seconds) if seconds else None,
            )
        )
    return tuple(rows)


def count_stops(diagnostics: Diagnostics) -> tuple[tuple[int, int, str], ...]:
    """Return how many trainings ended after which iteration, and by which rule, as far as they say so.

    >>> count_stops([{"stopped": {"iteration": 4, "rule": "all done"}}, {}])
    ((1, 4, 'all done'),)
    """
    stops = [training["stopped"] for training in diagnostics if "stopped" in training]
    counted = Counter((stop["iteration"], stop["rule"]) for stop in stops)
    return tuple((count, iteration, rule) for (iteration, rule), count in sorted(counted.items()))
