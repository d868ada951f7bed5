"""Pictures of a measurement. Each function draws on the axes it is given and returns them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import ObservableError
from omnifold_pub.estimators import BinnedStatistic, Histogram
from omnifold_pub.extras import require
from omnifold_pub.measurement import Estimate, JointMeasurement, Measurement
from omnifold_pub.messages import shorten
from omnifold_pub.observables.binning import Axis
from omnifold_pub.reinterpret.ranking import Ranking

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Curve", "correlation", "ranking", "ratio", "spectrum", "spectrum_figure", "style"]

BAND_COLOURS = ("#dbe7f1", "#b3cde3", "#86aed0", "#5b8cbb", "#3a6ea5", "#28507f", "#1a365a", "#0f2038")
"""From light, inside, to dark, so that the nested bands can be told apart in grey and lines be seen on them."""


@dataclass(frozen=True, eq=False)
class Curve:
    """A prediction to be drawn beside a measurement.

    Attributes
    ----------
    label : str
        For the legend.
    values : numpy.ndarray
        ``T[bin]``, integrated over each bin.
    colour, linestyle : str
        As matplotlib names them.
    errors : numpy.ndarray, optional
        ``error[bin]``.
    """

    label: str
    values: NDArray[np.float64]
    colour: str
    linestyle: str = "-"
    errors: NDArray[np.float64] | None = None


def style() -> AbstractContextManager[None]:
    """Return a context in which pictures look like the field's: mplhep's ROOT style, at the size of a page."""
    require("mplhep", extra="plot", purpose="Drawing")
    import mplhep
    from matplotlib import style as matplotlib_style

    small = {
        "font.size": 11,
        "axes.labelsize": 12,
        "xtick.labelsize": 10,
        "ytick.labelsize": 10,
        "legend.fontsize": 9,
        "axes.titlesize": 11,
        "figure.figsize": (6.4, 6.4),
        "figure.dpi": 110,
        "savefig.bbox": None,
    }
    context: AbstractContextManager[None] = matplotlib_style.context([mplhep.style.ROOT, small])
    return context


def _axis(measurement: Measurement) -> Axis:
    """Return the one axis of what can be drawn.

    Raises
    ------
    ObservableError
        If it has several, or bins of infinite width.
    """
    axes = measurement.axes
    if len(axes) != 1 or not np.isfinite(axes[0].edges).all():
        found = f"{len(axes)} axes" if len(axes) != 1 else "under- or overflow: draw measurement.inner()"
        msg = f"{shorten(measurement.name)}: expected one axis with finite edges to draw; found {found}"
        raise ObservableError(msg)
    return axes[0]


def _is_integrated(measurement: Measurement) -> bool:
    """Tell whether the values are contents of bins, to be divided by their widths."""
    return isinstance(measurement.statistic, Histogram) and not measurement.statistic.density


def _per_width(measurement: Measurement, values: NDArray[np.float64]) -> NDArray[np.float64]:
    divided: NDArray[np.float64] = values / _axis(measurement).widths
    return divided if _is_integrated(measurement) else values


def _units(measurement: Measurement) -> tuple[str, str]:
    """Return the axis label of the observable, and that of its cross section."""
    label = _axis(measurement).label
    if not _is_integrated(measurement):
        return label, f"{measurement.name} [{measurement.unit}]" if measurement.unit else measurement.name
    symbol, _, rest = label.partition(" [")
    if not symbol.startswith("$"):
        return label, rf"$\mathrm{{d}}\sigma/\mathrm{{d}}x$ [{measurement.unit} / unit of $x$]"
    unit = f"{measurement.unit} / {rest.rstrip(']')}" if rest else measurement.unit
    return label, rf"$\mathrm{{d}}\sigma/\mathrm{{d}}{symbol.strip('$')}$ [{unit}]"


def spectrum(measurement: Measurement, *, curves: Sequence[Curve] = (), ax: Axes) -> Axes:
    """Draw the differential cross section with its total band, and predictions as lines."""
    require("mplhep", extra="plot", purpose="Drawing")
    import mplhep

    edges = _axis(measurement).edges
    values, errors = measurement.values(), measurement.uncertainties()
    ax.stairs(
        _per_width(measurement, values + errors),
        edges,
        baseline=_per_width(measurement, values - errors),
        fill=True,
        color=BAND_COLOURS[1],
        label="measured, total uncertainty",
    )
    for curve in curves:
        scaled = _per_width(measurement, curve.values)
        mplhep.histplot(scaled, edges, ax=ax, color=curve.colour, ls=curve.linestyle, label=curve.label, yerr=False)
    centers = _axis(measurement).centers
    ax.plot(centers, _per_width(measurement, values), "o", color="black", markersize=4, label="measured")
    positive = values > 0
    density = _per_width(measurement, values)
    if positive.all() and density.max() > 50 * density.min():
        ax.set_yscale("log")
        ax.set_ylim(density.min() / 3, density.max() * 20)
    else:
        ax.set_ylim(bottom=0, top=float((_per_width(measurement, values + errors)).max()) * 1.6)
    ax.set_ylabel(_units(measurement)[1])
    ax.set_xlim(edges[0], edges[-1])
    ax.legend(loc="upper right")
    return ax


def _over(numerator: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divide by the measured values; NaN, which draws nothing, for empty bins."""
    quotient: NDArray[np.float64] = np.divide(numerator, values, out=np.full_like(values, np.nan), where=values != 0)
    return quotient


def _reach(curve: Curve, values: NDArray[np.float64]) -> float:
    """Return how far a curve and its errors are from the measured values, relative to these."""
    errors = 0 if curve.errors is None else curve.errors
    return float(np.nanmax(_over(np.abs(curve.values - values) + errors, values), initial=0))


