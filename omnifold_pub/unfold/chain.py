"""One chain of OmniFold's classifiers: step 1, step 2 and the fakes, again and again over the same rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import TrainingError
from omnifold_pub.unfold.config import OmniFoldConfig
from omnifold_pub.unfold.problem import Mask, OmniFoldInputs, Weights
from omnifold_pub.unfold.reweighting import Clamps, Reweighter

__all__ = ["Chain", "Iteration", "Tables"]

Record = dict[str, Any]


@dataclass(frozen=True)
class Tables:
    """What classifiers are shown, the same for all chains.

    Attributes
    ----------
    recorded : numpy.ndarray
        ``[row]``, float64: weights of what step 1 pulls the simulation to, data and background if there is any.
    step1 : numpy.ndarray
        ``step1[row, feature]``, float32: these rows, and after them the simulated events that pass reco.
    step2 : numpy.ndarray
        ``step2[row, feature]``, float32: the simulated events that pass truth.
    """

    recorded: Weights
    step1: NDArray[np.float32]
    step2: NDArray[np.float32]

    @property
    def fakes(self) -> NDArray[np.float32]:
        """The simulated events that pass reco, ``[row, feature]``."""
        return self.step1[len(self.recorded) :]


@dataclass(frozen=True)
class Iteration:
    """What one iteration of a chain leaves.

    Attributes
    ----------
    pull, push : numpy.ndarray
        ``[event]``, float64, over all simulated events.
    records : dict
        ``records[step]``: losses, and how well the odds are calibrated.
    """

    pull: Weights
    push: Weights
    records: dict[str, Record]


def _finite(weights: Weights, where: str) -> None:
    bad = np.count_nonzero(~np.isfinite(weights))
    if bad:
        msg = f"{where}: {bad} of {len(weights)} weights are not finite; the training is of no use and is dropped"
        raise TrainingError(msg)


class Chain:
    """The classifiers of a whole unfolding, which train on some simulated events and weigh all of them.

    Parameters
    ----------
    inputs : OmniFoldInputs
        Data and simulation.
    tables : Tables
        Of these.
    config : OmniFoldConfig
        Settings.
    trained : numpy.ndarray
        ``[event]``, bool: simulated events that it may train on, early stopping included. None of its networks ever
        sees another one: neither itself, nor weights that were learned of it, nor the same event among the data.
    rng : numpy.random.Generator
        Source of seeds and held-out rows.
    device : str
        Where the classifiers are trained.
    clamps : Clamps
        Counts what the clamp touches.
    name : str
        For messages, where there are several.

    Attributes
    ----------
    classifiers : dict
        ``classifiers[step]``: ``step1``, ``step2`` and, where fakes have weights of their own, ``fakes``.
    push : numpy.ndarray
        nu, ``[event]``, float64, over all simulated events; 1 at first.
    """

    def __init__(
        self,
        inputs: OmniFoldInputs,
        tables: Tables,
        config: OmniFoldConfig,
        *,
        trained: Mask,
        rng: np.random.Generator,
        device: str,
        clamps: Clamps,
        name: str = "",
    ) -> None:
        truth, reco = inputs.pass_truth, inputs.pass_reco
        self.inputs, self.tables, self.config = inputs, tables, config
        self.matched, self.fake = truth & reco, reco & ~truth
        self.push = np.ones(len(truth))
        self.classifiers: dict[str, Reweighter] = {}
        matched = self.matched & trained
        if not matched.any():
            msg = f"nothing to unfold: no event in the class 'pass_truth and pass_reco'{name and f', {name}'}"
            raise TrainingError(msg)

        def add(step: str, words: str, x: NDArray[np.float32], rows: Mask) -> None:
            where = f"{words}, {name}" if name else words
            self.classifiers[step] = Reweighter(
                where, x, trained=rows, config=config, rng=rng, device=device, clamps=clamps
            )

        seen = np.ones(len(tables.recorded), dtype=bool)
        if inputs.data_rows is not None:
            seen[: len(inputs.data_rows)] = trained[inputs.data_rows]
        add("step1", "step 1", tables.step1, np.concatenate([seen, trained[reco]]))
        add("step2", "step 2", tables.step2, (trained if config.misses == "carry" else matched)[truth])
        if config.fakes == "average" and self.fake.any():
            add("fakes", "fakes", tables.fakes, matched[reco])

    def iterate(self, number: int) -> Iteration:
        """Go through step 1, step 2 and the fakes once, and keep the new push.

        Parameters
        ----------
        number : int
            Of the iteration, from 1, for messages.

        Raises
        ------
        TrainingError
            If a class is empty or a weight becomes non-finite.
        """
        pull, step1 = self._step1()
        _finite(pull, f"iteration {number}, step 1")
        push, step2 = self._step2(pull)
        records = {"step1": step1, "step2": step2}
        if "fakes" in self.classifiers:
            push, records["fakes"] = self._fakes(push)
        _finite(push, f"iteration {number}, step 2")
        self.push = push
        return Iteration(pull, push, records)

    def _step1(self) -> tuple[Weights, Record]:
        """Return pull, ``[event]``; where an event fails reco it is the push."""
        reco, classifier = self.inputs.pass_reco, self.classifiers["step1"]
        simulated = self.push[reco] * self.inputs.reco_weight[reco]
        n = len(self.tables.recorded)
        w1 = np.concatenate([self.tables.recorded, np.zeros(len(simulated))])
        w0 = np.concatenate([np.zeros(n), simulated])
        logit, record = classifier.fit(w1, w0)
        pull = self.push.copy()  # a miss keeps its push: step 2 looks at it with misses="carry" alone
        pull[reco] *= classifier.odds(logit[n:], simulated)
        return pull, record

    def _step2(self, pull: Weights) -> tuple[Weights, Record]:
        """Return the new push, ``[event]``, of the events that pass truth; the others keep theirs."""
        truth, classifier = self.inputs.pass_truth, self.classifiers["step2"]
        w_t = self.inputs.truth_weight[truth]
        reference = self.push[truth] if self.config.step2_reference == "push" else np.ones(len(w_t))
        logit, record = classifier.fit(w_t * pull[truth], w_t * reference)
        new = self.push.copy()
        # Equalised classes leave the odds with a mean of 1 over the rows trained on; extrapolated misses share it.
        new[truth] = reference * classifier.odds(logit, w_t * reference)
        return new, record

    def _fakes(self, push: Weights) -> tuple[Weights, Record]:
        """Return the push with the fakes' own, E[push | reco] of the matched events."""
        reco, classifier = self.inputs.pass_reco, self.classifiers["fakes"]
        w_r = self.inputs.reco_weight[reco]
        logit, record = classifier.fit(w_r * push[reco], w_r)
        trained, fake = classifier.trained, self.fake[reco]
        # Its classes are equalised too: the mean of nu over the events trained on puts the scale back.
        mean = float(w_r[trained] @ push[reco][trained] / w_r[trained].sum())
        new = push.copy()
        new[self.fake] = classifier.odds(logit[fake], w_r[fake]) * mean
        return new, record
