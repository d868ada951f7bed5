"""Measurements as histograms of `hist`, and drawn by `mplhep`."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import hist
import mplhep
import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from omnifold_pub import JointMeasurement, Measurement, Release, UnfoldingResult
from omnifold_pub.errors import ObservableError
from omnifold_pub.estimators import Histogram, Ratio
from omnifold_pub.estimators.inner import Inner


def test_flow_bins_are_those_that_hist_fills(release: Release, result: UnfoldingResult) -> None:
    edges = [-1.0, 0.0, 0.5, 1.0]
    filled = hist.Hist(hist.axis.Variable(edges, name="x"), storage=hist.storage.Weight())
    filled.fill(x=result.columns["x"][:], weight=result.nominal[:])
    made = release.measure("x", edges, flow=True).to_hist()
    np.testing.assert_allclose(made.values(flow=True), filled.values(flow=True), rtol=1e-12)
    assert made.values(flow=True)[0] > 0
    assert made.values(flow=True)[-1] > 0
    assert made.axes[0].name == "x"


def test_two_axes_with_flow_in_one_of_them_agree_with_hist(release: Release, result: UnfoldingResult) -> None:
    measurement = release.measure(["x", "n"], [[-np.inf, 0, 1], [0, 2.5, 20]])
    filled = hist.Hist(
        hist.axis.Variable([0, 1], name="x", overflow=False),
        hist.axis.Variable([0, 2.5, 20], name="n", underflow=False, overflow=False),
        storage=hist.storage.Weight(),
    )
    filled.fill(x=result.columns["x"][:], n=result.columns["n"][:], weight=result.nominal[:])
    made = measurement.to_hist()
    assert [axis.traits for axis in made.axes] == [axis.traits for axis in filled.axes]
    assert made.view(flow=True).shape == (2, 2)
    np.testing.assert_allclose(made.values(flow=True), filled.values(flow=True), rtol=1e-12)
    np.testing.assert_array_equal(made.variances(flow=True), measurement.variances())


def test_variances_are_of_the_total_covariance_and_the_rest_is_kept(computable: JointMeasurement) -> None:
    for name in ("x", "profile", "ratio", "density", "shares", "x * z"):
        measurement = computable[name]
        made = measurement.to_hist()
        np.testing.assert_array_equal(made.values(flow=True), measurement.values())
        np.testing.assert_array_equal(made.variances(flow=True), measurement.variances())
        assert [axis.label for axis in made.axes] == [axis.label for axis in measurement.axes]
        assert made.metadata["unit"] == measurement.unit
        assert made.metadata["uhi_kind"] == measurement.kind
        assert made.metadata["components"] == [c.name for c in measurement.components]
        assert made.name == name


def test_names_that_hist_has_no_room_for_get_an_underscore(release: Release) -> None:
    def weight(events: Any) -> Any:
        return events["x"]

    bins: Any = [[-1, 1]] * 3
    observables: Any = [weight, "x", "x"]
    made = release.measure(observables, bins).to_hist()
    assert [axis.name for axis in made.axes] == ["weight_", "x", "x_"]


def test_an_axis_of_flow_alone_has_no_histogram(release: Release) -> None:
    measurement = release.measure("x", [-np.inf, 0, np.inf])
    for call in (measurement.to_hist, measurement.inner):
        with pytest.raises(ObservableError, match=r"axis 'x': expected a bin between finite edges; found \[-inf, 0"):
            call()


def test_a_missing_package_is_named(release_path: Path) -> None:
    code = (
        "import sys; sys.modules['hist'] = None; import omnifold_pub\n"
        "with omnifold_pub.open_release(sys.argv[1]) as release: release.measure('x', [-1, 1]).to_hist()"
    )
    outcome = subprocess.run([sys.executable, "-c", code, release_path], capture_output=True, text=True, check=False)
    assert "needs the package hist, which is not installed. Install it with: pip install 'omnifold-pub[plot]'" in (
        outcome.stderr
    )


# Without flow bins


def test_inner_bins_are_cut_out_of_everything(release: Release) -> None:
    whole = release.measure(["x", "n"], [[-1.0, 0.0, 1.0], [0.0, 2.5, 20.0]], flow=True)
    inner = whole.inner()
    assert whole.values().shape == (4, 4)
    np.testing.assert_array_equal(inner.values(), whole.values()[1:3, 1:3])
    np.testing.assert_array_equal(inner.counts(), whole.counts()[1:3, 1:3])
    np.testing.assert_array_equal(inner.variances(), whole.variances()[1:3, 1:3])
    members = whole.members("pdf").reshape(3, 4, 4)[:, 1:3, 1:3].reshape(3, 4)
    np.testing.assert_array_equal(inner.members("pdf"), members)
    matrix = whole.covariance().reshape(4, 4, 4, 4)[1:3, 1:3, 1:3, 1:3].reshape(4, 4)
    np.testing.assert_array_equal(inner.covariance(), matrix)
    assert inner.labels == ("-1 - 0, 0 - 2.5", "-1 - 0, 2.5 - 20", "0 - 1, 0 - 2.5", "0 - 1, 2.5 - 20")
    assert inner.sizes == (4,)


@pytest.mark.parametrize(
    ("statistic", "kind"),
    [
        (Histogram("x", [-1, 0, 1], flow=True), Histogram),
        (Histogram("x", [-1, 0, 1], flow=True, normalise=True), Inner),
        (Ratio(Histogram("x", [-1, 0, 1], where="n > 2", flow=True), Histogram("x", [-1, 0, 1], flow=True)), Inner),
    ],
)
def test_inner_bins_are_measured_again_with_the_same_numbers(release: Release, statistic: Any, kind: type) -> None:
    whole = release.measure(statistic)
    inner = whole.inner()
    again = release.measure(inner.statistic)
    assert isinstance(inner.statistic, kind)
    np.testing.assert_allclose(again.values(), whole.values()[1:3], rtol=1e-12)
    np.testing.assert_allclose(again.covariance(), inner.covariance(), rtol=1e-9, atol=1e-20)
    assert (again.unit, again.kind, again.name) == (whole.unit, whole.kind, whole.name)


def test_without_flow_bins_inner_is_the_same(measurement: Measurement) -> None:
    inner = measurement.inner()
    assert inner.statistic is measurement.statistic
    np.testing.assert_array_equal(inner.covariance(), measurement.covariance())


# Pictures


def test_mplhep_draws_inner_bins_without_a_warning(release: Release) -> None:
    whole = release.measure("x", [-1, 0, 0.5, 1], flow=True)
    (drawn,) = mplhep.histplot(whole.inner(), ax=Figure().subplots())
    np.testing.assert_allclose(drawn.stairs.get_data().values, whole.values()[1:-1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match="Nan values in"):  # which is why there is inner()
            mplhep.histplot(whole, ax=Figure().subplots())


def test_mplhep_draws_the_flow_of_a_hist(release: Release) -> None:
    made = release.measure("x", [-1, 0, 0.5, 1], flow=True).to_hist()
    (drawn,) = mplhep.histplot(made, ax=Figure().subplots(), flow="sum")
    values = made.values(flow=True)
    np.testing.assert_allclose(
        drawn.stairs.get_data().values, [values[0] + values[1], values[2], values[3] + values[4]]
    )


def test_mplhep_draws_two_axes(computable: JointMeasurement) -> None:
    figure, axes = plt.subplots()
    drawn = mplhep.hist2dplot(computable["shares"], ax=axes)
    plt.close(figure)
    np.testing.assert_allclose(drawn.pcolormesh.get_array(), computable["shares"].values().T)