def ratio(measurement: Measurement, *, curves: Sequence[Curve] = (), ax: Axes) -> Axes:
    """Draw predictions over the measurement, and the measurement's band built up component by component.

    The bands are nested: each adds one component in quadrature to those inside it, the largest first, so that
    the outermost is the total, the square root of the covariance's diagonal.
    """
    require("mplhep", extra="plot", purpose="Drawing")
    import mplhep

    edges, values = _axis(measurement).edges, measurement.values()
    sizes = {component.name: measurement.uncertainties(component.name) for component in measurement.components}
    ordered = sorted(sizes, key=lambda name: float(np.nansum(_over(sizes[name], values))), reverse=True)
    variance = np.cumsum([sizes[name] ** 2 for name in ordered], axis=0)
    bands = [(name, _over(np.sqrt(v), values)) for name, v in zip(ordered, variance, strict=True)]
    for i, (name, band) in reversed(list(enumerate(bands))):
        ax.stairs(
            1 + band,
            edges,
            baseline=1 - band,
            fill=True,
            color=BAND_COLOURS[i % len(BAND_COLOURS)],
            label=name if i == 0 else f"+ {name}",
        )
    for curve in curves:
        mplhep.histplot(
            _over(curve.values, values),
            edges,
            ax=ax,
            color=curve.colour,
            ls=curve.linestyle,
            yerr=False if curve.errors is None else _over(curve.errors, values),
        )
    ax.axhline(1, color="black", linewidth=0.8)
    reach = max([float(np.nanmax(bands[-1][1], initial=0)), *(_reach(c, values) for c in curves)])
    reach = min(max(1.15 * reach, 0.1), 0.75)
    ax.set_ylim(1 - reach, 1 + reach)
    ax.set_xlim(edges[0], edges[-1])
    ax.set_xlabel(_units(measurement)[0])
    ax.set_ylabel("ratio to measured")
    handles, labels = ax.get_legend_handles_labels()
    ax.legend(handles[::-1], labels[::-1], loc="upper center", bbox_to_anchor=(0.5, -0.25), ncols=3, fontsize=8)
    return ax


def spectrum_figure(measurement: Measurement, *, curves: Sequence[Curve] = (), title: str = "") -> Figure:
    """Return a figure of `spectrum` above `ratio`; call within `style`."""
    require("matplotlib", extra="plot", purpose="Drawing")
    from matplotlib.figure import Figure

    figure = Figure(layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    spectrum(measurement, curves=curves, ax=top)
    ratio(measurement, curves=curves, ax=bottom)
    if title:
        top.set_title(title, loc="left")
    return figure


def correlation(measurement: Estimate, *, component: str | None = None, ax: Axes) -> Axes:
    """Draw the correlation matrix of the bins, grouped and labelled by observable where there are several."""
    matrix = measurement.correlation(component)
    size = len(matrix)
    image = ax.imshow(matrix, vmin=-1, vmax=1, cmap="RdBu_r", origin="lower", extent=(0, size, 0, size))
    if ax.figure is not None:
        ax.figure.colorbar(image, ax=ax, label="correlation", shrink=0.85)
    ax.minorticks_off()
    ax.tick_params(length=0, which="both")
    if isinstance(measurement, JointMeasurement):
        slices = measurement.slices
        for one in slices[:-1]:
            ax.axhline(one.stop, color="black", linewidth=0.8)
            ax.axvline(one.stop, color="black", linewidth=0.8)
        labels = [
            s.axes[0].label.partition(" [")[0] if isinstance(s, BinnedStatistic) else s.name
            for s in measurement.statistics
        ]
        middles = [(one.start + one.stop) / 2 for one in slices]
        ax.set_xticks(middles, labels, rotation=35, ha="right")
        ax.set_yticks(middles, labels)
    else:
        ax.set_xlabel("bin")
        ax.set_ylabel("bin")
    return ax


def ranking(theories: Ranking, *, ax: Axes) -> Axes:
    """Draw chi2 over degrees of freedom of each theory, the best on top, with its p-value.

    A dot is the theory with its own uncertainty, a ring the same theory taken as exact. The band holds 95 % of true
    theories if the covariance is known; the p-values beside it know how few the replicas are.
    """
    from scipy import special

    ordered = theories.comparisons
    places = np.arange(len(ordered))[::-1]
    dof = np.array([one.test.dof for one in ordered])
    with_own = np.array([one.test.chi2 for one in ordered]) / dof
    exact = np.array([one.without_theory().chi2 for one in ordered]) / dof
    top = special.chdtri(dof, 0.05) / dof
    ax.barh(places, top, height=1.0, color=BAND_COLOURS[0], label="95 % of true theories")
    ax.plot(exact, places, "o", color=BAND_COLOURS[4], fillstyle="none", label="theory taken as exact")
    ax.plot(with_own, places, "o", color="black", label="with its own uncertainty")
    ax.set_yticks(places, [one.theory for one in ordered])
    ax.minorticks_off()
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(-0.5, len(ordered) - 0.5)
    reach = float(max(exact.max(), with_own.max(), top.max()))
    if reach > 20:
        ax.set_xscale("symlog", linthresh=2)
    ax.set_xlim(0, reach * (3 if reach > 20 else 1.3))
    for place, one in zip(places, ordered, strict=True):
        p_value = one.test.p_value
        text = f"p = {p_value:.2g}" if p_value >= 0.001 else "p < 0.001"
        ax.annotate(
            text,
            (1, place),
            xycoords=("axes fraction", "data"),
            xytext=(-4, 0),
            ha="right",
            va="center",
            textcoords="offset points",
            fontsize=9,
        )
    ax.set_xlabel(r"$\chi^2$ / degrees of freedom")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, fontsize=8, frameon=False)
    return ax
