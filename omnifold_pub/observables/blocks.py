"""Some events at a time: what is computed of them is computed once, whoever asks for it."""

from __future__ import annotations

import threading
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import ObservableError
from omnifold_pub.messages import shorten
from omnifold_pub.observables.events import (
    Definition,
    Events,
    NanRule,
    Values,
    check_rule,
    compute,
    definition_text,
)

__all__ = ["Block", "UndefinedValuesError", "count_undefined", "evaluate"]

_FUNCTIONS = threading.Lock()
"""Functions of users run one at a time: nobody asks them to be safe in threads."""


class UndefinedValuesError(Exception):
    """Some events of a block have all columns of an observable and yet no value; the whole is to be counted.

    Attributes
    ----------
    definition : str or callable
        The observable.
    where : str, callable or None
        The selection that these events pass.
    """

    def __init__(self, definition: Definition, where: Definition | None) -> None:
        super().__init__(definition_text(definition))
        self.definition = definition
        self.where = where


class Block:
    """Some events, one after the other.

    Parameters
    ----------
    events : Events
        Their columns.
    """

    def __init__(self, events: Events) -> None:
        self.events = events
        self.size = events.size
        self._values: dict[Definition, Values] = {}
        self._selected: dict[Definition, NDArray[np.bool_]] = {}

    def _compute(self, definition: Definition) -> Values:
        if definition not in self._values:
            if isinstance(definition, str):
                self._values[definition] = compute(definition, self.events)
            else:
                with _FUNCTIONS:
                    self._values[definition] = compute(definition, self.events)
        return self._values[definition]

    def selected(self, where: Definition) -> NDArray[np.bool_]:
        """Return which events pass a selection; a comparison with an absent object is false.

        Raises
        ------
        ObservableError
            If it is no condition: not every value is 0 or 1.
        """
        if where not in self._selected:
            values = self._compute(where).values
            passed = values == 1
            other = np.flatnonzero(~(passed | (values == 0)))
            if len(other):
                msg = (
                    f"selection {shorten(definition_text(where))}: expected a condition such as pT_ll > 300; "
                    f"found the value {values[other[0]]:g}"
                )
                raise ObservableError(msg)
            self._selected[where] = passed
        return self._selected[where]

    def values(self, definition: Definition, where: Definition | None, nan: NanRule) -> NDArray[np.float64]:
        """Return ``value[event]`` of an observable; NaN for events without it and those that a selection removes.

        Raises
        ------
        UndefinedValuesError
            If it is undefined for an event that passes, under ``nan="error"``.
        ObservableError
            If it cannot be computed.
        """
        result = self._compute(definition)
        if where is None:
            if nan == "error" and result.undefined.any():
                raise UndefinedValuesError(definition, where)
            return result.values
        passed = self.selected(where)
        if nan == "error" and (result.undefined & passed).any():
            raise UndefinedValuesError(definition, where)
        return np.where(passed, result.values, np.nan)


def count_undefined(error: UndefinedValuesError, blocks: Iterable[tuple[int, Block]], size: int) -> ObservableError:
    """Return the error that says for how many events an observable is undefined.

    Parameters
    ----------
    error : UndefinedValuesError
        What is undefined.
    blocks : iterable of (int, Block)
        All events, behind the row of the first of each block.
    size : int
        Their number.
    """
    rows: list[int] = []
    count = 0
    for start, block in blocks:
        bad = compute(error.definition, block.events).undefined
        if error.where is not None:
            bad = bad & block.selected(error.where)
        count += int(bad.sum())
        rows += (start + np.flatnonzero(bad)[:1]).tolist()
    return ObservableError(
        f"observable {definition_text(error.definition)!r} is NaN for {count} of {size} events that have all its "
        f'columns, the first in row {rows[0]}; mend the definition, or leave these events out with nan="drop"'
    )


def evaluate(
    definition: Definition, events: Events, *, where: Definition | None = None, nan: NanRule = "error"
) -> NDArray[np.float64]:
    """Compute an observable for all events at once, see `omnifold_pub.observables.events.compute`.

    Parameters
    ----------
    where : str or callable, optional
        Selection.
    nan : {"error", "drop"}
        What to do with a NaN that is not due to an absent object: raise, or leave the event out.

    Returns
    -------
    numpy.ndarray
        ``value[event]``, float64; NaN for events without the observable, or not selected.

    Raises
    ------
    ObservableError
        If it cannot be computed, or is undefined for a selected event under ``nan="error"``.
    """
    check_rule(nan)
    block = Block(events)
    try:
        return block.values(definition, where, nan)
    except UndefinedValuesError as error:
        raise count_undefined(error, [(0, block)], events.size) from None
