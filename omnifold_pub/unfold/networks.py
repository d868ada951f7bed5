"""The networks of a training as a file of their own, from which they can be rebuilt in any language.

A safetensors file: tensors ``<network>/<layer>.weight`` and ``<network>/<layer>.bias``, and JSON texts as metadata:

``architecture``
    Of each network: which level it sees, number of inputs, units of the hidden layers, activation. All of them are
    fully connected and end in one logit; the even layer numbers are the linear layers.
``preprocessing``
    Of each level: the observables in order, how each is encoded (``linear``; ``log`` of value + offset; ``angle`` as
    cosine and sine), then mean and scale of each encoded feature, what stands in where it is absent (``median``), and
    the groups of observables behind each presence flag (+1 present, -1 absent), which follow the features.
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

from omnifold_pub.unfold import store
from omnifold_pub.unfold.config import OmniFoldConfig

__all__ = ["network_file", "safetensors_bytes"]

_DTYPES = {"<f4": "F32", "<f8": "F64"}

_LEVELS = {"step1": "reco", "step2": "truth", "fakes": "reco"}
"""What each network of a training sees."""

_MEANING = (
    "The published weight of an event that passes truth is factor * exp(clamp(logit of step2, +-max_log_weight)) * its "
    "weight in the simulation, in the weight unit of the release"
)


def safetensors_bytes(arrays: dict[str, NDArray[Any]], metadata: dict[str, str]) -> bytes:
    """Return a safetensors file, the same bytes for the same content.

    The safetensors library writes the metadata in an order that changes from one process to the next.

    Parameters
    ----------
    arrays : dict
        Tensors by name; float32 or float64.
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
        "architecture": {
            name: {
                "level": _LEVELS[name],
                "inputs": int(arrays[f"{name}/0.weight"].shape[1]),
                "hidden": list(config.hidden),
                "activation": "SiLU",
                "output": "logit",
            }
            for name in networks
        },
        "preprocessing": summary["preprocessing"],
        "weights": {
            "max_log_weight": config.max_log_weight,
            "factor": summary["normalisation"]["factor"],
            "meaning": _MEANING,
        },
        "training": summary["training"],
    }
    return safetensors_bytes(arrays, {name: json.dumps(part, sort_keys=True) for name, part in about.items()})
