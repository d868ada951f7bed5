"""The pictures of a report, as data URIs, with words for those who do not see them."""

from __future__ import annotations

import base64
import io
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from omnifold_pub import plots
from omnifold_pub.closure import ClosureTable
from omnifold_pub.estimators import Histogram
from omnifold_pub.measurement import JointMeasurement, Measurement
from omnifold_pub.report.budget import SpectrumBudget
from omnifold_pub.report.numbers import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Picture", "closure_picture", "correlation_picture", "spectrum_picture", "training_picture"]

_DIGITS = re.compile(rb"(\d\.\d\d)\d+")
_MARGINS = {"left": 0.16, "right": 0.95, "top": 0.975, "bottom": 0.235, "hspace": 0.08}
"""Of a small picture: twenty layouts that look for the best place take longer than everything else."""
_MOST_ROWS = 60
_SMALL: Any = {
    "figure.constrained_layout.use": False,
    "font.size": 9,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 7,
}


@dataclass(frozen=True)
class Picture:
    """A picture in a page.

    Attributes
    ----------
    name : str
        What it is of.
    source : str
        Data URI of an SVG.
    words : str
        What it says, for those who do not see it.
    """

    name: str
    source: str
    words: str


def _embedded(figure: Figure) -> str:
    """Return a figure as the data URI of an SVG, its paths to a hundredth of a point."""
    drawn = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)  # a box is drawn; the page has the text
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None})
    pieces = re.split(rb"(<defs>.*?</defs>)", drawn.getvalue(), flags=re.DOTALL)
    content = b"".join(piece if piece.startswith(b"<defs>") else _DIGITS.sub(rb"\1", piece) for piece in pieces)
    return f"data:image/svg+xml;base64,{base64.b64encode(content).decode('ascii')}"


def _legend(ax: Axes, **place: Any) -> None:
    """Write the legend anew, small, at a place that nobody looks for."""
    handles, labels = ax.get_legend_handles_labels()
    columns = 1 if len(labels) < 4 else 2
    ax.legend(
        handles, labels, ncols=columns, columnspacing=1.0, frameon=False, borderaxespad=0.9, handlelength=1.6, **place
    )


def _words(measurement: Measurement, budget: SpectrumBudget, curves: Sequence[plots.Curve]) -> str:
    """Say what the picture of a spectrum says."""
    edges, values = measurement.axes[0].edges, measurement.values()
    histogram = isinstance(measurement.statistic, Histogram) and not measurement.statistic.density
    heights = values / measurement.axes[0].widths if histogram else values
    unit = measurement.unit + (" per unit of the observable" if histogram else "")
    highest = int(heights.argmax())
    what = (
        f"Unfolded spectrum of {measurement.name} in {len(values)} bins from {edges[0]:g} to {edges[-1]:g}: "
        f"highest in {measurement.labels[highest]} with {heights[highest]:.3g} {unit}, "
        f"{heights[0]:.3g} in the first bin, {heights[-1]:.3g} in the last."
    )
    if budget.bins:
        what += f" The total uncertainty is {percent(budget.least)} to {percent(budget.largest)} per bin"
        what += f", mostly {budget.dominant}." if budget.dominant else "."
    for curve in curves:
        errors = measurement.uncertainties()
        outside = int((abs(curve.values - measurement.nominal) > 2 * errors).sum())
        what += f" {curve.label}: outside of twice the uncertainty in {outside} of {len(values)} bins."
    return what


def spectrum_picture(
    measurement: Measurement, budget: SpectrumBudget, *, curves: Sequence[plots.Curve] = ()
) -> Picture:
    """Draw a small spectrum above its uncertainty by component."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    with plots.style(), rc_context(_SMALL):
        figure = Figure(figsize=(4.2, 4.1))
        top, bottom = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": (3, 2), **_MARGINS})
        plots.spectrum(measurement, curves=curves, ax=top)
        plots.ratio(measurement, curves=curves, ax=bottom)
        top.set_xlabel("")
        top.tick_params(labelbottom=False)
        _legend(top, loc="upper right")
        for ax in (top, bottom):
            if ax.get_yscale() == "linear":  # numbers of one panel do not run into those of the other
                ax.yaxis.set_major_locator(
                    MaxNLocator(4, steps=[1, 2, 2.5, 5, 10], prune="lower" if ax is top else "both")
                )
        handles, labels = bottom.get_legend_handles_labels()
        place = {
            "loc": "upper center",
            "bbox_to_anchor": (0.45, -0.32),
            "ncols": 3,
            "frameon": False,
            "labelspacing": 0.3,
        }
        bottom.legend(handles[::-1], labels[::-1], handlelength=1.4, columnspacing=1.0, **place)
        figure.align_ylabels([top, bottom])
        return Picture(measurement.name, _embedded(figure), _words(measurement, budget, curves))


def correlation_picture(joint: JointMeasurement) -> Picture:
    """Draw the total correlation between the bins of all spectra."""
    from matplotlib.figure import Figure

    with plots.style():
        figure = Figure(figsize=(7.2, 6.4), layout="constrained")
        plots.correlation(joint, ax=figure.subplots())
        source = _embedded(figure)
    matrix = joint.correlation()
    between = []
    for number, one in enumerate(joint.slices):
        for other_number, other in enumerate(joint.slices[:number]):
            between.append((float(abs(matrix[one, other]).mean()), joint.names[number], joint.names[other_number]))
    words = f"Correlation matrix of the {len(matrix)} bins of {len(joint.names)} spectra."
    if between:
        size, one_name, other_name = max(between)
        words += f" The bins of {one_name} and {other_name} are the most correlated: {size:.2f} on average, sign aside."
    return Picture("correlation", source, words)


def closure_picture(metadata: dict[str, Any], closure: ClosureTable | None) -> Picture | None:
    """Draw chi2 to the truth, before and after unfolding; None where nobody says what it is."""
    from matplotlib.figure import Figure

    told = [one for one in metadata["closure"]["results"] if one["statistic"] == "chi2" and "bins" in one]
    ratios = [one["value"] / one["bins"] for one in told]
    names = [str(one["name"]) for one in told]
    if closure is not None:
        ratios = [row.chi2.unfolded / row.bins for row in closure.rows]
        names = [row.observable for row in closure.rows]
    if not ratios or len(ratios) > _MOST_ROWS:
        return None
    with plots.style():
        figure = Figure(figsize=(7.2, 1.8 + 0.32 * len(ratios)), layout="constrained")
        plots.closure(metadata if closure is None else closure, ax=figure.subplots())
        source = _embedded(figure)
    worst = max(zip(ratios, names, strict=True))
    words = f"Chi2 per bin of {len(ratios)} unfolded spectra to the truth: {min(ratios):.2g} to {worst[0]:.2g}, "
    return Picture("closure", source, f"{words}the largest for {worst[1]}.")


def training_picture(diagnostics: list[dict[str, Any]]) -> Picture:
    """Draw losses, AUC and push change of the trainings."""
    with plots.style():
        source = _embedded(plots.training_figure(diagnostics))
    words = "Losses of both steps, AUC on held-out rows and push change, iteration by iteration, a line per training."
    return Picture("training", source, words)
