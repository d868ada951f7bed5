"""The minimum of chi2, and where it rises to: MINUIT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import StatisticsError
from omnifold_pub.extras import require
from omnifold_pub.messages import shorten, suggest
from omnifold_pub.reinterpret.fitting.model import BoundModel
from omnifold_pub.reinterpret.whitening import Whitened

if TYPE_CHECKING:
    from iminuit import Minuit

__all__ = ["minimise", "other_minima", "prepare", "profile_ends"]

Vector = NDArray[np.float64]

_TRIALS = 4  # from where the last one ended
_REACH = 10  # errors, of the search for further minima


def prepare(model: BoundModel, fixed: Mapping[str, float], start: Mapping[str, float]) -> Vector:
    """Return where the search begins: ``value[parameter]``.

    Raises
    ------
    StatisticsError
        If a name belongs to no parameter, a value is outside of its limits, or no parameter is free.
    """
    names = [parameter.name for parameter in model.parameters]
    for name in {**fixed, **start}:
        if name not in names:
            msg = f"fit: no parameter {shorten(name)}; {suggest(name, names)}"
            raise StatisticsError(msg)
    if len(fixed) == len(names):
        msg = f"fit: all of the parameters {', '.join(names)} are fixed; leave one free"
        raise StatisticsError(msg)
    values = []
    for parameter in model.parameters:
        value = float(fixed.get(parameter.name, start.get(parameter.name, parameter.start)))
        if not parameter.lower <= value <= parameter.upper:
            msg = (
                f"fit: parameter {parameter.name}: expected a value in [{parameter.lower:g}, {parameter.upper:g}]; "
                f"found {value:g}"
            )
            raise StatisticsError(msg)
        values.append(value)
    return np.array(values)


def minimise(
    model: BoundModel, measured: Vector, white: Whitened, start: Vector, *, fixed: Sequence[str], rise: float = 1.0
) -> Minuit:
    """Return MINUIT (James and Roos, Comput. Phys. Commun. 10 (1975) 343) at a minimum of chi2.

    Parameters
    ----------
    model : BoundModel
        Of the measurement.
    measured : numpy.ndarray
        ``T_0[bin]``.
    white : Whitened
        The covariance, which does not depend on the parameters here.
    start : numpy.ndarray
        ``value[parameter]``.
    fixed : sequence of str
        Parameters that stay.
    rise : float
        Of chi2, at the ends of an interval.

    Raises
    ------
    MissingExtraError
        If iminuit is not installed.
    StatisticsError
        If there is no minimum, as where two parameters do the same.
    """
    require("iminuit", extra="fit", purpose="Fitting parameters of a theory")
    minuit = _searched(model, measured, white, start, fixed, rise)
    if not (minuit.valid and minuit.covariance is not None):
        found = ", ".join(f"{name} = {value:.4g}" for name, value in zip(minuit.parameters, minuit.values, strict=True))
        msg = (
            f"fit: chi2 has no minimum that MINUIT finds; it stopped at {found} with chi2 {minuit.fval:.4g}; start "
            "nearer to it, set limits, or fix a parameter whose effect another one has too"
        )
        raise StatisticsError(msg)
    return minuit


def _searched(
    model: BoundModel, measured: Vector, white: Whitened, start: Vector, fixed: Sequence[str], rise: float
) -> Minuit:
    from iminuit import Minuit

    def chi2(values: Vector) -> float:
        return white.chi2(measured - model.predict(values))

    minuit = Minuit(chi2, start, name=[parameter.name for parameter in model.parameters])
    minuit.print_level = 0
    minuit.errordef, minuit.strategy, minuit.tol = rise, 1, 1e-3
    for number, parameter in enumerate(model.parameters):
        minuit.errors[number] = parameter.first_step
        minuit.limits[number] = (parameter.lower, parameter.upper)
        minuit.fixed[number] = parameter.name in fixed
    for _ in range(_TRIALS):
        minuit.migrad()
        if minuit.valid:
            break
    minuit.hesse()
    return minuit


def other_minima(
    model: BoundModel, measured: Vector, white: Whitened, minuit: Minuit, *, fixed: Sequence[str]
) -> list[tuple[float, Vector]]:
    """Return chi2 and ``value[parameter]`` of further minima, the lowest first.

    Where a prediction is quadratic in a parameter, chi2 is a polynomial of the fourth degree in it and may have two
    minima. Along each parameter the polynomial through five points is searched for those that MINUIT did not begin
    from. Minima of other forms may be missed.

    Parameters
    ----------
    minuit
        At a minimum.
    """
    best, errors = np.array(minuit.values), np.array(minuit.errors)
    found: list[tuple[float, Vector]] = []
    for number, parameter in enumerate(model.parameters):
        if parameter.name in fixed:
            continue
        reach = min(_REACH * errors[number], 1e6 * (abs(best[number]) + 1))
        ends = max(best[number] - reach, parameter.lower), min(best[number] + reach, parameter.upper)
        places = np.linspace(*ends, 5)
        heights = []
        for place in places:
            at = best.copy()
            at[number] = place
            heights.append(white.chi2(measured - model.predict(at)))
        quartic = np.polynomial.Polynomial.fit(places, heights, 4)
        for root in quartic.deriv().roots():
            place = float(root.real)
            inside = parameter.lower <= place <= parameter.upper
            if abs(root.imag) > 1e-6 * reach or not inside or abs(place - best[number]) < errors[number]:
                continue
            begin = best.copy()
            begin[number] = place
            trial = _searched(model, measured, white, begin, fixed, float(minuit.errordef))
            values = np.array(trial.values)
            known = [best, *(one for _, one in found)]
            free = errors > 0
            if trial.valid and all((np.abs(values - one) > 0.1 * errors)[free].any() for one in known):
                found.append((float(trial.fval or 0.0), values))
    return sorted(found, key=lambda one: one[0])


def profile_ends(minuit: Minuit) -> tuple[Vector, Vector, Vector]:
    """Return the ends of each parameter's interval, where chi2 minimised over the others has risen (MINOS).

    Returns
    -------
    lower, upper : numpy.ndarray
        ``value[parameter]``; a limit of the parameter where the interval reaches it, the value itself where fixed.
    lowest : numpy.ndarray
        ``value[parameter]`` of a lower minimum that turned up on the way; empty if none did.

    Raises
    ------
    StatisticsError
        If chi2 does not rise that far.
    """
    lower, upper = np.array(minuit.values), np.array(minuit.values)
    for number, name in enumerate(minuit.parameters):
        if minuit.fixed[number]:
            continue
        minuit.minos(name)
        ends = minuit.merrors[name]
        if ends.lower_new_min or ends.upper_new_min:
            return lower, upper, np.array(ends.min)
        sides = (
            (ends.lower_valid, ends.at_lower_limit, ends.lower, minuit.limits[number][0], lower),
            (ends.upper_valid, ends.at_upper_limit, ends.upper, minuit.limits[number][1], upper),
        )
        for valid, at_limit, shift, limit, into in sides:
            if not (valid or at_limit):
                msg = (
                    f"fit: chi2 does not rise by {minuit.errordef:.3g} on both sides of {name} = "
                    f"{minuit.values[number]:.4g}, so that it has no interval; set limits, or fix another parameter"
                )
                raise StatisticsError(msg)
            into[number] = limit if at_limit else into[number] + shift
    return lower, upper, np.array([])
