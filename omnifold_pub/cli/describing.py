"""Commands for the metadata of a release: metadata new, metadata check."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from omnifold_pub.cli.console import EXIT_AT_FAULT, Group, echo_json, json_option

__all__ = ["metadata"]


@click.group(cls=Group)
def metadata() -> None:
    """Write and check the metadata of a release before it is published.

    Example: omnifold-pub metadata new metadata.yaml
    """


@metadata.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def new(file: Path) -> None:
    """Write a template of the metadata to a new FILE (YAML), to be filled in.

    It explains every key, and no value is chosen for you. A file that is there already is never overwritten.

    Example: omnifold-pub metadata new metadata.yaml
    """
    from omnifold_pub.metadata_template import write_template

    path = write_template(file)
    click.echo(f"{path}: fill in its blanks, then run: omnifold-pub metadata check {path}")


@metadata.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@json_option
@click.pass_context
def check(ctx: click.Context, file: Path, as_json: bool) -> None:  # noqa: FBT001
    """Check the metadata in a FILE (YAML or JSON): what is still blank, what is wrong, one line each.

    Exit status 0 if it can be published, 1 if it can not, 2 if the call is wrong.

    Example: omnifold-pub metadata check metadata.yaml
    """
    from omnifold_pub.metadata import find_problems
    from omnifold_pub.yaml_documents import read_document

    problems = find_problems(read_document(file, purpose="Reading metadata in YAML"))
    if as_json:
        echo_json({"path": str(file), "valid": not problems, "problems": [asdict(problem) for problem in problems]})
    for problem in () if as_json else problems:
        click.echo(str(problem))
    if problems:
        click.echo(f"error: {file}: {len(problems)} to fill in or to mend", err=True)
        ctx.exit(EXIT_AT_FAULT)
    if not as_json:
        click.echo(f"{file}: complete")
