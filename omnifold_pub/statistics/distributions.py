"""Tails of the distributions of test statistics.

`scipy.special` takes a third of a second to import, as long as all the rest of a reader: it is imported where a p-value
is asked for.
"""

from __future__ import annotations

from typing import Any

__all__ = ["chi2_tail", "f_tail", "student_quantile"]


def chi2_tail(chi2: float, dof: int) -> float:
    """Return the probability of a larger chi2.

    >>> round(chi2_tail(3.841, 1), 4)
    0.05
    """
    from scipy import special

    return float(special.chdtrc(dof, chi2))


def f_tail(value: Any, first: Any, second: Any) -> Any:
    """Return the probability of a larger F, of ``first`` and ``second`` degrees of freedom; arrays as NumPy has it.

    >>> round(float(f_tail(4.26, 2, 9)), 3)
    0.05
    """
    from scipy import special

    return special.fdtrc(first, second, value)


def student_quantile(probability: float, dof: int) -> float:
    """Return t with the given probability of a smaller one.

    >>> round(student_quantile(0.975, 10), 3)
    2.228
    """
    from scipy import special

    return float(special.stdtrit(dof, probability))
