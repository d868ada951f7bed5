"""Starting from networks that were trained before: on other data, or for a detector that has drifted since."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from omnifold_pub.errors import RunError
from omnifold_pub.unfold.classifiers import build_classifier
from omnifold_pub.unfold.config import OmniFoldConfig
from omnifold_pub.unfold.omnifold import Networks, OmniFoldInputs, OmniFoldStart
from omnifold_pub.unfold.preprocessing import Encoding, Pair, Preprocessor

__all__ = ["WarmStart", "read_warm_start"]


@dataclass(frozen=True)
class WarmStart:
    """Networks of a finished training, and what they expect of their inputs.

    Attributes
    ----------
    networks : dict
        ``networks[classifier][parameter]``.
    truth, reco : Preprocessor
        The constants that they were trained with; new inputs are scaled with the same.
    max_log_weight : float
        Clamp of their logits.
    """

    networks: Networks
    truth: Preprocessor
    reco: Preprocessor
    max_log_weight: float

    def start(self, inputs: OmniFoldInputs, config: OmniFoldConfig) -> OmniFoldStart:
        """Go on where the networks' training ended: with its push, computed for the new simulation's events.

        Fakes begin at 1 and take their own in the first iteration.
        """
        classifier = build_classifier(inputs.truth.shape[1], config, seed=0)
        classifier.load(self.networks["step2"])
        logit = classifier.logits(inputs.truth[inputs.pass_truth])
        push = np.ones(len(inputs.truth))
        push[inputs.pass_truth] = np.exp(np.clip(logit, -self.max_log_weight, self.max_log_weight))
        return OmniFoldStart(push, self.networks)


_SHAPE = ("classifier", "hidden", "activation", "module", "module_settings")
"""Settings that say what a network is."""


def read_warm_start(
    path: Path, encodings: tuple[Encoding, ...], pairs: tuple[Pair, ...], config: OmniFoldConfig
) -> WarmStart:
    """Read a file of networks to start from.

    Parameters
    ----------
    path : pathlib.Path
        As `omnifold_pub.unfold.networks.network_file` writes it.
    encodings : tuple of Encoding
        How the observables of the new training are encoded.
    pairs : tuple of Pair
        Pairs of objects that its networks see.
    config : OmniFoldConfig
        Settings of the new training.

    Raises
    ------
    RunError
        If the file is damaged, or its networks are not those that the settings ask for, or their weights cannot be
        computed from the networks alone.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            about = {name: json.loads(text) for name, text in file.metadata().items()}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no iterator
        settings = about["settings"]
        truth, reco = (Preprocessor.from_dict(about["preprocessing"][level]) for level in ("truth", "reco"))
        limit = float(about["weights"]["max_log_weight"])
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        found = f"{type(error).__name__}: {error}"
        msg = f"{path}: no networks to start from ({found}); give a run or a release of this program"
        raise RunError(msg) from None
    wanted = config.to_dict()
    if different := [key for key in _SHAPE if settings[key] != wanted[key]]:
        key = different[0]
        msg = f"{path}: its networks were made with {key} {settings[key]}; the analysis file asks for {wanted[key]}"
        raise RunError(msg)
    if settings["folds"] != 1 or wanted["folds"] != 1 or settings["step2_reference"] != "prior":
        msg = f"{path}: networks to start from need folds: 1 and step2_reference: prior, then and now"
        raise RunError(msg)
    if (truth.encodings, truth.pairs) != (encodings, pairs):
        msg = f"{path}: its networks see other observables, or encode them otherwise, than the analysis file asks for"
        raise RunError(msg)
    networks: Networks = {}
    for name, tensor in tensors.items():
        classifier, _, parameter = name.partition("/")
        networks.setdefault(classifier, {})[parameter] = tensor
    return WarmStart(networks, truth, reco, limit)
