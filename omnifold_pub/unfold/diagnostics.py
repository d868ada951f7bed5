"""What can be said of a fit and of its weights without knowing the truth.

All of it is made of held-out rows and of the weights themselves. Errors are those of the finite number of rows alone,
from the influence of each row on the statistic, so that rows that carry both classes' weights (step 2: the same events
with and without their pull) are handled as rows of one class are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from omnifold_pub.errors import TrainingError

__all__ = ["Calibration", "FitDiagnostics", "WeightDiagnostics", "fit_diagnostics", "weight_diagnostics"]

Vector = NDArray[np.float64]

_DIGITS = 6  # of numbers in metadata: a hundred trainings leave many
_SMALLEST_MODE = 1e-10  # of the largest: directions of the calibration's covariance below have no variance


def _brief(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


@dataclass(frozen=True, eq=False)
class Calibration:
    """Whether odds are what they say, in bins of the logit.

    Attributes
    ----------
    edges : numpy.ndarray
        Inner edges of the bins, one fewer than bins; the first and the last bin are open.
    ratios : numpy.ndarray
        ``[bin]``: share of class 1 over share of the reweighted class 0, 1 where the odds are right; NaN where signed
        weights leave the latter no positive sum.
    errors : numpy.ndarray
        ``[bin]``: statistical errors of the ratios.
    chi2 : float
        Of the difference of the shares to zero, with the covariance between the bins.
    ndf : int
        Degrees of freedom: the shares sum to 1, so one fewer than bins, and fewer where weights leave a
        difference no variance.
    normalisation : float
        Mean of the odds over class 0, expected to be 1. Shares do not depend on it.
    """

    edges: Vector
    ratios: Vector
    errors: Vector
    chi2: float
    ndf: int
    normalisation: float

    @property
    def worst_pull(self) -> float:
        """The largest ``|ratio - 1| / error``; 0 if no bin has both."""
        known = np.isfinite(self.ratios) & (self.errors > 0)
        return float((np.abs(self.ratios[known] - 1) / self.errors[known]).max(initial=0))

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it: 6 digits, null for NaN."""

        def numbers(values: Vector) -> list[float | None]:
            return [_brief(value) if np.isfinite(value) else None for value in values.tolist()]

        return {
            "edges": numbers(self.edges),
            "ratios": numbers(self.ratios),
            "errors": numbers(self.errors),
            "chi2": _brief(self.chi2),
            "ndf": self.ndf,
            "normalisation": _brief(self.normalisation),
        }


@dataclass(frozen=True, eq=False)
class FitDiagnostics:
    """How well a classifier separates, and whether its odds are calibrated, on rows that it never saw.

    Attributes
    ----------
    auc : float
        Area under the ROC curve; 0.5: no separation. Signed weights may take it out of [0, 1].
    auc_error : float
        Its statistical error.
    calibration : Calibration
        Of the odds.
    """

    auc: float
    auc_error: float
    calibration: Calibration

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {
            "auc": _brief(self.auc),
            "auc_error": _brief(self.auc_error),
            "calibration": self.calibration.to_dict(),
        }


@dataclass(frozen=True)
class WeightDiagnostics:
    """What a set of weights is worth, and how far the iteration has moved it.

    Attributes
    ----------
    effective_events : float
        Kish's effective sample size, (sum w)^2 / sum w^2.
    max_over_mean : float
        Largest absolute weight over the mean weight.
    sum_of_weights : float
        In the unit of the weights.
    change : float
        Root mean square of the change of log nu, weighted with the absolute prior weight.
    """

    effective_events: float
    max_over_mean: float
    sum_of_weights: float
    change: float

    def to_dict(self, of: str) -> dict[str, float]:
        """Return it as JSON can hold it; the change is called after what these weights are, ``push`` or ``pull``."""
        return {f"{of}_change" if name == "change" else name: _brief(value) for name, value in vars(self).items()}


