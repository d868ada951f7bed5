"""Theories against the spectra of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from omnifold_pub.errors import StatisticsError
from omnifold_pub.estimators import Histogram
from omnifold_pub.measurement import Measurement
from omnifold_pub.observables.events import Definition, columns_used
from omnifold_pub.progress import Progress
from omnifold_pub.reinterpret.comparison import compare
from omnifold_pub.reinterpret.theory import Theory

__all__ = ["Compared", "compare_spectra", "knows"]


@dataclass(frozen=True)
class Compared:
    """One theory against one spectrum.

    Attributes
    ----------
    theory, observable : str
        Their names.
    shape_only : bool
        Whether the theory has no cross section, so that shapes were compared.
    dof : int
        Degrees of freedom.
    chi2, p_value : float or None
        None where the covariance cannot be inverted.
    """

    theory: str
    observable: str
    shape_only: bool
    dof: int
    chi2: float | None
    p_value: float | None


def knows(theory: Theory, definition: Definition) -> bool:
    """Tell whether a theory has the columns of an observable; of a function nobody knows, and it is tried."""
    return not isinstance(definition, str) or set(columns_used(definition, theory.events)) <= set(theory.events)


def compare_spectra(
    theories: Sequence[Theory],
    measurements: Mapping[str, Measurement],
    definitions: Mapping[str, Definition],
    *,
    progress: Progress,
) -> tuple[Compared, ...]:
    """Compare theories with spectra, each by itself; an observable whose columns a theory lacks is left out.

    Parameters
    ----------
    measurements : mapping
        Spectra by name.
    definitions : mapping
        What each is a spectrum of.

    Raises
    ------
    InputError
        If a theory is in another unit, or has no event in any bin.
    """
    found: list[Compared] = []
    total = len(theories) * len(measurements)
    done = 0
    for theory in theories:
        shape = not theory.has_cross_section
        for name, measured in measurements.items():
            progress(done, total, "comparing")
            done += 1
            statistic = measured.statistic
            if not knows(theory, definitions[name]):
                continue
            if shape and (len(measured.nominal) < 2 or not isinstance(statistic, Histogram)):
                continue
            try:
                test = compare(measured, theory, shape_only=shape).test
            except StatisticsError:  # fewer replicas than bins: said on the page
                found.append(Compared(theory.name, name, shape, len(measured.nominal), None, None))
                continue
            found.append(Compared(theory.name, name, shape, test.dof, test.chi2, test.p_value))
    if total:
        progress(total, total, "comparing")
    return tuple(found)
