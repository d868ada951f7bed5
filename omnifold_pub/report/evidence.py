"""What says whether the unfolding is to be trusted: closure tests, and the diagnostics of its trainings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import chdtrc

from omnifold_pub.closure import ClosureTable
from omnifold_pub.errors import StatisticsError
from omnifold_pub.measurement import Measurement
from omnifold_pub.observables.events import Definition
from omnifold_pub.progress import Progress
from omnifold_pub.release import Release
from omnifold_pub.training_summary import STEPS, Diagnostics

__all__ = ["LEVEL", "Calibration", "Evidence", "PValue", "Repeated", "calibration_of", "evidence_of", "repeat_closure"]

LEVEL = 0.05
"""Of tests, after Bonferroni's correction for the number of them."""


@dataclass(frozen=True)
class Repeated:
    """A closure test of the release, repeated for one spectrum.

    Attributes
    ----------
    test, observable : str
        Their names.
    bins : int
        Number of bins.
    rms, largest : float
        Of the pulls ``(unfolded - target) / published uncertainty``; ``largest`` is the one furthest from 0.
    widest : str
        Its bin.
    chi2, p_value : float or None
        With the published covariance; None where that is not the covariance of this difference, or cannot be inverted.
    """

    test: str
    observable: str
    bins: int
    rms: float
    largest: float
    widest: str
    chi2: float | None
    p_value: float | None


@dataclass(frozen=True)
class PValue:
    """One p-value of closure.

    Attributes
    ----------
    what : str
        Observable, or name of the test.
    p_value : float
        Of a true target.
    """

    what: str
    p_value: float


@dataclass(frozen=True)
class Evidence:
    """P-values of closure from one source.

    Attributes
    ----------
    source : str
        Where they come from, in words.
    tested : tuple of PValue
        In the order of the source; at least one.
    """

    source: str
    tested: tuple[PValue, ...]

    @property
    def failed(self) -> tuple[PValue, ...]:
        """Those below 5 % after Bonferroni's correction for their number, the smallest first."""
        count = len(self.tested)
        return tuple(sorted((one for one in self.tested if count * one.p_value < LEVEL), key=lambda one: one.p_value))

    @property
    def smallest(self) -> PValue:
        """The one with the smallest p-value."""
        return min(self.tested, key=lambda one: one.p_value)


@dataclass(frozen=True)
class Calibration:
    """How well the odds of the classifiers are calibrated at the end of all trainings.

    Attributes
    ----------
    fits : int
        Fits of the last iterations whose calibration could be tested.
    failed : int
        Those whose p-value is below 5 % after Bonferroni's correction for their number.
    ratio, error : float
        Of one class to the other reweighted by the odds, in the bin furthest from 1 in units of its error.
    step : str
        Where that is.
    """

    fits: int
    failed: int
    ratio: float
    error: float
    step: str


def repeat_closure(
    release: Release,
    measurements: Mapping[str, Measurement],
    definitions: Mapping[str, Definition],
    *,
    progress: Progress,
) -> tuple[Repeated, ...]:
    """Repeat the release's closure tests for spectra.

    Where the release's own weights stand against another generator's events (the truth of pseudo-data), the published
    covariance is that of the difference, and chi2 has a p-value. Where other weights were stored, pulls alone are
    shown: what fluctuates between these weights and their target is not what the covariance describes.

    Parameters
    ----------
    measurements : mapping
        Spectra by name.
    definitions : mapping
        What each is a spectrum of.
    """
    tests = release.metadata["closure"]["tests"]
    found: list[Repeated] = []
    total = len(tests) * len(measurements)
    for test in tests:
        for name, measured in measurements.items():
            progress(len(found), total, "closure tests")
            spectra = release.closure(test["name"], definitions[name], measured.axes[0], nan="drop")
            errors = measured.uncertainties()
            difference = spectra.unfolded - spectra.target
            pulls = np.divide(difference, errors, out=np.zeros_like(errors), where=errors > 0)
            chi2 = p_value = None
            if test["unfolded"] == "nominal" and (errors > 0).all():
                try:
                    outcome = measured.chi2(spectra.target)
                    chi2, p_value = outcome.chi2, outcome.p_value
                except StatisticsError:  # more bins than replicas: the pulls are what there is
                    pass
            worst = int(np.argmax(np.abs(pulls)))
            rms, label = float(np.sqrt(np.mean(pulls**2))), measured.labels[worst]
            found.append(Repeated(test["name"], name, len(pulls), rms, float(pulls[worst]), label, chi2, p_value))
    if total:
        progress(total, total, "closure tests")
    return tuple(found)


def evidence_of(
    metadata: dict[str, Any], repeated: tuple[Repeated, ...], closure: ClosureTable | None
) -> tuple[Evidence, ...]:
    """Return all p-values of closure: of a table made with the truth, of repeated tests, and the publisher's own."""
    table = () if closure is None else tuple(PValue(row.observable, row.p_value) for row in closure.rows)
    several = len({one.test for one in repeated}) > 1
    again = tuple(
        PValue(f"{one.observable} ({one.test})" if several else one.observable, one.p_value)
        for one in repeated
        if one.p_value is not None
    )
    told = tuple(PValue(one["name"], one["p_value"]) for one in metadata["closure"]["results"] if "p_value" in one)
    sources = {
        "comparison with the truth of the pseudo-data": table,
        "closure tests of the release, repeated here": again,
        "closure as the publisher reports it": told,
    }
    return tuple(Evidence(source, tested) for source, tested in sources.items() if tested)


def calibration_of(diagnostics: Diagnostics) -> Calibration | None:
    """Return how well the odds are calibrated in the last iteration of each training; None if nobody tested it.

    The p-value of a fit is that of its chi2 with its degrees of freedom: the ratios of one class to the other
    reweighted by the odds, in bins of the logit, against 1.
    """
    fits = [
        (label, fit["calibration"])
        for training in diagnostics
        if training["iterations"]
        for key, label in STEPS
        for fit in max(training["iterations"], key=lambda entry: int(entry["iteration"])).get(key, [])
        if fit["calibration"]["ndf"]
    ]
    if not fits:
        return None
    failed = sum(len(fits) * chdtrc(one["ndf"], one["chi2"]) < LEVEL for _, one in fits)
    bins = [
        (abs(ratio - 1) / error, ratio, error, label)
        for label, one in fits
        for ratio, error in zip(one["ratios"], one["errors"], strict=True)
        if ratio is not None and error
    ]
    _, ratio, error, step = max(bins, default=(0.0, 1.0, 0.0, ""))
    return Calibration(len(fits), int(failed), ratio, error, step)
