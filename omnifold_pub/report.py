"""The one-page summary of a demo run, as one HTML file that needs nothing else."""

from __future__ import annotations

import base64
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from omnifold_pub.errors import MissingExtraError

if TYPE_CHECKING:
    from omnifold_pub.demo import DemoResult

__all__ = ["write_summary"]


def _embedded(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii")


def write_summary(demo: DemoResult, path: Path) -> None:
    """Write the summary; what comes from metadata is escaped.

    Raises
    ------
    MissingExtraError
        If Jinja2 is not installed.
    """
    try:
        import jinja2
    except ImportError:
        raise MissingExtraError("jinja2", "plot", "Writing the summary") from None
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    template = environment.from_string(resources.files("omnifold_pub").joinpath("templates/summary.html").read_text())
    cross_section = demo.cross_section
    html = template.render(
        demo=demo,
        metadata=demo.metadata,
        test=demo.comparison.test,
        cross_section=float(cross_section.values()[0]),
        uncertainty=float(cross_section.uncertainties()[0]),
        budget=[(c, float(cross_section.uncertainties(c.name)[0])) for c in cross_section.components],
        pictures=[(picture.stem, _embedded(picture)) for picture in demo.pictures],
    )
    path.write_text(html, encoding="utf-8")
