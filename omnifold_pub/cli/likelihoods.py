"""Commands that export the likelihood of a signal: export pyhf, export hs3."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from omnifold_pub.cli.console import release_argument
from omnifold_pub.cli.measuring import Wanted, binned_options, measured
from omnifold_pub.cli.theories import TheoryFiles, a_file, columns_of, theory_options
from omnifold_pub.observables.events import NanRule

if TYPE_CHECKING:
    from omnifold_pub.measurement import JointMeasurement

__all__ = ["hs3", "pyhf"]


def _signal_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the release, the file, the bins, the theories."""
    for option in (
        click.option("--leave-out", multiple=True, metavar="NAME", help="A component that does not count."),
        click.option(
            "--named",
            "mode",
            flag_value="named",
            default="whitened",
            help="Variations, eigenvectors and scales keep their names, as a parameter each.",
        ),
        theory_options,
        click.option("--background", type=a_file, help="Theory without the signal.  [default: none]"),
        click.option("--signal", type=a_file, required=True, help="Theory whose strength is the parameter mu."),
        binned_options,
        click.argument("out", type=click.Path(dir_okay=False, path_type=Path)),
        release_argument,
    ):
        command = option(command)
    return command


def _inputs(
    release: Path | str, wanted: Wanted, nan: NanRule, files: TheoryFiles, paths: dict[str, Path]
) -> tuple[JointMeasurement, dict[str, Any]]:
    """Return the measurement; signal, background, and what the background's finite number of events adds."""
    from omnifold_pub.release import open_release

    with open_release(release) as opened:
        joint = measured(opened, wanted, where=None, nan=nan)
        columns = columns_of(opened, {name: [] for name in joint.names})
    arrays: dict[str, Any] = {}
    for what, path in paths.items():
        arrays[what], covariance = files.read(path, columns).predict(joint)
        if what == "background":
            arrays["covariance"] = covariance
    return joint, arrays


def _paths(signal: Path, background: Path | None) -> dict[str, Path]:
    return {"signal": signal} if background is None else {"signal": signal, "background": background}


def _say(joint: JointMeasurement, arrays: dict[str, Any], leave_out: tuple[str, ...]) -> None:
    found = joint.signal_strength(**arrays, leave_out=leave_out)
    click.echo(f"mu = {found.best_fit:.4g} +- {found.error:.4g}, chi2 = {found.chi2:.2f} for {found.dof} dof")
    click.echo(
        f"mu < {found.limit:.4g} at {found.level:.0%} CLs; without a signal, {found.expected[2]:.4g} is expected "
        f"({found.expected[1]:.4g} to {found.expected[3]:.4g})"
    )


@click.command()
@_signal_options
@click.option("--channel", default="measurement", show_default=True, help="Name of the channel.")
def pyhf(
    release: Path | str,
    out: Path,
    wanted: Wanted,
    nan: NanRule,
    signal: Path,
    background: Path | None,
    tree: str,
    weight: str,
    unit: str,
    sentinel: float | None,
    mode: Any,
    leave_out: tuple[str, ...],
    channel: str,
) -> None:
    """Write a workspace OUT of pyhf for the strength mu of a signal, with the full covariance.

    It is fitted with pyhf before it is written, and refused if pyhf's answer is not that of the closed form. Its
    measurements are fit (mu of any sign) and limit (mu >= 0). Theories are as for `omnifold-pub compare`.

    Example: omnifold-pub export pyhf release.h5 workspace.json --signal theory.root --tree events --weight weight
    --unit pb -o pT_ll -b 200,300,450,1000
    """
    from omnifold_pub.exchange.likelihoods import write_document

    files = TheoryFiles(tree, weight, unit, sentinel)
    joint, arrays = _inputs(release, wanted, nan, files, _paths(signal, background))
    write_document(joint.to_pyhf(**arrays, leave_out=leave_out, mode=mode, channel=channel), out)
    _say(joint, arrays, leave_out)


@click.command()
@_signal_options
def hs3(
    release: Path | str,
    out: Path,
    wanted: Wanted,
    nan: NanRule,
    signal: Path,
    background: Path | None,
    tree: str,
    weight: str,
    unit: str,
    sentinel: float | None,
    mode: Any,
    leave_out: tuple[str, ...],
) -> None:
    """Write the likelihood of the strength mu of a signal as an HS3 document OUT, with the full covariance.

    Example: omnifold-pub export hs3 release.h5 likelihood.json --signal theory.root --tree events --weight weight
    --unit pb -o pT_ll -b 200,300,450,1000
    """
    from omnifold_pub.exchange.likelihoods import write_document

    files = TheoryFiles(tree, weight, unit, sentinel)
    joint, arrays = _inputs(release, wanted, nan, files, _paths(signal, background))
    write_document(joint.to_hs3(**arrays, leave_out=leave_out, mode=mode), out)
    _say(joint, arrays, leave_out)
