"""What a validation finds, and its report."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any, Literal

from omnifold_pub.schemas import SCHEMA_VERSION

__all__ = ["Finding", "Level", "Report"]

Level = Literal["required", "recommended", "optional"]


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be.

    Attributes
    ----------
    code : str
        Stable name of the check.
    level : {"required", "recommended", "optional"}
        A release with a ``required`` finding is not valid.
    path : str
        Where: a dataset, or a place in the metadata.
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
class Report:
    """Outcome of a validation.

    Attributes
    ----------
    path : str
        The file.
    checks : tuple of str
        Codes of the checks that were run.
    findings : tuple of Finding
        In the order of the checks.
    """

    path: str
    checks: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def valid(self) -> bool:
        """Whether nothing required is amiss."""
        return not any(finding.level == "required" for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON can hold it, after ``schemas/1.1.0/report.schema.json``."""
        return {
            "schema_version": SCHEMA_VERSION,
            "kind": "validation report",
            "omnifold_pub": version("omnifold-pub"),
            "path": self.path,
            "valid": self.valid,
            "checks": list(self.checks),
            "findings": [asdict(finding) for finding in self.findings],
        }
