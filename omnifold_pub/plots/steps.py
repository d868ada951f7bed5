"""Bins as steps: lines along them, and bands; and what they are called, below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.plots.styles import Line

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.patches import StepPatch

__all__ = ["band", "legend_below", "outline"]

Vector = NDArray[np.float64]

_BELOW = 40 / 72  # inches from the axes to a legend, past ticks and label


def outline(ax: Axes, heights: Vector, edges: Vector, line: Line, **more: Any) -> StepPatch:
    """Draw a line along the bins, in the colour and with the dashes of a line; NaN leaves a gap."""
    look: dict[str, Any] = {"color": line.colour, "linestyle": line.linestyle, "linewidth": 1.4, **more}
    return ax.stairs(heights, edges, baseline=None, **look)


def band(ax: Axes, lower: Vector, upper: Vector, edges: Vector, colour: str, **more: Any) -> StepPatch:
    """Fill the bins between two lines; NaN leaves a gap."""
    look: dict[str, Any] = {"color": colour, "linewidth": 0, **more}
    return ax.stairs(upper, edges, baseline=lower, fill=True, **look)


def legend_below(ax: Axes, handles: Sequence[Artist], labels: Sequence[str]) -> None:
    """Put a legend of three columns below the axes, at the same distance however high they are."""
    from matplotlib.transforms import ScaledTranslation

    figure = ax.get_figure(root=True)
    moved = ax.transAxes
    if figure is not None:
        moved = moved + ScaledTranslation(0, -_BELOW, figure.dpi_scale_trans)
    where: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, 0), "bbox_transform": moved}
    ax.legend(handles, labels, ncols=3, fontsize=8, frameon=False, borderaxespad=0, handlelength=2.5, **where)
