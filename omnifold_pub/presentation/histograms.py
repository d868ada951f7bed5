"""Measurements as histograms of the `hist` package."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from omnifold_pub.errors import ObservableError
from omnifold_pub.estimators.base import BinnedStatistic
from omnifold_pub.extras import require
from omnifold_pub.messages import shorten
from omnifold_pub.observables.binning import Axis
from omnifold_pub.presentation.measured import Measured

if TYPE_CHECKING:
    import hist

__all__ = ["hist_of"]

_TAKEN = ("weight", "sample", "threads")
"""Arguments of `hist.Hist.fill`, which no axis may be called."""


def _names(axes: Sequence[Axis]) -> list[str]:
    """Return names that `hist` takes: its own words and repeated ones get an underscore."""
    names: list[str] = []
    for axis in axes:
        name = axis.name
        while name in _TAKEN or name in names:
            name += "_"
        names.append(name)
    return names


def hist_of(measured: Measured) -> hist.Hist[Any]:
    """Return a measurement of one binned statistic as a histogram.

    Raises
    ------
    MissingExtraError
        If `hist` is not installed.
    ObservableError
        If an axis has no bin between finite edges.
    """
    require("hist", extra="plot", purpose="A histogram of hist")
    import hist

    (statistic,) = measured.statistics
    if not isinstance(statistic, BinnedStatistic):  # who calls it sees to it
        msg = f"{shorten(statistic.name)} has no bins; expected a statistic that has"
        raise ObservableError(msg)
    axes: list[Any] = []
    for axis, name in zip(statistic.axes, _names(statistic.axes), strict=True):
        finite = axis.without_flow().edges
        under, over = axis.inner.start > 0, axis.inner.stop < len(axis)
        axes.append(hist.axis.Variable(finite, name=name, label=axis.label, underflow=under, overflow=over))
    metadata = {
        "unit": measured.units[0],
        "weight_unit": measured.weight_unit,
        "uhi_kind": statistic.kind,
        "components": [component.name for component in measured.components],
    }
    label = f"{statistic.name} [{measured.units[0]}]" if measured.units[0] not in ("", "1") else statistic.name
    filled = hist.Hist(*axes, storage=hist.storage.Weight(), name=statistic.name, label=label, metadata=metadata)
    shape = [len(axis) for axis in statistic.axes]
    view: Any = filled.view(flow=True)  # an axis has a flow bin here only if it is one of ours
    view["value"] = measured.nominal.reshape(shape)
    view["variance"] = np.diag(measured.covariance()).reshape(shape)
    return filled
