"""Measurements: the histogram interface of the field, and the arithmetic of the covariance."""

from __future__ import annotations

from typing import Any

import boost_histogram
import hist
import mplhep
import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray
from uhi.typing.plottable import PlottableAxisGeneric, PlottableHistogram, PlottableTraits

from omnifold_pub import JointMeasurement, Measurement, Release, UnfoldingResult
from omnifold_pub.errors import ObservableError, StatisticsError

X_EDGES = np.array([-2.0, -0.7, 0.1, 0.8, 2.5])
Y_EDGES = np.array([0.0, 15.0, 40.0, 120.0])


@pytest.fixture
def measurement(release: Release) -> Measurement:
    return release.measure("x", X_EDGES)


@pytest.fixture
def joint(release: Release) -> JointMeasurement:
    return release.measure({"x": X_EDGES, "double": ("2 * y", 2 * Y_EDGES)})


# The Unified Histogram Interface


def test_a_measurement_is_a_plottable_histogram(measurement: Measurement) -> None:
    plottable: PlottableHistogram = measurement
    assert isinstance(plottable, PlottableHistogram)
    assert isinstance(plottable.axes[0], PlottableAxisGeneric)
    assert isinstance(plottable.axes[0].traits, PlottableTraits)
    assert plottable.kind == "COUNT"


def test_the_axis_is_a_sequence_of_edges(measurement: Measurement) -> None:
    (axis,) = measurement.axes
    assert len(axis) == 4
    assert list(axis) == [(-2.0, -0.7), (-0.7, 0.1), (0.1, 0.8), (0.8, 2.5)]
    assert axis[-1] == (0.8, 2.5)
    assert not axis.traits.circular
    assert not axis.traits.discrete


def test_mplhep_draws_the_values_and_the_uncertainties(measurement: Measurement) -> None:
    axes = Figure().subplots()
    (drawn,) = mplhep.histplot(measurement, ax=axes)
    data = drawn.stairs.get_data()
    np.testing.assert_array_equal(data.edges, X_EDGES)
    np.testing.assert_allclose(data.values, measurement.values())
    (segments,) = (bars.get_segments() for bars in drawn.errorbar.lines[2])
    lengths = [segment[1, 1] - segment[0, 1] for segment in segments]
    np.testing.assert_allclose(lengths, 2 * measurement.uncertainties())


def test_hist_filled_by_hand_agrees_in_values_variances_and_effective_events(
    measurement: Measurement, result: UnfoldingResult
) -> None:
    filled = hist.Hist(hist.axis.Variable(measurement.axes[0].edges), storage=hist.storage.Weight())
    filled.fill(result.columns["x"][:], weight=result.nominal[:])
    values, squares = filled.view()["value"], filled.view()["variance"]
    np.testing.assert_allclose(measurement.values(), values, rtol=1e-12)
    np.testing.assert_allclose(np.diag(measurement.covariance("event_sampling")), squares, rtol=1e-12)
    np.testing.assert_allclose(measurement.counts(), values**2 / squares, rtol=1e-12)


@pytest.mark.parametrize("axis", [hist.axis.Variable(X_EDGES), boost_histogram.axis.Variable(X_EDGES)])
def test_axes_of_other_histograms_can_be_measured_in(release: Release, measurement: Measurement, axis: Any) -> None:
    other = release.measure("x", axis)
    np.testing.assert_array_equal(other.axes[0].edges, X_EDGES)
    np.testing.assert_array_equal(other.values(), measurement.values())


def test_a_measurement_is_measured_again_in_its_own_axis(release: Release, measurement: Measurement) -> None:
    again = release.measure("x", measurement.axes[0])
    assert again.axes == measurement.axes
    np.testing.assert_array_equal(again.covariance(), measurement.covariance())


def test_effective_events_are_zero_in_an_empty_bin(release: Release) -> None:
    far = release.measure("x", [-1, 1, 500, 501])
    assert far.counts()[2] == 0
    assert far.values()[2] == 0


