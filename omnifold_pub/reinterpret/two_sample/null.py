"""What a distance is if the theory is true: from the release's own replicas, not from independent events."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import StatisticsError
from omnifold_pub.statistics.components import CentralRule, Component

__all__ = ["Modes", "draws", "modes_of"]

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Modes:
    """A fluctuation of a sample's mean features: a normal number times each mode, all independent.

    Attributes
    ----------
    name : str
        Of the component.
    modes : numpy.ndarray
        ``[mode, feature]``.
    freedom : float
        Degrees of freedom of its size: infinite where it is no estimate.
    """

    name: str
    modes: Matrix
    freedom: float


def modes_of(component: Component, members: Matrix, nominal: Vector, *, central: CentralRule) -> Modes:
    """Return the modes whose covariance is that of a component.

    See `omnifold_pub.statistics.components.component_covariance`. A two-point moves all features together, whatever it
    declares between bins: without bins nothing else is defined.

    Parameters
    ----------
    members : numpy.ndarray
        ``[member, feature]``.
    nominal : numpy.ndarray
        ``[feature]``.
    central : {"mean", "median", "single"}
        How the nominal was made of the ensemble.

    Raises
    ------
    StatisticsError
        If there are not enough members.

    Examples
    --------
    >>> boot = Component("boot", "bootstrap")
    >>> modes_of(boot, np.array([[1.0], [3.0]]), np.array([2.0]), central="mean").modes.tolist()
    [[-1.0], [1.0]]
    """
    if not component.is_replicated:
        shifts = members - nominal
        if component.kind == "variation" and len(members) == 2:
            shifts = (members[:1] - members[1:]) / 2
        return Modes(component.name, shifts, math.inf)
    replicas = len(members)
    if replicas < 2:
        msg = f"component {component.name!r}: a null distribution needs at least 2 replicas; found {replicas}"
        raise StatisticsError(msg)
    modes = (members - members.mean(axis=0)) / math.sqrt(replicas - 1)
    if component.kind == "ensemble" and central != "single":
        modes = modes / math.sqrt(replicas)
        if central == "median":
            modes = modes * math.sqrt(math.pi / 2)
    return Modes(component.name, modes, _freedom(modes, replicas - 1))


def _freedom(modes: Matrix, freedom: int) -> float:
    """Return the degrees of freedom of the trace of an estimated covariance C, f tr(C)^2 / tr(C^2) for f of C itself.

    tr(C^2) is estimated without bias, as by Bai and Saranadasa, Statistica Sinica 6 (1996) 311. One direction has f,
    many of equal size have many times f: the sum of their squares is known as much better.
    """
    gram = modes @ modes.T
    trace, square = float(np.trace(gram)), float((gram**2).sum())
    if freedom < 2 or trace <= 0:
        return float(max(freedom, 1))
    unbiased = freedom**2 / ((freedom - 1) * (freedom + 2)) * (square - trace**2 / freedom)
    return freedom * trace**2 / max(unbiased, trace**2 / len(modes) / 10) if unbiased < trace**2 else float(freedom)


def draws(parts: Sequence[Modes], number: int, *, seed: int, block: int = 250) -> Iterator[Matrix]:
    """Yield blocks of ``[draw, feature]``: fluctuations under the null hypothesis.

    The size of a component that is an estimate is drawn too, as in Student's t: chi2 over its degrees of freedom.
    """
    rng = np.random.default_rng(seed)
    for start in range(0, number, block):
        count = min(block, number - start)
        total = np.zeros((count, parts[0].modes.shape[1]))
        for part in parts:
            numbers = rng.standard_normal((count, len(part.modes)))
            if math.isfinite(part.freedom):
                numbers /= np.sqrt(rng.chisquare(part.freedom, (count, 1)) / part.freedom)
            total += numbers @ part.modes
        yield total
