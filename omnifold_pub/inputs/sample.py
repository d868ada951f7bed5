"""A sample of events as the engine takes it: columns with presence masks, selections and weights."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import InputError

__all__ = ["Columns", "Sample"]


@dataclass(frozen=True)
class Columns:
    """Observables of one level, with a mask in place of every sentinel.

    Attributes
    ----------
    names : tuple of str
        One per observable.
    values : numpy.ndarray
        ``values[event, observable]``, float32; 0 where the observable is absent.
    present : numpy.ndarray
        ``present[event, observable]``, bool.
    """

    names: tuple[str, ...]
    values: NDArray[np.float32]
    present: NDArray[np.bool_]

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[np.generic]], *, sentinel: float | None = None) -> Columns:
        """Stack columns; NaN and the sentinel become masks here and are seen nowhere after.

        Examples
        --------
        >>> columns = Columns.from_arrays({"pT": np.array([20.0, -99.0, np.nan])}, sentinel=-99)
        >>> columns.present[:, 0].tolist(), columns.values[:, 0].tolist()
        ([True, False, False], [20.0, 0.0, 0.0])
        """
        values = np.stack([np.asarray(column, dtype=np.float32) for column in arrays.values()], axis=1)
        present = ~np.isnan(values)
        if sentinel is not None:
            present &= values != np.float32(sentinel)
        return cls(tuple(arrays), np.where(present, values, np.float32(0)), present)

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self.values)

    def select(self, rows: NDArray[np.bool_]) -> Columns:
        """Return the given rows, ``rows[event]``, alone."""
        return Columns(self.names, self.values[rows], self.present[rows])

    def with_nan(self, name: str) -> NDArray[np.float32]:
        """Return one column, NaN where it is absent: the form a release stores."""
        index = self.names.index(name)
        return np.where(self.present[:, index], self.values[:, index], np.float32(np.nan))


@dataclass(frozen=True)
class Sample:
    """Events of one origin.

    A simulation has both levels. Data have the detector level alone: ``truth`` is None and nothing passes truth.

    Attributes
    ----------
    name : str
        For messages.
    reco : Columns
        Detector level.
    pass_reco : numpy.ndarray
        ``[event]``, bool.
    reco_weight : numpy.ndarray
        w_r, ``[event]``, float64; the data's own weight for data.
    event_id : numpy.ndarray
        ``[event]``, int64, unique.
    truth : Columns, optional
        Particle level.
    pass_truth : numpy.ndarray
        ``[event]``, bool.
    truth_weight : numpy.ndarray
        w_t, ``[event]``, float64, in the weight unit of the analysis.

    Raises
    ------
    InputError
        If the sample is empty, lengths disagree, a weight is not finite, a class has no weight, or event
        ids repeat.
    """

    name: str
    reco: Columns
    pass_reco: NDArray[np.bool_]
    reco_weight: NDArray[np.float64]
    event_id: NDArray[np.int64]
    truth: Columns | None
    pass_truth: NDArray[np.bool_]
    truth_weight: NDArray[np.float64]

    @classmethod
    def of_data(cls, name: str, reco: Columns, weight: NDArray[np.float64], event_id: NDArray[np.int64]) -> Sample:
        """Build a sample of recorded events: all of them pass reco, and there is no particle level."""
        return cls(
            name=name,
            reco=reco,
            pass_reco=np.ones(len(event_id), dtype=bool),
            reco_weight=weight,
            event_id=event_id,
            truth=None,
            pass_truth=np.zeros(len(event_id), dtype=bool),
            truth_weight=np.zeros(len(event_id)),
        )

    def __post_init__(self) -> None:
        """Check what every later step relies on."""
        size = len(self.event_id)
        if size == 0:
            msg = f"{self.name}: the sample is empty; expected at least one event"
            raise InputError(msg)
        arrays = {
            "reco": self.reco.values,
            "pass_reco": self.pass_reco,
            "reco_weight": self.reco_weight,
            "pass_truth": self.pass_truth,
            "truth_weight": self.truth_weight,
        }
        if self.truth is not None:
            arrays["truth"] = self.truth.values
        for what, array in arrays.items():
            if len(array) != size:
                msg = f"{self.name}: {what} has {len(array)} events, event_id has {size}; all must have the same number"
                raise InputError(msg)
        for what, weight, used in (
            ("reco weight", self.reco_weight, self.pass_reco),
            ("truth weight", self.truth_weight, self.pass_truth),
        ):
            bad = np.flatnonzero(~np.isfinite(weight))
            if len(bad):
                msg = (
                    f"{self.name}: {len(bad)} of {size} {what}s are not finite, the first at row {bad[0]} "
                    f"({weight[bad[0]]}); remove these events or mend their weights"
                )
                raise InputError(msg)
            needed = what == "reco weight" or self.truth is not None
            if needed and not weight[used].sum() > 0:
                total = float(weight[used].sum())
                msg = f"{self.name}: the {what}s of the selected events sum to {total:g}; expected more than 0"
                raise InputError(msg)
        repeated = size - len(np.unique(self.event_id))
        if repeated:
            msg = f"{self.name}: event ids repeat ({repeated} of {size}); expected unique ones"
            raise InputError(msg)

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self.event_id)

    @property
    def particle_level(self) -> Columns:
        """Truth columns of a simulation.

        Raises
        ------
        InputError
            If the sample has none: it is data.
        """
        if self.truth is None:
            msg = f"{self.name}: has no particle level; expected a simulation"
            raise InputError(msg)
        return self.truth

    def with_reco(self, reco: Columns, pass_reco: NDArray[np.bool_], name: str) -> Sample:
        """Return the same events with another detector's response, row by row."""
        return replace(self, name=name, reco=reco, pass_reco=pass_reco)

    def with_reco_weight(self, reco_weight: NDArray[np.float64], name: str) -> Sample:
        """Return the same events with another w_r."""
        return replace(self, name=name, reco_weight=reco_weight)

    def with_truth_weight(self, truth_weight: NDArray[np.float64], name: str) -> Sample:
        """Return the same events with another generator weight: it becomes w_t, and w_r is scaled by the same ratio.

        Where both the old w_t and the new one are 0 (as some files have it for events that fail truth), w_r stays.

        Parameters
        ----------
        truth_weight : numpy.ndarray
            ``[event]``, float64.
        name : str
            For messages.

        Raises
        ------
        InputError
            If the old w_t is 0 where the new one is not, or the weights are none that a sample can have.
        """
        undefined = np.flatnonzero((self.truth_weight == 0) & (truth_weight != 0))
        if len(undefined):
            row = undefined[0]
            msg = (
                f"{name}: the truth weight is 0 in {len(undefined)} of {len(self)} events where this one is not, the "
                f"first in row {row} ({truth_weight[row]:g}), so that their reco weight cannot be scaled; "
                "mend the weights, or remove these events"
            )
            raise InputError(msg)
        ratio = np.divide(truth_weight, self.truth_weight, out=np.ones(len(self)), where=self.truth_weight != 0)
        return replace(self, name=name, truth_weight=truth_weight, reco_weight=self.reco_weight * ratio)

    def reweighted(self, factor: NDArray[np.float64], name: str) -> Sample:
        """Return the same events with ``factor[event]`` on w_t and w_r."""
        return replace(self, name=name, truth_weight=self.truth_weight * factor, reco_weight=self.reco_weight * factor)
