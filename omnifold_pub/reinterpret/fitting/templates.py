"""Templates: predictions whose sizes are fitted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import InputError
from omnifold_pub.measurement import Estimate
from omnifold_pub.messages import suggest
from omnifold_pub.reinterpret.fitting.mixture import Mixture
from omnifold_pub.reinterpret.fitting.model import BoundModel, Model, Parameter, check_parameters
from omnifold_pub.reinterpret.prediction import Predicting

__all__ = ["Templates"]

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Templates(Model):
    r"""A sum of predictions, each times a parameter: :math:`T = T_{fixed} + \sum_k \mu_k T_k`.

    The samples are taken to have no event in common, and a weight family of one name to be one cause of all: see
    `omnifold_pub.reinterpret.fitting.mixture.Mixture` for the covariance of the sum.

    Parameters
    ----------
    scaled : mapping
        By the name of the parameter that it is multiplied with: a theory.
    fixed : Theory, optional
        What is there besides.
    limits : mapping
        ``(lower, upper)`` of parameters that have limits.

    Raises
    ------
    InputError
        If there is no parameter, or limits belong to none.

    Notes
    -----
    Only the statistics of histograms that are not normalised add up; other measurements are refused.

    Examples
    --------
    >>> import omnifold_pub
    >>> signal = omnifold_pub.Theory.from_arrays({"x": np.array([1.0, 2.0])}, np.array([0.5, 0.5]), unit="pb")
    >>> [parameter.name for parameter in Templates({"mu": signal}).parameters]
    ['mu']
    """

    scaled: Mapping[str, Predicting]
    fixed: Predicting | None = None
    limits: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.limits:
            if name not in self.scaled:
                msg = f"templates: limits of a parameter {name!r} that is none; {suggest(name, list(self.scaled))}"
                raise InputError(msg)
        check_parameters(self.parameters)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """One for each template that is scaled; they start at 1, or at the limit that is nearest to 1."""
        found = []
        for name in self.scaled:
            lower, upper = self.limits.get(name, (-np.inf, np.inf))
            found.append(Parameter(name, float(np.clip(1.0, lower, upper)), lower, upper))
        return tuple(found)

    def of(self, measurement: Estimate) -> BoundModel:
        """Return the sum of the templates in the bins of a measurement.

        Raises
        ------
        InputError
            If a theory is in another unit, has no event in any bin, statistics do not add up, or families of one name
            do not fit to each other.
        """
        check_linear(measurement, "templates")
        fixed = [] if self.fixed is None else [self.fixed]
        mixture = Mixture.of([*self.scaled.values(), *fixed], measurement)
        for prediction, values in zip(self.scaled.values(), mixture.nominal, strict=False):
            if not values.any():
                msg = f"{prediction.name}: no event is in any of the {len(values)} bins; leave this template out"
                raise InputError(msg)

        def factors(mu: Vector) -> Vector:
            return np.concatenate([mu, np.ones(len(fixed))])

        return BoundModel(
            self.parameters, lambda mu: mixture.values(factors(mu)), lambda mu: mixture.parts(factors(mu))
        )


def check_linear(measurement: Estimate, what: str) -> None:
    """Refuse statistics that are not sums of weights.

    Raises
    ------
    InputError
        If there is one.
    """
    for statistic in measurement.statistics:
        if not getattr(statistic, "is_linear", False):
            msg = (
                f"{what}: {statistic.name} is no sum of weights, so that predictions do not add up; "
                "measure a histogram that is not normalised, or fit a Reweighting or a Grid"
            )
            raise InputError(msg)
