"""Where a chi2 comes from: which bins, which components of the covariance, which directions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.reinterpret.whitening import Whitened, whiten
from omnifold_pub.statistics.components import ComponentResult

__all__ = ["Direction", "Dissection", "Share", "TheoryPart", "dissect"]

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

_ONE = 1e-9  # beside the largest eigenvalue: a covariance D D^T, to rounding


@dataclass(frozen=True, eq=False)
class TheoryPart:
    """A part of a prediction's own covariance.

    Attributes
    ----------
    name : str
        What it comes from.
    covariance : numpy.ndarray
        ``covariance[bin, bin]``.
    shift : numpy.ndarray, optional
        ``D[bin]``, where the covariance is D D^T: what one standard deviation does to the prediction, with its signs.
    """

    name: str
    covariance: Matrix
    shift: Vector | None = None


@dataclass(frozen=True, eq=False)
class Share:
    """What a component has to do with chi2.

    Attributes
    ----------
    name : str
        Of the component; or a part of the prediction's own covariance.
    chi2 : float
        :math:`d^T V^{-1} C V^{-1} d`, not negative; all of them sum to chi2. It is what the component pays for the part
        of the residual that it takes.
    taken : numpy.ndarray
        :math:`C V^{-1} d` per bin: the part of the residual that the component takes; all of them sum to the residual
        (to what of it V knows, under the pseudo-inverse).
    pull : float or None
        Of a component that moves all bins together, D D^T: the fitted nuisance parameter :math:`D^T V^{-1} d`, so that
        the residual holds this many times D, with the signs of its member. A prediction moved by as many standard
        deviations of its own nuisance describes the measurement better. None for any other component.
    """

    name: str
    chi2: float
    taken: Vector
    pull: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {"name": self.name, "chi2": self.chi2, "pull": self.pull, "taken": self.taken.tolist()}


@dataclass(frozen=True, eq=False)
class Direction:
    """An eigenvector of the correlation matrix.

    Attributes
    ----------
    pull : float
        The residual along it, in standard deviations; their squares sum to chi2.
    eigenvalue : float
        Of the correlation matrix: small where bins are known better relative to each other than each by itself.
    vector : numpy.ndarray
        ``[bin]``, of length 1, in units of the bins' errors; its largest entry is positive.
    """

    pull: float
    eigenvalue: float
    vector: Vector

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {"pull": self.pull, "eigenvalue": self.eigenvalue, "vector": self.vector.tolist()}


@dataclass(frozen=True, eq=False)
class Dissection:
    """Where a chi2 comes from.

    Attributes
    ----------
    labels : tuple of str
        ``[bin]``.
    pulls : numpy.ndarray
        ``[bin]``: (measured - predicted) over their total error.
    shares : numpy.ndarray
        ``[bin]``: :math:`d_i (V^{-1} d)_i`, which sum to chi2. One may be negative: the bin fits better than its
        neighbours made expect.
    drops : numpy.ndarray
        ``[bin]``: by how much chi2 falls where the bin is left out, :math:`(V^{-1} d)_i^2 / (V^{-1})_{ii}`: the square
        of its pull given all the other bins.
    components : tuple of Share
        The largest first.
    directions : tuple of Direction
        Those that disagree most first.
    """

    labels: tuple[str, ...]
    pulls: Vector
    shares: Vector
    drops: Vector
    components: tuple[Share, ...]
    directions: tuple[Direction, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {
            "bins": [
                {"label": label, "pull": pull, "chi2_share": share, "chi2_drop": drop}
                for label, pull, share, drop in zip(
                    self.labels, self.pulls.tolist(), self.shares.tolist(), self.drops.tolist(), strict=True
                )
            ],
            "components": [share.to_dict() for share in self.components],
            "directions": [direction.to_dict() for direction in self.directions],
        }


def _shift(result: ComponentResult, nominal: Vector) -> Vector | None:
    """Return D of a covariance D D^T, with the sign of its member, or None of any other."""
    values, vectors = np.linalg.eigh(result.covariance)
    if result.replicas or not len(result.members) or values[-1] <= 0 or (values[:-1] > _ONE * values[-1]).any():
        return None
    shift: Vector = vectors[:, -1] * np.sqrt(values[-1])
    origin = result.members[1] if len(result.members) == 2 else nominal
    return -shift if shift @ (result.members[0] - origin) < 0 else shift


def _directions(white: Whitened, errors: Vector, residual: Vector) -> tuple[Direction, ...]:
    found = []
    for row in white.transform:
        scaled = row * errors
        length = float(np.linalg.norm(scaled))
        sign = np.sign(scaled[np.argmax(np.abs(scaled))])
        found.append(Direction(float(sign * (row @ residual)), length**-2, sign * scaled / length))
    return tuple(sorted(found, key=lambda direction: -abs(direction.pull)))


def dissect(
    residual: Vector,
    results: Sequence[ComponentResult],
    theory: Sequence[TheoryPart],
    *,
    nominal: Vector,
    labels: Sequence[str],
    pseudo_inverse: bool = False,
) -> Dissection:
    """Find where a chi2 comes from.

    Parameters
    ----------
    residual : numpy.ndarray
        ``measured[bin] - predicted[bin]``.
    results : sequence of ComponentResult
        Of the measurement.
    theory : sequence of TheoryPart
        What the prediction's own covariance is the sum of.
    nominal : numpy.ndarray
        ``measured[bin]``, which the members of one-sided variations are shifted from.
    labels : sequence of str
        ``[bin]``.
    pseudo_inverse : bool
        Whether V may be inverted in the directions alone that it knows.

    Raises
    ------
    StatisticsError
        If V cannot be inverted.

    Examples
    --------
    >>> part = TheoryPart("statistics", np.diag([4.0, 1.0]))
    >>> found = dissect(np.array([2.0, 3.0]), [], [part], nominal=np.ones(2), labels=["a", "b"])
    >>> found.pulls.tolist(), found.shares.tolist(), found.components[0].chi2
    ([1.0, 3.0], [1.0, 9.0], 10.0)
    """
    bins = len(residual)
    extra = sum((part.covariance for part in theory), np.zeros((bins, bins)))
    white = whiten(results, extra, pseudo_inverse=pseudo_inverse)
    inverse = white.transform.T @ white.transform
    pressed = inverse @ residual
    total = sum((result.covariance for result in results), extra)
    errors = np.sqrt(np.diag(total))
    own = [TheoryPart(r.component.name, r.covariance, _shift(r, nominal)) for r in results]
    shares = [
        Share(
            part.name,
            float(pressed @ part.covariance @ pressed),
            part.covariance @ pressed,
            None if part.shift is None else float(part.shift @ pressed),
        )
        for part in (*own, *theory)
    ]
    return Dissection(
        labels=tuple(labels),
        pulls=np.divide(residual, errors, out=np.zeros(bins), where=errors > 0),
        shares=residual * pressed,
        drops=np.divide(pressed**2, np.diag(inverse), out=np.zeros(bins), where=np.diag(inverse) > 0),
        components=tuple(sorted(shares, key=lambda share: -share.chi2)),
        directions=_directions(white, errors, residual),
    )