def _vectors(**arrays: ArrayLike) -> list[Vector]:
    """Return vectors of one length, all finite."""
    vectors = {name: np.asarray(array, dtype=np.float64) for name, array in arrays.items()}
    shapes = {name: vector.shape for name, vector in vectors.items()}
    if len(set(shapes.values())) != 1 or any(len(shape) != 1 for shape in shapes.values()) or (0,) in shapes.values():
        msg = f"diagnostics: expected one number per event, for some events, in each of these arrays; found {shapes}"
        raise TrainingError(msg)
    for name, vector in vectors.items():
        bad = int((~np.isfinite(vector)).sum())
        if bad:
            msg = f"diagnostics: {name}: {bad} of {len(vector)} values are not finite; the training is of no use"
            raise TrainingError(msg)
    return list(vectors.values())


def _shares(weights: Vector, what: str) -> Vector:
    """Return weights that sum to 1."""
    total = float(weights.sum())
    if not 0 < total < np.inf:
        msg = f"diagnostics: the weights of {what} sum to {total:g}; expected a finite sum above zero"
        raise TrainingError(msg)
    return weights / total


def _auc(groups: NDArray[np.intp], share1: Vector, share0: Vector) -> tuple[float, float]:
    """Return AUC and its error; rows are sorted by logit, equal logits share a number in ``groups``."""
    of1, of0 = np.bincount(groups, share1), np.bincount(groups, share0)
    below0 = np.cumsum(of0) - of0 / 2  # a tie counts one half
    above1 = np.cumsum(of1[::-1])[::-1] - of1 / 2
    auc = float(of1 @ below0)
    influence = share1 * (below0[groups] - auc) + share0 * (above1[groups] - auc)
    return auc, float(np.sqrt(influence @ influence))


def _bins(logit: Vector, groups: NDArray[np.intp], mass: Vector, bins: int) -> tuple[NDArray[np.intp], Vector]:
    """Return the bin of each sorted row and the inner edges; equal logits stay together, so bins may be fewer."""
    cumulative = np.cumsum(np.bincount(groups, mass))
    middles = cumulative - np.diff(cumulative, prepend=0) / 2
    found = np.minimum((middles / cumulative[-1] * bins).astype(np.intp), bins - 1)
    _, dense = np.unique(found, return_inverse=True)
    of_row = dense[groups]
    last = np.flatnonzero(np.diff(of_row))
    return of_row, (logit[last] + logit[last + 1]) / 2


def _calibration(logit: Vector, groups: NDArray[np.intp], share1: Vector, share0: Vector, bins: int) -> Calibration:
    with np.errstate(over="ignore"):
        odds = np.exp(logit)
    normalisation = float(share0 @ odds)
    one, zero = share1, _shares(share0 * odds, "the reweighted class 0")
    mass = np.abs(share1) / np.abs(share1).sum() + np.abs(zero) / np.abs(zero).sum()
    of_row, edges = _bins(logit, groups, mass, bins)

    def summed(weights: Vector) -> Vector:
        return np.bincount(of_row, weights, minlength=len(edges) + 1).astype(np.float64)

    a, b = summed(one), summed(zero)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(b > 0, a / b, np.nan)
        residual = one - ratios[of_row] * zero
        difference = one - zero
        variance = summed(residual**2) - 2 * a * summed(residual * difference) + a**2 * (difference @ difference)
        errors = np.sqrt(np.maximum(variance, 0)) / b
    errors = np.where(b > 0, errors, np.nan)

    # Influence of row i on the difference of bin b: 1_b (one_i - zero_i) - (a_b one_i - b_b zero_i).
    sides = np.stack([a, -b], axis=1)
    within = np.stack([summed(difference * one), summed(difference * zero)], axis=1)
    overall = np.array([[one @ one, one @ zero], [one @ zero, zero @ zero]])
    cross = within @ sides.T
    covariance = np.diag(summed(difference**2)) - cross - cross.T + sides @ overall @ sides.T
    values, modes = np.linalg.eigh(covariance)
    kept = values > max(_SMALLEST_MODE * values[-1], 0)
    kept[0] = False  # the shares sum to 1 in both classes
    projected = modes[:, kept].T @ (a - b)
    chi2 = float((projected**2 / values[kept]).sum())
    return Calibration(edges, ratios, errors, chi2, int(kept.sum()), normalisation)


