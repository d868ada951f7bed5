"""A measurement and a signal as an HS3 document: one Gaussian of width one for each whitened direction."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from omnifold_pub.exchange.gaussian import strength
from omnifold_pub.exchange.whitening import Whitened

__all__ = ["hs3_document"]

_RANGE = 20.0  # of data: wide enough for a Gaussian of width one, narrow enough for pyhs3's 64 points of quadrature
_PARAMETERS = 10.0  # standard deviations that they may move


def hs3_document(white: Whitened, *, name: str = "measurement", about: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return an HS3 document (HEP Statistics Serialization Standard 0.2) of the likelihood of mu.

    Named sources become parameters ``alpha_0``, ``alpha_1``, ... with Gaussians of width one around zero; ``misc`` says
    which is which, and keeps W, x and b. Programs normalise each Gaussian over the range of its data, which is 20
    standard deviations around them: a fit that misses one direction by more than about 12 is not to be trusted.

    Parameters
    ----------
    white : Whitened
        See `omnifold_pub.exchange.whitening.whiten`.
    name : str
        Of the likelihood; the analysis is ``<name>_fit``.
    about : dict, optional
        What goes with it, such as labels and unit.

    Examples
    --------
    >>> from omnifold_pub.exchange.whitening import whiten
    >>> document = hs3_document(whiten([1.0, 3.0], [1.0, 1.0], [[2.0, 0.0], [0.0, 2.0]]))
    >>> [one["type"] for one in document["distributions"]]
    ['gaussian_dist', 'gaussian_dist']
    """
    found = strength(white)
    functions: list[dict[str, Any]] = []
    distributions, data = [], []
    alphas = {source: f"alpha_{number}" for number, source in enumerate(white.shifts)}
    for i, (y, t) in enumerate(zip(white.data.tolist(), white.signal.tolist(), strict=True)):
        terms = [f"signal_{i}"]
        functions.append({"type": "product", "name": f"signal_{i}", "factors": ["mu", t]})
        for source, alpha in alphas.items():
            terms.append(f"shift_{i}_{alpha}")
            functions.append({"type": "product", "name": terms[-1], "factors": [alpha, float(white.shifts[source][i])]})
        functions.append({"type": "sum", "name": f"mean_{i}", "summands": terms})
        distributions.append(
            {"type": "gaussian_dist", "name": f"bin_{i}", "x": f"y_{i}", "mean": f"mean_{i}", "sigma": 1.0}
        )
        axes = [{"name": f"y_{i}", "min": y - _RANGE, "max": y + _RANGE}]
        data.append({"type": "unbinned", "name": f"data_{i}", "entries": [[y]], "axes": axes})
    for alpha in alphas.values():
        distributions.append(
            {"type": "gaussian_dist", "name": f"constraint_{alpha}", "x": f"g_{alpha}", "mean": alpha, "sigma": 1.0}
        )
        axes = [{"name": f"g_{alpha}", "min": -_RANGE, "max": _RANGE}]
        data.append({"type": "unbinned", "name": f"data_{alpha}", "entries": [[0.0]], "axes": axes})
    reach = _PARAMETERS * found.error
    parameters = {"mu": (min(found.best_fit - reach, 0.0), max(found.best_fit + reach, 0.0))}
    parameters |= dict.fromkeys(alphas.values(), (-_PARAMETERS, _PARAMETERS))
    return {
        "metadata": {
            "hs3_version": "0.2",
            "packages": [{"name": "omnifold_pub", "version": version("omnifold-pub")}],
            "description": "data less background and signal in coordinates where the covariance is the unit matrix",
        },
        "distributions": distributions,
        "functions": functions,
        "data": data,
        "likelihoods": [
            {"name": name, "distributions": [d["name"] for d in distributions], "data": [d["name"] for d in data]}
        ],
        "domains": [
            {
                "type": "product_domain",
                "name": "default_domain",
                "axes": [{"name": key, "min": low, "max": high} for key, (low, high) in parameters.items()],
            }
        ],
        "parameter_points": [
            {"name": "default_values", "parameters": [{"name": key, "value": 0.0} for key in parameters]}
        ],
        "analyses": [
            {
                "name": f"{name}_fit",
                "likelihood": name,
                "parameters_of_interest": ["mu"],
                "domains": ["default_domain"],
                "init": "default_values",
            }
        ],
        "misc": {
            "omnifold_pub": {
                **(about or {}),
                "measured": white.measured.tolist(),
                "background": white.background.tolist(),
                "transform": white.transform.tolist(),
                "sources": {alpha: source for source, alpha in alphas.items()},
            }
        },
    }
