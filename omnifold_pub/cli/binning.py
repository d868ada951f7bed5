"""A command of readers: bins that the publisher vouches for."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from omnifold_pub.cli.console import echo_json, json_option, nan_option, release_argument, where_option
from omnifold_pub.observables.events import NanRule

__all__ = ["bins"]


@click.command()
@release_argument
@click.option("-o", "--observable", required=True, metavar="EXPR", help="A column, or an expression of columns.")
@click.option("-n", "--number", type=click.IntRange(min=1), help="Bins at most.  [default: 10]")
@where_option
@click.option("--range", "limits", type=float, nargs=2, metavar="LOW HIGH", help="First and last edge.")
@click.option("--min-events", type=click.FloatRange(min=0), help="Effective events of each bin, at least.")
@click.option("--min-data-events", type=click.FloatRange(min=0), help="Effective data events of each bin, at least.")
@click.option("--max-uncertainty", type=click.FloatRange(min=0), help="Relative uncertainty of each bin, at most.")
@click.option("--any-numbers", is_flag=True, help="Do not round the edges.")
@nan_option
@json_option
def bins(
    release: Path | str,
    observable: str,
    number: int | None,
    where: str | None,
    limits: tuple[float, float] | None,
    min_events: float | None,
    min_data_events: float | None,
    max_uncertainty: float | None,
    any_numbers: bool,  # noqa: FBT001
    nan: NanRule,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Propose bins of an observable of a RELEASE: about equal, round, and such that the publisher vouches for them.

    The edges are printed as `measure` and `compare` take them.

    Example: omnifold-pub measure release.h5 -o pT_ll -b $(omnifold-pub bins release.h5 -o pT_ll)
    """
    from omnifold_pub.release import open_release

    with open_release(release) as opened:
        axis = opened.suggest_bins(
            observable,
            number,
            where=where,
            nan=nan,
            minimum_effective_events=min_events,
            minimum_effective_data_events=min_data_events,
            maximum_relative_uncertainty=max_uncertainty,
            range=limits,
            round_edges=not any_numbers,
        )
    if as_json:
        echo_json({"observable": observable, "edges": axis.edges.tolist()})
        return
    click.echo(",".join(np.format_float_positional(edge, trim="-") for edge in axis.edges))
