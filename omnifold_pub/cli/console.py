"""What the commands share: errors, progress, tables, numbers."""

from __future__ import annotations

import contextlib
import functools
import json
import math
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.text import Text

from omnifold_pub.errors import ObservableError, OmnifoldPubError, ValidityWarning
from omnifold_pub.format.manifest import is_manifest, read_manifest
from omnifold_pub.presentation.tables import Table, folded, plain_text, rich_table
from omnifold_pub.progress import Progress

if TYPE_CHECKING:
    from omnifold_pub.statistics.inference import Chi2

__all__ = [
    "Group",
    "Pairs",
    "Wishes",
    "csv_option",
    "echo_json",
    "echo_sizes",
    "format_p_value",
    "how_tested",
    "local_release_argument",
    "observable_options",
    "one_form",
    "parse_edges",
    "progress_bars",
    "publishing_options",
    "release_argument",
    "say",
    "show_table",
    "terminal",
    "wish_options",
    "wished",
]

EXIT_AT_FAULT = 1
EXIT_BAD_CALL = 2


class Group(click.Group):
    """Turns our errors into one message and an exit status: 1 the file or the physics is at fault, 2 the call."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("always", ValidityWarning)
                warnings.showwarning = _show_warning
                return super().invoke(ctx)
        except OmnifoldPubError as error:
            _complain(f"error: {error}", Console(stderr=True))
            ctx.exit(EXIT_BAD_CALL if isinstance(error, ObservableError) else EXIT_AT_FAULT)


def _show_warning(
    message: Warning | str, category: type[Warning], *_: object, console: Console | None = None, **__: object
) -> None:
    """Print a warning as one line; above what else a console shows, if it is given."""
    what = "warning" if issubclass(category, ValidityWarning) else category.__name__
    _complain(f"{what}: {message}", console or Console(stderr=True))


def _complain(text: str, console: Console) -> None:
    """Print on stderr: a line for a program, broken between words for a person."""
    if sys.stderr.isatty():
        console.print(Text(text))
    else:
        click.echo(text, err=True)


@contextlib.contextmanager
def progress_bars() -> Iterator[Progress | None]:
    """Yield a progress callback that draws bars on a terminal's stderr, or None where there is none."""
    if not sys.stderr.isatty():
        yield None
        return
    columns = (
        TextColumn("{task.description:<16}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(compact=True),
    )
    # What writes beside the bars' console writes into them.
    with warnings.catch_warnings(), Bars(*columns, console=Console(stderr=True)) as bars:
        warnings.showwarning = functools.partial(_show_warning, console=bars.console)
        tasks: dict[str, Any] = {}

        def report(done: int, total: int, what: str) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield report


def show_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], *, text: int = 1) -> None:
    """Print a table; the first ``text`` columns and those that hold no numbers go to the left."""
    cells = tuple(tuple(map(str, row)) for row in rows)
    table = Table(title, tuple(columns), cells, text)
    console = terminal()
    if console is None:  # nothing is cut or wrapped for a reader that is a program
        click.echo(plain_text([table]))
        return
    console.print(title, style="bold", markup=False, highlight=False)
    for number, piece in enumerate(folded(table, console.width)):
        if number:
            console.print()
        console.print(rich_table(piece), markup=False, highlight=False)


def say(text: str) -> None:
    """Print a text on stdout; in a terminal, broken between words."""
    console = terminal()
    if console is None:
        click.echo(text)
    else:
        console.print(Text(text))


def how_tested(test: Chi2) -> str:
    """Return how a p-value was found, and how few replicas it knows of, in parentheses."""
    replicas = f", smallest family: {test.replicas} replicas" if test.replicas else ""
    return f"({test.method}{replicas})"


def terminal() -> Console | None:
    """Return the terminal that stdout is; None where it is a pipe or a file."""
    console = Console()
    return console if console.is_terminal else None


def one_form(*, as_json: bool, as_csv: bool) -> None:
    """Refuse two forms of output at a time.

    Raises
    ------
    click.UsageError
        For both.
    """
    if as_json and as_csv:
        msg = "expected --json or --csv; found both"
        raise click.UsageError(msg)


def format_p_value(p_value: float) -> str:
    """Return a p-value as a table shows it.

    >>> format_p_value(0.0421), format_p_value(2e-5)
    ('0.042', '< 0.001')
    """
    return f"{p_value:.3f}" if p_value >= 0.001 else "< 0.001"


class _FileOrUrl(click.Path):
    """A file that is there, or a URL, which the reader opens."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return a path, or a URL as it was given."""
        return value if isinstance(value, str) and "://" in value else super().convert(value, param, ctx)


release_argument = click.argument("release", type=_FileOrUrl(exists=True, dir_okay=False, path_type=Path))
"""A release to be read: a file, a manifest, or the URL of one."""

local_release_argument = click.argument("release", type=click.Path(exists=True, dir_okay=False, path_type=Path))
"""A release of which every byte is read."""


