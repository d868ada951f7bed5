"""The one-page summary of an unfolding, as one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from omnifold_pub.closure import ClosureTable
from omnifold_pub.extras import require
from omnifold_pub.measurement import Estimate, JointMeasurement
from omnifold_pub.reinterpret.comparison import Comparison
from omnifold_pub.training_summary import count_stops, iteration_rows, training_figure
from omnifold_pub.validate import Report

__all__ = ["Summary", "write_summary"]


@dataclass(frozen=True, eq=False)
class Summary:
    """What was unfolded and what came of it.

    Attributes
    ----------
    release : pathlib.Path
        The release it published.
    metadata : dict
        The release's.
    report : Report
        Outcome of its validation.
    measurement : JointMeasurement
        Observables that nobody declared, with the covariance between them.
    comparison : Comparison
        Theory against these.
    closure : ClosureTable
        Unfolded against the truth of the pseudo-data.
    cross_section : Estimate
        Fiducial cross section.
    truth_cross_section, prior_cross_section : float
        Of the truth and of the simulation.
    pictures : tuple of pathlib.Path
        Drawn along the way.
    """

    release: Path
    metadata: dict[str, Any]
    report: Report
    measurement: JointMeasurement
    comparison: Comparison
    closure: ClosureTable
    cross_section: Estimate
    truth_cross_section: float
    prior_cross_section: float
    pictures: tuple[Path, ...]


def _embedded(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _training_picture(diagnostics: list[dict[str, Any]]) -> str:
    from omnifold_pub import plots

    with plots.style():
        drawn = io.BytesIO()
        training_figure(diagnostics).savefig(drawn, format="svg", metadata={"Date": None})
    return _embedded(drawn.getvalue(), "svg+xml")


def write_summary(summary: Summary, path: Path) -> None:
    """Write the summary; what comes from metadata is escaped.

    Raises
    ------
    MissingExtraError
        If Jinja2 or, where trainings are to be drawn, matplotlib is not installed.
    """
    require("jinja2", extra="plot", purpose="Writing the summary")
    import jinja2

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    template = environment.from_string(resources.files("omnifold_pub").joinpath("templates/summary.html").read_text())
    cross_section = summary.cross_section
    diagnostics = summary.metadata["unfolding"].get("diagnostics", [])
    html = template.render(
        summary=summary,
        metadata=summary.metadata,
        test=summary.comparison.test,
        cross_section=float(cross_section.values()[0]),
        uncertainty=float(cross_section.uncertainties()[0]),
        budget=[(c, float(cross_section.uncertainties(c.name)[0])) for c in cross_section.components],
        pictures=[(picture.stem, _embedded(picture.read_bytes(), "png")) for picture in summary.pictures],
        trainings=diagnostics,
        iterations=iteration_rows(diagnostics),
        stops=count_stops(diagnostics),
        training_picture=_training_picture(diagnostics) if diagnostics else "",
    )
    path.write_text(html, encoding="utf-8")
