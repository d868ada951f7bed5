"""Commands of readers and archives: validate, verify, measure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from omnifold_pub.cli.console import (
    EXIT_AT_FAULT,
    Pairs,
    csv_option,
    echo_json,
    json_option,
    local_release_argument,
    nan_option,
    observable_options,
    one_form,
    progress_bars,
    release_argument,
    say,
    show_table,
    terminal,
    where_option,
)
from omnifold_pub.observables.events import NanRule
from omnifold_pub.presentation.tables import plain_text, tables_of

if TYPE_CHECKING:
    from omnifold_pub.validate import Report

__all__ = ["measure", "validate", "verify"]


@click.command()
@local_release_argument
@json_option
@click.pass_context
def validate(ctx: click.Context, release: Path, as_json: bool) -> None:  # noqa: FBT001
    """Check a RELEASE: safe to read, schema, integrity, physics of its events and weights.

    RELEASE is the HDF5 file, or the manifest of a release in several files. Every dataset is read once; nothing of the
    file is executed. Exit status 0 if it is valid, 1 if it is not, 2 if the call is wrong.

    Example: omnifold-pub validate release.h5
    """
    from omnifold_pub.validate import CHECKS
    from omnifold_pub.validate import validate as run_checks

    with progress_bars() as progress:
        report = run_checks(release, progress=progress)
    _show_report(ctx, report, ("readable", *CHECKS), as_json=as_json)


def _show_report(ctx: click.Context, report: Report, checks: tuple[str, ...], *, as_json: bool) -> None:
    """Print a report and set the exit status."""
    if as_json:
        echo_json(report.to_dict())
    else:
        worst: dict[str, str] = {}
        for level in ("optional", "recommended", "required"):
            worst |= {finding.code: level for finding in report.findings if finding.level == level}
        rows = [(code, worst.get(code, "good" if code in report.checks else "not run")) for code in checks]
        show_table(f"{report.path}: {'valid' if report.valid else 'NOT VALID'}", ("check", "outcome"), rows, text=2)
        for finding in report.findings:
            say(f"\n{finding.level}: {finding.code}: {finding}")
    if not report.valid:
        ctx.exit(EXIT_AT_FAULT)


@click.command()
@local_release_argument
@json_option
@click.pass_context
def verify(ctx: click.Context, release: Path, as_json: bool) -> None:  # noqa: FBT001
    """Compare a RELEASE with its checksums: its files with the manifest, every value with the digests inside.

    Exit status 0 if all fit, 1 if one does not, 2 if the call is wrong. Without a manifest beside it, the digests
    inside are compared alone.

    Example: omnifold-pub verify release.h5
    """
    from omnifold_pub.integrity import VERIFICATIONS
    from omnifold_pub.integrity import verify as compare_checksums

    with progress_bars() as progress:
        report = compare_checksums(release, progress=progress)
    _show_report(ctx, report, VERIFICATIONS, as_json=as_json)


@click.command()
@release_argument
@observable_options
@where_option
@click.option("--flow", is_flag=True, help="Add an under- and an overflow bin to each observable.")
@click.option("--density", is_flag=True, help="Divide by the widths of the bins.")
@click.option("--normalise", is_flag=True, help="Divide by the sum over all bins, of each observable.")
@nan_option
@json_option
@csv_option
def measure(
    release: Path | str,
    observables: Pairs,
    where: str | None,
    flow: bool,  # noqa: FBT001
    density: bool,  # noqa: FBT001
    normalise: bool,  # noqa: FBT001
    nan: NanRule,
    as_json: bool,  # noqa: FBT001
    as_csv: bool,  # noqa: FBT001
) -> None:
    """Measure any observables of a RELEASE, declared or not: cross section per bin with its uncertainty by component.

    With --json everything is printed: the covariance, by component and between the observables, and the values under
    each member. JointMeasurement.from_dict reads it. --csv prints a row for each bin with all digits. In a terminal,
    the table has an inline histogram and fits its width.

    Example: omnifold-pub measure release.h5 -o "pT_l1 / pT_l2" -b 1,1.5,2,3,5
    """
    from omnifold_pub.presentation.terminal import TerminalView
    from omnifold_pub.release import open_release

    one_form(as_json=as_json, as_csv=as_csv)
    with open_release(release) as opened, progress_bars() as progress:
        joint = opened.measure(
            observables, where=where, flow=flow, density=density, normalise=normalise, nan=nan, progress=progress
        )
    if as_json:
        echo_json(joint.to_dict())
        return
    if as_csv:
        click.echo(joint.to_csv(), nl=False)
        return
    console = terminal()
    if console is None:
        click.echo(plain_text(tables_of(joint)))
    else:
        console.print(TerminalView(joint))
