"""The inspection line: what its sensors make of a part. The measurement process that is to be undone.

For a part at time t of a period (0: its begin, 1: its end):

==================  =====================================================================================
diameter gauge      true + offset(t) + 0.03 mm of noise
height gauge        true + offset(t) + 0.02 mm of noise; the controller divides it by the diameter's reading
scale               true x (1 + error(t)) x (1 + 1 % of noise) + 2 mg of noise
scale's time-out    no mass for 4 % of the light stones, and more of the heavy ones: marked, never guessed
camera              does not see a part with a probability that rises for small ones: no record at all
neighbouring line   3 % of the records are foreign parts, flatter ones
==================  =====================================================================================

Offsets drift linearly over a period. The reference tray runs through the same line all over the period, so that what
the sensors do to it is what they do to the production; what the tray cannot tell is whether its own certificate is
right. The production is off by a fraction of the certificate's uncertainty, the same in all periods.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from stones import Parts

__all__ = [
    "CERTIFICATE",
    "FOREIGN",
    "MISSING",
    "Condition",
    "Readings",
    "certificate_error",
    "foreign_parts",
    "inspect",
]

Array = NDArray[np.float64]

MISSING = -99.0
"""What the controller writes where the scale timed out."""

CERTIFICATE = {"diameter_gauge": 0.003, "height_gauge": 0.002, "scale": 0.003}
"""Standard uncertainties of the reference tray's certificate: mm, mm, relative."""

FOREIGN = 0.03
"""Foreign parts among the records."""

_ACTUAL = {"diameter_gauge": 0.5, "height_gauge": -0.4, "scale": 0.3}  # by how many of them the certificate is off
_NOISE = {"diameter": 0.03, "height": 0.02, "scale": 0.01, "weighing": 2.0}


@dataclass(frozen=True)
class Condition:
    """The state of the line in a period.

    Attributes
    ----------
    diameter : (float, float)
        Offset of the diameter gauge in mm at the begin and at the end of the period.
    height : (float, float)
        Likewise of the height gauge.
    scale : (float, float)
        Relative error of the scale, likewise.
    camera : float
        Logit of the probability to see a part of 5 mm.
    """

    diameter: tuple[float, float] = (0.0, 0.0)
    height: tuple[float, float] = (0.0, 0.0)
    scale: tuple[float, float] = (0.0, 0.0)
    camera: float = 2.2

    def shifted(self, name: str, amount: float) -> Condition:
        """Return the condition with one sensor off by so much more, all over the period.

        >>> Condition().shifted("height_gauge", 0.01).height
        (0.01, 0.01)
        """
        shift = dict.fromkeys(("diameter_gauge", "height_gauge", "scale"), 0.0)
        shift[name] += amount

        def moved(ends: tuple[float, float], name: str) -> tuple[float, float]:
            return ends[0] + shift[name], ends[1] + shift[name]

        return replace(
            self,
            diameter=moved(self.diameter, "diameter_gauge"),
            height=moved(self.height, "height_gauge"),
            scale=moved(self.scale, "scale"),
        )


@dataclass(frozen=True)
class Readings:
    """What the controller recorded.

    Attributes
    ----------
    diameter, proportion, mass : numpy.ndarray
        ``[part]``, in mm, percent and mg; a mass may be `MISSING`.
    seen : numpy.ndarray
        ``[part]``: whether there is a record at all.
    """

    diameter: Array
    proportion: Array
    mass: Array
    seen: NDArray[np.bool_]

    def select(self, rows: NDArray[np.integer] | NDArray[np.bool_]) -> Readings:
        """Return some of them."""
        return Readings(self.diameter[rows], self.proportion[rows], self.mass[rows], self.seen[rows])

    def records(self) -> Readings:
        """Return those that were seen."""
        return self.select(self.seen)


def certificate_error(condition: Condition) -> Condition:
    """Return the condition as the production knows it: off by the certificate's own, unknown error."""
    for name, deviations in _ACTUAL.items():
        condition = condition.shifted(name, deviations * CERTIFICATE[name])
    return condition


def _at(ends: tuple[float, float], time: Array) -> Array:
    return ends[0] + (ends[1] - ends[0]) * time


def inspect(parts: Parts, condition: Condition, *, seed: int | list[int]) -> Readings:
    """Run parts through the line, evenly over the period.

    Parameters
    ----------
    parts : Parts
        In the order in which they come.
    condition : Condition
        Of the line.
    seed : int or list of int
        Of the noise; the same parts with the same seed have the same noise in every condition.
    """
    rng = np.random.default_rng(seed)
    time = (np.arange(len(parts)) + 0.5) / max(len(parts), 1)
    noise = {name: width * rng.standard_normal(len(parts)) for name, width in _NOISE.items()}
    luck, timing = rng.random(len(parts)), rng.random(len(parts))
    diameter = parts.diameter + _at(condition.diameter, time) + noise["diameter"]
    height = parts.height + _at(condition.height, time) + noise["height"]
    mass = parts.mass * (1 + _at(condition.scale, time)) * (1 + noise["scale"]) + noise["weighing"]
    time_out = 0.04 + 0.10 * expit((parts.mass - 300) / 60)
    seen = luck < expit(condition.camera + 0.8 * (parts.diameter - 5))
    return Readings(diameter, 100 * height / diameter, np.where(timing < time_out, MISSING, mass), seen)


def foreign_parts(count: int, *, seed: int | list[int]) -> Readings:
    """Return records of parts from the neighbouring line: flatter, of medium size."""
    rng = np.random.default_rng(seed)
    diameter = np.clip(rng.normal(6.0, 0.6, count), 3.7, 10.5)
    proportion = np.clip(rng.normal(58.0, 1.5, count), 51, 74)
    mass = 1.22 * diameter**3 * proportion / 100 * rng.normal(1, 0.03, count)
    return Readings(diameter, proportion, mass, np.ones(count, dtype=bool))
