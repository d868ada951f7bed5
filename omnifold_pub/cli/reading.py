"""Commands of readers and archives: validate, verify, info, measure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from omnifold_pub.cli.console import (
    EXIT_AT_FAULT,
    Pairs,
    echo_json,
    json_option,
    local_release_argument,
    nan_option,
    observable_options,
    progress_bars,
    release_argument,
    show_table,
)
from omnifold_pub.observables.events import NanRule
from omnifold_pub.presentation.tables import tables_of

if TYPE_CHECKING:
    from omnifold_pub.validate import Report

__all__ = ["info", "measure", "validate", "verify"]


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
            click.echo(f"\n{finding.level}: {finding.code}: {finding}")
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
@json_option
def info(release: Path | str, as_json: bool) -> None:  # noqa: FBT001
    """Say what is in a RELEASE: what was measured, observables, components of the covariance.

    Example: omnifold-pub info release.h5
    """
    from omnifold_pub.release import open_release

    with open_release(release) as opened:
        metadata = opened.metadata
    if as_json:
        echo_json(metadata)
        return
    weights, collision, luminosity = (metadata[key] for key in ("weights", "collision", "luminosity"))
    click.echo(metadata["title"])
    click.echo(
        f"{metadata['data_kind']}: {metadata['process']}, {collision['system']} at {collision['energy_tev']:g} TeV, "
        f"{luminosity['value']:.6g} {luminosity['unit']}"
    )
    click.echo(f"fiducial region: {metadata['fiducial']['description']}")
    click.echo(f"{metadata['events']} events; weights in {weights['unit']}: their sum is the {weights['sum']}")
    click.echo(f"licence {metadata['licence']}, contact {metadata['contact']}, created {metadata['created']}\n")
    show_table(
        "Observables",
        ("name", "unit", "description"),
        [(o["name"], o["unit"], o["description"]) for o in metadata["observables"]],
        text=3,
    )
    click.echo()
    show_table(
        "Components of the covariance",
        ("name", "kind", "members", "description"),
        [(c["name"], c["kind"], c.get("members", "-"), c["description"]) for c in metadata["components"]],
        text=4,
    )


@click.command()
@release_argument
@observable_options
@click.option("--where", metavar="EXPR", help="Selection, such as 'pT_ll > 300 & y_ll > 0'.")
@click.option("--flow", is_flag=True, help="Add an under- and an overflow bin to each observable.")
@click.option("--density", is_flag=True, help="Divide by the widths of the bins.")
@click.option("--normalise", is_flag=True, help="Divide by the sum over all bins, of each observable.")
@nan_option
@json_option
def measure(
    release: Path | str,
    observables: Pairs,
    where: str | None,
    flow: bool,  # noqa: FBT001
    density: bool,  # noqa: FBT001
    normalise: bool,  # noqa: FBT001
    nan: NanRule,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Measure any observables of a RELEASE, declared or not: cross section per bin with its uncertainty by component.

    With --json everything is printed: the covariance, by component and between the observables, and the values under
    each member. JointMeasurement.from_dict reads it.

    Example: omnifold-pub measure release.h5 -o "pT_l1 / pT_l2" -b 1,1.5,2,3,5
    """
    from omnifold_pub.release import open_release

    with open_release(release) as opened, progress_bars() as progress:
        joint = opened.measure(
            observables, where=where, flow=flow, density=density, normalise=normalise, nan=nan, progress=progress
        )
    if as_json:
        echo_json(joint.to_dict())
        return
    for number, table in enumerate(tables_of(joint)):
        if number:
            click.echo()
        show_table(table.title, table.columns, table.rows, text=table.text)
