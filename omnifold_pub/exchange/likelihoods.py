"""A measurement and a signal as a likelihood of the signal's strength, in the formats of other programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from omnifold_pub.atomic import replacing
from omnifold_pub.errors import PublishError
from omnifold_pub.exchange.hs3 import hs3_document
from omnifold_pub.exchange.pyhf import Document, Mode, workspace_of
from omnifold_pub.exchange.whitening import whiten_measurement
from omnifold_pub.presentation.measured import Measured

__all__ = ["about_measurement", "hs3_of_measurement", "workspace_of_measurement", "write_document"]


def about_measurement(measured: Measured, leave_out: Sequence[str] = ()) -> Document:
    """Return what tells whoever finds the numbers of a measurement which they are."""
    return {
        "statistics": [statistic.name for statistic in measured.statistics],
        "sizes": list(measured.sizes),
        "bins": list(measured.labels),
        "units": list(measured.units),
        "components": [one.name for one in measured.components if one.name not in leave_out],
    }


def workspace_of_measurement(
    measured: Measured,
    signal: ArrayLike,
    *,
    background: ArrayLike | None = None,
    covariance: ArrayLike | None = None,
    leave_out: Sequence[str] = (),
    mode: Mode = "whitened",
    channel: str = "measurement",
) -> Document:
    """Return a workspace of pyhf; see `omnifold_pub.exchange.methods.Exchangeable.to_pyhf`."""
    white = whiten_measurement(
        measured, signal, background=background, covariance=covariance, leave_out=leave_out, named=mode == "named"
    )
    return workspace_of(white, channel=channel, about=about_measurement(measured, leave_out))


def hs3_of_measurement(
    measured: Measured,
    signal: ArrayLike,
    *,
    background: ArrayLike | None = None,
    covariance: ArrayLike | None = None,
    leave_out: Sequence[str] = (),
    mode: Mode = "whitened",
    name: str = "measurement",
) -> Document:
    """Return an HS3 document; see `omnifold_pub.exchange.methods.Exchangeable.to_hs3`."""
    white = whiten_measurement(
        measured, signal, background=background, covariance=covariance, leave_out=leave_out, named=mode == "named"
    )
    return hs3_document(white, name=name, about=about_measurement(measured, leave_out))


def write_document(document: Mapping[str, Any], path: str | Path) -> Path:
    """Write a document as JSON, whole or not at all.

    Raises
    ------
    PublishError
        If the file cannot be written.
    """
    path = Path(path)
    text = json.dumps(document, indent=1, allow_nan=False) + "\n"
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(text.encode())
    except OSError as error:
        msg = f"{path}: not written: {error.strerror or error}; nothing is left of it; choose another place"
        raise PublishError(msg) from error
    return path
