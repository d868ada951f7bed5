"""How far chi2 may rise from its minimum within a confidence interval, when its covariance is an estimate."""

from __future__ import annotations

import math

from omnifold_pub.errors import StatisticsError

__all__ = ["STANDARD", "chi2_rise"]

STANDARD = 0.6826894921370859
"""Confidence level of one standard deviation of a normal distribution."""


def chi2_rise(level: float, *, freedom: float, residual_dof: int, chi2: float) -> float:
    r"""Return by how much chi2 rises from its minimum at the ends of a confidence interval of one parameter.

    With a known covariance this is the square of a normal quantile: 1 for 68.27 %. With one that is estimated with
    :math:`\nu` degrees of freedom (replicas less one), and r directions that the parameters do not move,

    .. math:: \Delta\chi^2 = t^2 \, (\nu + \chi^2_{min}) / (\nu - r)

    t the quantile of Student's distribution with :math:`\nu - r` degrees of freedom. For a model that is linear in its
    parameters and a covariance of replicas alone this is exact: given the residual :math:`y_2` in the directions that
    no parameter moves, the estimate is normal with the variance :math:`\Sigma_{11.2} (1 + \chi^2_{min} / \nu)`, and
    :math:`\nu \hat\Sigma_{11.2}` has a Wishart distribution of :math:`\nu - r` degrees of freedom, independent of it
    (Rao, Proc. 5th Berkeley Symp. 1 (1967) 355). The mean over residuals is the factor of Dodelson and Schneider
    (arXiv:1304.2593) on top of that of Hartlap et al. (astro-ph/0608064); it is also the profile of the t likelihood of
    Sellentin and Heavens (arXiv:1511.05969), cut where its coverage is right (Percival et al., arXiv:2108.10402). For a
    sum of analytic and estimated parts the degrees of freedom are effective ones, and the interval is approximate.

    Parameters
    ----------
    level : float
        Of confidence, between 0 and 1.
    freedom : float
        Degrees of freedom of the covariance; infinite where it is known.
    residual_dof : int
        Directions less parameters.
    chi2 : float
        At the minimum.

    Raises
    ------
    StatisticsError
        If the level is none, or there are not enough replicas for an interval.

    Examples
    --------
    >>> round(chi2_rise(STANDARD, freedom=math.inf, residual_dof=4, chi2=3.0), 6)
    1.0
    >>> round(chi2_rise(0.95, freedom=19, residual_dof=0, chi2=0.0), 3)  # t of 19 degrees of freedom, squared
    4.381
    """
    from scipy import special

    if not 0 < level < 1:
        msg = f"confidence level: expected a number between 0 and 1; found {level:g}"
        raise StatisticsError(msg)
    if math.isinf(freedom):
        return float(special.ndtri((1 + level) / 2) ** 2)
    left = freedom - residual_dof
    if left <= 0:
        msg = (
            f"the covariance has {freedom:.3g} degrees of freedom, for {residual_dof} directions that no parameter "
            "moves: there is no interval; merge bins, or add replicas"
        )
        raise StatisticsError(msg)
    return float(special.stdtrit(left, (1 + level) / 2) ** 2 * (freedom + chi2) / left)
