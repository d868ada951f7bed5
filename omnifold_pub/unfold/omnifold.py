"""OmniFold: the iteration, on arrays that are ready for the networks.

Andreassen, Komiske, Metodiev, Nachman, Thaler, "OmniFold: a method to simultaneously unfold all observables",
Phys. Rev. Lett. 124 (2020) 182001, arXiv:1911.09107.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import TrainingError
from omnifold_pub.unfold.chain import Chain, Tables
from omnifold_pub.unfold.config import OmniFoldConfig
from omnifold_pub.unfold.diagnostics import weight_diagnostics
from omnifold_pub.unfold.problem import Networks, OmniFoldInputs, Weights
from omnifold_pub.unfold.reweighting import Clamps, Reweighter

__all__ = ["OmniFoldInputs", "OmniFoldResult", "OmniFoldStart", "run_omnifold"]


@dataclass(frozen=True)
class OmniFoldStart:
    """Where a run that does not begin from nothing begins.

    Attributes
    ----------
    push : numpy.ndarray
        nu before the first iteration, ``push[event]``, float64, over all simulated events.
    networks : dict
        ``networks[classifier][parameter]``, as `OmniFoldResult` has them.
    """

    push: Weights
    networks: Networks


@dataclass(frozen=True)
class OmniFoldResult:
    """What one run leaves.

    Attributes
    ----------
    push : numpy.ndarray
        nu of the last iteration, ``push[event]``, float64, over all simulated events; 1 where an event passes
        neither selection.
    pushes : tuple of numpy.ndarray
        nu after each iteration, where ``keep_iterations`` is set.
    networks : dict
        What the classifiers of the last iteration have learned: ``networks[classifier][parameter]`` for ``step1``,
        ``step2``, ``fakes`` and ``background``, as far as there are; with folds ``fold<k>/<parameter>``, but for the
        background.
    splits : dict
        ``splits[classifier][row]``: held-out rows of the last fit of each, the others were trained on. With folds,
        ``splits["<classifier>/fold<k>"][row]``, less the events of that fold, and ``splits["fold"][event]``.
    diagnostics : dict
        ``iterations``: of each iteration losses, AUC and calibration by step and fold, pull and push weights;
        ``stopped``: after which, and why; ``background``: of its resampling, if there was any.
    clamps : Clamps
        What the clamp has touched over the whole run.
    """

    push: Weights
    networks: Networks
    pushes: tuple[Weights, ...] = ()
    splits: dict[str, NDArray[Any]] = field(default_factory=dict)
    diagnostics: dict[str, Any] = field(default_factory=dict)
    clamps: Clamps = field(default_factory=Clamps)


def _tables(
    inputs: OmniFoldInputs, config: OmniFoldConfig, *, rng: np.random.Generator, device: str, clamps: Clamps
) -> tuple[Tables, Reweighter | None, list[dict[str, Any]]]:
    """Put data, background and simulation together; return also the classifier that resampled, and how its fit went.

    The background has negative weights. Neural resampling (Nachman and Thaler, arXiv:2007.11586) replaces them by
    |w| E[w | x] / E[|w| | x], which is nowhere negative, from a classifier of w against |w|.
    """
    x, weight = inputs.data, inputs.data_weight
    if inputs.background is not None and inputs.background_weight is not None:
        x = np.concatenate([x, inputs.background])
        weight = np.concatenate([weight, -inputs.background_weight])
    step1, step2 = np.concatenate([x, inputs.reco[inputs.pass_reco]]), inputs.truth[inputs.pass_truth]
    if inputs.background is None or config.background == "negative_weights":
        return Tables(weight, step1, step2), None, []
    everywhere = np.ones(len(x), dtype=bool)
    resampler = Reweighter("background", x, trained=everywhere, config=config, rng=rng, device=device, clamps=clamps)
    size = np.abs(weight)
    logit, record = resampler.fit(weight, size)
    # Equalised classes leave odds with a mean of 1: the sums put the scale back.
    resampled = size * resampler.odds(logit, size) * (weight.sum() / size.sum())
    return Tables(resampled, step1, step2), resampler, [record]


def _of_own_chain(per_chain: Sequence[Weights], fold: NDArray[np.int64]) -> Weights:
    """Take each event's weight from the chain that does not train on it; there is but one without folds."""
    taken = per_chain[0].copy()
    for k, weights in enumerate(per_chain):
        taken[fold == k] = weights[fold == k]
    return taken


def _begin(chain: Chain, start: OmniFoldStart) -> None:
    """Let a chain go on from another."""
    chain.push = start.push
    for step, classifier in chain.classifiers.items():
        if step in start.networks:
            classifier.classifier.load(start.networks[step])


