"""Axes of chi2 over its degrees of freedom, with p-values at their right side."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["scale_chi2", "write_p_value"]

_FAR = 10.0  # chi2 over degrees of freedom from which on the scale is logarithmic
_TICKS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10_000, 100_000)
_SMALLEST = 0.001


def scale_chi2(ax: Axes, reach: float) -> None:
    """Set the scale along x, logarithmic where chi2 goes far, with room for p-values at the right."""
    if reach > _FAR:
        ax.set_xscale("symlog", linthresh=2)
        ticks = [tick for tick in _TICKS if tick <= reach]
        ax.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
        ax.minorticks_off()
    ax.set_xlim(0, reach * (4 if reach > _FAR else 1.35))


def write_p_value(p_value: float, place: float, ax: Axes) -> None:
    """Write a p-value at the right end of a row."""
    text = f"p = {p_value:.2g}" if p_value >= _SMALLEST else "p < 0.001"
    ax.annotate(
        text,
        (1, place),
        xycoords=("axes fraction", "data"),
        xytext=(-4, 0),
        textcoords="offset points",
        ha="right",
        va="center",
        fontsize=9,
    )
