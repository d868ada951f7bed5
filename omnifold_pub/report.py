"""The one-page summary of an unfolding, as one HTML file that needs nothing else."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from omnifold_pub.extras import require
from omnifold_pub.measurement import Estimate, JointMeasurement
from omnifold_pub.reinterpret.comparison import Comparison
from omnifold_pub.validate import Report

__all__ = ["ClosureRow", "Summary", "write_summary"]


@dataclass(frozen=True)
class ClosureRow:
    """How near the unfolded spectrum of one observable is to the truth, and how near the prior was.

    Attributes
    ----------
    observable : str
        Column or expression.
    bins : int
        Number of bins.
    prior, unfolded : float
        chi2 to the truth, both with the published covariance.
    p_value : float
        Of the unfolded spectrum.
    """

    observable: str
    bins: int
    prior: float
    unfolded: float
    p_value: float

    @property
    def verdict(self) -> str:
        """``nearer`` than the prior; ``as near`` if not further by more than chi2's own spread; else ``further``."""
        if self.unfolded <= self.prior:
            return "nearer"
        return "as near" if self.unfolded <= self.prior + np.sqrt(2 * self.bins) else "further"


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
    closure : tuple of ClosureRow
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
    closure: tuple[ClosureRow, ...]
    cross_section: Estimate
    truth_cross_section: float
    prior_cross_section: float
    pictures: tuple[Path, ...]


def _embedded(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii")


def write_summary(summary: Summary, path: Path) -> None:
    """Write the summary; what comes from metadata is escaped.

    Raises
    ------
    MissingExtraError
        If Jinja2 is not installed.
    """
    require("jinja2", extra="plot", purpose="Writing the summary")
    import jinja2

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    template = environment.from_string(resources.files("omnifold_pub").joinpath("templates/summary.html").read_text())
    cross_section = summary.cross_section
    html = template.render(
        summary=summary,
        metadata=summary.metadata,
        test=summary.comparison.test,
        cross_section=float(cross_section.values()[0]),
        uncertainty=float(cross_section.uncertainties()[0]),
        budget=[(c, float(cross_section.uncertainties(c.name)[0])) for c in cross_section.components],
        pictures=[(picture.stem, _embedded(picture)) for picture in summary.pictures],
    )
    path.write_text(html, encoding="utf-8")
