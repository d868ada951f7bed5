"""Read a release: any observable of its events, with the full covariance."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from omnifold_pub.errors import ObservableError, ReleaseError
from omnifold_pub.files import Closing
from omnifold_pub.format import layout
from omnifold_pub.format.reading import StoredArray
from omnifold_pub.format.store import Store, open_store
from omnifold_pub.measurement import (
    BinnedObservable,
    ClosureSpectra,
    Estimate,
    JointMeasurement,
    Measurement,
    bin_index,
)
from omnifold_pub.messages import shorten, suggest
from omnifold_pub.observables.binning import Axis, Bins
from omnifold_pub.observables.events import Definition, Events, NanRule, definition_text
from omnifold_pub.statistics.components import CentralRule, Component, ComponentResult, component_covariance
from omnifold_pub.statistics.resampling import poisson_multiplicities
from omnifold_pub.validate.structure import check_structure

__all__ = ["Release", "open_release"]

Weights = NDArray[np.float64]
Statistic = Callable[[Mapping[str, NDArray[np.float32]], Weights], ArrayLike]

EVENT_SAMPLING_REPLICAS = 200
"""Poisson replicas that stand for ``event_sampling`` where it has no closed form."""


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
    events : Events
        Columns, read when used.
    """

    def __init__(self, store: Store) -> None:
        self.path = store.path
        self.metadata = store.metadata
        self.components = tuple(Component.from_metadata(entry) for entry in store.metadata["components"])
        self._store = store
        self.events = self._event_set("", self.metadata["events"], self.path.name)
        self._central = cast("CentralRule", self.metadata["weights"]["central_value"]["rule"])

    def __repr__(self) -> str:
        """Return file, title and size."""
        members = sum(component.members for component in self.components)
        return f"<Release {self.path.name}: {self.metadata['title']}, {self.events.size} events, {members} members>"

    def close(self) -> None:
        """Close the files; columns already read stay usable."""
        self._store.close()

    @property
    def datasets(self) -> dict[str, StoredArray]:
        """Every dataset but metadata and digests, by path: to be read row by row, whatever its size."""
        return self._store.arrays

    def _event_set(self, prefix: str, size: int, where: str) -> Events:
        names = tuple(observable["name"] for observable in self.metadata["observables"])
        return Events(size, names, lambda name: self._read(f"{prefix}{layout.EVENTS}/{name}"), where=where)

    def _read(
        self, name: str, start: int = 0, stop: int | None = None, *, columns: slice | None = None
    ) -> NDArray[Any]:
        return self._store.arrays[name].read(start, stop, columns=columns)

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
        entry = self._entry("canvas", self.metadata.get("canvases", []), name)
        prefix = f"{layout.CANVASES}/{name}/"
        events = self._event_set(prefix, entry["events"], f"{self.path.name}, canvas {name}")
        return events, self._read(f"{prefix}{layout.WEIGHTS}/{layout.NOMINAL}")

    def network(self, name: str) -> bytes:
        """Return a trained network: the bytes of a safetensors file.

        Raises
        ------
        ReleaseError
            If the release has no such network.
        """
        self._entry("network", self.metadata.get("networks", []), name)
        return self._read(f"{layout.NETWORKS}/{name}").tobytes()

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
        one = BinnedObservable(definition_text(observable), observable, self.axis(observable, bins), nan)
        index = bin_index([one], self.events)
        stored = f"{layout.CLOSURE}/{test}/{layout.UNFOLDED}"
        found = self._read(stored) if entry["unfolded"] == "stored" else self.nominal_weights
        if "canvas" in entry:
            events, weights = self.canvas(entry["canvas"])
            target = bin_index([one], events).sums(weights)
        else:
            target = index.sums(self._read(f"{layout.CLOSURE}/{test}/{layout.TARGET}"))
        return ClosureSpectra(one, self.unit, index.sums(found), target)

    @property
    def unit(self) -> str:
        """Unit of the weights: the sum over a region is its cross section in this unit."""
        return str(self.metadata["weights"]["unit"])

    @property
    def nominal_weights(self) -> NDArray[np.float32]:
        """Nominal ``weight[event]``."""
        return self._read(f"{layout.WEIGHTS}/{layout.NOMINAL}")

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
        return self._read(layout.PRIOR)

    def axis(self, definition: Definition, bins: Bins, *, name: str = "") -> Axis:
        """Build the axis of an observable.

        It is labelled with the observable's symbol and unit where it is a column and ``bins`` have no label.
        """
        name = name or definition_text(definition)
        if getattr(bins, "label", ""):
            return Axis.from_bins(bins, name=name)
        for observable in self.metadata["observables"]:
            if observable["name"] == definition:
                unit = "" if observable["unit"] == "1" else f" [{observable['unit']}]"
                return Axis.from_bins(bins, name=name, label=f"${observable['latex']}${unit}")
        return Axis.from_bins(bins, name=name)

    @overload
    def measure(self, observable: Definition, bins: Bins, *, nan: NanRule = ...) -> Measurement: ...

    @overload
    def measure(
        self, observable: Mapping[str, Bins | tuple[Definition, Bins]], *, nan: NanRule = ...
    ) -> JointMeasurement: ...

    def measure(
        self,
        observable: Definition | Mapping[str, Bins | tuple[Definition, Bins]],
        bins: Bins | None = None,
        *,
        nan: NanRule = "error",
    ) -> Measurement | JointMeasurement:
        """Histogram an observable, or several at once with the covariance between them.

        Parameters
        ----------
        observable : str, callable or mapping
            A column, an expression such as ``"pT_l1 / pT_l2"``, or a function that takes the events (a
            mapping of arrays) and returns one value per event. A mapping gives bins by column or
            expression, or ``name: (definition, bins)``.
        bins : sequence of float or axis
            Bin edges; events outside are not counted.
        nan : {"error", "drop"}
            What to do with events for which the observable is NaN although they have all its columns.

        Returns
        -------
        Measurement or JointMeasurement
            Cross section per bin in the release's unit, not divided by the bin width.

        Raises
        ------
        ObservableError
            For an observable or bins that cannot be used.
        """
        if isinstance(observable, Mapping):
            if bins is not None or not observable:
                msg = "to measure several observables, give a mapping of name to bins, not empty, and no other bins"
                raise ObservableError(msg)
            wanted = [self._binned(name, entry, nan) for name, entry in observable.items()]
            nominal, results, effective = self._histogram(wanted)
            return JointMeasurement(nominal, results, tuple(wanted), self.unit, effective)
        if bins is None:
            msg = f"observable {definition_text(observable)!r}: no bins are given; expected a sequence of edges"
            raise ObservableError(msg)
        one = BinnedObservable(definition_text(observable), observable, self.axis(observable, bins), nan)
        nominal, results, effective = self._histogram([one])
        return Measurement(nominal, results, one, self.unit, effective)

    def _binned(self, name: str, entry: Bins | tuple[Definition, Bins], nan: NanRule) -> BinnedObservable:
        definition: Definition = name
        bins: Any = entry
        if isinstance(entry, tuple) and len(entry) == 2 and (isinstance(entry[0], str) or callable(entry[0])):
            definition, bins = entry
        return BinnedObservable(name, definition, self.axis(definition, bins, name=name), nan)

    def _histogram(self, wanted: Sequence[BinnedObservable]) -> tuple[Weights, tuple[ComponentResult, ...], Weights]:
        """Return nominal, components and effective events of all bins of all observables."""
        index = bin_index(wanted, self.events)
        weights = self.nominal_weights.astype(np.float64)
        nominal = index.sums(weights)
        squares = index.sums(weights**2)
        effective = np.divide(nominal**2, squares, out=np.zeros_like(nominal), where=squares > 0)

        results = []
        for component in self.components:
            if component.kind == "event_sampling":
                empty = np.empty((0, index.bins))
                results.append(ComponentResult(component, empty, index.overlaps(weights**2)))
                continue
            if component.kind == "scale":
                members = nominal[np.newaxis] * (1 + component.relative_uncertainty)
            elif component.canvas is not None:
                events, other = self.canvas(component.canvas)
                members = bin_index(wanted, events).sums(other)[np.newaxis]
            else:
                name = f"{layout.WEIGHTS}/{component.name}"
                total = np.zeros((index.bins, component.members))
                for start, stop in layout.row_blocks(self.events.size, 8 * component.members):
                    total += index.sums(self._read(name, start, stop), start)
                members = total.T.copy()
            results.append(self._result(component, members, nominal))
        return nominal, tuple(results), effective

    def _result(self, component: Component, members: Weights, nominal: Weights) -> ComponentResult:
        covariance = component_covariance(component, members, nominal, central=self._central)
        return ComponentResult(component, members, covariance)

    def estimate(self, statistic: Statistic) -> Estimate:
        """Compute any statistic of the weighted events: a mean, a quantile, a ratio, a fit.

        It is called once with the nominal weights and once for each member, so its cost is that of the
        function times the number of members.

        Parameters
        ----------
        statistic : callable
            ``statistic(events, weights)`` with a mapping of columns and ``weights[event]`` in float64;
            returns a number or a 1-D array, always of the same length. The weights are read-only.

        Returns
        -------
        Estimate
            Values and covariance, by component.

        Raises
        ------
        ObservableError
            If the function fails, or returns another shape or something that is not finite.
        """
        weights = self.nominal_weights.astype(np.float64)
        size: int | None = None

        def call(member: Weights, which: str, events: Events = self.events) -> Weights:
            nonlocal size
            where = f"statistic {getattr(statistic, '__name__', repr(statistic))!r}, {which}"
            member.flags.writeable = False  # the same array may serve several components
            try:
                value = np.atleast_1d(np.asarray(statistic(events, member), dtype=np.float64))
            except ObservableError:
                raise
            except Exception as error:
                msg = f"{where}: failed with {type(error).__name__}: {error}"
                raise ObservableError(msg) from error
            size = value.size if size is None else size
            if value.shape != (size,) or not np.isfinite(value).all():
                msg = f"{where}: expected {size} finite numbers; found {value!r}"
                raise ObservableError(msg)
            return value

        nominal = call(weights, "nominal weights")
        results = []
        for component in self.components:
            if component.kind == "scale":
                members = [call(weights * (1 + component.relative_uncertainty), component.name)]
            elif component.canvas is not None:
                events, other = self.canvas(component.canvas)
                members = [call(other.astype(np.float64), component.name, events)]
            elif component.kind == "event_sampling":
                ids = self._read(layout.EVENT_ID)
                seed = component.seed or 0
                members = [
                    call(weights * poisson_multiplicities(seed, replica, ids), f"event replica {replica}")
                    for replica in range(EVENT_SAMPLING_REPLICAS)
                ]
            else:
                members = []
                step = layout.FAMILY_CHUNK[1]
                for first in range(0, component.members, step):
                    name, columns = f"{layout.WEIGHTS}/{component.name}", slice(first, first + step)
                    block = self._read(name, columns=columns).astype(np.float64)
                    members += [
                        call(np.ascontiguousarray(block[:, i]), f"{component.name}[{first + i}]")
                        for i in range(block.shape[1])
                    ]
            results.append(self._result(component, np.stack(members), nominal))
        return Estimate(nominal, tuple(results))


def open_release(path: str | Path) -> Release:
    """Open a release for reading.

    The file's structure is inspected in a process of its own, and refused if it could harm a reader. Metadata, shapes
    and types are checked; columns and weights are read when they are used.

    Parameters
    ----------
    path : str or path-like
        The HDF5 file, or the manifest of a release in several files.

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
            msg = f"{path}: {findings[0]}{more}"
            raise ReleaseError(msg)
        stack.pop_all()
        return Release(store)
