"""Reweighting event by event: weights that are polynomials of the parameters."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.accumulation.evaluation import Evaluation, WeightedEvents, evaluate_statistics
from omnifold_pub.accumulation.event_set import EventSet
from omnifold_pub.errors import InputError
from omnifold_pub.format.tiles import MemoryArray
from omnifold_pub.measurement import Estimate
from omnifold_pub.messages import shorten, suggest
from omnifold_pub.reinterpret.fitting.model import BoundModel, Model, Parameter, check_parameters
from omnifold_pub.reinterpret.prediction import PREFIX, checked_theory
from omnifold_pub.reinterpret.theory import Theory
from omnifold_pub.statistics.components import Component, ComponentResult

__all__ = ["Reweighting"]

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

_SEED = 20_191_107  # fixed: the same theory has the same covariance
_BASIS = "basis"


@dataclass(frozen=True, eq=False)
class Reweighting(Model):
    r"""A theory whose event weights are a quadratic function of the parameters, as in effective field theories.

    .. math:: w(c) = w_0 + \sum_a c_a w_a + \sum_a c_a^2 w_{aa} + \sum_{a < b} c_a c_b w_{ab}

    w_0 are the theory's own weights. Histograms are then the same function of c, from one pass over the events; any
    other statistic is computed anew for each c that the fit tries. The covariance is that of the events under w(c), and
    of the theory's families at c = 0.

    Parameters
    ----------
    theory : Theory
        At c = 0.
    linear, quadratic : mapping
        By the name of a parameter: ``weight[event]`` of its first and its second power, in the theory's unit. A
        parameter may have either or both.
    mixed : mapping
        By a pair of names: ``weight[event]`` of the product.
    limits : mapping
        ``(lower, upper)`` of parameters that have limits; 0 is where the search begins, or the nearest limit.

    Raises
    ------
    InputError
        If an array has another length or is not finite, or a name belongs to no parameter.

    Examples
    --------
    >>> import omnifold_pub
    >>> theory = omnifold_pub.Theory.from_arrays({"x": np.array([1.0, 2.0])}, np.array([1.0, 1.0]), unit="pb")
    >>> model = Reweighting(theory, {"c": np.array([0.0, 0.5])}, {"c": np.array([0.1, 0.0])})
    >>> model.weights(np.array([2.0])).tolist()
    [1.4, 2.0]
    """

    theory: Theory
    linear: Mapping[str, NDArray[np.floating]]
    quadratic: Mapping[str, NDArray[np.floating]] = field(default_factory=dict)
    mixed: Mapping[tuple[str, str], NDArray[np.floating]] = field(default_factory=dict)
    limits: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = self._names
        for name in [*self.limits, *itertools.chain.from_iterable(self.mixed)]:
            if name not in names:
                msg = f"reweighting: no parameter {shorten(name)}; {suggest(name, names)}"
                raise InputError(msg)
        events = len(self.theory.weights)
        for powers, weights in self._terms:
            if np.shape(weights) != (events,) or not np.isfinite(weights).all():
                msg = (
                    f"reweighting: weights of {' * '.join(powers)}: expected {events} finite numbers, one for each "
                    f"event of {self.theory.name}; found {shorten(weights)}"
                )
                raise InputError(msg)
        check_parameters(self.parameters)

    @property
    def _names(self) -> list[str]:
        return list(dict.fromkeys([*self.linear, *self.quadratic]))

    @property
    def _terms(self) -> list[tuple[tuple[str, ...], NDArray[np.floating]]]:
        """The parameters whose product a set of weights is multiplied with."""
        terms: list[tuple[tuple[str, ...], NDArray[np.floating]]] = [((a,), w) for a, w in self.linear.items()]
        terms += [((a, a), w) for a, w in self.quadratic.items()]
        return terms + list(self.mixed.items())

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """What moves the weights."""
        found = []
        for name in self._names:
            lower, upper = self.limits.get(name, (-np.inf, np.inf))
            found.append(Parameter(name, float(np.clip(0.0, lower, upper)), lower, upper))
        return tuple(found)

    def _monomials(self, values: Vector) -> Vector:
        """Return what each set of weights is multiplied with, that of the theory first."""
        at = dict(zip(self._names, values.tolist(), strict=True))
        return np.array([1.0, *(np.prod([at[name] for name in powers]) for powers, _ in self._terms)])

    def _basis(self) -> Matrix:
        """Return ``weight[event, term]``."""
        return np.stack([self.theory.weights, *(weights for _, weights in self._terms)], axis=1).astype(np.float64)

    def weights(self, values: Vector) -> Vector:
        """Return ``w(c)[event]``."""
        found: Vector = self._basis() @ self._monomials(np.asarray(values, dtype=np.float64))
        return found

    def _evaluate(self, measurement: Estimate, nominal: Vector, *wanted: Component, basis: Matrix | None) -> Evaluation:
        events = self.theory.events
        source = EventSet(
            where=self.theory.name,
            size=events.size,
            columns={name: MemoryArray(events[name]) for name in events},
            nominal=MemoryArray(nominal),
            event_id=MemoryArray(np.arange(events.size)),
            families={} if basis is None else {_BASIS: MemoryArray(basis)},
            momenta=measurement.momenta,
        )
        return evaluate_statistics(measurement.statistics, WeightedEvents(source, wanted, "single"))

    def of(self, measurement: Estimate) -> BoundModel:
        """Return the reweighted theory in the bins of a measurement.

        Raises
        ------
        InputError
            If the theory is in another unit, or no event is in any bin.
        """
        start = checked_theory(self.theory).prediction(measurement)
        if not start.nominal.any():
            bins = len(start.nominal)
            msg = f"{self.theory.name}: no event is in any of the {bins} bins; is it of the same fiducial region?"
            raise InputError(msg)
        families = start.named()[1:]
        basis = self._basis()
        if all(getattr(statistic, "is_linear", False) for statistic in measurement.statistics):
            family = Component(_BASIS, "hessian", members=basis.shape[1])
            terms = self._evaluate(measurement, self.theory.weights, family, basis=basis).results[0].members

            def predict(values: Vector) -> Vector:
                found: Vector = self._monomials(values) @ terms
                return found
        else:

            def predict(values: Vector) -> Vector:
                return self._evaluate(measurement, basis @ self._monomials(values), basis=None).nominal

        def parts(values: Vector) -> tuple[ComponentResult, ...]:
            sampling = Component(f"{PREFIX}statistics", "event_sampling", seed=_SEED)
            found = self._evaluate(measurement, basis @ self._monomials(values), sampling, basis=None)
            return (found.results[0], *families)

        return BoundModel(self.parameters, predict, parts)
