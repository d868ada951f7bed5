"""How far the publisher vouches for a measurement: limits, and bins that are outside of them."""

from omnifold_pub.validity.check import check_validity, find_violations
from omnifold_pub.validity.limits import Limits, ValidRange, same_expression

__all__ = ["Limits", "ValidRange", "check_validity", "find_violations", "same_expression"]
