"""Checks of a release: what it must be to be read, and what it should be to be trusted."""

from __future__ import annotations

from pathlib import Path

from omnifold_pub.errors import ReleaseError
from omnifold_pub.format.address import Place, local_path, must_be_file
from omnifold_pub.format.store import Store, open_store
from omnifold_pub.progress import Progress
from omnifold_pub.validate.consistency import CONSISTENCY_CHECKS, consistency_findings
from omnifold_pub.validate.content import CONTENT_CHECKS, content_findings
from omnifold_pub.validate.findings import Finding, Level, Report
from omnifold_pub.validate.structure import STRUCTURE_CHECKS, check_structure

__all__ = ["CHECKS", "Finding", "Level", "Report", "validate", "validate_store"]

CHECKS = (*STRUCTURE_CHECKS, *CONSISTENCY_CHECKS, *CONTENT_CHECKS)
"""Codes of all checks of a file that is readable, in the order in which they are run."""

_REFUSED = "It may be another format, a later version, damaged, or made to harm its reader: fetch it again."


def validate(path: str | Path, *, progress: Progress | None = None) -> Report:
    """Run every check on a release and report all that is found.

    Every dataset is read once, block by block.

    Parameters
    ----------
    path : str or path-like
        The file, or the manifest of a release in several files.
    progress : callable, optional
        Called with (done, total, what).

    Returns
    -------
    Report
        Its ``valid`` is False if anything required is amiss.

    Raises
    ------
    ReleaseError
        If there is no such file, or it is a URL: every byte is read, so download it first.
    """
    path = local_path(path, "To validate a release")
    must_be_file(path)
    try:
        with open_store(path) as store:
            return validate_store(store, progress=progress)
    except ReleaseError as error:
        return Report(str(path), ("readable",), (_unreadable(path, error),))


def _unreadable(path: Place, error: ReleaseError) -> Finding:
    return Finding("readable", "required", str(path), "a release of omnifold_pub", str(error), _REFUSED)


def validate_store(store: Store, *, progress: Progress | None = None) -> Report:
    """Run every check on an open release; see `validate`."""
    checks: tuple[str, ...] = ("readable",)
    findings: list[Finding] = []
    try:
        findings += check_structure(store)
        refused = any(finding.code == "schema" for finding in findings)
        checks += STRUCTURE_CHECKS[:1] if refused else STRUCTURE_CHECKS
        if not findings:
            findings += consistency_findings(store.metadata)
            checks += CONSISTENCY_CHECKS
            if not any(finding.code == "selection" for finding in findings):
                findings += content_findings(store, progress)
                checks += CONTENT_CHECKS
    except ReleaseError as error:
        findings.append(_unreadable(store.path, error))
    order = {code: number for number, code in enumerate(("readable", *CHECKS))}
    findings.sort(key=lambda finding: order[finding.code])
    return Report(str(store.path), checks, tuple(findings))
