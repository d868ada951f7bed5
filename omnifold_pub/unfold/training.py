"""One training of a campaign: from the samples to its published weights, in a worker process."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import TrainingError
from omnifold_pub.inputs.sample import Columns, Sample
from omnifold_pub.statistics.resampling import poisson_multiplicities
from omnifold_pub.unfold.config import OmniFoldConfig
from omnifold_pub.unfold.omnifold import OmniFoldInputs, run_omnifold
from omnifold_pub.unfold.plan import Training
from omnifold_pub.unfold.preprocessing import Encoding, Preprocessor

__all__ = ["Trained", "normalise", "train"]


@dataclass(frozen=True)
class Trained:
    """Outcome of one training.

    Attributes
    ----------
    weight : numpy.ndarray
        Published ``weight[event]`` of the events that pass truth, float32, in the weight unit.
    networks : dict
        Parameters of the last iteration's networks, ``networks["step1/0.weight"]`` and so on.
    summary : dict
        Preprocessing, losses, clamps, normalisation, as JSON can hold them.
    """

    weight: NDArray[np.float32]
    networks: dict[str, NDArray[np.float32]]
    summary: dict[str, Any]


def normalise(
    push: NDArray[np.float64],
    sample: Sample,
    truth_weight: NDArray[np.float64],
    reco_weight: NDArray[np.float64],
    *,
    n_data: float,
    luminosity: float,
) -> tuple[NDArray[np.float64], float]:
    r"""Turn push weights into cross sections: ``c nu w_t`` with ``c = N_data / (L sum_pass_reco nu w_r)``.

    The classifiers see equalised classes and know nothing of the overall rate; it is put back here, by each
    training for itself. The efficiency is part of the sum already: never divide by it again.

    Parameters
    ----------
    push : numpy.ndarray
        nu, ``[event]``, all simulated events.
    truth_weight, reco_weight : numpy.ndarray
        w_t and w_r, ``[event]``, with the replica's multiplicities.
    n_data : float
        Sum of the data weights of this replica.
    luminosity : float
        In inverse units of the published weights.

    Returns
    -------
    weight : numpy.ndarray
        ``[event]`` of the events that pass truth.
    factor : float
        c.
    """
    expected = float(push[sample.pass_reco] @ reco_weight[sample.pass_reco])
    factor = n_data / (luminosity * expected)
    return factor * push[sample.pass_truth] * truth_weight[sample.pass_truth], factor


def _features(preprocessor: Preprocessor, columns: Columns, rows: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Transform the selected rows; the others, which nothing looks at, stay zero."""
    x = preprocessor.transform(columns.select(rows))
    full = np.zeros((len(columns), x.shape[1]), dtype=np.float32)
    full[rows] = x
    return full


def train(
    training: Training,
    simulation: Sample,
    data: Sample,
    *,
    config: OmniFoldConfig,
    encodings: tuple[Encoding, ...],
    luminosity: float,
) -> Trained:
    """Run one OmniFold of the campaign.

    A data bootstrap multiplies w_d, and N_data with it. A simulation bootstrap multiplies w_t and w_r, and
    carries the multiplicities into the published weights, which therefore include the event sampling.

    Raises
    ------
    TrainingError
        If a class is empty or a weight becomes non-finite.
    """
    truth = simulation.particle_level
    w_t, w_r, w_d = simulation.truth_weight, simulation.reco_weight, data.reco_weight
    if training.resampled == "data":
        w_d = w_d * poisson_multiplicities(training.resampling_seed, training.number, data.event_id)
    elif training.resampled == "simulation":
        multiplicity = poisson_multiplicities(training.resampling_seed, training.number, simulation.event_id)
        w_t, w_r = w_t * multiplicity, w_r * multiplicity

    truth_rows, reco_rows = simulation.pass_truth, simulation.pass_reco
    at_truth = Preprocessor.fit([truth.select(truth_rows)], encodings)
    at_reco = Preprocessor.fit([simulation.reco.select(reco_rows), data.reco], encodings)
    result = run_omnifold(
        OmniFoldInputs(
            truth=_features(at_truth, truth, truth_rows),
            reco=_features(at_reco, simulation.reco, reco_rows),
            pass_truth=truth_rows,
            pass_reco=reco_rows,
            truth_weight=w_t,
            reco_weight=w_r,
            data=at_reco.transform(data.reco),
            data_weight=w_d,
        ),
        config,
        seed=training.network_seed,
    )
    n_data = float(w_d.sum())
    weight, factor = normalise(result.push, simulation, w_t, w_r, n_data=n_data, luminosity=luminosity)
    published = weight.astype(np.float32)
    if not np.isfinite(published).all():
        msg = f"{int((~np.isfinite(published)).sum())} published weights are not finite"
        raise TrainingError(msg)
    return Trained(
        weight=published,
        networks={
            f"{name}/{key}": tensor.numpy()
            for name, network in result.networks.items()
            for key, tensor in network.state_dict().items()
        },
        summary={
            "training": asdict(training),
            "normalisation": {"factor": factor, "n_data": n_data},
            "clamped": {"touched": result.clamps.touched, "evaluated": result.clamps.evaluated},
            "fits": {name: [asdict(fit) for fit in fits] for name, fits in result.fits.items()},
            "preprocessing": {"truth": at_truth.to_dict(), "reco": at_reco.to_dict()},
        },
    )
