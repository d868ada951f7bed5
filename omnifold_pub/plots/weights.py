"""How the weights of a release are distributed, family by family."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import ReleaseError
from omnifold_pub.format import layout
from omnifold_pub.format.reading import StoredArray, iterate_blocks
from omnifold_pub.messages import shorten, suggest
from omnifold_pub.plots.labels import readable
from omnifold_pub.plots.steps import band, outline
from omnifold_pub.plots.styles import NEUTRAL, Line, axes_to_draw_on, line_of
from omnifold_pub.release import Release

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["weights"]

Vector = NDArray[np.float64]

_BINS = 60
_MARGIN = 0.3  # decades beyond the nominal weights


@dataclass(frozen=True, eq=False)
class _Counted:
    """Weights of a dataset in bins of their logarithm: per member, what is beyond in the first and last bin."""

    contents: Vector
    not_positive: float
    members: int


def _count(array: StoredArray, mean: float, logarithms: Vector) -> _Counted:
    """Count the weights over their mean, block by block."""
    contents = np.zeros(len(logarithms) - 1)
    not_positive = 0
    low, high, bins = logarithms[0], logarithms[-1], len(contents)
    for _, block in iterate_blocks(array):
        positive = block[block > 0]
        not_positive += block.size - positive.size
        place = ((np.log10(positive / mean) - low) * (bins / (high - low))).astype(np.int64)
        contents += np.bincount(np.clip(place, 0, bins - 1), minlength=bins)
    members = 1 if len(array.shape) == 1 else array.shape[1]
    return _Counted(contents / members, not_positive / members, members)


def _label(name: str, counted: _Counted) -> str:
    """Return what a legend says: name, members, and how many weights have no logarithm."""
    members = f" ({counted.members} members)" if counted.members > 1 else ""
    lost = f", {counted.not_positive:,.0f} not positive" if counted.not_positive else ""
    return f"{readable(name, 30)}{members}{lost}"


def weights(release: Release, *, families: Sequence[str] | None = None, ax: Axes | None = None) -> Axes:
    """Draw the distribution of the nominal weights, the prior ones, and those of each family, per member.

    All are divided by the mean of the nominal weights. A long tail to the right is what costs effective events. Weights
    that are not positive are counted in the legend; what is beyond the axis is in its first and last bin.

    Parameters
    ----------
    release : Release
        All of its weights are read once, block by block.
    families : sequence of str, optional
        Components whose families are drawn, by default all that have one.
    ax : matplotlib.axes.Axes, optional
        By default those of a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        Those that were drawn on.

    Raises
    ------
    ReleaseError
        If there is no such family, no nominal weight is positive, or the file is damaged.
    MissingExtraError
        If matplotlib is not installed.

    Examples
    --------
    >>> import omnifold_pub
    >>> from matplotlib.figure import Figure
    >>> with omnifold_pub.open_release("release/zjets/zjets.h5") as release:
    ...     drawn = weights(release, families=["ensemble"], ax=Figure().subplots())
    >>> drawn.get_xlabel()
    'weight / mean nominal weight'
    """
    there = [component.name for component in release.components if component.has_family]
    for name in families or ():
        if name not in there:
            msg = f"{release.path}: no weight family {shorten(name)}; {suggest(name, there)}"
            raise ReleaseError(msg)
    chosen = there if families is None else list(families)
    nominal = release.nominal_weights.astype(np.float64)
    mean = float(nominal.mean())
    positive = nominal[nominal > 0] / mean
    if not len(positive) or mean <= 0:
        msg = f"{release.path}: expected nominal weights with a positive mean to draw; found a mean of {mean:g}"
        raise ReleaseError(msg)
    low, high = np.log10(np.quantile(positive, [0.001, 1.0]))
    logarithms = np.linspace(low - _MARGIN, high + _MARGIN, _BINS + 1)
    edges = 10**logarithms
    ax = axes_to_draw_on(ax)
    datasets = release.datasets
    central = _count(datasets[f"{layout.WEIGHTS}/{layout.NOMINAL}"], mean, logarithms)
    if release.metadata["weights"].get("prior", False):
        prior = _count(datasets[layout.PRIOR], mean, logarithms)
        band(ax, np.zeros(_BINS), prior.contents, edges, NEUTRAL, label=_label("prior", prior))
    for number, name in enumerate(chosen):
        counted = _count(datasets[f"{layout.WEIGHTS}/{name}"], mean, logarithms)
        outline(ax, counted.contents, edges, line_of(number), label=_label(name, counted))
    outline(ax, central.contents, edges, Line("black"), linewidth=1.8, label=_label("nominal", central))
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlim(edges[0], edges[-1])
    ax.set_ylim(bottom=0.3)
    ax.set_xlabel("weight / mean nominal weight")
    ax.set_ylabel("events per member")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, fontsize=8, frameon=False, handlelength=3)
    return ax
