"""How large the uncertainty of each bin is, and what it is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from omnifold_pub.measurement import Measurement
from omnifold_pub.plots.bins import axis_of, over
from omnifold_pub.plots.budget import shares
from omnifold_pub.plots.labels import axis_label, readable
from omnifold_pub.plots.steps import band, outline
from omnifold_pub.plots.styles import NEUTRAL, Line, axes_to_draw_on, line_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["breakdown"]


def breakdown(measurement: Measurement, *, ax: Axes | None = None) -> Axes:
    """Draw the relative uncertainty of each bin, in all and by component, in percent.

    Of many components, the smallest are summed up in quadrature. Empty bins have none.

    Parameters
    ----------
    measurement : Measurement
        Of one observable.
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
    values = np.abs(measurement.values())
    total = 100 * over(measurement.uncertainties(), values)
    band(ax, np.zeros_like(total), total, axis.edges, NEUTRAL)
    outline(ax, total, axis.edges, Line("black"), linewidth=1.8, label="total")
    for number, (name, size) in enumerate(shares(measurement)):
        line = line_of(number)
        percent = 100 * over(size, values)
        outline(ax, percent, axis.edges, line)
        ax.plot(axis.centers, percent, line.marker, color=line.colour, markersize=4)
        ax.plot([], [], line.marker, ls=line.linestyle, color=line.colour, ms=4, label=readable(name, 30))
    ax.set_xlim(axis.edges[0], axis.edges[-1])
    ax.set_ylim(0, 1.1 * float(np.nanmax(total, initial=0)) or 1.0)
    ax.set_xlabel(axis_label(axis))
    ax.set_ylabel("relative uncertainty [%]")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, fontsize=8, frameon=False, handlelength=3)
    return ax
