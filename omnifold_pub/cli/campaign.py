"""Commands of the publisher that train: campaign plan, run, status."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from omnifold_pub.cli.console import (
    EXIT_AT_FAULT,
    echo_json,
    json_option,
    progress_bars,
    show_table,
    workers_option,
)

if TYPE_CHECKING:
    from omnifold_pub.unfold.costs import Costs
    from omnifold_pub.unfold.status import Status

__all__ = ["campaign"]

_analysis = click.argument("analysis", type=click.Path(exists=True, dir_okay=False, path_type=Path))
_folder = click.Path(file_okay=False, path_type=Path)
_device = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="What trainings run on; auto: a GPU where there is one.",
)


@click.group()
def campaign() -> None:
    """Plan and run the trainings of an analysis, and see how far they are.

    Example: omnifold-pub campaign plan analysis.yaml
    """


@campaign.command()
@_analysis
@click.option(
    "--run",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Run directory of this analysis: expect what its finished trainings took.",
)
@workers_option
@click.option("--price", type=click.FloatRange(min=0), help="Price of a core-hour.")
@_device
@click.option("--no-pilot", is_flag=True, help="Measure nothing: list the trainings alone.")
@json_option
def plan(analysis: Path, no_pilot: bool, as_json: bool, **options: Any) -> None:  # noqa: FBT001
    """List the trainings that the ANALYSIS file (YAML) asks for, with time, memory and cost.

    They are measured by short trainings on the real inputs, which take about 20 seconds.

    Example: omnifold-pub campaign plan analysis.yaml --workers 64 --price 0.03
    """
    from omnifold_pub.unfold.costs import plan_costs

    costs = plan_costs(analysis, pilot=not no_pilot, **options)
    if as_json:
        echo_json(costs.to_dict())
        return
    rows = [
        (family.family, family.trainings, _short(family.purposes), ", ".join(family.after) or "-")
        for family in costs.families
    ]
    show_table(f"{costs.trainings} trainings", ("family", "trainings", "what is resampled or varied", "after"), rows)
    _echo_costs(costs)


def _short(purposes: tuple[str, ...]) -> str:
    return purposes[0] if len(purposes) == 1 else f"{purposes[0]} and {len(purposes) - 1} more"


def _echo_costs(costs: Costs) -> None:
    pilot = costs.pilot
    if pilot is not None:
        share = "" if pilot.share == 1 else f", scaled from {pilot.share:.0%} of the events"
        click.echo(
            f"\nMeasured on this machine ({pilot.device}, one process{share}): {pilot.epoch:.3g} s per epoch of all "
            f"fits, {pilot.iteration:.3g} s more per iteration, {pilot.once:.3g} s once per training"
        )
        processes = min(costs.workers, costs.trainings)
        click.echo(
            f"Memory: {pilot.memory / 1e9:.2f} GB per training, {processes * pilot.memory / 1e9:.2f} GB for "
            f"{processes} at a time"
        )
    if costs.upper is not None:
        click.echo(f"At most (every iteration, every epoch): {_estimate(costs, costs.upper)}")
    if costs.expected is not None:
        click.echo(f"Expected (mean of {costs.finished} finished trainings): {_estimate(costs, costs.expected)}")
    elif costs.upper is not None:
        click.echo("Early stopping makes it less; how much, the first finished trainings tell: add --run DIRECTORY")


def _estimate(costs: Costs, seconds: float) -> str:
    hours = costs.core_hours(seconds)
    price = "" if costs.price is None else f", cost {hours * costs.price:.2f}"
    clock = timedelta(hours=costs.hours(seconds))
    return f"{seconds:.3g} s per training, {hours:.3g} core-hours, {_clock(clock)} on {costs.workers} workers{price}"


def _clock(time: timedelta) -> str:
    """Return a time as hours, minutes and seconds.

    >>> _clock(timedelta(seconds=90061.4))
    '1 day, 1:01:01'
    """
    return str(timedelta(seconds=round(time.total_seconds())))


@campaign.command()
@_analysis
@click.option("--run", type=_folder, required=True, help="Run directory: finished trainings are kept and reused there.")
@workers_option
@click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="Dask cluster that does the trainings, such as tcp://host:8786, in place of processes here.",
)
@_device
@click.option(
    "--warm-from",
    type=click.Path(exists=True, path_type=Path),
    metavar="RELEASE_OR_RUN",
    help="Start from its networks. Can be left out when the run is resumed.",
)
def run(analysis: Path, run: Path, **options: Any) -> None:
    """Run all trainings that the ANALYSIS file (YAML) asks for.

    Safe to interrupt or kill: the same command goes on where it was and ends with the same weights. A training that
    fails is tried once more, then reported when all others are finished. Look at it meanwhile: omnifold-pub campaign
    status.

    --warm-from continues from the networks of a release that was published with --networks, or of a finished run.

    Example: omnifold-pub campaign run analysis.yaml --run build/run
    """
    from omnifold_pub.release import open_release
    from omnifold_pub.unfold.campaign import unfold

    if options["workers"] is not None and options["scheduler"] is not None:
        msg = "--workers is for processes here; a cluster has its own: leave one of --workers and --scheduler out"
        raise click.UsageError(msg)
    if (source := options["warm_from"]) is not None and source.is_file():
        with open_release(source) as release:
            names = [entry["name"] for entry in release.metadata.get("networks", [])]
            options["warm_from"] = [release.network(name) for name in names]
        if not names:
            msg = f"--warm-from: {source} holds no networks; expected a release published with --networks, or its run"
            raise click.UsageError(msg)
    with progress_bars() as progress:
        result = unfold(analysis, run, progress=progress, **options)
    members = sum(family.shape[1] for family in result.families.values())
    click.echo(f"{run}: {result.event_id.shape[0]} events, {len(result.families)} families, {members} members")
    click.echo(f"Publish them: omnifold-pub publish {run} release.h5")


@campaign.command()
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@json_option
@click.pass_context
def status(ctx: click.Context, run: Path, as_json: bool) -> None:  # noqa: FBT001
    """Show what is done, running, failed and remaining in a RUN directory.

    Exit status 0: all is done, or under way. 1: trainings failed, or the rest is at a standstill.

    Example: omnifold-pub campaign status build/run
    """
    from omnifold_pub.unfold.status import read_status

    found = read_status(run)
    if as_json:
        echo_json(found.to_dict())
    else:
        _show_status(found, run)
    if not found.good:
        ctx.exit(EXIT_AT_FAULT)


def _show_status(status: Status, run: Path) -> None:
    rows = [(f.family, f.trainings, f.done, f.running, f.failed, f.remaining) for f in (*status.families, status.total)]
    show_table(f"Campaign in {run}", ("family", "trainings", "done", "running", "failed", "remaining"), rows)
    total, session = status.total, status.session
    click.echo()
    if status.at_work and session is not None:
        where = f"the cluster {session.scheduler}" if session.scheduler else f"{session.workers} workers"
        since = f" for {_clock(timedelta(seconds=status.elapsed))}" if status.elapsed is not None else ""
        click.echo(f"At work: process {session.pid} on {session.host}{since}, with {where}")
    elif total.done == total.trainings:
        click.echo("All done")
    else:
        click.echo("Nobody is at work; go on with: omnifold-pub campaign run ANALYSIS --run DIRECTORY")
    if status.spent:
        left = "" if status.left is None else f"; about {_clock(timedelta(seconds=status.left))} left"
        click.echo(f"Finished trainings took {_clock(timedelta(seconds=status.spent))} together{left}")
    for claim in status.running:
        click.echo(f"running  {claim.training}: on {claim.host}, process {claim.pid}, since {claim.started}")
    for failure in status.failures:
        attempts = f" after {failure.attempts} attempts" if failure.attempts > 1 else ""
        word = "failed " if failure.final else "to be tried again"
        click.echo(f"{word}  {failure.training}{attempts}: {failure.reason}")
