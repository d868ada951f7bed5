"""Compare a theory with a measurement: chi2 and a calibrated p-value, and where they come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import InputError, ObservableError
from omnifold_pub.measurement import Estimate
from omnifold_pub.reinterpret.dissection import Dissection, TheoryPart, dissect
from omnifold_pub.reinterpret.prediction import Predicting, Prediction
from omnifold_pub.reinterpret.totals import Total, totals
from omnifold_pub.reinterpret.whitening import used_results
from omnifold_pub.statistics.inference import Chi2
from omnifold_pub.statistics.shape import kept_bins, shape_only

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
    prediction : numpy.ndarray
        ``T[bin]`` of the theory, in the measurement's unit.
    covariance : numpy.ndarray
        ``covariance[bin, bin]`` of the prediction.
    test : Chi2
        chi2, number of bins, p-value; the theory's uncertainty counts.
    leave_out, decorrelate : tuple of str
        Components that the test did not use, and two-points that counted bin by bin.
    shape_only, pseudo_inverse : bool
        How it was compared, see `compare`.
    predicted : Prediction or None
        The prediction by component; None where it was not kept.
    """

    theory: str
    measurement: Estimate
    prediction: Vector
    covariance: Matrix
    test: Chi2
    leave_out: tuple[str, ...] = ()
    decorrelate: tuple[str, ...] = ()
    shape_only: bool = False
    pseudo_inverse: bool = False
    predicted: Prediction | None = None

    def _test(self, covariance: Matrix | None, *, shape: bool) -> Chi2:
        return self.measurement.chi2(
            self.prediction,
            covariance,
            leave_out=self.leave_out,
            decorrelate=self.decorrelate,
            shape_only=shape,
            pseudo_inverse=self.pseudo_inverse,
        )

    def without_theory(self) -> Chi2:
        """Return the test as if the prediction were exact: only the measurement's covariance counts.

        Raises
        ------
        StatisticsError
            If that covariance alone cannot be inverted.
        """
        return self._test(None, shape=self.shape_only)

    def shape(self) -> Chi2:
        """Return the test of shapes: spectra normalised to one, one bin of each observable less.

        Raises
        ------
        ObservableError
            If a statistic is no histogram of bin contents.
        StatisticsError
            If the covariance cannot be inverted.
        """
        return self.test if self.shape_only else self._test(self.covariance, shape=True)

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
        return totals(self.measurement, used, self.prediction, self.covariance)

    def dissect(self) -> Dissection:
        """Return where chi2 comes from: bins, components, directions. Of the shapes, where they were compared.

        The theory's components are called ``theory: ...``; each eigenvector of a hessian, and each envelope, is one of
        its own, with a pull.

        Raises
        ------
        StatisticsError
            If the covariance cannot be inverted.
        """
        results = used_results(self.measurement, leave_out=self.leave_out, decorrelate=self.decorrelate)
        parts = [TheoryPart("theory", self.covariance)] if self.predicted is None else _theory_parts(self.predicted)
        nominal, labels = self.measurement.nominal, self.measurement.labels
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
            parts = [self._shape_part(part) for part in parts]
            nominal = np.concatenate([nominal[group] / nominal[group].sum() for group in groups])[kept]
            labels = tuple(labels[i] for i in kept)
        return dissect(residual, results, parts, nominal=nominal, labels=labels, pseudo_inverse=self.pseudo_inverse)

    def _shape_part(self, part: TheoryPart) -> TheoryPart:
        """Return a part of the theory's covariance as one of its normalised spectra."""
        groups, kept = self.measurement.slices, kept_bins(self.measurement.slices)
        jacobian = np.zeros((len(self.prediction), len(self.prediction)))
        for group in groups:
            total = self.prediction[group].sum()
            size = group.stop - group.start
            jacobian[group, group] = (np.eye(size) - self.prediction[group, np.newaxis] / total) / total
        jacobian = jacobian[kept]
        shift = None if part.shift is None else jacobian @ part.shift
        return TheoryPart(part.name, jacobian @ part.covariance @ jacobian.T, shift)

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
            parts.append(TheoryPart(f"theory: {name}", predicted.covariance(name)))
            continue
        shifts = predicted.shifts(name)
        several = len(shifts) > 1
        parts += [
            TheoryPart(f"theory: {name}{f' {number}' if several else ''}", np.outer(shift, shift), shift)
            for number, shift in enumerate(shifts, start=1)
        ]
    return parts


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
    predicted = theory.prediction(measurement, shape=shape_only)
    prediction, covariance = predicted.values(), predicted.covariance()
    if not prediction.any():
        msg = f"{theory.name}: no event is in any of the {len(prediction)} bins; is it of the same fiducial region?"
        raise InputError(msg)
    omitted = (leave_out,) if isinstance(leave_out, str) else tuple(leave_out)
    diagonal = (decorrelate,) if isinstance(decorrelate, str) else tuple(decorrelate)
    test = measurement.chi2(
        prediction,
        covariance,
        leave_out=omitted,
        decorrelate=diagonal,
        shape_only=shape_only,
        pseudo_inverse=pseudo_inverse,
    )
    return Comparison(
        theory=theory.name,
        measurement=measurement,
        prediction=prediction,
        covariance=covariance,
        test=test,
        leave_out=omitted,
        decorrelate=diagonal,
        shape_only=shape_only,
        pseudo_inverse=pseudo_inverse,
        predicted=predicted,
    )


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
