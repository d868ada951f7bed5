"""A measurement and a signal as a workspace of pyhf, held against the closed form when it is written."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Mapping
from itertools import product
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import ObservableError, StatisticsError
from omnifold_pub.exchange.gaussian import Strength, strength, upper_limit
from omnifold_pub.exchange.whitening import Whitened, stack
from omnifold_pub.extras import require

__all__ = ["Document", "Mode", "combined_workspace", "deviations", "refitted", "workspace_of"]

Mode = Literal["whitened", "named"]
Document = dict[str, Any]
Vector = NDArray[np.float64]

_SCALES = (1e6, 3e5, 1e5, 3e4, 1e4)
_NAMED_SCALES = (1e5, 3e5, 1e6, 3e4, 1e4)
_WANTED = 0.002  # what a workspace is taken at once with
_TOLERANCE = 0.005  # and what it is refused beyond
_FAR = 15.0  # errors of mu: from there on, the counts of a bin are others with and without the signal
_RANGE = 100.0  # of mu, in units of its error: near their bounds, minuit's errors are off
_STARTS = (0.1, 1.0, 0.3)  # of its error, beside the best fit: where fits of mu begin
_POI = "mu"
_INERT = "inert"


def _channel(name: str, white: Whitened, centre: Vector, scale: float, *, inert: Literal["inert", "none"]) -> Document:
    """Return a channel with about ``scale`` counts in each bin, whose Poisson is then nearly a Gaussian."""
    root = scale**0.5
    flat = scale - root * centre
    modifiers: list[Document] = [
        {
            "name": source,
            "type": "histosys",
            "data": {"hi_data": (flat + root * d).tolist(), "lo_data": (flat - root * d).tolist()},
        }
        for source, d in white.shifts.items()
    ]
    if inert == "inert":  # minuit needs a second parameter
        modifiers.append({"name": _INERT, "type": "normsys", "data": {"lo": 1.0, "hi": 1.0}})
    signal = [{"name": _POI, "type": "normfactor", "data": None}]
    samples = [
        {"name": "background", "data": flat.tolist(), "modifiers": modifiers},
        {"name": "signal", "data": (root * white.signal).tolist(), "modifiers": signal},
    ]
    return {"name": name, "samples": samples}


def _observations(name: str, white: Whitened, centre: Vector, scale: float, about: Document) -> list[Document]:
    """Return the data, and what else is to be known: observations that no channel reads.

    The schema allows no further keys anywhere.
    """
    kept = {
        "measured": white.measured,
        "background": white.background,
        "whitened": white.data,
        "centre": centre,
        "transform": white.transform.ravel(),
    }
    text = json.dumps({**about, "scale": scale, "transform": list(white.transform.shape)}, sort_keys=True)
    return [
        {"name": name, "data": (scale + scale**0.5 * (white.data - centre)).tolist()},
        {"name": f"{name}/about {text}", "data": [scale]},
        *({"name": f"{name}/{what}", "data": values.tolist()} for what, values in kept.items()),
    ]


def _document(
    whites: Mapping[str, Whitened], found: Strength, about: Mapping[str, Document], *, scale: float, start: float
) -> Document:
    top = abs(found.best_fit) + _RANGE * found.error
    # minuit's first step is a part of where it begins: never close to zero; scipy's slopes are noisy where the error of
    # a parameter is near one: begin near the answer
    begin = found.best_fit + math.copysign(start * found.error, found.best_fit)
    fit = {"name": _POI, "bounds": [[-top, top]], "inits": [begin]}
    limit = {"name": _POI, "bounds": [[0.0, top]], "inits": [max(found.best_fit, found.error)]}
    sources = [
        {"name": name, "bounds": [[-10.0 - 2 * abs(pull), 10.0 + 2 * abs(pull)]], "inits": [round(pull, 1)]}
        for name, pull in _pulls(stack(list(whites.values())), found.best_fit).items()
    ]
    centres = _centres(whites)
    inert: Literal["inert", "none"] = "none" if sources else "inert"
    return {
        "channels": [_channel(name, white, centres[name], scale, inert=inert) for name, white in whites.items()],
        "observations": [
            one
            for name, white in whites.items()
            for one in _observations(name, white, centres[name], scale, about.get(name, {}))
        ],
        "measurements": [
            {"name": name, "config": {"poi": _POI, "parameters": parameters}}
            for name, parameters in {"fit": [fit, *sources], "limit": [limit, *sources]}.items()
        ],
        "version": "1.0.0",
    }


def _centres(whites: Mapping[str, Whitened]) -> dict[str, Vector]:
    """Return what named sources explain of the data without a signal: taken off, no bin is far from its ``scale``."""
    pulls = _pulls(stack(list(whites.values())), 0.0)
    return {
        name: sum((pulls[source] * shift for source, shift in white.shifts.items()), np.zeros(len(white.data)))
        for name, white in whites.items()
    }


def _pulls(white: Whitened, strength: float) -> dict[str, float]:
    """Return the parameters of named sources that fit best, for a strength of the signal."""
    if not white.shifts:
        return {}
    shifts = np.stack(list(white.shifts.values()))
    residual = white.data - strength * white.signal
    pulls = shifts @ np.linalg.solve(np.eye(len(residual)) + shifts.T @ shifts, residual)
    return dict(zip(white.shifts, pulls.tolist(), strict=True))


def refitted(document: Document, expected: Strength) -> Strength:
    """Fit a workspace with pyhf's default optimiser, around the answer that is expected.

    Limits are CLs at the expected limits, carried on to the level along the closed form: NaN where pyhf's CLs is 0 or
    1. The backend in use is put back afterwards.
    """
    import pyhf

    backend, optimizer = pyhf.get_backend()
    pyhf.set_backend("numpy", pyhf.optimize.scipy_optimizer())
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "jsonschema.RefResolver", DeprecationWarning)  # pyhf 0.7 uses it
            return _answers(document, expected)
    finally:
        pyhf.set_backend(backend, optimizer)


def _answers(document: Document, expected: Strength) -> Strength:
    import pyhf

    workspace = pyhf.Workspace(document)
    model = workspace.model(measurement_name="fit")
    data = workspace.data(model)
    values, lowest = pyhf.infer.mle.fit(data, model, return_fitted_val=True)
    best_fit = float(values[model.config.poi_index])
    rises = [
        float(pyhf.infer.mle.fixed_poi_fit(best_fit + side * expected.error, data, model, return_fitted_val=True)[1])
        - float(lowest)
        for side in (-1, 1)
    ]
    error = expected.error / max(sum(rises) / 2, 1e-12) ** 0.5
    model = workspace.model(measurement_name="limit")
    data = workspace.data(model)
    pulls = [expected.best_fit / expected.error, -2.0, -1.0, 0.0, 1.0, 2.0]
    limits = []
    for number, (pull, limit) in enumerate(zip(pulls, (expected.limit, *expected.expected), strict=True)):
        observed, bands = pyhf.infer.hypotest(limit, data, model, return_expected_set=True)
        cls = float(observed if number == 0 else bands[number - 1])
        inside = 0 < cls < 1
        limits.append(upper_limit(pull * expected.error, expected.error, 1 - cls) if inside else float("nan"))
    # the closed form has CLs = cls at `limits`: pyhf is as far off at the level, to first order
    mirrored = [2 * at - there for at, there in zip((expected.limit, *expected.expected), limits, strict=True)]
    low, below, median, above, high = mirrored[1:]
    return Strength(
        best_fit,
        error,
        expected.chi2,
        expected.dof,
        expected.p_value,
        mirrored[0],
        (low, below, median, above, high),
        expected.level,
    )


def deviations(found: Strength, expected: Strength) -> dict[str, float]:
    """Return how far a fit is off, relatively; the best fit in units of its error where that is larger."""
    size = max(abs(expected.best_fit), expected.error)
    pairs = zip(found.expected, expected.expected, strict=True)
    return {
        "best fit": abs(found.best_fit - expected.best_fit) / size,
        "error": abs(found.error / expected.error - 1),
        "observed limit": abs(found.limit / expected.limit - 1),
        "expected limits": float(np.max([abs(one / other - 1) for one, other in pairs])),
    }


def workspace_of(white: Whitened, *, channel: str = "measurement", about: Document | None = None) -> Document:
    """Return a workspace of pyhf that gives the answer of the closed form.

    Each direction is a bin of A + sqrt(A) y counts, and A + sqrt(A) mu t are expected, since pyhf's main term is always
    a Poisson; A is the first of 1e6, 3e5, 1e5, 3e4, 1e4 (with named sources: 1e5 first) with which pyhf agrees to
    0.2 %, or that with which it agrees best. With fewer counts a Poisson is no Gaussian; with more the slopes that
    optimisers take are too noisy, the more so the larger the error of mu. Named sources may move a bin by many
    standard deviations: what they explain of the data without a signal is taken off both sides (``centre``), or the
    Poisson would be as much wider or narrower. Fits begin near the answer of the closed form.

    The two measurements of the workspace are ``fit``, where mu may be negative, and ``limit``. Scans of
    ``pyhf.infer.intervals`` want a bracket that begins at a third of the error of mu or so, not at 0. W, x, b, y and
    the centre are kept as observations that belong to no channel, with a JSON text as the name of one.

    Parameters
    ----------
    white : Whitened
        Named sources (``shifts``) become a ``histosys`` each.
    channel : str
        Name of the channel.
    about : dict, optional
        What goes with it, such as labels and unit.

    Raises
    ------
    StatisticsError
        If pyhf is off by more than 0.5 % in best fit, error, observed or expected limits.
    ObservableError
        If a source is called as the strength is.
    MissingExtraError
        If pyhf is not installed.
    """
    return _agreeing({channel: white}, {channel: about or {}})


def combined_workspace(whites: Mapping[str, Whitened], *, about: Mapping[str, Document] | None = None) -> Document:
    """Return a workspace of several measurements with one strength, a channel each; see `workspace_of`.

    Sources of one name are one parameter of all of them; whatever has no name is taken as independent.

    Parameters
    ----------
    whites : mapping
        Channel to what it holds.
    about : mapping, optional
        Channel to what goes with it.

    Raises
    ------
    StatisticsError, ObservableError, MissingExtraError
        As `workspace_of`.
    """
    if not whites:
        msg = "expected at least one measurement; found none"
        raise ObservableError(msg)
    return _agreeing(whites, about or {})


def _agreeing(whites: Mapping[str, Whitened], about: Mapping[str, Document]) -> Document:
    require("pyhf", extra="pyhf", purpose="Writing a workspace")
    import pyhf

    for white in whites.values():
        taken = {_POI, _INERT} & set(white.shifts)
        if taken:
            msg = f"a source of uncertainty is called {min(taken)!r}, as a parameter of the workspace; rename it"
            raise ObservableError(msg)
    expected = strength(stack(list(whites.values())))
    best: dict[str, float] = {}
    agreeing: Document = {}
    least = math.inf
    scales = _NAMED_SCALES if any(white.shifts for white in whites.values()) else _SCALES
    for scale, start in product(scales, _STARTS):
        document = _document(whites, expected, about, scale=scale, start=start)
        try:
            off = deviations(refitted(document, expected), expected)
        except pyhf.exceptions.FailedMinimization:
            continue
        largest = math.inf if np.isnan(list(off.values())).any() else max(off.values())
        if not best or largest < least:
            best, agreeing, least = off, document, largest
        if least <= _WANTED:
            break
    if least <= _TOLERANCE:
        return agreeing
    factor = 10.0 ** round(np.log10(expected.error / 0.05))
    worst = ", ".join(f"{name} {100 * value:.2g} %" for name, value in best.items()) or "its optimiser fails"
    away = abs(expected.best_fit) / expected.error
    hints = [f"give the background: without it, mu is {away:.0f} times its error"] if away > _FAR else []
    hints += [] if factor == 1 else [f"multiply the signal by {factor:g} and read mu in these units"]
    hints += ["do not name the sources"] if scales is _NAMED_SCALES else []
    msg = (
        f"pyhf does not give the answer of the closed form (mu = {expected.best_fit:.4g} +- {expected.error:.4g}); "
        f"it is off by: {worst}; expected at most 0.5 %. Its optimiser takes steps made for errors of 0.001 to 1, and "
        f"its Poissons are no Gaussians far from the data: {', or '.join([*hints, 'use signal_strength, spey or HS3'])}"
    )
    raise StatisticsError(msg)
