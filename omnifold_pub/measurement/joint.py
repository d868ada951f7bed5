"""Several statistics of the same events, with the covariance between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from omnifold_pub.errors import ObservableError
from omnifold_pub.estimators.base import BinnedStatistic
from omnifold_pub.measurement.binned import Measurement
from omnifold_pub.measurement.estimate import Estimate
from omnifold_pub.messages import shorten
from omnifold_pub.statistics.components import ComponentResult

__all__ = ["JointMeasurement"]


@dataclass(frozen=True, eq=False, repr=False)
class JointMeasurement(Estimate):
    """Several statistics of the same events, bins numbered through, with the covariance between them."""

    _form: ClassVar[str] = "joint"

    def _number(self, name: str) -> int:
        if name not in self.names:
            msg = f"no observable {shorten(name)} in this measurement; there are {', '.join(self.names)}"
            raise ObservableError(msg)
        return self.names.index(name)

    def slice(self, name: str) -> slice:
        """Return where a statistic's bins are among all bins.

        Raises
        ------
        ObservableError
            If there is none of that name.
        """
        return self.slices[self._number(name)]

    def __getitem__(self, name: str) -> Measurement:
        """Return one statistic's measurement: its block of everything.

        Raises
        ------
        ObservableError
            If there is none of that name, or it has no bins: see `part`.
        """
        found = self.part(name)
        if not isinstance(found, Measurement):
            msg = f"{shorten(name)} has no bins; ask for part({name!r})"
            raise ObservableError(msg)
        return found

    def part(self, name: str) -> Estimate:
        """Return one statistic of any kind: its block of everything.

        Raises
        ------
        ObservableError
            If there is none of that name.
        """
        number = self._number(name)
        chosen, bins = self.statistics[number], self.slices[number]
        kind = Measurement if isinstance(chosen, BinnedStatistic) else Estimate
        return kind(
            nominal=self.nominal[bins],
            results=tuple(
                ComponentResult(r.component, r.members[:, bins], r.covariance[bins, bins]) for r in self.results
            ),
            statistics=(chosen,),
            sizes=(self.sizes[number],),
            units=(self.units[number],),
            weight_unit=self.weight_unit,
            effective_events=self.effective_events[bins],
            central=self.central,
            momenta=self.momenta,
        )
