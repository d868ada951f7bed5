"""Matrices between bins: correlation and covariance, grouped by observable where there are several."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import ObservableError
from omnifold_pub.estimators import BinnedStatistic
from omnifold_pub.measurement import Estimate
from omnifold_pub.observables.binning import Axis
from omnifold_pub.plots.bins import over
from omnifold_pub.plots.labels import axis_label, readable, statistic_label
from omnifold_pub.plots.styles import axes_to_draw_on

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["correlation", "covariance"]

Matrix = NDArray[np.float64]

_COLOURS = "RdBu_r"
_WRITTEN = 8  # bins up to which the numbers stand in the cells
_TICKS = 12
_DARK = 0.6  # of the scale: white numbers from here on
_HATCHED = -0.02  # of the scale: below this, a cell is hatched


def _mark_negative(matrix: Matrix, reach: float, ax: Axes) -> None:
    """Hatch the negative cells: in grey, red and blue are the same."""
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    rows, columns = np.nonzero(matrix < _HATCHED * reach)
    cells = [Rectangle((float(j), float(i)), 1, 1) for i, j in zip(rows, columns, strict=True)]
    if cells:
        hatched = PatchCollection(cells, facecolor="none", edgecolor="#7f8fa6", linewidth=0, hatch="////")
        ax.add_collection(hatched)


def _write_numbers(matrix: Matrix, reach: float, form: str, ax: Axes) -> None:
    for (i, j), number in np.ndenumerate(matrix):
        colour = "white" if abs(number) > _DARK * reach else "black"
        text = format(number + 0.0, form)
        box: dict[str, Any] = {"boxstyle": "round,pad=0.1", "facecolor": "none", "edgecolor": "none"}
        if number < _HATCHED * reach and colour == "black":
            box["facecolor"] = "white"
        ax.text(j + 0.5, i + 0.5, text, ha="center", va="center", fontsize=7.5, color=colour, bbox=box)


def _edge_ticks(axis: Axis) -> tuple[list[float], list[str]]:
    """Return where the edges of bins are among the cells, not too many of them, and what they are called."""
    step = -(-len(axis) // _TICKS)
    places = list(range(0, len(axis) + 1, step))
    return [float(place) for place in places], [f"{axis.edges[place]:g}" for place in places]


def _label_cells(estimate: Estimate, ax: Axes) -> None:
    """Say what the rows and columns are: edges of bins, names of numbers, or groups of bins of an observable."""
    statistics = estimate.statistics
    only = statistics[0]
    if len(statistics) == 1 and isinstance(only, BinnedStatistic) and len(only.axes) == 1:
        places, names = _edge_ticks(only.axes[0])
        long = max(map(len, names)) * len(names) > 40
        ax.set_xticks(places, names, rotation=60 if long else 0)
        ax.set_yticks(places, names)
        ax.set_xlabel(axis_label(only.axes[0]))
        ax.set_ylabel(axis_label(only.axes[0]))
        return
    if len(statistics) == 1:
        names = [readable(label, 24) for label in estimate.labels]
        step = -(-len(names) // (2 * _TICKS))
        middles = np.arange(0, len(names), step) + 0.5
        names = names[::step]
    else:
        names = [statistic_label(statistic) for statistic in statistics]
        middles = np.array([(one.start + one.stop) / 2 for one in estimate.slices])
        for one in estimate.slices[:-1]:
            ax.axhline(one.stop, color="black", linewidth=0.8)
            ax.axvline(one.stop, color="black", linewidth=0.8)
    ax.set_xticks(list(middles), names, rotation=35, ha="right", rotation_mode="anchor")
    ax.set_yticks(list(middles), names)


def _draw(estimate: Estimate, matrix: Matrix, label: str, ax: Axes, *, reach: float, form: str) -> Axes:
    """Draw a matrix of signed numbers in colours from -reach to reach."""
    size = len(matrix)
    image = ax.imshow(  # an equal aspect would defeat the constrained layout: labels would be cut off
        matrix, vmin=-reach, vmax=reach, cmap=_COLOURS, origin="lower", extent=(0, size, 0, size), aspect="auto"
    )
    _mark_negative(matrix, reach, ax)
    if size <= _WRITTEN:
        _write_numbers(matrix, reach, form, ax)
    if ax.figure is not None:
        bar = ax.figure.colorbar(image, ax=ax, label=label, shrink=0.85)
        bar.ax.minorticks_off()
        bar.ax.ticklabel_format(axis="y", style="sci", scilimits=(-3, 4), useMathText=True)
        bar.ax.axhspan(-reach, _HATCHED * reach, facecolor="none", edgecolor="#7f8fa6", linewidth=0, hatch="////")
    ax.minorticks_off()
    ax.tick_params(length=0, which="both")
    _label_cells(estimate, ax)
    return ax


def correlation(measurement: Estimate, *, component: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw the correlation matrix of the bins, grouped and labelled by observable where there are several.

    Negative cells are hatched, so that the sign is seen in grey too; of few bins, the numbers are written.

    Parameters
    ----------
    measurement : Estimate, Measurement or JointMeasurement
        Whose matrix.
    component : str, optional
        Of the covariance, by default all together.
    ax : matplotlib.axes.Axes, optional
        By default those of a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        Those that were drawn on; the colours' bar has axes of its own in the same figure.

    Raises
    ------
    ObservableError
        If there is no such component.
    MissingExtraError
        If matplotlib is not installed.
    """
    matrix = measurement.correlation(component)
    of = "" if component is None else f", {readable(component, 30)}"
    return _draw(measurement, matrix, f"correlation{of}", axes_to_draw_on(ax), reach=1.0, form=".2f")


def covariance(
    measurement: Estimate, *, component: str | None = None, relative: bool = False, ax: Axes | None = None
) -> Axes:
    """Draw the covariance matrix of the bins, grouped and labelled by observable where there are several.

    Parameters
    ----------
    measurement, component, ax
        As for `correlation`.
    relative : bool
        Divide by the values of both bins: in percent squared. Several units, or bins of very different content, show
        little otherwise.

    Raises
    ------
    ObservableError
        If there is no such component; or the numbers differ in their units and are not to be relative.
    MissingExtraError
        If matplotlib is not installed.
    """
    matrix = measurement.covariance(component)
    of = "" if component is None else f", {readable(component, 30)}"
    if relative:
        matrix = 1e4 * over(matrix, np.outer(measurement.nominal, measurement.nominal))
        label = f"relative covariance{of} [%$^2$]"
    else:
        if len(set(measurement.units)) > 1:
            units = ", ".join(dict.fromkeys(measurement.units))
            msg = f"covariance: expected numbers of one unit; found {units}; draw the relative one (relative=True)"
            raise ObservableError(msg)
        unit = measurement.unit
        written = f"({readable(unit)})" if "/" in unit else readable(unit)
        label = f"covariance{of}" + ("" if unit in ("", "1") else f" [{written}$^2$]")
    reach = float(np.nanmax(np.abs(matrix), initial=0)) or 1.0
    return _draw(measurement, matrix, label, axes_to_draw_on(ax), reach=reach, form=".2g")
