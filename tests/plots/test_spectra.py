"""Spectra, ratios, correlations and rankings: what they draw is what the measurement says."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import StepPatch
from numpy.typing import NDArray

from omnifold_pub import JointMeasurement, Measurement, Release, Theory, open_release, plots
from omnifold_pub.errors import ObservableError, ValidityWarning
from omnifold_pub.plots import Curve
from omnifold_pub.reinterpret.ranking import rank

PT_EDGES = np.array([200.0, 250.0, 300.0, 400.0, 600.0])
JET_EDGES = np.array([10.0, 50.0, 150.0, 600.0])


@pytest.fixture(scope="module")
def release(quick_release: Path) -> Iterator[Release]:
    with open_release(quick_release) as opened:
        yield opened


@pytest.fixture(scope="module")
def measurement(release: Release) -> Measurement:
    return release.measure("pT_ll", PT_EDGES)


@pytest.fixture(scope="module")
def joint(release: Release) -> JointMeasurement:
    return release.measure({"pT_ll": PT_EDGES, "pT_trackj1": JET_EDGES})


@pytest.fixture
def curves(measurement: Measurement) -> list[Curve]:
    values = measurement.values()
    return [
        Curve("a theory", 1.2 * values, "red", "--", errors=0.05 * values),
        Curve("another", 0.9 * values, "green"),
    ]


@pytest.fixture
def axes() -> Axes:
    return Figure().subplots()


def steps(axes: Axes) -> list[StepPatch]:
    return [patch for patch in axes.patches if isinstance(patch, StepPatch)]


def bands(axes: Axes) -> list[StepPatch]:
    return [patch for patch in steps(axes) if patch.get_fill()]


def edge_lines(step: StepPatch) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the upper and the lower line of a band."""
    upper, _, lower = step.get_data()
    return np.asarray(upper, dtype=np.float64), np.asarray(lower, dtype=np.float64)


def legend(axes: Axes) -> list[str]:
    drawn = axes.get_legend()
    assert drawn is not None
    return [text.get_text() for text in drawn.get_texts()]


def test_a_figure_has_the_spectrum_above_the_ratio(measurement: Measurement, curves: list[Curve]) -> None:
    with plots.style():
        figure = plots.spectrum_figure(measurement, curves=curves, title="Demonstration")
    top, bottom = figure.axes
    assert top.get_title(loc="left") == "Demonstration"
    assert top.get_ylabel() == r"$\mathrm{d}\sigma/\mathrm{d}p_T^{\mu\mu}$ [pb / GeV]"
    assert bottom.get_xlabel() == r"$p_T^{\mu\mu}$ [GeV]"
    assert bottom.get_ylabel() == "ratio to measured"
    assert top.get_xlim() == bottom.get_xlim() == (200, 600)


@pytest.mark.parametrize("kind", ["png", "pdf", "svg"])
def test_a_figure_can_be_saved(measurement: Measurement, curves: list[Curve], kind: str) -> None:
    beginnings = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}
    buffer = io.BytesIO()
    with plots.style():
        plots.spectrum_figure(measurement, curves=curves).savefig(buffer, format=kind)
    assert buffer.getvalue().startswith(beginnings[kind])


def test_the_functions_return_the_axes_they_drew_on(measurement: Measurement, joint: JointMeasurement) -> None:
    for draw in (plots.spectrum, plots.ratio):
        axes = Figure().subplots()
        assert draw(measurement, ax=axes) is axes
    axes = Figure().subplots()
    assert plots.correlation(joint, ax=axes) is axes


def test_the_points_are_the_cross_section_per_unit(measurement: Measurement, axes: Axes) -> None:
    plots.spectrum(measurement, ax=axes)
    (points,) = [line for line in axes.lines if line.get_label() == "measured"]
    np.testing.assert_allclose(np.asarray(points.get_xdata(), dtype=np.float64), (PT_EDGES[1:] + PT_EDGES[:-1]) / 2)
    np.testing.assert_allclose(
        np.asarray(points.get_ydata(), dtype=np.float64), measurement.values() / np.diff(PT_EDGES)
    )


def test_the_band_of_the_spectrum_is_the_root_of_the_diagonal(measurement: Measurement, axes: Axes) -> None:
    plots.spectrum(measurement, ax=axes)
    (band,) = bands(axes)
    upper, lower = edge_lines(band)
    errors = np.sqrt(np.diag(measurement.covariance())) / np.diff(PT_EDGES)
    np.testing.assert_array_equal(band.get_data()[1], PT_EDGES)
    np.testing.assert_allclose((upper - lower) / 2, errors, rtol=1e-9)


