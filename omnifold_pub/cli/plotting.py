"""The command that draws: plot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from omnifold_pub.cli.console import Wishes, nan_option, progress_bars, release_argument, where_option, wish_options
from omnifold_pub.cli.pictures import KINDS, Wish, save
from omnifold_pub.cli.theories import a_file, theory_options
from omnifold_pub.messages import shorten
from omnifold_pub.observables.events import NanRule

__all__ = ["plot"]

_SUFFIXES = (".png", ".pdf", ".svg")
_FROM = {"spectrum": (1, 1), "breakdown": (1, 1), "fan": (1, 1), "pulls": (1, 1), "2d": (2, 2)}
_FROM |= {"correlation": (1, 99), "covariance": (1, 99), "ranking": (1, 99)}
_FROM |= {"closure": (0, 1), "weights": (0, 0), "iterations": (0, 0)}


def _check_number(kind: str, observables: Wishes) -> None:
    """Refuse more or fewer observables than a kind of picture takes."""
    least, most = _FROM[kind]
    if not least <= len(observables) <= most:
        wanted = str(least) if least == most else f"{least} or more" if most > 1 else f"{least} or {most}"
        msg = f"--kind {kind} takes {wanted} --observable; found {len(observables)}"
        raise click.UsageError(msg)


@click.command()
@release_argument
@wish_options()
@click.option("--kind", type=click.Choice(list(KINDS)), default="spectrum", show_default=True, help="What to draw.")
@click.option(
    "--bands",
    type=click.Choice(["stacked", "separate", "total"]),
    default="stacked",
    show_default=True,
    help="Spectrum: its uncertainty by component, one on the other or each by itself, or in all.",
)
@click.option(
    "-t", "--theory", "theories", type=a_file, multiple=True, help="A theory's file, as for the command compare."
)
@click.option("--prior", is_flag=True, help="Draw the simulation before unfolding as a theory.")
@theory_options
@click.option("--component", metavar="NAME", help="Fan, correlation, covariance, weights: of one component.")
@click.option("--test", metavar="NAME", help="Closure of an --observable: the test to repeat.  [default: the first]")
@where_option
@click.option("--normalise", is_flag=True, help="Divide by the sum over all bins, of each observable.")
@nan_option
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The picture: a file that ends in .png, .pdf or .svg. One that is there is replaced.",
)
def plot(
    release: Path | str,
    observables: Wishes,
    kind: str,
    output: Path,
    where: str | None,
    normalise: bool,  # noqa: FBT001
    nan: NanRule,
    **options: Any,
) -> None:
    """Draw a RELEASE: a spectrum with its uncertainty by component and theories, matrices, closure, trainings.

    Weights, iterations and closure need no --observable; 2d takes two; correlation, covariance and ranking any number.

    Example: omnifold-pub plot release.h5 -o pT_ll -b 200,300,450,1000 --prior --output pT_ll.png

    Example: omnifold-pub plot release.h5 -o pT_ll -o m_trackj1 --kind correlation --output correlation.pdf
    """
    if output.suffix.lower() not in _SUFFIXES:
        msg = f"--output: expected a name that ends in {', '.join(_SUFFIXES)}; found {shorten(output.name)}"
        raise click.UsageError(msg)
    _check_number(kind, observables)
    from omnifold_pub import plots
    from omnifold_pub.release import open_release

    measuring = {"where": where, "normalise": normalise, "nan": nan}
    with open_release(release) as opened, progress_bars() as progress, plots.style():
        wish = Wish(opened, observables, measuring, progress=progress, **options)
        save(KINDS[kind](wish), output)
    click.echo(str(output))
