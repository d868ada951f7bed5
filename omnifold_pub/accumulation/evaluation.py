"""Statistics of weighted events with what each component of the covariance does to them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.accumulation.calls import Caller, Members, Sources, in_this_process
from omnifold_pub.accumulation.event_set import EventSet
from omnifold_pub.accumulation.sums import Pass, Sums, Worker, accumulate, in_threads
from omnifold_pub.errors import ObservableError
from omnifold_pub.estimators.base import EventStatistic, Statistic, SumStatistic
from omnifold_pub.messages import shorten
from omnifold_pub.progress import Progress, silent
from omnifold_pub.statistics.components import CentralRule, Component, ComponentResult, component_covariance

__all__ = ["EVENT_SAMPLING_REPLICAS", "Evaluation", "WeightedEvents", "evaluate_statistics"]

Array = NDArray[np.float64]

EVENT_SAMPLING_REPLICAS = 200
"""Poisson replicas that stand for ``event_sampling`` where it has no closed form."""


@dataclass(frozen=True, eq=False)
class WeightedEvents:
    """Events, their weight families, and what these mean.

    Attributes
    ----------
    events : EventSet
        The events.
    components : tuple of Component
        What the covariance is the sum of.
    central : {"mean", "median", "single"}
        How the nominal weights were made of the ensemble.
    canvases : mapping
        Other generators' events by name.
    """

    events: EventSet
    components: tuple[Component, ...]
    central: CentralRule
    canvases: Mapping[str, EventSet] = field(default_factory=dict)

    @property
    def sources(self) -> Sources:
        """All events, by canvas."""
        sources: dict[str | None, EventSet] = {None: self.events}
        sources.update(self.canvases.items())
        return sources


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Several statistics of the same events, numbers of all numbered through.

    Attributes
    ----------
    nominal : numpy.ndarray
        ``T_0[bin]``.
    results : tuple of ComponentResult
        What each component does to them.
    effective_events : numpy.ndarray
        (sum w)^2 / sum w^2 behind each number; NaN where nobody knows which events a function used.
    sizes : tuple of int
        Numbers of each statistic.
    """

    nominal: Array
    results: tuple[ComponentResult, ...]
    effective_events: Array
    sizes: tuple[int, ...]


class _Evaluator:
    """Computes T under one member after the other; what the members share is computed once."""

    def __init__(
        self,
        statistics: Sequence[Statistic],
        data: WeightedEvents,
        worker: Worker,
        caller: Caller,
        progress: Progress | None,
    ) -> None:
        self.statistics = statistics
        self.data = data
        self.worker = worker
        self.report = progress or silent
        self.summed = [s for s in statistics if isinstance(s, SumStatistic)]
        self.called = [s for s in statistics if isinstance(s, EventStatistic)]
        self.linear = not self.called and all(s.is_linear for s in self.summed)
        sampling = next((c for c in data.components if c.kind == "event_sampling"), None)
        self.seed = (sampling.seed or 0) if sampling else 0
        self.replicas = EVENT_SAMPLING_REPLICAS if sampling and not self.linear else 0
        self.sums: Sums | None = None
        if self.summed:
            families = [c.name for c in data.components if c.has_family]
            overlaps = sampling is not None and self.linear
            work = Pass(data.events, self.summed, families, overlaps, self.replicas, self.seed)
            self.sums = accumulate(work, worker=worker, progress=progress)
        self.wanted = [Members("nominal weights"), *map(self._members_of, data.components)] if self.called else []
        self.calls = caller(self.called, data.sources, self.wanted)
        self.done = 0

    def _members_of(self, component: Component) -> Members:
        """Return what the statistics are called under for a component."""
        if component.kind == "scale":
            return Members(component.name, factor=1 + component.relative_uncertainty)
        if component.canvas is not None:
            return Members(component.name, canvas=component.canvas)
        if component.kind == "event_sampling":
            return Members(component.name, self.replicas, "poisson", seed=self.seed)
        return Members(component.name, self.data.events.families[component.name].shape[1], "family")

    def _next_calls(self) -> list[Array]:
        """Return ``T[bin, member]`` of what is called, for the nominal weights and then component by component."""
        if not self.called:
            return []
        values = next(self.calls)
        self.done += values[0].shape[1]
        self.report(self.done, sum(members.size for members in self.wanted), "calling")
        return values

    def split(self, sums: Array) -> list[Array]:
        """Return the sums of each statistic of sums."""
        ends = np.cumsum([sum(statistic.groups) for statistic in self.summed])
        return np.split(sums, ends[:-1])

    def finish(self, sums: Array | None, calls: list[Array]) -> list[Array]:
        """Return ``T[bin, member]`` of each statistic, in the order in which they were asked for."""
        finished: Iterator[Array] = iter(())
        if sums is not None:
            finished = iter([s.finish(part) for s, part in zip(self.summed, self.split(sums), strict=True)])
        called = iter(calls)
        return [next(called if isinstance(s, EventStatistic) else finished) for s in self.statistics]

    def nominal(self) -> list[Array]:
        """Return ``T_0[bin, 0]`` of each statistic."""
        return self.finish(None if self.sums is None else self.sums.nominal[:, np.newaxis], self._next_calls())

    def members(self, component: Component) -> list[Array]:
        """Return ``T[bin, member]`` of each statistic under the members of the next component."""
        return self.finish(None if self.sums is None else self._sums_under(component, self.sums), self._next_calls())

    def _sums_under(self, component: Component, sums: Sums) -> Array:
        """Return ``sum[sum, member]`` under the members of a component."""
        if component.kind == "scale":
            return sums.nominal[:, np.newaxis] * (1 + component.relative_uncertainty)
        if component.canvas is not None:
            there = Pass(self.data.canvases[component.canvas], self.summed)
            return accumulate(there, worker=self.worker).nominal[:, np.newaxis]
        return sums.replicas if component.kind == "event_sampling" else sums.families[component.name]

    def overlaps(self, sums: Sums) -> Array:
        """Return the analytic covariance: what `finish` does to sums it does to both sides of it, being linear."""
        half = np.concatenate(self.finish(sums.overlaps, []))
        covariance: Array = np.concatenate(self.finish(np.ascontiguousarray(half.T), []))
        return covariance

    def effective(self, sizes: Sequence[int]) -> Array:
        """Return the effective events behind each number."""
        found: dict[int, Array] = {}
        if self.sums is not None:
            parts = zip(self.summed, self.split(self.sums.nominal), self.split(self.sums.squares), strict=True)
            found = {id(statistic): statistic.effective(w, w2) for statistic, w, w2 in parts}
        pairs = zip(self.statistics, sizes, strict=True)
        return np.concatenate([found.get(id(statistic), np.full(size, np.nan)) for statistic, size in pairs])