def test_curves_are_drawn_per_unit_and_named(measurement: Measurement, curves: list[Curve], axes: Axes) -> None:
    plots.spectrum(measurement, curves=curves, ax=axes)
    assert {"measured", "measured, total uncertainty", "a theory", "another"} == set(legend(axes))
    lines = [edge_lines(step)[0] for step in steps(axes) if not step.get_fill()]
    for curve, line in zip(curves, lines, strict=True):
        np.testing.assert_allclose(line, curve.values / np.diff(PT_EDGES), rtol=1e-12)


def test_the_outermost_band_of_the_ratio_is_the_total_uncertainty(measurement: Measurement, axes: Axes) -> None:
    plots.ratio(measurement, ax=axes)
    widest = max(bands(axes), key=lambda band: float(edge_lines(band)[0].sum()))
    relative = np.sqrt(np.diag(measurement.covariance())) / measurement.values()
    upper, lower = edge_lines(widest)
    np.testing.assert_allclose(upper - 1, relative, rtol=1e-9)
    np.testing.assert_allclose(1 - lower, relative, rtol=1e-9)


def test_the_bands_are_nested_and_the_wider_are_drawn_first(measurement: Measurement, axes: Axes) -> None:
    plots.ratio(measurement, ax=axes)
    drawn = [edge_lines(band)[0] for band in bands(axes)]
    assert len(drawn) == len(measurement.components)
    for outer, inner in itertools.pairwise(drawn):
        assert (outer >= inner).all()


def test_the_legend_names_each_component_once(measurement: Measurement, axes: Axes) -> None:
    plots.ratio(measurement, ax=axes)
    names = sorted(text.removeprefix("+ ") for text in legend(axes))
    assert names == sorted(component.name for component in measurement.components)


def test_each_curve_is_named_once(measurement: Measurement, curves: list[Curve], axes: Axes) -> None:
    plots.ratio(measurement, curves=curves, ax=axes)
    assert legend(axes)[:2] == ["a theory", "another"]
    above, below = plots.spectrum_figure(measurement, curves=curves).axes
    assert {"a theory", "another"} <= set(legend(above))
    assert not {"a theory", "another"} & set(legend(below))


def test_the_curves_of_the_ratio_are_over_the_measurement(
    measurement: Measurement, curves: list[Curve], axes: Axes
) -> None:
    plots.ratio(measurement, curves=curves, ax=axes)
    first, second = (edge_lines(step)[0] for step in steps(axes) if not step.get_fill())
    np.testing.assert_allclose(first, 1.2, rtol=1e-12)
    np.testing.assert_allclose(second, 0.9, rtol=1e-12)
    low, high = axes.get_ylim()
    assert low < 0.9
    assert high > 1.25


def test_an_observable_without_unit_has_a_label_without_one(release: Release, axes: Axes) -> None:
    plots.ratio(release.measure("y_ll", [-2, -1, 0, 1, 2]), ax=axes)
    assert axes.get_xlabel() == r"$y_{\mu\mu}$"
    above = Figure().subplots()
    plots.spectrum(release.measure("y_ll", [-2, -1, 0, 1, 2]), ax=above)
    assert above.get_ylabel() == r"$\mathrm{d}\sigma/\mathrm{d}y_{\mu\mu}$ [pb]"


@pytest.mark.parametrize(
    ("expression", "along", "unit"),
    [
        ("pT_l1 / pT_l2", r"$p_T^{\mu_1} / p_T^{\mu_2}$", r"(p_T^{\mu_1} / p_T^{\mu_2})$ [pb]"),
        ("pT_l1 - pT_l2", r"$p_T^{\mu_1} - p_T^{\mu_2}$ [GeV]", r"(p_T^{\mu_1} - p_T^{\mu_2})$ [pb / GeV]"),
        (
            "sqrt(pT_l1 * pT_l2)",
            r"$\sqrt{p_T^{\mu_1}\,p_T^{\mu_2}}$ [GeV]",
            r"\sqrt{p_T^{\mu_1}\,p_T^{\mu_2}}$ [pb / GeV]",
        ),
        ("log(pT_l1)", "log(pT_l1)", "x$ [pb / unit of $x$]"),
    ],
)
def test_an_expression_is_labelled_by_the_symbols_of_its_columns(
    release: Release, expression: str, along: str, unit: str
) -> None:
    with plots.style():
        figure = plots.spectrum_figure(release.measure(expression, release.suggest_bins(expression, 3)))
        figure.canvas.draw()
    top, bottom = figure.axes
    assert bottom.get_xlabel() == along
    assert top.get_ylabel() == r"$\mathrm{d}\sigma/\mathrm{d}" + unit


