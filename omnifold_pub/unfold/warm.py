"""Starting from networks that were trained before: on other data, or for a detector that has drifted since."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from omnifold_pub.errors import RunError
from omnifold_pub.unfold import store
from omnifold_pub.unfold.classifiers import build_classifier
from omnifold_pub.unfold.config import OmniFoldConfig
from omnifold_pub.unfold.networks import read_network_file
from omnifold_pub.unfold.omnifold import OmniFoldStart
from omnifold_pub.unfold.preprocessing import Encoding, Pair, Preprocessor
from omnifold_pub.unfold.problem import Networks, OmniFoldInputs

__all__ = ["WarmStart", "keep_networks", "kept_networks", "warm_start"]


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


_SHAPE = ("decorrelate", "classifier", "hidden", "activation", "module", "module_settings")
"""Settings that say what a network is."""


def warm_start(
    content: bytes, encodings: tuple[Encoding, ...], pairs: tuple[Pair, ...], config: OmniFoldConfig
) -> WarmStart:
    """Prepare networks that were published, or are in a run directory, for trainings to start from.

    Parameters
    ----------
    content : bytes
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
        If these are no networks of this program, or not those that the settings ask for, or their weights cannot be
        computed from the networks alone.
    """
    tensors, about = read_network_file(content)
    try:
        settings = about["settings"]
        truth, reco = (Preprocessor.from_dict(about["preprocessing"][level]) for level in ("truth", "reco"))
        limit = float(about["weights"]["max_log_weight"])
        found = {key: settings[key] for key in (*_SHAPE, "folds", "step2_reference")}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        msg = (
            f"networks to start from: their description lacks something ({type(error).__name__}: {error}); give a run "
            "or a release of this program"
        )
        raise RunError(msg) from None
    wanted = config.to_dict()
    if different := [key for key in _SHAPE if found[key] != wanted[key]]:
        key = different[0]
        msg = f"networks to start from: made with {key} {found[key]}; the analysis file asks for {wanted[key]}"
        raise RunError(msg)
    if found["folds"] != 1 or wanted["folds"] != 1 or found["step2_reference"] != "prior":
        msg = (
            f"networks to start from: made with folds {found['folds']} and step2_reference {found['step2_reference']}, "
            f"and the analysis file asks for folds {wanted['folds']}; expected folds 1 on both sides, and prior"
        )
        raise RunError(msg)
    if (truth.encodings, truth.pairs) != (encodings, pairs):
        msg = "networks to start from: their observables, or the encodings of these, are not those of the analysis file"
        raise RunError(msg)
    networks: Networks = {}
    for name, tensor in tensors.items():
        classifier, _, parameter = name.partition("/")
        networks.setdefault(classifier, {})[parameter] = tensor
    return WarmStart(networks, truth, reco, limit)


def keep_networks(path: Path, networks: list[bytes]) -> None:
    """Write network files into one file, in order; whole or not at all."""
    arrays = {f"{number:04d}": np.frombuffer(content, np.uint8) for number, content in enumerate(networks)}
    store.write_arrays(path, arrays, {})


def kept_networks(path: Path) -> list[bytes]:
    """Return the network files of a file, in order.

    Raises
    ------
    RunError
        If it is damaged.
    """
    return [array.tobytes() for _, array in sorted(store.read_arrays(path).items())]
