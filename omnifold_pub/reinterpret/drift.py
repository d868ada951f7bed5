"""What changed between two releases: the difference of two measurements, its covariance and a calibrated p-value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import InputError
from omnifold_pub.estimators.base import Statistic
from omnifold_pub.measurement import Estimate
from omnifold_pub.messages import shorten
from omnifold_pub.observables.events import definition_text
from omnifold_pub.reinterpret.shared_causes import difference_results, possibly_shared
from omnifold_pub.statistics.components import ComponentResult
from omnifold_pub.statistics.inference import Chi2, chi2_test

__all__ = ["Drift", "ObservableDrift", "drift", "holm"]

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Return p-values adjusted for their number: below P, the chance of one false alarm among all is below P.

    Holm, Scand. J. Statist. 6 (1979) 65. It holds however the tests depend on each other.

    Examples
    --------
    >>> holm([0.01, 0.5, 0.03])
    (0.03, 0.5, 0.06)
    """
    adjusted = [1.0] * len(p_values)
    worst = 0.0
    for place, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        worst = max(worst, min(1.0, (len(p_values) - place) * p_values[i]))
        adjusted[i] = worst
    return tuple(adjusted)


@dataclass(frozen=True)
class ObservableDrift:
    """The test of one observable by itself.

    Attributes
    ----------
    observable : str
        Its name.
    test : Chi2
        chi2, degrees of freedom, p-value.
    adjusted_p_value : float
        The p-value, adjusted for the number of observables, see `holm`.
    """

    observable: str
    test: Chi2
    adjusted_p_value: float


@dataclass(frozen=True, eq=False)
class Drift:
    """The difference of two measurements of the same statistics.

    Attributes
    ----------
    old, new : Estimate
        The measurements.
    results : tuple of ComponentResult
        What the covariance of new - old is the sum of. ``old: x`` and ``new: x`` where a component moves one of them
        by itself; ``x`` where it is one cause of both.
    shared : tuple of str
        Components that were taken for one cause of both.
    possibly_shared : tuple of str
        Others that both have, and that look alike: taken as independent, which nobody but the publishers can tell.
    leave_out : tuple of str
        Components that were not used.
    kept : numpy.ndarray
        Bins that the tests use, of all: of a spectrum normalised to one the last is fixed by the others.
    test : Chi2
        Of no change, in all observables jointly.
    observables : tuple of ObservableDrift
        Of no change in each observable.
    """

    old: Estimate
    new: Estimate
    results: tuple[ComponentResult, ...]
    shared: tuple[str, ...]
    possibly_shared: tuple[str, ...]
    leave_out: tuple[str, ...]
    kept: NDArray[np.intp]
    test: Chi2
    observables: tuple[ObservableDrift, ...]

    def values(self) -> Vector:
        """Return new - old, ``[bin]``."""
        return np.asarray(self.new.nominal - self.old.nominal)

    def covariance(self) -> Matrix:
        """Return ``covariance[bin, bin]`` of new - old."""
        total: Matrix = np.sum([result.covariance for result in self.results], axis=0)
        return total

    def uncertainties(self) -> Vector:
        """Return ``sqrt(diag(covariance))[bin]``."""
        return np.asarray(np.sqrt(np.diag(self.covariance())))

    def pulls(self) -> Vector:
        """Return the change of each bin over its uncertainty; NaN without one."""
        errors = self.uncertainties()
        return np.divide(self.values(), errors, out=np.full_like(errors, np.nan), where=errors > 0)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        errors, pulls = self.uncertainties(), self.pulls()
        return {
            "unit": self.new.unit,
            **_test_document(self.test),
            "shared": list(self.shared),
            "possibly_shared": list(self.possibly_shared),
            "left_out": list(self.leave_out),
            "observables": [
                {
                    "observable": one.observable,
                    **_test_document(one.test),
                    "adjusted_p_value": one.adjusted_p_value,
                    "bins": [
                        {
                            "label": self.new.labels[i],
                            "old": float(self.old.nominal[i]),
                            "new": float(self.new.nominal[i]),
                            "change": float(self.values()[i]),
                            "uncertainty": float(errors[i]),
                            "pull": None if np.isnan(pulls[i]) else float(pulls[i]),
                        }
                        for i in range(place.start, place.stop)
                    ],
                }
                for one, place in zip(self.observables, self.new.slices, strict=True)
            ],
        }


def _test_document(test: Chi2) -> dict[str, Any]:
    return {
        "chi2": test.chi2,
        "dof": test.dof,
        "p_value": test.p_value,
        "method": test.method,
        "replicas": test.replicas,
    }


def _description(statistic: Statistic) -> tuple[object, ...]:
    """Return what two statistics must have in common for their difference to mean something."""
    used = tuple(d if callable(d) else definition_text(d) for d in statistic.used)
    flags = tuple(bool(getattr(statistic, flag, False)) for flag in ("normalise", "density"))
    return (type(statistic).__name__, statistic.labels, used, *flags)


