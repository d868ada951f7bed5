"""Theories that are histograms: predictions in the bins of a measurement, and no events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import InputError
from omnifold_pub.estimators.base import Statistic
from omnifold_pub.estimators.histogram import Histogram
from omnifold_pub.measurement import Estimate
from omnifold_pub.messages import shorten, suggest
from omnifold_pub.reinterpret.comparison import Comparable
from omnifold_pub.reinterpret.cross_sections import check_unit
from omnifold_pub.reinterpret.prediction import Prediction
from omnifold_pub.reinterpret.spectrum import Spectrum, check_edges, contents_of
from omnifold_pub.reinterpret.weight_families import Combination, combine, pick_members
from omnifold_pub.statistics.components import Component, ComponentResult

__all__ = ["BinnedTheory"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class BinnedTheory(Comparable):
    """Histograms that a theory predicts, each for one observable of a measurement.

    Attributes
    ----------
    name : str
        For tables and legends.
    spectra : mapping
        ``spectra[observable]``, named as the measurement's.
    unit : str or None
        Of the contents, ``pb`` or ``fb``; None: there is no cross section, only shapes can be compared.
    combinations : mapping
        Which variations make families, and how they combine.
    """

    name: str
    spectra: Mapping[str, Spectrum]
    unit: str | None
    combinations: Mapping[str, Combination] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.unit not in ("pb", "fb", None):
            msg = f"{self.name}: unit: expected 'pb', 'fb', or None for no cross section; found {shorten(self.unit)}"
            raise InputError(msg)
        if not self.spectra:
            msg = f"{self.name}: expected at least one histogram; found none"
            raise InputError(msg)
        for observable, spectrum in self.spectra.items():
            if not spectrum.contents.sum() > 0:
                total = spectrum.contents.sum()
                msg = f"{self.name}: {observable}: the bins sum to {total:g}; expected a cross section above 0"
                raise InputError(msg)
            for one in self.combinations.values():
                pick_members(one, tuple(spectrum.members), f"{self.name}: {observable}")

    @property
    def has_cross_section(self) -> bool:
        """Whether its normalisation means something."""
        return self.unit is not None

    @classmethod
    def from_histograms(
        cls,
        histograms: Mapping[str, Any],
        *,
        unit: str | None,
        name: str = "theory",
        density: bool = False,
        families: Mapping[str, tuple[Combination, Mapping[str, Mapping[str, Any]]]] | None = None,
    ) -> Self:
        """Build from histograms of `hist`, `boost_histogram`, or `uproot`: anything that follows the UHI.

        Parameters
        ----------
        histograms : mapping
            ``histograms[observable]``: of the cross section per bin; without variances it counts as exact.
        unit : {"pb", "fb"} or None
            Of the contents; None where they are no cross section.
        density : bool
            Whether the contents are divided by the widths of the bins.
        families : mapping, optional
            ``families[name] = (combination, {member: {observable: histogram}})``.

        Raises
        ------
        InputError
            If something is no histogram, holds numbers that are none, or variations that do not fit.

        Examples
        --------
        >>> import hist
        >>> filled = hist.Hist.new.Var([200, 300, 500], name="pT_ll").Weight().fill([220, 250, 320], weight=0.5)
        >>> theory = BinnedTheory.from_histograms({"pT_ll": filled}, unit="pb")
        >>> theory.spectra["pT_ll"].contents
        array([1. , 0.5])
        """
        varied: dict[str, dict[str, Array]] = {observable: {} for observable in histograms}
        combinations = {}
        for family, (combination, members) in (families or {}).items():
            combinations[family] = replace(combination, members=tuple(f"{family}:{member}" for member in members))
            for member, found in members.items():
                if set(found) != set(histograms):
                    msg = f"{name}: family {family!r}: member {member!r}: expected histograms of {sorted(histograms)}; "
                    msg += f"found {sorted(found)}"
                    raise InputError(msg)
                for observable, histogram in found.items():
                    contents, _, edges = contents_of(histogram, density=density, where=f"{name}: {observable}")
                    check_edges(
                        edges, contents_of(histograms[observable], density=density, where=name)[2], f"{name}: {member}"
                    )
                    varied[observable][f"{family}:{member}"] = contents
        spectra = {}
        for observable, histogram in histograms.items():
            contents, variances, edges = contents_of(histogram, density=density, where=f"{name}: {observable}")
            spectra[observable] = Spectrum(edges, contents, np.diag(variances), varied[observable])
        return cls(name, spectra, unit, combinations)

    @classmethod
    def from_root(
        cls,
        path: str | Path,
        observables: Mapping[str, str],
        *,
        unit: str | None,
        name: str | None = None,
        density: bool = False,
        families: Mapping[str, Combination] | None = None,
    ) -> Self:
        """Read histograms (TH1, TH2) from a ROOT file.

        Parameters
        ----------
        path : str or path-like
            The file.
        observables : mapping
            ``observables[observable]``: path of its histogram in the file.
        unit : {"pb", "fb"} or None
            Of the contents; None where they are no cross section.
        density : bool
            Whether the contents are divided by the widths of the bins.
        families : mapping, optional
            Which weights are variations: the histogram ``PATH[weight]`` is ``PATH`` under ``weight``.

        Raises
        ------
        InputError
            If the file, a histogram or a weight is missing.
        MissingExtraError
            If uproot is not installed.
        """
        from omnifold_pub.reinterpret.root_histograms import read_root_histograms

        path = Path(path)
        spectra = read_root_histograms(path, observables, density=density)
        return cls(name or path.name, spectra, unit, families or {})

    @classmethod
    def from_yoda(
        cls,
        path: str | Path,
        observables: Mapping[str, str],
        *,
        unit: str | None,
        name: str | None = None,
        families: Mapping[str, Combination] | None = None,
    ) -> Self:
        """Read from a YODA file, as Rivet writes it, plain or gzipped.

        Parameters
        ----------
        path : str or path-like
            The file, of version 2 or 3 of the format.
        observables : mapping
            ``observables[observable]``: path of its object in the file, a Histo1D, Histo2D, Estimate1D or Estimate2D.
        unit : {"pb", "fb"} or None
            Of the sums of weights of a histogram, and of an estimate times the widths of its bins, as Rivet's
            ``scale(h, crossSection() / picobarn / sumOfWeights())`` leaves them; None where they are no cross section.
        families : mapping, optional
            Which weights are variations: the object ``PATH[weight]`` is ``PATH`` under ``weight``, as Rivet has it.

        Raises
        ------
        InputError
            If the file, an object or a weight is missing, or of a kind that has no bins.
        MissingExtraError
            If babyyoda is not installed.
        """
        from omnifold_pub.reinterpret.yoda import read_yoda

        path = Path(path)
        return cls(name or path.name, read_yoda(path, observables), unit, families or {})

    def predict(self, measurement: Estimate, *, shape: bool = False) -> tuple[Array, Array]:
        """Return ``T[bin]`` and the total ``covariance[bin, bin]``; see `prediction` for parameters and errors."""
        found = self.prediction(measurement, shape=shape)
        return found.values(), found.covariance()

    def prediction(self, measurement: Estimate, *, shape: bool = False) -> Prediction:
        """Return the histograms in the form of what was measured, and what each family does to them.

        Contents are divided by widths and by their sum where the measurement's are. Histograms of several observables
        count as independent of each other in their own statistics: nobody knows which events they share. The families
        correlate them.

        Parameters
        ----------
        measurement : Estimate
            Of histograms alone, without selections: their names choose the spectra, their bins must be the same.
        shape : bool
            Allow a theory without a cross section: only the shape of what is returned means something then.

        Raises
        ------
        InputError
            If a histogram is missing, its bins are others, the unit is another one, or there is no cross section where
            one is needed.
        """
        check_unit(self.name, self.unit, measurement.weight_unit, measurement.statistics, shape=shape)
        pairs = [(statistic, self._spectrum(statistic)) for statistic in measurement.statistics]
        nominal = np.concatenate([_finish(s, spectrum.contents[:, np.newaxis])[:, 0] for s, spectrum in pairs])
        covariance = np.zeros((len(nominal), len(nominal)))
        for (statistic, spectrum), place in zip(pairs, measurement.slices, strict=True):
            jacobian = _jacobian(statistic, spectrum.contents)
            covariance[place, place] = jacobian @ spectrum.covariance @ jacobian.T
        own = ComponentResult(Component("statistics", "event_sampling"), np.empty((0, len(nominal))), covariance)
        results = [own]
        for family, combination in self.combinations.items():
            names = pick_members(combination, tuple(pairs[0][1].members), self.name)
            parts = [_finish(s, np.stack([spectrum.members[n] for n in names], axis=1)) for s, spectrum in pairs]
            results.append(combine(family, combination, np.ascontiguousarray(np.concatenate(parts).T), nominal))
        return Prediction(self.name, nominal, tuple(results), self.combinations, self.has_cross_section)

    def _spectrum(self, statistic: Statistic) -> Spectrum:
        where = f"{self.name}: {shorten(statistic.name)}"
        if not isinstance(statistic, Histogram):
            msg = f"{where}: a theory of histograms predicts histograms; found {type(statistic).__name__.lower()}"
            raise InputError(msg)
        spectrum = self.spectra.get(statistic.name)
        if spectrum is None:
            msg = (
                f"{self.name}: no histogram of {shorten(statistic.name)}; {suggest(statistic.name, list(self.spectra))}"
            )
            raise InputError(msg)
        check_edges(spectrum.edges, tuple(axis.edges for axis in statistic.axes), where)
        return spectrum


def _finish(statistic: Statistic, contents: Array) -> Array:
    """Return ``T[bin, member]`` of ``content[bin, member]``."""
    assert isinstance(statistic, Histogram)  # noqa: S101 - who calls it sees to it
    return statistic.finish(contents)


def _jacobian(statistic: Statistic, contents: Array) -> Array:
    """Return ``d T / d content``, ``[bin, bin]``."""
    assert isinstance(statistic, Histogram)  # noqa: S101
    one = np.eye(len(contents))
    if not statistic.normalise:
        return statistic.finish(one)
    total = contents.sum()
    return replace(statistic, normalise=False).finish(
        (one - np.outer(contents / total, np.ones(len(contents)))) / total
    )
