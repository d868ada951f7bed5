"""Interpolation in a grid of samples, each made with other values of the parameters."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import InputError
from omnifold_pub.measurement import Estimate
from omnifold_pub.reinterpret.fitting.mixture import Mixture
from omnifold_pub.reinterpret.fitting.model import BoundModel, Model, Parameter, check_parameters
from omnifold_pub.reinterpret.prediction import Predicting

__all__ = ["Grid"]

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

_ALIKE = 1e-10  # singular values below this, beside the largest: the nodes do not tell these monomials apart


@dataclass(frozen=True, eq=False)
class Grid(Model):
    """Predictions between the nodes of a grid of samples.

    Each bin is a polynomial of the parameters, fitted to the nodes by least squares (Buckley et al., Eur. Phys. J. C 65
    (2010) 331, arXiv:0907.2973); with as many nodes as monomials it goes through them. A prediction is then a sum of
    the nodes', with factors that depend on the parameters alone: see `omnifold_pub.reinterpret.fitting.mixture.Mixture`
    for its covariance. It holds within the grid: its ends are limits of the parameters. Any statistic can be
    interpolated.

    Parameters
    ----------
    parameters : sequence of str
        Names.
    nodes : mapping
        By the values of the parameters, a tuple of numbers (or a number, for one parameter): the sample made there.
    degree : int
        Of the polynomial in all parameters together.

    Raises
    ------
    InputError
        If the nodes are too few or in line, so that they do not fix the polynomial.

    Examples
    --------
    >>> Grid(["alpha_s"], {0.116: None, 0.118: None, 0.120: None}).monomials
    ((0,), (1,), (2,))
    """

    parameters: Sequence[str]
    nodes: Mapping[Any, Predicting]
    degree: int = 2

    def __post_init__(self) -> None:
        wrong = [
            place
            for place in self._places
            if len(place) != len(self.parameters) or not all(isinstance(one, Real) for one in place)
        ]
        if wrong or not np.isfinite(np.array(self._places)).all():
            msg = f"grid: expected {len(self.parameters)} finite numbers for each node; found {wrong or self._places}"
            raise InputError(msg)
        monomials, nodes = len(self.monomials), len(self.nodes)
        if self.degree < 1 or nodes < monomials or self._rank < monomials:
            known = f"of which they tell {self._rank} apart" if nodes >= monomials else "so that they are too few"
            msg = (
                f"grid: a polynomial of degree {self.degree} in {', '.join(self.parameters)} has {monomials} "
                f"coefficients; found {nodes} nodes, {known}; add nodes, or lower the degree"
            )
            raise InputError(msg)
        check_parameters(self._declared())

    @property
    def monomials(self) -> tuple[tuple[int, ...], ...]:
        """Powers of the parameters in each monomial."""
        powers = itertools.product(range(self.degree + 1), repeat=len(self.parameters))
        return tuple(sorted((p for p in powers if sum(p) <= self.degree), key=lambda p: (sum(p), p)))

    @property
    def _places(self) -> list[tuple[float, ...]]:
        return [node if isinstance(node, tuple) else (node,) for node in self.nodes]

    def _ends(self) -> tuple[Vector, Vector]:
        places = np.array(self._places, dtype=np.float64)
        return places.min(axis=0), places.max(axis=0)

    def _design(self, places: Matrix) -> Matrix:
        """Return ``monomial[node, monomial]``, of parameters that run from -1 to 1."""
        lower, upper = self._ends()
        half = np.where(upper > lower, (upper - lower) / 2, 1.0)
        scaled = (places - (lower + upper) / 2) / half
        columns = [math.prod(scaled[:, i] ** p for i, p in enumerate(powers)) for powers in self.monomials]
        design: Matrix = np.stack(np.broadcast_arrays(*columns, scaled[:, 0])[:-1], axis=1).astype(np.float64)
        return design

    @property
    def _rank(self) -> int:
        return int(np.linalg.matrix_rank(self._design(np.array(self._places)), tol=_ALIKE))

    def _declared(self) -> tuple[Parameter, ...]:
        lower, upper = self._ends()
        ends = zip(self.parameters, lower.tolist(), upper.tolist(), strict=True)
        return tuple(Parameter(name, (low + high) / 2, low, high) for name, low, high in ends)

    def factors(self, values: Vector) -> Vector:
        """Return ``factor[node]``: what each node counts in the prediction at some values of the parameters.

        >>> Grid(["c"], {0: None, 1: None, 2: None}).factors(np.array([0.5])).round(3).tolist()  # Lagrange's
        [0.375, 0.75, -0.125]
        """
        inverse = np.linalg.pinv(self._design(np.array(self._places)))
        found: Vector = self._design(np.atleast_2d(values))[0] @ inverse
        return found

    def of(self, measurement: Estimate) -> BoundModel:
        """Return the interpolation in the bins of a measurement.

        Raises
        ------
        InputError
            If a sample is in another unit, or families of one name do not fit to each other.
        """
        nodes = Mixture.of(list(self.nodes.values()), measurement)
        return BoundModel(
            self._declared(), lambda at: nodes.values(self.factors(at)), lambda at: nodes.parts(self.factors(at))
        )

    def residuals(self, measurement: Estimate) -> Matrix:
        """Return ``pull[node, bin]``: how far each sample is from the polynomial, in units of its expected spread.

        About 1 where the polynomial describes the samples within their statistics; 0 everywhere if it goes through
        them, which tells nothing.
        """
        nodes = Mixture.of(list(self.nodes.values()), measurement)
        values, variances = nodes.nominal, np.diagonal(nodes.statistics, axis1=1, axis2=2)
        design = self._design(np.array(self._places))
        rest = np.eye(len(values)) - design @ np.linalg.pinv(design)
        spread = np.sqrt(np.maximum(rest**2 @ variances, 0))
        off = rest @ values
        exact = np.abs(rest).max() < _ALIKE
        pulls: Matrix = np.divide(off, spread, out=np.zeros_like(off), where=(spread > 0) & (not exact))
        return pulls
