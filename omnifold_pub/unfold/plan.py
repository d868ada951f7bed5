"""The trainings of a campaign: what each resamples or varies, and its seed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from omnifold_pub.unfold.config import CampaignConfig

__all__ = [
    "DATA_BOOTSTRAP",
    "ENSEMBLE",
    "MC_BOOTSTRAP",
    "Training",
    "Varied",
    "bootstrap_seed",
    "derived_seed",
    "plan_trainings",
]

ENSEMBLE = "ensemble"
DATA_BOOTSTRAP = "data_bootstrap"
MC_BOOTSTRAP = "mc_bootstrap"

Varied = Literal["detector", "theory", "generator", "prior", "hidden_variable", "data_driven"]
"""What a systematic training changes; the last two are closure tests, which unfold the simulation itself."""

_WORDS: dict[Varied, str] = {
    "detector": "detector variation",
    "theory": "theory weight",
    "generator": "generator",
    "prior": "prior",
    "hidden_variable": "closure test with a hidden variable",
    "data_driven": "data-driven closure test",
}


@dataclass(frozen=True)
class Training:
    """One OmniFold run of a campaign.

    Attributes
    ----------
    family : str
        Weight family, canvas or closure test that it belongs to.
    member : int
        Column of the family.
    network_seed : int
        Of networks, held-out rows and batches.
    repetition : int
        Counts the trainings that are averaged into the member.
    resampled : {"data", "simulation"}, optional
        What gets Poisson multiplicities, with ``member`` as the replica.
    resampling_seed : int
        Of these multiplicities.
    varied : str, optional
        What is changed, of `Varied`.
    source : str
        Which of them: ``jes``, or ``jes/up`` of a pair; ``scale/0``, the first weight of an entry.
    centre : {"mean", "median"}, optional
        How the trainings that come before are combined into what this one unfolds.
    after : tuple of str
        Names of the trainings that must be finished before.
    """

    family: str
    member: int
    network_seed: int
    repetition: int = 0
    resampled: Literal["data", "simulation"] | None = None
    resampling_seed: int = 0
    varied: Varied | None = None
    source: str = ""
    centre: Literal["mean", "median"] | None = None
    after: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name of the training, unique in its campaign; the first repetition's is that of the member.

        >>> Training("jes", 1, 5).name, Training("jes", 1, 5, repetition=2).name
        ('jes_0001', 'jes_0001-0002')
        """
        repeated = f"-{self.repetition:04d}" if self.repetition else ""
        return f"{self.family}_{self.member:04d}{repeated}"

    @property
    def ensemble_number(self) -> int:
        """Number of the ensemble training whose seed it has."""
        return self.member if self.family == ENSEMBLE else self.repetition

    @property
    def kind(self) -> str:
        """Whether something is resampled or varied, in words."""
        if self.resampled:
            return f"bootstrap of the {self.resampled}"
        return _WORDS[self.varied] if self.varied else "nominal"

    @property
    def purpose(self) -> str:
        """What is resampled or varied, in words."""
        return f"{self.kind} {self.source}" if self.varied else self.kind

    def to_dict(self) -> dict[str, Any]:
        """Return what it is as JSON can hold it."""
        return asdict(self) | {"after": list(self.after)}


def derived_seed(*parts: object) -> int:
    """Return a seed that is a function of the given parts alone; below 2**48."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:6], "little")


def bootstrap_seed(campaign: CampaignConfig, resampled: Literal["data", "simulation"]) -> int:
    """Return the seed of the multiplicities: the campaign's for data, one more for simulation.

    Analyses of the same data that share the campaign's seed share their data replicas, event by event.
    """
    return campaign.seed + (resampled == "simulation")


def _systematics(inputs: Mapping[str, Any]) -> Iterator[tuple[str, list[str], Varied]]:
    """Yield family, source of each member, and what is varied."""
    for entry in inputs.get("variations", []):
        name = entry["name"]
        yield name, [f"{name}/up", f"{name}/down"] if "up" in entry else [name], "detector"
    for entry in inputs.get("theory_weights", []):
        yield entry["name"], [f"{entry['name']}/{k}" for k in range(len(entry["weights"]))], "theory"
    for entry in inputs.get("generators", []):
        yield entry["name"], [entry["name"]], "generator"
    for entry in inputs.get("priors", []):
        yield entry["name"], [entry["name"]], "prior"
    for entry in inputs.get("closure", []):
        yield entry["name"], [entry["name"]], entry["kind"]


def plan_trainings(campaign: CampaignConfig, inputs: Mapping[str, Any]) -> list[Training]:
    """List all trainings, the ensemble first.

    Ensemble members differ by their network seed. Every bootstrap replica has the seed of ensemble member 0,
    so that the replicas' spread is that of the resampled events and the ensemble alone speaks for the
    networks. The trainings of a systematic (detector variation, theory weight, generator, prior, closure test) have
    the seeds of the first ensemble members, so that most of the networks' noise is common to it and the nominal.

    Parameters
    ----------
    campaign : CampaignConfig
        How many trainings of each family.
    inputs : mapping
        Section ``inputs`` of an analysis file.

    Examples
    --------
    >>> settings = CampaignConfig(ensemble=2, data_bootstrap=0, mc_bootstrap=2)
    >>> [t.name for t in plan_trainings(settings, {"variations": [{"name": "jes"}]})]
    ['ensemble_0000', 'ensemble_0001', 'mc_bootstrap_0000', 'mc_bootstrap_0001', 'jes_0000']
    """
    repetitions = campaign.trainings_per_variation
    seeds = [derived_seed(campaign.seed, "network", number) for number in range(max(campaign.ensemble, repetitions))]
    ensemble = [Training(ENSEMBLE, number, seeds[number]) for number in range(campaign.ensemble)]
    trainings = list(ensemble)
    for number in range(campaign.data_bootstrap):
        seed = bootstrap_seed(campaign, "data")
        trainings.append(Training(DATA_BOOTSTRAP, number, seeds[0], resampled="data", resampling_seed=seed))
    for number in range(campaign.mc_bootstrap):
        seed = bootstrap_seed(campaign, "simulation")
        trainings.append(Training(MC_BOOTSTRAP, number, seeds[0], resampled="simulation", resampling_seed=seed))
    for family, sources, varied in _systematics(inputs):
        of_nominal = varied == "data_driven"  # its pseudo-data are the simulation as the nominal unfolding left it
        trainings += [
            Training(
                family,
                member,
                seeds[repetition],
                repetition=repetition,
                varied=varied,
                source=source,
                centre=campaign.central_value if of_nominal else None,
                after=tuple(training.name for training in ensemble) if of_nominal else (),
            )
            for member, source in enumerate(sources)
            for repetition in range(repetitions)
        ]
    return trainings
