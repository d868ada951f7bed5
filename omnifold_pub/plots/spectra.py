"""Spectra with their bands, predictions beside them, and the ratio of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import ObservableError
from omnifold_pub.extras import require
from omnifold_pub.measurement import Measurement
from omnifold_pub.messages import shorten
from omnifold_pub.plots.bins import axis_of, over, per_width
from omnifold_pub.plots.budget import shares
from omnifold_pub.plots.curves import Curve
from omnifold_pub.plots.labels import axis_label, readable, title_of, value_label
from omnifold_pub.plots.steps import band, legend_below, outline
from omnifold_pub.plots.styles import BAND_COLOURS, NEUTRAL, Line, axes_to_draw_on, line_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import StepPatch

__all__ = ["Bands", "ratio", "spectrum", "spectrum_figure"]

Vector = NDArray[np.float64]
Bands = Literal["stacked", "separate", "total"]

_LARGE_RANGE = 50  # from here on, a spectrum is drawn on a logarithmic scale
_WIDEST, _NARROWEST = 0.75, 0.1  # of the ratio's axis, to either side of one


def spectrum(measurement: Measurement, *, curves: Sequence[Curve] = (), ax: Axes | None = None) -> Axes:
    """Draw the differential cross section with its total band, and predictions as lines.

    Parameters
    ----------
    measurement : Measurement
        Of one observable. Contents of bins are divided by the widths of the bins.
    curves : sequence of Curve
        Of the same bins, in the measurement's unit: the prior, theories.
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

    Examples
    --------
    >>> import omnifold_pub
    >>> with omnifold_pub.open_release("release/zjets/zjets.h5") as release:
    ...     measurement = release.measure("pT_ll", [200, 230, 270, 350, 1000])
    >>> from matplotlib.figure import Figure
    >>> spectrum(measurement, ax=Figure().subplots()).get_xlim()
    (np.float64(200.0), np.float64(1000.0))
    """
    edges = axis_of(measurement).edges
    ax = axes_to_draw_on(ax)
    values, errors = measurement.values(), measurement.uncertainties()
    density, upper, lower = (per_width(measurement, v) for v in (values, values + errors, values - errors))
    band(ax, lower, upper, edges, BAND_COLOURS[1], label="measured, total uncertainty")
    drawn = [density, upper]
    for curve in curves:
        scaled = per_width(measurement, np.asarray(curve.values))
        outline(ax, scaled, edges, Line(curve.colour, curve.linestyle), label=readable(curve.label, 40))
        drawn.append(scaled)
    centers = axis_of(measurement).centers
    ax.plot(centers, density, "o", color="black", markersize=4, label="measured")
    highest = float(np.nanmax(drawn))
    if (values > 0).all() and density.max() > _LARGE_RANGE * density.min():
        ax.set_yscale("log")
        ax.set_ylim(density.min() / 3, highest * 20)
    elif lower.min() >= 0 or (values >= 0).all():
        ax.set_ylim(bottom=0, top=highest * 1.6 or 1.0)
    else:
        lowest = float(min(lower.min(), np.nanmin(drawn)))
        ax.set_ylim(lowest - 0.1 * (highest - lowest), highest + 0.6 * (highest - lowest))
    ax.set_ylabel(value_label(measurement))
    ax.set_xlabel(axis_label(axis_of(measurement)))
    ax.set_xlim(edges[0], edges[-1])
    ax.legend(loc="best", ncols=1 if len(curves) < 4 else 2)
    return ax


def _reach(curve: Curve, values: Vector) -> float:
    """Return how far a curve and its errors are from the measured values, relative to these."""
    errors = 0 if curve.errors is None else curve.errors
    return float(np.nanmax(np.abs(over(np.abs(curve.values - values) + errors, values)), initial=0))


def _nested(measurement: Measurement, ax: Axes) -> None:
    """Draw the bands one inside the other: each adds one component in quadrature to those inside it."""
    edges, values = axis_of(measurement).edges, measurement.values()
    parts = shares(measurement)
    variance = np.cumsum([part**2 for _, part in parts], axis=0)
    bands = [(name, np.abs(over(np.sqrt(v), values))) for (name, _), v in zip(parts, variance, strict=True)]
    for i, (name, width) in reversed(list(enumerate(bands))):
        label = readable(name, 30) if i == 0 else f"+ {readable(name, 30)}"
        band(ax, 1 - width, 1 + width, edges, BAND_COLOURS[i], label=label)


def _beside(measurement: Measurement, ax: Axes, *, parts: bool) -> None:
    """Draw the total as a band, and each component as a pair of lines."""
    edges, values = axis_of(measurement).edges, measurement.values()
    if parts:
        for number, (name, size) in reversed(list(enumerate(shares(measurement)))):
            line = line_of(number)
            width = np.abs(over(size, values))
            outline(ax, 1 + width, edges, line, label=readable(name, 30))
            outline(ax, 1 - width, edges, line)
    total = np.abs(over(measurement.uncertainties(), values))
    colour = NEUTRAL if parts else BAND_COLOURS[1]
    band(ax, 1 - total, 1 + total, edges, colour, label="total uncertainty", zorder=0.5)


def ratio(
    measurement: Measurement, *, curves: Sequence[Curve] = (), bands: Bands = "stacked", ax: Axes | None = None
) -> Axes:
    """Draw predictions over the measurement, and the measurement's band by component.

    Beyond 75 % to either side nothing is shown.

    Parameters
    ----------
    measurement, curves, ax
        As for `spectrum`.
    bands : {"stacked", "separate", "total"}
        Stacked: nested bands, each of which adds one component in quadrature to those inside it, the largest first, so
        that the outermost is the total, the square root of the covariance's diagonal. Separate: the total as a band,
        and each component by itself as a pair of lines. Of many components, the smallest are summed up.

    Raises
    ------
    ObservableError
        If the measurement has several axes, or bins of infinite width; or ``bands`` is none of these.
    MissingExtraError
        If matplotlib is not installed.
    """
    ax = axes_to_draw_on(ax)
    drawn = _draw_ratio(measurement, curves, bands, ax)
    _name_bands(ax, {readable(curve.label, 30): line for curve, line in zip(curves, drawn, strict=True)})
    return ax


def _draw_ratio(measurement: Measurement, curves: Sequence[Curve], bands: Bands, ax: Axes) -> list[StepPatch]:
    """Draw all of it but for the legend, and return the lines of the curves."""
    if bands not in ("stacked", "separate", "total"):
        msg = f"bands: expected stacked, separate or total; found {shorten(bands)}"
        raise ObservableError(msg)
    edges, values = axis_of(measurement).edges, measurement.values()
    if bands == "stacked":
        _nested(measurement, ax)
    else:
        _beside(measurement, ax, parts=bands == "separate")
    drawn = []
    for curve in curves:
        relative = over(np.asarray(curve.values), values)
        drawn.append(outline(ax, relative, edges, Line(curve.colour, curve.linestyle)))
        if curve.errors is not None:
            sizes = np.abs(over(np.asarray(curve.errors), values))
            centers = axis_of(measurement).centers
            ax.errorbar(centers, relative, yerr=sizes, fmt="none", ecolor=curve.colour, elinewidth=1.0)
    ax.axhline(1, color="black", linewidth=0.8)
    total = np.abs(over(measurement.uncertainties(), values))
    reach = max([float(np.nanmax(total, initial=0)), *(_reach(curve, values) for curve in curves)])
    reach = min(max(1.15 * reach, _NARROWEST), _WIDEST)
    ax.set_ylim(1 - reach, 1 + reach)
    ax.set_xlim(edges[0], edges[-1])
    ax.set_xlabel(axis_label(axis_of(measurement)))
    ax.set_ylabel("ratio to measured")
    return drawn


def _name_bands(ax: Axes, lines: Mapping[str, StepPatch] | None = None) -> None:
    """Put a legend of lines and bands below the axes."""
    handles, labels = ax.get_legend_handles_labels()
    lines = lines or {}
    legend_below(ax, [*lines.values(), *handles[::-1]], [*lines, *labels[::-1]])


def spectrum_figure(
    measurement: Measurement, *, curves: Sequence[Curve] = (), bands: Bands = "stacked", title: str = ""
) -> Figure:
    """Return a figure of `spectrum` above `ratio`; call within `style`.

    Parameters
    ----------
    measurement, curves, bands
        As for `ratio`.
    title : str
        Above it.

    Raises
    ------
    ObservableError
        If the measurement has several axes, or bins of infinite width.
    MissingExtraError
        If matplotlib is not installed.
    """
    require("matplotlib", extra="plot", purpose="Drawing")
    from matplotlib.figure import Figure

    figure = Figure(layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    spectrum(measurement, curves=curves, ax=top)
    _draw_ratio(measurement, curves, bands, bottom)
    _name_bands(bottom)  # the curves are named above
    top.set_xlabel("")
    if title:
        top.set_title(title_of(title, 68), loc="left")
    return figure