def echo_json(document: object) -> None:
    """Print JSON on stdout."""
    click.echo(json.dumps(document, indent=1, allow_nan=False))


def echo_sizes(release: Path) -> None:
    """Print the files of a release with their sizes."""
    files = [release]
    if is_manifest(release):
        files += [release.with_name(entry["file"]) for entry in read_manifest(release)["files"]]
    for file in files:
        click.echo(f"{file}: {file.stat().st_size / 1e6:.1f} MB")


def parse_edges(text: str) -> list[float]:
    """Read bin edges: ``0,10,20,50``.

    >>> parse_edges("0, 1, 2.5")
    [0.0, 1.0, 2.5]
    """
    try:
        edges = [float(part) for part in text.split(",")]
    except ValueError:
        edges = [math.nan]
    if not all(map(math.isfinite, edges)):
        msg = f"expected bin edges such as 0,10,20,50; found {text!r}"
        raise click.BadParameter(msg)
    return edges


Pairs = dict[str, list[float]]
"""Bin edges by observable."""

Wishes = dict[str, list[float] | None]
"""Bin edges by observable, or none for all of them."""


def observable_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``-o OBSERVABLE -b EDGES``, once for each observable, as the argument ``observables``, a `Pairs`."""
    bins = "Its bin edges, such as 200,300,450,1000. One for each --observable, in the same order."
    name = "A column, or an expression of columns such as 'pT_l1 / pT_l2'. Can be given several times."
    return _observables_and_bins(command, name, bins, required=True)


def wish_options(default: str = "") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add ``-o OBSERVABLE`` and ``-b EDGES``, which one may leave out, as the argument ``observables``, a `Wishes`.

    Parameters
    ----------
    default : str
        What is taken where no observable is given.
    """
    bins = "Its bin edges: one for each --observable, in the same order.  [default: as the command bins proposes]"
    name = "A column, or an expression of columns. Can be given several times."
    name += f"  [default: {default}]" if default else ""
    return lambda command: _observables_and_bins(command, name, bins, required=False)


def wished(wishes: Wishes) -> Pairs | list[str] | None:
    """Return bins by observable, or the observables alone, or nothing where none is given."""
    pairs = {name: edges for name, edges in wishes.items() if edges is not None}
    return pairs or list(wishes) or None


def _observables_and_bins(
    command: Callable[..., Any], name_help: str, bins_help: str, *, required: bool
) -> Callable[..., Any]:
    def pair(ctx: click.Context, _: click.Parameter, bins: tuple[str, ...]) -> Wishes:
        names = ctx.params.pop("names")
        if (bins or required) and len(names) != len(bins):
            expected = "one --bins for each --observable" + ("" if required else ", or none at all")
            msg = f"expected {expected}; found {len(bins)} for {len(names)}"
            raise click.UsageError(msg, ctx)
        if len(set(names)) != len(names):
            msg = "an observable is given twice"
            raise click.UsageError(msg, ctx)
        return dict(zip(names, map(parse_edges, bins) if bins else [None] * len(names), strict=True))

    command = click.option(
        "-b",
        "--bins",
        "observables",
        multiple=True,
        required=required,
        callback=pair,
        metavar="EDGES",
        help=bins_help,
    )(command)
    return click.option(
        "-o",
        "--observable",
        "names",
        multiple=True,
        required=required,
        is_eager=True,
        metavar="EXPR",
        help=name_help,
    )(command)


def publishing_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what every command that writes a release takes, under the names that `omnifold_pub.publish` has for it."""
    for option in (
        click.option(
            "--shard-events",
            type=click.IntRange(min=1),
            help="Events in each of several files; RELEASE is then named *.manifest.json.",
        ),
        click.option(
            "--mantissa-bits",
            type=click.IntRange(10, 14),
            help="Bits of the replicas' significands to keep, of 23. The worst error goes into the metadata.  "
            "[default: all]",
        ),
        click.option(
            "--codec",
            type=click.Choice(["gzip", "blosc2-zstd"]),
            default="gzip",
            show_default=True,
            help="Compression. Every HDF5 reads gzip; blosc2-zstd is faster for those who have its plug-in.",
        ),
        click.option("--overwrite", is_flag=True, help="Replace the release if it is already there."),
    ):
        command = option(command)
    return command


nan_option = click.option(
    "--nan",
    type=click.Choice(["error", "drop"]),
    default="error",
    show_default=True,
    help="What to do where the observable is undefined (0/0) although the event has all its columns.",
)
where_option = click.option("--where", metavar="EXPR", help="Selection, such as 'pT_ll > 300 & y_ll > 0'.")
csv_option = click.option("--csv", "as_csv", is_flag=True, help="Print CSV in place of a table.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON in place of a table.")
workers_option = click.option(
    "--workers", type=click.IntRange(min=1), default=None, help="Training processes.  [default: one per core]"
)
