"""How far each observable can be measured: what lies outside of the spectrum's bins, where the tails run out."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Reach", "reach_of", "tail_limit"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Reach:
    """How far an observable can be measured.

    Attributes
    ----------
    observable : str
        Its name.
    first, last : float
        Outer edges of the spectrum.
    outside : float
        Share of the cross section that has the observable and is outside of them.
    absent : float
        Share of the cross section whose events do not have it.
    lowest, highest : float or None
        One bin of all events below ``lowest``, or above ``highest``, still holds the effective events that the
        publisher asks for, and none that begins further out does. None if nothing is asked for, or there is none.
    """

    observable: str
    first: float
    last: float
    outside: float
    absent: float
    lowest: float | None
    highest: float | None


def tail_limit(values: Array, weights: Array, least: float) -> float | None:
    """Return the largest x for which the events with value >= x amount to enough effective events.

    Parameters
    ----------
    values, weights : numpy.ndarray
        ``[event]``, finite values.
    least : float
        Least (sum w)^2 / sum w^2 of these events (Kish, Survey Sampling, 1965).

    Returns
    -------
    float or None
        None if all events together are too few.

    Examples
    --------
    >>> tail_limit(np.array([1.0, 2.0, 2.0, 3.0]), np.ones(4), 2)
    2.0
    """
    order = np.argsort(-values, kind="stable")
    ordered, w = values[order], weights[order]
    squares = np.cumsum(w**2)
    effective = np.divide(np.cumsum(w) ** 2, squares, out=np.zeros_like(squares), where=squares > 0)
    whole = np.append(ordered[1:] != ordered[:-1], True)[: len(ordered)]  # events of the same value go together
    enough = np.flatnonzero(whole & (effective >= least))
    return float(ordered[enough[0]]) if len(enough) else None


def reach_of(name: str, values: Array, weights: Array, *, edges: Array, least: float) -> Reach:
    """Return how far an observable can be measured.

    Parameters
    ----------
    name : str
        Of the observable.
    values, weights : numpy.ndarray
        ``[event]``; NaN where an event does not have the observable.
    edges : numpy.ndarray
        ``[bin + 1]`` of its spectrum.
    least : float
        Effective events that the publisher asks for in each bin.
    """
    there = ~np.isnan(values)
    v, w = values[there], weights[there]
    total, of_all = float(w.sum()), float(weights.sum())
    outside = float(w[(v < edges[0]) | (v > edges[-1])].sum())
    lowest = highest = None
    if least > 0 and len(v):
        highest, mirrored = tail_limit(v, w, least), tail_limit(-v, w, least)
        lowest = None if mirrored is None else -mirrored
    return Reach(
        observable=name,
        first=float(edges[0]),
        last=float(edges[-1]),
        outside=outside / total if total else math.nan,
        absent=1 - total / of_all if of_all else math.nan,
        lowest=lowest,
        highest=highest,
    )
