"""Several samples of a theory, summed with factors: what they predict together, and how well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import InputError
from omnifold_pub.measurement import Estimate
from omnifold_pub.reinterpret.prediction import PREFIX, Predicting, Prediction, checked_theory
from omnifold_pub.reinterpret.weight_families import Combination, combine
from omnifold_pub.statistics.components import Component, ComponentResult

__all__ = ["Mixture"]

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Together:
    """A family of several samples, ``members[sample, member, bin]``."""

    combination: Combination
    members: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Mixture:
    r"""A sum of predictions, :math:`T = \sum_k f_k T_k`.

    The samples have events of their own, so that their statistics add up as :math:`\sum_k f_k^2 C_k`. A weight family
    of one name is one cause of all of them: T under its member m is :math:`\sum_k f_k T_{k,m}`, and the members of the
    sum combine by the family's rule. A sample without that family does not vary with it.

    Attributes
    ----------
    nominal : numpy.ndarray
        ``T_0[sample, bin]``.
    statistics : numpy.ndarray
        ``covariance[sample, bin, bin]`` of the samples' finite numbers of events.
    families : mapping
        What varies, and how it combines.
    """

    nominal: Matrix
    statistics: NDArray[np.float64]
    families: Mapping[str, _Together]

    @classmethod
    def of(cls, theories: Sequence[Predicting], measurement: Estimate) -> Self:
        """Predict a measurement by each sample.

        Raises
        ------
        InputError
            If something is no theory, or in another unit, or two samples have a family of one name that combines, or
            counts its members, differently.
        """
        found = [checked_theory(one).prediction(measurement) for one in theories]
        names = dict.fromkeys(name for one in found for name in one.combinations)
        return cls(
            np.array([one.nominal for one in found]),
            np.array([one.results[0].covariance for one in found]),
            {name: _together(name, found) for name in names},
        )

    def values(self, factors: Vector) -> Vector:
        """Return ``T[bin]``."""
        found: Vector = factors @ self.nominal
        return found

    def parts(self, factors: Vector) -> list[ComponentResult]:
        """Return the components of the covariance: the statistics, and each family."""
        nominal = self.values(factors)
        statistics = Component(f"{PREFIX}statistics", "event_sampling")
        covariance = np.einsum("k,kij->ij", factors**2, self.statistics)
        found = [ComponentResult(statistics, np.empty((0, len(nominal))), covariance)]
        for name, one in self.families.items():
            members = np.einsum("k,kmi->mi", factors, one.members)
            found.append(combine(PREFIX + name, one.combination, members, nominal))
        return found


def _together(name: str, predictions: Sequence[Prediction]) -> _Together:
    """Return a family of all samples; those without it have their nominal values in place of its members."""
    having = [one for one in predictions if name in one.combinations]
    first = having[0]
    expected = _described(first, name)
    for one in having[1:]:
        if _described(one, name) != expected:
            msg = (
                f"{one.theory}: family {name!r}: expected {expected}, as in {first.theory}; found "
                f"{_described(one, name)}: families of one name are one cause of all samples; rename those that are not"
            )
            raise InputError(msg)
    count = len(first.members(name))
    members = [
        one.members(name) if name in one.combinations else np.tile(one.nominal, (count, 1)) for one in predictions
    ]
    return _Together(first.combinations[name], np.array(members))


def _described(prediction: Prediction, name: str) -> str:
    """Return how many members a family has and how they combine, in words that can be compared."""
    combination = prediction.combinations[name]
    sides = "paired, " if combination.paired else ""
    level = f", {sides}at {100 * combination.confidence_level:.4g} %" if combination.rule == "hessian" else ""
    return f"{len(prediction.members(name))} members ({combination.rule}{level})"
