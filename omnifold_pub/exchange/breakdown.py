"""The uncertainty of a measurement as sources that have a name, a sign and a rule between bins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.presentation.measured import Measured
from omnifold_pub.statistics.components import Component, ComponentResult

__all__ = ["Correlation", "ErrorSource", "error_sources"]

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Correlation = Literal["estimated", "full", "none"]

_PREFIX = {"estimated": "stat", "full": "sys", "none": "uncor"}
_NOTHING_LEFT = 1e-10  # of a variance, behind the directions that were taken out


@dataclass(frozen=True, eq=False)
class ErrorSource:
    """One source of uncertainty.

    Attributes
    ----------
    name : str
        Of the component; of its eigenvectors, with their number behind it: ``pdf[1]``.
    component : Component
        That it is, or is a part of.
    correlation : {"estimated", "full", "none"}
        Between bins: ``full`` for one parameter that moves all of them (the covariance is D D^T), ``none`` for a
        two-point that its publisher declared so, ``estimated`` for replicas, whose matrix must be looked up.
    shift : numpy.ndarray
        ``D[bin]``, signed where the source is a parameter; the standard deviation where it is estimated.
    """

    name: str
    component: Component
    correlation: Correlation
    shift: Vector

    def label(self, separator: str) -> str:
        """Return the name behind ``stat``, ``sys`` or ``uncor``, as HEPData, Rivet and Contur read labels.

        Examples
        --------
        >>> ErrorSource("muons", Component("muons", "variation"), "full", np.ones(1)).label(",")
        'sys,muons'
        """
        return f"{_PREFIX[self.correlation]}{separator}{self.name}"


def error_sources(measured: Measured) -> tuple[ErrorSource, ...]:
    """Break the covariance down to sources; of each component their squares sum to its diagonal.

    ``variation``, ``two_point`` and ``scale`` are one source each, D as `component_covariance` has it (half the
    difference of an up/down pair); a ``hessian`` is one for each eigenvector. Where a document left the members out, D
    is taken from the covariance: it is the same but for its sign, which is then positive in the bin that knows most.

    Parameters
    ----------
    measured : Measured
        Values with a covariance by component.

    Returns
    -------
    tuple of ErrorSource
        In the order of the components.
    """
    return tuple(source for result in measured.results for source in _sources(result, measured.nominal))


def _sources(result: ComponentResult, nominal: Vector) -> list[ErrorSource]:
    component = result.component
    if component.is_replicated:
        return [ErrorSource(component.name, component, "estimated", np.sqrt(np.diag(result.covariance)))]
    correlation: Correlation = "none" if component.kind == "two_point" and not component.correlated else "full"
    shifts = _shifts(result, nominal, correlation)
    names = [component.name] if len(shifts) == 1 else [f"{component.name}[{i}]" for i in range(1, len(shifts) + 1)]
    return [ErrorSource(name, component, correlation, shift) for name, shift in zip(names, shifts, strict=True)]


def _shifts(result: ComponentResult, nominal: Vector, correlation: Correlation) -> Matrix:
    """Return ``D[source, bin]``."""
    members = result.members
    if len(members) == 0 or np.isnan(members).any():
        if correlation == "none":
            return np.sqrt(np.diag(result.covariance))[np.newaxis]
        return _directions(result.covariance)
    if result.component.kind == "variation" and len(members) == 2:
        return (members[:1] - members[1:]) / 2
    return members - nominal


def _directions(covariance: Matrix) -> Matrix:
    """Return rows D_k with sum D_k D_k^T the covariance: its Cholesky decomposition, largest pivot first."""
    rest = covariance.copy()
    variances = np.diag(covariance)
    known = variances > 0
    found: list[Vector] = []
    for _ in range(int(known.sum())):
        share = np.divide(np.diag(rest), variances, out=np.zeros_like(variances), where=known)
        pivot = int(share.argmax())
        if share[pivot] <= _NOTHING_LEFT:
            break
        found.append(rest[:, pivot] / np.sqrt(rest[pivot, pivot]))
        rest -= np.outer(found[-1], found[-1])
    return np.array(found) if found else np.zeros((1, len(covariance)))
