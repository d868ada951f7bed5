"""Any function of the events and their weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from omnifold_pub.errors import ObservableError
from omnifold_pub.estimators.base import EventStatistic
from omnifold_pub.messages import shorten
from omnifold_pub.observables.events import Events

__all__ = ["Custom", "Function"]

Function = Callable[[Mapping[str, NDArray[np.float32]], NDArray[np.float64]], ArrayLike]
"""``function(events, weights)``."""


@dataclass(frozen=True, eq=False)
class Custom(EventStatistic):
    """Any statistic of the weighted events: a ratio, a thrust, a fit.

    Parameters
    ----------
    function : callable
        ``function(events, weights)`` with a mapping of columns and ``weights[event]`` in float64; returns a number or
        a 1-D array, always of the same length. It is called once with the nominal weights and once for each member.
    labels : tuple of str, optional
        What each number is.
    name : str, optional
        By default the function's name.

    Raises
    ------
    ObservableError
        If it is no function.

    Examples
    --------
    >>> def mean_pt(events, weights):
    ...     return np.average(events["pT_ll"], weights=weights)
    >>> Custom(mean_pt).name
    'mean_pt'
    """

    function: Function
    labels: tuple[str, ...] = ()
    name: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        if not callable(self.function):
            msg = f"a statistic is a function of events and weights; found {shorten(self.function)}"
            raise ObservableError(msg)
        object.__setattr__(self, "name", self.name or getattr(self.function, "__name__", repr(self.function)))

    def prepare(self, events: Events) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
        """Return the function of the weights alone."""

        def statistic(weights: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.atleast_1d(np.asarray(self.function(events, weights), dtype=np.float64))

        return statistic
