"""From columns with presence masks to the numbers that a network sees."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import InputError
from omnifold_pub.inputs.sample import Columns
from omnifold_pub.observables.momenta import FourMomentum

__all__ = ["Encoding", "Pair", "Preprocessor", "pairs_of"]


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


_LEAST_VARIANCE = 0.01
"""Of a direction that is scaled to 1: what is below is the same thing twice, and noise."""

Feature = tuple[NDArray[np.float64], NDArray[np.bool_]]
"""Values of one feature, and where they mean something: both ``[event]``."""


@dataclass(frozen=True)
class Pair:
    """Two objects whose angular distance the networks are shown.

    It is a function of columns that they see anyway, and hard to learn from them: each azimuth is alone on its circle,
    and the distance is a small difference of them where it matters. In the way of the pairwise features of Qu, Li and
    Qian, arXiv:2202.03772, section 3.

    Attributes
    ----------
    direction, other : tuple of str
        Columns of rapidity (or pseudorapidity) and azimuth of both objects.
    """

    direction: tuple[str, str]
    other: tuple[str, str]

    def __call__(self, columns: Columns) -> list[Feature]:
        """Return |dphi|, log(pi - |dphi| + 0.02) and log(hypot(dphi, dy) + 0.05): back to back, and side by side."""
        where = [columns.names.index(name) for name in (*self.direction, *self.other)]
        y1, phi1, y2, phi2 = columns.values[:, where].T.astype(np.float64)
        dphi = np.pi - np.abs(np.pi - np.abs(phi1 - phi2) % (2 * np.pi))
        present = np.logical_and.reduce(columns.present[:, where], axis=1)
        values = (dphi, np.log(np.pi - dphi + 0.02), np.log(np.hypot(dphi, y1 - y2) + 0.05))
        return [(x, present) for x in values]


def pairs_of(momenta: Sequence[FourMomentum]) -> tuple[Pair, ...]:
    """Return all pairs of objects.

    Examples
    --------
    >>> objects = [FourMomentum(n, pt=f"pT_{n}", eta=f"eta_{n}", phi=f"phi_{n}", mass=0) for n in ("l1", "l2", "j1")]
    >>> [pair.direction[1] + " " + pair.other[1] for pair in pairs_of(objects)]
    ['phi_l1 phi_l2', 'phi_l1 phi_j1', 'phi_l2 phi_j1']
    """
    directions = [(str(momentum.eta or momentum.rapidity), momentum.phi) for momentum in momenta]
    return tuple(Pair(one, other) for one, other in combinations(directions, 2))


@dataclass(frozen=True)
class Preprocessor:
    """Standardise, and say what is absent.

    Each observable is encoded (an angle as cosine and sine, so that pi and -pi are neighbours), then
    standardised with the mean and standard deviation of the events that have it. Where it is absent, the
    median of the standardised values stands in, the same for every such event, and a flag feature says so:
    no value is left from which a network could learn of a sentinel. Observables that are always absent
    together (all of one jet) share a flag. Pairs of objects are treated alike; they need no flag of their own.

    Features of one object move together: the differences between them (of logarithms: the ratios of observables) have
    little variance, and a network is slow to see them. ``decorrelate`` multiplies all features, flags too, by the
    inverse square root of their covariance, whose eigenvalues are taken as at least 0.01 and at most 1: what varies
    little is scaled up to a variance of 1, and what all features have in common stays as large as it was. Without the
    bounds that is the "ZCA" of Kessy, Lewin and Strimmer, Am. Stat. 72 (2018) 309, arXiv:1512.00809.

    Attributes
    ----------
    names : tuple of str
        Observables, in the order of the columns.
    encodings : tuple of Encoding
        One per observable.
    pairs : tuple of Pair
        Pairs of objects.
    mean, scale, median : numpy.ndarray
        One number per feature that is no flag.
    flags : tuple of tuple of int
        Observables (by index) behind each presence flag.
    centre : numpy.ndarray
        ``[feature]``, flags included: taken off all features before the matrix.
    matrix : numpy.ndarray
        ``matrix[feature, feature]``, symmetric; empty, as ``centre`` is, where nothing is decorrelated.
    """

    names: tuple[str, ...]
    encodings: tuple[Encoding, ...]
    pairs: tuple[Pair, ...]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    median: NDArray[np.float64]
    flags: tuple[tuple[int, ...], ...]
    centre: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    matrix: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 0)))

    @classmethod
    def fit(
        cls,
        samples: Sequence[Columns],
        encodings: Sequence[Encoding],
        pairs: Sequence[Pair] = (),
        *,
        decorrelate: bool = False,
    ) -> Preprocessor:
        """Learn the constants from the given events together, each counted once.

        Raises
        ------
        InputError
            If an observable is absent everywhere, or is not positive where ``log`` is asked for.
        """
        columns = Columns(
            samples[0].names,
            np.concatenate([sample.values for sample in samples]),
            np.concatenate([sample.present for sample in samples]),
        )
        for name, present in zip(columns.names, columns.present.T, strict=True):
            if not present.any():
                msg = f"observable {name!r} is absent from every event; leave it out of the analysis"
                raise InputError(msg)
        _check_logarithms(columns, encodings)
        mean, scale, median = [], [], []
        for values, present in _encoded(columns, encodings, pairs):
            # Two objects may each be there and never together: then nothing is seen of the pair, wherever it is put.
            x = values[present] if present.any() else np.zeros(1)
            centre, width = x.mean(), x.std()
            mean.append(centre)
            scale.append(width if width > 0 else 1.0)
            median.append((np.median(x) - centre) / scale[-1])
        groups: dict[bytes, list[int]] = {}
        for i in range(len(columns.names)):
            if not columns.present[:, i].all():
                groups.setdefault(np.packbits(columns.present[:, i]).tobytes(), []).append(i)
        standardised = cls(
            names=columns.names,
            encodings=tuple(encodings),
            pairs=tuple(pairs),
            mean=np.array(mean),
            scale=np.array(scale),
            median=np.array(median),
            flags=tuple(tuple(group) for group in groups.values()),
        )
        if not decorrelate:
            return standardised
        centre, matrix = _decorrelation(standardised.transform(columns))
        return replace(standardised, centre=centre, matrix=matrix)

    def transform(self, columns: Columns) -> NDArray[np.float32]:
        """Return ``x[event, feature]``, float32: encoded observables, pairs, then flags (+1 present, -1 absent).

        Decorrelated features are in that order too.

        Raises
        ------
        InputError
            If the columns are others than those fitted, are absent in a pattern that was not there, or are not
            positive where ``log`` is asked for.
        """
        if columns.names != self.names:
            msg = f"expected the observables {', '.join(self.names)}; found {', '.join(columns.names)}"
            raise InputError(msg)
        _check_logarithms(columns, self.encodings)
        x = np.empty((len(columns), len(self.mean) + len(self.flags)), dtype=np.float32)
        for k, (values, present) in enumerate(_encoded(columns, self.encodings, self.pairs)):
            x[:, k] = np.where(present, (values - self.mean[k]) / self.scale[k], self.median[k])
        for k, group in enumerate(self.flags, start=len(self.mean)):
            first = columns.present[:, group[0]]
            if any(not np.array_equal(first, columns.present[:, i]) for i in group[1:]):
                names = ", ".join(self.names[i] for i in group)
                msg = f"observables {names} were absent together in all events fitted, and are not here"
                raise InputError(msg)
            x[:, k] = np.where(first, 1.0, -1.0)
        flagged = {i for group in self.flags for i in group}
        for i, name in enumerate(self.names):
            if i not in flagged and not columns.present[:, i].all():
                absent = int((~columns.present[:, i]).sum())
                msg = f"observable {name!r} is absent from {absent} events; it never was in those fitted"
                raise InputError(msg)
        if len(self.matrix):
            x = ((x - self.centre) @ self.matrix).astype(np.float32)
        return x

    @classmethod
    def from_dict(cls, constants: dict[str, Any]) -> Preprocessor:
        """Build from what `to_dict` returned.

        Raises
        ------
        KeyError, TypeError, ValueError
            If it did not.
        """
        return cls(
            names=tuple(constants["names"]),
            encodings=tuple(Encoding(**encoding) for encoding in constants["encodings"]),
            pairs=tuple(Pair(*map(tuple, (pair["direction"], pair["other"]))) for pair in constants["pairs"]),
            mean=np.array(constants["mean"], dtype=np.float64),
            scale=np.array(constants["scale"], dtype=np.float64),
            median=np.array(constants["median"], dtype=np.float64),
            flags=tuple(tuple(group) for group in constants["flags"]),
            centre=np.array(constants["centre"], dtype=np.float64),
            matrix=np.array(constants["matrix"], dtype=np.float64),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the constants as JSON can hold them."""
        return {
            "names": list(self.names),
            "encodings": [asdict(encoding) for encoding in self.encodings],
            "pairs": [{"direction": list(pair.direction), "other": list(pair.other)} for pair in self.pairs],
            "mean": self.mean.tolist(),
            "scale": self.scale.tolist(),
            "median": self.median.tolist(),
            "flags": [list(group) for group in self.flags],
            "centre": self.centre.tolist(),
            "matrix": self.matrix.tolist(),
        }


