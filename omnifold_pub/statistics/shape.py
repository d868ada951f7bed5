"""Shape-only comparisons: spectra normalised to one, without the bin that the normalisation fixes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from omnifold_pub.errors import StatisticsError
from omnifold_pub.messages import shorten
from omnifold_pub.statistics.components import CentralRule, ComponentResult, component_covariance
from omnifold_pub.statistics.covariances import checked_covariance, checked_two_points

__all__ = ["ShapeComparison", "kept_bins", "normalisation_slope", "normalised", "shape_only"]

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]


class ShapeComparison(NamedTuple):
    """What `omnifold_pub.statistics.inference.chi2_test` takes, of normalised spectra; one bin of each group less.

    Attributes
    ----------
    residual : numpy.ndarray
        ``[kept bin]``: normalised measurement less normalised prediction.
    components : list of ComponentResult
        The components' members and covariances, of the normalised spectra; in the order they came.
    extra : numpy.ndarray or None
        ``covariance[kept bin, kept bin]`` of the normalised prediction.
    """

    residual: Vector
    components: list[ComponentResult]
    extra: Matrix | None


def _place(number: int, names: Sequence[str]) -> str:
    """Return what a group is called in messages."""
    return shorten(names[number]) if names else f"group {number}"


def kept_bins(groups: Sequence[slice], *, drop: int = -1, names: Sequence[str] = ()) -> NDArray[np.intp]:
    """Return the bins that a shape-only comparison keeps: all but one of each group.

    Parameters
    ----------
    groups : sequence of slice
        The bins of each observable.
    drop : int
        Position within each group of the bin that is left out.
    names : sequence of str
        Of the groups, for messages.

    Raises
    ------
    StatisticsError
        If a group has fewer than two bins, or no bin at that position.

    Examples
    --------
    >>> kept_bins([slice(0, 3), slice(3, 5)]).tolist()
    [0, 1, 3]
    """
    kept = []
    for number, group in enumerate(groups):
        places = range(group.stop)[group]
        if len(places) < 2:
            msg = (
                f"{_place(number, names)} has {len(places)} bin(s); a normalised spectrum needs at least 2, since "
                "one is fixed by the others; leave that observable out"
            )
            raise StatisticsError(msg)
        if not -len(places) <= drop < len(places):
            msg = f"{_place(number, names)} has {len(places)} bins; there is no bin {drop} in it to leave out"
            raise StatisticsError(msg)
        kept += [place for place in places if place != places[drop]]
    return np.array(kept, dtype=np.intp)


def _check_groups(groups: Sequence[slice], bins: int) -> None:
    """Refuse groups that are no partition of the bins."""
    counts = np.zeros(bins, dtype=np.int64)
    for group in groups:
        counts[group] += 1
    wrong = np.flatnonzero(counts != 1)
    beyond = [group for group in groups if group.stop is None or group.stop > bins]
    if len(wrong) or beyond:
        where = f"bin {wrong[0]} is in {counts[wrong[0]]} of them" if len(wrong) else f"{beyond[0]} goes beyond them"
        msg = f"the groups must share out {bins} bins, each bin to one group with both ends given; {where}"
        raise StatisticsError(msg)


def _sums(values: Matrix, groups: Sequence[slice], what: str, names: Sequence[str]) -> Matrix:
    """Return ``[..., bin]``: the sum of the group that a bin is in."""
    sums = np.empty_like(values)
    for number, group in enumerate(groups):
        total = values[..., group].sum(axis=-1, keepdims=True)
        bad = np.argwhere(~(np.isfinite(total) & (total > 0)))
        if len(bad):
            member = f" under member {bad[0][0]}" if values.ndim > 1 else ""
            msg = (
                f"{what}: the bins of {_place(number, names)} add up to {float(total[tuple(bad[0])]):g}{member}; a "
                "spectrum can only be normalised by a sum above zero; widen the bins or leave that observable out"
            )
            raise StatisticsError(msg)
        sums[..., group] = total
    return sums


def _projection(normalised: Vector, groups: Sequence[slice]) -> Matrix:
    """Return ``I - t 1^T`` of each group: the derivative of x / sum(x) where the sum is one."""
    projection = np.eye(len(normalised))
    for group in groups:
        projection[group, group] -= normalised[group, np.newaxis]
    return projection


def normalised(values: Matrix, groups: Sequence[slice], what: str, *, names: Sequence[str] = ()) -> Matrix:
    """Return ``[..., bin]`` with each group of bins divided by its own sum.

    Parameters
    ----------
    values : numpy.ndarray
        ``T[bin]`` or ``T[member, bin]``.
    groups : sequence of slice
        The bins of each observable; together all bins.
    what : str
        What the values are, for the message.
    names : sequence of str
        Of the groups, for the message.

    Raises
    ------
    StatisticsError
        If a sum is not above zero, or not finite.

    Examples
    --------
    >>> normalised(np.array([3.0, 1.0]), [slice(0, 2)], "this").tolist()
    [0.75, 0.25]
    """
    return values / _sums(values, groups, what, names)


def normalisation_slope(values: Vector, groups: Sequence[slice], what: str, *, names: Sequence[str] = ()) -> Matrix:
    """Return the derivative of `normalised`, ``[bin, bin]``: J = (I - t 1^T) / S in each group.

    Raises
    ------
    StatisticsError
        As `normalised`.
    """
    sums = _sums(values, groups, what, names)
    return _projection(values / sums, groups) / sums


def shape_only(
    nominal: ArrayLike,
    components: Sequence[ComponentResult],
    prediction: ArrayLike,
    *,
    covariance: ArrayLike | None = None,
    groups: Sequence[slice],
    central: CentralRule,
    decorrelate: Sequence[str] = (),
    drop: int = -1,
    names: Sequence[str] = (),
) -> ShapeComparison:
    r"""Normalise a measurement and a prediction to one, so that only their shapes are compared.

    Each group of bins is divided by its own sum. Members are divided by theirs, one by one, and
    `omnifold_pub.statistics.components.component_covariance` is applied to them again: no linear approximation. What
    has a covariance only (``event_sampling`` of a histogram, the prediction) goes through the derivative

    .. math:: C \to J C J^T, \quad J = (I - t 1^T) / S, \quad t = x / S, \quad S = \sum x

    A scale changes no shape: its covariance is zero. A normalised group of p bins knows p - 1 numbers, so one bin of
    each is left out afterwards; chi2 is the same whichever it is (d^T V^-1 d is that of the pseudo-inverse of the
    matrix of all bins, in any basis of the p - 1 numbers).

    A two-point that counts bin by bin, be it declared so or asked for here, has the diagonal of its normalised
    covariance projected back on spectra that add up to one, (I - t 1^T) diag(D^2) (I - t 1^T)^T. Ask for it here and
    not of the test: a diagonal taken after a bin is left out would depend on which.

    Parameters
    ----------
    nominal : numpy.ndarray
        ``T_0[bin]``: contents of bins, not densities.
    components : sequence of ComponentResult
        Of ``nominal``.
    prediction : numpy.ndarray
        ``T[bin]``, in any unit.
    covariance : numpy.ndarray, optional
        ``covariance[bin, bin]`` of the prediction, in the square of its unit.
    groups : sequence of slice
        The bins of each observable, both ends given; together all bins, none of them twice.
    central : {"mean", "median", "single"}
        How the nominal was made of the ensemble.
    decorrelate : sequence of str
        Two-point components that count bin by bin in this comparison.
    drop : int
        Position within each group of the bin that is left out.
    names : sequence of str
        Of the groups, for messages.

    Returns
    -------
    ShapeComparison
        (residual, components, extra).

    Raises
    ------
    StatisticsError
        If a sum is not above zero, or not finite; if the groups do not share out the bins, or one has fewer than two;
        if shapes of arrays do not match; if a component to decorrelate is unknown or no two-point.

    Examples
    --------
    >>> shape = shape_only([3.0, 1.0], [], [20.0, 20.0], groups=[slice(0, 2)], central="mean")
    >>> shape.residual.tolist()
    [0.25]
    """
    measured: Vector = np.asarray(nominal, dtype=np.float64)
    predicted: Vector = np.asarray(prediction, dtype=np.float64)
    bins = measured.size
    if measured.ndim != 1 or predicted.shape != (bins,):
        msg = (
            f"measurement and prediction have shapes {measured.shape} and {predicted.shape}; "
            "expected one number for each bin"
        )
        raise StatisticsError(msg)
    _check_groups(groups, bins)
    kept = kept_bins(groups, drop=drop, names=names)
    apart = checked_two_points(components, decorrelate)
    sums = _sums(measured, groups, "the measurement", names)
    spectrum = measured / sums
    projection = _projection(spectrum, groups)

    results = []
    for result in components:
        component = result.component
        if component.name in apart:
            component = replace(component, correlated=False)
        members = _members(result, spectrum, groups, names)
        if len(members):
            matrix = component_covariance(component, members, spectrum, central=central)
            jacobian = projection  # changes nothing but a diagonal: the members' own shifts add up to zero
        else:
            matrix = checked_covariance(result.covariance, bins, f"the covariance of component {component.name!r}")
            jacobian = projection / sums
        matrix = (jacobian @ matrix @ jacobian.T)[np.ix_(kept, kept)]
        results.append(ComponentResult(component, members[:, kept], matrix))

    expected = normalised(predicted, groups, "the prediction", names=names)
    extra = None
    if covariance is not None:
        matrix = checked_covariance(covariance, bins, "the covariance of the prediction", semidefinite="checked")
        jacobian = normalisation_slope(predicted, groups, "the prediction", names=names)
        extra = (jacobian @ matrix @ jacobian.T)[np.ix_(kept, kept)]
    return ShapeComparison((spectrum - expected)[kept], results, extra)


def _members(result: ComponentResult, spectrum: Vector, groups: Sequence[slice], names: Sequence[str]) -> Matrix:
    """Return ``[member, bin]``, each member normalised by its own sums."""
    members = np.asarray(result.members, dtype=np.float64)
    if members.ndim != 2 or members.shape[1] != len(spectrum):
        msg = (
            f"component {result.component.name!r}: the members have shape {members.shape}; "
            f"expected (members, {len(spectrum)})"
        )
        raise StatisticsError(msg)
    if result.component.kind == "scale":
        return np.repeat(spectrum[np.newaxis], len(members), axis=0)  # exactly: rounding is no uncertainty
    if members.size and np.isnan(members).all():
        msg = (
            f"component {result.component.name!r}: the members were left out of the document that this was read from, "
            "and shapes need them; write it with its members"
        )
        raise StatisticsError(msg)
    return normalised(members, groups, f"component {result.component.name!r}", names=names)
