"""Measurements as data frames."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from omnifold_pub import JointMeasurement, Measurement, Release


def test_a_row_for_each_bin_found_by_value(measurement: Measurement) -> None:
    frame: Any = measurement.to_dataframe()
    assert frame.index.names == ["observable", "bin"]
    np.testing.assert_array_equal(frame["value"], measurement.nominal)
    np.testing.assert_array_equal(frame["pdf"], measurement.uncertainties("pdf"))
    assert list(frame.columns) == [
        "value",
        "uncertainty",
        *(component.name for component in measurement.components),
        "effective_events",
    ]
    assert frame.loc[("x", pd.Interval(0.1, 0.8, closed="left")), "value"] == measurement.nominal[2]
    assert frame.attrs["units"] == {"x": "pb"}


def test_components_add_up_in_quadrature(measurement: Measurement) -> None:
    frame = measurement.to_dataframe()
    parts = frame[[component.name for component in measurement.components]]
    np.testing.assert_allclose((parts**2).sum(axis=1) ** 0.5, frame["uncertainty"], rtol=1e-12)


def test_several_axes_have_an_interval_each(computable: JointMeasurement) -> None:
    frame: Any = computable["shares"].to_dataframe()
    assert frame.index.names == ["observable", "bin_1", "bin_2"]
    place = ("shares", pd.Interval(0, 1, closed="left"), pd.Interval(2.5, 20, closed="left"))
    assert frame.loc[place, "value"] == computable["shares"].values()[1, 1]


def test_what_has_no_axes_has_labels(computable: JointMeasurement, release: Release) -> None:
    frame: Any = computable.to_dataframe()
    assert frame.loc[("quantiles", "quantile 0.5 of x"), "value"] == computable.part("quantiles").nominal[1]
    assert np.isnan(frame.loc[("quantiles", "quantile 0.5 of x"), "effective_events"])
    assert frame.loc[("x", "0.1 - 0.8"), "value"] == computable["x"].nominal[2]
    joint: Any = release.measure({"x": [-1, 0, 1], "y": [0, 50, np.inf]}).to_dataframe()
    assert joint.loc[("y", pd.Interval(50, np.inf, closed="left")), "value"] > 0
