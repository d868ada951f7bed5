"""What an unfolding hands to the publisher, whatever program it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["ArraySource", "Canvas", "ClosureWeights", "UnfoldingResult"]


class ArraySource(Protocol):
    """An array, or anything that has a shape and gives its rows: a memory map, an HDF5 dataset, a class of your own.

    Sources are read once, block by block, so that they need not fit into memory.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """``(event,)`` or ``(event, member)``."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of its numbers."""

    def __getitem__(self, rows: slice, /) -> NDArray[Any]:
        """Return the given rows."""


@dataclass(frozen=True)
class Canvas:
    """Events of another generator with weights of their own.

    Attributes
    ----------
    event_id : array
        ``[event]``, integer, unique.
    columns : mapping
        ``columns[observable][event]``, for the same observables as the release.
    nominal : array
        ``[event]``, in the release's weight unit.
    families : mapping
        ``families[name][event, member]``.
    """

    event_id: ArraySource
    columns: Mapping[str, ArraySource]
    nominal: ArraySource
    families: Mapping[str, ArraySource] = field(default_factory=dict)


@dataclass(frozen=True)
class ClosureWeights:
    """Weights with which a reader repeats a closure test on the release's own events.

    Attributes
    ----------
    target : array, optional
        ``[event]``: what the unfolding should have found; None where it is a canvas.
    unfolded : array, optional
        ``[event]``: what it found; None where that is the nominal.
    """

    target: ArraySource | None = None
    unfolded: ArraySource | None = None


@dataclass(frozen=True)
class UnfoldingResult:
    """Particle-level events with their weights, and what is known about them.

    Attributes
    ----------
    event_id : array
        ``[event]``, int64, unique.
    columns : mapping
        ``columns[observable][event]``; NaN where the event lacks the object.
    nominal : array
        ``[event]``, in the weight unit: the sum over a region is its cross section.
    families : mapping
        ``families[component][event, member]``, same unit; stored as float32.
    metadata : dict
        After ``schemas/1.1.0/release.schema.json``; ``schema_version``, ``created``, ``events`` and each
        component's ``covariance`` are filled in by `omnifold_pub.publish`.
    prior : array, optional
        The simulation's own weights, ``[event]``, same unit.
    canvases : mapping
        ``canvases[name]``, as the metadata declare them.
    closure : mapping
        ``closure[test]``, as the metadata declare them.
    networks : mapping
        ``networks[name]``: bytes of a safetensors file.
    """

    event_id: ArraySource
    columns: Mapping[str, ArraySource]
    nominal: ArraySource
    families: Mapping[str, ArraySource]
    metadata: dict[str, Any]
    prior: ArraySource | None = field(default=None)
    canvases: Mapping[str, Canvas] = field(default_factory=dict)
    closure: Mapping[str, ClosureWeights] = field(default_factory=dict)
    networks: Mapping[str, bytes] = field(default_factory=dict)
