"""What an OmniFold training and a campaign of them are told to do."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = ["CampaignConfig", "OmniFoldConfig"]


@dataclass(frozen=True)
class OmniFoldConfig:
    """Settings of one OmniFold run; all of them end up in the release's metadata.

    Attributes
    ----------
    iterations : int
        Number of OmniFold iterations (step 1 and step 2 each).
    hidden : tuple of int
        Units of the hidden layers of every classifier.
    batch_size, learning_rate, max_epochs, patience
        Adam's batch and step size, the most epochs per fit, and the epochs without a better held-out loss
        after which a fit ends.
    held_out : float
        Fraction of the rows that early stopping looks at and nothing is trained on.
    warm_start : bool
        Start each fit from the same classifier of the iteration before (its optimiser starts anew).
    misses : {"extrapolate", "carry"}
        Truth events that fail reco take the network's value, or keep the push of the iteration before.
    fakes : {"average", "keep"}
        Reco events that fail truth take E[push | reco] of the matched events, or keep a push of 1.
    max_log_weight : float
        Clamp of every logit, in absolute value; what it touches is counted.
    """

    iterations: int = 4
    hidden: tuple[int, ...] = (100, 100, 100)
    batch_size: int = 1024
    learning_rate: float = 1e-3
    max_epochs: int = 20
    patience: int = 3
    held_out: float = 0.2
    warm_start: bool = True
    misses: Literal["extrapolate", "carry"] = "extrapolate"
    fakes: Literal["average", "keep"] = "average"
    max_log_weight: float = 10.0

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> OmniFoldConfig:
        """Build from the ``omnifold`` section of an analysis file that its schema has accepted."""
        settings = dict(values)
        if "hidden" in settings:
            settings["hidden"] = tuple(settings["hidden"])
        return cls(**settings)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON can hold them."""
        return asdict(self) | {"hidden": list(self.hidden)}


@dataclass(frozen=True)
class CampaignConfig:
    """How many trainings of each family, and the seed that all of their seeds come from.

    Attributes
    ----------
    seed : int
        Of the whole campaign.
    ensemble : int
        Trainings on the same inputs; their mean is the nominal.
    data_bootstrap, mc_bootstrap : int
        Replicas with Poisson(1) multiplicities of the data and of the simulation.
    trainings_per_variation : int
        Trainings that are averaged into the one member of each detector variation.
    """

    seed: int = 1
    ensemble: int = 4
    data_bootstrap: int = 25
    mc_bootstrap: int = 25
    trainings_per_variation: int = 1

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON can hold them."""
        return asdict(self)
