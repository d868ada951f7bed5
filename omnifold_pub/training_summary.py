"""What a release says of its trainings, iteration by iteration: numbers for a table, curves for a picture."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from omnifold_pub.extras import require

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["IterationRow", "Range", "count_stops", "iteration_rows", "training_figure"]

Diagnostics = Sequence[dict[str, Any]]
"""``unfolding.diagnostics`` of a release's metadata."""

_STEPS = (("step1", "step 1", "#3a6ea5"), ("step2", "step 2", "#c1440e"), ("fakes", "fakes", "#5a7d2a"))


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
    for key, label, _ in _STEPS:
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
        steps = [label for _, label, _ in _STEPS if any(label == one for one, _ in fits)]
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


def _starts(diagnostics: Diagnostics, key: str) -> dict[int, int]:
    """Return where each iteration begins if each is as wide as its longest fit, and where the last one ends."""
    widths: Counter[int] = Counter()
    for training in diagnostics:
        for entry in training["iterations"]:
            longest = max((len(fit["held_out_losses"]) for fit in entry.get(key, [])), default=0)
            widths[entry["iteration"]] = max(widths[entry["iteration"]], longest)
    edges = itertools.accumulate((width for _, width in sorted(widths.items())), initial=0)
    return dict(zip([*sorted(widths), max(widths, default=0) + 1], edges, strict=True))


def _draw_losses(ax: Axes, diagnostics: Diagnostics, key: str, colour: str) -> None:
    """Draw the losses of one step, one iteration after the other."""
    starts = _starts(diagnostics, key)
    for training in diagnostics:
        for entry in training["iterations"]:
            start = starts[entry["iteration"]]
            for fit in entry.get(key, []):
                for what, line in (("training_losses", ":"), ("held_out_losses", "-")):
                    ax.plot(start + 1 + np.arange(len(fit[what])), fit[what], line, color=colour, lw=1, alpha=0.7)
                best = fit["best_epoch"]
                if 0 < best <= len(fit["held_out_losses"]):
                    ax.plot(start + best, fit["held_out_losses"][best - 1], ".", color="black", ms=4)
    for edge in list(starts.values())[1:-1]:
        ax.axvline(edge + 0.5, color="#bbbbbb", lw=0.8)
    ax.plot([], [], ":", color=colour, label="trained on")
    ax.plot([], [], "-", color=colour, label="held out")
    ax.set_xlabel("epoch, iteration after iteration")


def training_figure(diagnostics: Diagnostics) -> Figure:
    """Return a figure of losses, AUC and push change; call within `omnifold_pub.plots.style`.

    Each line is a training (or a fold of it); dots are the epochs whose networks were kept.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    require("matplotlib", extra="plot", purpose="Drawing")
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(9.6, 6.0), layout="constrained")
    losses, below = figure.subplots(2, 2)
    for ax, (key, label, colour) in zip(losses, _STEPS, strict=False):
        _draw_losses(ax, diagnostics, key, colour)
        ax.set_title(f"Losses of {label}", loc="left")
        ax.set_ylabel("cross-entropy")
        ax.legend(loc="best", framealpha=0.8)
    for training in diagnostics:
        numbers = [entry["iteration"] for entry in training["iterations"]]
        for key, label, colour in _STEPS:
            means = [
                np.mean([fit["auc"] for fit in entry.get(key, [])] or [np.nan]) for entry in training["iterations"]
            ]
            if np.isfinite(means).any():
                name = label if training is diagnostics[0] else None
                below[0].plot(numbers, means, "o-", color=colour, lw=1, ms=3, alpha=0.8, label=name)
        changes = [entry["weights"]["push_change"] for entry in training["iterations"]]
        below[1].plot(numbers, changes, "o-", color="#333333", lw=1, ms=3, alpha=0.6)
    below[0].axhline(0.5, color="#bbbbbb", lw=0.8)
    below[0].set_title("AUC on held-out rows", loc="left")
    below[0].legend(loc="best", framealpha=0.8)
    below[1].set_title(r"Push change (rms of $\Delta \log \nu$)", loc="left")
    below[1].set_ylim(bottom=0)
    for ax in below:
        ax.set_xlabel("iteration")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.minorticks_off()
    return figure
