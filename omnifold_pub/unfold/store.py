"""Arrays on disk: safetensors files that are whole or not there, each with its checksums."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.atomic import replacing
from omnifold_pub.errors import RunError
from omnifold_pub.extras import require

require("safetensors", extra="unfold", purpose="A run directory")
from safetensors import SafetensorError, safe_open  # noqa: E402 - once it is known to be there
from safetensors.numpy import save  # noqa: E402

__all__ = ["Arrays", "check_content", "digest", "read_arrays", "read_header", "write_arrays"]

Arrays = dict[str, NDArray[Any]]


def write_arrays(path: Path, arrays: Arrays, header: dict[str, Any]) -> None:
    """Write arrays and a JSON header, whole or not at all; see `check_content` for the checksums in the file.

    Raises
    ------
    RunError
        If the disk does not take it.
    """
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    text = json.dumps(header, allow_nan=False)
    sums = {"sha256": digest(contiguous), "header_sha256": hashlib.sha256(text.encode()).hexdigest()}
    data = save(contiguous, metadata={"header": text, **sums})
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        msg = f"{path}: not written: {error.strerror}. Free some space and run the same command again"
        raise RunError(msg) from error


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a file for reading; whatever a damaged one makes of it is a RunError."""
    try:
        with safe_open(path, framework="numpy") as file:
            yield file
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        msg = f"{path}: damaged ({error}); delete it, and the next run makes it again"
        raise RunError(msg) from None


def read_header(path: Path) -> dict[str, Any]:
    """Read the JSON header of a file.

    Raises
    ------
    RunError
        If the file is damaged.
    """
    with _opened(path) as file:
        header: dict[str, Any] = json.loads(file.metadata()["header"])
    return header


def read_arrays(path: Path, prefix: str = "") -> Arrays:
    """Read the arrays whose names begin with a prefix, under the rest of their names.

    Raises
    ------
    RunError
        If the file is damaged.
    """
    with _opened(path) as file:
        return {name[len(prefix) :]: file.get_tensor(name) for name in file.keys() if name.startswith(prefix)}  # noqa: SIM118


def check_content(path: Path) -> None:
    """Check arrays and header of a file against the checksums that were written with them.

    They are the file's metadata ``sha256``, as `digest` has it of the arrays, and ``header_sha256``.

    Raises
    ------
    RunError
        If the file is damaged.
    """
    with _opened(path) as file:
        metadata = file.metadata()
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no dict
        for what, expected, found in (
            ("arrays", metadata["sha256"], digest(arrays)),
            ("header", metadata["header_sha256"], hashlib.sha256(metadata["header"].encode()).hexdigest()),
        ):
            if found != expected:
                msg = f"the sha256 of its {what} is {found[:12]}..., expected {expected[:12]}..."
                raise ValueError(msg)


def digest(arrays: Arrays) -> str:
    """Return the sha256 of names, types, shapes and contents."""
    state = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        state.update(f"{name}:{array.dtype.str}:{array.shape};".encode())
        state.update(array.tobytes())
    return state.hexdigest()
