"""What tests of pictures share: a release that never changes, and a look at where text stands."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.text import Text
from numpy.typing import NDArray

from omnifold_pub import Measurement, Release, open_release
from omnifold_pub.estimators import Histogram
from omnifold_pub.observables.binning import Axis
from omnifold_pub.plots import Curve
from omnifold_pub.statistics.components import Component, ComponentResult, component_covariance

Corners = NDArray[np.float64]
_PIXEL = 1.0


@pytest.fixture(scope="session")
def frozen(project: Path) -> Iterator[Release]:
    """The archived release of version 1.1.0: pictures of it change with nothing but the code that draws them."""
    with open_release(project / "tests/archive/v1.1.0/release.h5") as opened:
        yield opened


@pytest.fixture(scope="session")
def mass(frozen: Release) -> Measurement:
    """An observable in GeV with a falling spectrum and ten components."""
    axis = Axis.from_bins([0, 10, 20, 40, 100], label=r"$m_{j_1}$ [GeV]")
    return frozen.measure("y", axis)


@pytest.fixture(scope="session")
def curves(mass: Measurement) -> tuple[Curve, ...]:
    """Predictions beside it."""
    values = mass.values()
    return (
        Curve("MC prior", 1.15 * values, "#d55e00", "--", 0.04 * values),
        Curve("a theory", values * [0.8, 0.95, 1.1, 1.3], "#0072b2", "-."),
    )


def _corners(text: Text, canvas: FigureCanvasAgg) -> Corners:
    """Return the corners of a text: those of its box before it was turned, turned about its middle."""
    renderer = canvas.get_renderer()  # type: ignore[no-untyped-call]
    turned = text.get_window_extent(renderer)
    middle = np.array([turned.x0 + turned.x1, turned.y0 + turned.y1]) / 2
    angle = text.get_rotation()
    text.set_rotation(0)
    box = text.get_window_extent(renderer)
    text.set_rotation(angle)
    half = np.array([box.width, box.height]) / 2 - _PIXEL
    cosine, sine = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * np.maximum(half, 0)
    found: Corners = corners @ np.array([[cosine, sine], [-sine, cosine]]) + middle
    return found


def _overlap(one: Corners, other: Corners) -> bool:
    """Tell whether two rectangles overlap: no side of either separates them."""
    for rectangle in (one, other):
        for side in rectangle[1:3] - rectangle[0:2]:
            across = np.array([-side[1], side[0]])
            first, second = one @ across, other @ across
            if first.max() <= second.min() or second.max() <= first.min():
                return False
    return True


def find_layout_problems(figure: Figure) -> list[str]:
    """Return what is wrong with the text of a figure: pieces that overlap, or leave it; legends that are cut off."""
    canvas = FigureCanvasAgg(figure)
    drawn: list[Text] = []
    original = Text.draw

    def draw(text: Text, renderer: object, *rest: object, **more: object) -> None:
        original(text, renderer, *rest, **more)  # type: ignore[arg-type]
        if text.get_visible() and text.get_text().strip():
            drawn.append(text)

    with patch.object(Text, "draw", draw):
        figure.draw_without_rendering()
    width, height = figure.bbox.width, figure.bbox.height
    boxes = [(text.get_text(), _corners(text, canvas)) for text in dict.fromkeys(drawn)]
    problems = [
        f"{name!r} leaves the figure"
        for name, box in boxes
        if box.min() < -_PIXEL or box[:, 0].max() > width + _PIXEL or box[:, 1].max() > height + _PIXEL
    ]
    problems += [
        f"{name!r} overlaps {other!r}"
        for (name, box), (other, second) in itertools.combinations(boxes, 2)
        if _overlap(box, second)
    ]
    for legend in figure.findobj(Legend):
        assert isinstance(legend, Legend)
        frame = legend.get_window_extent(canvas.get_renderer())  # type: ignore[no-untyped-call]
        if min(frame.x0, frame.y0) < -_PIXEL or frame.x1 > width + _PIXEL or frame.y1 > height + _PIXEL:
            problems.append("a legend is cut off")
    return problems


@pytest.fixture(scope="session")
def layout_problems() -> Callable[[Figure], list[str]]:
    """See `find_layout_problems`."""
    return find_layout_problems


@pytest.fixture(scope="session")
def toys() -> Measurement:
    """Four bins with a bootstrap of 40 members, made by hand."""
    nominal = np.array([40.0, 30.0, 20.0, 10.0])
    members = nominal + np.random.default_rng(5).normal(0, np.sqrt(nominal), (40, 4))
    component = Component("bootstrap", "bootstrap", members=40)
    covariance = component_covariance(component, members, nominal, central="single")
    return Measurement(
        nominal=nominal,
        results=(ComponentResult(component, members, covariance),),
        statistics=(Histogram("x", Axis.from_bins([0, 1, 2, 4, 8], name="x", label="$x$ [m]")),),
        sizes=(4,),
        units=("fb",),
        weight_unit="fb",
        effective_events=nominal**2,
        central="single",
    )
