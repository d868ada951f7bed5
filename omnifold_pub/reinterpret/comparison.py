"""Compare a theory with a measurement: chi2 and a calibrated p-value, and where they come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import InputError, ObservableError
from omnifold_pub.measurement import Estimate
from omnifold_pub.reinterpret.dissection import Dissection, TheoryPart, dissect
from omnifold_pub.reinterpret.prediction import PREFIX, Predicting, Prediction, checked_theory
from omnifold_pub.reinterpret.totals import Total, totals
from omnifold_pub.reinterpret.whitening import used_results
from omnifold_pub.statistics.inference import Chi2
from omnifold_pub.statistics.shape import kept_bins, normalisation_slope, shape_only

__all__ = ["Comparable", "Comparison", "compare"]

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Comparison:
    """A theory beside a measurement.

    Attributes
    ----------
    theory : str
        Its name.
    measurement : Estimate
        What it was compared with.
    predicted : Prediction
        The theory's values of what was measured, in its unit, with their covariance by component.
    test : Chi2
        chi2, number of bins, p-value; the theory's uncertainty counts.
    leave_out, decorrelate : tuple of str
        Components that the test did not use, and two-points that counted bin by bin.
    shape_only, pseudo_inverse : bool
        How it was compared, see `compare`.
    """

    theory: str
    measurement: Estimate
    predicted: Prediction
    test: Chi2
    leave_out: tuple[str, ...] = ()
    decorrelate: tuple[str, ...] = ()
    shape_only: bool = False
    pseudo_inverse: bool = False

    @property
    def prediction(self) -> Vector:
        """``T[bin]`` of the theory, in the measurement's unit."""
        return self.predicted.values()

    @property
    def covariance(self) -> Matrix:
        """``covariance[bin, bin]`` of the prediction."""
        return self.predicted.covariance()

    def without_theory(self) -> Chi2:
        """Return the test as if the prediction were exact: only the measurement's covariance counts.

        Raises
        ------
        StatisticsError
            If that covariance alone cannot be inverted.
        """
        return self._test(shape=self.shape_only, exact=True)

    def shape(self) -> Chi2:
        """Return the test of shapes: spectra normalised to one, one bin of each observable less.

        Raises
        ------
        ObservableError
            If a statistic is no histogram of bin contents.
        StatisticsError
            If the covariance cannot be inverted.
        """
        return self.test if self.shape_only else self._test(shape=True)

    def _test(self, *, shape: bool, exact: bool = False) -> Chi2:
        return _tested(
            self.measurement,
            self.predicted,
            shape=shape,
            exact=exact,
            leave_out=self.leave_out,
            decorrelate=self.decorrelate,
            pseudo_inverse=self.pseudo_inverse,
        )

    def normalisation(self) -> tuple[Total, ...]:
        """Return the test of each observable's sum over its bins. Sums of a measurement go together: do not multiply.

        Raises
        ------
        ObservableError
            If a statistic is no histogram of bin contents, or was compared in shape.
        """
        if self.shape_only:
            msg = f"{self.theory}: compared in shape only; there is no normalisation to compare"
            raise ObservableError(msg)
        used = used_results(self.measurement, leave_out=self.leave_out, decorrelate=self.decorrelate)
        return totals(self.measurement, used, self.predicted)

    def dissect(self) -> Dissection:
        """Return where chi2 comes from: bins, components, directions. Of the shapes, where they were compared.

        The theory's components are called ``theory: ...``; each eigenvector of a hessian, and each envelope, is one of
        its own, with a pull. Where several observables were measured, bins are called ``observable: bin``.

        Raises
        ------
        StatisticsError
            If the covariance cannot be inverted.
        """
        results = used_results(self.measurement, leave_out=self.leave_out, decorrelate=self.decorrelate)
        parts = _theory_parts(self.predicted)
        nominal, labels = self.measurement.nominal, self._labels()
        residual = nominal - self.prediction
        if self.shape_only:
            groups = self.measurement.slices
            kept = kept_bins(groups)
            residual, used, _ = shape_only(
                nominal,
                [r for r in self.measurement.results if r.component.name not in self.leave_out],
                self.prediction,
                groups=groups,
                central=self.measurement.central,
                decorrelate=self.decorrelate,
            )
            results = tuple(used)
            parts = _shape_parts(self.predicted.normalised(groups), groups)
            nominal = np.concatenate([nominal[group] / nominal[group].sum() for group in groups])[kept]
            labels = tuple(labels[i] for i in kept)
        return dissect(residual, results, parts, nominal=nominal, labels=labels, pseudo_inverse=self.pseudo_inverse)

    def _labels(self) -> tuple[str, ...]:
        """Return what each bin is; of which observable too, where there are several."""
        measured = self.measurement
        if len(measured.statistics) == 1:
            return measured.labels
        names = [name for name, size in zip(measured.names, measured.sizes, strict=True) for _ in range(size)]
        return tuple(f"{name}: {label}" for name, label in zip(names, measured.labels, strict=True))

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as JSON can hold it."""
        return {
            "theory": self.theory,
            "unit": self.measurement.unit,
            "chi2": self.test.chi2,
            "bins": self.test.bins,
            "dof": self.test.dof,
            "rank": self.test.rank,
            "p_value": self.test.p_value,
            "replicas": self.test.replicas,
            "method": self.test.method,
            "shape_only": self.shape_only,
            "left_out": list(self.leave_out),
            "decorrelated": list(self.decorrelate),
            "measured": self.measurement.values().ravel().tolist(),
            "measured_uncertainty": self.measurement.uncertainties().tolist(),
            "predicted": self.prediction.tolist(),
            "predicted_uncertainty": np.sqrt(np.diag(self.covariance)).tolist(),
        }


def _theory_parts(predicted: Prediction) -> list[TheoryPart]:
    """Return what a prediction's covariance is the sum of, nuisance by nuisance where they have signs."""
    parts = []
    for name in predicted.components:
        combination = predicted.combinations.get(name)
        if combination is None or combination.rule == "replicas":
            parts.append(TheoryPart(PREFIX + name, predicted.covariance(name)))
            continue
        shifts = predicted.shifts(name)
        several = len(shifts) > 1
        parts += [
            TheoryPart(f"{PREFIX}{name}{f' {number}' if several else ''}", np.outer(shift, shift), shift)
            for number, shift in enumerate(shifts, start=1)
        ]
    return parts


