"""The data sheet of a deposit: README.md, all that its metadata say, for people."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from importlib import resources
from typing import Any

from omnifold_pub.deposit.citation import bibtex, citation
from omnifold_pub.deposit.datacite import paper_url
from omnifold_pub.deposit.files import DepositFile
from omnifold_pub.deposit.licence import licence_of
from omnifold_pub.extras import require

__all__ = ["data_sheet"]

_KINDS = {"data": "data", "pseudodata": "pseudo-data", "simulation": "simulation", "toy": "a toy"}
_CORRELATIONS = {"estimated": "estimated", "full": "fully correlated, signed", "none": "uncorrelated"}

_MARKUP = re.compile(
    r"[\\`]|(?<!\s)\*|\*(?!\s)|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])"  # escapes, code, emphasis
    r"|~(?=\S)|<(?=[A-Za-z/!?])|&(?=#?\w+;)|\](?=[(\[:])"  # strike-through, HTML, entities, links
)
_LINE_START = re.compile(r"(?:[#>+-]|\d+[.)])(?=\s|#|$)")


def _prose(text: str) -> str:
    r"""Return text on one line in which Markdown finds no markup.

    >>> print(_prose("p_T < 25 & <b>a*b</b>"), _prose("# 1"), _prose("[a](b)"))
    p_T < 25 & \<b>a\*b\</b> \# 1 [a\](b)
    """
    text = _MARKUP.sub(lambda found: "\\" + found.group(), " ".join(str(text).split()))
    if found := _LINE_START.match(text):
        mark = found.group()
        return f"{mark[:-1]}\\{mark[-1]}{text[len(mark) :]}" if mark[0].isdigit() else "\\" + text
    return text


def _cell(text: str) -> str:
    r"""Return text for a cell of a table.

    >>> print(_cell("|eta| < 2.5"))
    \|eta\| < 2.5
    """
    return _prose(text).replace("|", r"\|")


def _code(text: str) -> str:
    r"""Return text as code, also in a cell of a table.

    >>> print(_code("|y_1|"), _code("a`b"))
    `\|y_1\|` ``a`b``
    """
    text = " ".join(str(text).split())
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}".replace("|", r"\|")


def _number(value: float) -> str:
    """Return a number as short as it can be without loss.

    >>> _number(13), _number(1.0), _number(1e-05), _number(0.017 * 100), _number(250000000.0)
    ('13', '1', '1e-05', '1.7', '250000000')
    """
    return f"{value:.15g}"


def _bound(value: float | None) -> str:
    """Return one end of a range; empty for no bound."""
    return "" if value is None else _number(value)


def _example(metadata: dict[str, Any]) -> str:
    """Return the observable that the examples measure: a real number if there is one, without gaps if possible."""

    def rank(observable: dict[str, Any]) -> tuple[bool, bool]:
        return not observable["dtype"].startswith("float"), observable["missing"]["rule"] != "never"

    name: str = min(metadata["observables"], key=rank)["name"]
    return name


def data_sheet(
    metadata: dict[str, Any],
    files: Sequence[DepositFile],
    *,
    manifest: DepositFile,
    opened: str,
    plugin: bool,
    descriptions: dict[str, str],
) -> str:
    """Return the text of README.md.

    Parameters
    ----------
    files : sequence of DepositFile
        The HDF5 files of the release, in their order.
    manifest : DepositFile
        Its manifest.
    opened : str
        What a reader hands to `omnifold_pub.open_release`: the file, or the manifest of several.
    plugin : bool
        Whether the files' compression comes with hdf5plugin and not with HDF5.
    descriptions : dict
        What each file of the deposit is, by its name.

    Raises
    ------
    MissingExtraError
        If Jinja2 is not installed.
    """
    require("jinja2", extra="deposit", purpose="Writing the data sheet")
    import jinja2

    environment = jinja2.Environment(  # noqa: S701  Markdown, not HTML: every filter below escapes for it
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters |= {"prose": _prose, "cell": _cell, "code": _code, "number": _number, "bound": _bound}
    source = resources.files("omnifold_pub").joinpath("templates/data_sheet.md").read_text(encoding="utf-8")
    bootstraps = [entry["name"] for entry in metadata["components"] if entry["kind"] == "bootstrap"]
    text = environment.from_string(source).render(
        metadata=metadata,
        unit=metadata["weights"]["unit"],
        kind=_KINDS[metadata["data_kind"]],
        correlations=_CORRELATIONS,
        files=files,
        checked=[*files, manifest],
        descriptions=descriptions,
        opened=opened,
        plugin=plugin,
        example=_example(metadata),
        bootstrap=bootstraps[0] if bootstraps else "",
        citation=citation(metadata),
        bibtex=bibtex(metadata),
        licence=licence_of(metadata),
        papers=[(text, paper_url(text)) for text in dict.fromkeys(metadata.get("references", []))],
        settings=json.dumps(metadata["unfolding"]["settings"], ensure_ascii=False, indent=1),
    )
    parts = re.split(r"(?m)^```", text)  # every other part is code, in which blank lines stay
    parts[::2] = [re.sub(r"\n{3,}", "\n\n", part) for part in parts[::2]]
    return "```".join(parts)
