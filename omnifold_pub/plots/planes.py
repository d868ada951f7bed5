"""Cross sections in two observables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from omnifold_pub.errors import ObservableError
from omnifold_pub.extras import require
from omnifold_pub.measurement import Measurement
from omnifold_pub.messages import shorten
from omnifold_pub.plots.bins import axes_of, over, per_width
from omnifold_pub.plots.labels import axis_label, title_of, value_label
from omnifold_pub.plots.styles import axes_to_draw_on

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plane", "plane_figure"]

_LARGE_RANGE = 50
_COLOURS = "cividis"  # its lightness rises throughout: it can be read in grey


def plane(
    measurement: Measurement, *, show: Literal["values", "uncertainties"] = "values", ax: Axes | None = None
) -> Axes:
    """Draw a measurement of two observables as a map, in colours whose lightness rises throughout.

    Parameters
    ----------
    measurement : Measurement
        Of two observables, the first along x. Contents of bins are divided by the areas of the bins.
    show : {"values", "uncertainties"}
        The cross section, or its total relative uncertainty in percent. Empty bins stay white.
    ax : matplotlib.axes.Axes, optional
        By default those of a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        Those that were drawn on; the colours' bar has axes of its own in the same figure.

    Raises
    ------
    ObservableError
        If the measurement has not two axes, or bins of infinite width; or ``show`` is neither.
    MissingExtraError
        If matplotlib is not installed.
    """
    if show not in ("values", "uncertainties"):
        msg = f"show: expected values or uncertainties; found {shorten(show)}"
        raise ObservableError(msg)
    first, second = axes_of(measurement, 2)
    ax = axes_to_draw_on(ax)
    from matplotlib.colors import LogNorm

    values = measurement.values()
    errors = np.sqrt(measurement.variances())
    drawn = per_width(measurement, values) if show == "values" else 100 * np.abs(over(errors, values))
    shown = np.ma.masked_where(~np.isfinite(drawn) | (values == 0), drawn)
    large = shown.count() > 0 and shown.min() > 0 and shown.max() > _LARGE_RANGE * shown.min()
    norm = LogNorm(shown.min(), shown.max()) if large else None
    image = ax.pcolormesh(
        first.edges, second.edges, shown.T, cmap=_COLOURS, norm=norm, edgecolors="white", linewidth=0.5
    )
    label = value_label(measurement) if show == "values" else "relative uncertainty [%]"
    if ax.figure is not None:
        ax.figure.colorbar(image, ax=ax, label=label)
    ax.set_xlabel(axis_label(first))
    ax.set_ylabel(axis_label(second))
    return ax


def plane_figure(measurement: Measurement, *, title: str = "") -> Figure:
    """Return a figure of the cross section and of its relative uncertainty side by side; call within `style`.

    Parameters
    ----------
    measurement : Measurement
        Of two observables.
    title : str
        Above it.

    Raises
    ------
    ObservableError
        If the measurement has not two axes, or bins of infinite width.
    MissingExtraError
        If matplotlib is not installed.
    """
    require("matplotlib", extra="plot", purpose="Drawing")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.0, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    plane(measurement, ax=left)
    plane(measurement, show="uncertainties", ax=right)
    if title:
        figure.suptitle(title_of(title, 110), x=0.01, ha="left", fontsize=11)
    return figure
