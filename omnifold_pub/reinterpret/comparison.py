"""Compare a theory with a measurement: chi2 and a calibrated p-value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import InputError
from omnifold_pub.measurement import Estimate
from omnifold_pub.reinterpret.theory import Theory
from omnifold_pub.statistics.inference import Chi2

__all__ = ["Comparison", "compare"]


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
        chi2, number of bins, p-value.
    """

    theory: str
    measurement: Estimate
    prediction: NDArray[np.float64]
    covariance: NDArray[np.float64]
    test: Chi2

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
            "measured": self.measurement.values().tolist(),
            "measured_uncertainty": self.measurement.uncertainties().tolist(),
            "predicted": self.prediction.tolist(),
            "predicted_uncertainty": np.sqrt(np.diag(self.covariance)).tolist(),
        }


def compare(measurement: Estimate, theory: Theory, *, leave_out: Sequence[str] = ()) -> Comparison:
    """Compare a theory with a measurement, its own statistical covariance added to the measurement's.

    Parameters
    ----------
    measurement : Estimate
        The theory is measured by the same statistics: the same functions, in the same bins.
    theory : Theory
        Its weights must be in the measurement's unit.
    leave_out : sequence of str
        Components of the measurement that the test must not use.

    Raises
    ------
    InputError
        If the units differ, or no event of the theory is in any bin.
    StatisticsError
        If the total covariance cannot be inverted.
    """
    prediction, covariance = theory.predict(measurement)
    if not prediction.any():
        msg = f"{theory.name}: no event is in any of the {len(prediction)} bins; is it of the same fiducial region?"
        raise InputError(msg)
    test = measurement.chi2(prediction, covariance, leave_out=leave_out)
    return Comparison(theory.name, measurement, prediction, covariance, test)
