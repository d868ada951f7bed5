"""Weights of a theory under its variations, and how they combine to an uncertainty."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from omnifold_pub.errors import InputError, StatisticsError
from omnifold_pub.messages import repeated, shorten, suggest
from omnifold_pub.statistics.components import Component, ComponentResult

__all__ = ["ONE_SIGMA", "Combination", "Family", "Rule", "check_family", "combine", "pick_members", "shifts_of"]

Rule = Literal["envelope", "hessian", "replicas"]
ONE_SIGMA = 0.6826894921370859
"""Probability within one standard deviation of a normal distribution."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Combination:
    """Which variations make a family, and how they combine.

    Attributes
    ----------
    rule : {"envelope", "hessian", "replicas"}
        See `combine`.
    members : tuple of str
        Names of the weights, each whole; ``*`` and ``?`` stand for any text and any character.
    paired : bool
        Hessian alone: members 2k and 2k + 1 are the two sides of one eigenvector.
    confidence_level : float
        Hessian alone: of the eigenvectors; 0.9 for sets that say so, one standard deviation by default.

    Raises
    ------
    InputError
        If they do not fit to each other.

    Examples
    --------
    >>> round(Combination("hessian", ("PDF*",), confidence_level=0.9).scale, 3)
    0.608
    """

    rule: Rule
    members: tuple[str, ...] = ("*",)
    paired: bool = False
    confidence_level: float = ONE_SIGMA

    def __post_init__(self) -> None:
        if self.rule not in get_args(Rule):
            msg = f"rule: expected one of {', '.join(get_args(Rule))}; found {shorten(self.rule)}"
            raise InputError(msg)
        if isinstance(self.members, str) or not self.members:
            msg = f"members: expected a sequence of names of weights, at least one; found {shorten(self.members)}"
            raise InputError(msg)
        if self.rule != "hessian" and (self.paired or self.confidence_level != ONE_SIGMA):
            msg = f"paired and confidence_level are of a hessian; found them with rule {self.rule!r}: leave them out"
            raise InputError(msg)
        if not 0 < self.confidence_level < 1:
            msg = f"confidence_level: expected a probability between 0 and 1; found {shorten(self.confidence_level)}"
            raise InputError(msg)

    @property
    def scale(self) -> float:
        """What makes standard deviations of the eigenvectors' shifts."""
        return float(1 / ndtri((1 + self.confidence_level) / 2))


@dataclass(frozen=True, eq=False)
class Family:
    """Weights of the same events under variations of one kind.

    Attributes
    ----------
    combination : Combination
        How they combine.
    names : tuple of str
        Of the members, in their order.
    weights : numpy.ndarray
        ``weights[event, member]``, float64, in the unit of the theory's weights.
    """

    combination: Combination
    names: tuple[str, ...]
    weights: Array


def pick_members(combination: Combination, there: Sequence[str], where: str) -> tuple[str, ...]:
    """Return the names of the weights that a combination asks for, those of each pattern in the order of the file.

    Raises
    ------
    InputError
        If a pattern fits none, or two fit the same.

    Examples
    --------
    >>> pick_members(Combination("envelope", ("mu*",)), ["nominal", "muUp", "muDown"], "file")
    ('muUp', 'muDown')
    """
    found: list[str] = []
    for pattern in combination.members:
        fitting = [pattern] if pattern in there else fnmatch.filter(there, pattern)
        if not fitting:
            msg = f"{where}: no weight {shorten(pattern)}; {suggest(pattern, there)}"
            raise InputError(msg)
        found += fitting
    twice = repeated(found)
    if twice:
        msg = f"{where}: expected each weight once in a family; found {', '.join(twice)} several times"
        raise InputError(msg)
    return tuple(found)


