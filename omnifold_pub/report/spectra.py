"""The spectra that a report shows: which observables, in which bins, and what could not be measured."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from omnifold_pub.errors import ObservableError, ValidityWarning
from omnifold_pub.measurement import JointMeasurement, Measurement
from omnifold_pub.messages import shorten
from omnifold_pub.observables.binning import Axis, Bins
from omnifold_pub.observables.events import Definition
from omnifold_pub.progress import Progress
from omnifold_pub.release import Release

__all__ = ["BINS", "Observables", "Spectra", "measure_spectra"]

Observables = Sequence[str] | Mapping[str, Bins | tuple[Definition, Bins]]
"""Columns or expressions; or, by name, bins or ``(definition, bins)``."""

BINS = 8
"""Bins at most that are proposed for an observable."""


@dataclass(frozen=True, eq=False)
class Spectra:
    """What was measured for a report.

    Attributes
    ----------
    joint : JointMeasurement or None
        All spectra with the covariance between them; None if there is not one.
    definitions : dict
        What each is a spectrum of.
    refused : dict
        Observable to the reason why it has no spectrum.
    warnings : tuple of str
        What the publisher does not vouch for in bins that were asked for.
    """

    joint: JointMeasurement | None
    definitions: dict[str, Definition]
    refused: dict[str, str]
    warnings: tuple[str, ...]

    @property
    def measurements(self) -> dict[str, Measurement]:
        """Each spectrum by its name."""
        return {} if self.joint is None else {name: self.joint[name] for name in self.joint.names}


def _wanted(release: Release, observables: Observables | None) -> dict[str, tuple[Definition, Bins | None]]:
    """Return definition and bins, where they are given, by name."""
    if not isinstance(observables, Mapping):
        names = list(release.events) if observables is None else list(observables)
        return {name: (name, None) for name in names}
    wanted: dict[str, tuple[Definition, Bins | None]] = {}
    for name, given in observables.items():
        pair = isinstance(given, tuple) and len(given) == 2 and (isinstance(given[0], str) or callable(given[0]))
        wanted[name] = given if pair else (name, given)  # type: ignore[assignment]
    return wanted


def measure_spectra(release: Release, observables: Observables | None, *, progress: Progress) -> Spectra:
    """Measure observables in one pass, in bins that the publisher vouches for where none are given.

    Raises
    ------
    ObservableError
        If an observable or bins that were asked for cannot be used.
    """
    binned: dict[str, tuple[Definition, Axis]] = {}
    refused: dict[str, str] = {}
    wanted = _wanted(release, observables)
    for number, (name, (definition, bins)) in enumerate(wanted.items()):
        progress(number, len(wanted), "choosing bins")
        if bins is not None:
            binned[name] = (definition, Axis.from_bins(bins, name=name))
            continue
        try:
            binned[name] = (definition, release.suggest_bins(definition, BINS, nan="drop"))
        except ObservableError as error:
            if observables is not None:
                raise
            refused[name] = str(error)
    progress(len(wanted), len(wanted), "choosing bins")
    definitions = {name: definition for name, (definition, _) in binned.items()}
    if not binned:
        return Spectra(None, definitions, refused, ())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ValidityWarning)
        joint = release.measure(binned, nan="drop", progress=progress)
    for statistic in joint.statistics:
        if len(getattr(statistic, "axes", ())) != 1:
            msg = f"report: {shorten(statistic.name)}: expected bins of one observable; found {shorten(statistic)}"
            raise ObservableError(msg)
    told = tuple(str(one.message) for one in caught if issubclass(one.category, ValidityWarning))
    return Spectra(joint, definitions, refused, told)