# Covariance


def test_variances_are_the_diagonal_of_the_covariance(measurement: Measurement) -> None:
    np.testing.assert_array_equal(measurement.variances(), np.diag(measurement.covariance()))
    np.testing.assert_array_equal(measurement.uncertainties(), np.sqrt(measurement.variances()))


def test_the_covariance_is_symmetric_and_positive(joint: JointMeasurement) -> None:
    covariance = joint.covariance()
    np.testing.assert_allclose(covariance, covariance.T, rtol=1e-12)
    assert np.linalg.eigvalsh(covariance).min() > 0


def test_the_components_add_up(joint: JointMeasurement) -> None:
    parts = [joint.covariance(component.name) for component in joint.components]
    assert len(parts) == 10
    np.testing.assert_allclose(np.sum(parts, axis=0), joint.covariance(), rtol=1e-12)
    squares = [joint.uncertainties(component.name) ** 2 for component in joint.components]
    np.testing.assert_allclose(np.sqrt(np.sum(squares, axis=0)), joint.uncertainties(), rtol=1e-12)


@pytest.mark.parametrize("component", [None, "data_bootstrap", "luminosity", "model"])
def test_correlations_are_one_on_the_diagonal_and_bounded(joint: JointMeasurement, component: str | None) -> None:
    correlation = joint.correlation(component)
    np.testing.assert_array_equal(np.diag(correlation), 1)
    assert np.abs(correlation).max() <= 1 + 1e-12
    errors = joint.uncertainties(component)
    np.testing.assert_allclose(correlation * np.outer(errors, errors), joint.covariance(component), rtol=1e-9)


def test_a_scale_is_fully_correlated(joint: JointMeasurement) -> None:
    np.testing.assert_allclose(joint.correlation("luminosity"), 1, rtol=1e-9)
    np.testing.assert_allclose(joint.uncertainties("luminosity"), 0.02 * joint.values(), rtol=1e-9)


def test_a_bin_without_uncertainty_has_no_correlation(release: Release) -> None:
    correlation = release.measure("x", [-1, 1, 500, 501]).correlation()
    np.testing.assert_array_equal(correlation[2], [0, 0, 1])


def test_the_bias_is_reported_apart(measurement: Measurement) -> None:
    members = measurement.members("data_bootstrap")
    bias = measurement.bias("data_bootstrap")
    np.testing.assert_allclose(bias, members.mean(axis=0) - measurement.values(), rtol=1e-9)
    assert np.abs(bias).min() > 0
    np.testing.assert_allclose(measurement.covariance("data_bootstrap"), np.cov(members.T), rtol=1e-9)


def test_a_nominal_that_is_the_mean_has_no_bias_of_its_ensemble(measurement: Measurement) -> None:
    np.testing.assert_allclose(measurement.bias("ensemble"), 0, atol=1e-6 * measurement.values().max())


def test_an_analytic_component_has_no_bias(measurement: Measurement) -> None:
    with pytest.raises(ObservableError, match="'event_sampling' of kind event_sampling has no members, so no bias"):
        measurement.bias("event_sampling")


def test_members_are_one_row_each(measurement: Measurement) -> None:
    assert measurement.members("pdf").shape == (3, 4)
    assert measurement.members("luminosity").shape == (1, 4)
    assert measurement.members("event_sampling").shape == (0, 4)


def test_an_unknown_component_is_named_with_those_there_are(measurement: Measurement) -> None:
    for call in (measurement.covariance, measurement.members, measurement.bias, measurement.correlation):
        with pytest.raises(ObservableError, match="no component 'pdfs'; there are ensemble, data_bootstrap"):
            call("pdfs")


