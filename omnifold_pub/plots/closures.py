"""How near an unfolding comes to what it should find."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from omnifold_pub.closure import ClosureTable, gathered
from omnifold_pub.errors import ReleaseError
from omnifold_pub.extras import require
from omnifold_pub.measurement import ClosureSpectra, Measurement
from omnifold_pub.plots.bins import over
from omnifold_pub.plots.chi2_axes import scale_chi2, write_p_value
from omnifold_pub.plots.labels import axis_label, cross_section_label, readable, title_of
from omnifold_pub.plots.steps import band, outline
from omnifold_pub.plots.styles import BAND_COLOURS, LINES, axes_to_draw_on

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["closure", "closure_figure"]


@dataclass(frozen=True)
class _Entry:
    """Closure of one observable: chi2, number of bins, p-value; None where nobody knows."""

    name: str
    bins: int
    unfolded: float
    prior: float | None
    p_value: float | None


def _entries(source: ClosureTable | Mapping[str, Any]) -> list[_Entry]:
    """Return the rows of a table, or what a release's metadata say of its closure."""
    if isinstance(source, ClosureTable):
        return [_Entry(row.observable, row.bins, row.chi2.unfolded, row.chi2.prior, row.p_value) for row in source.rows]
    results = gathered(source["closure"].get("results", []))
    symbols = {entry["name"]: f"${entry['latex']}$" for entry in source.get("observables", [])}
    found = [
        _Entry(symbols.get(one.name, one.name), one.bins, one.value, one.prior, one.p_value)
        for one in results
        if one.statistic == "chi2" and one.bins is not None
    ]
    if not found:
        msg = f"{source['title']}: expected results of closure tests with chi2 and bins in the metadata; found none"
        raise ReleaseError(msg)
    return found


def closure(source: ClosureTable | Mapping[str, Any], *, ax: Axes | None = None) -> Axes:
    """Draw chi2 per bin to the truth for each observable: unfolded, and of the simulation before unfolding.

    The band holds 95 % of unfoldings that close if the covariance is known; the p-values beside it, of the unfolded
    spectra, know how few the replicas are.

    Parameters
    ----------
    source : ClosureTable or mapping
        What `omnifold_pub.closure.closure_table` found, or the metadata of a release: its ``closure.results``.
    ax : matplotlib.axes.Axes, optional
        By default those of a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        Those that were drawn on.

    Raises
    ------
    ReleaseError
        If the metadata hold no chi2 of a closure test.
    MissingExtraError
        If matplotlib is not installed.

    Examples
    --------
    >>> import omnifold_pub
    >>> from matplotlib.figure import Figure
    >>> with omnifold_pub.open_release("release/zjets/zjets.h5") as release:
    ...     drawn = closure(release.metadata, ax=Figure().subplots())
    >>> len(drawn.get_yticks())
    6
    """
    entries = _entries(source)
    ax = axes_to_draw_on(ax)
    places = np.arange(len(entries))[::-1]
    bins = np.array([entry.bins for entry in entries])
    top = special.chdtri(bins, 0.05) / bins
    ax.barh(places, top, height=1.0, color=BAND_COLOURS[0], label="95 % of those that close")
    before = np.array([np.nan if entry.prior is None else entry.prior for entry in entries]) / bins
    found = np.array([entry.unfolded for entry in entries]) / bins
    if np.isfinite(before).any():
        ax.plot(before, places, "s", color=LINES[0].colour, fillstyle="none", label="before unfolding")
    ax.plot(found, places, "o", color="black", label="unfolded")
    for place, old, new in zip(places, before, found, strict=True):
        if np.isfinite(old):
            ax.plot([old, new], [place, place], color="#888888", linewidth=0.8, zorder=1.5)
    ax.set_yticks(places, [readable(entry.name, 30) for entry in entries])
    ax.minorticks_off()
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(-0.5, len(entries) - 0.5)
    reach = float(np.nanmax([*before, *found, *top]))
    scale_chi2(ax, reach)
    for place, entry in zip(places, entries, strict=True):
        if entry.p_value is not None:
            write_p_value(entry.p_value, place, ax)
    ax.set_xlabel(r"$\chi^2$ to the truth / bins")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, fontsize=8, frameon=False)
    return ax


def closure_figure(spectra: ClosureSpectra, *, measurement: Measurement | None = None, title: str = "") -> Figure:
    """Return a figure of what a closure test found and should have found, and of their ratio; call within `style`.

    Parameters
    ----------
    spectra : ClosureSpectra
        What `omnifold_pub.Release.closure` returned.
    measurement : Measurement, optional
        The same observable in the same bins: its relative uncertainty is drawn around one.
    title : str
        Above it.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    require("matplotlib", extra="plot", purpose="Drawing")
    from matplotlib.figure import Figure

    axis = spectra.statistic.axes[0]
    figure = Figure(layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    target, unfolded = spectra.target / axis.widths, spectra.unfolded / axis.widths
    outline(top, target, axis.edges, LINES[0], label="target")
    top.plot(axis.centers, unfolded, "o", color="black", markersize=4, label="unfolded")
    if (target > 0).all() and target.max() > 50 * target.min():
        top.set_yscale("log")
    else:
        top.set_ylim(0, 1.4 * float(max(target.max(), unfolded.max())))
    top.set_ylabel(cross_section_label(spectra.statistic.axes, spectra.unit))
    top.legend(loc="best")
    quotient = over(spectra.unfolded, spectra.target)
    reach = float(np.nanmax(np.abs(quotient - 1), initial=0))
    if measurement is not None:
        width = np.abs(over(measurement.uncertainties(), measurement.nominal))
        reach = max(reach, float(np.nanmax(width, initial=0)))
        label = "uncertainty of the measurement"
        band(bottom, 1 - width, 1 + width, axis.edges, BAND_COLOURS[1], label=label)
        bottom.legend(loc="best", fontsize=8)
    bottom.axhline(1, color=LINES[0].colour, linestyle="--", linewidth=1.0)
    bottom.plot(axis.centers, quotient, "o", color="black", markersize=4)
    reach = min(max(1.25 * reach, 0.05), 0.75)
    bottom.set_ylim(1 - reach, 1 + reach)
    bottom.set_xlim(axis.edges[0], axis.edges[-1])
    bottom.set_xlabel(axis_label(axis))
    bottom.set_ylabel("unfolded / target")
    if title:
        top.set_title(title_of(title, 68), loc="left")
    return figure
