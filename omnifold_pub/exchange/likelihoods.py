"""A measurement and a signal as a likelihood of the signal's strength, in the formats of other programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from numpy.typing import ArrayLike

from omnifold_pub.atomic import replacing
from omnifold_pub.errors import ObservableError, PublishError
from omnifold_pub.exchange.gaussian import Strength, strength
from omnifold_pub.exchange.hs3 import hs3_document
from omnifold_pub.exchange.pyhf import Document, Mode, combined_workspace, workspace_of
from omnifold_pub.exchange.whitening import stack, whiten_measurement
from omnifold_pub.messages import shorten
from omnifold_pub.presentation.measured import Measured

__all__ = [
    "SignalIn",
    "about_measurement",
    "combined",
    "hs3_of_measurement",
    "patch_set_path",
    "workspace_of_measurement",
    "write_document",
]


def about_measurement(measured: Measured, leave_out: Sequence[str] = ()) -> Document:
    """Return what tells whoever finds the numbers of a measurement which they are."""
    return {
        "statistics": [statistic.name for statistic in measured.statistics],
        "sizes": list(measured.sizes),
        "bins": list(measured.labels),
        "units": list(measured.units),
        "components": [one.name for one in measured.components if one.name not in leave_out],
    }


def _is_named(mode: str) -> bool:
    if mode not in get_args(Mode):
        msg = f"mode: expected {' or '.join(get_args(Mode))}; found {shorten(mode)}"
        raise ObservableError(msg)
    return mode == "named"


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
        measured, signal, background=background, covariance=covariance, leave_out=leave_out, named=_is_named(mode)
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
        measured, signal, background=background, covariance=covariance, leave_out=leave_out, named=_is_named(mode)
    )
    return hs3_document(white, name=name, about=about_measurement(measured, leave_out))


@dataclass(frozen=True, eq=False)
class SignalIn:
    """What a combination is told of one measurement.

    Attributes
    ----------
    measured : Measurement or JointMeasurement
        Values with a covariance by component.
    signal, background : array_like
        ``[bin]``, in the unit of the values; no background is zero.
    covariance : array_like, optional
        ``[bin, bin]`` of the background.
    leave_out : sequence of str
        Components that do not count.
    """

    measured: Measured
    signal: ArrayLike
    background: ArrayLike | None = None
    covariance: ArrayLike | None = None
    leave_out: Sequence[str] = ()


def combined(parts: Mapping[str, SignalIn], *, path: str | Path | None = None) -> tuple[Document, Strength]:
    """Combine several measurements with one strength of the signal: a workspace of pyhf, a channel for each.

    Variations, eigenvectors and scales of one name, such as the luminosity of one experiment, are one parameter of all
    of them; whatever has no name (replicas, ensembles) is taken as independent. Rename what only happens to have the
    same name.

    Parameters
    ----------
    parts : mapping
        By the name of its channel: a measurement with signal and background.
    path : str or path-like, optional
        A JSON file that the workspace is written to.

    Returns
    -------
    workspace : dict
        Refitted, as `omnifold_pub.exchange.methods.Exchangeable.to_pyhf` says.
    strength : Strength
        The answer of the closed form.

    Raises
    ------
    StatisticsError, ObservableError, PublishError, MissingExtraError
        As `to_pyhf`.
    """
    whites = {
        name: whiten_measurement(
            part.measured,
            part.signal,
            background=part.background,
            covariance=part.covariance,
            leave_out=part.leave_out,
            named=True,
        )
        for name, part in parts.items()
    }
    about = {name: about_measurement(part.measured, part.leave_out) for name, part in parts.items()}
    document = combined_workspace(whites, about=about)
    if path is not None:
        write_document(document, path)
    return document, strength(stack(list(whites.values())))


def patch_set_path(workspace: str | Path) -> Path:
    """Return where the patch set of a workspace is written to.

    >>> patch_set_path("grid.json").name
    'grid.patchset.json'
    """
    return Path(workspace).with_suffix(".patchset.json")


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
