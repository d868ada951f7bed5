"""How pictures look: fonts, sizes, and colours that can be told apart in grey and by the colour-blind."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NamedTuple

from omnifold_pub.extras import require

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "BAND_COLOURS",
    "LINES",
    "NEUTRAL",
    "Line",
    "axes_to_draw_on",
    "line_of",
    "style",
    "style_settings",
]

BAND_COLOURS = ("#dbe7f1", "#b3cde3", "#86aed0", "#5b8cbb", "#3a6ea5", "#28507f", "#1a365a", "#0f2038")
"""From light, inside, to dark, so that the nested bands can be told apart in grey and lines be seen on them."""

NEUTRAL = "#d9d9d9"
"""Of a band that lines are drawn on."""


class Line(NamedTuple):
    """How a line is drawn."""

    colour: str
    linestyle: str | tuple[float, tuple[float, ...]] = "-"
    marker: str = ""


LINES = (
    Line("#d55e00", "--", "s"),
    Line("#0072b2", "-.", "^"),
    Line("#009e73", ":", "D"),
    Line("#882255", (0, (5, 1, 1, 1, 1, 1)), "v"),
    Line("#56b4e9", (0, (7, 2)), "P"),
    Line("#332288", (0, (3, 1, 1, 1)), "X"),
    Line("#a0522d", (0, (1, 2.5)), "*"),
    Line("#661100", (0, (9, 2, 2, 2)), "o"),
)
"""Each has a colour, dashes and a marker of its own. The colours, of Okabe and Ito (https://jfly.uni-koeln.de/color/)
and of Tol (https://sronpersonalpages.nl/~pault/) most of them, stay apart for eyes that do not tell red from green."""


def line_of(number: int) -> Line:
    """Return the look of the line of some number; after eight, they come again.

    >>> line_of(0) == line_of(8), line_of(0).colour
    (True, '#d55e00')
    """
    return LINES[number % len(LINES)]


_SMALL: dict[str, Any] = {
    "font.family": ["DejaVu Sans"],  # matplotlib brings it along: a picture looks the same everywhere
    "mathtext.fontset": "dejavusans",
    "mathtext.default": "it",
    "font.size": 11,
    "axes.labelsize": 12,
    "axes.titlesize": 11,
    "axes.linewidth": 1.0,
    "axes.unicode_minus": True,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "xtick.major.size": 6,
    "ytick.major.size": 6,
    "xtick.minor.size": 3,
    "ytick.minor.size": 3,
    "legend.fontsize": 9,
    "figure.figsize": (6.4, 6.4),
    "figure.dpi": 110,
    "figure.constrained_layout.use": True,
    "savefig.bbox": None,
    "savefig.dpi": "figure",
    "hatch.linewidth": 0.6,
    "pdf.fonttype": 42,
    "svg.hashsalt": "omnifold_pub",
}


def style_settings() -> dict[str, Any]:
    """Return matplotlib's settings that `style` sets: mplhep's ROOT style, at the size of a page.

    Raises
    ------
    MissingExtraError
        If matplotlib or mplhep is not installed.

    Examples
    --------
    >>> style_settings()["xtick.direction"]
    'in'
    """
    require("matplotlib", "mplhep", extra="plot", purpose="Drawing")
    import mplhep

    return {**mplhep.style.ROOT, **_SMALL}


def style() -> AbstractContextManager[None]:
    """Return a context in which pictures look like the field's; draw and save within it.

    Raises
    ------
    MissingExtraError
        If matplotlib or mplhep is not installed.

    Examples
    --------
    >>> with style():
    ...     pass
    """
    settings = style_settings()
    from matplotlib import style as matplotlib_style

    context: AbstractContextManager[None] = matplotlib_style.context(settings)
    return context


def axes_to_draw_on(ax: Axes | None) -> Axes:
    """Return the axes that were given, or those of a new figure of pyplot's, which notebooks show.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    require("matplotlib", extra="plot", purpose="Drawing")
    if ax is not None:
        return ax
    from matplotlib import pyplot as plt

    drawn: Axes = plt.subplots(layout="constrained")[1]
    return drawn
