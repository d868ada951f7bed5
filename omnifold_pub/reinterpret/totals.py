"""The sums of a measurement's spectra against those of a theory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import ObservableError
from omnifold_pub.estimators import Histogram
from omnifold_pub.measurement import Estimate
from omnifold_pub.reinterpret.prediction import Prediction
from omnifold_pub.statistics.components import ComponentResult
from omnifold_pub.statistics.inference import chi2_test

__all__ = ["Total", "totals"]

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Total:
    """The cross section of all bins of one observable.

    Attributes
    ----------
    observable : str
        Its name.
    measured, predicted : float
        Sums over the bins.
    uncertainty : float
        Of the difference: measurement and theory together.
    p_value : float
        Probability of a larger difference if the prediction is true; knows how many replicas there are.
    """

    observable: str
    measured: float
    predicted: float
    uncertainty: float
    p_value: float

    @property
    def pull(self) -> float:
        """(measured - predicted) / uncertainty."""
        return (self.measured - self.predicted) / self.uncertainty

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it.

        >>> Total("pT_ll", 1.5, 1.0, 0.25, 0.05).to_dict()["pull"]
        2.0
        """
        return {
            "observable": self.observable,
            "measured": self.measured,
            "predicted": self.predicted,
            "uncertainty": self.uncertainty,
            "pull": self.pull,
            "p_value": self.p_value,
        }


def _sum(covariance: Matrix) -> Matrix:
    return np.array([[covariance.sum()]])


def totals(measurement: Estimate, results: Sequence[ComponentResult], prediction: Prediction) -> tuple[Total, ...]:
    """Test the sum over the bins of each observable.

    Parameters
    ----------
    measurement : Estimate
        Of histograms.
    results : sequence of ComponentResult
        Those of its components that count.
    prediction : Prediction
        Of a theory; its families combine anew for each sum.

    Raises
    ------
    ObservableError
        If a statistic is no histogram of bin contents.
    """
    found = []
    for statistic, place in zip(measurement.statistics, measurement.slices, strict=True):
        if not isinstance(statistic, Histogram) or statistic.density or statistic.normalise:
            msg = f"{statistic.name}: expected contents of bins, which have a sum; compare a plain histogram"
            raise ObservableError(msg)
        sums = [
            ComponentResult(
                r.component, r.members[:, place].sum(axis=1)[:, np.newaxis], _sum(r.covariance[place, place])
            )
            for r in results
        ]
        total = prediction.summed(place)
        measured, predicted = float(measurement.nominal[place].sum()), float(total.nominal[0])
        test = chi2_test(np.array([measured - predicted]), [*sums, *total.estimated()], total.known())
        error = float(np.sqrt(total.covariance() + sum(one.covariance for one in sums)).item())
        found.append(Total(statistic.name, measured, predicted, error, test.p_value))
    return tuple(found)
