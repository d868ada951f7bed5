"""Many theories against one measurement, the best first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from omnifold_pub.errors import InputError, StatisticsError
from omnifold_pub.measurement import Estimate
from omnifold_pub.messages import repeated
from omnifold_pub.presentation.tables import Table, plain_text
from omnifold_pub.reinterpret.comparison import Comparison, compare
from omnifold_pub.reinterpret.prediction import Predicting, checked_theory

__all__ = ["Ranking", "rank"]


@dataclass(frozen=True, eq=False, repr=False)
class Ranking:
    """Theories by how well they describe a measurement.

    Attributes
    ----------
    comparisons : tuple of Comparison
        The largest p-value first; of equal ones, as far below anything that was simulated, the smaller chi2.
    """

    comparisons: tuple[Comparison, ...]

    def table(self) -> Table:
        """Return a row for each theory: chi2 with and without its own uncertainty, bins, p-value, and its worst bin.

        Where the measurement's covariance alone cannot be inverted, there is no chi2 without the theory's own.
        """
        rows = []
        for place, (one, exact) in enumerate(zip(self.comparisons, self.exact_chi2(), strict=True), start=1):
            found = one.dissect()
            worst = int(abs(found.pulls).argmax())
            rows.append(
                (
                    one.theory,
                    str(place),
                    f"{one.test.chi2:.1f}",
                    str(one.test.dof),
                    f"{one.test.p_value:.3g}",
                    "-" if math.isnan(exact) else f"{exact:.1f}",
                    found.labels[worst],
                    f"{found.pulls[worst]:+.1f}",
                )
            )
        columns = ("theory", "rank", "chi2", "dof", "p", "chi2, theory exact", "worst bin", "pull")
        return Table("Theories, the best first", columns, tuple(rows))

    def exact_chi2(self) -> list[float]:
        """Return chi2 of each theory taken as exact; NaN where the measurement's covariance alone has no inverse."""
        found = []
        for one in self.comparisons:
            try:
                found.append(one.without_theory().chi2)
            except StatisticsError:
                found.append(math.nan)
        return found

    def __str__(self) -> str:
        """Return the table."""
        return plain_text([self.table()])

    def to_dict(self) -> dict[str, Any]:
        """Return the ranking as JSON can hold it."""
        return {
            "theories": [
                one.to_dict() | {"chi2_theory_exact": None if math.isnan(exact) else exact}
                for one, exact in zip(self.comparisons, self.exact_chi2(), strict=True)
            ]
        }


def rank(
    measurement: Estimate,
    theories: Sequence[Predicting],
    *,
    leave_out: Sequence[str] = (),
    decorrelate: Sequence[str] = (),
    shape_only: bool = False,
    pseudo_inverse: bool = False,
) -> Ranking:
    """Compare many theories with a measurement.

    The best of many is not tested by its own p-value: of 20 wrong theories that are nearly right, one has p > 0.05 as a
    rule. Differences in chi2 between theories that share the measurement say more than the p-values do.

    Parameters
    ----------
    measurement, leave_out, decorrelate, shape_only, pseudo_inverse
        As for `omnifold_pub.reinterpret.comparison.compare`.
    theories : sequence of Theory
        Each with a name of its own.

    Raises
    ------
    InputError
        If there is no theory, two have one name, or one cannot be compared.
    StatisticsError
        If a total covariance cannot be inverted.

    Examples
    --------
    >>> import omnifold_pub
    >>> with omnifold_pub.open_release("release/zjets/zjets.h5") as release:
    ...     spectrum = release.measure("pT_ll", [200, 230, 270, 350, 1000])
    ...     columns = {"pT_ll": release.events["pT_ll"]}
    ...     prior = omnifold_pub.Theory.from_arrays(columns, release.prior_weights, unit="pb", name="prior")
    ...     lower = omnifold_pub.Theory.from_arrays(columns, 0.9 * release.prior_weights, unit="pb", name="lower")
    >>> len(rank(spectrum, [prior, lower]).comparisons)
    2
    """
    if isinstance(theories, Predicting):
        msg = "ranking: expected a sequence of theories; found a theory alone: compare it"
        raise InputError(msg)
    names = [checked_theory(theory).name for theory in theories]
    if not names or repeated(names):
        found = f"{', '.join(repeated(names))} more than once" if names else "none"
        msg = f"ranking: expected theories, each with a name of its own; found {found}"
        raise InputError(msg)
    compared = [
        compare(
            measurement,
            theory,
            leave_out=leave_out,
            decorrelate=decorrelate,
            shape_only=shape_only,
            pseudo_inverse=pseudo_inverse,
        )
        for theory in theories
    ]
    return Ranking(tuple(sorted(compared, key=lambda one: (-one.test.p_value, one.test.chi2))))
