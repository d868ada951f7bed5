"""What the doctor finds in the inputs, and its report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any, Literal

from omnifold_pub.schemas import SCHEMA_VERSION

__all__ = ["LEVELS", "Finding", "InputReport", "Level", "listed", "percent"]

Level = Literal["error", "warning", "note"]

LEVELS: tuple[Level, ...] = ("error", "warning", "note")
"""The worst first."""

_LISTED = 6


@dataclass(frozen=True)
class Finding:
    """One thing to know before anything is trained.

    Attributes
    ----------
    code : str
        Stable name of the check.
    level : {"error", "warning", "note"}
        Training refuses the inputs or would be wrong; look at it first; good to know.
    path : str
        Where: a file with its branch, level or observable, or a place in the analysis file.
    expected, found, hint : str
        In words.
    """

    code: str
    level: Level
    path: str
    expected: str
    found: str
    hint: str

    def __str__(self) -> str:
        """Return one line."""
        return f"{self.path}: expected {self.expected}; found {self.found}. {self.hint}"


@dataclass(frozen=True)
class InputReport:
    """What is known of the inputs of an analysis.

    Attributes
    ----------
    path : str
        The analysis file.
    checks : tuple of str
        Codes of the checks that were run.
    findings : tuple of Finding
        The worst level first, then in the order of the checks.
    """

    path: str
    checks: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def usable(self) -> bool:
        """Whether there is no error."""
        return not self.at("error")

    def at(self, level: Level) -> tuple[Finding, ...]:
        """Return the findings of one level."""
        return tuple(finding for finding in self.findings if finding.level == level)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON can hold it."""
        return {
            "schema_version": SCHEMA_VERSION,
            "kind": "input report",
            "omnifold_pub": version("omnifold-pub"),
            "path": self.path,
            "usable": self.usable,
            "counts": {level: len(self.at(level)) for level in LEVELS},
            "checks": list(self.checks),
            "findings": [asdict(finding) for finding in self.findings],
        }


def listed(names: Sequence[str]) -> str:
    """Return names in a row, cut to a readable length.

    >>> listed(["pT", "eta"]), listed([str(i) for i in range(9)])
    ('pT, eta', '0, 1, 2, 3, 4, 5 and 3 more')
    """
    more = len(names) - _LISTED
    return ", ".join(names) if more <= 0 else f"{', '.join(names[:_LISTED])} and {more} more"


def percent(fraction: float) -> str:
    """Return a fraction in per cent, three digits.

    >>> percent(0.0123456), percent(1)
    ('1.23 %', '100 %')
    """
    return f"{100 * fraction:.3g} %"
