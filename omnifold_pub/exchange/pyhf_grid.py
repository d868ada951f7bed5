"""Many signals in one measurement: a workspace of pyhf without a signal, and a patch for each of them."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import ArrayLike

from omnifold_pub.errors import ObservableError
from omnifold_pub.exchange.likelihoods import workspace_of_measurement
from omnifold_pub.exchange.pyhf import Document, Mode
from omnifold_pub.extras import require
from omnifold_pub.presentation.measured import Measured

__all__ = ["signal_grid"]

Point = tuple[Any, ...]  # numbers and words


def signal_grid(
    measured: Measured,
    signals: Mapping[Point, ArrayLike],
    *,
    labels: Sequence[str],
    record: str,
    description: str,
    background: ArrayLike | None = None,
    covariance: ArrayLike | None = None,
    leave_out: Sequence[str] = (),
    mode: Mode = "whitened",
    channel: str = "measurement",
) -> tuple[Document, Document]:
    """Return a workspace of pyhf that has no signal, and the patch set that puts each signal of a grid into it.

    Each signal is fitted, and refused if pyhf's answer is not that of the closed form, as
    `omnifold_pub.exchange.methods.Exchangeable.to_pyhf` does.

    Parameters
    ----------
    measured : Measured
        Values with a covariance by component.
    signals : mapping
        Point of the grid, such as ``(1000.0, 50.0)``, to ``signal[bin]`` in the unit of the values.
    labels : sequence of str
        What the coordinates of a point are, such as ``("mass", "width")``: letters, digits and underscores.
    record : str
        Of the measurement in HEPData: ``ins`` and seven digits.
    description : str
        Of the grid.
    background, covariance, leave_out, mode, channel
        As for `to_pyhf`.

    Returns
    -------
    tuple of dict
        Workspace and patch set; `omnifold_pub.exchange.likelihoods.write_document` writes them.

    Raises
    ------
    ObservableError
        If points and labels do not fit, names or record are none that pyhf's schema allows, or a signal does not fit.
    StatisticsError
        If the covariance does not do, or pyhf does not give the answer of the closed form.
    MissingExtraError
        If pyhf is not installed.
    """
    require("pyhf", extra="pyhf", purpose="Writing a patch set")
    import pyhf

    names = _names(signals, labels, record)
    base: Document = {}
    patches: list[Document] = []
    for name, (point, signal) in zip(names, signals.items(), strict=True):
        full = workspace_of_measurement(
            measured,
            signal,
            background=background,
            covariance=covariance,
            leave_out=leave_out,
            mode=mode,
            channel=channel,
        )
        without, with_signal = full["channels"][0]["samples"]
        base = base or _without_signal(full)
        steps: list[dict[str, Any]] = [
            {"op": "add", "path": "/channels/0/samples/1", "value": with_signal},
            {"op": "replace", "path": "/measurements", "value": full["measurements"]},
        ]
        if full["observations"] != base["observations"]:  # other counts stand for one unit
            steps.insert(0, {"op": "replace", "path": "/channels/0/samples/0", "value": without})
            steps.append({"op": "replace", "path": "/observations", "value": full["observations"]})
        patches.append({"metadata": {"name": name, "values": list(point)}, "patch": steps})
    metadata = {
        "references": {"hepdata": record},
        "digests": {"sha256": pyhf.utils.digest(base, algorithm="sha256")},
        "labels": list(labels),
        "description": description,
    }
    patch_set = {"metadata": metadata, "patches": patches, "version": "1.0.0"}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "jsonschema.RefResolver", DeprecationWarning)  # pyhf 0.7 uses it
        pyhf.schema.validate(patch_set, "patchset.json")
        pyhf.schema.validate(base, "workspace.json")
    return base, patch_set


def _without_signal(full: Document) -> Document:
    channel = full["channels"][0]
    return full | {
        "channels": [channel | {"samples": channel["samples"][:1]}],
        "measurements": [
            {"name": one["name"], "config": {"poi": "", "parameters": []}} for one in full["measurements"]
        ],
    }


def _names(signals: Mapping[Point, ArrayLike], labels: Sequence[str], record: str) -> list[str]:
    """Return names of the patches."""
    if not signals or not labels:
        msg = f"expected signals and labels; found {len(signals)} points and {len(labels)} labels"
        raise ObservableError(msg)
    for point in signals:
        if len(point) != len(labels):
            msg = f"the point {point} has {len(point)} coordinates; expected {len(labels)}: {', '.join(labels)}"
            raise ObservableError(msg)
    names = ["_".join(f"{label}_{value}" for label, value in zip(labels, point, strict=True)) for point in signals]
    names = [name.replace("-", "m").replace("+", "").replace(".", "p") for name in names]
    for name in (*labels, *names):
        if not re.fullmatch("[a-zA-Z0-9_]+", name):
            msg = f"{name!r}: expected a name of letters, digits and underscores, as pyhf's patch sets want them"
            raise ObservableError(msg)
    if len(set(names)) != len(names):
        msg = f"two points have the same name: {', '.join(sorted(n for n in set(names) if names.count(n) > 1))}"
        raise ObservableError(msg)
    if not re.fullmatch("ins[0-9]{7}", record):
        msg = f"the record is {record!r}; expected its name in HEPData, ins and seven digits, such as ins1234567"
        raise ObservableError(msg)
    return names
