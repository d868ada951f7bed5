"""Commands of whoever has weights in another format: import atlas."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from omnifold_pub.cli.console import Group, echo_sizes, progress_bars, publishing_options

if TYPE_CHECKING:
    from omnifold_pub.convert.atlas import DataKind

__all__ = ["import_"]


@click.group("import", cls=Group)
def import_() -> None:
    """Make a release of weights that another program published.

    Example: omnifold-pub import atlas multifold.h5 --data-kind data --release release.h5
    """


@import_.command()
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILES..."
)
@click.option(
    "--release", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The release to write, *.h5."
)
@click.option(
    "--data-kind",
    required=True,
    type=click.Choice(["data", "pseudodata"]),
    help="What was unfolded: both are public, and the files do not tell.",
)
@click.option(
    "--metadata",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="YAML or JSON with top-level keys of the metadata that replace ours.",
)
@click.option("--sentinel", type=float, default=-99, show_default=True, help="Value that marks an absent object.")
@click.option("--ignore", multiple=True, metavar="COLUMN", help="A column that is not of the format, to leave out.")
@publishing_options
def atlas(
    files: tuple[Path, ...],
    release: Path,
    data_kind: DataKind,
    metadata: Path | None,
    sentinel: float,
    ignore: tuple[str, ...],
    **options: Any,
) -> None:
    """Make a release of ATLAS's public Z+jets weights: pandas HDF5 FILES, the main one and its side files.

    They are told apart by their names: multifold.h5, multifold_sherpa.h5, multifold_nonDY.h5. Nothing in them is
    executed, and no pickle is read.

    Example: omnifold-pub import atlas multifold.h5 multifold_sherpa.h5 --data-kind data --release release.h5
    """
    from omnifold_pub.convert.atlas import read_atlas
    from omnifold_pub.publish import publish

    opened = read_atlas(list(files), data_kind=data_kind, metadata=metadata, sentinel=sentinel, ignore=ignore)
    with progress_bars() as progress, opened as result:
        publish(result, release, progress=progress, **options)
    echo_sizes(release)