def run_omnifold(
    inputs: OmniFoldInputs,
    config: OmniFoldConfig,
    *,
    seed: int,
    device: str = "cpu",
    start: OmniFoldStart | None = None,
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

    With K folds all of that is done K times side by side: chain k has none of the simulated events of fold k, in no
    step of no iteration, and gives them their weights. Were it one chain, in which each network only leaves its own
    fold out, weights of one fold would be what the network of another is trained with, and whatever differs between
    folds, noise, would come back -K / (K - 1)^2 times as large after each iteration: twice, with two.

    Parameters
    ----------
    inputs : OmniFoldInputs
        Data and simulation.
    config : OmniFoldConfig
        Settings.
    seed : int
        Of initial networks, folds, held-out rows and the order of the batches.
    device : {"cpu", "cuda"}
        Where the networks are trained.
    start : OmniFoldStart, optional
        Push and networks to go on from.
    on_iteration : callable, optional
        Called with the iteration (from 1) and the push weights after it.

    Returns
    -------
    OmniFoldResult
        Push weights and what led to them.

    Raises
    ------
    TrainingError
        If a class is empty, a weight becomes non-finite, or ``start`` is of networks of another shape or comes with
        folds.
    """
    truth, reco = inputs.pass_truth, inputs.pass_reco
    if len(inputs.data) == 0:
        msg = "nothing to unfold: no event in the class 'data'"
        raise TrainingError(msg)
    if start is not None and config.folds > 1:
        msg = (
            f"a start from other networks: found folds {config.folds}; expected 1, for nobody knows whether they were "
            "trained on the events that a fold leaves out"
        )
        raise TrainingError(msg)
    clamps, rng = Clamps(), np.random.default_rng(seed)
    fold = rng.integers(config.folds, size=len(truth))
    tables, resampler, resampling = _tables(inputs, config, rng=rng, device=device, clamps=clamps)
    chains = [
        Chain(
            inputs,
            tables,
            config,
            trained=fold != k if config.folds > 1 else np.ones(len(truth), dtype=bool),
            rng=rng,
            device=device,
            clamps=clamps,
            name=f"fold {k}" if config.folds > 1 else "",
        )
        for k in range(config.folds)
    ]
    if start is not None:
        _begin(chains[0], start)
    push = chains[0].push
    pushes: list[Weights] = []
    records: list[dict[str, Any]] = []
    stopped = {"iteration": config.iterations, "rule": f"after {config.iterations} iterations"}
    for iteration in range(1, config.iterations + 1):
        before = push
        done = [chain.iterate(iteration) for chain in chains]
        pull, push = (_of_own_chain(w, fold) for w in ([d.pull for d in done], [d.push for d in done]))
        pulled = weight_diagnostics(pull[reco], before[reco], inputs.reco_weight[reco])
        weights = weight_diagnostics(push[truth], before[truth], inputs.truth_weight[truth])
        record: dict[str, Any] = {"iteration": iteration}
        record |= {step: [one.records[step] for one in done] for step in done[0].records}
        records.append(record | {"pull": pulled.to_dict("pull"), "weights": weights.to_dict("push")})
        if config.keep_iterations:
            pushes.append(push)
        if on_iteration is not None:
            on_iteration(iteration, push)
        if weights.change < config.stop_below:
            stopped = {"iteration": iteration, "rule": f"push change below {config.stop_below:g}"}
            break
    return OmniFoldResult(
        push=push,
        networks=_networks(chains, resampler),
        pushes=tuple(pushes),
        splits=_splits(chains, resampler, fold),
        diagnostics={"iterations": records, "stopped": stopped} | ({"background": resampling} if resampling else {}),
        clamps=clamps,
    )


def _networks(chains: Sequence[Chain], resampler: Reweighter | None) -> Networks:
    """Return what all classifiers have learned; of several chains, under ``fold<k>/``."""
    found: Networks = {}
    for k, chain in enumerate(chains):
        prefix = f"fold{k}/" if len(chains) > 1 else ""
        for step, fitted in chain.classifiers.items():
            named = {prefix + name: array for name, array in fitted.classifier.parameters.items()}
            found.setdefault(step, {}).update(named)
    return found if resampler is None else found | {"background": resampler.classifier.parameters}


def _splits(chains: Sequence[Chain], resampler: Reweighter | None, fold: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """Return the held-out rows of all classifiers, and the folds if there are any."""
    found: dict[str, NDArray[Any]] = {} if resampler is None else {"background": resampler.held_out}
    if len(chains) == 1:
        return found | {step: fitted.held_out for step, fitted in chains[0].classifiers.items()}
    for k, chain in enumerate(chains):
        found |= {f"{step}/fold{k}": fitted.held_out for step, fitted in chain.classifiers.items()}
    return found | {"fold": fold}
