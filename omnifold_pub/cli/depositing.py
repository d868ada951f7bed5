"""Command of the publisher who is done: package."""

from __future__ import annotations

from pathlib import Path

import click

from omnifold_pub.cli.console import echo_json, json_option, local_release_argument, progress_bars, show_table

__all__ = ["package"]


@click.command()
@local_release_argument
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--overwrite", is_flag=True, help="Replace the folder if it is a deposit that is already there.")
@json_option
def package(release: Path, folder: Path, overwrite: bool, as_json: bool) -> None:  # noqa: FBT001
    """Write the FOLDER that goes to Zenodo or HEPData.

    It holds the RELEASE (or all files of its manifest), a data sheet, a licence, and metadata for DataCite, RO-Crate,
    Croissant and CITATION.cff. It appears whole, after every check, or not at all.

    Example: omnifold-pub package release.h5 deposit
    """
    from omnifold_pub.deposit import package as write

    with progress_bars() as progress:
        deposit = write(release, folder, overwrite=overwrite, progress=progress)
    if as_json:
        files = [{"file": file.name, "bytes": file.bytes, "sha256": file.sha256} for file in deposit.files]
        echo_json({"folder": str(deposit.folder), "files": files, "remarks": list(deposit.remarks)})
        return
    rows = [(file.name, file.size, file.sha256) for file in deposit.files]
    show_table(f"{deposit.folder}: {len(rows)} files", ("file", "size", "sha256"), rows)
    for remark in deposit.remarks:
        click.echo(f"note: {remark}", err=True)
