"""The page of a report: its content put into a template that escapes everything."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from importlib import resources
from typing import Any

from omnifold_pub.closure import ClosureResult, ClosureTable
from omnifold_pub.deposit.citation import bibtex, citation
from omnifold_pub.deposit.datacite import paper_url
from omnifold_pub.deposit.licence import licence_of
from omnifold_pub.presentation.tables import rounded
from omnifold_pub.report.answers import Answer
from omnifold_pub.report.budget import Budget
from omnifold_pub.report.evidence import Evidence, Repeated
from omnifold_pub.report.numbers import NUMBERS
from omnifold_pub.report.pictures import Picture
from omnifold_pub.report.reach import Reach
from omnifold_pub.report.spectra import Spectra
from omnifold_pub.report.theories import Compared
from omnifold_pub.training_summary import BackgroundFits, IterationRow
from omnifold_pub.validate import Report
from omnifold_pub.validity import Limits

__all__ = ["Content", "example", "render"]

_KINDS = {"data": "data", "pseudodata": "pseudo-data", "simulation": "simulation", "toy": "a toy"}


@dataclass(frozen=True, eq=False)
class Content:
    """All that a page shows.

    Attributes
    ----------
    release : str
        Name of its file.
    metadata : dict
        The release's.
    spectra, budget, limits, reaches, repeated, evidence, compared, closure, validation, iterations
        See their classes.
    told : tuple of ClosureResult
        Closure as the metadata have it.
    stops : tuple of (int, int, str)
        How many trainings ended after which iteration, by which rule.
    background : BackgroundFits or None
        How it was taken out of the data, where a classifier did that.
    trainings : int
        How many have diagnostics.
    pictures : dict
        Of the spectra, by name.
    training, correlation, closing : Picture or None
        None where there is nothing to draw, or no room.
    answers : tuple of Answer
        What the page begins with.
    """

    release: str
    metadata: dict[str, Any]
    spectra: Spectra
    budget: Budget
    limits: Limits
    reaches: tuple[Reach, ...]
    repeated: tuple[Repeated, ...]
    evidence: tuple[Evidence, ...]
    compared: tuple[Compared, ...]
    closure: ClosureTable | None
    told: tuple[ClosureResult, ...]
    validation: Report | None
    iterations: tuple[IterationRow, ...]
    stops: tuple[tuple[int, int, str], ...]
    background: BackgroundFits | None
    trainings: int
    pictures: dict[str, Picture]
    training: Picture | None
    correlation: Picture | None
    closing: Picture | None
    answers: tuple[Answer, ...]


def example(content: Content) -> str:
    """Return the five lines of Python that read the release; they run where the release lies.

    The observable is the first that every event has, in the bins of its spectrum; the cross section of all events
    where there is none.
    """
    names = [name for name, what in content.spectra.definitions.items() if isinstance(what, str)]
    always = {entry["name"] for entry in content.metadata["observables"] if entry["missing"]["rule"] == "never"}
    chosen = next((name for name in names if name in always), names[0] if names else None)
    lines = ["import omnifold_pub", "", f"release = omnifold_pub.open_release({content.release!r})"]
    if chosen is None:
        lines += ["cross_section = release.estimate(lambda events, weights: weights.sum())", "print(cross_section)"]
    else:
        definition = content.spectra.definitions[chosen]
        edges = [round(edge, 6) for edge in content.spectra.measurements[chosen].axes[0].edges.tolist()]
        nan = "" if definition in always else ', nan="drop"'
        lines += [f"measurement = release.measure({definition!r}, {edges}{nan})"]
        lines += ["print(measurement)  # values, uncertainties, components", "measurement.covariance()  # [bin, bin]"]
    return "\n".join(lines)


def _settings(node: dict[str, Any]) -> list[tuple[str, str]]:
    """Return settings as pairs of text, lists on one line, without what is empty."""
    return [(name, str(value)) for name, value in sorted(node.items()) if value not in ("", {}, [], None)]


def render(content: Content) -> str:
    """Return the HTML of a report. Everything that is not the template's own is escaped."""
    import jinja2

    folder = resources.files("omnifold_pub").joinpath("templates")
    css = folder.joinpath("report.css").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= NUMBERS
    environment.globals["rounded"] = rounded
    template = environment.from_string(folder.joinpath("report.html").read_text(encoding="utf-8"))
    metadata = content.metadata
    return template.render(
        content=content,
        metadata=metadata,
        unit=metadata["weights"]["unit"],
        kind=_KINDS[metadata["data_kind"]],
        observables={entry["name"]: entry for entry in metadata["observables"]},
        style=css,
        digest=base64.b64encode(hashlib.sha256(css.encode()).digest()).decode("ascii"),
        example=example(content),
        settings=_settings(metadata["unfolding"]["settings"]),
        citation=citation(metadata),
        bibtex=bibtex(metadata),
        licence=licence_of(metadata),
        papers=[(text, paper_url(text)) for text in dict.fromkeys(metadata.get("references", []))],
    )
