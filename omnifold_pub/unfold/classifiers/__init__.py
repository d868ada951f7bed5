"""Classifiers whose log-odds are a log density ratio."""

from __future__ import annotations

from omnifold_pub.unfold.classifiers.base import Classifier, FitSummary
from omnifold_pub.unfold.config import OmniFoldConfig

__all__ = ["Classifier", "FitSummary", "build_classifier"]


def build_classifier(features: int, config: OmniFoldConfig, *, seed: int, device: str = "cpu") -> Classifier:
    """Build the classifier that the settings name; what it is made with is imported here.

    Parameters
    ----------
    features : int
        Number of features of a row.
    config : OmniFoldConfig
        Settings.
    seed : int
        Everything random in it comes from this.
    device : {"cpu", "cuda"}
        Where it is trained; trees use the CPU always.

    Raises
    ------
    MissingExtraError
        If the package that it is made with is not installed.
    """
    if config.classifier == "bdt":
        from omnifold_pub.unfold.classifiers.trees import Trees

        return Trees(features, config, seed=seed, device=device)
    if config.classifier == "module":
        from omnifold_pub.unfold.classifiers.module import Module

        return Module(features, config, seed=seed, device=device)
    from omnifold_pub.unfold.classifiers.mlp import MLP

    return MLP(features, config, seed=seed, device=device)