def check_family(name: str, family: Family, nominal: Array, where: str) -> None:
    """Refuse a family that does not fit to its theory.

    Raises
    ------
    InputError
        If its shape is another one, a weight is not finite, a member sums to nothing, or the members are too few for
        the rule.
    """
    if not isinstance(family, Family) or not isinstance(family.weights, np.ndarray):
        found = family.weights if isinstance(family, Family) else family
        msg = f"{where}: family {name!r}: expected a Family, with an array of weights; found {shorten(found)}"
        raise InputError(msg)
    twice = repeated(family.names)
    if twice:
        msg = f"{where}: family {name!r}: expected members with names of their own; found {', '.join(twice)} again"
        raise InputError(msg)
    weights, rule = family.weights, family.combination.rule
    if weights.ndim != 2 or weights.shape != (len(nominal), len(family.names)):
        msg = (
            f"{where}: family {name!r}: expected weights[event, member] of {len(nominal)} events and "
            f"{len(family.names)} members; found an array of shape {weights.shape}"
        )
        raise InputError(msg)
    bad = np.flatnonzero(~np.isfinite(weights).all(axis=0))
    if len(bad):
        msg = (
            f"{where}: family {name!r}: weights of member {family.names[bad[0]]!r} are not finite ({len(bad)} such "
            "members); remove these events or mend their weights"
        )
        raise InputError(msg)
    empty = np.flatnonzero(~(weights.sum(axis=0) > 0))
    if len(empty):
        total = weights[:, empty[0]].sum()
        msg = (
            f"{where}: family {name!r}: weights of member {family.names[empty[0]]!r} sum to {total:g}; expected above 0"
        )
        raise InputError(msg)
    if rule == "replicas" and weights.shape[1] < 2:
        msg = f"{where}: family {name!r}: replicas: expected at least 2; found {weights.shape[1]}"
        raise InputError(msg)
    if family.combination.paired and weights.shape[1] % 2:
        msg = f"{where}: family {name!r}: paired: expected an even number of members; found {weights.shape[1]}"
        raise InputError(msg)


def shifts_of(combination: Combination, members: Array, nominal: Array) -> Array:
    r"""Return what a family shifts a prediction by: ``shift[direction, bin]``, signed, of one standard deviation each.

    Parameters
    ----------
    members : numpy.ndarray
        ``T[member, bin]``.
    nominal : numpy.ndarray
        ``T_0[bin]``.

    Returns
    -------
    numpy.ndarray
        The covariance is the sum of ``outer(shift, shift)``; see `combine` for what they are.

    Examples
    --------
    >>> scales = np.array([[12.0, 9.0], [9.0, 10.5]])
    >>> shifts_of(Combination("envelope"), scales, np.array([10.0, 10.0]))
    array([[ 1.5 , -0.75]])
    """
    if combination.rule == "replicas":
        spread: Array = (members - members.mean(axis=0)) / np.sqrt(len(members) - 1)
        return spread
    shifts = members - nominal
    if combination.rule == "hessian":
        if combination.paired:
            shifts = (members[::2] - members[1::2]) / 2
        return np.asarray(combination.scale * shifts)
    half = (np.maximum(shifts.max(axis=0), 0) - np.minimum(shifts.min(axis=0), 0)) / 2
    size = np.divide(shifts, nominal, out=np.zeros_like(shifts), where=nominal != 0)
    leading = shifts[int((size**2).sum(axis=1).argmax())]
    return np.asarray(np.where(leading < 0, -half, half)[np.newaxis])


def combine(name: str, combination: Combination, members: Array, nominal: Array) -> ComponentResult:
    r"""Return what a family contributes to the covariance of a prediction T.

    ============ =====================================================================================
    ``hessian``  :math:`\sum_k D_k D_k^T` with D = T_k - T_0, or half the difference of the two sides of
                 an eigenvector (Pumplin et al., PRD 65 (2001) 014013), scaled to one standard deviation
    ``replicas`` :math:`\frac{1}{R-1}\sum_r (T_r-\bar T)(T_r-\bar T)^T` (Forte, Acta Phys. Pol. B 41 (2010) 2859)
    ``envelope`` :math:`D D^T` with one D whose size is half the width of the envelope of members and nominal in
                 every bin, signed as the member that moves the prediction most (relative to it, all bins together).
                 An envelope is no probability: read as one nuisance parameter it is a convention, and fails where
                 the members cross in between
    ============ =====================================================================================

    Parameters
    ----------
    members : numpy.ndarray
        ``T[member, bin]``.
    nominal : numpy.ndarray
        ``T_0[bin]``.

    Returns
    -------
    ComponentResult
        Of kind ``bootstrap`` for replicas and ``hessian`` otherwise.

    Raises
    ------
    StatisticsError
        If the prediction is not finite under a member.

    Examples
    --------
    >>> result = combine("alphaS", Combination("hessian", paired=True), np.array([[11.0], [9.0]]), np.array([10.2]))
    >>> result.covariance
    array([[1.]])
    """
    bad = np.flatnonzero(~np.isfinite(members).all(axis=1))
    if len(bad):
        msg = f"theory family {name!r}: the prediction is not finite under member {bad[0]} ({len(bad)} in all)"
        raise StatisticsError(msg)
    shifts = shifts_of(combination, members, nominal)
    kind: Literal["bootstrap", "hessian"] = "bootstrap" if combination.rule == "replicas" else "hessian"
    component = Component(name, kind, f"theory, {combination.rule}", members=len(members))
    return ComponentResult(component, members, shifts.T @ shifts)
