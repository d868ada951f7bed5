"""The kinds of pictures that the command plot draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from omnifold_pub.cli.theories import Question, TheoryFiles
from omnifold_pub.errors import ReleaseError
from omnifold_pub.observables.events import NanRule

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from omnifold_pub.measurement import JointMeasurement, Measurement
    from omnifold_pub.observables.binning import Bins
    from omnifold_pub.plots import Curve
    from omnifold_pub.progress import Progress
    from omnifold_pub.reinterpret.prediction import Predicting
    from omnifold_pub.release import Release

__all__ = ["KINDS", "Wish", "save"]

_WIDE, _FLAT = (6.4, 5.2), (7.2, 4.2)


@dataclass(frozen=True)
class Wish:
    """What is to be drawn of a release.

    Attributes
    ----------
    release : Release
        Open.
    bins : dict
        By observable; None where they are to be proposed.
    measuring : dict
        Options of `omnifold_pub.Release.measure`.
    files : TheoryFiles
        How theories are read.
    theories : tuple of pathlib.Path
        Their files.
    prior : bool
        Whether the simulation before unfolding is drawn too.
    component, test : str or None
        Of the covariance; of the closure.
    bands : str
        See `omnifold_pub.plots.ratio`.
    progress : callable or None
        Of measuring.
    """

    release: Release
    bins: Mapping[str, list[float] | None]
    measuring: Mapping[str, Any]
    files: TheoryFiles
    theories: tuple[Path, ...]
    prior: bool
    component: str | None
    test: str | None
    bands: Any
    progress: Progress | None

    def _axis(self, name: str) -> Bins:
        edges = self.bins[name]
        nan: NanRule = self.measuring["nan"]
        return self.release.suggest_bins(name, nan=nan) if edges is None else edges

    @cached_property
    def joint(self) -> JointMeasurement:
        """All observables together."""
        axes = {name: self._axis(name) for name in self.bins}
        return self.release.measure(axes, **self.measuring, progress=self.progress)

    @cached_property
    def one(self) -> Measurement:
        """The one observable."""
        return self.joint[self.joint.names[0]]

    @cached_property
    def two(self) -> Measurement:
        """Two observables against each other."""
        names = list(self.bins)
        return self.release.measure(names, [self._axis(name) for name in names], **self.measuring)

    def predictions(self) -> list[Predicting]:
        """Return the prior, if it is wanted, and the theories.

        Raises
        ------
        ReleaseError
            If the release holds no prior weights.
        """
        from omnifold_pub.closure import prior_theory

        found: list[Predicting] = [prior_theory(self.release)] if self.prior else []
        return [
            *found,
            *self.files.read_all(
                self.theories, Question.of(self.release, list(self.bins), where=self.measuring["where"])
            ),
        ]

    def curves(self) -> tuple[Curve, ...]:
        """Return the predictions of the one observable."""
        from omnifold_pub import plots

        return plots.curves_of(self.one, self.predictions())


def _axes(size: tuple[float, float] = _WIDE) -> Axes:
    from matplotlib.figure import Figure

    drawn: Axes = Figure(figsize=size, layout="constrained").subplots()
    return drawn


def _closure(wish: Wish) -> Figure | Axes:
    from omnifold_pub import plots

    metadata = wish.release.metadata
    if not wish.bins:
        return plots.closure(metadata, ax=_axes(_FLAT))
    tests = [entry["name"] for entry in metadata["closure"].get("tests", [])]
    if not tests:
        msg = f"{wish.release.path}: the release holds no weights of a closure test to repeat it; draw it without -o"
        raise ReleaseError(msg)
    observable = next(iter(wish.bins))
    spectra = wish.release.closure(wish.test or tests[0], observable, wish.one.axes[0], nan=wish.measuring["nan"])
    return plots.closure_figure(spectra, measurement=wish.one, title=f"closure: {wish.test or tests[0]}")


def _iterations(wish: Wish) -> Figure:
    from omnifold_pub import plots

    diagnostics = wish.release.metadata["unfolding"].get("diagnostics", [])
    if not diagnostics:
        msg = f"{wish.release.path}: the release says nothing of its trainings (unfolding.diagnostics): none to draw"
        raise ReleaseError(msg)
    return plots.training_figure(diagnostics)


def _fan(wish: Wish) -> Axes:
    from omnifold_pub import plots

    if wish.component is None:
        there = ", ".join(c.name for c in wish.release.components if c.has_family)
        msg = f"--kind fan draws the members of one component: say which with --component; there are {there}"
        raise click.UsageError(msg)
    return plots.fan(wish.one, component=wish.component, ax=_axes())


def _spectrum(wish: Wish) -> Figure:
    from omnifold_pub import plots

    title = str(wish.release.metadata["title"])
    return plots.spectrum_figure(wish.one, curves=wish.curves(), bands=wish.bands, title=title)


def _pulls(wish: Wish) -> Axes:
    from omnifold_pub import plots

    if not wish.theories and not wish.prior:
        msg = "--kind pulls draws predictions: give a --theory, or --prior"
        raise click.UsageError(msg)
    return plots.pulls(wish.one, wish.curves(), ax=_axes())


def _ranking(wish: Wish) -> Axes:
    from omnifold_pub import plots
    from omnifold_pub.reinterpret.ranking import rank

    if not wish.theories:
        msg = "--kind ranking draws theories: give one --theory or several"
        raise click.UsageError(msg)
    return plots.ranking(rank(wish.joint, wish.predictions()), ax=_axes(_FLAT))


def _correlation(wish: Wish) -> Axes:
    from omnifold_pub import plots

    drawn = wish.one if len(wish.bins) == 1 else wish.joint
    return plots.correlation(drawn, component=wish.component, ax=_axes())


def _covariance(wish: Wish) -> Axes:
    from omnifold_pub import plots

    drawn = wish.one if len(wish.bins) == 1 else wish.joint
    return plots.covariance(drawn, component=wish.component, relative=len(wish.bins) > 1, ax=_axes())


def _breakdown(wish: Wish) -> Axes:
    from omnifold_pub import plots

    return plots.breakdown(wish.one, ax=_axes())


def _weights(wish: Wish) -> Axes:
    from omnifold_pub import plots

    families = None if wish.component is None else [wish.component]
    return plots.weights(wish.release, families=families, ax=_axes())


def _plane(wish: Wish) -> Figure:
    from omnifold_pub import plots

    return plots.plane_figure(wish.two, title=str(wish.release.metadata["title"]))


KINDS: Mapping[str, Callable[[Wish], Figure | Axes]] = {
    "spectrum": _spectrum,
    "breakdown": _breakdown,
    "correlation": _correlation,
    "covariance": _covariance,
    "fan": _fan,
    "pulls": _pulls,
    "ranking": _ranking,
    "2d": _plane,
    "weights": _weights,
    "closure": _closure,
    "iterations": _iterations,
}


def save(drawn: Figure | Axes, output: Path) -> None:
    """Write a picture: whole or not at all, without the date, so that the same picture is the same file."""
    from matplotlib.figure import Figure

    from omnifold_pub.atomic import replacing

    figure = drawn if isinstance(drawn, Figure) else drawn.get_figure(root=True)
    assert figure is not None  # noqa: S101 - axes of ours are in a figure
    kind = output.suffix[1:].lower()
    dates: dict[str, Any] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {"Software": None}}
    with replacing(output) as temporary:
        figure.savefig(temporary, format=kind, metadata=dates[kind])
