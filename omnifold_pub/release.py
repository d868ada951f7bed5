"""Read a release: any observable of its events, with the full covariance."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, cast, overload

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.accumulation.cluster import Cluster, check_client
from omnifold_pub.accumulation.evaluation import WeightedEvents, evaluate_statistics
from omnifold_pub.accumulation.event_set import EventSet
from omnifold_pub.accumulation.opened import Identity, Opened, Origin, identify
from omnifold_pub.accumulation.sums import BLOCK_BUDGET, Pass, accumulate, in_threads
from omnifold_pub.binning_proposal.proposal import propose_axis
from omnifold_pub.errors import ObservableError, ReleaseError
from omnifold_pub.estimators import Custom, Histogram, Statistic
from omnifold_pub.estimators.base import BinnedStatistic
from omnifold_pub.estimators.custom import Function
from omnifold_pub.files import Closing
from omnifold_pub.format import layout
from omnifold_pub.format.address import Place
from omnifold_pub.format.reading import StoredArray
from omnifold_pub.format.store import Store, open_store
from omnifold_pub.format.tiles import MemoryArray
from omnifold_pub.measurement import ClosureSpectra, Estimate, JointMeasurement, Measurement
from omnifold_pub.messages import shorten, suggest
from omnifold_pub.observables.binning import Axis, Bins
from omnifold_pub.observables.events import Definition, Events, NanRule, definition_text
from omnifold_pub.observables.momenta import momenta_of
from omnifold_pub.progress import Progress
from omnifold_pub.statistics.components import CentralRule, Component
from omnifold_pub.validate.structure import check_structure
from omnifold_pub.validity import check_validity

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["Release", "open_release"]

Wanted = Statistic | Bins | tuple[Definition | Sequence[Definition], Bins | Sequence[Bins]]
"""What a joint measurement takes by name: a statistic, the bins of the observable of that name, or both."""


class Options(TypedDict):
    """What all histograms of a call have in common."""

    where: Definition | None
    nan: NanRule
    flow: bool
    density: bool
    normalise: bool


_DEFAULT: Options = {"where": None, "nan": "error", "flow": False, "density": False, "normalise": False}


def _named(name: str, entry: Wanted, options: Options) -> Statistic:
    """Return what a joint measurement calls by a name."""
    if isinstance(entry, Statistic):
        return replace(entry, name=name)  # type: ignore[type-var]
    if isinstance(entry, tuple) and len(entry) == 2 and _is_definition(entry[0]):
        return Histogram(cast("Any", entry[0]), cast("Any", entry[1]), name=name, **options)
    return Histogram(name, cast("Any", entry), name=name, **options)


def _is_definition(value: object) -> bool:
    several = value if isinstance(value, list | tuple) and value else [value]
    return all(isinstance(one, str) or callable(one) for one in several)


class Release(Closing):
    """An open release; use `open_release`, and close it or use it in a ``with`` block.

    Attributes
    ----------
    path : pathlib.Path
        The file.
    metadata : dict
        As the release's schema describes it.
    components : tuple of Component
        What the covariance is the sum of.
    """

    def __init__(self, store: Store, *, budget: int = BLOCK_BUDGET) -> None:
        self.path = store.path
        self.metadata = store.metadata
        self.components = tuple(Component.from_metadata(entry) for entry in store.metadata["components"])
        self._store = store
        self._loaded: dict[str, StoredArray] = {}
        self._worker = in_threads(budget=budget)
        self._central = cast("CentralRule", self.metadata["weights"]["central_value"]["rule"])

    def __repr__(self) -> str:
        """Return file, title and size."""
        members = sum(component.members for component in self.components)
        return f"<Release {self.path.name}: {self.metadata['title']}, {self.events.size} events, {members} members>"

    def close(self) -> None:
        """Close the files; columns already read stay usable."""
        self._store.close()

    @property
    def datasets(self) -> Mapping[str, StoredArray]:
        """Every dataset but metadata and digests, by path: to be read row by row, whatever its size."""
        return {**self._store.arrays, **self._loaded}

    def load(self, families: Sequence[str] | None = None, *, progress: Progress | None = None) -> None:
        """Read columns and weights into memory, where measuring takes a small part of the time of reading.

        Parameters
        ----------
        families : sequence of str, optional
            Components whose weight families are loaded beside columns and nominal weights; by default all.

        Raises
        ------
        ReleaseError
            If there is no such family, or the file is damaged.
        """
        there = [component.name for component in self.components if component.has_family]
        for name in families or ():
            if name not in there:
                msg = f"{self.path}: no weight family {shorten(name)}; {suggest(name, there)}"
                raise ReleaseError(msg)
        wanted = [f"{layout.EVENTS}/{o['name']}" for o in self.metadata["observables"]]
        wanted += [layout.EVENT_ID, f"{layout.WEIGHTS}/{layout.NOMINAL}"]
        wanted += [f"{layout.WEIGHTS}/{name}" for name in (there if families is None else families)]
        for number, name in enumerate(wanted):
            if progress is not None:
                progress(number, len(wanted), "loading")
            if name not in self._loaded:
                self._loaded[name] = MemoryArray(self._store.arrays[name].read())
        if progress is not None:
            progress(len(wanted), len(wanted), "loading")

    def _array(self, name: str) -> StoredArray:
        return self._loaded.get(name) or self._store.arrays[name]

    def _event_set(self, prefix: str, size: int, where: str, families: Sequence[str]) -> EventSet:
        return EventSet(
            where=where,
            size=size,
            columns={
                o["name"]: self._array(f"{prefix}{layout.EVENTS}/{o['name']}") for o in self.metadata["observables"]
            },
            nominal=self._array(f"{prefix}{layout.WEIGHTS}/{layout.NOMINAL}"),
            event_id=self._array(f"{prefix}{layout.EVENT_ID}"),
            families={name: self._array(f"{prefix}{layout.WEIGHTS}/{name}") for name in families},
            momenta=momenta_of(self.metadata),
        )

    @property
    def _own(self) -> EventSet:
        """The release's events with all families."""
        families = [component.name for component in self.components if component.has_family]
        return self._event_set("", self.metadata["events"], self.path.name, families)

    def _canvas(self, name: str) -> EventSet:
        """Return another generator's events."""
        entry = self._entry("canvas", self.metadata.get("canvases", []), name)
        where = f"{self.path.name}, canvas {name}"
        return self._event_set(f"{layout.CANVASES}/{name}/", entry["events"], where, ())

    @property
    def _data(self) -> WeightedEvents:
        """The release's events with the canvases that components use."""
        canvases = {c.canvas: self._canvas(c.canvas) for c in self.components if c.canvas is not None}
        return WeightedEvents(self._own, self.components, self._central, canvases)

    @cached_property
    def _identity(self) -> Identity:
        return identify(self._store)

    @cached_property
    def events(self) -> Events:
        """Columns of the events, each read when first used and kept."""
        return self._own.events()

    def _entry(self, what: str, entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
        for entry in entries:
            if entry["name"] == name:
                return entry
        msg = f"{self.path}: no {what} {shorten(name)}; {suggest(name, [entry['name'] for entry in entries])}"
        raise ReleaseError(msg)

    def canvas(self, name: str) -> tuple[Events, NDArray[np.float32]]:
        """Return another generator's events and their nominal ``weight[event]``, in the release's unit.

        Raises
        ------
        ReleaseError
            If the release has no such canvas.
        """
        canvas = self._canvas(name)
        return canvas.events(), canvas.nominal.read()

    def network(self, name: str) -> bytes:
        """Return a trained network: the bytes of a safetensors file.

        Raises
        ------
        ReleaseError
            If the release has no such network.
        """
        self._entry("network", self.metadata.get("networks", []), name)
        return self._array(f"{layout.NETWORKS}/{name}").read().tobytes()

    def closure(self, test: str, observable: Definition, bins: Bins, *, nan: NanRule = "error") -> ClosureSpectra:
        """Repeat a closure test for any observable, from the weights that were stored for it.

        Parameters
        ----------
        test : str
            One of the metadata's ``closure.tests``.
        observable, bins, nan
            As for `measure`.

        Returns
        -------
        ClosureSpectra
            What the unfolding found and what it should have found, in the release's unit per bin.

        Raises
        ------
        ReleaseError
            If the release has no such test.
        ObservableError
            For an observable or bins that cannot be used.
        """
        entry = self._entry("closure test", self.metadata["closure"]["tests"], test)
        one = self._labelled(Histogram(observable, bins, nan=nan))

        def content(source: EventSet, dataset: str | None = None) -> NDArray[np.float64]:
            weighted = source if dataset is None else replace(source, nominal=self._array(dataset))
            return one.finish(accumulate(Pass(weighted, [one]), worker=in_threads()).nominal[:, np.newaxis])[:, 0]

        stored = f"{layout.CLOSURE}/{test}/{layout.UNFOLDED}" if entry["unfolded"] == "stored" else None
        target = (
            content(self._canvas(entry["canvas"]))
            if "canvas" in entry
            else content(self._own, f"{layout.CLOSURE}/{test}/{layout.TARGET}")
        )
        return ClosureSpectra(one, self.unit, content(self._own, stored), target)

    @property
    def unit(self) -> str:
        """Unit of the weights: the sum over a region is its cross section in this unit."""
        return str(self.metadata["weights"]["unit"])

    @property
    def nominal_weights(self) -> NDArray[np.float32]:
        """Nominal ``weight[event]``."""
        return self._array(f"{layout.WEIGHTS}/{layout.NOMINAL}").read()

    @property
    def prior_weights(self) -> NDArray[np.float32]:
        """The simulation's own ``weight[event]``, before unfolding.

        Raises
        ------
        ReleaseError
            If the release has none.
        """
        if not self.metadata["weights"].get("prior", False):
            msg = f"{self.path}: the release holds no prior weights"
            raise ReleaseError(msg)
        return self._array(layout.PRIOR).read()

    def _unit_of(self, definition: Definition) -> str:
        """Return the unit of an observable, as the metadata declare it."""
        for observable in self.metadata["observables"]:
            if observable["name"] == definition:
                return str(observable["unit"])
        return f"[{definition_text(definition)}]"

    def _label(self, definition: Definition, axis: Axis) -> Axis:
        """Put symbol and unit of a column on its axis, where it has none of its own."""
        if axis.label != axis.name:
            return axis
        for observable in self.metadata["observables"]:
            if observable["name"] == definition:
                unit = "" if observable["unit"] == "1" else f" [{observable['unit']}]"
                return replace(axis, label=f"${observable['latex']}${unit}", unit=axis.unit or observable["unit"])
        return axis

    def _labelled(self, statistic: Histogram) -> Histogram:
        return statistic.labelled(self._label)

    @overload
    def measure(
        self,
        observable: Definition | Sequence[Definition],
        bins: Bins | Sequence[Bins],
        *,
        where: Definition | None = ...,
        nan: NanRule = ...,
        flow: bool = ...,
        density: bool = ...,
        normalise: bool = ...,
        scheduler: Client | None = ...,
        progress: Progress | None = ...,
    ) -> Measurement: ...

    @overload
    def measure(
        self, observable: BinnedStatistic, *, scheduler: Client | None = ..., progress: Progress | None = ...
    ) -> Measurement: ...

    @overload
    def measure(
        self, observable: Statistic, *, scheduler: Client | None = ..., progress: Progress | None = ...
    ) -> Estimate: ...

    @overload
    def measure(
        self,
        observable: Mapping[str, Wanted],
        *,
        where: Definition | None = ...,
        nan: NanRule = ...,
        flow: bool = ...,
        density: bool = ...,
        normalise: bool = ...,
        scheduler: Client | None = ...,
        progress: Progress | None = ...,
    ) -> JointMeasurement: ...

    def measure(
        self,
        observable: Definition | Sequence[Definition] | Statistic | Mapping[str, Wanted],
        bins: Bins | Sequence[Bins] | None = None,
        *,
        where: Definition | None = None,
        nan: NanRule = "error",
        flow: bool = False,
        density: bool = False,
        normalise: bool = False,
        scheduler: Client | None = None,
        progress: Progress | None = None,
    ) -> Estimate:
        """Measure an observable or any statistic, or several at once with the covariance between them.

        All members of all weight families go through in one pass, block by block, in threads; only the columns and
        families that are used are read. The cost is that of decoding the families (3 ns per byte and core) and of one
        addition per event, member and observable; the memory that of a few chunks and of the results, whatever the
        file's size. Quantiles and functions of all events (`estimate`) need whole columns, and a call per member.

        Parameters
        ----------
        observable : str, callable, sequence, Statistic or mapping
            A column, an expression such as ``"pT_l1 / pT_l2"``, or a function that takes the events (a
            mapping of arrays) and returns one value per event, from that event alone; a sequence of these for a
            histogram of several axes. Or a statistic of `omnifold_pub.estimators`, which says all by itself.
            A mapping gives by name a statistic, the bins of the column or expression of that name, or
            ``(definition, bins)``.
        bins : sequence of float or axis, or one of these for each observable
            Bin edges; events outside are not counted.
        where, nan, flow, density, normalise
            Of the histograms that are not given as statistics, see `omnifold_pub.estimators.Histogram`.
        scheduler : dask.distributed.Client, optional
            Of a cluster that does the same sums and calls, to rounding; by default threads of this process do. Each of
            its workers reads the release, under the same path or URL. Sent are the statistics with their functions;
            what comes back for each group of blocks is 8 bytes for each sum and member. See
            `omnifold_pub.accumulation.cluster`.
        progress : callable, optional
            Called with (done, total, what).

        Returns
        -------
        Measurement, Estimate or JointMeasurement
            For something with bins, without, or for a mapping. A histogram is a cross section per bin in the
            release's unit, not divided by the bin width unless asked for.

        Raises
        ------
        ObservableError
            For an observable or bins that cannot be used.
        ReleaseError
            If the file is damaged; or is another one for a worker.
        MissingExtraError
            For a ``scheduler``, if Dask is not installed.
        OmnifoldPubError
            If the cluster gives up.
        """
        options: Options = {"where": where, "nan": nan, "flow": flow, "density": density, "normalise": normalise}
        if isinstance(observable, Mapping):
            if bins is not None or not observable:
                msg = "to measure several observables, give a mapping of name to bins, not empty, and no other bins"
                raise ObservableError(msg)
            wanted = [_named(name, entry, options) for name, entry in observable.items()]
            return JointMeasurement(**self._evaluate(wanted, scheduler, progress))
        if isinstance(observable, Statistic):
            if bins is not None or options != _DEFAULT:
                msg = f"{observable.name}: a statistic says its bins and selection itself; give nothing beside it"
                raise ObservableError(msg)
            kind = Measurement if isinstance(observable, BinnedStatistic) else Estimate
            return kind(**self._evaluate([observable], scheduler, progress))
        if bins is None:
            msg = f"observable {shorten(observable)}: no bins are given; expected a sequence of edges"
            raise ObservableError(msg)
        return Measurement(**self._evaluate([Histogram(observable, bins, **options)], scheduler, progress))

    def _evaluate(
        self, wanted: Sequence[Statistic], scheduler: Client | None, progress: Progress | None
    ) -> dict[str, Any]:
        """Return what an `Estimate` of these statistics is made of."""
        statistics = tuple(statistic.labelled(self._label) for statistic in wanted)
        data = self._data
        if scheduler is None:
            found = evaluate_statistics(statistics, data, worker=self._worker, progress=progress)
        else:
            check_client(scheduler)
            place = self.path.absolute() if isinstance(self.path, Path) else self.path
            cluster = Cluster(scheduler, Origin(place, self._identity, _opened_elsewhere), data.sources)
            found = evaluate_statistics(statistics, data, worker=cluster.sums, caller=cluster.calls, progress=progress)
        check_validity(statistics, found, self.metadata, self._own)
        return {
            "nominal": found.nominal,
            "results": found.results,
            "statistics": statistics,
            "sizes": found.sizes,
            "units": tuple(statistic.unit(self.unit, self._unit_of) for statistic in statistics),
            "weight_unit": self.unit,
            "effective_events": found.effective_events,
            "central": self._central,
            "momenta": data.events.momenta,
        }

    def suggest_bins(
        self,
        observable: Definition,
        bins: int | None = None,
        *,
        where: Definition | None = None,
        nan: NanRule = "error",
        minimum_effective_events: float | None = None,
        minimum_effective_data_events: float | None = None,
        maximum_relative_uncertainty: float | None = None,
        range: tuple[float, float] | None = None,  # noqa: A002 - as numpy.histogram has it
        round_edges: bool = True,
    ) -> Axis:
        """Propose bins that the publisher vouches for: as many as asked for if the limits allow, with round edges.

        They hold about equal effective events, and cover all values but 0.1 % in a long tail; integers are edges of
        integer observables. The same question has the same answer. How: `omnifold_pub.binning_proposal.proposal`.

        Parameters
        ----------
        observable, where, nan
            As for `measure`, one observable.
        bins : int, optional
            Bins at most; 10 by default. Never more than N - 3, N the replicas of the smallest bootstrap, so that the
            covariance of the replicas can be inverted and trusted.
        minimum_effective_events, minimum_effective_data_events : float, optional
            Of each bin; where the publisher asks for more, that counts.
        maximum_relative_uncertainty : float, optional
            Of each bin, all components together.
        range : (float, float), optional
            First and last edge, as far as they are inside of what the publisher vouches for.
        round_edges : bool
            False: any numbers.

        Raises
        ------
        ObservableError
            If not even one bin is inside of the limits, or an argument cannot be used.
        """
        data = self._data
        axis = propose_axis(
            data,
            self.metadata,
            observable,
            bins,
            where=where,
            nan=nan,
            minimum_effective_events=minimum_effective_events,
            minimum_effective_data_events=minimum_effective_data_events,
            maximum_relative_uncertainty=maximum_relative_uncertainty,
            range=range,
            round_edges=round_edges,
            worker=self._worker,
        )
        return self._label(observable, axis)

    def estimate(
        self, statistic: Function, *, scheduler: Client | None = None, progress: Progress | None = None
    ) -> Estimate:
        """Compute any statistic of the weighted events: a thrust, a fit.

        It is called once with the nominal weights and once for each member, so its cost is that of the
        function times the number of members. To do it jointly with others, measure `omnifold_pub.estimators.Custom`.

        Parameters
        ----------
        statistic : callable
            ``statistic(events, weights)`` with a mapping of columns and ``weights[event]`` in float64;
            returns a number or a 1-D array, always of the same length. The weights are read-only.
        scheduler : dask.distributed.Client, optional
            Of a cluster over which the calls are spread, see `measure`; a process runs one at a time.
        progress : callable, optional
            Called with (done, total, what).

        Returns
        -------
        Estimate
            Values and covariance, by component.

        Raises
        ------
        ObservableError
            If the function fails, or returns another shape or something that is not finite.
        """
        return self.measure(Custom(statistic), scheduler=scheduler, progress=progress)


def _opened_elsewhere(place: Place) -> Opened:
    """Open a release in a worker of a cluster."""
    release = open_release(place if isinstance(place, Path) else place.address)
    return Opened(release._identity, release._data, release.close)


def open_release(path: str | Path, *, budget: int = BLOCK_BUDGET) -> Release:
    """Open a release for reading.

    The file's structure is inspected in a process of its own, and refused if it could harm a reader. Metadata, shapes
    and types are checked; columns and weights are read when they are used.

    Parameters
    ----------
    path : str or path-like
        A path, or the URL (with ``://``) of the HDF5 file, or the manifest of a release in several files.
    budget : int
        Bytes of memory that measuring may take for what it reads at a time.

    Raises
    ------
    ReleaseError
        If the file is not a release that this version can read; ``omnifold-pub validate`` tells more.
    """
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(open_store(path))
        findings = check_structure(store)
        if findings:
            more = f" ({len(findings) - 1} more: run omnifold-pub validate)" if len(findings) > 1 else ""
            msg = f"{store.path}: {findings[0]}{more}"
            raise ReleaseError(msg)
        stack.pop_all()
        return Release(store, budget=budget)
