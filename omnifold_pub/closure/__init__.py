"""Compare an unfolding with the truth of its pseudo-data: distances, each beside its prior value and its floor."""

from omnifold_pub.closure.metric import Metric
from omnifold_pub.closure.table import ClosureRow, ClosureTable, closure_table, prior_theory

__all__ = ["ClosureRow", "ClosureTable", "Metric", "closure_table", "prior_theory"]
