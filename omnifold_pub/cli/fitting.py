"""The command that fits parameters of a theory: fit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from omnifold_pub.cli.console import (
    Pairs,
    echo_json,
    json_option,
    nan_option,
    observable_options,
    release_argument,
    show_table,
)
from omnifold_pub.cli.theories import TheoryFiles, a_file, columns_of, components_options, theory_options
from omnifold_pub.observables.events import NanRule

if TYPE_CHECKING:
    from omnifold_pub.reinterpret.fitting import Model

__all__ = ["fit"]


@click.command()
@release_argument
@click.option(
    "--template",
    "templates",
    type=(str, a_file),
    multiple=True,
    metavar="NAME THEORY",
    help="Fit NAME times this theory. Can be given several times.",
)
@click.option(
    "--grid",
    "nodes",
    type=(float, a_file),
    multiple=True,
    metavar="VALUE THEORY",
    help="Interpolate between theories, this one made with the parameter at VALUE. At least three times.",
)
@click.option("--parameter", default="parameter", show_default=True, help="What the parameter of the --grid is called.")
@click.option(
    "--reweight",
    "terms",
    type=(str, str, str),
    multiple=True,
    metavar="NAME LINEAR QUADRATIC",
    help="Branches of --fixed that are added to its weights times NAME and its square; - for none.",
)
@click.option("--fixed", type=a_file, help="Theory beside the templates, or the one to be reweighted.")
@theory_options
@observable_options
@components_options
@click.option("--level", type=click.FloatRange(0, 1, min_open=True, max_open=True), help="Confidence level.")
@nan_option
@json_option
def fit(
    release: Path | str,
    templates: tuple[tuple[str, Path], ...],
    nodes: tuple[tuple[float, Path], ...],
    parameter: str,
    terms: tuple[tuple[str, str, str], ...],
    fixed: Path | None,
    tree: str,
    weight: str,
    unit: str,
    sentinel: float | None,
    observables: Pairs,
    leave_out: tuple[str, ...],
    decorrelate: tuple[str, ...],
    level: float | None,
    nan: NanRule,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Fit parameters of theories (particle-level events in ROOT files) to a RELEASE, with its full covariance.

    The parameters are sizes of templates, or what a grid of samples was made with, or what event weights are reweighted
    by. Intervals and p-value know how few the replicas are.

    Example: omnifold-pub fit release.h5 --template mu theory.root --tree events --weight weight --unit pb
    -o pT_ll -b 200,300,450,1000
    """
    from omnifold_pub.reinterpret.fitting import fit as fit_model
    from omnifold_pub.reinterpret.fitting.interval import STANDARD
    from omnifold_pub.release import open_release

    if sum(map(bool, (templates, nodes, terms))) != 1 or (terms and fixed is None):
        msg = "expected one kind of model: --template, or --grid, or --reweight together with --fixed"
        raise click.UsageError(msg)
    if nodes and fixed is not None:
        msg = "--fixed goes with --template or --reweight, not with --grid"
        raise click.UsageError(msg)
    with open_release(release) as opened:
        joint = opened.measure(observables, nan=nan)
        columns = columns_of(opened, observables)
    files = TheoryFiles(tree, weight, unit, sentinel)
    model = _model(files, columns, templates, nodes, parameter, terms, fixed)
    found = fit_model(
        model, joint, leave_out=leave_out, decorrelate=decorrelate, level=STANDARD if level is None else level
    )
    if as_json:
        echo_json(found.to_dict())
        return
    table = found.table()
    show_table(f"Fit to {release}", table.columns, table.rows, text=table.text)
    click.echo("\n" + "\n".join(found.remarks()))


def _model(
    files: TheoryFiles,
    columns: list[str],
    templates: tuple[tuple[str, Path], ...],
    nodes: tuple[tuple[float, Path], ...],
    parameter: str,
    terms: tuple[tuple[str, str, str], ...],
    fixed: Path | None,
) -> Model:
    """Read the theories and make the model."""
    from omnifold_pub.inputs.root import read_columns
    from omnifold_pub.reinterpret.fitting import Grid, Reweighting, Templates

    if templates:
        names = [name for name, _ in templates]
        if len(set(names)) != len(names):
            msg = "a template's name is given twice"
            raise click.UsageError(msg)
        base = None if fixed is None else files.read(fixed, columns)
        return Templates({name: files.read(path, columns) for name, path in templates}, base)
    if nodes:
        values = [value for value, _ in nodes]
        if len(set(values)) != len(values):
            msg = "a value of the grid is given twice"
            raise click.UsageError(msg)
        return Grid([parameter], {value: files.read(path, columns) for value, path in nodes})
    assert fixed is not None  # noqa: S101 - seen to by the caller
    theory = files.read(fixed, columns)
    wanted = sorted({branch for _, *branches in terms for branch in branches if branch != "-"})
    arrays = read_columns(fixed, files.tree, wanted)
    return Reweighting(
        theory,
        {name: arrays[first] for name, first, _ in terms if first != "-"},
        {name: arrays[second] for name, _, second in terms if second != "-"},
    )
