"""Write a release: whole, checked and under its final name, or not at all."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from omnifold_pub import format as layout
from omnifold_pub.atomic import ErrorKeepingFile, replacing
from omnifold_pub.errors import PublishError
from omnifold_pub.messages import repeated
from omnifold_pub.progress import Progress
from omnifold_pub.schemas import check
from omnifold_pub.unfold.result import UnfoldingResult
from omnifold_pub.validate import validate

__all__ = ["publish"]


def _complete_metadata(result: UnfoldingResult) -> dict[str, Any]:
    metadata = {
        **result.metadata,
        "schema_version": layout.FORMAT_VERSION,
        "created": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "events": len(result.event_id),
    }
    problems = check(metadata, "release")
    if problems:
        lines = "\n  ".join(str(problem) for problem in problems)
        msg = f"the metadata are not what the schema asks for:\n  {lines}"
        raise PublishError(msg)
    return metadata


def _arrays(result: UnfoldingResult, metadata: dict[str, Any]) -> dict[str, NDArray[Any]]:
    """Return the datasets to be written, by their path, after a look at names and shapes."""
    for what, declared, there in (
        ("observables", [o["name"] for o in metadata["observables"]], list(result.columns)),
        ("weight families", [c["name"] for c in metadata["components"] if "members" in c], list(result.families)),
    ):
        if twice := repeated(declared):
            msg = f"{what}: {', '.join(map(repr, twice))} declared more than once; give each its own name"
            raise PublishError(msg)
        missing, extra = sorted(set(declared) - set(there)), sorted(set(there) - set(declared))
        if missing or extra:
            msg = f"{what}: declared but not given: {missing or 'none'}; given but not declared: {extra or 'none'}"
            raise PublishError(msg)
    arrays: dict[str, NDArray[Any]] = {
        layout.EVENT_ID: result.event_id,
        **{f"{layout.EVENTS}/{name}": column for name, column in result.columns.items()},
        f"{layout.WEIGHTS}/{layout.NOMINAL}": result.nominal,
        **{f"{layout.WEIGHTS}/{name}": family for name, family in result.families.items()},
    }
    if result.prior is not None:
        arrays[layout.PRIOR] = result.prior
    declared_datasets = layout.declared_datasets(metadata)
    for path, array in arrays.items():
        # An undeclared prior is left to the validation, as a declared one that is not given.
        dtype, shape = declared_datasets.get(path, ("float32", np.shape(array)))
        if np.shape(array) != shape:
            msg = f"{path}: expected an array of shape {shape}, as declared; found {np.shape(array)}"
            raise PublishError(msg)
        arrays[path] = np.asarray(array, dtype=dtype)
    return arrays


def _write(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Write a new file.

    Raises
    ------
    OSError
        If the disk does not take it.
    """
    with ErrorKeepingFile(path) as raw:
        with h5py.File(raw, "w", libver=layout.LIBVER) as file:
            for name, array in arrays.items():
                layout.create_dataset(file, name, array)
                raw.check()
        raw.check()


def publish(
    result: UnfoldingResult,
    path: str | Path,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Write a release.

    It is written to a temporary file in the same folder, closed, validated, flushed to the disk and only
    then renamed. Whatever goes wrong before, the final name holds what it held.

    Parameters
    ----------
    result : UnfoldingResult
        Events, weights and metadata.
    path : str or path-like
        The release to write, by custom ``*.h5``.
    overwrite : bool
        Replace a file that is already there.
    progress : callable, optional
        Called with (done, total, what).

    Returns
    -------
    pathlib.Path
        The release.

    Raises
    ------
    PublishError
        If the target exists, the metadata break their schema, the result fails validation, or the disk is full.
    """
    path = Path(path)
    if path.exists() and not overwrite:
        msg = f"{path}: exists already; choose another name or ask to overwrite it"
        raise PublishError(msg)
    if not path.parent.is_dir():
        msg = f"{path}: there is no folder {path.parent}; make it first"
        raise PublishError(msg)
    metadata = _complete_metadata(result)
    arrays = {layout.METADATA: layout.encode_metadata(metadata), **_arrays(result, metadata)}
    try:
        with replacing(path) as temporary:
            _write(temporary, arrays)
            report = validate(temporary, progress=progress)
            if not report.valid:
                lines = "\n  ".join(str(f) for f in report.findings if f.level == "required")
                msg = f"{path}: not written, the result is not valid:\n  {lines}"
                raise PublishError(msg)
    except OSError as error:
        msg = (
            f"{path}: not written: {error.strerror or error}. "
            "Free some space or choose another folder, and publish again"
        )
        raise PublishError(msg) from error
    return path
