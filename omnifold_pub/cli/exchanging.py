"""Commands of whoever takes a release to another program: export and its formats."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Literal, cast

import click

from omnifold_pub.cli import exporting, likelihoods
from omnifold_pub.cli.console import Wishes, release_argument
from omnifold_pub.cli.measuring import measured, measured_options
from omnifold_pub.observables.events import NanRule

__all__ = ["export"]

_EVENTS = "events"


class _ExportGroup(click.Group):
    """Takes ``export RELEASE OUT`` for ``export events RELEASE OUT``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the command there where none is named."""
        helps = ctx.help_option_names
        if args and args[0] not in self.commands and args[0] not in helps:
            args = [_EVENTS, *args]
        return super().parse_args(ctx, args)


@click.group(cls=_ExportGroup)
def export() -> None:
    """Write a release, or measurements of it, in the format of another program.

    `export RELEASE OUT` is `export events RELEASE OUT`: all events as Parquet, ROOT or pandas. The other formats hold
    binned measurements; without -o they are of every observable of the release, in bins that its publisher vouches for.

    Example: omnifold-pub export hepdata release.h5 submission
    """


export.add_command(exporting.export, _EVENTS)
export.add_command(likelihoods.pyhf)
export.add_command(likelihoods.hs3)


@export.command()
@release_argument
@click.argument("out", type=click.Path(path_type=Path))
@measured_options
@click.option("--density", is_flag=True, help="Divide by the widths of the bins.")
@click.option("--normalise", is_flag=True, help="Divide by the sum over all bins, of each observable.")
@click.option("--doi", default="", help="Of the release.  [default: that of its metadata]")
@click.option("--reaction", "reactions", multiple=True, help="In HEPData's notation, such as 'P P --> Z0 JET X'.")
@click.option("--no-members", is_flag=True, help="Leave out the values under each replica.")
@click.option("--overwrite", is_flag=True, help="Replace a submission that is already there.")
def hepdata(
    release: Path | str,
    out: Path,
    observables: Wishes,
    where: str | None,
    nan: NanRule,
    density: bool,  # noqa: FBT001
    normalise: bool,  # noqa: FBT001
    doi: str,
    reactions: tuple[str, ...],
    no_members: bool,  # noqa: FBT001
    overwrite: bool,  # noqa: FBT001
) -> None:
    """Write the submission OUT to HEPData: a folder, or an archive if it ends in .tar.gz.

    It holds a table for each observable with the error of each source, covariances and correlations by component, and
    points to the release's DOI with its SHA-256.

    Example: omnifold-pub export hepdata release.h5 submission.tar.gz --doi 10.5281/zenodo.11507450
    """
    from omnifold_pub.exchange.hepdata import Record, write_submission
    from omnifold_pub.release import open_release

    with open_release(release) as opened:
        joint = measured(opened, observables, where=where, nan=nan, density=density, normalise=normalise)
        metadata = opened.metadata
    record = Record(metadata, doi, _files(release), reactions)
    document = joint.to_dict(members=not no_members)
    write_submission(joint, document, out, record=record, overwrite=overwrite)
    click.echo(f"{out}: {len(joint.names)} observables, {len(joint.values())} bins, {len(joint.components)} components")
    if not record.resources():
        click.echo(
            "note: no DOI of the release is known; give --doi, so that the record points to its events", err=True
        )


def _files(release: Path | str) -> tuple[Path, ...]:
    """Return the files of a release whose checksums can be had."""
    from omnifold_pub.format.manifest import is_manifest, read_manifest

    if isinstance(release, str):
        return ()
    parts = (
        [release.with_name(entry["file"]) for entry in read_manifest(release)["files"]] if is_manifest(release) else []
    )
    return (release, *parts)


@export.command()
@release_argument
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@measured_options
@click.option("--analysis", required=True, help="Name of the Rivet analysis, such as ATLAS_2024_I2791852.")
@click.option("--integrated", is_flag=True, help="Do not divide by the widths of the bins, as Rivet's histograms do.")
@click.option("--normalise", is_flag=True, help="Divide by the sum over all bins, of each observable.")
@click.option(
    "--yoda",
    "version",
    type=click.Choice(["1", "2"]),
    default="2",
    show_default=True,
    help="Version of YODA; 1 is for Rivet 3.",
)
def yoda(
    release: Path | str,
    out: Path,
    observables: Wishes,
    where: str | None,
    nan: NanRule,
    analysis: str,
    integrated: bool,  # noqa: FBT001
    normalise: bool,  # noqa: FBT001
    version: str,
) -> None:
    """Write reference data OUT of YODA with the error breakdown, for Rivet and Contur.

    Example: omnifold-pub export yoda release.h5 reference.yoda --analysis OMNIFOLD_2026_I1 -o pT_ll -b 200,300,450,1000
    """
    from omnifold_pub.exchange.warning import ExchangeWarning
    from omnifold_pub.exchange.yoda import write_yoda
    from omnifold_pub.release import open_release

    with open_release(release) as opened:
        joint = measured(opened, observables, where=where, nan=nan, density=not integrated, normalise=normalise)
    with warnings.catch_warnings():
        warnings.simplefilter("always", ExchangeWarning)  # shown each time, as the program shows warnings
        write_yoda(joint, out, analysis=analysis, version=cast("Literal[1, 2]", int(version)))
    for number, name in enumerate(joint.names, start=1):
        click.echo(f"/REF/{analysis}/d{number:02d}-x01-y01: {name}")


@export.command()
@release_argument
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@measured_options
@click.option("--density", is_flag=True, help="Divide by the widths of the bins.")
@click.option("--normalise", is_flag=True, help="Divide by the sum over all bins, of each observable.")
@click.option("--prefix", default="", help="Before the names of sources, to keep those of other experiments apart.")
def smefit(
    release: Path | str,
    out: Path,
    observables: Wishes,
    where: str | None,
    nan: NanRule,
    density: bool,  # noqa: FBT001
    normalise: bool,  # noqa: FBT001
    prefix: str,
) -> None:
    """Write a data set OUT of SMEFiT, whose name is that of the file.

    Example: omnifold-pub export smefit release.h5 OMNIFOLD_Z_13TEV_PTLL.yaml -o pT_ll -b 200,300,450,1000
    """
    from omnifold_pub.exchange.smefit import write_smefit
    from omnifold_pub.release import open_release

    with open_release(release) as opened:
        joint = measured(opened, observables, where=where, nan=nan, density=density, normalise=normalise)
        metadata = opened.metadata
    write_smefit(joint, out, prefix=prefix, metadata=metadata)
    click.echo(f"{out}: {len(joint.values())} values")
