"""The columns that every table of bins has, whoever shows it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.presentation.measured import Measured

__all__ = ["FIXED_COLUMNS", "columns_of"]

FIXED_COLUMNS = ("value", "uncertainty", "effective_events")


def columns_of(measured: Measured) -> dict[str, NDArray[np.float64]]:
    """Return ``column[bin]`` by name: value, total uncertainty, that of each component, effective events.

    A component that is called as one of the others gets an underscore behind its name.
    """
    columns = {"value": measured.nominal, "uncertainty": measured.uncertainties()}
    for component in measured.components:
        name = f"{component.name}_" if component.name in FIXED_COLUMNS else component.name
        columns[name] = measured.uncertainties(component.name)
    columns["effective_events"] = measured.effective_events
    return columns
