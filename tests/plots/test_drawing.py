"""What matrices, breakdowns, fans, pulls, weights, closures, trainings and maps draw is what their sources say."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import StepPatch
from numpy.typing import NDArray
from scipy import stats

from omnifold_pub import Measurement, Release, plots
from omnifold_pub.errors import ObservableError, ReleaseError, StatisticsError
from omnifold_pub.observables.binning import Axis
from omnifold_pub.plots import Curve
from omnifold_pub.plots.budget import shares
from omnifold_pub.plots.labels import cross_section_label, readable, title_of, value_label


@pytest.fixture
def axes() -> Axes:
    return Figure().subplots()


def numbers(values: Any) -> NDArray[np.float64]:
    return np.asarray(values, dtype=np.float64)


def line(axes: Axes, label: str) -> NDArray[np.float64]:
    """Return the heights of the step with a label."""
    (found,) = [patch for patch in axes.patches if isinstance(patch, StepPatch) and patch.get_label() == label]
    return numbers(found.get_data()[0])


def legend(axes: Axes) -> list[str]:
    drawn = axes.get_legend()
    assert drawn is not None
    return [text.get_text() for text in drawn.get_texts()]


# Matrices


def test_the_covariance_is_drawn_with_its_unit(mass: Measurement, axes: Axes) -> None:
    plots.covariance(mass, ax=axes)
    np.testing.assert_array_equal(numbers(axes.images[0].get_array()), mass.covariance())
    figure = axes.get_figure(root=True)
    assert figure is not None
    assert figure.axes[1].get_ylabel() == "covariance [pb$^2$]"
    low, high = axes.images[0].get_clim()
    assert -low == high == np.abs(mass.covariance()).max()


def test_the_relative_covariance_is_in_percent_squared(mass: Measurement, axes: Axes) -> None:
    plots.covariance(mass, component="luminosity", relative=True, ax=axes)  # 2 % of everything
    np.testing.assert_allclose(numbers(axes.images[0].get_array()), 4.0, rtol=1e-6)


def test_a_covariance_of_several_units_is_refused(frozen: Release, axes: Axes) -> None:
    joint = frozen.measure({"x": [-1, 1], "y": [0, 50]}, density=True)
    with pytest.raises(ObservableError, match=r"found pb, pb / GeV; draw the relative one \(relative=True\)"):
        plots.covariance(joint, ax=axes)
    plots.covariance(joint, relative=True, ax=axes)


def test_the_edges_of_bins_are_written_at_the_edges_of_cells(mass: Measurement, axes: Axes) -> None:
    plots.correlation(mass, ax=axes)
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0", "10", "20", "40", "100"]
    np.testing.assert_array_equal(axes.get_xticks(), np.arange(5))
    assert axes.get_xlabel() == axes.get_ylabel() == r"$m_{j_1}$ [GeV]"


def test_the_numbers_in_the_cells_are_the_correlations(mass: Measurement, axes: Axes) -> None:
    plots.correlation(mass, ax=axes)
    written = {
        (int(text.get_position()[1]), int(text.get_position()[0])): float(text.get_text()) for text in axes.texts
    }
    expected = mass.correlation()
    assert len(written) == expected.size
    for place, number in written.items():
        assert number == pytest.approx(expected[place], abs=0.005001)


def test_numbers_without_bins_are_named(frozen: Release, axes: Axes) -> None:
    def moments(events: Any, weights: Any) -> Any:
        return [weights.sum(), weights @ events["x"]]

    estimate = frozen.estimate(moments)
    plots.correlation(estimate, ax=axes)
    assert [text.get_text() for text in axes.get_xticklabels()] == [readable(label, 24) for label in estimate.labels]


# Breakdown and the parts of an uncertainty


def test_few_parts_are_the_components(toys: Measurement) -> None:
    ((name, size),) = shares(toys)
    assert name == "bootstrap"
    np.testing.assert_allclose(size, toys.uncertainties())


def test_many_parts_are_summed_up_to_the_same_total(mass: Measurement) -> None:
    parts = shares(mass, most=4)
    assert [name for name, _ in parts][-1] == f"{len(mass.components) - 3} smaller ones"
    total = np.sqrt(sum(size**2 for _, size in parts))
    np.testing.assert_allclose(total, mass.uncertainties(), rtol=1e-12)
    relative = [float(np.sum(size / mass.values())) for _, size in parts[:-1]]
    assert relative == sorted(relative, reverse=True)


def test_the_breakdown_is_in_percent(mass: Measurement, axes: Axes) -> None:
    plots.breakdown(mass, ax=axes)
    np.testing.assert_allclose(line(axes, "total"), 100 * mass.uncertainties() / mass.values())
    assert axes.get_ylabel() == "relative uncertainty [%]"
    names = [name for name, _ in shares(mass)]
    assert legend(axes) == ["total", *names]


def test_an_empty_bin_leaves_a_gap(toys: Measurement, axes: Axes) -> None:
    toys.nominal[1] = 0
    try:
        plots.breakdown(toys, ax=axes)
    finally:
        toys.nominal[1] = 30
    assert np.isnan(line(axes, "total")).tolist() == [False, True, False, False]


# Fans


def test_the_band_of_a_fan_is_the_inner_68_percent(toys: Measurement, axes: Axes) -> None:
    plots.fan(toys, component="bootstrap", ax=axes)
    relative = toys.members("bootstrap") / toys.values()
    upper = np.quantile(relative, stats.norm.cdf(1), axis=0)
    np.testing.assert_allclose(line(axes, "inner 68 % of the members"), upper, atol=1e-6)
    np.testing.assert_allclose(line(axes, "uncertainty"), 1 + toys.uncertainties() / toys.values())
    members = [patch for patch in axes.patches if isinstance(patch, StepPatch) and patch.get_alpha() == 0.45]
    np.testing.assert_allclose([numbers(patch.get_data()[0]) for patch in members], relative)


def test_few_members_are_drawn_one_by_one(mass: Measurement, axes: Axes) -> None:
    plots.fan(mass, component="up_down", ax=axes)
    for number, member in enumerate(mass.members("up_down"), start=1):
        np.testing.assert_allclose(line(axes, f"member {number}"), member / mass.values())


@pytest.mark.parametrize("component", ["ensemble", "event_sampling"])
def test_a_component_without_members_has_no_fan(frozen: Release, component: str, axes: Axes) -> None:
    """One has none, the document leaves out those of the other."""
    measured = Measurement.from_dict(frozen.measure("x", [-1, 0, 1]).to_dict(members=False))
    with pytest.raises(ObservableError, match=f"component '{component}' has no members here to draw"):
        plots.fan(measured, component=component, ax=axes)


# Pulls and coverage


def test_pulls_are_over_both_errors(mass: Measurement, axes: Axes) -> None:
    errors = np.full(4, 0.1)
    plots.pulls(mass, [Curve("theory", mass.values() + 0.5, "red", errors=errors)], ax=axes)
    (points,) = [one for one in axes.lines if one.get_label() == "theory"]
    expected = [0.5 / math.hypot(size, 0.1) for size in mass.uncertainties()]
    np.testing.assert_allclose(numbers(points.get_ydata()), expected)


def test_a_pull_that_is_too_far_is_an_arrow_at_the_rim(mass: Measurement, axes: Axes) -> None:
    plots.pulls(mass, [Curve("theory", mass.values() * [1, -9, 1, 1], "red")], ax=axes)
    (arrow,) = [one for one in axes.lines if one.get_marker() == "v"]
    (place,) = numbers(arrow.get_ydata())
    low, _ = axes.get_ylim()
    assert low < place < 0.9 * low
    (points,) = [one for one in axes.lines if one.get_label() == "theory"]
    assert len(numbers(points.get_ydata())) == 3
    drawn = axes.get_legend()
    assert drawn is not None
    assert "beyond 8" in [text.get_text() for text in drawn.get_texts()]


def test_coverage_of_normal_pulls_is_exact(axes: Axes) -> None:
    pulls = stats.norm.ppf((np.arange(2000) + 0.5) / 2000)
    plots.coverage({"normal": pulls}, ax=axes)
    (container,) = axes.containers
    drawn = container.lines[0]  # type: ignore[attr-defined]
    np.testing.assert_allclose(drawn.get_ydata(), drawn.get_xdata(), atol=0.001)


def test_the_bars_of_the_coverage_are_wilsons(axes: Axes) -> None:
    pulls = np.array([0.0] * 14 + [9.0] * 6)
    plots.coverage({"toys": pulls}, ax=axes)
    (segments,) = (bars.get_segments() for bars in axes.containers[0].lines[2])  # type: ignore[attr-defined]
    expected = stats.binomtest(14, 20).proportion_ci(stats.chi2.cdf(1, 1), method="wilson")
    np.testing.assert_allclose(np.asarray(segments[3])[:, 1], [expected.low, expected.high], rtol=1e-6)


def test_the_distribution_of_pulls_has_unit_area(axes: Axes) -> None:
    found = np.array([-9.0, -0.1, 0.1, 0.2, 7.0])
    plots.pull_distribution({"few": found}, ax=axes)
    (step,) = [patch for patch in axes.patches if isinstance(patch, StepPatch)]
    heights, edges, _ = step.get_data()
    assert float(np.sum(numbers(heights) * np.diff(numbers(edges)))) == pytest.approx(1)
    assert numbers(heights)[[0, -1]].tolist() == [0.8, 0.8]
    assert f"few: mean -0.36, deviation {found.std(ddof=1):.2f}" in legend(axes)


@pytest.mark.parametrize("draw", [plots.coverage, plots.pull_distribution])
@pytest.mark.parametrize(("found", "words"), [([], "found none"), ([1.0, math.nan], "found 1 of 2 that are not")])
def test_pulls_that_are_none_are_refused(draw: Any, found: list[float], words: str, axes: Axes) -> None:
    with pytest.raises(StatisticsError, match=f"toys: expected finite pulls to draw; {words}"):
        draw({"toys": found}, ax=axes)


# Weights


def test_every_weight_is_in_the_histograms(frozen: Release, axes: Axes) -> None:
    plots.weights(frozen, families=["ensemble", "pdf"], ax=axes)
    events = frozen.metadata["events"]
    for label in ("nominal", "prior", "ensemble (4 members)", "pdf (3 members)"):
        assert float(line(axes, label).sum()) == pytest.approx(events)


def test_weights_that_are_not_positive_are_counted(axes: Axes) -> None:
    from omnifold_pub.format.tiles import MemoryArray
    from omnifold_pub.plots.weights import _count, _label

    weights = np.array([[0.0, 1.0], [-1.0, 1.0], [1.0, 100.0]], dtype=np.float32)
    counted = _count(MemoryArray(weights), 1.0, np.linspace(-1, 1, 5))
    np.testing.assert_array_equal(counted.contents, [0, 0, 1.5, 0.5])  # per member; 100 is in the last bin
    assert counted.not_positive == 1.0
    assert _label("toys", counted) == "toys (2 members), 1 not positive"


def test_an_unknown_family_is_refused(frozen: Release, axes: Axes) -> None:
    with pytest.raises(ReleaseError, match="no weight family 'ensembl'; did you mean ensemble"):
        plots.weights(frozen, families=["ensembl"], ax=axes)


# Closure


def test_a_closure_test_is_drawn_per_width(frozen: Release) -> None:
    spectra = frozen.closure("dd", "y", [0, 10, 20, 40, 100])
    top, bottom = plots.closure_figure(spectra).axes
    np.testing.assert_allclose(line(top, "target"), spectra.target / [10, 10, 20, 60])
    (points,) = [one for one in top.lines if one.get_label() == "unfolded"]
    np.testing.assert_allclose(numbers(points.get_ydata()), spectra.unfolded / [10, 10, 20, 60])
    np.testing.assert_allclose(numbers(bottom.lines[-1].get_ydata()), spectra.unfolded / spectra.target)
    assert top.get_ylabel() == r"$\mathrm{d}\sigma/\mathrm{d}y$ [pb / GeV]"


def test_closure_of_metadata_shows_chi2_per_bin(frozen: Release, axes: Axes) -> None:
    plots.closure(frozen.metadata, ax=axes)
    (points,) = [one for one in axes.lines if one.get_label() == "unfolded"]
    assert numbers(points.get_xdata()).tolist() == [5 / 6]
    assert [text.get_text() for text in axes.texts] == ["p = 0.54"]


def test_metadata_without_chi2_have_no_closure_to_draw(axes: Axes) -> None:
    with pytest.raises(ReleaseError, match="a toy: expected results of closure tests"):
        plots.closure({"title": "a toy", "closure": {"performed": False}}, ax=axes)


# Trainings


def test_unknown_quantities_and_steps_are_refused(axes: Axes) -> None:
    with pytest.raises(ObservableError, match=r"quantity: expected auc, push_change, .*; found 'loss'"):
        plots.iterations([], quantity="loss", ax=axes)  # type: ignore[arg-type]
    with pytest.raises(ObservableError, match="step: expected step1, step2, fakes; found 'step3'"):
        plots.losses([], step="step3", ax=axes)


# Maps


@pytest.fixture(scope="module")
def plane(frozen: Release) -> Measurement:
    return frozen.measure(["x", "z"], [[-2.5, -0.5, 0.5, 2.5], [0, 0.3, 0.6, 1]])


def test_a_map_is_per_area_with_the_first_observable_along_x(plane: Measurement, axes: Axes) -> None:
    plots.plane(plane, ax=axes)
    (mesh,) = axes.collections
    areas = np.outer([2, 1, 2], [0.3, 0.3, 0.4])
    np.testing.assert_allclose(numbers(mesh.get_array()), (plane.values() / areas).T)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("$x$", "$z$ [rad]")
    assert axes.get_xlim() == (-2.5, 2.5)


def test_a_map_of_uncertainties_is_in_percent(plane: Measurement, axes: Axes) -> None:
    plots.plane(plane, show="uncertainties", ax=axes)
    expected = 100 * np.sqrt(plane.variances()) / plane.values()
    np.testing.assert_allclose(numbers(axes.collections[0].get_array()), expected.T)


def test_a_map_has_two_axes(mass: Measurement, plane: Measurement, axes: Axes) -> None:
    with pytest.raises(ObservableError, match="expected 2 axes with finite edges to draw; found 1 axis"):
        plots.plane(mass, ax=axes)
    with pytest.raises(ObservableError, match="show: expected values or uncertainties; found 'errors'"):
        plots.plane(plane, show="errors", ax=axes)  # type: ignore[arg-type]


# Labels


@pytest.mark.parametrize(
    ("axes_of", "normalised", "label"),
    [
        ([("$m$ [GeV]", "")], False, r"$\mathrm{d}\sigma/\mathrm{d}m$ [fb / GeV]"),
        ([("$y$", "1")], False, r"$\mathrm{d}\sigma/\mathrm{d}y$ [fb]"),
        ([("$y$", "1")], True, r"$\mathrm{(1/}\sigma\mathrm{)}\,\mathrm{d}\sigma/\mathrm{d}y$"),
        ([("$m$ [GeV]", "")], True, r"$\mathrm{(1/}\sigma\mathrm{)}\,\mathrm{d}\sigma/\mathrm{d}m$ [1 / GeV]"),
        ([("a / b", "")], False, r"$\mathrm{d}\sigma/\mathrm{d}x$ [fb / unit of $x$]"),
        ([("$a / b$", "1")], False, r"$\mathrm{d}\sigma/\mathrm{d}(a / b)$ [fb]"),
        ([("$a$ [GeV^2 / mm]", "")], False, r"$\mathrm{d}\sigma/\mathrm{d}a$ [fb / (GeV$^{2}$ / mm)]"),
        ([("momentum [GeV]", "")], False, r"$\mathrm{d}\sigma/\mathrm{d}x$ [fb / GeV]"),
        (
            [("$m$ [GeV]", ""), ("$p$ [GeV]", "")],
            False,
            r"$\mathrm{d}^2\sigma/\mathrm{d}m\,\mathrm{d}p$ [fb / GeV$^2$]",
        ),
        (
            [("$m$ [GeV]", ""), (r"$\phi$ [rad]", "")],
            False,
            r"$\mathrm{d}^2\sigma/\mathrm{d}m\,\mathrm{d}\phi$ [fb / (GeV rad)]",
        ),
    ],
)
def test_a_cross_section_has_its_unit(axes_of: list[tuple[str, str]], normalised: bool, label: str) -> None:  # noqa: FBT001
    made = tuple(Axis.from_bins([0, 1], label=text, unit=unit) for text, unit in axes_of)
    assert cross_section_label(made, "fb", normalised=normalised) == label


def test_a_density_is_labelled_as_the_contents_of_bins_are(frozen: Release) -> None:
    contents, density = (value_label(frozen.measure("y", [0, 50], density=density)) for density in (False, True))
    assert contents == density == r"$\mathrm{d}\sigma/\mathrm{d}y$ [pb / GeV]"


@pytest.mark.parametrize(
    "text", [r"$\frac{1$", "$", "a $ b $ c $", r"\$5", "<script>", "$$", "_x", r"$\text{GeV}$ and $x_$", "x" * 500]
)
def test_no_text_of_others_breaks_a_picture(text: str, toys: Measurement) -> None:
    figure = plots.spectrum_figure(toys, curves=[Curve(text, toys.values(), "red")], title=text)
    figure.axes[1].set_xlabel(readable(text))
    figure.canvas.draw()
    assert readable(text) in [one.get_text() for one in figure.findobj() if hasattr(one, "get_text")]
    shown = legend(figure.axes[0])
    assert len(shown) == 3


def test_long_titles_are_broken_into_lines() -> None:
    lines = title_of("word " * 100, 40).splitlines()
    assert len(lines) == 3
    assert max(map(len, lines)) <= 40
    assert lines[-1].endswith("...")


# New figures


def test_without_axes_a_figure_is_made(mass: Measurement) -> None:
    from matplotlib import pyplot as plt

    before = plt.get_fignums()
    drawn = plots.breakdown(mass)
    try:
        assert drawn is plt.gca()
        assert len(plt.get_fignums()) == len(before) + 1
    finally:
        plt.close(drawn.get_figure(root=True))
