"""What the commands share that export measurements: which observables are measured, in which bins."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from omnifold_pub.cli.console import nan_option, parse_edges, progress_bars

if TYPE_CHECKING:
    from omnifold_pub.measurement import JointMeasurement
    from omnifold_pub.release import Release

__all__ = ["Wanted", "binned_options", "measured", "measured_options"]

Wanted = dict[str, list[float] | None]
"""Observable to its edges; None: bins are to be suggested. Empty: all observables of the release."""


def measured_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what says which observables are measured, of which events, as ``wanted``, ``where``, ``nan``."""
    where = click.option("--where", metavar="EXPR", help="Selection, such as 'pT_ll > 300 & y_ll > 0'.")
    return binned_options(where(command))


def binned_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what says which observables are measured, in which bins, as ``wanted``, ``nan``."""

    def pair(ctx: click.Context, _: click.Parameter, bins: tuple[str, ...]) -> Wanted:
        names: tuple[str, ...] = ctx.params.pop("names")
        if bins and len(bins) != len(names):
            msg = f"expected one --bins for each --observable, or none at all; found {len(bins)} for {len(names)}"
            raise click.UsageError(msg, ctx)
        if len(set(names)) != len(names):
            msg = "an observable is given twice"
            raise click.UsageError(msg, ctx)
        return dict(zip(names, map(parse_edges, bins) if bins else [None] * len(names), strict=True))

    for option in (
        nan_option,
        click.option(
            "-b",
            "--bins",
            "wanted",
            multiple=True,
            callback=pair,
            metavar="EDGES",
            help="Its bin edges, such as 200,300,450,1000.  [default: as `omnifold-pub bins` suggests]",
        ),
        click.option(
            "-o",
            "--observable",
            "names",
            multiple=True,
            is_eager=True,
            metavar="EXPR",
            help="A column, or an expression of columns. Can be given several times.  [default: all columns]",
        ),
    ):
        command = option(command)
    return command


def measured(release: Release, wanted: Wanted, **options: Any) -> JointMeasurement:
    """Measure what was asked for, or every observable of the release."""
    with progress_bars() as progress:
        columns = [observable["name"] for observable in release.metadata["observables"]]
        pairs = wanted or dict.fromkeys(columns)
        chosen = {"where": options["where"], "nan": options["nan"]}
        bins: dict[str, Any] = {}
        for number, (name, edges) in enumerate(pairs.items()):
            if progress is not None:
                progress(number, len(pairs), "bins")
            bins[name] = release.suggest_bins(name, **chosen) if edges is None else edges
        return release.measure(bins, **options, progress=progress)
