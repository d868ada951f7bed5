"""Theories beside a measurement: how they are read, and what they predict of it as it is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import OmnifoldPubError
from omnifold_pub.estimators import Histogram
from omnifold_pub.measurement import Estimate, Measurement
from omnifold_pub.reinterpret.prediction import Predicting, Prediction

__all__ = ["Known", "Offered", "Overlay", "Recipe", "overlay_of"]

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Recipe:
    """How somebody else reads a theory, for people to copy.

    Attributes
    ----------
    reader : str
        Which of ``Theory``'s class methods: ``from_root``.
    path : str
        The file.
    options : mapping
        What it takes, but for ``columns``.
    takes_columns : bool
        Whether it is to be told the columns.
    then : str
        What is called on the theory afterwards, such as ``.in_unit('fb')``.
    arguments : tuple of str
        What ``omnifold-pub compare`` takes for the same, the file first.
    """

    reader: str
    path: str
    options: Mapping[str, object] = field(default_factory=dict)
    takes_columns: bool = True
    then: str = ""
    arguments: tuple[str, ...] = ()

    def python(self, columns: Sequence[str]) -> str:
        """Return the expression that reads it, with so many of its columns."""
        given = [repr(self.path), *(f"{name}={value!r}" for name, value in self.options.items())]
        if self.takes_columns:
            given.append(f"columns={list(columns)!r}")
        return f"omnifold_pub.Theory.{self.reader}({', '.join(given)}){self.then}"


@dataclass(frozen=True)
class Offered:
    """A theory that the page shows beside every measurement.

    Attributes
    ----------
    theory : Predicting
        The theory.
    recipe : Recipe, optional
        How it is read.
    """

    theory: Predicting
    recipe: Recipe | None = None

    @property
    def name(self) -> str:
        """Of the theory."""
        return str(self.theory.name)


@dataclass(frozen=True, eq=False)
class Overlay:
    """What a theory predicts of a measurement as it is shown; or why it does not.

    Attributes
    ----------
    name : str
        Of the theory.
    values, errors : numpy.ndarray
        ``[bin]``; empty if there is none.
    problem : str
        What stands against it; empty if nothing does.
    """

    name: str
    values: Vector
    errors: Vector
    problem: str = ""


@dataclass(frozen=True, eq=False)
class Known:
    """A theory of which one prediction is known, whatever it is asked for.

    Attributes
    ----------
    name, unit, has_cross_section
        Of the theory.
    predicted : Prediction
        What it predicts.
    """

    name: str
    unit: str | None
    has_cross_section: bool
    predicted: Prediction

    def predict(self, measurement: Estimate, *, shape: bool = False) -> tuple[Vector, Matrix]:  # noqa: ARG002
        """Return its values and their covariance."""
        return self.predicted.values(), self.predicted.covariance()

    def prediction(self, measurement: Estimate, *, shape: bool = False) -> Prediction:  # noqa: ARG002
        """Return it."""
        return self.predicted


def overlay_of(measurement: Measurement, offered: Offered) -> Overlay:
    """Return a theory's prediction, from the contents of its bins: sum over bins and widths divide these."""
    shown = measurement.statistic
    assert isinstance(shown, Histogram)  # noqa: S101 - questions are about nothing else
    plain = replace(measurement, statistics=(replace(shown, density=False, normalise=False),))
    try:
        predicted = offered.theory.prediction(plain, shape=shown.normalise)
        if shown.normalise:
            predicted = predicted.normalised(plain.slices, names=plain.names)
    except OmnifoldPubError as error:
        return Overlay(offered.name, np.empty(0), np.empty(0), str(error))
    values, errors = predicted.values(), predicted.uncertainties()
    width = shown.axes[0].widths if shown.density else np.ones(len(values))
    return Overlay(offered.name, values / width, errors / width)
