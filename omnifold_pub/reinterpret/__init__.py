"""Confront theories with a measurement: compare, rank, fit."""

from omnifold_pub.reinterpret.comparison import compare
from omnifold_pub.reinterpret.fitting.fit import fit
from omnifold_pub.reinterpret.ranking import rank
from omnifold_pub.reinterpret.unbinned import compare_unbinned

__all__ = ["compare", "compare_unbinned", "fit", "rank"]
