"""What a reader asks to be measured, as statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypedDict, cast

from omnifold_pub.errors import ObservableError
from omnifold_pub.estimators import Histogram, Statistic
from omnifold_pub.messages import shorten
from omnifold_pub.observables.binning import Bins
from omnifold_pub.observables.events import Definition, NanRule

__all__ = ["Options", "Wanted", "requested"]

Wanted = Statistic | Bins | tuple[Definition | Sequence[Definition], Bins | Sequence[Bins]]
"""What a joint measurement takes by name: a statistic, the bins of the observable of that name, or both."""


class Options(TypedDict):
    """What all histograms of a call have in common."""

    where: Definition | None
    nan: NanRule
    flow: bool
    density: bool
    normalise: bool


_DEFAULT: Options = {"where": None, "nan": "error", "flow": False, "density": False, "normalise": False}


def _named(name: str, entry: Wanted, options: Options) -> Statistic:
    """Return what a joint measurement calls by a name."""
    if isinstance(entry, Statistic):
        return replace(entry, name=name)  # type: ignore[type-var]
    if isinstance(entry, tuple) and len(entry) == 2 and _is_definition(entry[0]):
        return Histogram(cast("Any", entry[0]), cast("Any", entry[1]), name=name, **options)
    return Histogram(name, cast("Any", entry), name=name, **options)


def _is_definition(value: object) -> bool:
    several = value if isinstance(value, list | tuple) and value else [value]
    return all(isinstance(one, str) or callable(one) for one in several)


def requested(
    observable: Definition | Sequence[Definition] | Statistic | Mapping[str, Wanted],
    bins: Bins | Sequence[Bins] | None,
    options: Options,
) -> list[Statistic]:
    """Return the statistics that a call of `Release.measure` asks for.

    Raises
    ------
    ObservableError
        For a call that says too little or too much.
    """
    if isinstance(observable, Mapping):
        if bins is not None or not observable:
            msg = "to measure several observables, give a mapping of name to bins, not empty, and no other bins"
            raise ObservableError(msg)
        return [_named(name, entry, options) for name, entry in observable.items()]
    if isinstance(observable, Statistic):
        if bins is not None or options != _DEFAULT:
            msg = f"{observable.name}: a statistic says its bins and selection itself; give nothing beside it"
            raise ObservableError(msg)
        return [observable]
    if bins is None:
        msg = f"observable {shorten(observable)}: no bins are given; expected a sequence of edges"
        raise ObservableError(msg)
    return [Histogram(observable, bins, **options)]
