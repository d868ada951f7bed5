"""What changed between the two periods: by the raw readings, corrected, and in truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from line import Readings
from numpy.typing import NDArray
from periods import Period
from quantities import QUANTITIES, Quantity, Raw
from scipy import stats
from stones import Parts

from omnifold_pub import JointMeasurement, Release
from omnifold_pub.estimators import Histogram
from omnifold_pub.estimators.base import Statistic
from omnifold_pub.reinterpret.drift import Drift, drift, holm

__all__ = ["SHARED", "SPECTRA", "Change", "Findings", "Spectrum", "compare_periods"]

Array = NDArray[np.float64]

SHARED = ("mc_bootstrap", "diameter_gauge", "height_gauge", "scale")
"""Causes that both periods have in common: the same tray of reference parts with the same certificate."""

SPECTRA = {
    "diameter": np.array([3.8, 4.5, 5.2, 5.8, 6.5, 8.5]),
    "proportion": np.array([57.0, 59.0, 60.0, 61.0, 62.0, 63.0, 64.0, 67.0]),
    "mass": np.array([40.0, 90.0, 180.0, 500.0]),
}


@dataclass(frozen=True)
class Change:
    """A quantity in both periods.

    Attributes
    ----------
    key, name, unit : str
        Of the quantity.
    digits : int
        To be shown.
    raw_old, raw_new : Raw
        By the records.
    raw_p : float
        p-value of no change, by the records alone.
    old, old_error, new, new_error : float
        Corrected, with standard uncertainties.
    error : float
        Of new - old; smaller than both together where causes are shared.
    p, adjusted_p : float
        p-value of no change, and adjusted for the number of quantities.
    true_old, true_new : float
        Of all parts that were made: what the simulator of the line knows, and no factory does.
    causes : dict
        Standard uncertainty of new - old by cause.
    """

    key: str
    name: str
    unit: str
    digits: int
    raw_old: Raw
    raw_new: Raw
    raw_p: float
    old: float
    old_error: float
    new: float
    new_error: float
    error: float
    p: float
    adjusted_p: float
    true_old: float
    true_new: float
    causes: dict[str, float]

    @property
    def pull(self) -> float:
        """By how many standard uncertainties the corrected change is off the true one."""
        return (self.new - self.old - self.true_new + self.true_old) / self.error


@dataclass(frozen=True)
class Spectrum:
    """Shares of parts in the bins of one property, ``[bin]``, in both periods."""

    edges: Array
    raw_old: Array
    raw_new: Array
    old: Array
    old_error: Array
    new: Array
    new_error: Array
    true_old: Array
    true_new: Array
    p: float
    raw_p: float


@dataclass(frozen=True)
class Findings:
    """All that changed.

    Attributes
    ----------
    changes : dict of Change
        By quantity.
    spectra : dict of Spectrum
        By property.
    joint : Drift
        Of all spectra together.
    """

    changes: dict[str, Change]
    spectra: dict[str, Spectrum]
    joint: Drift

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as JSON can hold them."""
        changes = {key: asdict(one) | {"pull": one.pull} for key, one in self.changes.items()}
        return {"changes": changes, "joint": self.joint.to_dict()}


_CAUSES = {
    "data_bootstrap": "finite number of parts in the periods",
    "mc_bootstrap": "finite number of reference parts",
    "ensemble": "training of the correction",
    "diameter_gauge": "certificate of the diameters",
    "height_gauge": "certificate of the heights",
    "scale": "certificate of the masses",
}


def _causes(found: Drift, quantity: Quantity) -> dict[str, float]:
    """Return what each cause adds to the uncertainty of a change, the largest first."""
    variances: dict[str, float] = {}
    for result in found.results:
        name = result.component.name.rpartition(": ")[2]
        words = _CAUSES.get(name, name)
        variances[words] = variances.get(words, 0.0) + float(result.covariance[quantity.number, quantity.number])
    errors = {words: quantity.scale * float(np.sqrt(variance)) for words, variance in variances.items()}
    return dict(sorted(errors.items(), key=lambda one: -one[1]))


def _raw_p(old: Raw, new: Raw) -> float:
    return float(2 * stats.norm.sf(abs(new.value - old.value) / np.hypot(old.error, new.error)))


def _change(key: str, measured: tuple[JointMeasurement, JointMeasurement], periods: tuple[Period, Period]) -> Change:
    quantity = QUANTITIES[key]
    parts = tuple(one.part(key) for one in measured)
    found = drift(*parts, shared=SHARED)
    values = [quantity.scale * float(part.nominal[quantity.number]) for part in parts]
    errors = [quantity.scale * float(part.uncertainties()[quantity.number]) for part in parts]
    raw_old, raw_new = (quantity.of(period.records) for period in periods)
    return Change(
        key=key,
        name=quantity.name,
        unit=quantity.unit,
        digits=quantity.digits,
        raw_old=raw_old,
        raw_new=raw_new,
        raw_p=_raw_p(raw_old, raw_new),
        old=values[0],
        old_error=errors[0],
        new=values[1],
        new_error=errors[1],
        error=quantity.scale * float(found.uncertainties()[quantity.number]),
        p=found.test.p_value,
        adjusted_p=found.test.p_value,
        true_old=quantity.of(periods[0].made).value,
        true_new=quantity.of(periods[1].made).value,
        causes=_causes(found, quantity),
    )


def _counts(parts: Parts | Readings, name: str) -> Array:
    return np.histogram(getattr(parts, name), SPECTRA[name])[0].astype(np.float64)


def _spectrum(
    name: str, measured: tuple[JointMeasurement, JointMeasurement], periods: tuple[Period, Period], p: float
) -> Spectrum:
    raw = [_counts(period.records, name) for period in periods]
    true = [_counts(period.made, name) for period in periods]
    old, new = (one[name] for one in measured)
    return Spectrum(
        edges=SPECTRA[name],
        raw_old=raw[0] / raw[0].sum(),
        raw_new=raw[1] / raw[1].sum(),
        old=old.values(),
        old_error=old.uncertainties(),
        new=new.values(),
        new_error=new.uncertainties(),
        true_old=true[0] / true[0].sum(),
        true_new=true[1] / true[1].sum(),
        p=p,
        raw_p=float(stats.chi2_contingency(np.array(raw)).pvalue),
    )


def compare_periods(releases: tuple[Release, Release], periods: tuple[Period, Period]) -> Findings:
    """Measure both releases and say what changed.

    Parameters
    ----------
    releases : (Release, Release)
        Old and new.
    periods : (Period, Period)
        Their records, and the truth to be compared with.
    """
    shapes: Mapping[str, Statistic] = {name: Histogram(name, edges, normalise=True) for name, edges in SPECTRA.items()}
    single = {key: quantity.statistic for key, quantity in QUANTITIES.items()}
    spectra = tuple(release.measure(shapes) for release in releases)
    numbers = tuple(release.measure(single) for release in releases)
    joint = drift(*spectra, shared=SHARED)
    changes = [_change(key, (numbers[0], numbers[1]), periods) for key in QUANTITIES]
    adjusted = holm([one.p for one in changes])
    return Findings(
        changes={one.key: Change(**{**vars(one), "adjusted_p": p}) for one, p in zip(changes, adjusted, strict=True)},
        spectra={
            one.observable: _spectrum(one.observable, (spectra[0], spectra[1]), periods, one.adjusted_p_value)
            for one in joint.observables
        },
        joint=joint,
    )
