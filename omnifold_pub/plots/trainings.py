"""How the trainings of a release went: losses, and what each iteration came to."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from omnifold_pub.errors import ObservableError
from omnifold_pub.extras import require
from omnifold_pub.messages import shorten
from omnifold_pub.plots.styles import LINES, axes_to_draw_on
from omnifold_pub.training_summary import STEPS, Diagnostics

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["iterations", "losses", "training_figure"]

Quantity = Literal["auc", "push_change", "effective_events", "max_over_mean"]

_LOOKS = {key: line for (key, _), line in zip(STEPS, (LINES[1], LINES[0], LINES[2]), strict=True)}
_NAMES = {
    "push_change": r"push change (rms of $\Delta \log \nu$)",
    "effective_events": "effective events",
    "max_over_mean": "largest weight / mean weight",
}


def _starts(diagnostics: Diagnostics, key: str) -> dict[int, int]:
    """Return where each iteration begins if each is as wide as its longest fit, and where the last one ends."""
    widths: Counter[int] = Counter()
    for training in diagnostics:
        for entry in training["iterations"]:
            longest = max((len(fit["held_out_losses"]) for fit in entry.get(key, [])), default=0)
            widths[entry["iteration"]] = max(widths[entry["iteration"]], longest)
    edges = itertools.accumulate((width for _, width in sorted(widths.items())), initial=0)
    return dict(zip([*sorted(widths), max(widths, default=0) + 1], edges, strict=True))


def losses(diagnostics: Diagnostics, *, step: str = "step1", ax: Axes | None = None) -> Axes:
    """Draw the losses of one step of all trainings, one iteration after the other.

    Each line is a training (or a fold of it); dots are the epochs whose networks were kept.

    Parameters
    ----------
    diagnostics : sequence of dict
        ``unfolding.diagnostics`` of a release's metadata.
    step : {"step1", "step2", "fakes"}
        Of OmniFold.
    ax : matplotlib.axes.Axes, optional
        By default those of a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        Those that were drawn on.

    Raises
    ------
    ObservableError
        If there is no such step.
    MissingExtraError
        If matplotlib is not installed.
    """
    names = dict(STEPS)
    if step not in names:
        msg = f"step: expected {', '.join(names)}; found {shorten(step)}"
        raise ObservableError(msg)
    ax = axes_to_draw_on(ax)
    colour, starts = _LOOKS[step].colour, _starts(diagnostics, step)
    for training in diagnostics:
        for entry in training["iterations"]:
            start = starts[entry["iteration"]]
            for fit in entry.get(step, []):
                for what, line in (("training_losses", ":"), ("held_out_losses", "-")):
                    ax.plot(start + 1 + np.arange(len(fit[what])), fit[what], line, color=colour, lw=1, alpha=0.7)
                best = fit["best_epoch"]
                if 0 < best <= len(fit["held_out_losses"]):
                    ax.plot(start + best, fit["held_out_losses"][best - 1], ".", color="black", ms=4)
    for edge in list(starts.values())[1:-1]:
        ax.axvline(edge + 0.5, color="#bbbbbb", lw=0.8)
    ax.plot([], [], ":", color=colour, label="trained on")
    ax.plot([], [], "-", color=colour, label="held out")
    ax.set_title(f"Losses of {names[step]}", loc="left")
    ax.set_xlabel("epoch, iteration after iteration")
    ax.set_ylabel("cross-entropy")
    ax.legend(loc="best", framealpha=0.8)
    return ax


def _auc(diagnostics: Diagnostics, ax: Axes) -> None:
    """Draw the AUC of each step of each training, the mean over its folds."""
    named = set()
    for training, (key, label) in itertools.product(diagnostics, STEPS):
        numbers = [entry["iteration"] for entry in training["iterations"]]
        means = [np.mean([fit["auc"] for fit in entry.get(key, [])] or [np.nan]) for entry in training["iterations"]]
        if np.isfinite(means).any():
            line = _LOOKS[key]
            look: dict[str, Any] = {"color": line.colour, "linestyle": line.linestyle, "marker": line.marker}
            ax.plot(numbers, means, lw=1, ms=4, alpha=0.8, label=None if key in named else label, **look)
            named.add(key)
    ax.axhline(0.5, color="#bbbbbb", lw=0.8)
    ax.set_ylabel("AUC on held-out rows")
    ax.legend(loc="best", framealpha=0.8)


def iterations(diagnostics: Diagnostics, *, quantity: Quantity = "auc", ax: Axes | None = None) -> Axes:
    """Draw what each iteration of each training came to.

    Parameters
    ----------
    diagnostics : sequence of dict
        ``unfolding.diagnostics`` of a release's metadata.
    quantity : {"auc", "push_change", "effective_events", "max_over_mean"}
        How well the networks told the samples apart (0.5: nothing left to learn), how much the weights of truth events
        still changed, and how far the weights went apart.
    ax : matplotlib.axes.Axes, optional
        By default those of a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        Those that were drawn on.

    Raises
    ------
    ObservableError
        If there is no such quantity.
    MissingExtraError
        If matplotlib is not installed.
    """
    if quantity not in ("auc", *_NAMES):
        msg = f"quantity: expected auc, {', '.join(_NAMES)}; found {shorten(quantity)}"
        raise ObservableError(msg)
    ax = axes_to_draw_on(ax)
    from matplotlib.ticker import MaxNLocator

    if quantity == "auc":
        _auc(diagnostics, ax)
    else:
        for training in diagnostics:
            numbers = [entry["iteration"] for entry in training["iterations"]]
            values = [entry["weights"][quantity] for entry in training["iterations"]]
            ax.plot(numbers, values, "o-", color="#333333", lw=1, ms=3, alpha=0.6)
        ax.set_ylabel(_NAMES[quantity])
        ax.set_ylim(bottom=0)
    ax.set_xlabel("iteration")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.xaxis.set_minor_locator(MaxNLocator(1, steps=[10], integer=True))
    return ax


def training_figure(diagnostics: Diagnostics) -> Figure:
    """Return a figure of losses, AUC and push change; call within `style`.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    require("matplotlib", extra="plot", purpose="Drawing")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 6.0), layout="constrained")
    above, below = figure.subplots(2, 2)
    for ax, (key, _) in zip(above, STEPS, strict=False):
        losses(diagnostics, step=key, ax=ax)
    iterations(diagnostics, ax=below[0]).set_title("AUC", loc="left")
    iterations(diagnostics, quantity="push_change", ax=below[1]).set_title("Push change", loc="left")
    return figure
