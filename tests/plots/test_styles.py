"""Pictures can be read in grey and by the colour-blind, and the names of the package are these."""

from __future__ import annotations

import itertools

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import StepPatch
from numpy.typing import NDArray

from omnifold_pub import Measurement, plots
from omnifold_pub.plots.styles import BAND_COLOURS, LINES, NEUTRAL, line_of

Colour = NDArray[np.float64]

# Machado, Oliveira and Fernandes, IEEE Trans. Vis. Comput. Graph. 15 (2009) 1291, table 1, severity 1
BLIND = {
    "protan": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deutan": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}
D65 = np.array([0.95047, 1.0, 1.08883])
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear(colour: str) -> Colour:
    """Return linear red, green and blue (IEC 61966-2-1)."""
    rgb = np.array(to_rgb(colour))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(rgb: Colour) -> Colour:
    """Return CIE L*a*b* of linear red, green and blue."""
    t = TO_XYZ @ np.clip(rgb, 0, 1) / D65
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def lightness(colour: str) -> float:
    """Return L*: 0 is black, 100 is white."""
    return float(lab(linear(colour))[0])


def test_lightness_is_that_of_the_book() -> None:
    assert lightness("white") == pytest.approx(100, abs=0.01)
    assert lightness("black") == pytest.approx(0, abs=0.01)
    assert lightness("#777777") == pytest.approx(50.03, abs=0.05)
    np.testing.assert_allclose(lab(linear("red")), [53.24, 80.09, 67.20], atol=0.05)


def test_nested_bands_get_darker_step_by_step() -> None:
    steps = -np.diff([lightness(colour) for colour in BAND_COLOURS])
    assert steps.min() > 6  # two are just noticeable side by side
    assert lightness(BAND_COLOURS[0]) < 94  # not white


def test_each_line_has_a_colour_dashes_and_a_marker_of_its_own() -> None:
    for look in ("colour", "linestyle", "marker"):
        assert len({getattr(line, look) for line in LINES}) == len(LINES)
    assert line_of(9) == LINES[1]


@pytest.mark.parametrize("eyes", list(BLIND))
def test_lines_are_told_apart_without_red_or_green(eyes: str) -> None:
    seen = [lab(BLIND[eyes] @ linear(line.colour)) for line in LINES]
    distances = [float(np.linalg.norm(one - other)) for one, other in itertools.combinations(seen, 2)]
    assert min(distances) > 20  # two are just noticeable side by side


def test_the_colours_of_maps_get_lighter_throughout() -> None:
    colours = mpl.colormaps["cividis"](np.linspace(0, 1, 20))
    light = [float(lab(linear(mpl.colors.to_hex(colour)))[0]) for colour in colours]
    assert np.diff(light).min() > 2


def fills(axes: Axes) -> list[str]:
    return [mpl.colors.to_hex(p.get_facecolor()) for p in axes.patches if isinstance(p, StepPatch) and p.get_fill()]


@pytest.mark.parametrize("bands", ["stacked", "separate", "total"])
def test_filled_bands_of_the_ratio_differ_in_grey(mass: Measurement, bands: plots.Bands) -> None:
    axes = plots.ratio(mass, bands=bands, ax=Figure().subplots())
    light = sorted(map(lightness, fills(axes)))
    assert len(light) == (7 if bands == "stacked" else 1)
    assert all(np.diff(light) > 6)


def test_lines_differ_in_grey_by_their_dashes(mass: Measurement) -> None:
    axes = plots.breakdown(mass, ax=Figure().subplots())
    drawn = [
        (str(line.get_linestyle()), line.get_marker())
        for line in axes.lines
        if not str(line.get_label()).startswith("_")
    ]
    assert len(drawn) == 7
    assert len(set(drawn)) == 7


def test_negative_cells_are_hatched(mass: Measurement) -> None:
    axes = plots.correlation(mass, ax=Figure().subplots())
    (hatched,) = axes.collections
    places = {tuple(np.asarray(path.get_extents().min).astype(int)) for path in hatched.get_paths()}
    negative = {(int(j), int(i)) for i, j in np.argwhere(mass.correlation() < -0.02)}
    assert places == negative != set()


def test_lines_are_seen_on_the_neutral_band() -> None:
    assert all(abs(lightness(line.colour) - lightness(NEUTRAL)) > 9 for line in LINES)


def test_public_names_are_these_and_no_others() -> None:
    assert plots.__all__ == [
        "Bands",
        "Curve",
        "breakdown",
        "closure",
        "closure_figure",
        "correlation",
        "covariance",
        "coverage",
        "curves_of",
        "fan",
        "iterations",
        "losses",
        "plane",
        "plane_figure",
        "pull_distribution",
        "pulls",
        "ranking",
        "ratio",
        "spectrum",
        "spectrum_figure",
        "style",
        "training_figure",
        "weights",
    ]
    assert all(hasattr(plots, name) for name in plots.__all__)
