"""What of a measurement's document a schema cannot check: versions, shapes, covariances."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import ReleaseError, StatisticsError
from omnifold_pub.messages import shorten
from omnifold_pub.schemas import SCHEMA_VERSION
from omnifold_pub.statistics.components import ComponentResult, component_covariance

__all__ = ["check_covariances", "matrix_of", "refuse", "upgraded"]

Array = NDArray[np.float64]

_ROUNDING = 1e-6
"""What another program's sums may differ by, against the product of two standard deviations."""


def refuse(path: str, expected: str, found: object) -> NoReturn:
    """Raise the error of a document that is not what it should be.

    Raises
    ------
    ReleaseError
        Always.
    """
    msg = (
        f"measurement document: {path or 'the whole of it'}: expected {expected}; found {found}; "
        "write it anew (to_dict, or omnifold-pub measure --json)"
    )
    raise ReleaseError(msg)


def matrix_of(value: object) -> Array | None:
    """Return rows of finite numbers as an array, or None of anything else.

    >>> matrix_of([[1, 2.5]]), matrix_of([[1], [2, 3]]), matrix_of([[True]]), matrix_of([])
    (array([[1. , 2.5]]), None, None, None)
    """
    if not isinstance(value, list) or not value or not all(isinstance(row, list) and row for row in value):
        return None
    if any(len(row) != len(value[0]) or not {*map(type, row)} <= {int, float} for row in value):
        return None
    try:
        array = np.array(value, dtype=np.float64)
    except OverflowError:  # an integer that no float64 can hold
        return None
    return array if np.isfinite(array).all() else None


def upgraded(document: object) -> object:
    """Return a document of version 1.0.x as the present version has it, and any other as it is.

    Version 1.0.0 knew histograms of one axis, of all events, integrated; of its components it kept no members. Rule of
    the central value and a two-point's correlation matter to members alone.

    Raises
    ------
    ReleaseError
        If it is of another major version.
    """
    version = document.get("schema_version") if isinstance(document, dict) else None
    if not isinstance(version, str) or not isinstance(document, dict):
        return document
    major, _, rest = version.partition(".")
    if major != SCHEMA_VERSION.partition(".")[0]:
        refuse(
            "schema_version",
            f"a version {SCHEMA_VERSION.partition('.')[0]}.x, which this program reads",
            shorten(version),
        )
    lists = [document.get("observables"), document.get("components")]
    if rest.partition(".")[0] != "0" or not all(
        isinstance(x, list) and all(isinstance(y, dict) for y in x) for x in lists
    ):
        return document
    return {
        **document,
        "form": "joint",
        "weight_unit": document.get("unit"),
        "central": "mean",
        "observables": [_plain_histogram(one, document.get("unit")) for one in document["observables"]],
        "components": [_plain_component(one) for one in document["components"]],
    }


def _plain_histogram(one: dict[str, Any], unit: object) -> dict[str, Any]:
    edges, name = one.get("edges"), one.get("name")
    if not isinstance(edges, list) or len(edges) < 2:
        return one
    recipe = {"type": "histogram", "observables": [{"expression": name}], "where": None, "nan": "error"}
    return {
        **one,
        "size": len(edges) - 1,
        "unit": unit,
        "uhi_kind": "COUNT",
        "axes": [{"name": name, "label": name, "unit": "", "edges": edges}],
        "labels": [],
        "statistic": recipe | {"density": False, "normalise": False},
    }


def _plain_component(one: dict[str, Any]) -> dict[str, Any]:
    declared = {"description": "", "includes_event_sampling": False, "correlated": True, "relative_uncertainty": 0}
    return {**one, **declared, "seed": None, "canvas": None, "computed_members": one.get("members", 0)}


def _check_matrix(covariance: Array, errors: Array, path: str) -> None:
    """Refuse what is the covariance of nothing."""
    variances = np.diag(covariance)
    if (variances < 0).any():
        bad = int(np.flatnonzero(variances < 0)[0])
        refuse(f"{path}[{bad}][{bad}]", "a variance, not negative", f"{variances[bad]:g}")
    scale = np.outer(errors, errors)
    for what, excess in (
        ("a symmetric matrix", np.abs(covariance - covariance.T)),
        ("correlations between -1 and 1", np.abs(covariance) - scale),
    ):
        places = np.argwhere(excess > _ROUNDING * scale)
        if len(places):
            i, j = places[0]
            refuse(f"{path}[{i}][{j}]", what, f"{covariance[i, j]:g}")


def _check_near(found: Array, expected: Array, scale: Array, path: str, what: str) -> None:
    bad = np.argwhere(~(np.abs(found - expected) <= _ROUNDING * scale))
    if len(bad):
        place = tuple(int(i) for i in bad[0])
        steps = "".join(f"[{i}]" for i in place)
        refuse(f"{path}{steps}", f"{expected[place]:.6g}, {what}", f"{found[place]:.6g}")


def check_covariances(fields: Mapping[str, Any], total: Array, band: Array) -> None:
    """Refuse covariances that are none, or do not fit to each other, to their members and to the band.

    Parameters
    ----------
    fields : mapping
        What a measurement is made of.
    total : numpy.ndarray
        ``covariance[bin, bin]`` that the document says is the sum.
    band : numpy.ndarray
        ``uncertainty[bin]`` that it says is the square root of the diagonal.

    Raises
    ------
    ReleaseError
        Naming the first number that is wrong.
    """
    results: tuple[ComponentResult, ...] = fields["results"]
    nominal: Array = fields["nominal"]
    added = sum((result.covariance for result in results), np.zeros_like(total))
    with np.errstate(over="ignore", invalid="ignore"):
        if not np.isfinite(added).all():
            refuse("components", "covariances whose sum is finite", "a sum that is not")
        _check_matrix(total, np.sqrt(np.abs(np.diag(total))), "covariance")
        for i, result in enumerate(results):
            path = f"components[{i}].covariance"
            errors = np.sqrt(np.abs(np.diag(result.covariance)))
            _check_matrix(result.covariance, errors, path)
            if len(result.members) and np.isfinite(result.members).all():
                size = errors + 1e-12 * np.abs(np.vstack([result.members, nominal])).max(axis=0)
                try:
                    own = component_covariance(result.component, result.members, nominal, central=fields["central"])
                except StatisticsError as error:
                    refuse(f"components[{i}].member_values", "members that have a covariance", error)
                _check_near(result.covariance, own, np.outer(size, size), path, "the covariance of its members")
        errors = np.sqrt(np.diag(total))
        _check_near(total, added, np.outer(errors, errors), "covariance", "the sum of the components'")
        _check_near(band, errors, errors, "uncertainties", "the square root of the covariance's diagonal")
