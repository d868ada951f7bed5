"""A measurement and a signal as a workspace of pyhf, held against the closed form when it is written."""

from __future__ import annotations

import json
import warnings
from typing import Any, Literal

import numpy as np

from omnifold_pub.errors import StatisticsError
from omnifold_pub.exchange.gaussian import Strength, strength, upper_limit
from omnifold_pub.exchange.whitening import Whitened
from omnifold_pub.extras import require

__all__ = ["deviations", "refitted", "workspace_of"]

Mode = Literal["whitened", "named"]
Document = dict[str, Any]

_SCALES = {"whitened": (1e6, 1e5, 1e4), "named": (1e5, 1e4)}
_TOLERANCE = 0.005
_RANGE = 100.0  # of mu, in units of its error: near their bounds, minuit's errors are off


def _document(white: Whitened, found: Strength, scale: float, channel: str, about: Document) -> Document:
    """Return the workspace with ``scale`` counts in each bin, whose Poisson is then nearly a Gaussian."""
    root, flat = scale**0.5, np.full(len(white.data), scale)
    inert = {"name": "inert", "type": "normsys", "data": {"lo": 1.0, "hi": 1.0}}  # minuit needs a second parameter
    moved = [
        {
            "name": name,
            "type": "histosys",
            "data": {"hi_data": (flat + root * d).tolist(), "lo_data": (flat - root * d).tolist()},
        }
        for name, d in white.shifts.items()
    ]
    samples = [
        {"name": "background", "data": flat.tolist(), "modifiers": moved or [inert]},
        {
            "name": "signal",
            "data": (root * white.signal).tolist(),
            "modifiers": [{"name": "mu", "type": "normfactor", "data": None}],
        },
    ]
    top = abs(found.best_fit) + _RANGE * found.error
    bounds = {"fit": [-top, top], "limit": [0.0, top]}
    # the schema allows no further keys anywhere: what else is to be known are observations that no channel reads
    kept = {
        "measured": white.measured,
        "background": white.background,
        "whitened": white.data,
        "transform": white.transform.ravel(),
    }
    text = json.dumps({**about, "scale": scale, "transform": list(white.transform.shape)}, sort_keys=True)
    return {
        "channels": [{"name": channel, "samples": samples}],
        "observations": [
            {"name": channel, "data": (flat + root * white.data).tolist()},
            {"name": f"{channel}/about {text}", "data": [scale]},
            *({"name": f"{channel}/{name}", "data": values.tolist()} for name, values in kept.items()),
        ],
        "measurements": [
            {
                "name": name,
                "config": {
                    "poi": "mu",
                    "parameters": [{"name": "mu", "bounds": [limits], "inits": [found.error]}],
                },
            }
            for name, limits in bounds.items()
        ],
        "version": "1.0.0",
    }


def refitted(document: Document, expected: Strength) -> Strength:
    """Fit a workspace with pyhf's default optimiser, around the answer that is expected.

    Limits are CLs at the expected limits, carried on to the level along the closed form. The backend in use is put
    back afterwards.
    """
    import pyhf

    backend, optimizer = pyhf.get_backend()
    pyhf.set_backend("numpy", pyhf.optimize.scipy_optimizer())
    quiet = warnings.catch_warnings()
    quiet.__enter__()
    warnings.simplefilter("ignore")  # pyhf 0.7 uses what jsonschema and numpy have deprecated
    try:
        workspace = pyhf.Workspace(document)
        model = workspace.model(measurement_name="fit")
        data = workspace.data(model)
        values, lowest = pyhf.infer.mle.fit(data, model, return_fitted_val=True)
        best_fit = float(values[model.config.poi_index])
        rises = [
            float(
                pyhf.infer.mle.fixed_poi_fit(best_fit + side * expected.error, data, model, return_fitted_val=True)[1]
            )
            - float(lowest)
            for side in (-1, 1)
        ]
        error = expected.error / float(np.sqrt(max(np.mean(rises), 1e-12)))
        model = workspace.model(measurement_name="limit")
        data = workspace.data(model)
        pulls = [expected.best_fit / expected.error, -2.0, -1.0, 0.0, 1.0, 2.0]
        limits = []
        for number, (pull, limit) in enumerate(zip(pulls, (expected.limit, *expected.expected), strict=True)):
            observed, bands = pyhf.infer.hypotest(limit, data, model, return_expected_set=True)
            cls = float(observed if number == 0 else bands[number - 1])
            inside = 0 < cls < 1
            limits.append(upper_limit(pull * expected.error, expected.error, 1 - cls) if inside else float("nan"))
    finally:
        quiet.__exit__(None, None, None)
        pyhf.set_backend(backend, optimizer)
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


def workspace_of(
    white: Whitened, *, mode: Mode = "whitened", channel: str = "measurement", about: Document | None = None
) -> Document:
    """Return a workspace of pyhf that gives the answer of the closed form.

    Its two measurements are ``fit``, where mu may be negative, and ``limit``. ``pyhf.infer.intervals`` want a bracket
    that does not begin at 0. Bins, W, x, b and y are kept as observations that belong to no channel.

    Parameters
    ----------
    mode : {"whitened", "named"}
        For the message; named sources are in ``white.shifts``.
    about : dict, optional
        What goes with it, such as labels and unit.

    Raises
    ------
    StatisticsError
        If pyhf is off by more than 0.5 % in best fit, error, observed or expected limits.
    MissingExtraError
        If pyhf is not installed.
    """
    require("pyhf", extra="pyhf", purpose="Writing a workspace")
    expected = strength(white)
    best: dict[str, float] = {}
    for scale in _SCALES[mode]:
        document = _document(white, expected, scale, channel, about or {})
        off = deviations(refitted(document, expected), expected)
        if max(off.values()) <= _TOLERANCE:  # not so for NaN
            return document
        best = off if not best or not max(best.values()) < max(off.values()) else best
    factor = 10.0 ** round(np.log10(expected.error / 0.05))
    worst = ", ".join(f"{name} {100 * value:.2g} %" for name, value in best.items())
    msg = (
        f"pyhf does not give the answer of the closed form (mu = {expected.best_fit:.4g} +- {expected.error:.4g}); "
        f"it is off by: {worst}; expected at most 0.5 %. Its optimiser takes steps made for errors of 0.001 to 1: "
        f"multiply the signal by {factor:g} and read mu in these units, or use signal_strength, spey or HS3"
    )
    raise StatisticsError(msg)
