"""A theory: particle-level events with weights, as a generator leaves them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.accumulation.evaluation import WeightedEvents, evaluate_statistics
from omnifold_pub.accumulation.event_set import EventSet
from omnifold_pub.definitions.definition import FiducialDefinition
from omnifold_pub.errors import InputError
from omnifold_pub.format.tiles import MemoryArray
from omnifold_pub.inputs.sample import Columns
from omnifold_pub.measurement import Estimate
from omnifold_pub.messages import shorten
from omnifold_pub.observables.events import Events
from omnifold_pub.reinterpret.comparison import Comparable
from omnifold_pub.reinterpret.cross_sections import check_unit, conversion, scale_of
from omnifold_pub.reinterpret.prediction import Prediction
from omnifold_pub.reinterpret.weight_families import Combination, Family, check_family, combine
from omnifold_pub.statistics.components import Component

__all__ = ["Theory"]

_SEED = 20_191_107  # fixed: the same theory has the same covariance
_STATISTICS = "statistics"


@dataclass(frozen=True, eq=False)
class Theory(Comparable):
    """Particle-level events that a theory predicts.

    Attributes
    ----------
    name : str
        For tables and legends.
    events : Events
        Its columns, named as in the release; NaN where an event lacks the object.
    weights : numpy.ndarray
        ``weight[event]``, float64: they sum to the fiducial cross section.
    unit : str or None
        Of the weights, ``pb`` or ``fb``. None: there is no cross section, only shapes can be compared.
    families : mapping
        ``families[name]``: weights of the same events under variations of scales, PDF, tune.
    """

    name: str
    events: Events
    weights: NDArray[np.float64]
    unit: str | None
    families: Mapping[str, Family] = field(default_factory=dict)

    @property
    def has_cross_section(self) -> bool:
        """Whether its normalisation means something."""
        return self.unit is not None

    def in_unit(self, unit: str | None) -> Self:
        """Return the theory with its weights in another unit, or in none: what they sum to means nothing then.

        Raises
        ------
        InputError
            If the unit is none of ``pb`` and ``fb``, or the theory has no cross section.

        Examples
        --------
        >>> Theory.from_arrays({"x": [1.0]}, [0.25], unit="pb").in_unit("fb").weights
        array([250.])
        """
        factor = 1.0 if unit is None else conversion(self.name, self.unit, unit)
        families = {name: replace(family, weights=family.weights * factor) for name, family in self.families.items()}
        return replace(self, weights=self.weights * factor, unit=unit, families=families)

    @classmethod
    def from_arrays(
        cls,
        columns: Mapping[str, NDArray[Any]],
        weights: NDArray[Any],
        *,
        unit: str | None,
        name: str = "theory",
        sentinel: float | None = None,
        cross_section: float | None = None,
        families: Mapping[str, Family] | None = None,
    ) -> Self:
        """Build from arrays.

        Parameters
        ----------
        columns : mapping
            ``columns[name][event]``; NaN, or the sentinel, where an event lacks the object.
        weights : numpy.ndarray
            ``weight[event]`` in ``unit``.
        unit : {"pb", "fb"} or None
            None where the weights sum to no cross section: only shapes can be compared.
        cross_section : float, optional
            The fiducial cross section in ``unit``, where the weights do not sum to it: they are scaled to it, those of
            the families by the same factor.
        families : mapping, optional
            Weights under variations, normalised as ``weights``.

        Raises
        ------
        InputError
            If lengths disagree, a weight is not finite, the weights sum to nothing, the unit is none, or a family does
            not fit.

        Examples
        --------
        >>> scales = Family(Combination("envelope"), ("up", "down"), np.array([[1.1, 0.9], [1.2, 0.8]]))
        >>> theory = Theory.from_arrays({"x": [1.0, 2.0]}, [1.0, 1.0], unit="pb", families={"scales": scales})
        >>> list(theory.families), theory.has_cross_section
        (['scales'], True)
        """
        arrays = {**columns, "weights": weights}
        for what, array in arrays.items():
            if np.ma.is_masked(array):
                msg = f"{name}: {what}: expected one number per event; found masked entries; fill or remove them"
                raise InputError(msg)
            if np.ndim(array) != 1 or np.asarray(array).dtype.kind not in "biuf":
                msg = f"{name}: {what}: expected one number per event; found {shorten(array)}"
                raise InputError(msg)
        lengths = {len(array) for array in arrays.values()}
        if not columns or len(lengths) != 1:
            msg = f"{name}: expected columns, at least one, and weights of one length; found {sorted(lengths)}"
            raise InputError(msg)
        weights = np.asarray(weights, dtype=np.float64)
        factor = scale_of(weights, unit, cross_section, name)
        scaled = {}
        for family, given in (families or {}).items():
            if family == _STATISTICS:
                msg = (
                    f"{name}: a family cannot be called {family!r}: that is what the events' own statistics are called"
                )
                raise InputError(msg)
            check_family(family, given, weights, name)
            scaled[family] = Family(given.combination, given.names, given.weights * factor)
        table = Columns.from_arrays({key: np.asarray(column) for key, column in columns.items()}, sentinel=sentinel)
        events = Events(len(weights), table.names, table.with_nan, where=name)
        return cls(name, events, weights * factor, unit, scaled)

    @classmethod
    def from_root(
        cls,
        path: str | Path,
        *,
        tree: str,
        weight: str,
        unit: str | None,
        columns: Sequence[str],
        name: str | None = None,
        sentinel: float | None = None,
        cross_section: float | None = None,
        families: Mapping[str, Combination] | None = None,
    ) -> Self:
        """Read from a ROOT file (TTree or RNTuple).

        Parameters
        ----------
        path : str or path-like
            The file.
        tree, weight : str
            Tree, and its branch of weights.
        unit : {"pb", "fb"} or None
            Of the weights: they sum to the fiducial cross section in it. None: only shapes can be compared.
        columns : sequence of str
            Branches to read, named as in the release.
        sentinel : float, optional
            Value that marks an absent object; NaN always does.
        cross_section : float, optional
            The fiducial cross section that the weights are scaled to.
        families : mapping, optional
            Which branches are weights under variations, ``families[name].members``, and how they combine.

        Raises
        ------
        InputError
            If file, tree or a branch is missing, there are no events, or a weight is not finite.
        """
        from omnifold_pub.reinterpret.tables import read_root

        found, members = read_root(Path(path), tree, [*columns, weight], families or {})
        return cls.from_arrays(
            {column: found[column] for column in columns},
            found[weight],
            unit=unit,
            name=name or Path(path).name,
            sentinel=sentinel,
            cross_section=cross_section,
            families=members,
        )

    @classmethod
    def from_parquet(
        cls,
        path: str | Path,
        *,
        weight: str,
        unit: str | None,
        columns: Sequence[str],
        name: str | None = None,
        sentinel: float | None = None,
        cross_section: float | None = None,
        families: Mapping[str, Combination] | None = None,
    ) -> Self:
        """Read from a Parquet file: one row for each event; the parameters are those of `from_root`.

        A missing value (null) of a column means that the event lacks the object; one of a weight is an error.

        Raises
        ------
        InputError
            If the file or a column is missing, there are no events, or a weight is not finite.
        MissingExtraError
            If pyarrow is not installed.
        """
        from omnifold_pub.reinterpret.tables import read_parquet

        found, members = read_parquet(Path(path), [*columns, weight], families or {})
        return cls.from_arrays(
            {column: found[column] for column in columns},
            found[weight],
            unit=unit,
            name=name or Path(path).name,
            sentinel=sentinel,
            cross_section=cross_section,
            families=members,
        )

    @classmethod
    def from_hepmc(
        cls,
        path: str | Path,
        *,
        definition: FiducialDefinition | str,
        name: str | None = None,
        weight: str | None = None,
        cross_section: float | None = None,
        families: Mapping[str, Combination] | None = None,
    ) -> Self:
        """Read particles from a HepMC file, plain or compressed, and compute the observables of the fiducial events.

        The file is read in pieces; of the events only the columns stay in memory. All weights are scaled by one factor:
        so that the first ones of ALL events sum to the cross section that the file states, or the nominal ones to that
        which is stated here; what is fiducial sums to the fiducial one.

        Parameters
        ----------
        path : str or path-like
            HepMC3 or HepMC2, all generated events of a run, or a random choice of them.
        definition : FiducialDefinition or str
            The definition, or its name, that the release was made with; see
            `omnifold_pub.definitions.definition.definition_of`.
        weight : str, optional
            Name of the nominal weight; by default the first.
        cross_section : float, optional
            Of all events under the nominal weight, in pb; by default what the last event of the file states, which is
            that of the first weight. Where neither is there, the theory has no cross section.
        families : mapping, optional
            Which weights are variations, ``families[name].members``, and how they combine.

        Raises
        ------
        InputError
            If the file cannot be read, a weight is missing or not finite, the cross section is not above 0, or no
            event is in the fiducial region.
        MissingExtraError
            If pyhepmc, or what the definition needs, is not installed.
        """
        from omnifold_pub.reinterpret.generated import read_events
        from omnifold_pub.reinterpret.hepmc import hepmc_file

        return cls(*read_events(hepmc_file(Path(path)), definition, name, weight, cross_section, families or {}))

    @classmethod
    def from_lhe(
        cls,
        path: str | Path,
        *,
        definition: FiducialDefinition | str,
        name: str | None = None,
        weight: str | None = None,
        cross_section: float | None = None,
        families: Mapping[str, Combination] | None = None,
    ) -> Self:
        """Read partons and leptons from a Les Houches file, and compute what leptons alone decide.

        Such events have seen no shower, no hadronisation and no photon radiation. The theory has the columns that the
        definition calls ``parton_columns``, and a definition without any is refused. The parameters are those of
        `from_hepmc`; the cross section of the file is the sum over its processes.

        Raises
        ------
        InputError
            If the file cannot be read, the definition has no such columns, a weight is missing or not finite, the
            cross section is not above 0, or no event is in the fiducial region.
        MissingExtraError
            If pylhe, or what the definition needs, is not installed.
        """
        from omnifold_pub.reinterpret.generated import read_events
        from omnifold_pub.reinterpret.lhe import lhe_file

        return cls(*read_events(lhe_file(Path(path)), definition, name, weight, cross_section, families or {}))

    def predict(self, measurement: Estimate, *, shape: bool = False) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Compute of the theory what was measured: ``T[bin]`` and the total ``covariance[bin, bin]``.

        The covariance is the sum over all components of `prediction`, which see for parameters and errors.
        """
        found = self.prediction(measurement, shape=shape)
        return found.values(), found.covariance()

    def prediction(self, measurement: Estimate, *, shape: bool = False) -> Prediction:
        """Compute of the theory what was measured, and what each of its families does to it.

        Parameters
        ----------
        measurement : Estimate
            Its statistics, the same objects, are computed of the theory's events.
        shape : bool
            Allow a theory without a cross section: only the shape of what is returned means something then.

        Returns
        -------
        Prediction
            The component ``statistics`` is the covariance of the theory's finite number of events: for histograms the
            sum of w**2 over the events in both bins, otherwise from Poisson replicas of the events.

        Raises
        ------
        InputError
            If the theory's unit is another one, or it has no cross section and needs one.
        ObservableError
            If a statistic cannot be computed from the theory's columns.
        StatisticsError
            If a prediction is not finite.
        """
        check_unit(self.name, self.unit, measurement.weight_unit, measurement.statistics, shape=shape)
        source = EventSet(
            where=self.name,
            size=self.events.size,
            columns={name: MemoryArray(self.events[name]) for name in self.events},
            nominal=MemoryArray(self.weights),
            event_id=MemoryArray(np.arange(self.events.size)),
            families={name: MemoryArray(family.weights) for name, family in self.families.items()},
            momenta=measurement.momenta,
        )
        # Read as hessians to have the members; how they combine is the family's own matter.
        varied = [Component(name, "hessian", members=len(family.names)) for name, family in self.families.items()]
        sampling = Component(_STATISTICS, "event_sampling", seed=_SEED)
        found = evaluate_statistics(measurement.statistics, WeightedEvents(source, (sampling, *varied), "single"))
        families = [
            combine(name, family.combination, result.members, found.nominal)
            for (name, family), result in zip(self.families.items(), found.results[1:], strict=True)
        ]
        combinations = {name: family.combination for name, family in self.families.items()}
        results = (found.results[0], *families)
        return Prediction(self.name, found.nominal, results, combinations, self.has_cross_section)
