"""From columns with presence masks to the numbers that a network sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import InputError
from omnifold_pub.inputs.sample import Columns

__all__ = ["Encoding", "Preprocessor"]


@dataclass(frozen=True)
class Encoding:
    """How one observable is shown to the networks.

    Attributes
    ----------
    kind : {"linear", "log", "angle"}
        As it is, its logarithm, or cosine and sine.
    offset : float
        Added before a logarithm, for observables that reach zero.
    """

    kind: Literal["linear", "log", "angle"] = "linear"
    offset: float = 0.0

    def __call__(self, values: NDArray[np.float32]) -> list[NDArray[np.float64]]:
        """Return one feature, or two for an angle."""
        x = values.astype(np.float64)
        if self.kind == "log":
            return [np.log(x + self.offset)]
        if self.kind == "angle":
            return [np.cos(x), np.sin(x)]
        return [x]


@dataclass(frozen=True)
class Preprocessor:
    """Standardise, and say what is absent.

    Each observable is encoded (an angle as cosine and sine, so that pi and -pi are neighbours), then
    standardised with the mean and standard deviation of the events that have it. Where it is absent, the
    median of the standardised values stands in, the same for every such event, and a flag feature says so:
    no value is left from which a network could learn of a sentinel. Observables that are always absent
    together (all of one jet) share a flag.

    Attributes
    ----------
    names : tuple of str
        Observables, in the order of the columns.
    encodings : tuple of Encoding
        One per observable.
    mean, scale, median : numpy.ndarray
        One number per encoded feature.
    flags : tuple of tuple of int
        Observables (by index) behind each presence flag.
    """

    names: tuple[str, ...]
    encodings: tuple[Encoding, ...]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    median: NDArray[np.float64]
    flags: tuple[tuple[int, ...], ...]

    @classmethod
    def fit(cls, samples: Sequence[Columns], encodings: Sequence[Encoding]) -> Preprocessor:
        """Learn the constants from the given events together, each counted once.

        Raises
        ------
        InputError
            If an observable is absent everywhere, or is not positive where ``log`` is asked for.
        """
        names = samples[0].names
        values = np.concatenate([sample.values for sample in samples])
        present = np.concatenate([sample.present for sample in samples])
        mean, scale, median = [], [], []
        for i, encoding in enumerate(encodings):
            column = values[present[:, i], i]
            if len(column) == 0:
                msg = f"observable {names[i]!r} is absent from every event; leave it out of the analysis"
                raise InputError(msg)
            if encoding.kind == "log" and not column.min() + encoding.offset > 0:
                msg = (
                    f"observable {names[i]!r} is encoded as the logarithm of itself plus {encoding.offset:g}, "
                    f"but reaches {column.min():g}; give a larger offset, or use 'linear'"
                )
                raise InputError(msg)
            for x in encoding(column):
                centre, width = x.mean(), x.std()
                mean.append(centre)
                scale.append(width if width > 0 else 1.0)
                median.append((np.median(x) - centre) / scale[-1])
        groups: dict[bytes, list[int]] = {}
        for i in range(len(names)):
            if not present[:, i].all():
                groups.setdefault(np.packbits(present[:, i]).tobytes(), []).append(i)
        return cls(
            names=names,
            encodings=tuple(encodings),
            mean=np.array(mean),
            scale=np.array(scale),
            median=np.array(median),
            flags=tuple(tuple(group) for group in groups.values()),
        )

    def transform(self, columns: Columns) -> NDArray[np.float32]:
        """Return ``x[event, feature]``, float32: encoded observables first, then flags (+1 present, -1 absent).

        Raises
        ------
        InputError
            If the columns are others than those fitted, or are absent in a pattern that was not there.
        """
        if columns.names != self.names:
            msg = f"expected the observables {', '.join(self.names)}; found {', '.join(columns.names)}"
            raise InputError(msg)
        features: list[NDArray[np.float64]] = []
        for i, encoding in enumerate(self.encodings):
            present = columns.present[:, i]
            # 1 is in the domain of every encoding; what it becomes is overwritten by the median below.
            for x in encoding(np.where(present, columns.values[:, i], np.float32(1))):
                k = len(features)
                features.append(np.where(present, (x - self.mean[k]) / self.scale[k], self.median[k]))
        for group in self.flags:
            first = columns.present[:, group[0]]
            if any(not np.array_equal(first, columns.present[:, i]) for i in group[1:]):
                names = ", ".join(self.names[i] for i in group)
                msg = f"observables {names} were absent together in all events fitted, and are not here"
                raise InputError(msg)
            features.append(np.where(first, 1.0, -1.0))
        flagged = {i for group in self.flags for i in group}
        for i, name in enumerate(self.names):
            if i not in flagged and not columns.present[:, i].all():
                absent = int((~columns.present[:, i]).sum())
                msg = f"observable {name!r} is absent from {absent} events; it never was in those fitted"
                raise InputError(msg)
        return np.stack(features, axis=1).astype(np.float32)

    def to_dict(self) -> dict[str, Any]:
        """Return the constants as JSON can hold them."""
        return {
            "names": list(self.names),
            "encodings": [asdict(encoding) for encoding in self.encodings],
            "mean": self.mean.tolist(),
            "scale": self.scale.tolist(),
            "median": self.median.tolist(),
            "flags": [list(group) for group in self.flags],
        }
