"""Write a release: whole, checked and under its final name, or not at all."""

from __future__ import annotations

import datetime as dt
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from omnifold_pub import format as layout
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


def _check_declared(result: UnfoldingResult, metadata: dict[str, Any]) -> None:
    """Compare what is declared with what is there."""
    for what, declared, there in (
        ("observables", [o["name"] for o in metadata["observables"]], list(result.columns)),
        ("weight families", [c["name"] for c in metadata["components"] if "members" in c], list(result.families)),
    ):
        if sorted(declared) != sorted(there):
            missing, extra = sorted(set(declared) - set(there)), sorted(set(there) - set(declared))
            msg = f"{what}: declared but not given: {missing or 'none'}; given but not declared: {extra or 'none'}"
            raise PublishError(msg)


def _write(path: Path, result: UnfoldingResult, metadata: dict[str, Any]) -> None:
    with h5py.File(path, "x", libver=layout.LIBVER) as file:
        layout.create_dataset(file, layout.METADATA, layout.encode_metadata(metadata))
        layout.create_dataset(file, layout.EVENT_ID, np.asarray(result.event_id, dtype=np.int64))
        events = file.create_group(layout.EVENTS)
        for observable in metadata["observables"]:
            name = observable["name"]
            layout.create_dataset(events, name, np.asarray(result.columns[name], dtype=np.float32))
        weights = file.create_group(layout.WEIGHTS)
        layout.create_dataset(weights, layout.NOMINAL, np.asarray(result.nominal, dtype=np.float32))
        for name, family in result.families.items():
            layout.create_dataset(weights, name, np.asarray(family, dtype=np.float32))
        if result.prior is not None:
            layout.create_dataset(file, layout.PRIOR, np.asarray(result.prior, dtype=np.float32))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
    _check_declared(result, metadata)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        _write(temporary, result, metadata)
        report = validate(temporary, progress=progress)
        if not report.valid:
            lines = "\n  ".join(str(f) for f in report.findings if f.level == "required")
            msg = f"{path}: not written, the result is not valid:\n  {lines}"
            raise PublishError(msg)
        _sync(temporary)
        temporary.replace(path)
        _sync(path.parent)
    except (OSError, RuntimeError) as error:  # h5py reports a full disk as either
        reason = getattr(error, "strerror", None) or str(error)
        msg = f"{path}: not written: {reason}. Free some space or choose another folder, and publish again"
        raise PublishError(msg) from error
    finally:
        temporary.unlink(missing_ok=True)
    return path
