"""Two periods of production: which parts were made, what the line recorded, and the files that the analysis reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from line import CERTIFICATE, FOREIGN, MISSING, Condition, Readings, certificate_error, foreign_parts, inspect
from numpy.typing import NDArray
from scipy.special import expit
from stones import Parts

from omnifold_pub.extras import require

__all__ = ["NEW_LINE", "OLD_LINE", "SHIFTS", "TALLER", "Period", "Sizes", "make_periods", "write_period"]

SHIFTS = 20
"""In a period."""

TALLER = 1.007
"""What the tool's wear does to the height of a part, in the new period."""

OLD_LINE = Condition(diameter=(0.0, 0.01), height=(0.0, 0.0), scale=(0.0, 0.002), camera=2.2)
NEW_LINE = Condition(diameter=(0.02, 0.06), height=(-0.015, -0.045), scale=(0.004, 0.010), camera=1.5)
"""The sensors have drifted, and the camera's lens is dirty."""


@dataclass(frozen=True)
class Sizes:
    """How many parts there are.

    Attributes
    ----------
    reference : int
        On the tray, all with a certificate.
    made : int
        In each period.
    foreign : int
        Records of the neighbouring line's parts, kept as a reference of their own.
    """

    reference: int = 16_000
    made: int = 13_000
    foreign: int = 3_000


@dataclass(frozen=True)
class Period:
    """One period.

    Attributes
    ----------
    name : str
        ``old`` or ``new``.
    condition : Condition
        Of the line, as the reference tray sees it.
    reference : Parts
        The tray.
    made : Parts
        All parts that were made: the answer, which nobody in the factory knows.
    tray, records : Readings
        Of the tray, row by row, and of the production with its foreign parts.
    seed : int
        Of the noise.
    """

    name: str
    condition: Condition
    reference: Parts
    made: Parts
    tray: Readings
    records: Readings
    seed: int


def _joined(*readings: Readings) -> Readings:
    names = ("diameter", "proportion", "mass", "seen")
    return Readings(*(np.concatenate([getattr(one, name) for one in readings]) for name in names))


def _produced(parts: Parts, count: int, rng: np.random.Generator) -> Parts:
    """Return what a period made: other parts than the tray's, and of another mix, larger and flatter."""
    chance = expit(0.5 * (parts.diameter - 5.7)) * expit(-0.35 * (parts.proportion - 61.8))
    order = np.argsort(rng.exponential(size=len(parts)) / chance)  # weighted draws without replacement
    return parts.select(rng.permutation(order[:count]))


def make_periods(parts: Parts, sizes: Sizes, *, taller: float = TALLER, seed: int = 1) -> tuple[Period, Period]:
    """Return the old and the new period. The tray is the same in both; no other part is in two of the sets.

    Parameters
    ----------
    parts : Parts
        All there are.
    sizes : Sizes
        How many go where.
    taller : float
        Factor on the heights in the new period; 1: the product did not change.
    seed : int
        Of everything random.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(parts))
    reference = parts.select(order[: sizes.reference])
    rest = order[sizes.reference :]
    halves = (parts.select(rest[: len(rest) // 2]), parts.select(rest[len(rest) // 2 :]))
    periods = []
    for number, (name, condition, half) in enumerate(zip(("old", "new"), (OLD_LINE, NEW_LINE), halves, strict=True)):
        made = _produced(half, sizes.made, rng).taller(taller if name == "new" else 1.0)
        tray = inspect(reference, condition, seed=[seed, number, 0])
        own = inspect(made, certificate_error(condition), seed=[seed, number, 1]).records()
        foreign = foreign_parts(int(rng.poisson(FOREIGN * sizes.made)), seed=[seed, number, 2])
        mixed = _joined(own, foreign)
        # foreign parts come at any time; the others stay in the order in which they came
        place = np.argsort(np.concatenate([np.arange(len(own.seen)), rng.uniform(0, len(own.seen), len(foreign.seen))]))
        periods.append(Period(name, condition, reference, made, tray, mixed.select(place), seed))
    return periods[0], periods[1]


def _columns(readings: Readings) -> dict[str, NDArray[Any]]:
    return {
        "reading_diameter": readings.diameter,
        "reading_proportion": readings.proportion,
        "reading_mass": readings.mass,
    }


def write_period(period: Period, folder: Path, *, sizes: Sizes, settings: dict[str, Any]) -> Path:
    """Write the files of a period and return the analysis file.

    Parameters
    ----------
    period : Period
        What to write.
    folder : pathlib.Path
        Made if it is not there.
    sizes : Sizes
        Of the sets.
    settings : dict
        Sections ``omnifold`` and ``campaign`` of the analysis file. Without replicas of the data there are no
        variations either, and no limit on the effective number of data.
    """
    require("uproot", extra="unfold", purpose="The inspection example")
    import uproot

    folder.mkdir(parents=True, exist_ok=True)
    tray, count = period.reference, len(period.reference)
    table = {
        "part": tray.number,
        "weight": np.full(count, sizes.made / SHIFTS / count),
        "certified": np.ones(count, dtype=bool),
        "seen": period.tray.seen,
        "diameter": tray.diameter,
        "proportion": tray.proportion,
        "mass": tray.mass,
        **_columns(period.tray),
    }
    number = 0 if period.name == "old" else 1
    with uproot.recreate(folder / "reference.root") as file:
        file["parts"] = table
    for name, amount in CERTIFICATE.items():
        again = inspect(tray, period.condition.shifted(name, amount), seed=[period.seed, number, 0])
        with uproot.recreate(folder / f"reference_{name}.root") as file:
            file["parts"] = {"part": tray.number, "seen": again.seen, **_columns(again)}
    with uproot.recreate(folder / "production.root") as file:
        file["parts"] = {"part": np.arange(len(period.records.seen)), **_columns(period.records)}
    known = foreign_parts(sizes.foreign, seed=[period.seed, 9])
    weight = np.full(sizes.foreign, FOREIGN * sizes.made / SHIFTS / sizes.foreign)
    with uproot.recreate(folder / "foreign.root") as file:
        file["parts"] = {"part": np.arange(sizes.foreign), "weight": weight, **_columns(known)}
    template = yaml.safe_load((Path(__file__).parent / "analysis.yaml").read_text(encoding="utf-8"))
    document = template | settings
    document["title"] = template["title"].format(period=period.name)
    document["luminosity"]["value"] = SHIFTS
    document["inputs"]["sentinel"] = MISSING
    if settings.get("campaign", {}).get("data_bootstrap") == 0:
        del document["inputs"]["variations"]
        del document["publication"]["validity"]["minimum_effective_data_events_per_bin"]
    path = folder / "analysis.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return path
