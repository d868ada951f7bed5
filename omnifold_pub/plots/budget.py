"""What an uncertainty is made of, few enough parts for a picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.measurement import Estimate
from omnifold_pub.plots.bins import over

__all__ = ["MOST_PARTS", "shares"]

Vector = NDArray[np.float64]

MOST_PARTS = 7


def shares(estimate: Estimate, *, most: int = MOST_PARTS) -> tuple[tuple[str, Vector], ...]:
    """Return ``uncertainty[bin]`` by component, the largest first, the smallest of many summed up in quadrature.

    Parameters
    ----------
    estimate : Estimate
        Its values say how large an uncertainty is.
    most : int
        Parts at most.

    Returns
    -------
    tuple of (str, numpy.ndarray)
        Their squares sum to the diagonal of the covariance.
    """
    values = np.abs(estimate.nominal)
    sizes = {component.name: estimate.uncertainties(component.name) for component in estimate.components}
    ordered = sorted(sizes, key=lambda name: float(np.nansum(over(sizes[name], values))), reverse=True)
    kept, rest = ordered, []
    if len(ordered) > most:
        kept, rest = ordered[: most - 1], ordered[most - 1 :]
    parts = [(name, sizes[name]) for name in kept]
    if rest:
        together = np.sqrt(np.sum([sizes[name] ** 2 for name in rest], axis=0))
        parts.append((f"{len(rest)} smaller ones", together))
    return tuple(parts)
