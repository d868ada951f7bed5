"""Commands of the publisher: demo, publish."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from omnifold_pub.cli.console import (
    EXIT_AT_FAULT,
    echo_sizes,
    format_p_value,
    progress_bars,
    publishing_options,
    show_table,
    workers_option,
)

if TYPE_CHECKING:
    from omnifold_pub.closure import Metric

__all__ = ["demo", "publish"]

_folder = click.Path(file_okay=False, path_type=Path)


@click.command()
@click.option(
    "--inputs",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default="tests/data/zjets",
    show_default=True,
    help="Folder with the small samples and their analysis.yaml.",
)
@click.option(
    "--output", type=_folder, default="build/demo", show_default=True, help="Folder for release, pictures, summary."
)
@workers_option
@click.pass_context
def demo(ctx: click.Context, inputs: Path, output: Path, workers: int | None) -> None:
    """Run the whole job on a small real sample.

    Unfolds pseudo-data, publishes and validates a release, measures observables that nobody declared,
    compares a theory with them, and checks the result against the truth of the pseudo-data.
    """
    from omnifold_pub.demo import run_demo

    with progress_bars() as progress:
        result = run_demo(output, inputs=inputs, workers=workers, progress=progress)
    unit = result.metadata["weights"]["unit"]
    value, error = float(result.cross_section.values()[0]), float(result.cross_section.uncertainties()[0])
    click.echo(f"Fiducial cross section: {value:.4f} +- {error:.4f} {unit} unfolded,")
    click.echo(f"  {result.truth_cross_section:.4f} {unit} in the truth of the pseudo-data,")
    click.echo(f"  {result.prior_cross_section:.4f} {unit} in the simulation before unfolding\n")
    show_table(
        "Closure: chi2 to the truth, with the published covariance",
        ("observable", "bins", "prior", "unfolded", "p", "than the prior"),
        [
            (row.observable, row.bins, *_chi2(row.chi2), format_p_value(row.p_value), row.verdict)
            for row in result.closure.rows
        ],
    )
    test = result.comparison.test
    click.echo(f"\n{result.comparison.theory} against {', '.join(result.measurement.names)} together:")
    click.echo(f"  chi2 = {test.chi2:.1f} for {test.bins} bins, p = {test.p_value:.2g} ({test.method})")
    click.echo(f"Validation of {result.release}: {'valid' if result.report.valid else 'NOT VALID'}\n")
    program = sys.argv[0]  # as it was called: the user may not have it on the path
    click.echo(f"Look at {output / 'summary.html'} and the {len(result.pictures)} pictures beside it. Then try:")
    click.echo(f"  {program} info {result.release}")
    click.echo(f"  {program} measure {result.release} -o 'pT_trackj1 / pT_ll' -b 0,0.4,0.6,0.8,1,2")
    click.echo(
        f"  {program} compare {result.release} {inputs / 'theory.root'} --tree events --weight weight --unit {unit} "
        "--sentinel -99 -o m_trackj1 -b 0,4,7,10,14,19,26,60"
    )
    click.echo(f"  {program} explore {result.release}")
    if not result.report.valid:
        ctx.exit(EXIT_AT_FAULT)


def _chi2(chi2: Metric) -> tuple[str, str]:
    return f"{chi2.prior:.1f}", f"{chi2.unfolded:.1f}"


@click.command()
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("release", type=click.Path(dir_okay=False, path_type=Path))
@publishing_options
@click.option("--networks", is_flag=True, help="Publish the trained networks of the ensemble too.")
@click.option(
    "--closure",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="TABLE.json",
    help="What omnifold-pub closure --json printed, for the metadata.",
)
def publish(run: Path, release: Path, networks: bool, closure: Path | None, **options: Any) -> None:  # noqa: FBT001
    """Write the weights of a finished RUN directory into a RELEASE (HDF5).

    The release appears under its name only when it is whole and has passed validation.

    Example: omnifold-pub publish build/run release.h5
    """
    from omnifold_pub.closure import read_results, with_results
    from omnifold_pub.publish import publish as write
    from omnifold_pub.unfold.collection import collect

    found = [] if closure is None else read_results(closure)
    with progress_bars() as progress:
        result = collect(run, networks=networks)
        if found:
            closed = with_results(result.metadata["closure"], found)
            result = replace(result, metadata={**result.metadata, "closure": closed})
        path = write(result, release, progress=progress, **options)
    echo_sizes(path)
