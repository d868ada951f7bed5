"""A measurement and a signal in coordinates where the covariance is the unit matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from omnifold_pub.errors import ObservableError, StatisticsError
from omnifold_pub.exchange.breakdown import error_sources
from omnifold_pub.presentation.measured import Measured
from omnifold_pub.statistics.covariances import checked_covariance, rank_of, spectrum

__all__ = ["Whitened", "stack", "whiten", "whiten_measurement"]

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

_LOST = 1e-6  # of a vector's length, in units of the errors, outside of the directions that V knows


@dataclass(frozen=True, eq=False)
class Whitened:
    """``data = mu signal + noise`` of unit covariance, apart from what named sources add.

    Attributes
    ----------
    transform : numpy.ndarray
        ``W[direction, bin]`` with W V W^T = 1.
    measured, background : numpy.ndarray
        ``x[bin]`` and ``b[bin]``, as they were before.
    data : numpy.ndarray
        ``y[direction]``: W (x - b).
    signal : numpy.ndarray
        ``t[direction]``: W s.
    shifts : mapping
        ``W D[direction]`` of each source that keeps its name: V is then the covariance without them.
    """

    transform: Matrix
    measured: Vector
    background: Vector
    data: Vector
    signal: Vector
    shifts: Mapping[str, Vector] = field(default_factory=dict)


def _vector(values: ArrayLike, bins: int, what: str) -> Vector:
    vector: Vector = np.asarray(values, dtype=np.float64).ravel()
    if len(vector) != bins:
        msg = f"the {what} has {len(vector)} bins; expected {bins}, those of the measurement, in its unit"
        raise ObservableError(msg)
    if not np.isfinite(vector).all():
        bad = int(np.flatnonzero(~np.isfinite(vector))[0])
        msg = f"the {what} is {vector[bad]} in bin {bad}; expected finite numbers"
        raise ObservableError(msg)
    return vector


def whiten(
    measured: ArrayLike,
    signal: ArrayLike,
    covariance: ArrayLike,
    *,
    background: ArrayLike | None = None,
    shifts: Mapping[str, ArrayLike] | None = None,
) -> Whitened:
    """Transform a measurement x = b + mu s so that its covariance V is the unit matrix.

    The directions are `omnifold_pub.statistics.covariances.Spectrum`: eigenvectors of the correlation matrix. Those
    that V does not know (of a normalised spectrum, its sum) are dropped if nothing is lost by it.

    Parameters
    ----------
    measured, signal, background : array_like
        ``[bin]``, in one unit; no background is zero.
    covariance : array_like
        ``[bin, bin]``, without the sources of ``shifts``.
    shifts : mapping, optional
        ``D[bin]`` of each source that keeps its name.

    Raises
    ------
    ObservableError
        If an array has another number of bins or is not finite, or the signal is zero everywhere.
    StatisticsError
        If the covariance is none, or what is measured or predicted has a part that it knows nothing of.

    Examples
    --------
    >>> white = whiten([5.0, 1.0], [1.0, 0.0], [[4.0, 0.0], [0.0, 1.0]], background=[3.0, 0.0])
    >>> (white.data @ white.data).round(9), (white.signal @ white.signal).round(9)
    (np.float64(2.0), np.float64(0.25))
    """
    x: Vector = np.asarray(measured, dtype=np.float64).ravel()
    bins = len(x)
    x = _vector(x, bins, "measurement")
    s = _vector(signal, bins, "signal")
    b = np.zeros(bins) if background is None else _vector(background, bins, "background")
    if not s.any():
        msg = "the signal is zero in every bin; expected one that moves the measurement"
        raise ObservableError(msg)
    matrix = checked_covariance(covariance, bins, "the covariance", semidefinite="checked")
    modes = spectrum(matrix)
    named = {name: _vector(shift, bins, f"shift of {name!r}") for name, shift in (shifts or {}).items()}
    if modes.rank < bins:
        errors = np.sqrt(np.diag(matrix))
        basis = modes.transform * errors
        basis /= np.linalg.norm(basis, axis=1)[:, np.newaxis]
        for what, vector in {"measurement less background": x - b, "signal": s, **named}.items():
            scaled = vector / errors
            outside = scaled - basis.T @ (basis @ scaled)
            if np.linalg.norm(outside) > _LOST * np.linalg.norm(scaled):
                msg = (
                    f"the {what} has a part in directions of which the covariance (rank {modes.rank} of {bins} bins) "
                    f"knows nothing, so that no fit can use it; {modes.shortage()}; of normalised spectra, the "
                    "background must be normalised too and the signal sum to zero, or one bin be left out"
                )
                raise StatisticsError(msg)
    white = modes.transform
    return Whitened(white, x, b, white @ (x - b), white @ s, {name: white @ d for name, d in named.items()})


def whiten_measurement(
    measured: Measured,
    signal: ArrayLike,
    *,
    background: ArrayLike | None = None,
    covariance: ArrayLike | None = None,
    leave_out: Sequence[str] = (),
    named: bool = False,
) -> Whitened:
    """Do so with the components of a measurement.

    Parameters
    ----------
    covariance : array_like, optional
        ``[bin, bin]`` of the prediction itself.
    leave_out : sequence of str
        Components that do not count.
    named : bool
        Keep sources that are one parameter each (variations, eigenvectors, scales) by name.

    Raises
    ------
    ObservableError
        If an array does not fit, or there is no component of a name.
    StatisticsError
        As `whiten`; also if the covariance is short of rank for want of replicas.
    """
    known = [component.name for component in measured.components]
    for name in leave_out:
        if name not in known:
            msg = f"no component {name!r} to leave out; there are {', '.join(known)}"
            raise ObservableError(msg)
    bins = len(measured.nominal)
    shifts: dict[str, Vector] = {}
    by_name: set[str] = set()
    for source in error_sources(measured) if named else ():
        if source.correlation == "full" and source.component.name not in leave_out:
            by_name.add(source.component.name)
            if source.shift.any():
                shifts[source.name] = source.shift
    results = [one for one in measured.results if one.component.name not in {*leave_out, *by_name}]
    total: Matrix = np.zeros((bins, bins))
    for result in results:
        total += result.covariance
    if covariance is not None:
        total += checked_covariance(covariance, bins, "the covariance of the prediction", semidefinite="checked")
    rank = rank_of(total) if total.any() else 0
    short = [r for r in results if r.replicas and rank < bins and rank_of(r.covariance) >= r.replicas - 1]
    if short:
        msg = (
            f"the covariance of {bins} bins has rank {rank}, and {short[0].component.name!r} only "
            f"{short[0].replicas} replicas; merge bins down to {rank} or fewer"
        )
        raise StatisticsError(msg)
    return whiten(measured.nominal, signal, total, background=background, shifts=shifts)


def stack(parts: Sequence[Whitened]) -> Whitened:
    """Put measurements one after the other: independent, but for the sources that have the same name.

    Examples
    --------
    >>> one = whiten([1.0], [1.0], [[4.0]])
    >>> stack([one, one]).transform
    array([[0.5, 0. ],
           [0. , 0.5]])
    """
    directions, bins = (np.cumsum([0, *(part.transform.shape[axis] for part in parts)]) for axis in (0, 1))
    transform: Matrix = np.zeros((int(directions[-1]), int(bins[-1])))
    shifts: dict[str, Vector] = {name: np.zeros(int(directions[-1])) for part in parts for name in part.shifts}
    for number, part in enumerate(parts):
        rows = slice(int(directions[number]), int(directions[number + 1]))
        transform[rows, int(bins[number]) : int(bins[number + 1])] = part.transform
        for name, shift in part.shifts.items():
            shifts[name][rows] = shift
    return Whitened(
        transform,
        np.concatenate([part.measured for part in parts]),
        np.concatenate([part.background for part in parts]),
        np.concatenate([part.data for part in parts]),
        np.concatenate([part.signal for part in parts]),
        shifts,
    )
