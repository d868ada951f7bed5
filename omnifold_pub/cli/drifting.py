"""The command that says what changed between two releases: drift."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from omnifold_pub.cli.console import (
    EXIT_AT_FAULT,
    Pairs,
    echo_json,
    format_p_value,
    how_tested,
    json_option,
    nan_option,
    observable_options,
    say,
    show_table,
)
from omnifold_pub.observables.events import NanRule

if TYPE_CHECKING:
    from omnifold_pub.reinterpret.drift import Drift

__all__ = ["drift"]

_release = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("old", type=_release)
@click.argument("new", type=_release)
@observable_options
@click.option(
    "--shared",
    multiple=True,
    metavar="COMPONENT",
    help="A component that is one cause of both releases, so that it cancels. Can be given several times.",
)
@click.option("--leave-out", multiple=True, metavar="COMPONENT", help="A component that must not be used.")
@click.option("--shape", is_flag=True, help="Compare spectra normalised to one.")
@click.option(
    "--alarm",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    metavar="P",
    help="Exit with status 1 where the joint p-value is below P.",
)
@nan_option
@json_option
@click.pass_context
def drift(
    ctx: click.Context,
    old: Path,
    new: Path,
    observables: Pairs,
    shared: tuple[str, ...],
    leave_out: tuple[str, ...],
    shape: bool,  # noqa: FBT001
    alarm: float | None,
    nan: NanRule,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Say what changed between an OLD and a NEW release of the same observables: chi2, bins, p-value.

    Components are taken as independent, unless --shared names them. The p-values of single observables are given as
    they are, and adjusted for their number (Holm).

    Example: omnifold-pub drift old.h5 new.h5 -o pT_ll -b 200,300,450,1000 --alarm 0.01
    """
    from omnifold_pub.estimators import Histogram
    from omnifold_pub.reinterpret.drift import drift as confront
    from omnifold_pub.release import open_release

    wanted = {name: Histogram(name, edges, nan=nan, normalise=shape) for name, edges in observables.items()}
    estimates = []
    for path in (old, new):
        with open_release(path) as opened:
            estimates.append(opened.measure(wanted))
    found = confront(*estimates, shared=shared, leave_out=leave_out)
    if as_json:
        echo_json({"old": str(old), "new": str(new), **found.to_dict()})
    else:
        _show(found, f"{new} against {old}")
    if alarm is not None and found.test.p_value < alarm:
        ctx.exit(EXIT_AT_FAULT)


def _show(found: Drift, title: str) -> None:
    """Print bins, observables, and the joint test."""
    values, errors, pulls = found.values(), found.uncertainties(), found.pulls()
    before, after = found.old.uncertainties(), found.new.uncertainties()
    places = [
        (name, label, i)
        for name, place in zip(found.new.names, found.new.slices, strict=True)
        for label, i in zip(found.new.labels[place], range(place.start, place.stop), strict=True)
    ]
    rows = [
        (
            name,
            label,
            f"{found.old.nominal[i]:.5g}",
            f"{before[i]:.2g}",
            f"{found.new.nominal[i]:.5g}",
            f"{after[i]:.2g}",
            f"{values[i]:+.3g}",
            f"{errors[i]:.2g}",
            f"{pulls[i]:+.1f}",
        )
        for name, label, i in places
    ]
    unit = f" [{found.new.unit}]" if found.new.unit not in ("", "1") else ""
    columns = ("observable", "bin", f"old{unit}", "+-", "new", "+-", "change", "+-", "pull")
    show_table(title, columns, rows, text=2)
    click.echo()
    each = [
        (
            one.observable,
            f"{one.test.chi2:.1f}",
            one.test.dof,
            format_p_value(one.test.p_value),
            format_p_value(one.adjusted_p_value),
        )
        for one in found.observables
    ]
    show_table("Each observable by itself", ("observable", "chi2", "dof", "p", "p of so many"), each)
    test = found.test
    say(f"\nNo change at all: chi2 = {test.chi2:.2f} for {test.dof}, p = {test.p_value:.3g} {how_tested(test)}")
    if found.shared:
        say(f"One cause of both: {', '.join(found.shared)}")
    if found.possibly_shared:
        names = ", ".join(found.possibly_shared)
        say(
            f"Taken as independent, though both have them: {names}\n"
            "  If one is the same cause in both (a bootstrap: of the same events), say so: --shared NAME"
        )
