"""What a theory says of a measurement's numbers, with its own uncertainty by component."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import InputError, ObservableError
from omnifold_pub.measurement import Estimate
from omnifold_pub.messages import shorten
from omnifold_pub.reinterpret.weight_families import Combination, combine, shifts_of
from omnifold_pub.statistics.components import ComponentResult
from omnifold_pub.statistics.shape import normalisation_slope, normalised

__all__ = ["PREFIX", "Predicting", "Prediction", "checked_theory"]

Array = NDArray[np.float64]

PREFIX = "theory: "
"""Before the names of a prediction's components, which may be called as the measurement's are."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """A theory's values of what was measured.

    Attributes
    ----------
    theory : str
        Its name.
    nominal : numpy.ndarray
        ``T_0[bin]``, bins of all statistics numbered through.
    results : tuple of ComponentResult
        ``statistics`` of its finite number of events first, then its weight families.
    combinations : mapping
        ``combinations[family]``: how the members of each family combine.
    has_cross_section : bool
        False: the normalisation of the values means nothing, only their shape.
    """

    theory: str
    nominal: Array
    results: tuple[ComponentResult, ...]
    combinations: Mapping[str, Combination] = field(default_factory=dict)
    has_cross_section: bool = True

    @property
    def components(self) -> tuple[str, ...]:
        """Names of the components of its covariance."""
        return tuple(result.component.name for result in self.results)

    def _result(self, name: str) -> ComponentResult:
        for result in self.results:
            if result.component.name == name:
                return result
        msg = f"{self.theory}: no component {shorten(name)}; there are {', '.join(self.components)}"
        raise ObservableError(msg)

    def values(self) -> Array:
        """Return ``T_0[bin]``."""
        return self.nominal.copy()

    def covariance(self, component: str | None = None) -> Array:
        """Return ``covariance[bin, bin]`` of one component, or of all of them summed.

        Raises
        ------
        ObservableError
            If there is no component of that name.
        """
        if component is not None:
            return self._result(component).covariance.copy()
        total: Array = np.zeros((len(self.nominal), len(self.nominal)))
        for result in self.results:
            total += result.covariance
        return total

    def uncertainties(self, component: str | None = None) -> Array:
        """Return ``sqrt(diag(covariance))[bin]``."""
        return np.asarray(np.sqrt(np.diag(self.covariance(component))))

    def members(self, component: str) -> Array:
        """Return ``T[member, bin]`` of a family."""
        return self._result(component).members.copy()

    def shifts(self, component: str) -> Array:
        """Return a family's nuisances, ``shift[direction, bin]``: signed, of one standard deviation each.

        The same directions belong to all bins of all statistics, so that they correlate them: the family's covariance
        is ``shifts.T @ shifts``.

        Raises
        ------
        ObservableError
            If there is no family of that name.
        """
        result = self._result(component)
        if component not in self.combinations:
            families = ", ".join(self.combinations) or "none"
            msg = f"{self.theory}: component {component!r} is no family of weights; families: {families}"
            raise ObservableError(msg)
        return shifts_of(self.combinations[component], result.members, self.nominal)

    def band(self, component: str) -> tuple[Array, Array]:
        """Return the lowest and the highest value of each bin under the members of a family and the nominal weights.

        Raises
        ------
        ObservableError
            If there is no such component, or it has no members.
        """
        members = self._result(component).members
        if not len(members):
            msg = f"{self.theory}: component {component!r} has no members, so no band"
            raise ObservableError(msg)
        every = np.concatenate([self.nominal[np.newaxis], members])
        return every.min(axis=0), every.max(axis=0)

    def named(self) -> tuple[ComponentResult, ...]:
        """Return the components called ``theory: ...``, as they are beside those of a measurement."""
        return tuple(
            ComponentResult(replace(r.component, name=PREFIX + r.component.name), r.members, r.covariance)
            for r in self.results
        )

    def estimated(self) -> tuple[ComponentResult, ...]:
        """Return those of them that are estimates from replicas."""
        return tuple(result for result in self.named() if result.replicas)

    def known(self) -> Array:
        """Return ``covariance[bin, bin]`` of all the others."""
        known = [result.covariance for result in self.results if not result.replicas]
        return np.sum(known, axis=0) if known else np.zeros((len(self.nominal), len(self.nominal)))

    def normalised(self, groups: Sequence[slice], *, names: Sequence[str] = ()) -> Prediction:
        """Return the same with each group of bins divided by its own sum, each member by its own.

        The envelope of normalised members is not the normalised envelope: two members that move one bin each move no
        shape if the envelope is taken first.

        Parameters
        ----------
        groups : sequence of slice
            The bins of each observable; together all bins.
        names : sequence of str
            Of the observables, for messages.

        Raises
        ------
        StatisticsError
            If a sum is not above zero.
        """
        slope = normalisation_slope(self.nominal, groups, self.theory, names=names)
        return self._mapped(lambda values: normalised(values, groups, self.theory, names=names), slope)

    def summed(self, bins: slice) -> Prediction:
        """Return the sum over some bins, as the one number that there is."""
        inside = np.zeros((1, len(self.nominal)))
        inside[0, bins] = 1
        return self._mapped(lambda values: values[..., bins].sum(axis=-1, keepdims=True), inside)

    def _mapped(self, function: Callable[[Array], Array], slope: Array) -> Prediction:
        """Return a function of the values: of each member by itself, of the statistics by its derivative."""
        nominal = function(self.nominal)
        results = []
        for result in self.results:
            name = result.component.name
            if name in self.combinations:
                results.append(combine(name, self.combinations[name], function(result.members), nominal))
            else:
                covariance = slope @ result.covariance @ slope.T
                results.append(ComponentResult(result.component, np.empty((0, len(nominal))), covariance))
        return replace(self, nominal=nominal, results=tuple(results))


@runtime_checkable
class Predicting(Protocol):
    """What can be compared with a measurement: a theory of events, or of histograms."""

    @property
    def name(self) -> str:
        """For tables and legends."""

    @property
    def unit(self) -> str | None:
        """Of what it predicts, ``pb`` or ``fb``; None without a cross section."""

    @property
    def has_cross_section(self) -> bool:
        """Whether its normalisation means something."""

    def predict(self, measurement: Estimate, *, shape: bool = False) -> tuple[Array, Array]:
        """Return ``T[bin]`` and the total ``covariance[bin, bin]``."""

    def prediction(self, measurement: Estimate, *, shape: bool = False) -> Prediction:
        """Return the same, by component."""


def checked_theory(found: object) -> Predicting:
    """Return a theory; refuse what is none, such as the path of one.

    Raises
    ------
    InputError
        If it predicts nothing.

    Examples
    --------
    >>> checked_theory("theory.root")
    Traceback (most recent call last):
    ...
    omnifold_pub.errors.InputError: expected a theory; found 'theory.root'; read it with Theory.from_root, ...
    """
    if not isinstance(found, Predicting):
        msg = (
            f"expected a theory; found {shorten(found)}; read it with Theory.from_root, from_parquet, from_hepmc, "
            "from_lhe or from_arrays, or with BinnedTheory.from_yoda or from_histograms"
        )
        raise InputError(msg)
    return found
