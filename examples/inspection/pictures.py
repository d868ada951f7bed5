"""Pictures of the decision page, as PNG in data URIs."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

import numpy as np
from changes import Change, Spectrum
from numpy.typing import NDArray
from stones import LIMITS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["changes_picture", "spectrum_picture"]

Array = NDArray[np.float64]

_OLD, _NEW, _TRUE = "#0072b2", "#d55e00", "#222222"  # apart in grey and for the colour-blind


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained", dpi=150)


def _uri(figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _plain(axes: Axes) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def changes_picture(changes: list[tuple[Change, str]]) -> str:
    """Return a picture with a panel for each quantity: old and new, as read and corrected, and the truth.

    Parameters
    ----------
    changes : list of (Change, str)
        With the words for each axis.
    """
    figure = _figure(9.2, 2.9)
    panels = figure.subplots(1, len(changes), sharey=True)
    for axes, (one, words) in zip(np.atleast_1d(panels), changes, strict=True):
        rows = (
            (one.raw_old.value, one.raw_old.error, one.raw_new.value, one.raw_new.error),
            (one.old, one.old_error, one.new, one.new_error),
        )
        for y, (old, old_error, new, new_error) in zip((1.0, 0.0), rows, strict=True):
            axes.errorbar(old, y + 0.12, xerr=old_error, fmt="o", color=_OLD, mfc="white", ms=7, capsize=3, label="old")
            axes.errorbar(new, y - 0.12, xerr=new_error, fmt="s", color=_NEW, ms=7, capsize=3, label="new")
        for true, y in ((one.true_old, 0.12), (one.true_new, -0.12)):
            axes.plot(true, y, "x", color=_TRUE, ms=9, mew=1.6, zorder=5, label="true (known here)")
        axes.axhline(0.5, color="#cccccc", lw=0.8)
        axes.set_yticks([1, 0], ["as the\nsensors read", "corrected"])
        axes.set_ylim(-0.5, 1.5)
        axes.set_xlabel(words)
        axes.margins(x=0.18)
        _plain(axes)
    handles, labels = np.atleast_1d(panels)[0].get_legend_handles_labels()
    first = {label: handle for handle, label in zip(handles[::-1], labels[::-1], strict=True)}
    names = ["old", "new", "true (known here)"]
    figure.legend(
        [first[name] for name in names], ["old period", "new period", names[2]], loc="outside upper center", ncols=3
    )
    return _uri(figure)


def spectrum_picture(spectrum: Spectrum, words: str, *, limits: bool = False) -> str:
    """Return a picture of the shares per unit of a property, as read on the left and corrected on the right.

    Parameters
    ----------
    spectrum : Spectrum
        To be drawn.
    words : str
        For the axis.
    limits : bool
        Whether to mark what is out of tolerance.
    """
    figure = _figure(9.2, 3.4)
    left, right = figure.subplots(1, 2, sharey=True)
    widths = np.diff(spectrum.edges)
    centres = (spectrum.edges[1:] + spectrum.edges[:-1]) / 2
    low, high = float(spectrum.edges[0]), float(spectrum.edges[-1])
    for axes, old, new in ((left, spectrum.raw_old, spectrum.raw_new), (right, spectrum.true_old, spectrum.true_new)):
        for values, colour, style in ((old, _OLD, "-"), (new, _NEW, "--")):
            label = ("old" if colour == _OLD else "new") + (" period" if axes is left else " period, true")
            axes.stairs(
                100 * values / widths, spectrum.edges, color=colour, ls=style, lw=1.5, label=label, baseline=None
            )
        if limits:
            for one in LIMITS:
                axes.axvline(one, color="#555555", lw=1, ls=":")
        axes.set_xlabel(words)
        axes.set_xlim(low, high)
        _plain(axes)
    for values, errors, colour, shape, shift in (
        (spectrum.old, spectrum.old_error, _OLD, "o", -0.008),
        (spectrum.new, spectrum.new_error, _NEW, "s", 0.008),
    ):
        face = "white" if shape == "o" else colour
        label = "old period" if shape == "o" else "new period"
        right.errorbar(
            centres + shift * (high - low), 100 * values / widths, 100 * errors / widths,
            fmt=shape, color=colour, mfc=face, ms=5, capsize=2, label=label,
        )  # fmt: skip
    unit = words.rpartition("[")[2].rstrip("]") if "[" in words else ""
    left.set_ylabel(f"share of parts [% per {unit}]" if unit != "%" else "share of parts [% per point]")
    left.set_title("As the sensors read", loc="left", fontsize=10)
    right.set_title("Corrected", loc="left", fontsize=10)
    left.set_ylim(bottom=0)
    left.legend(frameon=False, fontsize=8)
    right.legend(frameon=False, fontsize=8)
    return _uri(figure)
