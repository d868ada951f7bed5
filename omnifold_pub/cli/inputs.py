"""The command for the inputs of an analysis: inputs check."""

from __future__ import annotations

from pathlib import Path

import click

from omnifold_pub.cli.console import EXIT_AT_FAULT, Group, echo_json, json_option, progress_bars, say, show_table

__all__ = ["inputs"]


@click.group(cls=Group)
def inputs() -> None:
    """Look at the inputs of an analysis before anything is trained.

    Example: omnifold-pub inputs check analysis.yaml
    """


@inputs.command()
@click.argument("analysis", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@json_option
@click.pass_context
def check(ctx: click.Context, analysis: Path, as_json: bool) -> None:  # noqa: FBT001
    """Check every file that ANALYSIS (YAML) names: all findings at once, errors, warnings and notes.

    Missing values and the declared rule for them, ranges, duplicates, weights, data outside of the simulation's
    support, drift, efficiency and fakes. Exit status 0 if there is no error, 1 if there is one, 2 if the call is wrong.

    Example: omnifold-pub inputs check analysis.yaml
    """
    from omnifold_pub.inputs.doctor import check_inputs
    from omnifold_pub.inputs.doctor.findings import LEVELS

    with progress_bars() as progress:
        report = check_inputs(analysis, progress=progress)
    if as_json:
        echo_json(report.to_dict())
    else:
        rows = []
        for level in LEVELS:
            counts: dict[str, int] = {}
            for finding in report.at(level):
                counts[finding.code] = counts.get(finding.code, 0) + 1
            rows += [(level, code, count) for code, count in counts.items()]
        clean = "no error" if report.usable else "NOT USABLE"
        show_table(f"{report.path}: {clean}", ("level", "check", "findings"), rows, text=2)
        for finding in report.findings:
            say(f"\n{finding.level}: {finding.code}: {finding}")
    if not report.usable:
        ctx.exit(EXIT_AT_FAULT)
