"""Statistics as a document holds them: what was computed, in words that make it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from omnifold_pub.errors import ObservableError
from omnifold_pub.estimators import BinnedStatistic, Custom, Histogram, Moments, Profile, Quantiles, Ratio, Statistic
from omnifold_pub.estimators.inner import Inner
from omnifold_pub.estimators.restored import Restored, RestoredBins
from omnifold_pub.messages import shorten
from omnifold_pub.observables.binning import Axis
from omnifold_pub.observables.events import Definition, definition_text

__all__ = ["axis_document", "restore", "statistic_document"]

Document = dict[str, Any]

_INFINITE = {"-inf": -np.inf, "inf": np.inf}


def _edge(edge: float) -> float | str:
    return edge if np.isfinite(edge) else f"{edge:g}"


def axis_document(axis: Axis) -> Document:
    """Return an axis as JSON can hold it.

    >>> axis_document(Axis.from_bins([0, 1, np.inf], name="x", unit="GeV"))
    {'name': 'x', 'label': 'x', 'unit': 'GeV', 'edges': [0.0, 1.0, 'inf']}
    """
    edges = [_edge(edge) for edge in axis.edges.tolist()]
    return {"name": axis.name, "label": axis.label, "unit": axis.unit, "edges": edges}


def _definition(definition: Definition) -> Document:
    kind = "expression" if isinstance(definition, str) else "function"
    return {kind: definition_text(definition)}


def _condition(where: Definition | None) -> Document | None:
    return None if where is None else _definition(where)


def _children(statistic: Statistic) -> tuple[BinnedStatistic, ...]:
    if isinstance(statistic, Ratio):
        return statistic.numerator, statistic.denominator
    return (statistic.whole,) if isinstance(statistic, Inner) else ()


def _recipe(statistic: Statistic, children: Sequence[int]) -> Document:
    """Return what a statistic was computed of; ``children`` are places of what it is made of."""
    match statistic:
        case Histogram():
            return {
                "type": "histogram",
                "observables": [_definition(d) for d in statistic.definitions],
                "where": _condition(statistic.where),
                "nan": statistic.nan,
                "density": statistic.density,
                "normalise": statistic.normalise,
            }
        case Profile():
            return {
                "type": "profile",
                "observable": _definition(statistic.observable),
                "by": [_definition(d) for d in statistic.definitions],
                "where": _condition(statistic.where),
                "nan": statistic.nan,
            }
        case Ratio():
            return {"type": "ratio", "numerator": children[0], "denominator": children[1]}
        case Inner():
            return {"type": "inner", "whole": children[0]}
        case Moments() | Quantiles():
            numbers = (
                {"type": "moments", "orders": list(statistic.orders)}
                if isinstance(statistic, Moments)
                else {"type": "quantiles", "probabilities": list(statistic.probabilities)}
            )
            return numbers | {
                "observable": _definition(statistic.observable),
                "where": _condition(statistic.where),
                "nan": statistic.nan,
            }
        case Restored() | RestoredBins():
            return statistic.recipe
    function = statistic.function if isinstance(statistic, Custom) else type(statistic)
    return {"type": "function", "function": getattr(function, "__name__", repr(function))}


def _part(statistic: Statistic, children: Sequence[int]) -> Document:
    binned = statistic if isinstance(statistic, BinnedStatistic) else None
    return {
        "name": statistic.name,
        "uhi_kind": None if binned is None else binned.kind,
        "axes": [] if binned is None else [axis_document(axis) for axis in binned.axes],
        "labels": list(statistic.labels),
        "statistic": _recipe(statistic, children),
    }


def statistic_document(statistic: Statistic) -> Document:
    """Return a statistic as JSON can hold it.

    What a ratio is made of stands before it in the list ``parts``, however deep they are nested.

    Examples
    --------
    >>> statistic_document(Histogram("x", [0, 1], where="y > 2"))["statistic"]["where"]
    {'expression': 'y > 2'}
    """
    found: list[Statistic] = []
    places: list[list[int]] = []
    pending: list[tuple[Statistic, int]] = [(statistic, -1)]
    while pending:
        one, parent = pending.pop()
        if parent >= 0:
            places[parent].append(len(found))
        pending += [(child, len(found)) for child in reversed(_children(one))]
        found.append(one)
        places.append([])
    last = len(found) - 1  # parts are written before what they are part of
    parts = [_part(one, [last - place for place in own]) for one, own in zip(found, places, strict=True)]
    return parts[0] | ({"parts": parts[:0:-1]} if last else {})


def _axes(documents: Sequence[Mapping[str, Any]]) -> tuple[Axis, ...]:
    axes = []
    for one in documents:
        edges = [_INFINITE[edge] if isinstance(edge, str) else float(edge) for edge in one["edges"]]
        checked = Axis.from_bins(edges, name=one["name"])
        axes.append(Axis(checked.edges, name=one["name"], label=one["label"], unit=one["unit"]))
    return tuple(axes)


def _functions(recipe: Mapping[str, Any]) -> bool:
    """Tell whether a Python function is in a recipe."""
    used = [recipe.get("observable"), recipe.get("where"), *recipe.get("observables", ()), *recipe.get("by", ())]
    return recipe["type"] == "function" or any(one is not None and "function" in one for one in used)


def _unbinned(part: Mapping[str, Any]) -> Statistic:
    recipe, name = part["statistic"], part["name"]
    if _functions(recipe) or recipe["type"] not in ("moments", "quantiles"):
        return Restored(name, tuple(part["labels"]), recipe=recipe)
    where = None if recipe["where"] is None else recipe["where"]["expression"]
    observable = recipe["observable"]["expression"]
    if recipe["type"] == "moments":
        return Moments(observable, recipe["orders"], where=where, nan=recipe["nan"], name=name)
    return Quantiles(observable, recipe["probabilities"], where=where, nan=recipe["nan"], name=name)


def _binned(part: Mapping[str, Any], axes: tuple[Axis, ...], built: Sequence[Statistic]) -> BinnedStatistic:
    recipe, name = part["statistic"], part["name"]
    if recipe["type"] in ("ratio", "inner"):
        keys = ("numerator", "denominator") if recipe["type"] == "ratio" else ("whole",)
        made_of = []
        for key in keys:
            if recipe[key] >= len(built) or not isinstance(child := built[recipe[key]], BinnedStatistic):
                msg = f"{key} {recipe[key]}: expected the place of an earlier part that has bins"
                raise ObservableError(msg)
            made_of.append(child)
        return Ratio(*made_of, name=name) if len(made_of) == 2 else Inner(made_of[0], name=name)
    if _functions(recipe) or recipe["type"] not in ("histogram", "profile"):
        return RestoredBins(name, axes, part["uhi_kind"], recipe=recipe)
    where = None if recipe["where"] is None else recipe["where"]["expression"]
    if recipe["type"] == "profile":
        by = tuple(one["expression"] for one in recipe["by"])
        observable = recipe["observable"]["expression"]
        return Profile(observable, by, axes, where=where, nan=recipe["nan"], name=name)
    return Histogram(
        tuple(one["expression"] for one in recipe["observables"]),
        axes,
        where=where,
        nan=recipe["nan"],
        density=recipe["density"],
        normalise=recipe["normalise"],
        name=name,
    )


def _check_tree(parts: Sequence[Mapping[str, Any]]) -> None:
    """Refuse parts that are used twice or never: nested in themselves they would grow without bound."""
    used = [
        part["statistic"][key]
        for part in parts
        for key in ("numerator", "denominator", "whole")
        if key in part["statistic"]
    ]
    if sorted(used) != list(range(len(parts) - 1)):
        msg = f"parts: expected each of {len(parts) - 1} to be used once; found {shorten(used)}"
        raise ObservableError(msg)


def restore(document: Mapping[str, Any]) -> Statistic:
    """Make a statistic again of its document, which its schema has passed.

    Of what a Python function did, name, axes and labels come back, as `Restored` or `RestoredBins`.

    Raises
    ------
    ObservableError
        For bins that are none, or parts that do not fit together.

    Examples
    --------
    >>> restore(statistic_document(Moments("x", [1, 2]))).labels
    ('mean of x', 'central moment 2 of x')
    """
    parts = [*document.get("parts", ()), document]
    _check_tree(parts)
    built: list[Statistic] = []
    for part in parts:
        axes = _axes(part["axes"])
        if (part["uhi_kind"] is None) != (not axes):
            msg = f"uhi_kind: expected COUNT or MEAN with axes and null without; found {part['uhi_kind']}"
            raise ObservableError(msg)
        statistic = _binned(part, axes, built) if axes else _unbinned(part)
        if isinstance(statistic, BinnedStatistic) and not _same(statistic, axes, part["uhi_kind"]):
            msg = f"{shorten(part['name'])}: expected the axes that its observables have; found {shorten(part['axes'])}"
            raise ObservableError(msg)
        built.append(statistic)
    return built[-1]


def _same(statistic: BinnedStatistic, axes: tuple[Axis, ...], kind: str | None) -> bool:
    """Compare with what the document says beside the recipe."""
    there = [(axis.name, axis.label, axis.unit, axis.edges.tolist()) for axis in statistic.axes]
    return statistic.kind == kind and there == [(a.name, a.label, a.unit, a.edges.tolist()) for a in axes]
