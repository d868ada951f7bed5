"""Checks that cost nothing: metadata, names, shapes and types, without reading a column."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from omnifold_pub import format as layout
from omnifold_pub.errors import ReleaseError
from omnifold_pub.messages import repeated, shorten
from omnifold_pub.schemas import check
from omnifold_pub.validate.findings import Finding

__all__ = ["STRUCTURE_CHECKS", "check_structure", "open_file"]

STRUCTURE_CHECKS = ("schema", "names", "shape", "undeclared")
"""Codes of the checks here; what the schema refuses is not looked at further."""


def open_file(path: str | Path) -> h5py.File:
    """Open an HDF5 file for reading.

    Raises
    ------
    ReleaseError
        If there is none, or it is not HDF5.
    """
    path = Path(path)
    if not path.is_file():
        msg = f"{path}: no such file"
        raise ReleaseError(msg)
    try:
        return h5py.File(path, "r")
    except OSError as error:
        msg = f"{path}: not an HDF5 file, or a damaged one ({error})"
        raise ReleaseError(msg) from None


def _names(file: h5py.File) -> set[str]:
    """Return the paths of all datasets, at the two levels that the layout has."""
    names: set[str] = set()
    for name, item in file.items():
        if isinstance(item, h5py.Group):
            names |= {f"{name}/{inner}" for inner in item}
        else:
            names.add(name)
    return names


def check_structure(file: h5py.File) -> tuple[dict[str, Any], list[Finding]]:
    """Check metadata, shapes and types, without reading a column.

    Returns
    -------
    metadata : dict
        To be trusted if there are no findings.
    findings : list of Finding
        All of level ``required``.

    Raises
    ------
    ReleaseError
        If there are no metadata to check against, or they are of another major version.
    """
    metadata = layout.decode_metadata(file)
    version = str(metadata.get("schema_version", ""))
    major = version.split(".")[0]
    if major != layout.FORMAT_VERSION.split(".")[0]:
        msg = (
            f"{file.filename}: /{layout.METADATA}: format version {shorten(version)}; this omnifold_pub reads "
            f"{layout.FORMAT_VERSION.split('.')[0]}.x.y. Upgrade it to read later ones"
        )
        raise ReleaseError(msg)
    findings = [
        Finding("schema", "required", f"/metadata {p.path}", p.expected, p.found, "Mend the metadata.")
        for p in check(metadata, "release")
    ]
    if findings:
        return metadata, findings
    findings += _name_findings(metadata)
    expected = layout.declared_datasets(metadata)
    for name, (dtype, shape) in expected.items():
        item = file.get(name)
        if not isinstance(item, h5py.Dataset):
            found = "nothing" if item is None else "a group"
        elif item.dtype != np.dtype(dtype).newbyteorder("<") or item.shape != shape:
            found = f"{item.dtype} {list(item.shape)}"
        else:
            continue
        hint = "The metadata announce it; write the file again."
        findings.append(Finding("shape", "required", f"/{name}", f"{dtype} {list(shape)}", found, hint))
    for name in sorted(_names(file) - set(expected) - {layout.METADATA}):
        hint = "Declare it in the metadata, or leave it out."
        findings.append(Finding("undeclared", "required", f"/{name}", "only declared datasets", "this one", hint))
    return metadata, findings


def _name_findings(metadata: dict[str, Any]) -> Iterator[Finding]:
    """Find names that occur twice, and a central value without its family."""
    for what in ("observables", "components"):
        names = [entry["name"] for entry in metadata[what]]
        for name in repeated(names):
            hint = "Give each its own name."
            yield Finding("names", "required", f"/metadata {what}", "unique names", f"{name!r} more than once", hint)
    kinds = {entry["name"]: entry["kind"] for entry in metadata["components"]}
    if layout.NOMINAL in kinds:
        hint = "Rename the component."
        yield Finding("names", "required", "/metadata components", "names of families", "'nominal'", hint)
    family = metadata["weights"]["central_value"].get("family")
    if family is not None and kinds.get(family) != "ensemble":
        yield Finding(
            "central_value",
            "required",
            "/metadata weights.central_value.family",
            "a component of kind 'ensemble'",
            repr(family),
            "Name the ensemble that the nominal was made of.",
        )
