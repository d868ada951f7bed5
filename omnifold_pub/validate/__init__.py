"""Checks of a release: what it must be to be read, and what it should be to be trusted."""

from __future__ import annotations

from pathlib import Path

from omnifold_pub.errors import ReleaseError
from omnifold_pub.progress import Progress, silent
from omnifold_pub.validate.content import CONTENT_CHECKS, content_findings
from omnifold_pub.validate.findings import Finding, Level, Report
from omnifold_pub.validate.structure import STRUCTURE_CHECKS, check_structure, open_file

__all__ = ["CHECKS", "Finding", "Level", "Report", "validate"]

CHECKS = (*STRUCTURE_CHECKS, *CONTENT_CHECKS)
"""Codes of all checks of a file that is readable, in the order in which they are run."""


def validate(path: str | Path, *, progress: Progress | None = None) -> Report:
    """Run every check on a release and report all that is found.

    Parameters
    ----------
    path : str or path-like
        The file.
    progress : callable, optional
        Called with (done, total, what).

    Returns
    -------
    Report
        Its ``valid`` is False if anything required is amiss.

    Raises
    ------
    ReleaseError
        If there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        msg = f"{path}: no such file"
        raise ReleaseError(msg)
    checks: tuple[str, ...] = ("readable",)
    findings: list[Finding] = []
    try:
        with open_file(path) as file:
            metadata, findings = check_structure(file)
            refused = any(finding.code == "schema" for finding in findings)
            checks += STRUCTURE_CHECKS[:1] if refused else STRUCTURE_CHECKS
            if not findings:
                checks += CONTENT_CHECKS
                findings += content_findings(file, metadata, progress or silent)
    except ReleaseError as error:
        hint = "It may be another format, a later version, or damaged."
        findings.append(Finding("readable", "required", str(path), "a release of omnifold_pub", str(error), hint))
    except OSError as error:
        hint = "A chunk is damaged: fetch the file again."
        findings.append(Finding("readable", "required", str(path), "datasets that can be read", str(error), hint))
    return Report(str(path), checks, tuple(findings))
