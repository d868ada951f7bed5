"""One training of a campaign: from its samples to its published weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import TrainingError
from omnifold_pub.inputs.sample import Columns, Sample
from omnifold_pub.unfold.config import OmniFoldConfig
from omnifold_pub.unfold.omnifold import OmniFoldInputs, OmniFoldResult, run_omnifold
from omnifold_pub.unfold.plan import Training
from omnifold_pub.unfold.preprocessing import Encoding, Pair, Preprocessor
from omnifold_pub.unfold.samples import TrainingSamples
from omnifold_pub.unfold.warm import WarmStart, kept_networks, warm_start

__all__ = ["Settings", "Trained", "normalise", "train"]


@dataclass(frozen=True)
class Settings:
    """What all trainings of a campaign have in common.

    Attributes
    ----------
    config : OmniFoldConfig
        Settings of OmniFold.
    encodings : tuple of Encoding
        How the networks see each observable.
    pairs : tuple of Pair
        Pairs of objects that they see beside the observables.
    luminosity : float
        In inverse units of the published weights.
    device : {"cpu", "cuda"}
        Where the networks are trained.
    warm : pathlib.Path, optional
        Networks to start from, one file or several (see `omnifold_pub.unfold.warm`): each member of the ensemble has
        its own, as far as there are.
    """

    config: OmniFoldConfig
    encodings: tuple[Encoding, ...]
    pairs: tuple[Pair, ...]
    luminosity: float
    device: str = "cpu"
    warm: Path | None = None


@dataclass(frozen=True)
class Trained:
    """Outcome of one training.

    Attributes
    ----------
    arrays : dict
        ``weight[event]``: published weights of the events that pass truth, float32, in the weight unit.
        ``push[event]``: nu of all simulated events, float32. ``iterations/<k>[event]``: published weights after
        iteration k, where asked for. ``networks/<classifier>/<parameter>``: what the last iteration's networks have
        learned. ``splits/<classifier>``: held-out rows, eight to a byte; where there are folds
        ``splits/<classifier>/fold<k>``, and ``splits/fold[event]``.
    summary : dict
        Seeds, preprocessing, losses, diagnostics, clamps, normalisation, as JSON can hold them.
    """

    arrays: dict[str, NDArray[Any]]
    summary: dict[str, Any]


def normalise(
    push: NDArray[np.float64], simulation: Sample, *, n_signal: float, luminosity: float
) -> tuple[NDArray[np.float64], float]:
    r"""Turn push weights into cross sections: ``c nu w_t``, ``c = (N_data - N_background) / (L sum_pass_reco nu w_r)``.

    The classifiers see equalised classes and know nothing of the overall rate; it is put back here, by each
    training for itself. The efficiency is part of the sum already: never divide by it again.

    Parameters
    ----------
    push : numpy.ndarray
        nu, ``[event]``, all simulated events.
    simulation : Sample
        With the weights of the replica.
    n_signal : float
        N_data - N_background: the sums of the data weights and of the expected background of this replica.
    luminosity : float
        In inverse units of the published weights.

    Returns
    -------
    weight : numpy.ndarray
        ``[event]`` of the events that pass truth.
    factor : float
        c.

    Raises
    ------
    TrainingError
        If the background leaves nothing of the data, or the reweighted simulation sums to nothing.
    """
    expected = float(push[simulation.pass_reco] @ simulation.reco_weight[simulation.pass_reco])
    for what, total in (("data less the background", n_signal), ("reweighted simulation at detector level", expected)):
        if not total > 0:
            msg = f"the {what} sums to {total:g}; expected more than 0"
            raise TrainingError(msg)
    factor = n_signal / (luminosity * expected)
    return factor * push[simulation.pass_truth] * simulation.truth_weight[simulation.pass_truth], factor


def _features(preprocessor: Preprocessor, columns: Columns, rows: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Transform the selected rows; the others, which nothing looks at, stay zero."""
    x = preprocessor.transform(columns.select(rows))
    full = np.zeros((len(columns), x.shape[1]), dtype=np.float32)
    full[rows] = x
    return full


@dataclass(frozen=True)
class _Prepared:
    inputs: OmniFoldInputs
    at_truth: Preprocessor
    at_reco: Preprocessor