def test_what_is_returned_can_be_changed_without_changing_the_measurement(measurement: Measurement) -> None:
    before = measurement.covariance()
    for array in (
        measurement.values(),
        measurement.covariance("pdf"),
        measurement.members("pdf"),
        measurement.counts(),
        measurement.variances(),
    ):
        array[...] = 1e9
    np.testing.assert_array_equal(measurement.covariance(), before)
    assert measurement.values().max() < 1e9
    assert measurement.members("pdf").max() < 1e9
    assert measurement.counts().max() < 1e9


# Tests of a prediction


def test_chi2_is_the_quadratic_form_of_the_residual(joint: JointMeasurement) -> None:
    residual = joint.uncertainties() * np.array([1, -0.5, 0.2, 0, 1.5, -1, 0.3])
    test = joint.chi2(joint.values() - residual)
    assert test.chi2 == pytest.approx(residual @ np.linalg.inv(joint.covariance()) @ residual, rel=1e-9)
    assert test.bins == 7
    assert 0 < test.p_value < 1


def test_the_predictions_own_covariance_is_added(measurement: Measurement) -> None:
    residual = measurement.uncertainties()
    own = np.diag(measurement.variances()) / 2
    test = measurement.chi2(measurement.values() + residual, own)
    assert test.chi2 == pytest.approx(residual @ np.linalg.inv(measurement.covariance() + own) @ residual, rel=1e-9)


def test_components_left_out_are_not_in_the_chi2(measurement: Measurement) -> None:
    residual = measurement.uncertainties()
    rest = measurement.covariance() - measurement.covariance("luminosity") - measurement.covariance("pdf")
    test = measurement.chi2(measurement.values() + residual, leave_out=["luminosity", "pdf"])
    assert test.chi2 == pytest.approx(residual @ np.linalg.inv(rest) @ residual, rel=1e-6)


def test_a_perfect_prediction_has_chi2_zero_and_p_one(measurement: Measurement) -> None:
    test = measurement.chi2(measurement.values())
    assert test.chi2 == 0
    assert test.p_value == 1


@pytest.mark.parametrize("prediction", [np.ones(3), np.ones(5), np.ones((4, 1)), np.array(1.0)])
def test_a_prediction_of_another_length_is_refused(measurement: Measurement, prediction: NDArray[np.float64]) -> None:
    with pytest.raises(ObservableError, match="expected a prediction of 4 bins"):
        measurement.chi2(prediction)


def test_an_unknown_component_cannot_be_left_out(measurement: Measurement) -> None:
    with pytest.raises(ObservableError, match="no component 'lumi'"):
        measurement.chi2(measurement.values(), leave_out=["lumi"])


def test_nothing_left_to_test_with_is_an_error(measurement: Measurement) -> None:
    everything = [component.name for component in measurement.components]
    with pytest.raises(StatisticsError, match="no component is left"):
        measurement.chi2(measurement.values(), leave_out=everything)


def test_more_bins_than_replicas_are_refused_and_not_inverted(release: Release) -> None:
    fine = release.measure("x", np.linspace(-2, 2, 16))
    others = [component.name for component in fine.components if component.name != "data_bootstrap"]
    with pytest.raises(StatisticsError, match="15 bins has rank 11 and cannot be inverted"):
        fine.chi2(fine.values(), leave_out=others)


# Joint measurements


def test_the_bins_of_an_observable_are_found_by_name(joint: JointMeasurement) -> None:
    assert joint.names == ("x", "double")
    assert joint.slice("x") == slice(0, 4)
    assert joint.slice("double") == slice(4, 7)
    np.testing.assert_array_equal(joint["double"].values(), joint.values()[4:])
    np.testing.assert_array_equal(joint["double"].axes[0].edges, 2 * Y_EDGES)
    assert joint["double"].statistics == (joint.statistics[1],)


def test_an_unknown_observable_is_named_with_those_there_are(joint: JointMeasurement) -> None:
    with pytest.raises(ObservableError, match="no observable 'y' in this measurement; there are x, double"):
        joint.slice("y")
    with pytest.raises(ObservableError, match="no observable 'y'"):
        joint["y"]
