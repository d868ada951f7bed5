"""Commands that export the likelihood of a signal: export pyhf, export hs3."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from omnifold_pub.cli.console import Wishes, release_argument
from omnifold_pub.cli.measuring import binned_options, measured
from omnifold_pub.cli.theories import Question, TheoryFiles, a_file, theory_options
from omnifold_pub.errors import InputError
from omnifold_pub.observables.events import NanRule

if TYPE_CHECKING:
    from omnifold_pub.measurement import JointMeasurement

__all__ = ["hs3", "pyhf"]

_SIGNAL, _BACKGROUND = "signal", "background"


def _signal_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the release, the file, the bins, the theories but for the signal."""
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
        binned_options,
        click.argument("out", type=click.Path(dir_okay=False, path_type=Path)),
        release_argument,
    ):
        command = option(command)
    return command


def _inputs(
    release: Path | str, observables: Wishes, nan: NanRule, files: TheoryFiles, paths: dict[str, Path]
) -> tuple[JointMeasurement, dict[str, Any]]:
    """Return the measurement; signal, background, and what the background's finite number of events adds."""
    from omnifold_pub.release import open_release

    with open_release(release) as opened:
        joint = measured(opened, observables, where=None, nan=nan)
        question = Question.of(opened, joint.names)
    arrays: dict[str, Any] = {}
    for what, theory in zip(paths, files.read_all(list(paths.values()), question), strict=True):
        arrays[what], covariance = theory.predict(joint)
        if not arrays[what].any():
            msg = f"{theory.name}: no event is in any of the {len(arrays[what])} bins ({what}); "
            msg += "is it of the same fiducial region?"
            raise InputError(msg)
        if what == _BACKGROUND:
            arrays["covariance"] = covariance
    return joint, arrays


def _paths(signal: Path, background: Path | None) -> dict[str, Path]:
    return {_SIGNAL: signal} if background is None else {_SIGNAL: signal, _BACKGROUND: background}


def _point(text: str) -> tuple[float | str, ...]:
    """Return the coordinates of a point: numbers, and words.

    >>> _point("500,low")
    (500.0, 'low')
    """
    found: list[float | str] = []
    for part in text.split(","):
        try:
            found.append(float(part))
        except ValueError:
            found.append(part.strip())
    return tuple(found)


def _say(joint: JointMeasurement, arrays: dict[str, Any], leave_out: tuple[str, ...]) -> None:
    found = joint.signal_strength(**arrays, leave_out=leave_out)
    click.echo(f"mu = {found.best_fit:.4g} +- {found.error:.4g}, chi2 = {found.chi2:.2f} for {found.dof} dof")
    click.echo(
        f"mu < {found.limit:.4g} at {found.level:.0%} CLs; without a signal, {found.expected[2]:.4g} is expected "
        f"({found.expected[1]:.4g} to {found.expected[3]:.4g})"
    )


@click.command()
@_signal_options
@click.option("--signal", type=a_file, help="Theory whose strength is the parameter mu.")
@click.option(
    "--signal-at",
    "points",
    type=(str, a_file),
    multiple=True,
    metavar="POINT THEORY",
    help="One of a grid of signals, in place of --signal, such as 500,0.1 theory.root; --labels says what they are.",
)
@click.option("--labels", metavar="NAMES", help="Of a grid: what the numbers of a point are, such as mass,width.")
@click.option("--record", help="Of a grid: the measurement's name in HEPData, ins and seven digits.")
@click.option("--description", default="", help="Of a grid.")
@click.option("--channel", default="measurement", show_default=True, help="Name of the channel.")
def pyhf(
    release: Path | str,
    out: Path,
    observables: Wishes,
    nan: NanRule,
    signal: Path | None,
    points: tuple[tuple[str, Path], ...],
    labels: str | None,
    record: str | None,
    description: str,
    background: Path | None,
    files: TheoryFiles,
    mode: Any,
    leave_out: tuple[str, ...],
    channel: str,
) -> None:
    """Write a workspace OUT of pyhf for the strength mu of a signal, with the full covariance.

    It is fitted with pyhf before it is written, and refused if pyhf's answer is not that of the closed form. Its
    measurements are fit (mu of any sign) and limit (mu >= 0). Theories are as for `omnifold-pub compare`. A grid of
    signals becomes a workspace without a signal, and beside it a patch set, *.patchset.json.

    Example: omnifold-pub export pyhf release.h5 workspace.json --signal signal.root --background theory.root
    --tree events --weight weight --unit pb -o pT_ll -b 200,300,450,1000

    Example: omnifold-pub export pyhf release.h5 grid.json --signal-at 500 low.parquet --signal-at 750 high.parquet
    --labels mass --record ins1234567 --background theory.root --tree events --weight weight --unit pb
    -o pT_ll -b 200,300,450,1000
    """
    if (signal is None) == (not points):
        msg = "expected either --signal, or --signal-at for each point of a grid"
        raise click.UsageError(msg)
    if signal is not None:
        joint, arrays = _inputs(release, observables, nan, files, _paths(signal, background))
        joint.to_pyhf(**arrays, leave_out=leave_out, mode=mode, channel=channel, path=out)
        _say(joint, arrays, leave_out)
        return
    if labels is None or record is None:
        msg = "a grid of signals needs --labels and --record"
        raise click.UsageError(msg)
    paths = dict(points)
    if len({_point(text) for text in paths}) != len(points):
        msg = "a point of the grid is given twice"
        raise click.UsageError(msg)
    joint, arrays = _inputs(release, observables, nan, files, paths | ({_BACKGROUND: background} if background else {}))
    signals = {text: arrays.pop(text) for text in paths}
    joint.to_pyhf_grid(
        {_point(text): values for text, values in signals.items()},
        **arrays,
        labels=labels.split(","),
        record=record,
        description=description or f"Signals at {len(points)} points of {labels}",
        leave_out=leave_out,
        mode=mode,
        channel=channel,
        path=out,
    )
    for text, values in signals.items():
        click.echo(f"{labels} = {text}:")
        _say(joint, {**arrays, _SIGNAL: values}, leave_out)


@click.command()
@_signal_options
@click.option("--signal", type=a_file, required=True, help="Theory whose strength is the parameter mu.")
def hs3(
    release: Path | str,
    out: Path,
    observables: Wishes,
    nan: NanRule,
    signal: Path,
    background: Path | None,
    files: TheoryFiles,
    mode: Any,
    leave_out: tuple[str, ...],
) -> None:
    """Write the likelihood of the strength mu of a signal as an HS3 document OUT, with the full covariance.

    Example: omnifold-pub export hs3 release.h5 likelihood.json --signal signal.root --background theory.root
    --tree events --weight weight --unit pb -o pT_ll -b 200,300,450,1000
    """
    joint, arrays = _inputs(release, observables, nan, files, _paths(signal, background))
    joint.to_hs3(**arrays, leave_out=leave_out, mode=mode, path=out)
    _say(joint, arrays, leave_out)
