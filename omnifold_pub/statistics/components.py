"""Components of the covariance: each declares its kind, and the kind fixes its formula."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import StatisticsError

__all__ = [
    "REPLICA_KINDS",
    "CentralRule",
    "Component",
    "ComponentResult",
    "Kind",
    "component_covariance",
    "covariance_convention",
]

Kind = Literal["bootstrap", "ensemble", "variation", "two_point", "hessian", "scale", "event_sampling"]
CentralRule = Literal["mean", "median", "single"]

REPLICA_KINDS: frozenset[Kind] = frozenset({"bootstrap", "ensemble"})
"""Kinds whose covariance is estimated from a finite number of replicas."""


@dataclass(frozen=True)
class Component:
    """One source of uncertainty, as the metadata of a release declare it.

    Attributes
    ----------
    name : str
        Also the name of its weight family, where it has one.
    kind : str
        See `component_covariance`.
    description : str
        In words.
    members : int
        Columns of its family; 0 for kinds without one.
    includes_event_sampling : bool
        True where the multiplicities of the published events are in a bootstrap's weights.
    correlated : bool
        False: a two-point counts bin by bin.
    relative_uncertainty : float
        Of a scale.
    seed : int, optional
        Of a bootstrap's multiplicities, and of the Poisson bootstrap that stands for ``event_sampling``
        in statistics other than histograms. None where it was not recorded.
    canvas : str, optional
        Of a two-point whose other side has events of its own: the name of their canvas.
    """

    name: str
    kind: Kind
    description: str = ""
    members: int = 0
    includes_event_sampling: bool = False
    correlated: bool = True
    relative_uncertainty: float = 0.0
    seed: int | None = 0
    canvas: str | None = None

    @classmethod
    def from_metadata(cls, entry: dict[str, Any]) -> Component:
        """Build from an entry of the metadata's ``components`` (further keys there are provenance)."""
        fields = {key: value for key, value in entry.items() if key in cls.__dataclass_fields__}
        return cls(**fields, correlated=entry["covariance"]["correlation"] != "none")

    @property
    def is_replicated(self) -> bool:
        """Whether its covariance is that of replicas, be they stored or drawn."""
        return self.kind in REPLICA_KINDS or self.kind == "event_sampling"

    @property
    def has_family(self) -> bool:
        """Whether there is a weight family of this name."""
        return self.members > 0


@dataclass(frozen=True)
class ComponentResult:
    """What a component does to one statistic.

    Attributes
    ----------
    component : Component
        The declaration.
    members : numpy.ndarray
        ``T[member, bin]`` under each member; empty for an analytic ``event_sampling``.
    covariance : numpy.ndarray
        ``covariance[bin, bin]``.
    """

    component: Component
    members: NDArray[np.float64]
    covariance: NDArray[np.float64]

    @property
    def replicas(self) -> int:
        """Members that the covariance is estimated from; 0 where it is analytic."""
        return len(self.members) if self.component.is_replicated else 0


_SUM = "sum over members of (T_m - centre)(T_m - centre)^T / divisor"


def covariance_convention(entry: dict[str, Any], central: CentralRule) -> dict[str, str]:
    """Return what `component_covariance` does to a component, in the words that its metadata must repeat.

    Parameters
    ----------
    entry : dict
        Of the metadata's ``components``. The correlation between bins of a two-point is the publisher's choice.
    central : {"mean", "median", "single"}
        How the nominal was made of the ensemble.

    Examples
    --------
    >>> covariance_convention({"kind": "bootstrap"}, "mean")["divisor"]
    'R - 1'
    """
    kind: Kind = entry["kind"]
    correlation = "estimated" if kind in REPLICA_KINDS else "full"
    centre, divisor = ("mean of the members", "R - 1") if kind in REPLICA_KINDS else ("nominal", "1")
    estimator = _SUM
    if kind == "ensemble":
        divisor = {"mean": "K (K - 1)", "median": "(2 / pi) K (K - 1)", "single": "K - 1"}[central]
    elif kind == "variation" and entry.get("members") == 2:
        estimator, centre, divisor = "(T_1 - T_2)(T_1 - T_2)^T / divisor", "the other member", "4"
    elif kind == "two_point":
        correlation = entry.get("covariance", {}).get("correlation", "full")
        if "canvas" in entry:
            estimator = "(T of the canvas - centre)(T of the canvas - centre)^T / divisor"
    elif kind == "scale":
        estimator = "(T of w (1 + d) - centre)(T of w (1 + d) - centre)^T / divisor"
    elif kind == "event_sampling":
        estimator = "histograms: sum of w^2 over events in both bins; otherwise Poisson bootstrap of the events"
        correlation = "estimated"
    return {"estimator": estimator, "centre": centre, "divisor": divisor, "correlation": correlation}


