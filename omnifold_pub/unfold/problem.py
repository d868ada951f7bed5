"""What OmniFold unfolds: one data set and one simulation, ready for the networks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Mask", "Networks", "OmniFoldInputs", "Weights"]

Weights = NDArray[np.float64]
Mask = NDArray[np.bool_]
Networks = dict[str, dict[str, NDArray[Any]]]
"""``networks[classifier][parameter]``: what classifiers have learned."""


@dataclass(frozen=True)
class OmniFoldInputs:
    """One data set and one simulation, preprocessed.

    Attributes
    ----------
    truth, reco : numpy.ndarray
        ``truth[event, feature]`` and ``reco[event, feature]`` of the simulation, float32. Rows that fail the
        selection of a level are never looked at on that level.
    pass_truth, pass_reco : numpy.ndarray
        ``[event]``, bool.
    truth_weight, reco_weight : numpy.ndarray
        w_t and w_r, ``[event]``, float64. Some may be negative.
    data : numpy.ndarray
        ``data[event, feature]``, float32.
    data_weight : numpy.ndarray
        w_d, ``[event]``, float64.
    data_rows : numpy.ndarray, optional
        ``[event]``, int64: which simulated event each of the data is, in a closure test; None where they are others.
    background : numpy.ndarray, optional
        ``background[event, feature]``, float32: what the data hold beside the signal.
    background_weight : numpy.ndarray, optional
        ``[event]``, float64: expected number of events, on the scale of ``data_weight``.
    """

    truth: NDArray[np.float32]
    reco: NDArray[np.float32]
    pass_truth: Mask
    pass_reco: Mask
    truth_weight: Weights
    reco_weight: Weights
    data: NDArray[np.float32]
    data_weight: Weights
    data_rows: NDArray[np.int64] | None = None
    background: NDArray[np.float32] | None = None
    background_weight: Weights | None = None
