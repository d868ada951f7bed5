"""What each training unfolds: the samples of a campaign as named arrays, and back.

::

    simulation/{event_id,pass_truth,pass_reco,truth_weight,reco_weight,truth/*,reco/*}
    data/{event_id,weight,reco/*}
    backgrounds/<name>/{event_id,weight,reco/*}        weight in events expected in the data
    variations/<name>[/up|/down]/{pass_reco,reco/*}    or reco_weight alone
    theory_weights/<name>/<k>                          w_t
    factors/<name>                                     on w_t and w_r, of priors and closure tests
    generators/<name>/*                                as simulation/*

``*`` of a level: ``values[event, observable]`` and ``present[event, observable]``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import InputError, RunError, TrainingError
from omnifold_pub.inputs.analysis import luminosity_of
from omnifold_pub.inputs.reader import Inputs
from omnifold_pub.inputs.sample import Columns, Sample
from omnifold_pub.statistics.resampling import poisson_multiplicities
from omnifold_pub.unfold import store
from omnifold_pub.unfold.plan import Training, derived_seed
from omnifold_pub.unfold.store import Arrays

__all__ = ["TrainingSamples", "sample_arrays", "samples_for", "simulation_from"]


@dataclass(frozen=True)
class TrainingSamples:
    """What one training unfolds, with the multiplicities of its replica in the weights.

    Attributes
    ----------
    simulation : Sample
        Simulated events, weights in the weight unit.
    data : Sample
        What is unfolded: the data, or the pseudo-data of a closure test.
    background : Sample, optional
        All backgrounds together, weights in events expected in the data; None where there is nothing to subtract.
        Their event ids are row numbers: they come from several samples.
    data_rows : numpy.ndarray, optional
        ``[event]``, int64: which simulated event each of the data is, in a closure test.
    """

    simulation: Sample
    data: Sample
    background: Sample | None = None
    data_rows: NDArray[np.int64] | None = None


def _level_arrays(columns: Columns, prefix: str) -> Arrays:
    return {f"{prefix}values": columns.values, f"{prefix}present": columns.present}


def _simulation_arrays(sample: Sample, prefix: str) -> Arrays:
    return {
        f"{prefix}event_id": sample.event_id,
        f"{prefix}pass_truth": sample.pass_truth,
        f"{prefix}pass_reco": sample.pass_reco,
        f"{prefix}truth_weight": sample.truth_weight,
        f"{prefix}reco_weight": sample.reco_weight,
        **_level_arrays(sample.particle_level, f"{prefix}truth/"),
        **_level_arrays(sample.reco, f"{prefix}reco/"),
    }


def _recorded_arrays(sample: Sample, prefix: str) -> Arrays:
    """Name the arrays of a sample that has the detector level alone."""
    return {
        f"{prefix}event_id": sample.event_id,
        f"{prefix}weight": sample.reco_weight,
        **_level_arrays(sample.reco, f"{prefix}reco/"),
    }


def sample_arrays(inputs: Inputs) -> Arrays:
    """Return everything that the trainings need, as named arrays.

    Parameters
    ----------
    inputs : Inputs
        Samples, and what they are varied by.
    """
    arrays = _simulation_arrays(inputs.simulation, "simulation/") | _recorded_arrays(inputs.data, "data/")
    for name, background in inputs.backgrounds.items():
        arrays |= _recorded_arrays(background, f"backgrounds/{name}/")
    for name, variation in inputs.variations.items():
        if variation.reco is inputs.simulation.reco:  # the weight alone is another
            arrays[f"variations/{name}/reco_weight"] = variation.reco_weight
        else:
            arrays[f"variations/{name}/pass_reco"] = variation.pass_reco
            arrays |= _level_arrays(variation.reco, f"variations/{name}/reco/")
    arrays |= {f"theory_weights/{name}": weight for name, weight in inputs.theory_weights.items()}
    arrays |= {f"factors/{name}": factor for name, factor in inputs.factors.items()}
    for name, simulation in inputs.generators.items():
        arrays |= _simulation_arrays(simulation, f"generators/{name}/")
    return arrays


def _columns(arrays: Arrays, level: str, names: tuple[str, ...]) -> Columns:
    return Columns(names, arrays[f"{level}/values"], arrays[f"{level}/present"])


def simulation_from(arrays: Arrays, names: tuple[str, ...]) -> Sample:
    """Build a simulation from its arrays, named as `sample_arrays` does after ``simulation/``.

    Parameters
    ----------
    arrays : dict
        The arrays of this simulation.
    names : tuple of str
        The observables.
    """
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


class _InputsFile:
    """The samples of a run directory, read as far as they are asked for."""

    def __init__(self, path: Path) -> None:
        header = store.read_header(path)
        self.path = path
        self.names = tuple(header["observables"])
        self.document: dict[str, Any] = header["analysis"]

    def array(self, name: str) -> NDArray[Any]:
        found = store.read_arrays(self.path, name)
        if "" not in found:
            msg = f"{self.path}: holds no {name!r}; expected what the analysis file names, run the campaign again"
            raise RunError(msg)
        return found[""]

    def simulation(self, prefix: str) -> Sample:
        return simulation_from(store.read_arrays(self.path, prefix), self.names)

    def recorded(self, prefix: str) -> Sample:
        arrays = store.read_arrays(self.path, prefix)
        name = prefix.rstrip("/")
        return Sample.of_data(name, _columns(arrays, "reco", self.names), arrays["weight"], arrays["event_id"])

    def varied(self, training: Training) -> Sample:
        """Return the simulation that a training unfolds with."""
        if training.varied == "generator":
            return self.simulation(f"generators/{training.source}/")
        nominal = self.simulation("simulation/")
        where = f"{training.varied} {training.source}"
        if training.varied == "detector":
            arrays = store.read_arrays(self.path, f"variations/{training.source}/")
            if "reco_weight" in arrays:
                return nominal.with_reco_weight(arrays["reco_weight"], where)
            return nominal.with_reco(_columns(arrays, "reco", self.names), arrays["pass_reco"], where)
        if training.varied == "theory":
            return nominal.with_truth_weight(self.array(f"theory_weights/{training.source}"), where)
        if training.varied == "prior":
            return nominal.reweighted(self.array(f"factors/{training.source}"), where)
        return nominal

    def backgrounds(self) -> dict[str, Sample]:
        names = [entry["name"] for entry in self.document["inputs"].get("backgrounds", [])]
        return {name: self.recorded(f"backgrounds/{name}/") for name in names}


def nominal_push(earlier: Sequence[Path], training: Training, events: int) -> NDArray[np.float64]:
    """Combine the push weights of finished trainings, normalised, as the nominal weights are combined.

    Parameters
    ----------
    earlier : sequence of pathlib.Path
        Files of the trainings that ``training.after`` names, in that order.
    training : Training
        Says how they are combined.
    events : int
        Simulated events.

    Returns
    -------
    numpy.ndarray
        ``c nu[event]``, float64, over all simulated events.

    Raises
    ------
    RunError
        If they are others than those named, or of another simulation.
    """
    headers = [store.read_header(path) for path in earlier]
    found = [Training(**header["summary"]["training"]).name for header in headers]
    if found != list(training.after) or not found:
        msg = f"training {training.name}: expected the finished trainings {', '.join(training.after)}; found {found}"
        raise RunError(msg)
    members = []
    for path, header in zip(earlier, headers, strict=True):
        push = store.read_arrays(path, "push").get("")
        if push is None or push.shape != (events,):
            shape = "none" if push is None else str(push.shape)
            msg = f"{path}: expected push weights of {events} simulated events; found {shape}; delete it and run again"
            raise RunError(msg)
        members.append(header["summary"]["normalisation"]["factor"] * push.astype(np.float64))
    combine = np.median if training.centre == "median" else np.mean
    combined: NDArray[np.float64] = combine(np.stack(members), axis=0)
    return combined


def _pseudodata(file: _InputsFile, simulation: Sample, training: Training, earlier: Sequence[Path]) -> Sample:
    """Make the data of a closure test: the simulation's own reco events, reweighted, as events of the luminosity."""
    if training.varied == "data_driven":
        factor = nominal_push(earlier, training, len(simulation))
    else:
        factor = file.array(f"factors/{training.source}")
    rows = simulation.pass_reco
    weight = luminosity_of(file.document) * (factor * simulation.reco_weight)[rows]
    name = f"pseudo-data of the closure test {training.source}"
    return Sample.of_data(name, simulation.reco.select(rows), weight, simulation.event_id[rows])


