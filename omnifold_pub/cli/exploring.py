"""The command of whoever wants to look around: explore."""

from __future__ import annotations

import contextlib
import webbrowser
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from omnifold_pub.cli.console import progress_bars, release_argument
from omnifold_pub.cli.theories import Question, TheoryFiles, a_file, theory_options

if TYPE_CHECKING:
    from omnifold_pub.explorer.theories import Offered, Recipe
    from omnifold_pub.reinterpret.kinds import Kind
    from omnifold_pub.reinterpret.theory import Theory
    from omnifold_pub.release import Release

__all__ = ["explore"]


@click.command()
@release_argument
@click.option(
    "-t",
    "--theory",
    "theories",
    type=a_file,
    multiple=True,
    metavar="FILE",
    help="Events to show beside every measurement: ROOT, Parquet, HepMC or LHE. Can be given several times.",
)
@theory_options
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="To listen at.  [default: any that is free]")
@click.option("--no-browser", is_flag=True, help="Print the address, and open no browser.")
def explore(release: Path | str, theories: tuple[Path, ...], files: TheoryFiles, port: int, no_browser: bool) -> None:  # noqa: FBT001
    """Explore a RELEASE in the browser: any expression, bins and cut, with bands by component and theories beside it.

    The page is served on this machine alone, at an address that holds a random token; stop it with Ctrl-C. The release
    is read into memory first. Theories are read as by `compare`; one may lack columns of the release.

    Example: omnifold-pub explore release.h5 --theory theory.root --tree events --weight weight --unit pb
    """
    from omnifold_pub.explorer.desk import Desk
    from omnifold_pub.explorer.server import HOST, create_app, new_token, serve
    from omnifold_pub.release import open_release

    token = new_token()
    with open_release(release) as opened:
        offered = _offered(opened, theories, files)
        with progress_bars() as progress:
            opened.load(progress=progress)
        desk = Desk(opened, offered)
        app = create_app(desk, token)

        def started(number: int) -> None:
            address = f"http://{HOST}:{number}/{token}/"
            click.echo(f"{release}: {opened.events.size} events, {desk.memory / 1e6:.0f} MB in memory", err=True)
            click.echo(address)
            click.echo("Open it in a browser; Ctrl-C stops it.", err=True)
            if not no_browser:
                webbrowser.open(address)

        with contextlib.suppress(KeyboardInterrupt):
            serve(app, port=port, started=started)


def _offered(release: Release, paths: tuple[Path, ...], files: TheoryFiles) -> list[Offered]:
    """Read the theories; those of the same name are numbered."""
    from omnifold_pub.explorer.theories import Offered
    from omnifold_pub.reinterpret.kinds import kind_of

    if files.cross_section is not None and len(paths) > 1:
        msg = f"--cross-section is that of one file; found {len(paths)} files: leave it out, or scale their weights"
        raise click.UsageError(msg)
    found: list[Offered] = []
    for number, path in enumerate(paths, start=1):
        kind = kind_of(path)
        question = Question(list(release.events), _columns(release, path, files, kind), release.metadata)
        theory = files.read_events(path, question, kind)
        if theory.name in [one.name for one in found]:
            theory = replace(theory, name=f"{theory.name} ({number})")
        found.append(Offered(theory, _recipe(release, theory, path, files, kind)))
    return found


def _columns(release: Release, path: Path, files: TheoryFiles, kind: Kind) -> list[str]:
    """Return the columns of the release that a table has too; all, where they are computed, or the table is damaged."""
    if kind == "ROOT" and files.tree:
        from omnifold_pub.extras import require

        require("uproot", extra="root", purpose="Reading a ROOT file")
        import uproot

        with contextlib.suppress(
            OSError, KeyError, ValueError, uproot.DeserializationError
        ):  # whoever reads the events says what is wrong
            with uproot.open(path) as file:
                there = set(file[files.tree].keys())
            return [name for name in release.events if name in there]
    if kind == "Parquet":
        from omnifold_pub.extras import require

        require("pyarrow", extra="export", purpose="Reading a Parquet file")
        import pyarrow.parquet

        with contextlib.suppress(pyarrow.ArrowException, OSError):
            there = set(pyarrow.parquet.read_schema(path).names)
            return [name for name in release.events if name in there]
    return list(release.events)


def _recipe(release: Release, theory: Theory, path: Path, files: TheoryFiles, kind: Kind) -> Recipe:
    """Say how a theory is read: in Python, and by `compare`."""
    from omnifold_pub.explorer.theories import Recipe

    unit = None if files.unit == "none" else files.unit
    tables = kind in ("ROOT", "Parquet")
    options: dict[str, object] = {}
    if tables:
        options |= {"tree": files.tree} if kind == "ROOT" else {}
        options |= {"weight": files.weight, "unit": unit}
        options |= {} if files.sentinel is None else {"sentinel": files.sentinel}
    else:
        declared = release.metadata["fiducial"].get("definition", {}).get("name")
        options |= {"definition": files.definition or declared}
        options |= {"weight": files.weight_name} if files.weight_name else {}
    options |= {} if files.cross_section is None else {"cross_section": files.cross_section}
    families = {name: family.combination for name, family in theory.families.items()}
    options |= {"families": families} if families else {}
    then = "" if tables or files.unit is None else f".in_unit({unit!r})"
    reader = {"ROOT": "from_root", "Parquet": "from_parquet", "HepMC": "from_hepmc"}.get(kind, "from_lhe")
    return Recipe(reader, str(path), options, tables, then, (str(path), *_arguments(files)))


def _arguments(files: TheoryFiles) -> list[str]:
    """Return what the command line was told of how theories are read."""
    found: list[str] = []
    for name in ("tree", "weight", "unit", "sentinel", "cross_section", "definition", "weight_name"):
        value = getattr(files, name)
        if value is not None:
            text = f"{value:.12g}" if isinstance(value, float) else value
            found += [f"--{name.replace('_', '-')}", text]
    found += [word for family in files.families for word in ("--family", *family)]
    return found + [word for name, level in files.levels for word in ("--family-level", name, f"{level:.12g}")]
