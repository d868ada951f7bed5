"""Samples as their files have them, not yet what training asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.inputs.analysis import Analysis

__all__ = ["Book", "LevelName", "Sheet", "Side", "pooled"]

LevelName = Literal["truth", "reco"]


@dataclass(frozen=True)
class Side:
    """One level of one sample.

    Attributes
    ----------
    where : str
        File and level, for findings.
    level : {"truth", "reco"}
        Particle or detector level.
    values : dict
        ``values[observable][event]``, float32, NaN where absent; observables that could not be read are missing.
    flags : dict
        ``flags[observable]``: selected events whose value is NaN, and those whose value is the sentinel.
    selected : numpy.ndarray
        ``[event]``, bool.
    weight : numpy.ndarray
        ``[event]``, float64; 0 where it is not finite.
    """

    where: str
    level: LevelName
    values: dict[str, NDArray[np.float32]]
    flags: dict[str, tuple[int, int]]
    selected: NDArray[np.bool_]
    weight: NDArray[np.float64]

    def picked(self, name: str) -> NDArray[np.float32]:
        """Return one observable of the selected events, NaN where absent."""
        return self.values[name][self.selected]

    @property
    def picked_weight(self) -> NDArray[np.float64]:
        """The weights of the selected events."""
        return self.weight[self.selected]


@dataclass(frozen=True)
class Sheet:
    """One sample as its file has it.

    Attributes
    ----------
    role : str
        ``"simulation"``, ``"data"``, ``"variation <name>"`` and so on.
    where : str
        The file's name.
    event_id : numpy.ndarray, optional
        ``[event]``; None where it could not be read.
    truth, reco : Side, optional
        Its levels; None where it has none or its selection could not be read.
    weights : dict
        ``weights[branch][event]``, float64, as they are.
    """

    role: str
    where: str
    event_id: NDArray[Any] | None
    truth: Side | None = None
    reco: Side | None = None
    weights: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    @property
    def sides(self) -> tuple[Side, ...]:
        """The levels there are."""
        return tuple(side for side in (self.truth, self.reco) if side is not None)

    @property
    def is_background(self) -> bool:
        """Whether its events are no signal."""
        return self.role.startswith("background ")


@dataclass(frozen=True)
class Book:
    """All samples of an analysis, as far as they could be read.

    Attributes
    ----------
    simulation, data : Sheet
        Their sides are None where nothing could be read.
    variations : tuple of Sheet
        Detector level of the simulation again.
    weight_variations : dict
        ``weight_variations[name]``: another weight of the simulation, and the nominal one it stands beside.
    others : tuple of Sheet
        Backgrounds and other generators.
    """

    analysis: Analysis
    simulation: Sheet
    data: Sheet
    variations: tuple[Sheet, ...]
    weight_variations: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]
    others: tuple[Sheet, ...]

    @property
    def expectation(self) -> Side | None:
        """What the data should look like: the detector level of the simulation, and of the backgrounds if any."""
        sides = [s.reco for s in (self.simulation, *self.backgrounds) if s.reco is not None]
        return None if self.simulation.reco is None else sides[0] if len(sides) == 1 else pooled(sides)

    @property
    def backgrounds(self) -> tuple[Sheet, ...]:
        """Samples that are no signal."""
        return tuple(sheet for sheet in self.others if sheet.is_background)

    @property
    def sheets(self) -> tuple[Sheet, ...]:
        """All of them."""
        return (self.simulation, self.data, *self.variations, *self.others)


def pooled(sides: Sequence[Side]) -> Side:
    """Return samples as one, with the observables that all of them have."""
    names = [name for name in sides[0].values if all(name in side.values for side in sides)]
    return Side(
        where=", ".join(side.where for side in sides),
        level=sides[0].level,
        values={name: np.concatenate([side.values[name] for side in sides]) for name in names},
        flags={
            name: (sum(side.flags[name][0] for side in sides), sum(side.flags[name][1] for side in sides))
            for name in names
        },
        selected=np.concatenate([side.selected for side in sides]),
        weight=np.concatenate([side.weight for side in sides]),
    )
