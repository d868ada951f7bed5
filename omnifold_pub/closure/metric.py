"""A distance to the truth, beside what the prior has and what chance alone gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from omnifold_pub.reinterpret.two_sample.floor import Floor

__all__ = ["Metric"]


@dataclass(frozen=True)
class Metric:
    """A distance to the truth.

    Attributes
    ----------
    unfolded : float
        Of the unfolded sample.
    prior : float or None
        Of the simulation before unfolding; None if it was not compared.
    floor : Floor
        Of two samples of the same law.
    """

    unfolded: float
    prior: float | None
    floor: Floor

    def times(self, factor: float) -> Metric:
        """Return it in another unit.

        >>> Metric(0.5, 1.0, Floor(0.1, 0.02)).times(10)
        Metric(unfolded=5.0, prior=10.0, floor=Floor(mean=1.0, deviation=0.2))
        """
        prior = None if self.prior is None else factor * self.prior
        return Metric(factor * self.unfolded, prior, Floor(factor * self.floor.mean, factor * self.floor.deviation))

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it.

        >>> Metric(1.5, None, Floor(1.0, 0.2)).to_dict()
        {'unfolded': 1.5, 'prior': None, 'floor': 1.0, 'floor_deviation': 0.2}
        """
        return {
            "unfolded": self.unfolded,
            "prior": self.prior,
            "floor": self.floor.mean,
            "floor_deviation": self.floor.deviation,
        }
