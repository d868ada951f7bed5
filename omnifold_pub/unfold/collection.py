"""From a finished run directory to what a release holds: events, nominal, families, canvases, closure tests."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import RunError
from omnifold_pub.inputs.analysis import parse_analysis
from omnifold_pub.inputs.sample import Sample
from omnifold_pub.unfold import store
from omnifold_pub.unfold.description import describe
from omnifold_pub.unfold.networks import network_file
from omnifold_pub.unfold.plan import ENSEMBLE, Training
from omnifold_pub.unfold.result import Canvas, ClosureWeights, UnfoldingResult
from omnifold_pub.unfold.run import Campaign, inputs_path
from omnifold_pub.unfold.samples import simulation_from

__all__ = ["collect", "iteration_weights"]

Family = NDArray[np.float32]

_LARGEST_RATIO = 1e6
"""Of unfolded to target in one event; beyond, the target is 0 but for rounding, and the event would be all there is."""


def collect(run: str | Path, *, networks: bool = False) -> UnfoldingResult:
    """Collect the weights of a finished run.

    Parameters
    ----------
    run : str or path-like
        Run directory.
    networks : bool
        Whether to hand over the networks of the ensemble's trainings too, each as a safetensors file.

    Returns
    -------
    UnfoldingResult
        Ready to be published.

    Raises
    ------
    RunError
        If the folder is no run directory, trainings are missing, a file is damaged, or a closure test cannot be set
        against the nominal.
    """
    campaign, header, arrays = _finished(Path(run))
    observables = tuple(header["observables"])
    simulation = simulation_from(_below(arrays, "simulation/"), observables)
    families = {family: _members(campaign, family) for family in dict.fromkeys(t.family for t in campaign.trainings)}
    ensemble = families[ENSEMBLE] if campaign.settings.ensemble > 1 else families.pop(ENSEMBLE)
    combine = np.median if campaign.settings.central_value == "median" else np.mean
    nominal = combine(ensemble.astype(np.float64), axis=1).astype(np.float32)
    canvases = {}
    for entry in campaign.analysis.document["inputs"].get("generators", []):
        name = entry["name"]
        generator = simulation_from(_below(arrays, f"generators/{name}/"), observables)
        event_id, columns = _events(generator)
        canvases[name] = Canvas(event_id, columns, families.pop(name)[:, 0])
    closure = {}
    for entry in campaign.analysis.document["inputs"].get("closure", []):
        test = _closure_test(entry, simulation, nominal, families[entry["name"]][:, 0], arrays)
        closure[entry["name"]] = test
        families[entry["name"]] = test.shift(nominal)[:, np.newaxis]
    event_id, columns = _events(simulation)
    files = dict(_network_files(campaign) if networks else ())
    metadata = describe(
        campaign,
        header["provenance"],
        [store.read_header(campaign.training_path(training))["summary"] for training in campaign.trainings],
        cross_section=float(nominal.sum(dtype=np.float64)),
        columns=columns,
        canvases={name: len(canvas.nominal[:]) for name, canvas in canvases.items()},
        tests={name: (test.target, test.unfolded) for name, test in closure.items()},
        networks=files,
    )
    return UnfoldingResult(
        event_id=event_id,
        columns=columns,
        nominal=nominal,
        families=families,
        metadata=metadata,
        prior=simulation.truth_weight[simulation.pass_truth].astype(np.float32),
        canvases=canvases,
        closure={name: ClosureWeights(test.target, test.unfolded) for name, test in closure.items()},
        networks=files,
    )


def iteration_weights(run: str | Path) -> list[Family]:
    """Return the ensemble's published weights after each iteration, where the campaign was told ``keep_iterations``.

    Parameters
    ----------
    run : str or path-like
        Run directory.

    Returns
    -------
    list of numpy.ndarray
        ``weights[iteration][event, member]``, float32, in the weight unit, for the events that `collect` returns. A
        training that stopped early keeps its last weights.

    Raises
    ------
    RunError
        If the folder is no run directory, trainings of the ensemble are missing, a file is damaged, or the weights
        were not kept.
    """
    campaign = _campaign(Path(run))[0]
    if not campaign.config.keep_iterations:
        msg = f"{run}: holds the weights of the last iteration alone; set omnifold.keep_iterations and run it again"
        raise RunError(msg)
    members = []
    for training in campaign.trainings:
        if training.family == ENSEMBLE:
            path = campaign.training_path(training)
            if not path.exists():
                msg = (
                    f"{run}: training {training.name} is not finished; run omnifold-pub campaign run again to finish it"
                )
                raise RunError(msg)
            store.check_content(path)
            kept = store.read_arrays(path, "iterations/")
            members.append([kept[str(k)] for k in sorted(map(int, kept))])
    longest = max(map(len, members))
    return [np.stack([kept[min(k, len(kept) - 1)] for kept in members], axis=1) for k in range(longest)]


def _campaign(run: Path) -> tuple[Campaign, dict[str, Any]]:
    """Return the campaign of a run directory, and the header of its samples."""
    path = inputs_path(run)
    if not path.exists():
        msg = f"{run}: not a run directory; make one with omnifold-pub campaign run"
        raise RunError(msg)
    header = store.read_header(path)
    return Campaign.of(parse_analysis(header["analysis"], path), run), header


def _finished(run: Path) -> tuple[Campaign, dict[str, Any], store.Arrays]:
    """Return the campaign of a run directory, and header and arrays of its samples; refuse it unless it is finished."""
    campaign, header = _campaign(run)
    arrays = store.read_arrays(inputs_path(run))
    missing = campaign.remaining(campaign.fingerprint(store.digest(arrays)))
    if missing:
        msg = (
            f"{run}: {len(missing)} of {len(campaign.trainings)} trainings are not finished, "
            f"the first is {missing[0].name}; run omnifold-pub campaign run again to finish them"
        )
        raise RunError(msg)
    return campaign, header, arrays


def _below(arrays: store.Arrays, prefix: str) -> store.Arrays:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _events(simulation: Sample) -> tuple[NDArray[np.int64], dict[str, NDArray[np.float32]]]:
    """Return event ids and columns of what is published of a simulation."""
    truth = simulation.particle_level.select(simulation.pass_truth)
    return simulation.event_id[simulation.pass_truth], {name: truth.with_nan(name) for name in truth.names}


def _members(campaign: Campaign, family: str) -> Family:
    """Return ``family[event, member]``, the repetitions of each member averaged."""
    members: dict[int, list[Training]] = {}
    for training in campaign.trainings:
        if training.family == family:
            members.setdefault(training.member, []).append(training)
    return np.stack([_average(campaign, members[member]) for member in sorted(members)], axis=1)


def _average(campaign: Campaign, trainings: list[Training]) -> Family:
    weights = [store.read_arrays(campaign.training_path(training), "weight")[""] for training in trainings]
    average: Family = np.stack(weights).mean(axis=0, dtype=np.float64).astype(np.float32)
    return average


@dataclass(frozen=True)
class _ClosureTest:
    """Target and unfolded weights, ``[event]``, of a closure test."""

    name: str
    target: Family
    unfolded: Family

    def shift(self, nominal: Family) -> Family:
        """Return the nominal times unfolded over target; where the target is 0, the nominal."""
        there = self.target != 0
        ratio = np.divide(self.unfolded, self.target, out=np.ones(len(nominal)), where=there, dtype=np.float64)
        bad = np.flatnonzero(np.abs(ratio) > _LARGEST_RATIO)
        if len(bad):
            msg = (
                f"closure test {self.name}: the target weight of {len(bad)} of {len(nominal)} events is too close to 0 "
                f"({self.target[bad[0]]:g} where {self.unfolded[bad[0]]:g} was unfolded), so that no relative "
                "non-closure can be had of them; give a target expression that is 0 or well above"
            )
            raise RunError(msg)
        shifted: Family = (nominal * ratio).astype(np.float32)
        return shifted


def _closure_test(
    entry: dict[str, Any], simulation: Sample, nominal: Family, unfolded: Family, arrays: store.Arrays
) -> _ClosureTest:
    if entry["kind"] == "data_driven":
        return _ClosureTest(entry["name"], nominal, unfolded)
    target = (simulation.truth_weight * arrays[f"factors/{entry['name']}"])[simulation.pass_truth]
    return _ClosureTest(entry["name"], target.astype(np.float32), unfolded)


def _network_files(campaign: Campaign) -> Iterable[tuple[str, bytes]]:
    for training in campaign.trainings:
        if training.family == ENSEMBLE:
            yield training.name, network_file(campaign.training_path(training), campaign.config)
