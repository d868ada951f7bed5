"""A measurement and a signal as a statistical model of spey."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from omnifold_pub.errors import MissingExtraError
from omnifold_pub.exchange.gaussian import strength
from omnifold_pub.exchange.whitening import Whitened

__all__ = ["spey_model"]

_RANGE = 100.0  # of mu below zero, in units of its error


def spey_model(white: Whitened, *, name: str = "measurement") -> Any:
    """Return spey's ``default.multivariate_normal`` of the whitened directions.

    Their covariance is never singular, for which spey would answer wrongly without a word. spey lets mu fall to
    - background / signal: so a constant is added to background and data, which changes nothing else. When it is
    imported, spey looks for news in the network, unless ``SPEY_CHECKUPDATE=OFF`` is in the environment.

    Parameters
    ----------
    white : Whitened
        Named sources are added to the covariance.
    name : str
        Of the analysis.

    Returns
    -------
    spey.StatisticalModel
        With ``maximize_likelihood``, ``poi_upper_limit`` and the like. To be combined with others, it must not share
        sources with them.

    Raises
    ------
    MissingExtraError
        If spey is not installed.
    """
    try:
        spey: Any = import_module("spey")
    except ModuleNotFoundError as error:
        msg = "A model of spey needs the package spey, which is not installed. Install it with: pip install spey"
        raise MissingExtraError(msg) from error
    found = strength(white)
    size = len(white.data)
    covariance = np.eye(size) + sum((np.outer(d, d) for d in white.shifts.values()), np.zeros((size, size)))
    constant = float(np.abs(white.signal).max()) * (abs(found.best_fit) + _RANGE * found.error)
    return spey.get_backend("default.multivariate_normal")(
        signal_yields=white.signal.tolist(),
        background_yields=np.full(size, constant).tolist(),
        data=(constant + white.data).tolist(),
        covariance_matrix=covariance,
        analysis=name,
    )
