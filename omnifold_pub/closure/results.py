"""Closure as a release's metadata have it: the lines of ``closure.results``, of a closure table and gathered again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omnifold_pub.errors import InputError

__all__ = ["ClosureResult", "closure_results", "gathered", "read_results", "with_results"]

_PRIOR = " of the simulation before unfolding"
_FLOOR = " between samples of the same law"
_DIGITS = 4

Document = Mapping[str, Any]


@dataclass(frozen=True)
class ClosureResult:
    """One distance to what should have been found.

    Attributes
    ----------
    name, statistic : str
        Of what, and which.
    value : float
        Of the unfolded sample.
    prior : float or None
        Of the simulation before unfolding; None where nobody says.
    floor : float or None
        Mean between two samples of the same law; None where nobody says.
    bins : int or None
        Number of bins, if there are any.
    p_value : float or None
        Of the unfolded sample.
    """

    name: str
    statistic: str
    value: float
    prior: float | None = None
    floor: float | None = None
    bins: int | None = None
    p_value: float | None = None


def _brief(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def _lines(name: str, statistic: str, metric: Document, *, floor: bool, **more: Any) -> Iterator[dict[str, Any]]:
    """Yield the lines of one distance; a p-value is of the unfolded sample alone."""
    yield {"name": name, "statistic": statistic, "value": _brief(metric["unfolded"]), **more}
    more.pop("p_value", None)
    if metric["prior"] is not None:
        yield {"name": name, "statistic": statistic + _PRIOR, "value": _brief(metric["prior"]), **more}
    if floor:
        yield {"name": name, "statistic": statistic + _FLOOR, "value": _brief(metric["floor"]), **more}


def closure_results(table: Document) -> list[dict[str, Any]]:
    """Return the lines of ``closure.results`` that say what a closure table says.

    Parameters
    ----------
    table : mapping
        As `omnifold_pub.closure.ClosureTable.to_dict` returns it.

    Returns
    -------
    list of dict
        Of each distance the unfolded sample's, then that of the simulation before unfolding and the floor, as far as
        they are known; four digits. The floor of chi2 is its number of bins and is not repeated.

    Examples
    --------
    >>> metric = {"unfolded": 0.51, "prior": 0.6, "floor": 0.5, "floor_deviation": 0.002}
    >>> table = {"observables": [], "sliced_wasserstein": metric, "classifier_auc": None}
    >>> [(line["statistic"], line["value"]) for line in closure_results(table)][1]
    ('sliced Wasserstein-1 distance of the simulation before unfolding', 0.6)
    """
    lines: list[dict[str, Any]] = []
    for row in table["observables"]:
        name, bins = row["observable"], len(row["edges"]) - 1
        lines += _lines(name, "chi2", row["chi2"], floor=False, bins=bins, p_value=_brief(row["p_value"]))
        lines += _lines(name, "triangular discriminator x 1000", row["triangular"], floor=True, bins=bins)
        lines += _lines(name, "Wasserstein-1 distance in standard deviations", row["wasserstein"], floor=True)
    together = "all observables together"
    lines += _lines(together, "sliced Wasserstein-1 distance", table["sliced_wasserstein"], floor=True)
    if table["classifier_auc"] is not None:
        lines += _lines(together, "AUC of a classifier", table["classifier_auc"], floor=True)
    return lines


def gathered(results: Sequence[Document]) -> tuple[ClosureResult, ...]:
    """Put what belongs together in ``closure.results`` into one: a distance, its prior value and its floor.

    Parameters
    ----------
    results : sequence of dict
        As a release's metadata have them. A prior value or floor of nothing is left as it is.
    """
    values = {(entry["name"], entry["statistic"]): entry["value"] for entry in results}
    found = []
    for entry in results:
        name, statistic = entry["name"], entry["statistic"]
        if any((name, statistic.removesuffix(end)) in values for end in (_PRIOR, _FLOOR) if statistic.endswith(end)):
            continue
        found.append(
            ClosureResult(
                name,
                statistic,
                entry["value"],
                prior=values.get((name, statistic + _PRIOR)),
                floor=values.get((name, statistic + _FLOOR)),
                bins=entry.get("bins"),
                p_value=entry.get("p_value"),
            )
        )
    return tuple(found)


def read_results(path: str | Path) -> list[dict[str, Any]]:
    """Return the lines of ``closure.results`` of a file that holds what ``omnifold-pub closure --json`` printed.

    Raises
    ------
    InputError
        If it does not.
    """
    try:
        return closure_results(json.loads(Path(path).read_text(encoding="utf-8")))
    except OSError as error:
        msg = f"{path}: expected a closure table; it cannot be read: {error.strerror}"
        raise InputError(msg) from None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        msg = f"{path}: expected what omnifold-pub closure --json prints; found {type(error).__name__}: {error}"
        raise InputError(msg) from None


def with_results(closure: Document, results: Sequence[Document]) -> dict[str, Any]:
    """Return ``closure`` of a release's metadata with results of a comparison with the truth of the pseudo-data.

    Parameters
    ----------
    closure : mapping
        As it is.
    results : sequence of dict
        As `closure_results` returns them.

    Examples
    --------
    >>> closure = {"performed": False, "description": "Not yet", "results": [], "tests": []}
    >>> with_results(closure, [{"name": "x", "statistic": "chi2", "value": 3.1}])["performed"]
    True
    """
    made = "The unfolded pseudo-data were compared with their truth, with the published covariance"
    before = f"{closure['description']}. " if closure["performed"] else ""
    return {
        **closure,
        "performed": True,
        "description": f"{before}{made}",
        "results": [*closure["results"], *results],
    }
