"""The command that confronts theories with a release: compare."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from omnifold_pub.cli.console import (
    Pairs,
    echo_json,
    how_tested,
    json_option,
    nan_option,
    observable_options,
    release_argument,
    show_table,
    where_option,
)
from omnifold_pub.cli.theories import Question, TheoryFiles, a_file, components_options, theory_options
from omnifold_pub.errors import StatisticsError
from omnifold_pub.observables.events import NanRule

if TYPE_CHECKING:
    from omnifold_pub.reinterpret.comparison import Comparison
    from omnifold_pub.statistics.inference import Chi2

__all__ = ["compare"]

_DIRECTIONS = 3  # that disagree most
_LARGE = 0.3  # of a direction's largest entry


@click.command()
@release_argument
@click.argument("theory", type=a_file, nargs=-1, required=True)
@theory_options
@observable_options
@where_option
@components_options
@click.option("--shape", is_flag=True, help="Compare spectra normalised to one.")
@nan_option
@json_option
def compare(
    release: Path | str,
    theory: tuple[Path, ...],
    files: TheoryFiles,
    observables: Pairs,
    where: str | None,
    leave_out: tuple[str, ...],
    decorrelate: tuple[str, ...],
    shape: bool,  # noqa: FBT001
    nan: NanRule,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Compare a THEORY, or several, with a RELEASE: chi2, bins, p-value.

    A THEORY is a file of particle-level events: ROOT or Parquet, with columns named as the release's; HepMC or LHE, of
    which the release's fiducial definition computes them. Or of histograms in the same bins: YODA or ROOT. What it is,
    its first bytes say. Several observables are compared jointly. For one theory it is said where chi2 comes from:
    which bins, which components of the covariance, which directions; several are ranked.

    Example: omnifold-pub compare release.h5 theory.root --tree events --weight weight --unit pb
    -o pT_ll -b 200,300,450,1000

    Example: omnifold-pub compare release.h5 events.hepmc.gz --family scales envelope 'MUR*' -o pT_ll -b 200,300,1000

    Example: omnifold-pub compare release.h5 rivet.yoda --object pT_ll /ANALYSIS/pT --unit pb -o pT_ll -b 200,300,1000
    """
    from omnifold_pub.reinterpret.comparison import compare as confront
    from omnifold_pub.reinterpret.ranking import rank
    from omnifold_pub.release import open_release

    with open_release(release) as opened:
        joint = opened.measure(observables, where=where, nan=nan)
        question = Question.of(opened, observables, where=where)
    theories = files.read_all(theory, question)
    options: dict[str, Any] = {"leave_out": leave_out, "decorrelate": decorrelate, "shape_only": shape}
    if len(theories) > 1:
        ranking = rank(joint, theories, **options)
        table = ranking.table()
        if as_json:
            echo_json(ranking.to_dict())
        else:
            show_table(table.title, table.columns, table.rows, text=table.text)
        return
    comparison = confront(joint, theories[0], **options)
    if as_json:
        echo_json(_document(comparison))
        return
    _show_bins(comparison, str(release))
    _show_parts(comparison)


def _document(comparison: Comparison) -> dict[str, Any]:
    """Return all that is known of a comparison, as JSON can hold it."""

    def short(test: Chi2 | str) -> dict[str, Any]:
        if isinstance(test, str):
            return {"refused": test}
        return {"chi2": test.chi2, "dof": test.dof, "p_value": test.p_value, "method": test.method}

    document = comparison.to_dict() | {
        "without_theory_uncertainty": short(_tried(comparison.without_theory)),
        "dissection": comparison.dissect().to_dict(),
    }
    if not comparison.shape_only:
        document["shape"] = short(_tried(comparison.shape)) if _has_shape(comparison) else None
        document["normalisation"] = [one.to_dict() for one in comparison.normalisation()]
    return document


def _tried(test: Callable[[], Chi2]) -> Chi2 | str:
    """Return a further test, or why it is not to be had: the comparison that was asked for stands without it."""
    try:
        return test()
    except StatisticsError as error:
        return str(error)


def _in_words(what: str, test: Chi2 | str) -> str:
    if isinstance(test, str):
        return f"  {what}: no test: {test}"
    return f"  {what}: {_verdict(test)}"


def _verdict(test: Chi2) -> str:
    return f"chi2 = {test.chi2:.2f} for {test.dof} dof, p = {test.p_value:.3g}"


def _has_shape(comparison: Comparison) -> bool:
    """Tell whether every observable has two bins at least."""
    return min(comparison.measurement.sizes) > 1


def _show_bins(comparison: Comparison, release: str) -> None:
    """Print measured and predicted bins, and what each has to do with chi2."""
    measurement, found = comparison.measurement, comparison.dissect()
    if not comparison.shape_only:
        places = [
            (name, label)
            for name, place in zip(measurement.names, measurement.slices, strict=True)
            for label in measurement.labels[place]
        ]
        numbers = zip(
            measurement.nominal,
            measurement.uncertainties(),
            comparison.prediction,
            np.sqrt(np.diag(comparison.covariance)),
            found.pulls,
            found.shares,
            found.drops,
            strict=True,
        )
        rows = [
            (*place, f"{m:.5g}", f"{dm:.2g}", f"{t:.5g}", f"{dt:.2g}", f"{p:+.1f}", f"{s:.1f}", f"{d:.1f}")
            for place, (m, dm, t, dt, p, s, d) in zip(places, numbers, strict=True)
        ]
        units = f"measured [{measurement.unit}]"
        columns = ("observable", "bin", units, "+-", "theory", "+-", "pull", "of chi2", "chi2 falls without it by")
        show_table(f"{comparison.theory} against {release}", columns, rows, text=2)
    else:
        shares = zip(found.labels, found.pulls, found.shares, found.drops, strict=True)
        show_table(
            f"Shape of {comparison.theory} against {release}; the last bin of each observable follows from its others",
            ("bin", "pull", "of chi2", "chi2 falls without it by"),
            [(label, f"{p:+.1f}", f"{s:.1f}", f"{d:.1f}") for label, p, s, d in shares],
        )
    test = comparison.test
    what = "shapes: " if comparison.shape_only else ""
    click.echo(f"\n{what}{_verdict(test)} {how_tested(test)}")
    click.echo(_in_words("with an exact theory", _tried(comparison.without_theory)))
    if not comparison.shape_only:
        if _has_shape(comparison):
            click.echo(_in_words("shapes alone", _tried(comparison.shape)))
        for one in comparison.normalisation():
            click.echo(f"  sum over {one.observable}: pull {one.pull:+.1f}, p = {one.p_value:.3g}")


def _show_parts(comparison: Comparison) -> None:
    """Print components and directions."""
    found = comparison.dissect()
    click.echo()
    rows = [(s.name, f"{s.chi2:.1f}", "-" if s.pull is None else f"{s.pull:+.2f}") for s in found.components]
    show_table("What the components pay for the difference", ("component", "of chi2", "pull"), rows)
    click.echo()
    directions = []
    for direction in found.directions[:_DIRECTIONS]:
        large = np.argsort(-np.abs(direction.vector))
        limit = _LARGE * np.abs(direction.vector).max()
        terms = [f"{direction.vector[i]:+.2f} ({found.labels[i]})" for i in large if abs(direction.vector[i]) > limit]
        directions.append((f"{direction.pull:+.1f}", f"{direction.eigenvalue:.2g}", " ".join(terms)))
    show_table("Directions that disagree most", ("pull", "eigenvalue", "bins"), directions)
