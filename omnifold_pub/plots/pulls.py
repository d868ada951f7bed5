"""Differences in units of their uncertainty, and how often intervals hold what they should."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from omnifold_pub.errors import StatisticsError
from omnifold_pub.measurement import Measurement
from omnifold_pub.plots.bins import axis_of, over
from omnifold_pub.plots.curves import Curve
from omnifold_pub.plots.labels import axis_label, readable
from omnifold_pub.plots.steps import outline
from omnifold_pub.plots.styles import BAND_COLOURS, axes_to_draw_on, line_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["coverage", "pull_distribution", "pulls"]

Matrix = NDArray[np.float64]

_FURTHEST = 8.0  # standard deviations drawn; what is further is an arrow at the rim


def pulls(measurement: Measurement, curves: Sequence[Curve], *, ax: Axes | None = None) -> Axes:
    """Draw, for each bin, how far predictions are from the measurement, in standard deviations.

    The standard deviation is that of the bin alone, the prediction's own error included; bins are correlated, so that
    the pulls do not sum to chi2. What is further than eight is drawn as an arrow at the rim.

    Parameters
    ----------
    measurement : Measurement
        Of one observable.
    curves : sequence of Curve
        Of the same bins: the truth of pseudo-data, the prior, theories.
    ax : matplotlib.axes.Axes, optional
        By default those of a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        Those that were drawn on.

    Raises
    ------
    ObservableError
        If the measurement has several axes, or bins of infinite width.
    MissingExtraError
        If matplotlib is not installed.
    """
    axis = axis_of(measurement)
    ax = axes_to_draw_on(ax)
    ax.axhspan(-2, 2, color=BAND_COLOURS[0], linewidth=0, label="two standard deviations")
    ax.axhspan(-1, 1, color=BAND_COLOURS[2], linewidth=0, label="one")
    ax.axhline(0, color="black", linewidth=0.8)
    largest, beyond = 3.0, False
    for number, curve in enumerate(curves):
        own = np.zeros(len(axis)) if curve.errors is None else np.asarray(curve.errors)
        found = over(np.asarray(curve.values) - measurement.values(), np.hypot(measurement.uncertainties(), own))
        places = axis.edges[:-1] + axis.widths * (number + 1) / (len(curves) + 1)
        largest = max(largest, min(float(np.nanmax(np.abs(found), initial=0)), _FURTHEST))
        marker = line_of(number).marker
        near = np.abs(found) <= _FURTHEST
        ax.plot(places[near], found[near], marker, color=curve.colour, markersize=6, label=readable(curve.label, 30))
        for place, pull in zip(places[~near], found[~near], strict=True):
            if np.isfinite(pull):
                rim = 0.93 * np.sign(pull) * 1.3 * _FURTHEST
                ax.plot(place, rim, "^" if pull > 0 else "v", color=curve.colour, markersize=8, fillstyle="none")
                beyond = True
    if beyond:
        ax.plot([], [], "^", color="black", markersize=8, fillstyle="none", label=f"beyond {_FURTHEST:g}")
    for edge in axis.edges[1:-1]:
        ax.axvline(edge, color="#bbbbbb", linewidth=0.6)
    ax.set_xlim(axis.edges[0], axis.edges[-1])
    ax.set_ylim(-1.3 * largest, 1.3 * largest)
    ax.set_xlabel(axis_label(axis))
    ax.set_ylabel("(prediction - measured) / uncertainty")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, fontsize=8, frameon=False)
    return ax


def _finite(name: str, found: ArrayLike) -> Matrix:
    """Return ``pull[experiment, ...]`` as one row of finite numbers.

    Raises
    ------
    StatisticsError
        If there is none, or one is not finite.
    """
    numbers = np.asarray(found, dtype=np.float64).ravel()
    if not len(numbers) or not np.isfinite(numbers).all():
        bad = int((~np.isfinite(numbers)).sum())
        what = f"{bad} of {len(numbers)} that are not finite" if len(numbers) else "none"
        msg = f"{name}: expected finite pulls to draw; found {what}"
        raise StatisticsError(msg)
    return numbers


def pull_distribution(found: Mapping[str, ArrayLike], *, ax: Axes | None = None) -> Axes:
    """Draw the distribution of pulls of pseudo-experiments beside the normal one that they should follow.

    Parameters
    ----------
    found : mapping of array_like
        By name: (estimate - truth) / uncertainty of each pseudo-experiment, in any shape.
    ax : matplotlib.axes.Axes, optional
        By default those of a new figure.

    Raises
    ------
    StatisticsError
        If there is no pull, or one is not finite.
    MissingExtraError
        If matplotlib is not installed.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> drawn = pull_distribution({"pT_ll": [0.1, -1.2, 0.7]}, ax=Figure().subplots())
    >>> drawn.get_xlabel()
    '(estimate - truth) / uncertainty'
    """
    samples = {name: _finite(name, one) for name, one in found.items()}
    ax = axes_to_draw_on(ax)
    edges = np.linspace(-4, 4, 33)
    z = np.linspace(-4, 4, 201)
    normal = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    ax.fill_between(z, normal, color=BAND_COLOURS[1], linewidth=0, label="normal distribution")
    highest = float(normal.max())
    for number, (name, numbers) in enumerate(samples.items()):
        counts = np.histogram(np.clip(numbers, -3.999, 3.999), edges)[0]
        density = counts / (len(numbers) * np.diff(edges))
        highest = max(highest, float(density.max()))
        moments = (
            f"mean {round(numbers.mean(), 2) + 0.0:.2f}, deviation {numbers.std(ddof=1) if len(numbers) > 1 else 0:.2f}"
        )
        label = f"{readable(name, 24)}: {moments}"
        outline(ax, density, edges, line_of(number), label=label)
    ax.set_xlim(-4, 4)
    ax.set_ylim(0, 1.1 * highest)
    ax.set_xlabel("(estimate - truth) / uncertainty")
    ax.set_ylabel("density (the rest in the last bins)")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=1, fontsize=8, frameon=False)
    return ax


def coverage(found: Mapping[str, ArrayLike], *, ax: Axes | None = None) -> Axes:
    """Draw how often intervals hold the truth against how often they should.

    An interval of probability P is the estimate plus or minus z standard deviations with P = erf(z / sqrt 2). Above the
    diagonal intervals are too wide, below too narrow. The bars are Wilson's intervals of 68 %
    (J. Am. Stat. Assoc. 22 (1927) 209), as if all pulls were independent: bins of one experiment are not.

    Parameters
    ----------
    found : mapping of array_like
        By name: (estimate - truth) / uncertainty of each pseudo-experiment, in any shape.
    ax : matplotlib.axes.Axes, optional
        By default those of a new figure.

    Raises
    ------
    StatisticsError
        If there is no pull, or one is not finite.
    MissingExtraError
        If matplotlib is not installed.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> coverage({"pT_ll": [0.1, -1.2, 0.7]}, ax=Figure().subplots()).get_ylabel()
    'intervals that hold the truth'
    """
    samples = {name: _finite(name, one) for name, one in found.items()}
    ax = axes_to_draw_on(ax)
    asked = np.array([0.2, 0.4, 0.6, special.erf(1 / np.sqrt(2)), 0.8, 0.9, special.erf(2 / np.sqrt(2))])
    z = np.sqrt(2) * special.erfinv(asked)
    ax.plot([0, 1], [0, 1], color="black", linewidth=1.0, label="as they should")
    for number, (name, numbers) in enumerate(samples.items()):
        line = line_of(number)
        share = (np.abs(numbers)[:, np.newaxis] <= z).mean(axis=0)
        size = len(numbers)
        centre, half = (share + 0.5 / size) / (1 + 1 / size), np.sqrt(share * (1 - share) / size + 0.25 / size**2)
        half /= 1 + 1 / size
        bars = np.clip([share - (centre - half), (centre + half) - share], 0, None)
        moved = asked + 0.008 * (number - (len(samples) - 1) / 2)
        look: dict[str, Any] = {"color": line.colour, "linestyle": line.linestyle, "marker": line.marker}
        ax.errorbar(moved, share, yerr=bars, label=f"{readable(name, 24)} ({size} pulls)", markersize=5, **look)
    for place, text in ((asked[3], r"$1\sigma$"), (asked[6], r"$2\sigma$")):
        ax.axvline(place, color="#bbbbbb", linewidth=0.8, zorder=0)
        ax.text(place - 0.01, 0.03, text, ha="right", color="#555555", fontsize=9)
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1.02)
    ax.set_xlabel("probability of the interval")
    ax.set_ylabel("intervals that hold the truth")
    ax.legend(loc="upper left")
    return ax