def _check_logarithms(columns: Columns, encodings: Sequence[Encoding]) -> None:
    for i, (name, encoding) in enumerate(zip(columns.names, encodings, strict=True)):
        least = float(columns.values[:, i].min(where=columns.present[:, i], initial=np.inf))
        if encoding.kind == "log" and not least + encoding.offset > 0:
            msg = (
                f"observable {name!r} is encoded as the logarithm of itself plus {encoding.offset:g}, "
                f"but reaches {least:g}; give a larger offset, or use 'linear'"
            )
            raise InputError(msg)


def _decorrelation(x: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean of features and the inverse square root of their covariance, within bounds."""
    centre = x.mean(axis=0, dtype=np.float64)
    off = x - centre
    variances, directions = np.linalg.eigh(off.T @ off / len(x))
    return centre, (directions / np.sqrt(np.clip(variances, _LEAST_VARIANCE, 1))) @ directions.T


def _encoded(columns: Columns, encodings: Sequence[Encoding], pairs: Sequence[Pair]) -> Iterator[Feature]:
    """Yield the features that are no flags, not yet standardised."""
    for i, encoding in enumerate(encodings):
        present = columns.present[:, i]
        # 1 is in the domain of every encoding; nothing looks at what becomes of it.
        for x in encoding(np.where(present, columns.values[:, i], np.float32(1))):
            yield x, present
    for pair in pairs:
        yield from pair(columns)
