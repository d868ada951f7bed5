"""Arrays on disk: safetensors files that are whole or not there."""

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
from omnifold_pub.inputs.reader import Inputs
from omnifold_pub.inputs.sample import Columns, Sample

require("safetensors", extra="unfold", purpose="A run directory")
from safetensors import SafetensorError, safe_open  # noqa: E402 - once it is known to be there
from safetensors.numpy import save  # noqa: E402

__all__ = ["digest", "read_arrays", "read_header", "read_sample", "sample_arrays", "simulation_from", "write_arrays"]

Arrays = dict[str, NDArray[Any]]


def write_arrays(path: Path, arrays: Arrays, header: dict[str, Any]) -> None:
    """Write arrays and a JSON header, whole or not at all.

    Raises
    ------
    RunError
        If the disk does not take it.
    """
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    data = save(contiguous, metadata={"header": json.dumps(header, allow_nan=False)})
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


def digest(arrays: Arrays) -> str:
    """Return the sha256 of names, types, shapes and contents."""
    state = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        state.update(f"{name}:{array.dtype.str}:{array.shape};".encode())
        state.update(array.tobytes())
    return state.hexdigest()


def _level_arrays(columns: Columns, prefix: str) -> Arrays:
    return {f"{prefix}values": columns.values, f"{prefix}present": columns.present}


def sample_arrays(inputs: Inputs) -> Arrays:
    """Return everything that the trainings need, as named arrays."""
    simulation, data = inputs.simulation, inputs.data
    arrays = {
        "simulation/event_id": simulation.event_id,
        "simulation/pass_truth": simulation.pass_truth,
        "simulation/pass_reco": simulation.pass_reco,
        "simulation/truth_weight": simulation.truth_weight,
        "simulation/reco_weight": simulation.reco_weight,
        **_level_arrays(simulation.particle_level, "simulation/truth/"),
        **_level_arrays(simulation.reco, "simulation/reco/"),
        "data/event_id": data.event_id,
        "data/weight": data.reco_weight,
        **_level_arrays(data.reco, "data/reco/"),
    }
    for name, variation in inputs.variations.items():
        arrays[f"variations/{name}/pass_reco"] = variation.pass_reco
        arrays |= _level_arrays(variation.reco, f"variations/{name}/reco/")
    return arrays


def _columns(arrays: Arrays, level: str, names: tuple[str, ...]) -> Columns:
    return Columns(names, arrays[f"{level}/values"], arrays[f"{level}/present"])


def simulation_from(arrays: Arrays, names: tuple[str, ...]) -> Sample:
    """Build the simulation from its arrays, named as `sample_arrays` does after ``simulation/``."""
    return Sample(
        name="simulation",
        reco=_columns(arrays, "reco", names),
        pass_reco=arrays["pass_reco"],
        reco_weight=arrays["reco_weight"],
        event_id=arrays["event_id"],
        truth=_columns(arrays, "truth", names),
        pass_truth=arrays["pass_truth"],
        truth_weight=arrays["truth_weight"],
    )


def read_sample(path: Path, variation: str | None = None) -> tuple[Sample, Sample]:
    """Read simulation and data back, the simulation with a variation's detector level if one is named."""
    names = tuple(read_header(path)["observables"])
    simulation = simulation_from(read_arrays(path, "simulation/"), names)
    if variation is not None:
        varied = read_arrays(path, f"variations/{variation}/")
        simulation = simulation.with_reco(_columns(varied, "reco", names), varied["pass_reco"], variation)
    arrays = read_arrays(path, "data/")
    return simulation, Sample.of_data("data", _columns(arrays, "reco", names), arrays["weight"], arrays["event_id"])
