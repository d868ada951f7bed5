"""What was measured, as files to take home."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from omnifold_pub.errors import ObservableError
from omnifold_pub.explorer.desk import Desk, Measured
from omnifold_pub.extras import require
from omnifold_pub.messages import shorten, suggest

__all__ = ["KINDS", "Download", "download"]


@dataclass(frozen=True)
class Download:
    """A file.

    Attributes
    ----------
    name : str
        What it is to be called.
    content_type : str
        Its media type.
    content : bytes
        What is in it.
    """

    name: str
    content_type: str
    content: bytes


def _csv(_: Desk, found: Measured) -> bytes:
    return found.measurement.to_csv().encode()


def _json(_: Desk, found: Measured) -> bytes:
    return json.dumps(found.measurement.to_dict(), indent=1, allow_nan=False).encode()


def _hepdata(desk: Desk, found: Measured) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "submission.tar.gz"
        return found.measurement.to_hepdata(path, metadata=desk.release.metadata).read_bytes()


def _picture(form: str) -> Callable[[Desk, Measured], bytes]:
    def draw(_: Desk, found: Measured) -> bytes:
        require("matplotlib", "mplhep", extra="plot", purpose="Drawing")
        from omnifold_pub.plots import Curve, spectrum_figure, style
        from omnifold_pub.plots.styles import line_of

        curves = []
        for number, one in enumerate(found.overlays):
            if not one.problem:
                line = line_of(number)
                curves.append(Curve(one.name, one.values, line.colour, line.linestyle, one.errors))
        stream = io.BytesIO()
        with style():
            spectrum_figure(found.measurement, curves=curves).savefig(stream, format=form)
        return stream.getvalue()

    return draw


KINDS: dict[str, tuple[str, str, Callable[[Desk, Measured], bytes]]] = {
    "csv": ("measurement.csv", "text/csv; charset=utf-8", _csv),
    "json": ("measurement.json", "application/json", _json),
    "hepdata": ("hepdata_submission.tar.gz", "application/gzip", _hepdata),
    "png": ("spectrum.png", "image/png", _picture("png")),
    "pdf": ("spectrum.pdf", "application/pdf", _picture("pdf")),
    "svg": ("spectrum.svg", "image/svg+xml", _picture("svg")),
}
"""Name, media type and content of each kind of file."""


def download(desk: Desk, found: Measured, kind: str) -> Download:
    """Return a measurement as a file.

    Parameters
    ----------
    desk : Desk
        Of whose release.
    found : Measured
        What was measured.
    kind : str
        One of `KINDS`.

    Raises
    ------
    ObservableError
        If there is no such kind.
    PublishError
        If HEPData would refuse it.
    MissingExtraError
        If what it takes is not installed.
    """
    if kind not in KINDS:
        msg = f"download: no kind {shorten(kind)}; {suggest(kind, list(KINDS))}"
        raise ObservableError(msg)
    name, content_type, make = KINDS[kind]
    with desk.alone:
        return Download(name, content_type, make(desk, found))
