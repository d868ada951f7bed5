"""A theory: particle-level events with weights, as a generator leaves them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.accumulation.evaluation import WeightedEvents, evaluate_statistics
from omnifold_pub.accumulation.event_set import EventSet
from omnifold_pub.errors import InputError
from omnifold_pub.format.tiles import MemoryArray
from omnifold_pub.inputs.root import read_columns
from omnifold_pub.inputs.sample import Columns
from omnifold_pub.measurement import Estimate
from omnifold_pub.messages import shorten
from omnifold_pub.observables.events import Events
from omnifold_pub.statistics.components import Component

__all__ = ["Theory"]

_SEED = 20_191_107  # fixed: the same theory has the same covariance


@dataclass(frozen=True, eq=False)
class Theory:
    """Particle-level events that a theory predicts.

    Attributes
    ----------
    name : str
        For tables and legends.
    events : Events
        Its columns, named as in the release; NaN where an event lacks the object.
    weights : numpy.ndarray
        ``weight[event]``, float64: they sum to the fiducial cross section.
    unit : str
        Of the weights, ``pb`` or ``fb``.
    """

    name: str
    events: Events
    weights: NDArray[np.float64]
    unit: str

    @classmethod
    def from_arrays(
        cls,
        columns: Mapping[str, NDArray[Any]],
        weights: NDArray[Any],
        *,
        unit: str,
        name: str = "theory",
        sentinel: float | None = None,
    ) -> Self:
        """Build from arrays.

        Parameters
        ----------
        columns : mapping
            ``columns[name][event]``; NaN, or the sentinel, where an event lacks the object.
        weights : numpy.ndarray
            ``weight[event]`` in ``unit``.

        Raises
        ------
        InputError
            If lengths disagree, a weight is not finite, or the weights sum to nothing.
        """
        arrays = {**columns, "weights": weights}
        for what, array in arrays.items():
            if np.ndim(array) != 1 or np.asarray(array).dtype.kind not in "biuf":
                msg = f"{name}: {what}: expected one number per event; found {shorten(array)}"
                raise InputError(msg)
        lengths = {len(array) for array in arrays.values()}
        if not columns or len(lengths) != 1:
            msg = f"{name}: expected columns, at least one, and weights of one length; found {sorted(lengths)}"
            raise InputError(msg)
        weights = np.asarray(weights, dtype=np.float64)
        bad = int((~np.isfinite(weights)).sum())
        if bad:
            msg = f"{name}: {bad} of {len(weights)} weights are not finite; remove these events or mend their weights"
            raise InputError(msg)
        if not weights.sum() > 0:
            msg = (
                f"{name}: the weights sum to {weights.sum():g}; expected the fiducial cross section in {unit}, above 0"
            )
            raise InputError(msg)
        table = Columns.from_arrays(dict(columns), sentinel=sentinel)
        return cls(name, Events(len(weights), table.names, table.with_nan, where=name), weights, unit)

    @classmethod
    def from_root(
        cls,
        path: str | Path,
        *,
        tree: str,
        weight: str,
        unit: str,
        columns: Sequence[str],
        name: str | None = None,
        sentinel: float | None = None,
    ) -> Self:
        """Read from a ROOT file (TTree or RNTuple).

        Parameters
        ----------
        path : str or path-like
            The file.
        tree, weight : str
            Tree, and its branch of weights.
        unit : str
            Of the weights: they sum to the fiducial cross section in it.
        columns : sequence of str
            Branches to read, named as in the release.
        sentinel : float, optional
            Value that marks an absent object; NaN always does.

        Raises
        ------
        InputError
            If file, tree or a branch is missing, there are no events, or a weight is not finite.
        """
        path = Path(path)
        arrays = read_columns(path, tree, [*columns, weight])
        picked = {column: arrays[column] for column in columns}
        return cls.from_arrays(picked, arrays[weight], unit=unit, name=name or path.name, sentinel=sentinel)

    def predict(self, measurement: Estimate) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Compute of the theory what was measured.

        Parameters
        ----------
        measurement : Estimate
            Its statistics are computed of the theory's events.

        Returns
        -------
        values : numpy.ndarray
            ``T[bin]``, bins of all statistics numbered through.
        covariance : numpy.ndarray
            ``covariance[bin, bin]`` of the theory's finite number of events: for histograms the sum of w**2 over
            the events in both bins, otherwise from Poisson replicas of the events.

        Raises
        ------
        InputError
            If the theory's unit is another one.
        ObservableError
            If a statistic cannot be computed from the theory's columns.
        """
        if measurement.weight_unit != self.unit:
            msg = (
                f"{self.name}: weights in {self.unit}, the measurement is in {shorten(measurement.weight_unit)}; "
                "convert them first"
            )
            raise InputError(msg)
        source = EventSet(
            where=self.name,
            size=self.events.size,
            columns={name: MemoryArray(self.events[name]) for name in self.events},
            nominal=MemoryArray(self.weights),
            event_id=MemoryArray(np.arange(self.events.size)),
            momenta=measurement.momenta,
        )
        sampling = Component("statistics", "event_sampling", seed=_SEED)
        found = evaluate_statistics(measurement.statistics, WeightedEvents(source, (sampling,), "single"))
        return found.nominal, found.results[0].covariance