def _shape_parts(normalised: Prediction, groups: Sequence[slice]) -> list[TheoryPart]:
    """Return these of normalised spectra, one bin of each less; what an envelope adds to their sum is taken off."""
    slope = normalisation_slope(normalised.nominal, groups, normalised.theory)[kept_bins(groups)]
    return [
        TheoryPart(part.name, slope @ part.covariance @ slope.T, None if part.shift is None else slope @ part.shift)
        for part in _theory_parts(normalised)
    ]


def _tested(measurement: Estimate, predicted: Prediction, *, shape: bool, exact: bool = False, **options: Any) -> Chi2:
    """Test a prediction; in shape: that of normalised spectra, whose families combine anew."""
    compared = predicted.normalised(measurement.slices, names=measurement.names) if shape else predicted
    if exact:
        return measurement.chi2(compared.values(), shape_only=shape, **options)
    both = replace(measurement, results=(*measurement.results, *compared.estimated()))  # so that p knows how few
    return both.chi2(compared.values(), compared.known(), shape_only=shape, **options)


def compare(
    measurement: Estimate,
    theory: Predicting,
    *,
    leave_out: Sequence[str] = (),
    decorrelate: Sequence[str] = (),
    shape_only: bool = False,
    pseudo_inverse: bool = False,
) -> Comparison:
    """Compare a theory with a measurement, its own covariance added to the measurement's.

    The p-value knows how few the replicas are that parts of both covariances are estimated from.

    Parameters
    ----------
    measurement : Estimate
        The theory is measured by the same statistics: the same functions, in the same bins.
    theory : Theory
        Its weights must be in the measurement's unit.
    leave_out : sequence of str
        Components of the measurement that the test must not use.
    decorrelate : sequence of str
        Two-point components that count bin by bin.
    shape_only : bool
        Compare spectra normalised to one, each observable by itself and with one bin less.
    pseudo_inverse : bool
        Use the pseudo-inverse where the covariance has no inverse.

    Raises
    ------
    InputError
        If the units differ, or no event of the theory is in any bin.
    StatisticsError
        If the total covariance cannot be inverted.
    ObservableError
        If a component is unknown, or a statistic has no shape.

    Examples
    --------
    >>> import omnifold_pub
    >>> with omnifold_pub.open_release("release/zjets/zjets.h5") as release:
    ...     spectrum = release.measure("pT_ll", [200, 230, 270, 350, 1000])
    ...     columns = {"pT_ll": release.events["pT_ll"]}
    ...     prior = omnifold_pub.Theory.from_arrays(columns, release.prior_weights, unit="pb", name="prior")
    >>> comparison = compare(spectrum, prior)
    >>> comparison.test.dof, comparison.shape().dof
    (4, 3)
    """
    predicted = checked_theory(theory).prediction(measurement, shape=shape_only)
    if not predicted.nominal.any():
        bins = len(predicted.nominal)
        msg = f"{theory.name}: no event is in any of the {bins} bins; is it of the same fiducial region?"
        raise InputError(msg)
    options: dict[str, Any] = {
        "leave_out": (leave_out,) if isinstance(leave_out, str) else tuple(leave_out),
        "decorrelate": (decorrelate,) if isinstance(decorrelate, str) else tuple(decorrelate),
        "pseudo_inverse": pseudo_inverse,
    }
    test = _tested(measurement, predicted, shape=shape_only, **options)
    return Comparison(theory.name, measurement, predicted, test, shape_only=shape_only, **options)


class Comparable:
    """A theory that compares itself."""

    def compare(
        self: Predicting,
        measurement: Estimate,
        *,
        leave_out: Sequence[str] = (),
        decorrelate: Sequence[str] = (),
        shape_only: bool = False,
        pseudo_inverse: bool = False,
    ) -> Comparison:
        """Compare the theory with a measurement; see `omnifold_pub.compare` for parameters and errors."""
        return compare(
            measurement,
            self,
            leave_out=leave_out,
            decorrelate=decorrelate,
            shape_only=shape_only,
            pseudo_inverse=pseudo_inverse,
        )
