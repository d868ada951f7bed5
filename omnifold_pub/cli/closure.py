"""A command of whoever unfolded pseudo-data: closure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from omnifold_pub.cli.console import (
    Wishes,
    echo_json,
    format_p_value,
    json_option,
    nan_option,
    progress_bars,
    release_argument,
    show_table,
    wish_options,
    wished,
)
from omnifold_pub.errors import ObservableError
from omnifold_pub.messages import shorten, suggest
from omnifold_pub.observables.events import NanRule, columns_used

if TYPE_CHECKING:
    from omnifold_pub.closure import ClosureTable, Metric

__all__ = ["closure", "show_closure"]


@click.command()
@release_argument
@click.argument("truth", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--tree", required=True, help="TTree or RNTuple in TRUTH.")
@click.option("--weight", required=True, help="Its branch of weights, which sum to the fiducial cross section.")
@click.option("--unit", type=click.Choice(["pb", "fb"]), required=True, help="Unit of these weights.")
@click.option("--sentinel", type=float, default=None, help="Value that marks an absent object, such as -99.")
@wish_options("all columns")
@click.option("-n", "--number", type=click.IntRange(min=1), help="Bins at most, where none are given.  [default: 10]")
@click.option("--no-prior", is_flag=True, help="Do not compare the simulation before unfolding.")
@click.option("--no-classifier", is_flag=True, help="Train no network (which needs PyTorch).")
@nan_option
@json_option
def closure(
    release: Path | str,
    truth: Path,
    tree: str,
    weight: str,
    unit: str,
    sentinel: float | None,
    observables: Wishes,
    number: int | None,
    no_prior: bool,  # noqa: FBT001
    no_classifier: bool,  # noqa: FBT001
    nan: NanRule,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Compare a RELEASE of unfolded pseudo-data with their TRUTH (particle-level events in a ROOT file).

    The truth's branches are named as the release's columns. Each distance stands beside that of the simulation before
    unfolding and beside its floor: what chance alone gives between two samples of the same law, of these sizes.

    Example: omnifold-pub closure release.h5 pseudodata_truth.root --tree events --weight weight --unit pb
    """
    from omnifold_pub.closure import closure_table
    from omnifold_pub.reinterpret.theory import Theory
    from omnifold_pub.release import open_release

    with open_release(release) as opened, progress_bars() as progress:
        used = {column for name in observables or opened.events for column in columns_used(name, opened.events)}
        for column in sorted(used - set(opened.events)):
            msg = f"{opened.path.name} has no column {shorten(column)}; {suggest(column, list(opened.events))}"
            raise ObservableError(msg)
        found = closure_table(
            opened,
            Theory.from_root(truth, tree=tree, weight=weight, unit=unit, columns=sorted(used), sentinel=sentinel),
            observables=wished(observables),
            bins=number,
            nan=nan,
            prior=not no_prior,
            classifier=not no_classifier,
            progress=progress,
        )
    if as_json:
        echo_json(found.to_dict())
        return
    show_closure(found)


def _triple(metric: Metric, digits: int) -> tuple[str, str, str]:
    floor = f"{metric.floor.mean:.{digits}f} +- {metric.floor.deviation:.{digits}f}"
    prior = "-" if metric.prior is None else f"{metric.prior:.{digits}f}"
    return prior, f"{metric.unfolded:.{digits}f}", floor


def show_closure(table: ClosureTable) -> None:
    """Print a closure table: chi2, the distances of the spectra, and those of all observables together."""
    show_table(
        "Closure: chi2 to the truth, with the published covariance",
        ("observable", "bins", "prior", "unfolded", "floor", "p", "than the prior"),
        [(r.observable, r.bins, *_triple(r.chi2, 1), format_p_value(r.p_value), r.verdict) for r in table.rows],
    )
    click.echo()
    show_table(
        "Distances to the truth: triangular discriminator of the bins (x 1000), Wasserstein-1 of the events (x 1000)",
        ("observable", "prior", "unfolded", "floor", "W1 prior", "W1 unfolded", "W1 floor"),
        [(r.observable, *_triple(r.triangular, 2), *_triple(r.wasserstein.times(1000), 1)) for r in table.rows],
    )
    click.echo()
    together = [("sliced Wasserstein-1 (x 1000)", *_triple(table.sliced_wasserstein.times(1000), 1))]
    if table.classifier is not None:
        together.append(("AUC of a classifier", *_triple(table.classifier, 4)))
    show_table("All observables together", ("distance", "prior", "unfolded", "floor"), together)
