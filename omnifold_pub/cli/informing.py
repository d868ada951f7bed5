"""The command that says what is in a release: info."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from omnifold_pub.cli.console import (
    csv_option,
    echo_json,
    json_option,
    one_form,
    release_argument,
    show_table,
    terminal,
)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = ["info"]

Metadata = dict[str, Any]

_OBSERVABLES = ("name", "unit", "description")
_COMPONENTS = ("name", "kind", "members", "description")


@click.command()
@release_argument
@json_option
@csv_option
def info(release: Path | str, as_json: bool, as_csv: bool) -> None:  # noqa: FBT001
    """Say what is in a RELEASE: what was measured, observables, components of the covariance, limits of validity.

    --json prints all of the metadata, --csv the observables, a row each.

    Example: omnifold-pub info release.h5
    """
    from omnifold_pub.presentation.csv_files import csv_table
    from omnifold_pub.release import open_release

    one_form(as_json=as_json, as_csv=as_csv)
    with open_release(release) as opened:
        metadata = opened.metadata
    if as_json:
        echo_json(metadata)
        return
    if as_csv:
        click.echo(csv_table(*_csv(metadata)), nl=False)
        return
    console = terminal()
    if console is not None:
        _show(console, metadata)
        return
    click.echo(metadata["title"])
    for name, text in _facts(metadata):
        click.echo(f"{name}: {' '.join(text.split())}")
    click.echo()
    show_table("Observables", _OBSERVABLES, _observables(metadata), text=3)
    click.echo()
    show_table("Components of the covariance", _COMPONENTS, _components(metadata), text=4)


def _facts(metadata: Metadata) -> list[tuple[str, str]]:
    """Return what is said of a release in a line each: a key that scripts can look for, and text."""
    weights, collision, luminosity = (metadata[key] for key in ("weights", "collision", "luminosity"))
    total, validity, closure = (metadata[key] for key in ("cross_section", "validity", "closure"))
    known = luminosity["relative_uncertainty"]
    limits = [
        f"at least {validity[key]:g} {what} in a bin"
        for key, what in (
            ("minimum_effective_events_per_bin", "effective events"),
            ("minimum_effective_data_events_per_bin", "effective data events"),
        )
        if validity.get(key)
    ]
    for entry in validity.get("ranges", []):
        low = "" if entry["minimum"] is None else f"{entry['minimum']:g} <= "
        limits.append(low + entry["expression"] + ("" if entry["maximum"] is None else f" <= {entry['maximum']:g}"))
    return [
        (
            metadata["data_kind"],
            f"{metadata['process']}, {collision['system']} at {collision['energy_tev']:g} TeV, "
            f"{luminosity['value']:.6g} {luminosity['unit']}" + (f" (known to {100 * known:.3g} %)" if known else ""),
        ),
        ("fiducial region", metadata["fiducial"]["description"]),
        ("cross section", f"{total['value']:.6g} {total['unit']}"),
        ("events", f"{metadata['events']}; weights in {weights['unit']}: their sum is the {weights['sum']}"),
        ("validity", f"{', '.join(limits)}; {validity['severity']} outside" if limits else "no limit is declared"),
        *(("note", note) for note in validity["notes"]),
        ("closure", f"{'performed' if closure['performed'] else 'not performed'}: {closure['description']}"),
        ("licence", f"{metadata['licence']}, contact {metadata['contact']}, created {metadata['created']}"),
    ]


def _observables(metadata: Metadata) -> list[tuple[str, ...]]:
    return [(one["name"], one["unit"], one["description"]) for one in metadata["observables"]]


def _components(metadata: Metadata) -> list[tuple[str, ...]]:
    return [
        (one["name"], one["kind"], str(one.get("members", "-")), one["description"]) for one in metadata["components"]
    ]


def _csv(metadata: Metadata) -> tuple[tuple[str, ...], Iterator[tuple[Any, ...]]]:
    """Return names of columns, and a row for each observable."""
    names = ("name", "description", "unit", "latex", "dtype", "minimum", "maximum", "missing")
    rows = (
        (
            *(one[key] for key in names[:5]),
            one["valid_range"]["minimum"],
            one["valid_range"]["maximum"],
            one["missing"].get("meaning", ""),
        )
        for one in metadata["observables"]
    )
    return names, rows


def _show(console: Console, metadata: Metadata) -> None:
    """Print it for people, as wide as their terminal is."""
    from rich.padding import Padding
    from rich.rule import Rule
    from rich.table import Table
    from rich.text import Text

    from omnifold_pub.presentation.tables import printable

    console.print(Text(printable(metadata["title"]), style="bold"))
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="cyan", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, text in _facts(metadata):
        facts.add_row(Text(name), Text(printable(text)))
    console.print(Padding(facts, (0, 0, 1, 0)))
    for title, names, rows in (
        (f"{len(metadata['observables'])} observables", _OBSERVABLES, _observables(metadata)),
        (f"{len(metadata['components'])} components of the covariance", _COMPONENTS, _components(metadata)),
    ):
        console.print(Rule(Text(title, style="bold"), align="left", style="dim"))
        console.print(_listed(names, rows))
        console.print()


def _listed(names: tuple[str, ...], rows: list[tuple[str, ...]]) -> Table:
    """Return a table of which the last column is wrapped, and no other if it can be helped."""
    from rich.table import Table
    from rich.text import Text

    from omnifold_pub.presentation.tables import printable

    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for number, name in enumerate(names):
        last = number == len(names) - 1
        table.add_column(name, justify="right" if name == "members" else "left", no_wrap=not last, overflow="fold")
    for name, *texts in rows:
        table.add_row(Text(name, style="bold"), *(Text(printable(text)) for text in texts))
    return table
