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
    where_option,
)
from omnifold_pub.cli.theories import Question, TheoryFiles, a_file, components_options, theory_options
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
    help="Columns of --fixed that are added to its weights times NAME and its square; - for none.",
)
@click.option("--fixed", type=a_file, help="Theory beside the templates, or the one to be reweighted.")
@theory_options
@observable_options
@where_option
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
    files: TheoryFiles,
    observables: Pairs,
    where: str | None,
    leave_out: tuple[str, ...],
    decorrelate: tuple[str, ...],
    level: float | None,
    nan: NanRule,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Fit parameters of theories to a RELEASE, with its full covariance.

    Theories are files as for `omnifold-pub compare`; only tables of events, ROOT and Parquet, can be reweighted. The
    parameters are sizes of templates, or what a grid of samples was made with, or what event weights are reweighted
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
        joint = opened.measure(observables, where=where, nan=nan)
        question = Question.of(opened, observables, where=where)
    model = _model(files, question, templates, nodes, parameter, terms, fixed)
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
    question: Question,
    templates: tuple[tuple[str, Path], ...],
    nodes: tuple[tuple[float, Path], ...],
    parameter: str,
    terms: tuple[tuple[str, str, str], ...],
    fixed: Path | None,
) -> Model:
    """Read the theories and make the model."""
    from omnifold_pub.reinterpret.fitting import Grid, Templates

    if templates:
        names = [name for name, _ in templates]
        if len(set(names)) != len(names):
            msg = "a template's name is given twice"
            raise click.UsageError(msg)
        theories = files.read_all([path for _, path in templates] + ([] if fixed is None else [fixed]), question)
        return Templates(dict(zip(names, theories, strict=False)), None if fixed is None else theories[-1])
    if nodes:
        values = [value for value, _ in nodes]
        if len(set(values)) != len(values):
            msg = "a value of the grid is given twice"
            raise click.UsageError(msg)
        theories = files.read_all([path for _, path in nodes], question)
        return Grid([parameter], dict(zip(values, theories, strict=True)))
    assert fixed is not None  # noqa: S101 - seen to by the caller
    return _reweighting(files, question, fixed, terms)


def _reweighting(files: TheoryFiles, question: Question, path: Path, terms: tuple[tuple[str, str, str], ...]) -> Model:
    """Read a theory and the weights that move it."""
    from omnifold_pub.reinterpret.fitting import Reweighting
    from omnifold_pub.reinterpret.kinds import kind_of
    from omnifold_pub.reinterpret.tables import read_parquet, read_root

    kind = kind_of(path)
    if kind not in ("ROOT", "Parquet"):
        msg = f"{path} is a {kind} file: --reweight takes the columns of a ROOT or a Parquet file"
        raise click.UsageError(msg)
    if files.cross_section is not None:
        msg = "--cross-section does not go with --reweight: all weights must be in one normalisation already"
        raise click.UsageError(msg)
    theory = files.read_events(path, question, kind)
    wanted = sorted({column for _, *columns in terms for column in columns if column != "-"})
    arrays, _ = read_root(path, files.tree or "", wanted, {}) if kind == "ROOT" else read_parquet(path, wanted, {})
    return Reweighting(
        theory,
        {name: arrays[first] for name, first, _ in terms if first != "-"},
        {name: arrays[second] for name, _, second in terms if second != "-"},
    )
