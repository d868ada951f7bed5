"""Fit parameters that move a theory to a measurement."""

from omnifold_pub.reinterpret.fitting.fit import fit
from omnifold_pub.reinterpret.fitting.grid import Grid
from omnifold_pub.reinterpret.fitting.model import BoundModel, Function, Model, Parameter
from omnifold_pub.reinterpret.fitting.result import Fit
from omnifold_pub.reinterpret.fitting.reweighting import Reweighting
from omnifold_pub.reinterpret.fitting.templates import Templates

__all__ = [
    "BoundModel",
    "Fit",
    "Function",
    "Grid",
    "Model",
    "Parameter",
    "Reweighting",
    "Templates",
    "fit",
]
