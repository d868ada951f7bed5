"""What an unfolding hands to the publisher, whatever program it came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["UnfoldingResult"]


@dataclass(frozen=True)
class UnfoldingResult:
    """Particle-level events with their weights, and what is known about them.

    Attributes
    ----------
    event_id : numpy.ndarray
        ``[event]``, int64, unique.
    columns : dict
        ``columns[observable][event]``, float32; NaN where the event lacks the object.
    nominal : numpy.ndarray
        ``[event]``, float32, in the weight unit: the sum over a region is its cross section.
    families : dict
        ``families[component][event, member]``, float32, same unit.
    metadata : dict
        After ``schemas/1.0.0/release.schema.json``; ``schema_version``, ``created`` and ``events`` are
        filled in by `omnifold_pub.publish`.
    prior : numpy.ndarray, optional
        The simulation's own weights, ``[event]``, float32, same unit.
    """

    event_id: NDArray[np.int64]
    columns: dict[str, NDArray[np.float32]]
    nominal: NDArray[np.float32]
    families: dict[str, NDArray[np.float32]]
    metadata: dict[str, Any]
    prior: NDArray[np.float32] | None = field(default=None)
