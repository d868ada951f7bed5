"""What the members of a weight family make of a spectrum."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from omnifold_pub.errors import ObservableError
from omnifold_pub.measurement import Measurement
from omnifold_pub.messages import suggest
from omnifold_pub.plots.bins import axis_of, over
from omnifold_pub.plots.labels import axis_label, readable
from omnifold_pub.plots.steps import band, legend_below, outline
from omnifold_pub.plots.styles import BAND_COLOURS, Line, axes_to_draw_on, line_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["fan"]

_QUANTILES = 10  # members from which on the inner 68 % say something
_SHOWN = 100  # members drawn as lines


def fan(measurement: Measurement, *, component: str, ax: Axes | None = None) -> Axes:
    """Draw the spectrum under each member of a component, over the nominal one: a fan of replicas.

    The band holds the inner 68 % of the members in each bin, the dashed lines are the component's uncertainty: for a
    bootstrap they agree but for the bias, which is the distance of the band's middle from one. For an ensemble whose
    mean is published the uncertainty is that of the mean, and smaller than the spread of the members.

    Parameters
    ----------
    measurement : Measurement
        Of one observable.
    component : str
        One with members.
    ax : matplotlib.axes.Axes, optional
        By default those of a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        Those that were drawn on.

    Raises
    ------
    ObservableError
        If there is no such component, it has no members, or the document that it was read from left them out.
    MissingExtraError
        If matplotlib is not installed.
    """
    axis = axis_of(measurement)
    members = measurement.members(component)
    if not len(members) or np.isnan(members).any():
        there = [r.component.name for r in measurement.results if len(r.members) and not np.isnan(r.members).any()]
        msg = f"component {component!r} has no members here to draw; {suggest('', there)}"
        raise ObservableError(msg)
    ax = axes_to_draw_on(ax)
    nominal = measurement.nominal
    relative = np.array([over(member, nominal) for member in members])
    shown = relative[:_SHOWN]
    if len(members) >= _QUANTILES:
        low, high = np.quantile(relative, [0.158655, 0.841345], axis=0)
        band(ax, low, high, axis.edges, BAND_COLOURS[2], label="inner 68 % of the members")
        for one in shown:
            outline(ax, one, axis.edges, Line("#333333"), linewidth=0.5, alpha=0.45)
        many = f", {_SHOWN} drawn" if len(members) > _SHOWN else ""
        ax.plot([], [], color="#333333", linewidth=0.7, label=f"{len(members)} members{many}")
    else:
        for number, one in enumerate(shown):
            outline(ax, one, axis.edges, line_of(number), label=f"member {number + 1}")
    width = np.abs(over(measurement.uncertainties(component), nominal))
    for sign in (1, -1):
        name = "uncertainty" if sign == 1 else None
        outline(ax, 1 + sign * width, axis.edges, Line("black", "--"), linewidth=1.6, label=name)
    ax.axhline(1, color="black", linewidth=0.8)
    reach = float(np.nanmax(np.abs(np.vstack([relative, 1 + width]) - 1), initial=0)) or 0.01
    ax.set_xlim(axis.edges[0], axis.edges[-1])
    ax.set_ylim(1 - 1.15 * reach, 1 + 1.15 * reach)
    ax.set_xlabel(axis_label(axis))
    ax.set_ylabel("member / nominal")
    ax.set_title(readable(component), loc="left")
    legend_below(ax, *ax.get_legend_handles_labels())
    return ax
