"""No text overlaps another or leaves its picture, with labels as long as those of the reference release."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from omnifold_pub import Release, open_release, plots
from omnifold_pub.closure import prior_theory

Problems = Callable[[Figure], list[str]]
PT = [200, 225, 255, 300, 360, 450, 1000]
MASS = [0, 4, 7, 10, 14, 19, 26, 60]
TAU21 = "tau2_trackj1 / tau1_trackj1"


@pytest.fixture(scope="module")
def reference(project: Path) -> Iterator[Release]:
    with open_release(project / "release/zjets/zjets.h5") as opened:
        yield opened


def axes() -> Axes:
    return Figure(figsize=(6.4, 5.2), layout="constrained").subplots()


def several(release: Release) -> Any:
    return release.measure({"pT_ll": PT, "m_trackj1": MASS, TAU21: [0.2, 0.5, 0.7, 1], "y_ll": [-2, 0, 2]}, nan="drop")


def spectrum(release: Release) -> Figure:
    measured = release.measure("m_trackj1", MASS)
    curves = plots.curves_of(measured, [prior_theory(release)])
    return plots.spectrum_figure(
        measured, curves=curves, title=release.metadata["title"] + ", for a title of two lines"
    )


def many_curves(release: Release) -> Figure:
    measured = release.measure(TAU21, [0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0], nan="drop")
    lines = [
        plots.Curve(f"a theory with a long name, number {i}", measured.values() * (0.8 + 0.1 * i), "red", "--")
        for i in range(6)
    ]
    return plots.spectrum_figure(measured, curves=lines, bands="separate")


def fine(release: Release) -> Axes:
    return plots.correlation(release.measure("pT_ll", np.linspace(200.125, 400.125, 33)), ax=axes())


def relative(release: Release) -> Axes:
    return plots.covariance(several(release), relative=True, ax=axes())


PICTURES: dict[str, Callable[[Release], Axes | Figure]] = {
    "spectrum": spectrum,
    "many curves": many_curves,
    "correlation": lambda release: plots.correlation(several(release), ax=axes()),
    "fine correlation": fine,
    "covariance": lambda release: plots.covariance(release.measure("pT_ll", PT), ax=axes()),
    "relative": relative,
    "breakdown": lambda release: plots.breakdown(release.measure("m_trackj1", MASS), ax=axes()),
    "fan": lambda release: plots.fan(release.measure("m_trackj1", MASS), component="mc_bootstrap", ax=axes()),
    "weights": lambda release: plots.weights(release, ax=axes()),
    "closure": lambda release: plots.closure(release.metadata, ax=axes()),
    "closure spectrum": lambda release: plots.closure_figure(release.closure("pseudodata", "m_trackj1", MASS)),
    "trainings": lambda release: plots.training_figure(release.metadata["unfolding"]["diagnostics"]),
    "plane": lambda release: plots.plane_figure(
        release.measure(["pT_ll", "y_ll"], [[200, 250, 300, 1000], [-2, -1, 0, 1, 2]]), title=release.metadata["title"]
    ),
}


QUICK = {"spectrum", "many curves", "correlation", "fan"}


@pytest.mark.filterwarnings("ignore::omnifold_pub.errors.ValidityWarning")
@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in PICTURES]
)
def test_text_neither_overlaps_nor_leaves_the_picture(name: str, reference: Release, layout_problems: Problems) -> None:
    with plots.style():
        drawn = PICTURES[name](reference)
        figure = drawn if isinstance(drawn, Figure) else drawn.get_figure(root=True)
        assert figure is not None
        assert layout_problems(figure) == []


def test_the_check_finds_text_that_overlaps_or_leaves(layout_problems: Problems) -> None:
    figure = Figure(figsize=(4, 3))
    figure.text(0.5, 0.5, "one")
    assert layout_problems(figure) == []
    figure.text(0.52, 0.51, "two")
    figure.text(0.98, 0.1, "three")
    assert layout_problems(figure) == ["'three' leaves the figure", "'one' overlaps 'two'"]


def test_the_check_knows_that_turned_text_is_slim(layout_problems: Problems) -> None:
    figure = Figure(figsize=(4, 3))
    for x in (0.3, 0.4):
        figure.text(x, 0.3, "a long label", rotation=45)
    assert layout_problems(figure) == []
    figure.text(0.31, 0.31, "another", rotation=45)
    assert layout_problems(figure) == ["'a long label' overlaps 'another'"]


def test_the_check_finds_a_legend_that_is_cut_off(layout_problems: Problems) -> None:
    figure = Figure(figsize=(4, 3))
    ax = figure.subplots()
    ax.plot([0, 1], label="a line")
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    assert "a legend is cut off" in layout_problems(figure)