def component_covariance(
    component: Component,
    members: NDArray[np.float64],
    nominal: NDArray[np.float64],
    *,
    central: CentralRule,
) -> NDArray[np.float64]:
    r"""Compute a component's covariance of a statistic T.

    ================== ====================================================================
    ``bootstrap``      :math:`\frac{1}{R-1}\sum_m (T_m-\bar T)(T_m-\bar T)^T`
    ``ensemble``       C/K if the nominal is the mean of the K members, (pi/2) C/K if it is
                       their median, C if it is a single run; C the sample covariance
    ``variation``      D D^T, D = T_1 - T_0, or (T_1 - T_2)/2 of an up/down pair
    ``two_point``      D D^T, or its diagonal where it is declared uncorrelated
    ``hessian``        sum of D_k D_k^T
    ``scale``          D D^T with all weights scaled by one plus the relative uncertainty
    ``event_sampling`` as ``bootstrap``, over Poisson replicas of the published events
    ================== ====================================================================

    Bootstraps are centred on their own mean: the replicas' bias is reported apart, never folded in. The
    factor for the median is its asymptotic efficiency for a normal distribution (Kendall and Stuart, The
    Advanced Theory of Statistics, vol. 1, ch. 10); it is not meant for a handful of members.

    Parameters
    ----------
    members : numpy.ndarray
        ``T[member, bin]``.
    nominal : numpy.ndarray
        ``T_0[bin]``.
    central : {"mean", "median", "single"}
        How the nominal was made of the ensemble.

    Returns
    -------
    numpy.ndarray
        ``covariance[bin, bin]``, positive semi-definite.

    Raises
    ------
    StatisticsError
        If a replica kind has fewer than two members, or a statistic is not finite.

    Examples
    --------
    >>> pair = Component("scale_up_down", "variation")
    >>> component_covariance(pair, np.array([[3.0], [-1.0]]), np.array([0.0]), central="mean")
    array([[4.]])
    """
    if not np.isfinite(members).all():
        bad = np.flatnonzero(~np.isfinite(members).all(axis=1))
        msg = f"component {component.name!r}: the statistic is not finite under member {bad[0]} ({len(bad)} in all)"
        raise StatisticsError(msg)
    if not np.isfinite(nominal).all():
        bad = np.flatnonzero(~np.isfinite(nominal))
        msg = f"the nominal statistic is not finite in bin {bad[0]} ({len(bad)} in all)"
        raise StatisticsError(msg)
    if component.is_replicated:
        replicas = len(members)
        if replicas < 2:
            msg = f"component {component.name!r}: a covariance needs at least 2 replicas; found {replicas}"
            raise StatisticsError(msg)
        spread = members - members.mean(axis=0)
        covariance: NDArray[np.float64] = spread.T @ spread / (replicas - 1)
        if component.kind == "ensemble" and central != "single":
            covariance /= replicas
            if central == "median":
                covariance *= math.pi / 2
        return covariance
    shifts = members - nominal
    if component.kind == "variation" and len(members) == 2:
        shifts = (members[:1] - members[1:]) / 2
    covariance = shifts.T @ shifts
    if component.kind == "two_point" and not component.correlated:
        covariance = np.diag(np.diag(covariance))
    return covariance
