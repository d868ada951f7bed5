"""Command of whoever wants a release in another format: export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from omnifold_pub.cli.console import local_release_argument, progress_bars

if TYPE_CHECKING:
    from omnifold_pub.export import ExportFormat

__all__ = ["export"]


@click.command()
@local_release_argument
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--format",
    "wanted",
    type=click.Choice(["pandas", "parquet", "root"]),
    default=None,
    help="Format of the export.  [default: told by the suffix, .parquet or .root]",
)
@click.option("--overwrite", is_flag=True, help="Replace files that are already there.")
def export(release: Path, out: Path, wanted: ExportFormat | None, overwrite: bool) -> None:  # noqa: FBT001
    """Write a RELEASE in another format, one row per event: Parquet, ROOT (TTree) or pandas (HDF5).

    Bits and types are kept, the metadata go in as JSON. Each canvas goes to a file of its own beside OUT. Networks
    are not exported.

    Example: omnifold-pub export release.h5 release.parquet
    """
    from omnifold_pub.export import export as write
    from omnifold_pub.release import open_release

    with open_release(release) as opened, progress_bars() as progress:
        done = write(opened, out, format=wanted, overwrite=overwrite, progress=progress)
    for path in done.paths:
        click.echo(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
    if done.networks_left_out:
        click.echo(f"Not exported: {len(done.networks_left_out)} networks", err=True)
