"""The command that writes a page for someone who must decide on a result: report."""

from __future__ import annotations

import re
from pathlib import Path

import click

from omnifold_pub.cli.console import Wishes, progress_bars, release_argument, wish_options, wished
from omnifold_pub.cli.theories import Question, TheoryFiles, a_file, theory_options

__all__ = ["report"]


def _output(ctx: click.Context, _: click.Parameter, value: Path | None) -> Path:
    """Return where the page goes: into the working directory, unless it is said."""
    if value is None:
        release = ctx.params["release"]
        name = release.name if isinstance(release, Path) else re.split("[?#]", release)[0].rpartition("/")[2]
        return Path(f"{name.partition('.')[0] or 'release'}.report.html")
    if value.suffix.lower() not in (".html", ".htm"):
        msg = f"expected a name that ends in .html; found {str(value)!r}"
        raise click.BadParameter(msg)
    return value


@click.command()
@release_argument
@click.option(
    "-t", "--theory", "theories", type=a_file, multiple=True, help="Events of a theory. Can be given several times."
)
@theory_options
@wish_options("all columns")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=_output,
    metavar="OUT.html",
    help="Where to write it.  [default: NAME.report.html of the release's name]",
)
def report(
    release: Path | str,
    theories: tuple[Path, ...],
    files: TheoryFiles,
    observables: Wishes,
    output: Path,
) -> None:
    """Write a page about a RELEASE for someone who must decide on it: one HTML file, which needs nothing else.

    How large the uncertainties are and which dominate, whether the unfolding is to be trusted, where it is not valid;
    spectra, uncertainty budget, closure, diagnostics, validation, theories beside it, how to read and to cite it. The
    page loads nothing from anywhere and runs no script.

    Example: omnifold-pub report release.h5 --output report.html
    """
    from omnifold_pub.release import open_release
    from omnifold_pub.report import write_report

    with open_release(release) as opened, progress_bars() as progress:
        question = Question.of(opened, list(observables or opened.events))
        read = [files.read_events(path, question) for path in theories]
        path = write_report(opened, output, observables=wished(observables), theories=read, progress=progress)
    click.echo(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
