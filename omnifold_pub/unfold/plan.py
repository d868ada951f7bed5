"""The trainings of a campaign: what each resamples or varies, and its seed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from omnifold_pub.unfold.config import CampaignConfig

__all__ = ["DATA_BOOTSTRAP", "ENSEMBLE", "MC_BOOTSTRAP", "Training", "bootstrap_seed", "plan_trainings"]

ENSEMBLE = "ensemble"
DATA_BOOTSTRAP = "data_bootstrap"
MC_BOOTSTRAP = "mc_bootstrap"


@dataclass(frozen=True)
class Training:
    """One OmniFold run of a campaign.

    Attributes
    ----------
    family : str
        Weight family that it belongs to.
    number : int
        Counts the trainings of the family from 0: the member, or one of the trainings that are averaged
        into a variation's only member.
    network_seed : int
        Of networks, held-out rows and batches.
    resampled : {"data", "simulation"}, optional
        What gets Poisson multiplicities, with ``number`` as the replica.
    resampling_seed : int
        Of these multiplicities.
    variation : str, optional
        Detector variation that replaces the simulation's detector level.
    """

    family: str
    number: int
    network_seed: int
    resampled: Literal["data", "simulation"] | None = None
    resampling_seed: int = 0
    variation: str | None = None

    @property
    def name(self) -> str:
        """Name of the training, unique in its campaign."""
        return f"{self.family}_{self.number:04d}"


def _derived_seed(*parts: object) -> int:
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:6], "little")


def bootstrap_seed(campaign: CampaignConfig, resampled: Literal["data", "simulation"]) -> int:
    """Return the seed of the multiplicities: the campaign's for data, one more for simulation.

    Analyses of the same data that share the campaign's seed share their data replicas, event by event.
    """
    return campaign.seed + (resampled == "simulation")


def plan_trainings(campaign: CampaignConfig, variations: Sequence[str]) -> list[Training]:
    """List all trainings, the ensemble first.

    Ensemble members differ by their network seed. Every bootstrap replica has the seed of ensemble member 0,
    so that the replicas' spread is that of the resampled events and the ensemble alone speaks for the
    networks. The trainings of a variation have the seeds of the first ensemble members, so that most of
    the networks' noise is common to the variation and the nominal.

    >>> [t.name for t in plan_trainings(CampaignConfig(ensemble=2, data_bootstrap=0, mc_bootstrap=2), ["jes"])]
    ['ensemble_0000', 'ensemble_0001', 'mc_bootstrap_0000', 'mc_bootstrap_0001', 'jes_0000']
    """
    seeds = [
        _derived_seed(campaign.seed, "network", number)
        for number in range(max(campaign.ensemble, campaign.trainings_per_variation))
    ]
    trainings = [Training(ENSEMBLE, number, seeds[number]) for number in range(campaign.ensemble)]
    for number in range(campaign.data_bootstrap):
        seed = bootstrap_seed(campaign, "data")
        trainings.append(Training(DATA_BOOTSTRAP, number, seeds[0], resampled="data", resampling_seed=seed))
    for number in range(campaign.mc_bootstrap):
        seed = bootstrap_seed(campaign, "simulation")
        trainings.append(Training(MC_BOOTSTRAP, number, seeds[0], resampled="simulation", resampling_seed=seed))
    for variation in variations:
        trainings += [
            Training(variation, number, seeds[number], variation=variation)
            for number in range(campaign.trainings_per_variation)
        ]
    return trainings
