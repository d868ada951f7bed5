"""The command line: one thin command per user action."""

from __future__ import annotations

import click

from omnifold_pub.cli import (
    binning,
    campaign,
    closure,
    comparing,
    depositing,
    describing,
    drifting,
    exchanging,
    exploring,
    fitting,
    importing,
    informing,
    inputs,
    plotting,
    producing,
    reading,
    reporting,
)
from omnifold_pub.cli.console import Group

__all__ = ["main"]


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="omnifold-pub")
def main() -> None:
    """Publish, validate, read and reinterpret unbinned unfolded measurements.

    Begin with `omnifold-pub info RELEASE` if you have a release, with `omnifold-pub demo` if you have none.
    """


for _command in (
    producing.demo,
    campaign.campaign,
    producing.publish,
    describing.metadata,
    inputs.inputs,
    importing.import_,
    reading.validate,
    reading.verify,
    informing.info,
    binning.bins,
    reading.measure,
    plotting.plot,
    comparing.compare,
    drifting.drift,
    fitting.fit,
    closure.closure,
    exploring.explore,
    reporting.report,
    exchanging.export,
    depositing.package,
):
    main.add_command(_command)
