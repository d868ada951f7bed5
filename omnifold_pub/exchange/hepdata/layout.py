"""Which table holds what of a measurement: the attached file that lets a program read a submission back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NoReturn, TypeGuard

from omnifold_pub.errors import ReleaseError
from omnifold_pub.messages import shorten

__all__ = ["LAYOUT_FILE", "Layout", "numbers_put_back", "numbers_taken_out"]

LAYOUT_FILE = "omnifold_pub.json"
"""Its name among the resources of the submission."""

_FORMAT = "measurement of omnifold_pub in tables of HEPData"
_VERSION = 1
_NUMBERS = ("values", "uncertainties", "covariance")


@dataclass(frozen=True)
class Layout:
    """Names of the tables of a measurement, and what it is without their numbers.

    Attributes
    ----------
    measurement : mapping
        As `Estimate.to_dict` returns it, but for values, uncertainties and covariances.
    values : tuple of str
        Name of the table of each statistic.
    matrices : {"tables", "files"}
        What the covariances are in.
    covariances : tuple of str
        Names of the tables or files: the sum first, then each component.
    """

    measurement: Mapping[str, Any]
    values: tuple[str, ...]
    matrices: Literal["tables", "files"]
    covariances: tuple[str, ...]

    def content(self) -> bytes:
        """Return the file."""
        document = {
            "format": _FORMAT,
            "version": _VERSION,
            "values": list(self.values),
            "matrices": self.matrices,
            "covariances": list(self.covariances),
            "measurement": self.measurement,
        }
        return json.dumps(document, allow_nan=False, ensure_ascii=True).encode() + b"\n"

    @classmethod
    def read(cls, content: bytes) -> Layout:
        """Read such a file.

        Raises
        ------
        ReleaseError
            If it is none, or of a later version.
        """
        try:
            document = json.loads(content)
        except (ValueError, RecursionError) as error:
            _refuse("a JSON document", error)
        if not isinstance(document, dict) or document.get("format") != _FORMAT:
            _refuse(f"format {_FORMAT!r}", shorten(document))
        if document.get("version") != _VERSION:
            _refuse(f"version {_VERSION}, which this program reads", shorten(document.get("version")))
        values, covariances = _names(document, "values"), _names(document, "covariances")
        measurement, matrices = document.get("measurement"), document.get("matrices")
        if not isinstance(measurement, dict):
            _refuse("a measurement without its numbers", shorten(measurement))
        statistics, components = (measurement.get(key) for key in ("observables", "components"))
        if not _are_mappings(statistics) or not _are_mappings(components):
            _refuse("observables and components of the measurement", shorten(measurement))
        if len(statistics) != len(values) or not values:
            _refuse(f"a table for each of {len(statistics)} statistics", len(values))
        if matrices not in ("tables", "files") or len(covariances) != len(components) + 1:
            _refuse(f"{len(components) + 1} covariances in tables or files", f"{len(covariances)} in {matrices!r}")
        return cls(measurement, tuple(values), matrices, tuple(covariances))


def _are_mappings(found: object) -> TypeGuard[list[dict[str, Any]]]:
    return isinstance(found, list) and all(isinstance(one, dict) for one in found)


def _names(document: Mapping[str, Any], key: str) -> list[str]:
    names = document.get(key)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        _refuse(f"names of tables under {key}", shorten(names))
    return names


def _refuse(expected: str, found: object) -> NoReturn:
    msg = f"{LAYOUT_FILE}: expected {expected}; found {found}; download the submission anew, or export it again"
    raise ReleaseError(msg)


def numbers_taken_out(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a measurement's document without the numbers that tables hold; members stay."""
    light = {key: value for key, value in document.items() if key not in _NUMBERS}
    parts = [{key: value for key, value in one.items() if key != "covariance"} for one in document["components"]]
    return light | {"components": parts}


def numbers_put_back(
    light: Mapping[str, Any],
    values: Sequence[float],
    uncertainties: Sequence[float],
    covariances: Sequence[Sequence[Sequence[float]]],
) -> dict[str, Any]:
    """Return the document again; ``covariances[component, bin, bin]``, the sum first.

    >>> light = numbers_taken_out({"values": [1.0], "covariance": [[4.0]], "components": [{"covariance": [[4.0]]}]})
    >>> light, numbers_put_back(light, [1.0], [2.0], [[[4.0]], [[4.0]]])["components"]
    ({'components': [{}]}, [{'covariance': [[4.0]]}])
    """
    total, *own = covariances
    parts = [{**one, "covariance": matrix} for one, matrix in zip(light["components"], own, strict=True)]
    return {**light, "values": values, "uncertainties": uncertainties, "covariance": total, "components": parts}