def _check_finite(statistics: Sequence[Statistic], values: Sequence[Array], which: str) -> None:
    """Refuse ``T[bin, member]`` that does not exist: a ratio over an empty bin, a mean of nothing."""
    for statistic, one in zip(statistics, values, strict=True):
        bad = np.flatnonzero(~np.isfinite(one).all(axis=1))
        if len(bad):
            names = ", ".join(statistic.labels[i] for i in bad[:5]) + (", ..." if len(bad) > 5 else "")
            msg = (
                f"{shorten(statistic.name)}: not defined under {which} in {len(bad)} of {len(one)} bins ({names}): "
                "there is nothing to divide by; merge these bins with their neighbours, or leave them out"
            )
            raise ObservableError(msg)


def evaluate_statistics(
    statistics: Sequence[Statistic],
    data: WeightedEvents,
    *,
    worker: Worker | None = None,
    caller: Caller = in_this_process,
    progress: Progress | None = None,
) -> Evaluation:
    """Compute statistics of weighted events, jointly, under every member of every component.

    Statistics of sums cost one pass over the weights, all members and all statistics at once; each of the others costs
    a call for each member. ``event_sampling`` is sum w^2 over the events in two bins where all statistics are linear
    in the weights. Otherwise `EVENT_SAMPLING_REPLICAS` Poisson replicas of the events, keyed by event, stand for it,
    for all of the statistics, so that the blocks between them fit to those within.

    Parameters
    ----------
    statistics : sequence of Statistic
        What to compute.
    data : WeightedEvents
        Of what.
    worker : callable, optional
        Does the blocks of the pass; by default threads of this process.
    caller : callable
        Does the calls.
    progress : callable, optional
        Called with (done, total, what).

    Raises
    ------
    ObservableError
        If one cannot be computed.
    """
    evaluator = _Evaluator(statistics, data, worker or in_threads(), caller, progress)
    with contextlib.closing(evaluator.calls):
        return _evaluation(evaluator)


def _evaluation(evaluator: _Evaluator) -> Evaluation:
    statistics, data = evaluator.statistics, evaluator.data
    parts = evaluator.nominal()
    _check_finite(statistics, parts, "the nominal weights")
    nominal = np.concatenate(parts)[:, 0]
    results = []
    for component in data.components:
        if component.kind == "event_sampling" and evaluator.linear and evaluator.sums is not None:
            empty = np.empty((0, len(nominal)))
            results.append(ComponentResult(component, empty, evaluator.overlaps(evaluator.sums)))
            continue
        drawn = evaluator.members(component)
        _check_finite(statistics, drawn, f"component {component.name}")
        members = np.ascontiguousarray(np.concatenate(drawn).T)
        covariance = component_covariance(component, members, nominal, central=data.central)
        results.append(ComponentResult(component, members, covariance))
    sizes = tuple(map(len, parts))
    return Evaluation(nominal, tuple(results), evaluator.effective(sizes), sizes)
