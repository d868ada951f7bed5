"""What an OmniFold training and a campaign of them are told to do."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

__all__ = ["CampaignConfig", "OmniFoldConfig"]


@dataclass(frozen=True)
class OmniFoldConfig:
    """Settings of one OmniFold run; all of them end up in the release's metadata.

    Attributes
    ----------
    iterations : int
        Number of OmniFold iterations (step 1 and step 2 each); the most of them where ``stop_below`` is given.
    stop_below : float
        Stop after an iteration whose push change (the weighted root mean square of the change of log nu over the
        events that pass truth) is below this; 0: never. It needs no truth.
    pair_features : bool
        Show the networks the angular distances of all pairs of objects whose four-momenta the analysis declares.
    decorrelate : bool
        Scale up the linear combinations of features that vary little, so that a ratio of two observables that move
        together is as plain to see as either of them.
    classifier : {"mlp", "bdt", "module"}
        Multilayer perceptron, gradient-boosted trees (LightGBM), or a PyTorch module of the user's own.
    hidden : tuple of int
        Units of the hidden layers (``mlp``).
    activation : {"relu", "silu"}
        Of the hidden layers (``mlp``).
    module : str
        ``package.module:function`` that builds the user's network (``module``): called with the number of features
        and ``module_settings`` by name; returns a `torch.nn.Module` with one logit per row.
    module_settings : dict
        Handed to it.
    trees, leaves : int
        Most trees, and leaves of each tree (``bdt``).
    batch_size, learning_rate, schedule, max_epochs, patience
        Adam's batch and step size, how the latter goes over the epochs (``constant`` or a half ``cosine``), the most
        epochs per fit, and the epochs without a better held-out loss after which a fit ends.
    precision : {"float32", "bfloat16"}
        Of the training's matrix products (``mlp``); weights are always predicted in float32.
    held_out : float
        Fraction of the rows that early stopping looks at and nothing is trained on.
    splits : {"fixed", "fresh"}
        Whether the held-out rows stay the same in all iterations or are drawn anew.
    folds : int
        1, or the number K of folds: K unfoldings side by side, each of which has none of the simulated events of its
        own fold, neither in training nor in early stopping, and gives them their weights.
    warm_start : bool
        Start each fit from the same classifier of the iteration before (its optimiser starts anew).
    step2_reference : {"prior", "push"}
        Step 2 compares with the simulation as it is (nu = exp(logit)), or as the iteration before left it
        (nu = previous nu times exp(logit)).
    misses : {"extrapolate", "carry"}
        Truth events that fail reco take the network's value, or keep the push of the iteration before.
    fakes : {"average", "keep"}
        Reco events that fail truth take E[push | reco] of the matched events, or keep a push of 1.
    background : {"negative_weights", "neural_resampling"}
        Background events join the data with negative weights, or the data are reweighted once, by a classifier, to
        what is left of them; nothing where there is no background.
    max_log_weight : float
        Clamp of every logit, in absolute value; what it touches is counted.
    keep_iterations : bool
        Keep the published weights of every iteration in the run directory, not of the last alone; see
        `omnifold_pub.unfold.collection.iteration_weights`.
    """

    iterations: int = 4
    stop_below: float = 0.0
    pair_features: bool = True
    decorrelate: bool = True
    classifier: Literal["mlp", "bdt", "module"] = "mlp"
    hidden: tuple[int, ...] = (100, 100, 100)
    activation: Literal["relu", "silu"] = "relu"
    module: str = ""
    module_settings: dict[str, Any] = field(default_factory=dict)
    trees: int = 300
    leaves: int = 31
    batch_size: int = 1024
    learning_rate: float = 1e-3
    schedule: Literal["constant", "cosine"] = "constant"
    max_epochs: int = 20
    patience: int = 3
    precision: Literal["float32", "bfloat16"] = "float32"
    held_out: float = 0.2
    splits: Literal["fixed", "fresh"] = "fixed"
    folds: int = 1
    warm_start: bool = True
    step2_reference: Literal["prior", "push"] = "prior"
    misses: Literal["extrapolate", "carry"] = "extrapolate"
    fakes: Literal["average", "keep"] = "average"
    background: Literal["negative_weights", "neural_resampling"] = "negative_weights"
    max_log_weight: float = 10.0
    keep_iterations: bool = False

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
        Trainings on the same inputs; the nominal is made of them.
    central_value : {"mean", "median"}
        How.
    data_bootstrap, mc_bootstrap : int
        Replicas with Poisson(1) multiplicities of the data and of the simulation.
    trainings_per_variation : int
        Trainings that are averaged into each member of the systematic variations.
    """

    seed: int = 1
    ensemble: int = 4
    central_value: Literal["mean", "median"] = "mean"
    data_bootstrap: int = 25
    mc_bootstrap: int = 25
    trainings_per_variation: int = 1

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON can hold them."""
        return asdict(self)
