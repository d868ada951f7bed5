"""Write a release: whole, checked and under its final name, or not at all."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from omnifold_pub import format as layout
from omnifold_pub.atomic import ErrorKeepingFile, replacing
from omnifold_pub.errors import PublishError
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


def _check_arrays(result: UnfoldingResult, metadata: dict[str, Any]) -> None:
    """Compare what is declared with what is there: names and shapes."""
    for what, declared, there in (
        ("observables", [o["name"] for o in metadata["observables"]], list(result.columns)),
        ("weight families", [c["name"] for c in metadata["components"] if "members" in c], list(result.families)),
    ):
        repeated = sorted({name for name in declared if declared.count(name) > 1})
        if repeated:
            msg = f"{what}: {', '.join(map(repr, repeated))} declared more than once; give each its own name"
            raise PublishError(msg)
        missing, extra = sorted(set(declared) - set(there)), sorted(set(there) - set(declared))
        if missing or extra:
            msg = f"{what}: declared but not given: {missing or 'none'}; given but not declared: {extra or 'none'}"
            raise PublishError(msg)
    events = metadata["events"]
    arrays = {"event_id": result.event_id, "nominal": result.nominal} | result.columns
    if result.prior is not None:
        arrays["prior"] = result.prior
    expected: list[tuple[str, Any, tuple[int, ...]]] = [(name, array, (events,)) for name, array in arrays.items()]
    expected += [
        (entry["name"], result.families[entry["name"]], (events, entry["members"]))
        for entry in metadata["components"]
        if "members" in entry
    ]
    for name, array, shape in expected:
        if np.shape(array) != shape:
            msg = f"{name}: expected an array of shape {shape}, as declared; found {np.shape(array)}"
            raise PublishError(msg)


def _write(path: Path, result: UnfoldingResult, metadata: dict[str, Any]) -> None:
    """Write a new file.

    Raises
    ------
    OSError
        If the disk does not take it.
    """
    arrays: dict[str, NDArray[Any]] = {
        layout.METADATA: layout.encode_metadata(metadata),
        layout.EVENT_ID: np.asarray(result.event_id, dtype=np.int64),
    }
    arrays |= {f"{layout.EVENTS}/{o['name']}": _float32(result.columns[o["name"]]) for o in metadata["observables"]}
    arrays[f"{layout.WEIGHTS}/{layout.NOMINAL}"] = _float32(result.nominal)
    arrays |= {f"{layout.WEIGHTS}/{name}": _float32(family) for name, family in result.families.items()}
    if result.prior is not None:
        arrays[layout.PRIOR] = _float32(result.prior)
    with ErrorKeepingFile(path) as raw:
        with h5py.File(raw, "w", libver=layout.LIBVER) as file:
            for name, array in arrays.items():
                layout.create_dataset(file, name, array)
                raw.check()
        raw.check()


def _float32(array: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(array, dtype=np.float32)


def publish(
    result: UnfoldingResult,
    path: str | Path,
    *,
    overwrite: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
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
    _check_arrays(result, metadata)
    try:
        with replacing(path) as temporary:
            _write(temporary, result, metadata)
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
