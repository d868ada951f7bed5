"""OmniFold: the iteration, on arrays that are ready for the networks.

Andreassen, Komiske, Metodiev, Nachman, Thaler, "OmniFold: a method to simultaneously unfold all observables",
Phys. Rev. Lett. 124 (2020) 182001, arXiv:1911.09107.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import TrainingError
from omnifold_pub.unfold.config import OmniFoldConfig
from omnifold_pub.unfold.diagnostics import weight_diagnostics
from omnifold_pub.unfold.reweighting import Clamps, Reweighter

__all__ = ["OmniFoldInputs", "OmniFoldResult", "OmniFoldStart", "run_omnifold"]

Weights = NDArray[np.float64]
Mask = NDArray[np.bool_]
Networks = dict[str, dict[str, NDArray[Any]]]


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
        w_t and w_r, ``[event]``, float64. Some may be negative.
    data : numpy.ndarray
        ``data[event, feature]``, float32.
    data_weight : numpy.ndarray
        w_d, ``[event]``, float64.
    background : numpy.ndarray, optional
        ``background[event, feature]``, float32: what the data hold beside the signal.
    background_weight : numpy.ndarray, optional
        ``[event]``, float64: expected number of events, on the scale of ``data_weight``.
    """

    truth: NDArray[np.float32]
    reco: NDArray[np.float32]
    pass_truth: Mask
    pass_reco: Mask
    truth_weight: Weights
    reco_weight: Weights
    data: NDArray[np.float32]
    data_weight: Weights
    background: NDArray[np.float32] | None = None
    background_weight: Weights | None = None


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
        ``step2``, ``fakes`` and ``background``, as far as there are.
    splits : dict
        ``splits[classifier][row]``: held-out rows of the last fit of each; ``splits["fold"][event]`` where there are
        folds.
    diagnostics : dict
        ``iterations``: of each iteration losses, AUC, calibration and weights; ``stopped``: after which, and why.
    clamps : Clamps
        What the clamp has touched over the whole run.
    """

    push: Weights
    networks: Networks
    pushes: tuple[Weights, ...] = ()
    splits: dict[str, NDArray[Any]] = field(default_factory=dict)
    diagnostics: dict[str, Any] = field(default_factory=dict)
    clamps: Clamps = field(default_factory=Clamps)


def _finite(weights: Weights, where: str) -> None:
    bad = np.count_nonzero(~np.isfinite(weights))
    if bad:
        msg = f"{where}: {bad} of {len(weights)} weights are not finite; the training is of no use and is dropped"
        raise TrainingError(msg)


@dataclass(frozen=True)
class _Recorded:
    """What step 1 pulls the simulation to: data, and background if there is any, with their weights."""

    x: NDArray[np.float32]
    weight: Weights
    fold: NDArray[np.int64]


class _Run:
    """One run: its classifiers, and what they were told."""

    def __init__(self, inputs: OmniFoldInputs, config: OmniFoldConfig, seed: int, device: str) -> None:
        truth, reco = inputs.pass_truth, inputs.pass_reco
        self.inputs, self.config = inputs, config
        self.matched, self.fake = truth & reco, reco & ~truth
        for what, count in (("data", len(inputs.data)), ("pass_truth and pass_reco", int(self.matched.sum()))):
            if count == 0:
                msg = f"nothing to unfold: no event in the class {what!r}"
                raise TrainingError(msg)
        self.clamps = Clamps()
        self.background_fit: list[dict[str, Any]] | None = None
        self._rng, self._device = np.random.default_rng(seed), device
        self.fold = self._draw_folds(len(reco))
        self.classifiers: dict[str, Reweighter] = {}
        self.recorded = self._record()
        everywhere = np.ones(len(self.recorded.x) + int(reco.sum()), dtype=bool)
        trained = truth if config.misses == "carry" else self.matched
        x = np.concatenate([self.recorded.x, inputs.reco[reco]])
        self._add("step1", x, everywhere, np.concatenate([self.recorded.fold, self.fold[reco]]))
        self._add("step2", inputs.truth[truth], trained[truth], self.fold[truth])
        if config.fakes == "average" and self.fake.any():
            self._add("fakes", inputs.reco[reco], self.matched[reco], self.fold[reco])

    def _draw_folds(self, rows: int) -> NDArray[np.int64]:
        """Deal the rows out to the folds; without folds there is but one."""
        return self._rng.integers(self.config.folds, size=rows)

    def _add(self, name: str, x: NDArray[np.float32], trained: Mask, fold: NDArray[np.int64]) -> Reweighter:
        self.classifiers[name] = Reweighter(
            name.replace("step", "step "),
            x,
            trained=trained,
            fold=fold,
            config=self.config,
            rng=self._rng,
            device=self._device,
            clamps=self.clamps,
        )
        return self.classifiers[name]

    def _record(self) -> _Recorded:
        """Put data and background together.

        The background has negative weights. Neural resampling (Nachman and Thaler, arXiv:2007.11586) replaces them by
        |w| E[w | x] / E[|w| | x], which is nowhere negative, from a classifier of w against |w|.
        """
        data, weight = self.inputs.data, self.inputs.data_weight
        if self.inputs.background is not None and self.inputs.background_weight is not None:
            data = np.concatenate([data, self.inputs.background])
            weight = np.concatenate([weight, -self.inputs.background_weight])
        fold = self._draw_folds(len(data))
        if self.inputs.background is None or self.config.background == "negative_weights":
            return _Recorded(data, weight, fold)
        size = np.abs(weight)
        resampler = self._add("background", data, np.ones(len(data), dtype=bool), fold)
        logit, self.background_fit = resampler.fit(weight, size)
        # Equalised classes leave odds with a mean of 1: the sums put the scale back.
        resampled = size * resampler.odds(logit, size) * (weight.sum() / size.sum())
        return _Recorded(data, resampled, fold)

    def step1(self, push: Weights) -> tuple[Weights, list[dict[str, Any]]]:
        """Return pull, ``[event]``; where an event fails reco it is the push."""
        reco, classifier = self.inputs.pass_reco, self.classifiers["step1"]
        simulated = push[reco] * self.inputs.reco_weight[reco]
        n = len(self.recorded.x)
        w1 = np.concatenate([self.recorded.weight, np.zeros(len(simulated))])
        w0 = np.concatenate([np.zeros(n), simulated])
        logit, records = classifier.fit(w1, w0)
        pull = push.copy()  # a miss keeps its push: step 2 looks at it with misses="carry" alone
        pull[reco] *= classifier.odds(logit[n:], simulated)
        return pull, records

    def step2(self, pull: Weights, push: Weights) -> tuple[Weights, list[dict[str, Any]]]:
        """Return the new push, ``[event]``, of the events that pass truth; the others keep theirs."""
        truth, classifier = self.inputs.pass_truth, self.classifiers["step2"]
        w_t = self.inputs.truth_weight[truth]
        reference = push[truth] if self.config.step2_reference == "push" else np.ones(len(w_t))
        logit, records = classifier.fit(w_t * pull[truth], w_t * reference)
        new = push.copy()
        # Equalised classes leave the odds with a mean of 1 over the rows trained on; extrapolated misses share it.
        new[truth] = reference * classifier.odds(logit, w_t * reference)
        return new, records

    def fakes(self, push: Weights) -> tuple[Weights, list[dict[str, Any]]]:
        """Return the push with the fakes' own, E[push | reco] of the matched events."""
        reco, classifier = self.inputs.pass_reco, self.classifiers["fakes"]
        w_r = self.inputs.reco_weight[reco]
        logit, records = classifier.fit(w_r * push[reco], w_r)
        matched, fake = self.matched[reco], self.fake[reco]
        # Its classes are equalised too: the matched events' mean of nu puts the scale back.
        mean = float(w_r[matched] @ push[self.matched] / w_r[matched].sum())
        new = push.copy()
        new[self.fake] = classifier.odds(logit[fake], w_r[fake]) * mean
        return new, records


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
        If a class is empty, a weight becomes non-finite, or ``start`` is of networks of another shape.
    """
    run = _Run(inputs, config, seed, device)
    truth = inputs.pass_truth
    push = np.ones(len(truth))
    if start is not None:
        push = start.push
        for name in ("step1", "step2", "fakes"):
            if name in run.classifiers and name in start.networks:
                run.classifiers[name].load(start.networks[name])
    pushes: list[Weights] = []
    records: list[dict[str, Any]] = []
    stopped = {"iteration": config.iterations, "rule": f"after {config.iterations} iterations"}
    for iteration in range(1, config.iterations + 1):
        before = push
        pull, step1 = run.step1(push)
        _finite(pull, f"iteration {iteration}, step 1")
        push, step2 = run.step2(pull, push)
        record: dict[str, Any] = {"iteration": iteration, "step1": step1, "step2": step2}
        if "fakes" in run.classifiers:
            push, record["fakes"] = run.fakes(push)
        _finite(push, f"iteration {iteration}, step 2")
        weights = weight_diagnostics(push[truth], before[truth], inputs.truth_weight[truth])
        records.append(record | {"weights": weights.to_dict()})
        if config.keep_iterations:
            pushes.append(push)
        if on_iteration is not None:
            on_iteration(iteration, push)
        if weights.push_change < config.stop_below:
            stopped = {"iteration": iteration, "rule": f"push change below {config.stop_below:g}"}
            break
    splits: dict[str, NDArray[Any]] = {name: c.held_out for name, c in run.classifiers.items()}
    if config.folds > 1:
        splits["fold"] = run.fold
    background = {} if run.background_fit is None else {"background": run.background_fit}
    return OmniFoldResult(
        push=push,
        networks={name: classifier.parameters for name, classifier in run.classifiers.items()},
        pushes=tuple(pushes),
        splits=splits,
        diagnostics={"iterations": records, "stopped": stopped} | background,
        clamps=run.clamps,
    )
