"""Strength of a signal in closed form: the reference that exports are held against."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtri_exp

from omnifold_pub.errors import StatisticsError
from omnifold_pub.exchange.whitening import Whitened
from omnifold_pub.statistics.distributions import chi2_tail

__all__ = ["Strength", "strength", "upper_limit"]

Vector = NDArray[np.float64]

_BANDS = (-2.0, -1.0, 0.0, 1.0, 2.0)


@dataclass(frozen=True)
class Strength:
    """A fit of mu in x = b + mu s, and its limits.

    Attributes
    ----------
    best_fit, error : float
        mu, and its standard error.
    chi2 : float
        At the best fit.
    dof : int
        Directions that the covariance knows, less one.
    p_value : float
        Of that chi2, with a covariance that is known.
    limit : float
        Observed upper CLs limit.
    expected : tuple of float
        Expected ones if there is no signal, at -2, -1, 0, 1, 2 standard deviations.
    level : float
        Confidence of the limits.
    """

    best_fit: float
    error: float
    chi2: float
    dof: int
    p_value: float
    limit: float
    expected: tuple[float, float, float, float, float]
    level: float = 0.95


def upper_limit(best_fit: float, error: float, level: float) -> float:
    """Return mu where CLs = Phi((mu_hat - mu) / error) / Phi(mu_hat / error) falls to 1 - level.

    Examples
    --------
    >>> round(upper_limit(0.0, 1.0, 0.95), 4)
    1.96
    """
    pull = best_fit / error
    return float(best_fit - error * ndtri_exp(np.log1p(-level) + log_ndtr(pull)))


def strength(white: Whitened, *, level: float = 0.95) -> Strength:
    """Fit the strength of a signal by generalised least squares, and set CLs limits.

    mu = t.y / t.t and error = 1 / sqrt(t.t) in whitened coordinates; shifts of named sources add to their unit
    matrix. The limits are those of the test statistic q-mu-tilde, exact for a Gaussian (Cowan, Cranmer, Gross, Vitells,
    Eur. Phys. J. C 71 (2011) 1554); CLs after Read, J. Phys. G 28 (2002) 2693. The covariance counts as known: one
    estimated from few replicas makes error and limits too small.

    Parameters
    ----------
    white : Whitened
        See `omnifold_pub.exchange.whitening.whiten`.
    level : float
        Confidence of the limits.

    Raises
    ------
    StatisticsError
        If the level is not between 0 and 1.

    Examples
    --------
    >>> from omnifold_pub.exchange.whitening import whiten
    >>> fit = strength(whiten([1.0, 3.0], [1.0, 1.0], [[2.0, 0.0], [0.0, 2.0]]))
    >>> round(fit.best_fit, 6), round(fit.error, 6), round(fit.chi2, 6), fit.dof
    (2.0, 1.0, 1.0, 1)
    """
    if not 0 < level < 1:
        msg = f"expected a confidence level between 0 and 1, such as 0.95; found {level:g}"
        raise StatisticsError(msg)
    y, t = white.data, white.signal
    if white.shifts:
        shifts = np.stack(list(white.shifts.values()))
        lower = np.linalg.cholesky(np.eye(len(y)) + shifts.T @ shifts)
        y, t = np.linalg.solve(lower, y), np.linalg.solve(lower, t)
    information = float(t @ t)
    best_fit, error = float(t @ y) / information, information**-0.5
    residual = y - best_fit * t
    chi2, dof = float(residual @ residual), len(y) - 1
    low, below, median, above, high = (_band(n, error, level) for n in _BANDS)
    return Strength(
        best_fit,
        error,
        chi2,
        dof,
        chi2_tail(chi2, dof) if dof else 1.0,
        upper_limit(best_fit, error, level),
        (low, below, median, above, high),
        level,
    )


def _band(pull: float, error: float, level: float) -> float:
    return upper_limit(pull * error, error, level)