def test_a_measurement_with_an_empty_bin_can_be_drawn(release: Release) -> None:
    with pytest.warns(ValidityWarning, match="does not vouch for 'pT_ll' in 300 - 100000"):
        empty = release.measure("pT_ll", [200, 300, 1e5, 2e5])
    assert empty.values()[2] == 0
    with plots.style():
        figure = plots.spectrum_figure(empty, curves=[Curve("theory", np.ones(3), "red")])
        figure.canvas.draw()
    widest = max(bands(figure.axes[1]), key=lambda band: float(np.nansum(edge_lines(band)[0])))
    relative = empty.uncertainties()[:2] / empty.values()[:2]
    np.testing.assert_allclose(edge_lines(widest)[0][:2] - 1, relative, rtol=1e-9)


def test_the_correlation_of_one_observable_is_drawn_by_bin(measurement: Measurement, axes: Axes) -> None:
    plots.correlation(measurement, ax=axes)
    (image,) = axes.images
    np.testing.assert_array_equal(image.get_array(), measurement.correlation())
    assert image.get_clim() == (-1, 1)
    assert axes.get_xlabel() == axes.get_ylabel() == r"$p_T^{\mu\mu}$ [GeV]"


def test_the_correlation_of_one_component_is_drawn_on_request(measurement: Measurement, axes: Axes) -> None:
    plots.correlation(measurement, component="muscale_up", ax=axes)
    np.testing.assert_array_equal(axes.images[0].get_array(), measurement.correlation("muscale_up"))


def test_the_correlation_of_several_observables_is_grouped_and_labelled(joint: JointMeasurement) -> None:
    with plots.style():
        figure = Figure()
        axes = plots.correlation(joint, ax=figure.subplots())
        figure.savefig(io.BytesIO(), format="png")
    np.testing.assert_array_equal(axes.images[0].get_array(), joint.correlation())
    labels = [r"$p_T^{\mu\mu}$", "$p_T^{j_1}$"]
    assert [text.get_text() for text in axes.get_xticklabels()] == labels
    assert [text.get_text() for text in axes.get_yticklabels()] == labels
    np.testing.assert_allclose(axes.get_xticks(), [2, 5.5])
    separators = {tuple(np.ravel(line.get_xdata())) for line in axes.lines}
    assert (4, 4) in separators
    assert len(figure.axes) == 2
    assert figure.axes[1].get_ylabel() == "correlation"


def test_the_style_is_left_behind(measurement: Measurement) -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    with plots.style():
        plots.spectrum_figure(measurement)
        assert dict(mpl.rcParams) != before
    assert dict(mpl.rcParams) == before


def test_a_density_is_not_divided_by_widths_again(release_path: Path) -> None:
    drawn = []
    with open_release(release_path) as toy:
        for density in (False, True):
            axes = plots.spectrum(toy.measure("x", [-2.0, -0.5, 0.1, 2.5], density=density), ax=Figure().subplots())
            drawn.append(np.asarray(axes.lines[-1].get_ydata(), dtype=np.float64))
    np.testing.assert_allclose(drawn[0], drawn[1], rtol=1e-12)


def test_what_has_no_one_finite_axis_is_not_drawn(release_path: Path) -> None:
    with open_release(release_path) as toy:
        plane = toy.measure(["x", "y"], [[-1, 1], [0, 50]])
        flow = toy.measure("x", [-1, 0, 1], flow=True)
    with pytest.raises(ObservableError, match=r"expected one axis with finite edges to draw; found 2 axes"):
        plots.spectrum(plane, ax=Figure().subplots())
    with pytest.raises(ObservableError, match=r"found under- or overflow: draw measurement\.inner\(\)"):
        plots.ratio(flow, ax=Figure().subplots())
    plots.ratio(flow.inner(), ax=Figure().subplots())


def test_the_ranking_shows_chi2_with_and_without_the_theorys_uncertainty(
    release: Release, zjets: Path, axes: Axes
) -> None:
    measurement = release.measure("pT_ll", PT_EDGES)
    theories = [
        Theory.from_root(
            zjets / file, tree="events", weight="weight", unit="pb", columns=["pT_ll"], sentinel=-99, name=name
        )
        for file, name in (("theory.root", "another tune"), ("data_truth.root", "the truth"))
    ]
    ranking = rank(measurement, theories)
    plots.ranking(ranking, ax=axes)
    exact, own = (np.asarray(line.get_xdata(), dtype=np.float64) for line in axes.lines)
    np.testing.assert_allclose(own, [one.test.chi2 / 4 for one in ranking.comparisons])
    np.testing.assert_allclose(exact, [one.without_theory().chi2 / 4 for one in ranking.comparisons])
    assert [label.get_text() for label in axes.get_yticklabels()] == [one.theory for one in ranking.comparisons]
    assert [text.get_text() for text in axes.texts] == [f"p = {one.test.p_value:.2g}" for one in ranking.comparisons]
