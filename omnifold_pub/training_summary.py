"""What a release says of its trainings, iteration by iteration: numbers for a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = [
    "STEPS",
    "BackgroundFits",
    "Diagnostics",
    "IterationRow",
    "Range",
    "background_fits",
    "count_stops",
    "iteration_rows",
]

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
    effective_events, max_over_mean, sum_of_weights, push_change : Range
        Of the weights of truth events after the iteration.
    pulled_effective_events, pulled_max_over_mean : Range or None
        Of the weights of reco events after its step 1; None where nobody said.
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
    sum_of_weights: Range
    push_change: Range
    pulled_effective_events: Range | None
    pulled_max_over_mean: Range | None
    seconds: Range | None


def _range_of(values: Sequence[float]) -> Range | None:
    return Range.of(values) if values else None


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
        weights = [entry["weights"] for entry in entries]
        pulled = [entry["pull"] for entry in entries if "pull" in entry]
        rows.append(
            IterationRow(
                iteration=number,
                trainings=len(entries),
                auc={label: Range.of([fit["auc"] for one, fit in fits if one == label]) for label in steps},
                calibration=worst,
                worst_step=step,
                pull=max((_pull(fit["calibration"]) for _, fit in fits), default=0.0),
                effective_events=Range.of([one["effective_events"] for one in weights]),
                max_over_mean=Range.of([one["max_over_mean"] for one in weights]),
                sum_of_weights=Range.of([one["sum_of_weights"] for one in weights]),
                push_change=Range.of([one["push_change"] for one in weights]),
                pulled_effective_events=_range_of([one["effective_events"] for one in pulled]),
                pulled_max_over_mean=_range_of([one["max_over_mean"] for one in pulled]),
                seconds=_range_of([entry["seconds"] for entry in entries if "seconds" in entry]),
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


@dataclass(frozen=True)
class BackgroundFits:
    """The fits that took the background out of the data, over all trainings.

    Attributes
    ----------
    auc : Range
        Of the classifiers.
    calibration : float
        Worst chi2/ndf; 0 if none could be tested.
    """

    auc: Range
    calibration: float


def background_fits(diagnostics: Diagnostics) -> BackgroundFits | None:
    """Summarise the resampling of backgrounds; None where there was none.

    >>> background_fits([{"training": "ensemble_0000", "iterations": []}]) is None
    True
    """
    fits = [fit for training in diagnostics for fit in training.get("background", [])]
    if not fits:
        return None
    tested = [fit["calibration"] for fit in fits if fit["calibration"]["ndf"]]
    worst = max((calibration["chi2"] / calibration["ndf"] for calibration in tested), default=0.0)
    return BackgroundFits(Range.of([fit["auc"] for fit in fits]), worst)
