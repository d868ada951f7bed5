"""Many theories against one measurement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from omnifold_pub.plots.chi2_axes import scale_chi2, write_p_value
from omnifold_pub.plots.labels import readable
from omnifold_pub.plots.styles import BAND_COLOURS, axes_to_draw_on
from omnifold_pub.reinterpret.ranking import Ranking

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ranking"]


def ranking(theories: Ranking, *, ax: Axes | None = None) -> Axes:
    """Draw chi2 over degrees of freedom of each theory, the best on top, with its p-value.

    A dot is the theory with its own uncertainty, a ring the same theory taken as exact (none where the measurement's
    covariance alone has no inverse). The band holds 95 % of true theories if the covariance is known; the p-values
    beside it know how few the replicas are.

    Parameters
    ----------
    theories : Ranking
        See `omnifold_pub.reinterpret.ranking.rank`.
    ax : matplotlib.axes.Axes, optional
        By default those of a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        Those that were drawn on.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    ax = axes_to_draw_on(ax)
    ordered = theories.comparisons
    places = np.arange(len(ordered))[::-1]
    dof = np.array([one.test.dof for one in ordered])
    with_own = np.array([one.test.chi2 for one in ordered]) / dof
    exact = np.array(theories.exact_chi2()) / dof
    top = special.chdtri(dof, 0.05) / dof
    ax.barh(places, top, height=1.0, color=BAND_COLOURS[0], label="95 % of true theories")
    whole: dict[str, Any] = {"clip_on": False, "zorder": 3}  # also those at zero
    ax.plot(exact, places, "o", color=BAND_COLOURS[4], fillstyle="none", label="theory taken as exact", **whole)
    ax.plot(with_own, places, "o", color="black", label="with its own uncertainty", **whole)
    ax.set_yticks(places, [readable(one.theory, 30) for one in ordered])
    ax.minorticks_off()
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(-0.5, len(ordered) - 0.5)
    reach = float(np.nanmax([exact, with_own, top]))
    scale_chi2(ax, reach)
    for place, one in zip(places, ordered, strict=True):
        write_p_value(one.test.p_value, place, ax)
    ax.set_xlabel(r"$\chi^2$ / degrees of freedom")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, fontsize=8, frameon=False)
    return ax
