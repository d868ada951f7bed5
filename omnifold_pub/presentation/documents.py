"""Measurements as JSON documents, after ``measurement.schema.json``: written, and read again bit by bit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import ObservableError
from omnifold_pub.estimators.base import BinnedStatistic, Statistic
from omnifold_pub.messages import shorten
from omnifold_pub.presentation.checks import check_covariances, matrix_of, refuse, upgraded
from omnifold_pub.presentation.measured import Measured
from omnifold_pub.presentation.recipes import restore, statistic_document
from omnifold_pub.schemas import SCHEMA_VERSION, check
from omnifold_pub.statistics.components import Component, ComponentResult

__all__ = ["Form", "document_of", "read_document"]

Array = NDArray[np.float64]
Document = dict[str, Any]
Form = Literal["estimate", "measurement", "joint"]

_DECLARED = ("description", "includes_event_sampling", "correlated", "relative_uncertainty", "seed", "canvas")


def document_of(measured: Measured, form: Form, *, members: Literal["written", "left out"]) -> Document:
    """Return a measurement as JSON can hold it.

    Parameters
    ----------
    measured : Measured
        The measurement.
    form : {"estimate", "measurement", "joint"}
        What it is to a reader.
    members : {"written", "left out"}
        The statistics under each member: of many replicas they are most of the document, and without them there is
        neither a bias nor a comparison of shapes.

    Raises
    ------
    ObservableError
        If a number is not finite; JSON has none of these.
    """
    numbers = [measured.nominal, *(result.covariance for result in measured.results)]
    if not all(np.isfinite(array).all() for array in numbers):
        msg = "to_dict: expected finite values and covariances; found others; leave out the bins where they are"
        raise ObservableError(msg)
    plain = set(measured.units) == {measured.weight_unit}
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "measurement",
        "form": form,
        **({"unit": measured.weight_unit} if plain else {}),
        "weight_unit": measured.weight_unit,
        "central": measured.central,
        "observables": [_observable(measured, i) for i in range(len(measured.statistics))],
        "values": measured.nominal.tolist(),
        "uncertainties": measured.uncertainties().tolist(),
        "effective_events": [None if np.isnan(n) else n for n in measured.effective_events.tolist()],
        "covariance": measured.covariance().tolist(),
        "components": [_component(result, members) for result in measured.results],
    }


def _observable(measured: Measured, number: int) -> Document:
    statistic, bins = measured.statistics[number], measured.slices[number]
    axes = statistic.axes if isinstance(statistic, BinnedStatistic) else ()
    single = len(axes) == 1 and bool(np.isfinite(axes[0].edges).all())
    document = statistic_document(statistic)
    return {
        "name": document.pop("name"),
        **({"edges": axes[0].edges.tolist()} if single else {}),
        "start": bins.start,
        "size": measured.sizes[number],
        "unit": measured.units[number],
        **document,
    }


def _component(result: ComponentResult, members: str) -> Document:
    component = result.component
    declared = {key: value for key, value in asdict(component).items() if key in _DECLARED}
    written = members == "written" and len(result.members) and np.isfinite(result.members).all()
    return {
        "name": component.name,
        "kind": component.kind,
        **({"members": component.members} if component.members else {}),
        **declared,
        "computed_members": len(result.members),
        "covariance": result.covariance.tolist(),
        **({"member_values": result.members.tolist()} if written else {}),
    }


def read_document(document: object) -> tuple[Form, dict[str, Any]]:
    """Read what `document_of` wrote: its form, and what a measurement is made of.

    Members that the document leaves out are NaN: their number counts in a p-value, and nobody knows their values.
    Documents of version 1.0.0 are read as well.

    Raises
    ------
    ReleaseError
        If it is no document of a version that can be read, its arrays do not fit together, a covariance is not
        symmetric, or not that of its members.
    """
    document = upgraded(document)
    light, arrays = _without_matrices(document)
    problems = check(light, "measurement")
    if problems:
        more = f" ({len(problems) - 1} more)" if len(problems) > 1 else ""
        refuse(problems[0].path, problems[0].expected.removeprefix("expected "), problems[0].found + more)
    found = cast("Document", document)
    statistics, sizes = _statistics(found)
    bins = sum(sizes)
    vectors = {key: _vector(found, key, bins) for key in ("values", "uncertainties", "effective_events")}
    fields = {
        "nominal": vectors["values"],
        "results": tuple(_result(one, i, bins, arrays) for i, one in enumerate(found["components"])),
        "statistics": statistics,
        "sizes": sizes,
        "units": tuple(one["unit"] for one in found["observables"]),
        "weight_unit": found["weight_unit"],
        "effective_events": vectors["effective_events"],
        "central": found["central"],
    }
    total = _shaped(arrays, "covariance", (bins, bins))
    check_covariances(fields, total, vectors["uncertainties"])
    return _form(found["form"], statistics), fields


def _form(form: Form, statistics: Sequence[Statistic]) -> Form:
    if form != "joint" and len(statistics) != 1:
        refuse("observables", f"one of a document of the form {form}", len(statistics))
    if form == "measurement" and not isinstance(statistics[0], BinnedStatistic):
        refuse("observables[0].axes", "at least one axis of a measurement", "none")
    return form


def _without_matrices(document: object) -> tuple[object, dict[str, Array]]:
    """Take out matrices of numbers: a hundred times faster than a schema sees that they are."""
    if not isinstance(document, dict):
        return document, {}
    arrays: dict[str, Array] = {}

    def lightened(node: Document, prefix: str) -> Document:
        light = dict(node)
        for key in ("covariance", "member_values"):
            array = matrix_of(node.get(key))
            if array is not None:
                arrays[f"{prefix}{key}"] = array
                light[key] = [[0.0]]
        return light

    top = lightened(document, "")
    if isinstance(components := document.get("components"), list):
        top["components"] = [
            lightened(one, f"components[{i}].") if isinstance(one, dict) else one for i, one in enumerate(components)
        ]
    return top, arrays


def _statistics(document: Document) -> tuple[tuple[Statistic, ...], tuple[int, ...]]:
    statistics, start = [], 0
    for number, one in enumerate(document["observables"]):
        where, size = f"observables[{number}]", one["size"]
        try:
            statistic = restore(one)
        except ObservableError as error:
            refuse(where, "a statistic that can be made", error)
        if one["start"] != start:
            refuse(f"{where}.start", f"{start}, behind the bins before", one["start"])
        known = statistic.size if isinstance(statistic, BinnedStatistic) else len(statistic.labels) or size
        if known != size:
            refuse(f"{where}.size", f"{known} bins, as it has axes and labels", size)
        if len(one["labels"]) not in (0, size):
            refuse(f"{where}.labels", f"one for each of {size} bins", len(one["labels"]))
        if "edges" in one and [one["edges"]] != [axis["edges"] for axis in one["axes"]]:
            refuse(f"{where}.edges", "the edges of the only axis", shorten(one["edges"]))
        statistics.append(statistic)
        start += size
    return tuple(statistics), tuple(one["size"] for one in document["observables"])


def _vector(document: Document, key: str, bins: int) -> Array:
    numbers = document[key]
    if len(numbers) != bins:
        refuse(key, f"one number for each of {bins} bins", f"{len(numbers)}")
    return np.array([np.nan if number is None else number for number in numbers], dtype=np.float64)


def _shaped(arrays: dict[str, Array], path: str, shape: tuple[int, int]) -> Array:
    if path not in arrays:
        refuse(path, f"{shape[0]} rows of {shape[1]} finite numbers", "rows of several lengths")
    if arrays[path].shape != shape:
        refuse(path, f"{shape[0]} rows of {shape[1]} numbers", f"{arrays[path].shape[0]} of {arrays[path].shape[1]}")
    return arrays[path]


def _result(document: Document, number: int, bins: int, arrays: dict[str, Array]) -> ComponentResult:
    where, count = f"components[{number}].", document["computed_members"]
    declared = {key: document[key] for key in _DECLARED}
    component = Component(document["name"], document["kind"], members=document.get("members", 0), **declared)
    if "member_values" in document:
        members = _shaped(arrays, f"{where}member_values", (count, bins))
    else:
        members = np.broadcast_to(np.nan, (count, bins))
    if component.is_replicated and count == 1:
        refuse(f"{where}computed_members", "two or more of a component that replicas estimate", count)
    return ComponentResult(component, members, _shaped(arrays, f"{where}covariance", (bins, bins)))
