"""What each training unfolds: the samples of a campaign as named arrays, and back."""

from __future__ import annotations

from pathlib import Path

from omnifold_pub.inputs.reader import Inputs
from omnifold_pub.inputs.sample import Columns, Sample
from omnifold_pub.unfold import store
from omnifold_pub.unfold.store import Arrays

__all__ = ["read_sample", "sample_arrays", "simulation_from"]


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
    names = tuple(store.read_header(path)["observables"])
    simulation = simulation_from(store.read_arrays(path, "simulation/"), names)
    if variation is not None:
        varied = store.read_arrays(path, f"variations/{variation}/")
        simulation = simulation.with_reco(_columns(varied, "reco", names), varied["pass_reco"], variation)
    arrays = store.read_arrays(path, "data/")
    return simulation, Sample.of_data("data", _columns(arrays, "reco", names), arrays["weight"], arrays["event_id"])
