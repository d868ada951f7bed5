"""Write the report of a release: one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.atomic import replacing
from omnifold_pub.closure import ClosureTable, gathered, prior_theory
from omnifold_pub.errors import PublishError
from omnifold_pub.extras import require
from omnifold_pub.observables.blocks import evaluate
from omnifold_pub.observables.events import Events
from omnifold_pub.progress import Progress, silent
from omnifold_pub.reinterpret.theory import Theory
from omnifold_pub.release import Release
from omnifold_pub.report.answers import how_large, how_trustworthy, where_not_valid
from omnifold_pub.report.budget import Budget, budget_of, fiducial_cross_section
from omnifold_pub.report.evidence import calibration_of, evidence_of, repeat_closure
from omnifold_pub.report.page import Content, render
from omnifold_pub.report.pictures import (
    Picture,
    closure_picture,
    correlation_picture,
    spectrum_picture,
    training_picture,
)
from omnifold_pub.report.reach import Reach, reach_of
from omnifold_pub.report.spectra import Observables, Spectra, measure_spectra
from omnifold_pub.report.theories import compare_spectra, knows
from omnifold_pub.training_summary import background_fits, count_stops, iteration_rows
from omnifold_pub.validate import Report, validate
from omnifold_pub.validity import Limits

__all__ = ["LARGEST", "write_report"]

LARGEST = 5_000_000
"""Bytes of a report at most, as long as its text alone has fewer."""

_ROOM = 4_300_000
"""Bytes of pictures: text and tables have the rest."""

_TRAININGS_DRAWN = 50


def write_report(
    release: Release,
    path: str | Path,
    *,
    observables: Observables | None = None,
    theories: Sequence[Theory] = (),
    beside: Sequence[Theory] = (),
    closure: ClosureTable | None = None,
    validation: Report | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write what a release is, how uncertain, how trustworthy and where it ends, as one HTML file.

    The file loads nothing and runs nothing; text of the metadata is shown as text.

    Parameters
    ----------
    release : Release
        Open.
    path : str or path-like
        Where to write it.
    observables : sequence of str, or mapping
        Columns or expressions whose spectra are shown; or, by name, bins or ``(definition, bins)``. By default all
        columns, in bins that `Release.suggest_bins` proposes.
    theories : sequence of Theory
        Drawn beside the spectra and compared with them.
    beside : sequence of Theory
        Drawn, and not compared: a truth. The simulation before unfolding is drawn where the release has it.
    closure : ClosureTable, optional
        Of a release of pseudo-data with their truth, as `omnifold_pub.closure.closure_table` returns it.
    validation : Report, optional
        As `omnifold_pub.validate.validate` returns it; by default it is made, unless the release is at a URL.
    progress : callable, optional
        Called with (done, total, what).

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    MissingExtraError
        If Jinja2, matplotlib or mplhep is not installed.
    ObservableError
        If an observable or bins that were asked for cannot be used.
    ValidityError
        If bins that were asked for are not vouched for, and the publisher asks that they be refused.
    InputError
        If a theory is in another unit, or of another fiducial region.
    PublishError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile, omnifold_pub
    >>> with omnifold_pub.open_release("tests/archive/v1.1.0/release.h5") as release:
    ...     with tempfile.TemporaryDirectory() as folder:
    ...         path = write_report(release, f"{folder}/report.html", observables={"x": [-1, 0, 1]})
    ...         path.name, path.stat().st_size < LARGEST
    ('report.html', True)
    """
    require("jinja2", "matplotlib", "mplhep", extra="plot", purpose="Writing the report")
    report = progress or silent
    if validation is None and isinstance(release.path, Path):
        validation = validate(release.path, progress=progress)
    content = _content(release, observables, theories, beside, closure, validation, report)
    html = render(content)
    while len(html.encode()) > LARGEST and content.pictures:  # long metadata: text before pictures
        kept = list(content.pictures.items())[: len(content.pictures) // 2]
        content = replace(content, pictures=dict(kept))
        html = render(content)
    path = Path(path)
    try:
        with replacing(path) as temporary:
            temporary.write_text(html, encoding="utf-8")
    except OSError as error:
        msg = f"{path}: expected to write the report there; found {error.strerror or error}; nothing is left of it"
        raise PublishError(msg) from error
    return path


def _content(
    release: Release,
    observables: Observables | None,
    theories: Sequence[Theory],
    beside: Sequence[Theory],
    closure: ClosureTable | None,
    validation: Report | None,
    progress: Progress,
) -> Content:
    """Compute all that the page shows."""
    metadata = release.metadata
    spectra = measure_spectra(release, observables, progress=progress)
    measurements = spectra.measurements
    limits = Limits.from_metadata(metadata)
    budget = budget_of(fiducial_cross_section(release, progress=progress), measurements)
    reaches = _reaches(release, spectra, limits)
    repeated = repeat_closure(release, measurements, spectra.definitions, progress=progress)
    evidence = evidence_of(metadata, repeated, closure)
    compared = compare_spectra(theories, measurements, spectra.definitions, progress=progress)
    diagnostics = metadata["unfolding"].get("diagnostics", [])
    iterations = iteration_rows(diagnostics)
    pictures = _pictures(release, spectra, budget, (*beside, *theories), progress)
    extra = _fitting(
        [
            closure_picture(metadata, closure),
            correlation_picture(spectra.joint) if spectra.joint is not None and budget.rows else None,
            training_picture(diagnostics[:_TRAININGS_DRAWN]) if diagnostics else None,
        ],
        _ROOM - sum(len(one.source) for one in pictures.values()),
    )
    return Content(
        release=release.path.name,
        metadata=metadata,
        spectra=spectra,
        budget=budget,
        limits=limits,
        reaches=reaches,
        repeated=repeated,
        evidence=evidence,
        compared=compared,
        closure=closure,
        told=gathered(metadata["closure"]["results"]),
        validation=validation,
        iterations=iterations,
        stops=count_stops(diagnostics),
        background=background_fits(diagnostics),
        trainings=len(diagnostics),
        pictures=pictures,
        training=extra.get("training"),
        correlation=extra.get("correlation"),
        closing=extra.get("closure"),
        answers=(
            how_large(budget, metadata),
            how_trustworthy(
                evidence=evidence,
                repeated=repeated,
                calibration=calibration_of(diagnostics),
                iterations=iterations,
                report=validation,
            ),
            where_not_valid(limits, metadata, spectra, reaches),
        ),
    )


def _reaches(release: Release, spectra: Spectra, limits: Limits) -> tuple[Reach, ...]:
    """Return how far each observable with a spectrum can be measured."""
    weights = release.nominal_weights.astype(np.float64)
    data = release.events
    events = Events(data.size, tuple(data), data.__getitem__, where=data.where, momenta=data.momenta)
    found = []
    for name, measured in spectra.measurements.items():
        values: NDArray[np.float64] = evaluate(spectra.definitions[name], events, nan="drop")
        edges = measured.axes[0].edges
        found.append(reach_of(name, values, weights, edges=edges, least=limits.effective_events))
    return tuple(found)


def _pictures(
    release: Release, spectra: Spectra, budget: Budget, theories: Sequence[Theory], progress: Progress
) -> dict[str, Picture]:
    """Draw the spectra, as many as there is room for."""
    from omnifold_pub import plots

    drawn_beside = [*([prior_theory(release)] if release.metadata["weights"].get("prior") else []), *theories]
    pictures: dict[str, Picture] = {}
    size = 0
    total = len(spectra.measurements)
    for (name, measured), one in zip(spectra.measurements.items(), budget.spectra, strict=True):
        progress(len(pictures), total, "drawing")
        known = [theory for theory in drawn_beside if knows(theory, spectra.definitions[name])]
        known = [theory for theory in known if theory.has_cross_section]
        picture = spectrum_picture(measured, one, curves=plots.curves_of(measured, known))
        size += len(picture.source)
        if size > 0.8 * _ROOM:
            break
        pictures[name] = picture
    progress(total, total, "drawing")
    return pictures


def _fitting(pictures: Sequence[Picture | None], room: int) -> dict[str, Picture]:
    """Return the pictures that there is room for, in their order, by name."""
    kept: dict[str, Picture] = {}
    for picture in pictures:
        if picture is not None and len(picture.source) <= room:
            room -= len(picture.source)
            kept[picture.name] = picture
    return kept
