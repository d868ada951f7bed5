"""Poisson multiplicities that are a function of the event and of nothing else."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["poisson_multiplicities"]

# Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014: SplitMix64.
_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX2 = np.uint64(0x94D049BB133111EB)

_POISSON_CDF = np.cumsum([math.exp(-1) / math.factorial(k) for k in range(19)])  # 1 - CDF is below 2**-53 after


def _mix(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    state = (state ^ (state >> np.uint64(30))) * _MIX1
    state = (state ^ (state >> np.uint64(27))) * _MIX2
    return state ^ (state >> np.uint64(31))


def poisson_multiplicities(seed: int, replica: int, event_id: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return how often each event counts in a bootstrap replica: Poisson(1), from (seed, replica, event id).

    The same event gets the same multiplicity in every analysis that uses the same seed, whatever else it
    selects, so that their replicas can be combined. Each argument is passed through SplitMix64's mixing
    function; the upper 53 bits, as a uniform number, go through the inverse of the Poisson distribution.

    Parameters
    ----------
    seed, replica : int
        Not negative, below 2**63.
    event_id : numpy.ndarray
        ``event_id[event]``, integers.

    Returns
    -------
    numpy.ndarray
        ``multiplicity[event]``, uint8.

    Examples
    --------
    >>> poisson_multiplicities(1, 0, np.arange(8)).tolist()
    [0, 2, 0, 0, 0, 1, 1, 1]
    >>> poisson_multiplicities(1, 0, np.array([7, 1])).tolist()  # the same events, in other company
    [1, 2]
    """
    one = np.ones(1, dtype=np.uint64)
    with np.errstate(over="ignore"):  # arithmetic modulo 2**64 is what SplitMix64 is made of
        key = _mix(_mix(one * np.uint64(seed) + _GAMMA) + one * np.uint64(replica) + _GAMMA)
        bits = _mix(_mix(np.asarray(event_id).astype(np.int64).view(np.uint64) * _GAMMA + key) + _GAMMA)
    uniform = (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return np.searchsorted(_POISSON_CDF, uniform, side="right").astype(np.uint8)
