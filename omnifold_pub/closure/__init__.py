"""Compare an unfolding with the truth of its pseudo-data: distances, each beside its prior value and its floor."""

from omnifold_pub.closure.metric import Metric
from omnifold_pub.closure.results import ClosureResult, closure_results, gathered, read_results, with_results
from omnifold_pub.closure.table import ClosureRow, ClosureTable, closure_table, prior_theory

__all__ = [
    "ClosureResult",
    "ClosureRow",
    "ClosureTable",
    "Metric",
    "closure_results",
    "closure_table",
    "gathered",
    "prior_theory",
    "read_results",
    "with_results",
]
