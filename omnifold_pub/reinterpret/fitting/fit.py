"""Fit the parameters of a model to a measurement, with its full covariance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import InputError, StatisticsError
from omnifold_pub.measurement import Estimate
from omnifold_pub.messages import shorten
from omnifold_pub.reinterpret.fitting.interval import STANDARD, chi2_rise
from omnifold_pub.reinterpret.fitting.minimum import minimise, other_minima, prepare, profile_ends
from omnifold_pub.reinterpret.fitting.model import BoundModel, Model
from omnifold_pub.reinterpret.fitting.result import Fit
from omnifold_pub.reinterpret.whitening import Whitened, used_results, whiten
from omnifold_pub.statistics.components import ComponentResult
from omnifold_pub.statistics.inference import Chi2, chi2_test

__all__ = ["fit"]

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

_ROUNDS = 10  # of a fit whose theory's own covariance follows its parameters
_SETTLED = 0.01  # of an error
_STEP = 1e-3  # of an error, for derivatives
_NONE: Mapping[str, float] = MappingProxyType({})


def fit(
    model: Model,
    measurement: Estimate,
    *,
    leave_out: Sequence[str] = (),
    decorrelate: Sequence[str] = (),
    pseudo_inverse: bool = False,
    start: Mapping[str, float] = _NONE,
    fixed: Mapping[str, float] = _NONE,
    level: float = STANDARD,
) -> Fit:
    r"""Fit the parameters of a model to a measurement.

    Minimises :math:`\chi^2 = (T_0 - T(\theta))^T V^{-1} (T_0 - T(\theta))` with MINUIT, V the sum of the measurement's
    components and of the prediction's own covariance. The latter is taken at the minimum: it is kept while chi2 is
    minimised, taken anew there, and so on until nothing moves, since a covariance that moves with the parameters would
    pull them to where it is large.

    Intervals know that parts of V are estimated from replicas, see
    `omnifold_pub.reinterpret.fitting.interval.chi2_rise`; so does the p-value, which is that of the residual in the
    directions that no parameter moves, see `omnifold_pub.statistics.inference.chi2_test`. Errors and p-value take the
    model to be linear in its parameters within their errors; the profile interval does not.

    Parameters
    ----------
    model : Model
        `Templates`, `Grid`, `Reweighting`, or a `Function`.
    measurement : Estimate
        Of one observable or several.
    leave_out : sequence of str
        Components of the measurement that the fit must not use.
    decorrelate : sequence of str
        Two-point components that count bin by bin.
    pseudo_inverse : bool
        True: where V has a rank below the number of bins, as for normalised spectra, fit in the directions it knows.
    start : mapping
        By parameter, where the search begins, in place of the model's own.
    fixed : mapping
        By parameter, values that stay.
    level : float
        Confidence level of the profile interval.

    Raises
    ------
    StatisticsError
        If V cannot be inverted, there is no minimum or no interval, replicas are too few, or a parameter is unknown.
    InputError
        If the model cannot predict the measurement.
    ObservableError
        If a component to leave out is unknown.
    MissingExtraError
        If iminuit is not installed.

    Examples
    --------
    >>> import omnifold_pub
    >>> from omnifold_pub.reinterpret.fitting import Function, Parameter
    >>> with omnifold_pub.open_release("release/zjets/zjets.h5") as release:
    ...     spectrum = release.measure("pT_ll", [200, 230, 270, 350, 1000])
    >>> found = fit(Function([Parameter("mu", 1)], lambda mu: mu[0] * spectrum.values()), spectrum)
    >>> round(found["mu"][0], 3), found.goodness.dof
    (1.0, 3)
    """
    _check_arguments(model, measurement)
    bound = model.of(measurement)
    results = used_results(measurement, leave_out=leave_out, decorrelate=decorrelate)
    values = prepare(bound, fixed, start)
    measured = measurement.nominal
    nothing = np.zeros((len(measured), len(measured)))
    free = np.array([parameter.name not in fixed for parameter in bound.parameters])
    for _ in range(_ROUNDS):
        own = bound.parts(values)
        known: Matrix = sum((part.covariance for part in own if not part.replicas), nothing)
        estimated = [part for part in own if part.replicas]
        white = whiten([*results, *estimated], known, pseudo_inverse=pseudo_inverse)
        minuit = minimise(bound, measured, white, values, fixed=tuple(fixed))
        others = other_minima(bound, measured, white, minuit, fixed=tuple(fixed))
        if others and others[0][0] < float(minuit.fval or 0.0):
            minuit = minimise(bound, measured, white, others[0][1], fixed=tuple(fixed))
        before, values = values, np.array(minuit.values)
        moved = np.abs(values - before)[free] / np.array(minuit.errors)[free]
        if moved.max() < _SETTLED:
            break
    else:
        msg = "fit: the parameters and the prediction's own covariance do not settle; make larger samples of the theory"
        raise StatisticsError(msg)
    residual_dof = white.rank - int(free.sum())
    if residual_dof < 0:
        msg = f"fit: {free.sum()} parameters for {white.rank} bins; fix a parameter, or measure in more bins"
        raise StatisticsError(msg)

    def rise(of: float) -> float:
        return chi2_rise(of, freedom=white.freedom, residual_dof=residual_dof, chi2=float(minuit.fval or 0.0))

    one = rise(STANDARD)
    minuit = minimise(bound, measured, white, values, fixed=tuple(fixed), rise=rise(level))
    others = other_minima(bound, measured, white, minuit, fixed=tuple(fixed))
    alike = [at for height, at in others if height < float(minuit.fval or 0.0) + rise(level)]
    lower, upper, lowest = profile_ends(minuit)
    if len(lowest):
        elsewhere = dict(zip((p.name for p in bound.parameters), lowest.tolist(), strict=True))
        begin = {name: value for name, value in elsewhere.items() if name not in fixed}
        return fit(
            model,
            measurement,
            leave_out=leave_out,
            decorrelate=decorrelate,
            pseudo_inverse=pseudo_inverse,
            start=begin,
            fixed=fixed,
            level=level,
        )
    values = np.array(minuit.values, dtype=np.float64)
    slopes = _slopes(bound, values, np.sqrt(np.diag(np.array(minuit.covariance))))
    curvature, parts = _propagated(white, own, slopes[:, free])
    residual = measured - bound.predict(values)
    return Fit(
        names=tuple(parameter.name for parameter in bound.parameters),
        values=values,
        errors=np.sqrt(np.diag(_spread(one * curvature, free))),
        lower=lower,
        upper=upper,
        level=level,
        covariance=_spread(one * curvature, free),
        components={name: _spread(part, free) for name, part in parts.items()},
        goodness=_goodness(white, slopes[:, free], residual) if residual_dof else None,
        freedom=white.freedom,
        prediction=bound.predict(values),
        alternatives=np.array(alike).reshape(-1, len(values)),
    )


def _check_arguments(model: object, measurement: object) -> None:
    """Refuse arguments in the wrong order, or a theory in place of a model."""
    if not isinstance(model, Model) or not isinstance(measurement, Estimate):
        msg = (
            f"fit: expected a model and a measurement; found {shorten(model)} and {shorten(measurement)}; a theory "
            "becomes a model with Templates, Grid or Reweighting"
        )
        raise InputError(msg)


def _slopes(model: BoundModel, values: Vector, errors: Vector) -> Matrix:
    """Return ``dT/dtheta[bin, parameter]``, from differences; those of a fixed parameter are not used."""
    columns = []
    for number, parameter in enumerate(model.parameters):
        step = _STEP * (errors[number] or parameter.first_step)
        high, low = values.copy(), values.copy()
        high[number] = min(values[number] + step, parameter.upper)
        low[number] = max(values[number] - step, parameter.lower)
        columns.append((model.predict(high) - model.predict(low)) / (high[number] - low[number]))
    return np.stack(columns, axis=1)


def _spread(matrix: Matrix, free: NDArray[np.bool_]) -> Matrix:
    """Return a matrix of the free parameters as one of all, 0 where fixed."""
    full: Matrix = np.zeros((len(free), len(free)))
    full[np.ix_(free, free)] = matrix
    return full


def _propagated(white: Whitened, own: Sequence[ComponentResult], slopes: Matrix) -> tuple[Matrix, dict[str, Matrix]]:
    """Return (A^T V^-1 A)^-1, and what it is the sum of: G C_k G^T with G = (A^T V^-1 A)^-1 A^T V^-1."""
    whitened = white.transform @ slopes
    curvature: Matrix = np.asarray(np.linalg.inv(whitened.T @ whitened), dtype=np.float64)
    gain = curvature @ whitened.T @ white.transform
    parts = [*white.results, *(part for part in own if not part.replicas and part.covariance.any())]
    return curvature, {part.component.name: gain @ part.covariance @ gain.T for part in parts}


def _goodness(white: Whitened, slopes: Matrix, residual: Vector) -> Chi2:
    """Test the residual in the directions that no parameter moves."""
    whitened = white.transform @ slopes
    every: Matrix = np.asarray(np.linalg.qr(whitened, mode="complete")[0], dtype=np.float64)
    complement = every[:, slopes.shape[1] :]
    across = complement.T @ white.transform
    parts = [
        ComponentResult(r.component, r.members @ across.T, across @ r.covariance @ across.T)
        for r in white.results
        if r.covariance.any()
    ]
    extra = across @ white.extra @ across.T if white.extra.any() else None
    return chi2_test(across @ residual, parts, extra)
