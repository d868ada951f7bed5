"""OmniFold: the iteration, on arrays that are ready for the networks.

Andreassen, Komiske, Metodiev, Nachman, Thaler, "OmniFold: a method to simultaneously unfold all observables",
Phys. Rev. Lett. 124 (2020) 182001, arXiv:1911.09107.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from omnifold_pub.errors import TrainingError
from omnifold_pub.unfold.classifier import FitSummary, build_network, fit, logits
from omnifold_pub.unfold.config import OmniFoldConfig

__all__ = ["Clamps", "OmniFoldInputs", "OmniFoldResult", "run_omnifold"]

Weights = NDArray[np.float64]


@dataclass(frozen=True)
class OmniFoldInputs:
    """One data set and one simulation, preprocessed.

    Attributes
    ----------
    truth, reco : numpy.ndarray
        ``truth[event, feature]`` and ``reco[event, feature]`` of the simulation, float32. Rows that fail the
        selection of a level are never looked at on that level.
    pass_truth, pass_reco : numpy.ndarray
        ``[event]``, bool.
    truth_weight, reco_weight : numpy.ndarray
        w_t and w_r, ``[event]``, float64.
    data : numpy.ndarray
        ``data[event, feature]``, float32.
    data_weight : numpy.ndarray
        w_d, ``[event]``, float64.
    """

    truth: NDArray[np.float32]
    reco: NDArray[np.float32]
    pass_truth: NDArray[np.bool_]
    pass_reco: NDArray[np.bool_]
    truth_weight: Weights
    reco_weight: Weights
    data: NDArray[np.float32]
    data_weight: Weights


@dataclass
class Clamps:
    """How many logits the declared clamp has touched, out of how many."""

    touched: int = 0
    evaluated: int = 0


@dataclass(frozen=True)
class OmniFoldResult:
    """What one run leaves.

    Attributes
    ----------
    push : numpy.ndarray
        nu of the last iteration, ``push[event]``, float64, over all simulated events; 1 where an event passes
        neither selection.
    networks : dict
        The classifiers of the last iteration by name (``step1``, ``step2``, ``fakes``).
    fits : dict
        ``fits[name][iteration]``: how each fit went.
    clamps : Clamps
        Count of clamped logits over the whole run.
    """

    push: Weights
    networks: dict[str, nn.Sequential]
    fits: dict[str, list[FitSummary]] = field(default_factory=dict)
    clamps: Clamps = field(default_factory=Clamps)


class _Classifier:
    """A network that is fitted again in every iteration, on rows that stay the same."""

    def __init__(
        self, name: str, x: NDArray[np.float32], config: OmniFoldConfig, rng: np.random.Generator, clamps: Clamps
    ) -> None:
        self.name = name
        self.config = config
        self.clamps = clamps
        self.fits: list[FitSummary] = []
        self.x = torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32))
        self.held_out = rng.random(len(x)) < config.held_out
        self.generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
        self.network = self._fresh()

    def _fresh(self) -> nn.Sequential:
        return build_network(self.x.shape[1], self.config.hidden, self.generator)

    def fit(self, w1: Weights, w0: Weights) -> None:
        """Fit label 1 = ``w1`` against label 0 = ``w0``."""
        if self.fits and not self.config.warm_start:
            self.network = self._fresh()
        summary = fit(
            self.network,
            self.x,
            w1,
            w0,
            held_out=self.held_out,
            config=self.config,
            generator=self.generator,
            where=f"iteration {len(self.fits) + 1}, {self.name}",
        )
        self.fits.append(summary)

    def odds(self, x: torch.Tensor) -> Weights:
        """Return exp(logit), the logit clamped as declared."""
        values = logits(self.network, x)
        limit = self.config.max_log_weight
        self.clamps.touched += int(np.count_nonzero(np.abs(values) > limit))
        self.clamps.evaluated += len(values)
        return np.exp(np.clip(values, -limit, limit))


def _finite(weights: Weights, where: str) -> Weights:
    bad = np.count_nonzero(~np.isfinite(weights))
    if bad:
        msg = f"{where}: {bad} of {len(weights)} weights are not finite; the training is of no use and is dropped"
        raise TrainingError(msg)
    return weights


def run_omnifold(
    inputs: OmniFoldInputs,
    config: OmniFoldConfig,
    *,
    seed: int,
    on_iteration: Callable[[int, Weights], None] | None = None,
) -> OmniFoldResult:
    """Unfold: find the push weights nu of the simulated truth events.

    One iteration (nu = 1 at the start):

    1. classifier of data (w_d) against the simulation that passes reco (nu w_r, fakes included);
       pull = nu exp(logit).
    2. on events that pass truth and reco, classifier of w_t pull against w_t; nu = exp(logit) on all events
       that pass truth, so that misses take E[pull | truth]. Fakes take E[nu | reco] of the matched events,
       from a third classifier (w_r nu against w_r on the matched events).

    The overall normalisation is free (class sums are equalised) and is fixed once, at publication.

    Parameters
    ----------
    inputs : OmniFoldInputs
        Data and simulation.
    config : OmniFoldConfig
        Settings.
    seed : int
        Of initial networks, held-out rows and the order of the batches.
    on_iteration : callable, optional
        Called with the iteration (from 1) and the push weights after it.

    Returns
    -------
    OmniFoldResult
        Push weights and what led to them.

    Raises
    ------
    TrainingError
        If a class is empty or a weight becomes non-finite.
    """
    rng = np.random.default_rng(seed)
    clamps = Clamps()
    truth, reco = inputs.pass_truth, inputs.pass_reco
    matched = truth & reco
    fake = reco & ~truth
    missed = truth & ~reco
    carry = config.misses == "carry"
    trained = truth if carry else matched
    for what, count in (("data", len(inputs.data)), ("pass_truth and pass_reco", int(matched.sum()))):
        if count == 0:
            msg = f"nothing to unfold: no event in the class {what!r}"
            raise TrainingError(msg)

    n_data = len(inputs.data)
    no_data, no_simulation = np.zeros(n_data), np.zeros(int(reco.sum()))
    step1 = _Classifier("step 1", np.concatenate([inputs.data, inputs.reco[reco]]), config, rng, clamps)
    step2 = _Classifier("step 2", inputs.truth[trained], config, rng, clamps)
    classifiers = {"step1": step1, "step2": step2}
    if config.fakes == "average" and fake.any():
        classifiers["fakes"] = _Classifier("fakes", inputs.reco[matched], config, rng, clamps)
    x_reco = step1.x[n_data:]
    x_missed = torch.from_numpy(inputs.truth[missed])
    x_fake = torch.from_numpy(inputs.reco[fake])

    w_t, w_r = inputs.truth_weight[trained], inputs.reco_weight[matched]
    push = np.ones(len(reco))
    for iteration in range(1, config.iterations + 1):
        where = f"iteration {iteration}"
        step1.fit(
            np.concatenate([inputs.data_weight, no_simulation]),
            np.concatenate([no_data, push[reco] * inputs.reco_weight[reco]]),
        )
        pull = push.copy()  # a miss keeps its push: step 2 looks at it with misses="carry" alone
        pull[reco] *= step1.odds(x_reco)
        _finite(pull, f"{where}, step 1")

        step2.fit(w_t * pull[trained], w_t)
        # Equalised classes leave nu with a mean of 1 over the rows trained on; extrapolated misses share its scale.
        push[trained] = step2.odds(step2.x)
        if not carry:
            push[missed] = step2.odds(x_missed)
        if "fakes" in classifiers:
            nu_matched = push[matched]
            classifiers["fakes"].fit(w_r * nu_matched, w_r)
            # Its classes are equalised too: the matched events' mean of nu puts the scale back.
            push[fake] = classifiers["fakes"].odds(x_fake) * float(w_r @ nu_matched / w_r.sum())
        _finite(push, f"{where}, step 2")
        if on_iteration is not None:
            on_iteration(iteration, push)
    return OmniFoldResult(
        push=push,
        networks={name: classifier.network for name, classifier in classifiers.items()},
        fits={name: classifier.fits for name, classifier in classifiers.items()},
        clamps=clamps,
    )
