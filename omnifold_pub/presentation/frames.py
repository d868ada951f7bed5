"""Measurements as data frames of `pandas`."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from omnifold_pub.estimators.base import BinnedStatistic
from omnifold_pub.extras import require
from omnifold_pub.presentation.measured import Measured
from omnifold_pub.presentation.rows import columns_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["frame_of"]


def frame_of(measured: Measured) -> pd.DataFrame:
    """Return a row for each bin.

    The index is the observable and, where all statistics have as many axes, one `pandas.Interval` for each of them;
    otherwise the bin's label. Columns: value, uncertainty, one for each component, effective_events. Units are in
    the frame's ``attrs``.

    Raises
    ------
    MissingExtraError
        If `pandas` is not installed.
    """
    require("pandas", extra="export", purpose="A data frame")
    import pandas as pd

    statistics = measured.statistics
    axes = {len(s.axes) if isinstance(s, BinnedStatistic) else 0 for s in statistics}
    levels: list[tuple[object, ...]] = []
    names = ["observable", "bin"]
    if len(axes) == 1 and axes != {0}:
        (dimensions,) = axes
        names = ["observable", *(["bin"] if dimensions == 1 else [f"bin_{i}" for i in range(1, dimensions + 1)])]
        for statistic in statistics:
            if isinstance(statistic, BinnedStatistic):
                sides = [[pd.Interval(low, high, closed="left") for low, high in axis] for axis in statistic.axes]
                levels += [(statistic.name, *bin_) for bin_ in itertools.product(*sides)]
    else:
        for statistic, part in zip(statistics, measured.slices, strict=True):
            levels += [(statistic.name, label) for label in measured.labels[part]]
    frame = pd.DataFrame(columns_of(measured), index=pd.MultiIndex.from_tuples(levels, names=names))
    frame.attrs["units"] = {s.name: unit for s, unit in zip(statistics, measured.units, strict=True)}
    return frame