def fit_diagnostics(logit: ArrayLike, w1: ArrayLike, w0: ArrayLike, *, bins: int = 10) -> FitDiagnostics:
    r"""Compute AUC and calibration of a classifier on held-out rows.

    The AUC is :math:`\sum_{ij} w_{1i} w_{0j} ([z_i > z_j] + [z_i = z_j]/2)` over the product of the class sums
    (Mann and Whitney, Ann. Math. Statist. 18 (1947) 50), its error that of DeLong et al., Biometrics 44 (1988) 837,
    with weights. The calibration compares, in bins of about equal weight of the logit z, the share of class 1 with
    that of class 0 reweighted by exp(z): a likelihood ratio reweights one class into the other. Both are normalised
    to 1: the overall factor of the odds drops out of an unfolding. Errors are of first order in 1/rows; in a bin of
    few effective rows they are too small.

    Parameters
    ----------
    logit : array_like
        ``logit[event]`` that the classifier predicts.
    w1, w0 : array_like
        ``w1[event]``, ``w0[event]``: weights of the two classes, of which one may be zero; negative ones are allowed.
    bins : int
        Bins of the calibration, at most; fewer where many logits are equal.

    Raises
    ------
    TrainingError
        If a value is not finite, a class sums to nothing, or lengths differ.

    Examples
    --------
    >>> found = fit_diagnostics([0.0, 1.0, 1.0, 2.0], [0, 1, 0, 1], [1, 0, 1, 0])
    >>> found.auc
    0.875
    >>> fit_diagnostics([0.5, 0.5], [1, 0], [0, 1]).calibration.ratios.tolist()
    [1.0]
    """
    if bins < 1:
        msg = f"diagnostics: expected at least one bin; found {bins}"
        raise TrainingError(msg)
    z, one, zero = _vectors(logit=logit, w1=w1, w0=w0)
    order = np.argsort(z, kind="stable")
    z = z[order]
    share1, share0 = _shares(one[order], "class 1"), _shares(zero[order], "class 0")
    groups = np.cumsum(np.diff(z, prepend=z[0]) != 0)
    auc, error = _auc(groups, share1, share0)
    return FitDiagnostics(auc, error, _calibration(z, groups, share1, share0, bins))


def weight_diagnostics(push: ArrayLike, previous: ArrayLike, weight: ArrayLike) -> WeightDiagnostics:
    r"""Compute what push weights are worth and how far they have moved.

    The weights are w = nu w_t. The push change is
    :math:`\sqrt{\sum |w_t| (\log \nu - \log \nu_\mathrm{previous})^2 / \sum |w_t|}`.

    Parameters
    ----------
    push, previous : array_like
        nu after this iteration and after the one before (1 before the first), ``[event]``: exponentials, above 0.
    weight : array_like
        w_t, ``[event]``; may be negative.

    Raises
    ------
    TrainingError
        If a push is not above 0, a value is not finite, or the weights sum to nothing.

    Examples
    --------
    >>> weight_diagnostics([2.0, 2.0], [1.0, 1.0], [1.0, 3.0]).to_dict("push")
    {'effective_events': 1.6, 'max_over_mean': 1.5, 'sum_of_weights': 8.0, 'push_change': 0.693147}
    """
    nu, before, prior = _vectors(push=push, previous=previous, weight=weight)
    for name, values in (("push", nu), ("previous", before)):
        bad = int((values <= 0).sum())
        if bad:
            msg = (
                f"diagnostics: {name}: {bad} of {len(values)} weights are not above 0; expected exponentials: "
                "these must have been damaged on the way"
            )
            raise TrainingError(msg)
    w = nu * prior
    share, magnitude = _shares(w, "nu w_t"), np.abs(prior)
    change = np.log(nu) - np.log(before)
    return WeightDiagnostics(
        effective_events=float(1 / (share @ share)),
        max_over_mean=float(np.abs(share).max() * len(share)),
        sum_of_weights=float(w.sum()),
        change=float(np.sqrt(magnitude @ change**2 / magnitude.sum())),
    )
