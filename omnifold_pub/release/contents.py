"""What is in a release: its events, weights, canvases and networks, read when they are used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.accumulation.evaluation import WeightedEvents
from omnifold_pub.accumulation.event_set import EventSet
from omnifold_pub.accumulation.opened import Identity, identify
from omnifold_pub.errors import ReleaseError
from omnifold_pub.files import Closing
from omnifold_pub.format import layout
from omnifold_pub.format.reading import StoredArray
from omnifold_pub.format.store import Store
from omnifold_pub.format.tiles import MemoryArray
from omnifold_pub.messages import shorten, suggest
from omnifold_pub.observables.events import Events
from omnifold_pub.observables.momenta import momenta_of
from omnifold_pub.progress import Progress, silent
from omnifold_pub.statistics.components import CentralRule, Component

__all__ = ["Contents"]


class Contents(Closing):
    """The datasets of an open release and what they are.

    Attributes
    ----------
    path : pathlib.Path
        The file.
    metadata : dict
        As the release's schema describes it.
    components : tuple of Component
        What the covariance is the sum of.
    """

    def __init__(self, store: Store) -> None:
        self.path = store.path
        self.metadata = store.metadata
        self.components = tuple(Component.from_metadata(entry) for entry in store.metadata["components"])
        self._store = store
        self._loaded: dict[str, StoredArray] = {}
        self._central = cast("CentralRule", self.metadata["weights"]["central_value"]["rule"])

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
        report = progress or silent
        for number, name in enumerate(wanted):
            report(number, len(wanted), "loading")
            if name not in self._loaded:
                self._loaded[name] = MemoryArray(self._store.arrays[name].read())
        report(len(wanted), len(wanted), "loading")

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
