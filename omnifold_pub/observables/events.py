"""Events as a mapping of columns, and the value of an observable for each of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import ObservableError
from omnifold_pub.messages import shorten, suggest
from omnifold_pub.observables.expressions import parse
from omnifold_pub.observables.momenta import FourMomentum, VectorColumns

__all__ = [
    "Definition",
    "Events",
    "NanRule",
    "Values",
    "check_definition",
    "check_rule",
    "columns_used",
    "compute",
    "definition_text",
]

Definition = str | Callable[[Mapping[str, NDArray[np.float32]]], NDArray[Any]]
"""What an observable is: a column, an expression of columns, or a function of the events."""

NanRule = Literal["error", "drop"]


class Events(VectorColumns):
    """Columns of events, read when first used and kept.

    ``events["pT_ll"]`` is a float32 array over the events; NaN marks an object that the event lacks (a
    second jet, say).

    Parameters
    ----------
    size : int
        Number of events.
    names : iterable of str
        Columns there are.
    load : callable
        Returns a column by its name.
    where : str
        What the events are, for messages.
    momenta : mapping of str to FourMomentum, optional
        Four-momenta that are declared: ``events.vector("l1")``.
    """

    def __init__(
        self,
        size: int,
        names: tuple[str, ...],
        load: Callable[[str], NDArray[np.float32]],
        *,
        where: str,
        momenta: Mapping[str, FourMomentum] | None = None,
    ) -> None:
        self.size = size
        self.momenta = momenta or {}
        self.where = where
        self._names = names
        self._load = load
        self._columns: dict[str, NDArray[np.float32]] = {}

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        """Return one column, read-only."""
        if name not in self._columns:
            if name not in self._names:
                msg = f"{self.where} has no column {shorten(name)}; {suggest(name, self._names)}"
                raise ObservableError(msg)
            column = self._load(name)
            column.flags.writeable = False
            self._columns[name] = column
        return self._columns[name]

    def get(self, name: str, default: Any = None) -> Any:
        """Return one column, or the default if there is none of that name."""
        return self[name] if name in self else default  # noqa: SIM401 - this is get

    def __contains__(self, name: object) -> bool:
        """Tell whether there is such a column, without reading it."""
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        """Iterate over the column names."""
        return iter(self._names)

    def __len__(self) -> int:
        """Return the number of columns."""
        return len(self._names)


class _Recording(VectorColumns):
    """The same events, remembering which columns a function looked at."""

    def __init__(self, events: Events) -> None:
        self.events = events
        self.momenta = events.momenta
        self.used: set[str] = set()

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        self.used.add(name)
        return self.events[name]

    def __contains__(self, name: object) -> bool:
        return name in self.events

    def __iter__(self) -> Iterator[str]:
        return iter(self.events)

    def __len__(self) -> int:
        return len(self.events)


def definition_text(definition: Definition) -> str:
    """Return an observable's definition as text: the expression, or the function's name."""
    return definition if isinstance(definition, str) else getattr(definition, "__name__", repr(definition))


def columns_used(definition: str, events: Events) -> tuple[str, ...]:
    """Return the columns of a definition: itself if it is one, those of the expression otherwise.

    Raises
    ------
    ObservableError
        If the expression is not allowed.
    """
    return (definition,) if definition in events else parse(definition).columns


@dataclass(frozen=True, eq=False)
class Values:
    """An observable of some events.

    Attributes
    ----------
    values : numpy.ndarray
        ``value[event]``, float64; NaN for events without the observable.
    undefined : numpy.ndarray
        ``undefined[event]``: the value is NaN although the event has all columns that were used.
    """

    values: NDArray[np.float64]
    undefined: NDArray[np.bool_]


def compute(definition: Definition, events: Events) -> Values:
    """Compute an observable for every event.

    Where a column it uses is absent (no second jet), the observable may be NaN: the event has no such
    observable and enters no bin. A NaN anywhere else (0/0, the square root of a negative number) is undefined.

    Parameters
    ----------
    definition : str or callable
        A column name, an expression, or a function of the events.
    events : Events
        Where the columns come from.

    Raises
    ------
    ObservableError
        For an unknown column, an expression that is not allowed, a function that fails or returns another
        shape.
    """
    name = definition_text(definition)
    used: Collection[str]
    if isinstance(definition, str):
        used = columns_used(definition, events)
        result = np.asarray(events[definition]) if definition in events else parse(definition)(events)
    else:
        check_definition(definition)
        recording = _Recording(events)
        try:
            result = np.asarray(definition(recording))
        except ObservableError:
            raise
        except Exception as error:
            msg = f"observable function {name!r} failed on {events.where}: {type(error).__name__}: {error}"
            raise ObservableError(msg) from error
        used = recording.used
    if result.shape != (events.size,) or result.dtype.kind not in "biuf":
        msg = (
            f"observable {name!r}: expected one real number for each of the {events.size} events; "
            f"found an array of shape {result.shape}, dtype {result.dtype}"
        )
        raise ObservableError(msg)
    values = result.astype(np.float64)
    undefined = np.isnan(values)
    if undefined.any():
        for column in used:
            undefined &= ~np.isnan(events[column])
    return Values(values, undefined)


def check_definition(definition: Definition) -> None:
    """Refuse what is neither text nor a function.

    Raises
    ------
    ObservableError
        If it is neither.
    """
    if not isinstance(definition, str) and not callable(definition):
        msg = f"an observable is a column name, an expression or a function; found {shorten(definition)}"
        raise ObservableError(msg)


def check_rule(nan: NanRule) -> None:
    """Refuse what is no rule for undefined values.

    Raises
    ------
    ObservableError
        If it is none.
    """
    if nan not in ("error", "drop"):
        msg = f'nan: expected "error" or "drop"; found {shorten(nan)}'
        raise ObservableError(msg)