def _prepare(samples: TrainingSamples, settings: Settings, warm: WarmStart | None) -> _Prepared:
    """Turn columns into features, with the constants of the warm start if there is one."""
    simulation, data, background = samples.simulation, samples.data, samples.background
    truth = simulation.particle_level
    truth_rows, reco_rows = simulation.pass_truth, simulation.pass_reco
    if warm is None:
        recorded = [data.reco] + ([background.reco] if background is not None else [])
        how: dict[str, Any] = {
            "encodings": settings.encodings,
            "pairs": settings.pairs,
            "decorrelate": settings.config.decorrelate,
        }
        at_truth = Preprocessor.fit([truth.select(truth_rows)], **how)
        at_reco = Preprocessor.fit([simulation.reco.select(reco_rows), *recorded], **how)
    else:
        at_truth, at_reco = warm.truth, warm.reco
    inputs = OmniFoldInputs(
        truth=_features(at_truth, truth, truth_rows),
        reco=_features(at_reco, simulation.reco, reco_rows),
        pass_truth=truth_rows,
        pass_reco=reco_rows,
        truth_weight=simulation.truth_weight,
        reco_weight=simulation.reco_weight,
        data=at_reco.transform(data.reco),
        data_weight=data.reco_weight,
        data_rows=samples.data_rows,
        background=None if background is None else at_reco.transform(background.reco),
        background_weight=None if background is None else background.reco_weight,
    )
    return _Prepared(inputs, at_truth, at_reco)


def _state(result: OmniFoldResult) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield everything but the published weights that a training keeps."""
    yield "push", result.push.astype(np.float32)
    for name, parameters in result.networks.items():
        for key, array in parameters.items():
            yield f"networks/{name}/{key}", array
    for name, split in result.splits.items():
        yield f"splits/{name}", np.packbits(split) if split.dtype == bool else split.astype(np.uint8)


def train(training: Training, samples: TrainingSamples, settings: Settings) -> Trained:
    """Run one OmniFold of the campaign.

    Parameters
    ----------
    training : Training
        For its seed.
    samples : TrainingSamples
        What it unfolds, with the weights of its replica: a data bootstrap multiplies w_d, and N_data with it; a
        simulation bootstrap multiplies w_t and w_r, and carries the multiplicities into the published weights, which
        therefore include the event sampling.
    settings : Settings
        Common to the campaign.

    Raises
    ------
    TrainingError
        If a class is empty or a weight becomes non-finite.
    RunError
        If the networks to start from do not fit.
    """
    simulation = samples.simulation
    warm = None
    if settings.warm is not None:
        networks = kept_networks(settings.warm)
        own = networks[training.ensemble_number % len(networks)]
        warm = warm_start(own, settings.encodings, settings.pairs, settings.config)
    prepared = _prepare(samples, settings, warm)
    start = None if warm is None else warm.start(prepared.inputs, settings.config)
    result = run_omnifold(
        prepared.inputs, settings.config, seed=training.network_seed, device=settings.device, start=start
    )
    n_data = float(samples.data.reco_weight.sum())
    n_background = 0.0 if samples.background is None else float(samples.background.reco_weight.sum())

    def published(push: NDArray[np.float64]) -> tuple[NDArray[np.float32], float]:
        weight, factor = normalise(push, simulation, n_signal=n_data - n_background, luminosity=settings.luminosity)
        single = weight.astype(np.float32)
        if not np.isfinite(single).all():
            msg = f"{int((~np.isfinite(single)).sum())} published weights are not finite"
            raise TrainingError(msg)
        return single, factor

    weight, factor = published(result.push)
    iterations = {f"iterations/{k}": published(push)[0] for k, push in enumerate(result.pushes, start=1)}
    return Trained(
        arrays={"weight": weight, **iterations, **dict(_state(result))},
        summary={
            "training": training.to_dict(),
            "device": settings.device,
            "normalisation": {"factor": factor, "n_data": n_data, "n_background": n_background},
            "clamped": asdict(result.clamps),
            "diagnostics": result.diagnostics,
            "preprocessing": {"truth": prepared.at_truth.to_dict(), "reco": prepared.at_reco.to_dict()},
        },
    )