def _check_alike(old: Estimate, new: Estimate) -> None:
    """Refuse measurements of different things."""
    for what, first, second in (
        ("names", old.names, new.names),
        ("numbers of bins", old.sizes, new.sizes),
        ("units", old.units, new.units),
    ):
        if first != second:
            msg = (
                f"drift: {what}: expected the same of both releases; found {shorten(first)} in the old and "
                f"{shorten(second)} in the new; measure the same in both"
            )
            raise InputError(msg)
    for one, other in zip(old.statistics, new.statistics, strict=True):
        if _description(one) != _description(other):
            msg = (
                f"drift: {shorten(one.name)} is defined otherwise in the two releases: expected the same observable, "
                "selection, bins and normalisation; measure the same in both"
            )
            raise InputError(msg)


def _kept(estimate: Estimate) -> NDArray[np.intp]:
    """Return the bins that know something: of a spectrum normalised to one, all but the last."""
    kept: list[int] = []
    for statistic, place in zip(estimate.statistics, estimate.slices, strict=True):
        stop = place.stop - bool(getattr(statistic, "normalise", False))
        if stop == place.start:
            msg = f"drift: {shorten(statistic.name)} has one bin and is normalised: it is 1 by definition; add bins"
            raise InputError(msg)
        kept += range(place.start, stop)
    return np.array(kept, dtype=np.intp)


def _restricted(results: Sequence[ComponentResult], bins: NDArray[np.intp]) -> list[ComponentResult]:
    grid = np.ix_(bins, bins)
    return [ComponentResult(r.component, r.members[:, bins], r.covariance[grid]) for r in results]


def drift(old: Estimate, new: Estimate, *, shared: Sequence[str] = (), leave_out: Sequence[str] = ()) -> Drift:
    r"""Test whether anything changed between two measurements of the same statistics.

    For independent causes the covariance of the difference d is the sum of both,

    .. math:: \chi^2 = d^T (V_{old} + V_{new})^{-1} d, \quad d = T_{new} - T_{old}.

    A cause that both share (one certificate of a gauge, one set of simulated events) moves both at once, and largely
    cancels: its members are subtracted one by one, :math:`D_m = T_{new, m} - T_{old, m}`, and the formula of its kind
    is applied to D. The p-value knows how many replicas each part was estimated from, see
    `omnifold_pub.statistics.inference.chi2_test`: with two estimated parts it is the Behrens-Fisher problem, solved by
    simulation.

    Parameters
    ----------
    old, new : Estimate
        Of the same observables in the same bins. Normalised spectra lose one bin each in the tests.
    shared : sequence of str
        Components that are one cause of both. Bootstraps must have resampled with the same seed, and the same events
        must be behind both, so that replica m of one belongs to replica m of the other. Nothing is shared unless it is
        named here; for causes that move both alike that errs on the side of no alarm.
    leave_out : sequence of str
        Components of either that must not be used.

    Raises
    ------
    InputError
        If the measurements are of different things, or a component cannot be shared.
    ObservableError
        If a component is unknown.
    StatisticsError
        If the covariance cannot be inverted.

    Examples
    --------
    >>> import omnifold_pub
    >>> from omnifold_pub.estimators import Histogram
    >>> spectrum = Histogram("pT_ll", [200, 230, 270, 350, 1000], normalise=True)
    >>> with omnifold_pub.open_release("release/zjets/zjets.h5") as release:
    ...     measured = release.measure(spectrum)
    >>> found = drift(measured, measured)  # with itself
    >>> found.test.chi2, found.test.dof, found.test.p_value
    (0.0, 3, 1.0)
    """
    _check_alike(old, new)
    names = (shared,) if isinstance(shared, str) else tuple(shared)
    omitted = (leave_out,) if isinstance(leave_out, str) else tuple(leave_out)
    results = difference_results(old, new, shared=names, leave_out=omitted)
    difference = new.nominal - old.nominal
    effective = np.minimum(old.effective_events, new.effective_events)
    kept = _kept(new)

    def test(bins: NDArray[np.intp]) -> Chi2:
        return chi2_test(difference[bins], _restricted(results, bins), effective_events=effective[bins])

    each = [test(kept[(kept >= place.start) & (kept < place.stop)]) for place in new.slices]
    adjusted = holm([one.p_value for one in each])
    return Drift(
        old=old,
        new=new,
        results=results,
        shared=names,
        possibly_shared=tuple(name for name in possibly_shared(old, new) if name not in names and name not in omitted),
        leave_out=omitted,
        kept=kept,
        test=test(kept) if len(each) > 1 else each[0],
        observables=tuple(
            ObservableDrift(name, one, p) for name, one, p in zip(new.names, each, adjusted, strict=True)
        ),
    )
