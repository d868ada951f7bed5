"""What a fit found."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import StatisticsError
from omnifold_pub.presentation.tables import Table, plain_text
from omnifold_pub.statistics.inference import Chi2

__all__ = ["Fit"]

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class Fit:
    """Parameters that were fitted.

    Attributes
    ----------
    names : tuple of str
        Of the parameters.
    values : numpy.ndarray
        ``[parameter]``, where chi2 is least.
    errors : numpy.ndarray
        ``[parameter]``: half of a 68.27 % interval, from the curvature of chi2; 0 for a fixed parameter.
    lower, upper : numpy.ndarray
        ``[parameter]``: ends of the profile interval at ``level``.
    level : float
        Of confidence.
    covariance : numpy.ndarray
        ``covariance[parameter, parameter]`` with the squares of the errors on its diagonal.
    components : mapping
        By component of the measurement, and of the prediction (``theory: ...``): ``covariance[parameter, parameter]``
        that it alone causes. They sum to the covariance that a known V would give, which is less than ``covariance``
        where V is an estimate.
    goodness : Chi2 or None
        chi2 at the minimum, in the directions that no parameter moves, with its calibrated p-value; None if there is no
        such direction.
    freedom : float
        Degrees of freedom of the covariance; infinite where no part of it is estimated from replicas.
    prediction : numpy.ndarray
        ``T[bin]`` at the minimum.
    alternatives : numpy.ndarray
        ``value[minimum, parameter]``: other minima of chi2 that are no worse than the ends of the interval. Where there
        is one, the region of confidence has a second part, around it.
    """

    names: tuple[str, ...]
    values: Vector
    errors: Vector
    lower: Vector
    upper: Vector
    level: float
    covariance: Matrix
    components: Mapping[str, Matrix]
    goodness: Chi2 | None
    freedom: float
    prediction: Vector
    alternatives: Matrix

    def __getitem__(self, name: str) -> tuple[float, float]:
        """Return value and error of a parameter.

        Raises
        ------
        StatisticsError
            If there is none of that name.
        """
        if name not in self.names:
            msg = f"no parameter {name!r} in this fit; there are {', '.join(self.names)}"
            raise StatisticsError(msg)
        number = self.names.index(name)
        return float(self.values[number]), float(self.errors[number])

    def table(self) -> Table:
        """Return a row for each parameter: value, error, interval, and the error by component."""
        parts = {name: np.sqrt(np.diag(matrix)) for name, matrix in self.components.items()}
        columns = ("parameter", "value", "+-", f"{100 * self.level:.4g} % from", "to", *parts)
        rows = [
            (name, *(f"{number:.4g}" for number in (value, error, low, high)), *(f"{p[i]:.2g}" for p in parts.values()))
            for i, (name, value, error, low, high) in enumerate(
                zip(self.names, self.values, self.errors, self.lower, self.upper, strict=True)
            )
        ]
        return Table("Fit", columns, tuple(rows))

    def remarks(self) -> list[str]:
        """Return how good the fit is, and other minima, in words."""
        good = "no direction is left to judge the fit by"
        if self.goodness is not None:
            good = f"chi2 = {self.goodness.chi2:.2f} for {self.goodness.dof} dof, p = {self.goodness.p_value:.3g}"
        also = []
        for minimum in self.alternatives:
            at = ", ".join(f"{name} = {value:.4g}" for name, value in zip(self.names, minimum, strict=True))
            also.append(f"another minimum is as likely: {at}")
        return [good, *also]

    def __str__(self) -> str:
        """Return the table, and how good the fit is."""
        return "\n".join([plain_text([self.table()]), *self.remarks()])

    def to_dict(self) -> dict[str, Any]:
        """Return the fit as JSON can hold it."""
        test = self.goodness
        return {
            "parameters": [
                {"name": name, "value": value, "error": error, "lower": low, "upper": high}
                for name, value, error, low, high in zip(
                    self.names,
                    self.values.tolist(),
                    self.errors.tolist(),
                    self.lower.tolist(),
                    self.upper.tolist(),
                    strict=True,
                )
            ],
            "level": self.level,
            "covariance": self.covariance.tolist(),
            "components": {name: matrix.tolist() for name, matrix in self.components.items()},
            "chi2": 0.0 if test is None else test.chi2,
            "dof": 0 if test is None else test.dof,
            "p_value": None if test is None else test.p_value,
            "method": None if test is None else test.method,
            "replicas": None if test is None else test.replicas,
            "freedom": None if math.isinf(self.freedom) else self.freedom,
            "prediction": self.prediction.tolist(),
            "alternatives": self.alternatives.tolist(),
        }
