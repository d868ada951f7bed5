"""Whether, and to what, a theory is normalised."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import InputError
from omnifold_pub.estimators.base import Statistic
from omnifold_pub.estimators.histogram import Histogram
from omnifold_pub.messages import shorten

__all__ = ["check_unit", "conversion", "scale_of"]

_IN_PB = {"pb": 1.0, "fb": 1e-3}


def check_unit(name: str, unit: str | None, weight_unit: str, statistics: Sequence[Statistic], *, shape: bool) -> None:
    """Refuse a theory whose normalisation cannot be compared with a measurement.

    Parameters
    ----------
    name : str
        Of the theory.
    unit : str or None
        Of its weights; None for one without a cross section.
    weight_unit : str
        Of the measurement.
    statistics : sequence of Statistic
        What was measured; histograms that are normalised need no cross section.
    shape : bool
        Whether shapes alone are to be compared.

    Raises
    ------
    InputError
        If the units differ, or there is no cross section where one is needed.
    """
    if unit is None:
        if shape or all(isinstance(s, Histogram) and s.normalise for s in statistics):
            return
        msg = (
            f"{name}: has no cross section, so that it can only be compared in shape: ask for the shape "
            "(shape_only=True, --shape), or state its cross section"
        )
        raise InputError(msg)
    if weight_unit != unit:
        msg = f"{name}: weights in {unit}, the measurement is in {shorten(weight_unit)}; convert them "
        msg += "first (Theory.in_unit)"
        raise InputError(msg)


def conversion(name: str, unit: str | None, wanted: str) -> float:
    """Return what a cross section in one unit is multiplied with to be in another.

    Raises
    ------
    InputError
        If there is no cross section, or a unit is unknown.

    Examples
    --------
    >>> conversion("theory", "pb", "fb")
    1000.0
    """
    if unit is None or unit not in _IN_PB or wanted not in _IN_PB:
        found = (
            "no cross section" if unit is None else f"weights in {shorten(unit)} to be converted to {shorten(wanted)}"
        )
        msg = f"{name}: expected a cross section, and a unit of {', '.join(_IN_PB)}; found {found}"
        raise InputError(msg)
    return _IN_PB[unit] / _IN_PB[wanted]


def scale_of(weights: NDArray[np.float64], unit: str | None, cross_section: float | None, name: str) -> float:
    """Refuse weights that are none, and return what they are to be multiplied with.

    Parameters
    ----------
    weights : numpy.ndarray
        ``weight[event]``, of the events in the fiducial region.
    unit : str or None
        Of their sum; None where it is no cross section.
    cross_section : float or None
        What they shall sum to; None where they do already.
    name : str
        Of the theory.

    Raises
    ------
    InputError
        If a weight is not finite, the unit is none, the weights sum to nothing, or the cross section is not above 0.

    Examples
    --------
    >>> scale_of(np.array([1.0, 3.0]), "pb", 2.0, "theory")
    0.5
    """
    bad = int((~np.isfinite(weights)).sum())
    if bad:
        msg = f"{name}: {bad} of {len(weights)} weights are not finite; remove these events or mend their weights"
        raise InputError(msg)
    if unit not in ("pb", "fb", None):
        msg = f"{name}: unit: expected 'pb', 'fb', or None for weights without a cross section; found {shorten(unit)}"
        raise InputError(msg)
    total = float(weights.sum())
    if not total > 0:
        what = f"the fiducial cross section in {unit}" if unit else "anything"
        msg = f"{name}: the weights sum to {total:g}; expected {what}, above 0"
        raise InputError(msg)
    if cross_section is None:
        return 1.0
    if unit is None:
        msg = f"{name}: cross_section: expected its unit too; found {cross_section:g} and no unit"
        raise InputError(msg)
    if not (isinstance(cross_section, Real) and np.isfinite(cross_section) and cross_section > 0):
        found = shorten(cross_section)
        msg = f"{name}: cross_section: expected the fiducial cross section in {unit}, above 0; found {found}"
        raise InputError(msg)
    return cross_section / total
