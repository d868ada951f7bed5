"""The networks of a training as a file of their own, from which they can be rebuilt in any language.

A safetensors file: tensors ``<network>/<parameter>`` (``<network>/fold<k>/<parameter>`` where there are folds, but for
the background's), and JSON texts as metadata:

``settings``
    Of the training. ``classifier`` says what the parameters are: of an ``mlp``, ``<layer>.weight`` and ``<layer>.bias``
    of fully connected layers of ``hidden`` units with ``activation`` between them, ending in one logit; the even layer
    numbers are the linear layers. Of a ``bdt``, the text of a LightGBM model, byte by byte. Of a ``module``, the state
    of the PyTorch module that the function ``module`` builds.
``levels``
    Which level each network sees, ``truth`` or ``reco``.
``preprocessing``
    Of each level: the observables in order, how each is encoded (``linear``; ``log`` of value + offset; ``angle`` as
    cosine and sine); ``pairs`` of objects, by the columns of rapidity y (or pseudorapidity) and azimuth of both, which
    add d = |difference of azimuths| within [0, pi], log(pi - d + 0.02) and log(hypot(d, difference of y) + 0.05); then
    mean and scale of each feature, what stands in where it is absent (``median``), and the groups of observables behind
    each presence flag (+1 present, -1 absent), which follow the features; last, where ``matrix`` is not empty, all of
    them less ``centre``, times ``matrix``.
``weights``
    How logits become weights: exp of the logit clamped to +-max_log_weight; times the factor and the
    simulation's own weight it is the published one.
``training``
    Family, number and seeds.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load

from omnifold_pub.errors import RunError
from omnifold_pub.unfold import store
from omnifold_pub.unfold.config import OmniFoldConfig

__all__ = ["network_file", "read_network_file", "safetensors_bytes"]

_DTYPES = {"<f4": "F32", "<f8": "F64", "|u1": "U8", "<i8": "I64", "|b1": "BOOL"}

_LEVELS = {"step1": "reco", "step2": "truth", "fakes": "reco", "background": "reco"}
"""What each network of a training sees."""

_MEANING = {
    "prior": "The published weight of an event that passes truth is factor * exp(clamp(logit of step2, "
    "+-max_log_weight)) * its weight in the simulation, in the weight unit of the release",
    "push": "The published weight of an event that passes truth is factor * the product over all iterations of "
    "exp(clamp(logit of step2, +-max_log_weight)) * its weight in the simulation, in the weight unit of the release; "
    "these are the networks of the last iteration alone",
}
_FOLDS = "; of the networks of several folds, that of the event's own fold, which is in the run directory"


def safetensors_bytes(arrays: dict[str, NDArray[Any]], metadata: dict[str, str]) -> bytes:
    """Return a safetensors file, the same bytes for the same content.

    The safetensors library writes the metadata in an order that changes from one process to the next.

    Parameters
    ----------
    arrays : dict
        Tensors by name; floating-point numbers, bytes, int64 or bool.
    metadata : dict
        Texts by name.

    Examples
    --------
    >>> content = safetensors_bytes({"x": np.zeros(2, dtype=np.float32)}, {"about": "nothing"})
    >>> int.from_bytes(content[:8], "little") + 8 + 2 * 4 == len(content)
    True
    """
    header: dict[str, Any] = {"__metadata__": metadata}
    blocks: list[bytes] = []
    position = 0
    for name in sorted(arrays):
        array = arrays[name]
        array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        blocks.append(array.tobytes())
        offsets = [position, position + array.nbytes]
        header[name] = {"dtype": _DTYPES[array.dtype.str], "shape": list(array.shape), "data_offsets": offsets}
        position = offsets[1]
    text = json.dumps(header, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 8)  # tensors begin where a reader can map them
    return len(text).to_bytes(8, "little") + text + b"".join(blocks)


def network_file(training: Path, config: OmniFoldConfig) -> bytes:
    """Return the networks of a finished training as a safetensors file.

    Parameters
    ----------
    training : pathlib.Path
        The training's file in the run directory.
    config : OmniFoldConfig
        Settings of the training.

    Raises
    ------
    RunError
        If the training's file is damaged.
    """
    arrays = store.read_arrays(training, "networks/")
    summary = store.read_header(training)["summary"]
    networks = sorted({name.split("/")[0] for name in arrays})
    about = {
        "settings": config.to_dict(),
        "levels": {name: _LEVELS[name] for name in networks},
        "preprocessing": summary["preprocessing"],
        "weights": {
            "max_log_weight": config.max_log_weight,
            "factor": summary["normalisation"]["factor"],
            "meaning": _MEANING[config.step2_reference] + (_FOLDS if config.folds > 1 else ""),
        },
        "training": summary["training"],
    }
    return safetensors_bytes(arrays, {name: json.dumps(part, sort_keys=True) for name, part in about.items()})


def read_network_file(content: bytes) -> tuple[store.Arrays, dict[str, Any]]:
    """Return the tensors of a file of networks, and what it says of them.

    Parameters
    ----------
    content : bytes
        As `network_file` returns it.

    Raises
    ------
    RunError
        If it is no such file, or damaged.
    """
    try:
        tensors = load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        about = {name: json.loads(text) for name, text in header["__metadata__"].items()}
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        msg = f"networks: {type(error).__name__}: {error}; expected a safetensors file of a run or a release"
        raise RunError(msg) from None
    return tensors, about