def _multiplicity(training: Training, event_id: NDArray[np.int64], *origin: str) -> NDArray[np.float64]:
    """Draw multiplicities; those of a further origin have a seed of their own, for its event ids may be the same."""
    seed = derived_seed(training.resampling_seed, *origin) if origin else training.resampling_seed
    return poisson_multiplicities(seed, training.member, event_id).astype(np.float64)


def _background(file: _InputsFile, training: Training) -> Sample | None:
    """Join the backgrounds into one sample; None where no event is left with a weight."""
    samples = file.backgrounds()
    weights = {name: sample.reco_weight for name, sample in samples.items()}
    if training.resampled == "simulation":
        weights = {n: weights[n] * _multiplicity(training, sample.event_id, n) for n, sample in samples.items()}
    if not any(np.any(weight) for weight in weights.values()):
        return None
    levels = [sample.reco for sample in samples.values()]
    reco = Columns(
        file.names,
        np.concatenate([level.values for level in levels]),
        np.concatenate([level.present for level in levels]),
    )
    weight = np.concatenate(list(weights.values()))
    return Sample.of_data("backgrounds", reco, weight, np.arange(len(weight), dtype=np.int64))


def samples_for(training: Training, inputs: Path, earlier: Sequence[Path]) -> TrainingSamples:
    """Read what a training unfolds, and nothing else.

    A data bootstrap multiplies w_d by Poisson multiplicities of the data's event ids. A simulation bootstrap
    multiplies w_t and w_r by those of the simulation's, and the weights of each background by those of its own, from
    a seed of its own. A closure test has pseudo-data and no background.

    Parameters
    ----------
    training : Training
        What is resampled or varied.
    inputs : pathlib.Path
        File that holds `sample_arrays`; its header the analysis and the names of the observables.
    earlier : sequence of pathlib.Path
        Files of the trainings that ``training.after`` names, in that order.

    Returns
    -------
    TrainingSamples
        Weights and columns of the training.

    Raises
    ------
    RunError
        If a file is damaged, or the earlier trainings are not those that are needed.
    TrainingError
        If what is left of a sample is of no use, for instance a replica without any weight.
    """
    file = _InputsFile(inputs)
    try:
        simulation = file.varied(training)
        if training.varied in ("hidden_variable", "data_driven"):
            pseudodata = _pseudodata(file, simulation, training, earlier)
            return TrainingSamples(simulation, pseudodata, data_rows=np.flatnonzero(simulation.pass_reco))
        data = file.recorded("data/")
        if training.resampled == "data":
            data = data.with_reco_weight(data.reco_weight * _multiplicity(training, data.event_id), data.name)
        elif training.resampled == "simulation":
            simulation = simulation.reweighted(_multiplicity(training, simulation.event_id), simulation.name)
        return TrainingSamples(simulation, data, _background(file, training))
    except InputError as error:
        msg = f"training {training.name}: {error}"
        raise TrainingError(msg) from error
