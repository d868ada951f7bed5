"""Read a release: any observable of its events, with the full covariance."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.accumulation.cluster import Cluster, check_client
from omnifold_pub.accumulation.evaluation import WeightedEvents, evaluate_statistics
from omnifold_pub.accumulation.event_set import EventSet
from omnifold_pub.accumulation.opened import Opened, Origin
from omnifold_pub.accumulation.sums import BLOCK_BUDGET, Pass, accumulate, in_threads
from omnifold_pub.binning_proposal.proposal import propose_axis
from omnifold_pub.errors import ObservableError, ReleaseError
from omnifold_pub.estimators import Custom, Histogram, Statistic
from omnifold_pub.estimators.base import BinnedStatistic
from omnifold_pub.estimators.custom import Function
from omnifold_pub.format import layout
from omnifold_pub.format.address import Place
from omnifold_pub.format.store import Store, open_store
from omnifold_pub.measurement import ClosureSpectra, Estimate, JointMeasurement, Measurement
from omnifold_pub.messages import shorten, suggest
from omnifold_pub.observables.binning import Axis, Bins
from omnifold_pub.observables.events import Definition, NanRule
from omnifold_pub.progress import Progress
from omnifold_pub.release.comparing import ComparesTheories
from omnifold_pub.release.contents import Contents
from omnifold_pub.release.requests import Options, Wanted, requested
from omnifold_pub.release.symbols import Symbols
from omnifold_pub.validate.structure import check_structure
from omnifold_pub.validity import check_validity

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["Release", "open_release"]


class Release(Contents, ComparesTheories):
    """An open release; use `open_release`, and close it or use it in a ``with`` block.

    Attributes
    ----------
    path : pathlib.Path or Url
        The file.
    metadata : dict
        As the release's schema describes it.
    components : tuple of Component
        What the covariance is the sum of.
    """

    def __init__(self, store: Store, *, budget: int = BLOCK_BUDGET) -> None:
        super().__init__(store)
        self._worker = in_threads(budget=budget)
        self._symbols = Symbols.of(self.metadata["observables"])

    def __repr__(self) -> str:
        """Return file, title and size."""
        members = sum(component.members for component in self.components)
        return f"<Release {self.path.name}: {self.metadata['title']}, {self.events.size} events, {members} members>"

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
        components: Sequence[str] | None = ...,
        scheduler: Client | None = ...,
        progress: Progress | None = ...,
    ) -> Measurement: ...

    @overload
    def measure(
        self,
        observable: BinnedStatistic,
        *,
        components: Sequence[str] | None = ...,
        scheduler: Client | None = ...,
        progress: Progress | None = ...,
    ) -> Measurement: ...

    @overload
    def measure(
        self,
        observable: Statistic,
        *,
        components: Sequence[str] | None = ...,
        scheduler: Client | None = ...,
        progress: Progress | None = ...,
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
        components: Sequence[str] | None = ...,
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
        components: Sequence[str] | None = None,
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
        components : sequence of str, optional
            Those that the covariance is to be made of, by default all; the families of others are not read. None at all
            leaves the nominal values alone.
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
        statistics = requested(observable, bins, options)
        kind: type[Estimate] = JointMeasurement
        if not isinstance(observable, Mapping):
            kind = Measurement if isinstance(statistics[0], BinnedStatistic) else Estimate
        return kind(**self._evaluate(statistics, components, scheduler, progress))

    def _chosen(self, components: Sequence[str]) -> WeightedEvents:
        """Return the release's events with some of the components."""
        there = [component.name for component in self.components]
        for name in components:
            if name not in there:
                msg = f"{self.path}: no component {shorten(name)}; {suggest(name, there)}"
                raise ObservableError(msg)
        return replace(self._data, components=tuple(c for c in self.components if c.name in components))

    def _evaluate(
        self,
        wanted: Sequence[Statistic],
        components: Sequence[str] | None,
        scheduler: Client | None,
        progress: Progress | None,
    ) -> dict[str, Any]:
        """Return what an `Estimate` of these statistics is made of."""
        statistics = tuple(statistic.labelled(self._symbols.label) for statistic in wanted)
        data = self._data if components is None else self._chosen(components)
        if scheduler is None:
            found = evaluate_statistics(statistics, data, worker=self._worker, progress=progress)
        else:
            check_client(scheduler)
            place = self.path.absolute() if isinstance(self.path, Path) else self.path
            cluster = Cluster(scheduler, Origin(place, self._identity, _opened_elsewhere), data.sources)
            found = evaluate_statistics(statistics, data, worker=cluster.sums, caller=cluster.calls, progress=progress)
        check_validity(statistics, found, self.metadata, data.events)
        return {
            "nominal": found.nominal,
            "results": found.results,
            "statistics": statistics,
            "sizes": found.sizes,
            "units": tuple(statistic.unit(self.unit, self._symbols.unit_or_name) for statistic in statistics),
            "weight_unit": self.unit,
            "effective_events": found.effective_events,
            "central": self._central,
            "momenta": data.events.momenta,
        }

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
        one = Histogram(observable, bins, nan=nan).labelled(self._symbols.label)

        def content(source: EventSet, dataset: str | None = None) -> NDArray[np.float64]:
            weighted = source if dataset is None else replace(source, nominal=self._array(dataset))
            return one.finish(accumulate(Pass(weighted, [one]), worker=self._worker).nominal[:, np.newaxis])[:, 0]

        stored = f"{layout.CLOSURE}/{test}/{layout.UNFOLDED}" if entry["unfolded"] == "stored" else None
        target = (
            content(self._canvas(entry["canvas"]))
            if "canvas" in entry
            else content(self._own, f"{layout.CLOSURE}/{test}/{layout.TARGET}")
        )
        return ClosureSpectra(one, self.unit, content(self._own, stored), target)

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
        return self._symbols.label(observable, axis)

    def estimate(
        self,
        statistic: Function,
        *,
        components: Sequence[str] | None = None,
        scheduler: Client | None = None,
        progress: Progress | None = None,
    ) -> Estimate:
        """Compute any statistic of the weighted events: a thrust, a fit.

        It is called once with the nominal weights and once for each member, so its cost is that of the
        function times the number of members. To do it jointly with others, measure `omnifold_pub.estimators.Custom`.

        Parameters
        ----------
        statistic : callable
            ``statistic(events, weights)`` with a mapping of columns and ``weights[event]`` in float64;
            returns a number or a 1-D array, always of the same length. The weights are read-only.
        components
            As for `measure`.
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
        return self.measure(Custom(statistic), components=components, scheduler=scheduler, progress=progress)


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
