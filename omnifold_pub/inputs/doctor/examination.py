"""All checks of the inputs, one after the other, none of which stops the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from omnifold_pub.errors import AnalysisError, InputError
from omnifold_pub.inputs.analysis import Analysis, read_analysis
from omnifold_pub.inputs.doctor.drift import DRIFT_CHECKS, drift_findings
from omnifold_pub.inputs.doctor.duplicates import DUPLICATE_CHECKS, duplicate_findings
from omnifold_pub.inputs.doctor.findings import LEVELS, Finding, InputReport
from omnifold_pub.inputs.doctor.missing import MISSING_CHECKS, missing_findings
from omnifold_pub.inputs.doctor.neighbours import NEIGHBOUR_CHECKS, neighbour_findings
from omnifold_pub.inputs.doctor.reading import READING_CHECKS, read_book
from omnifold_pub.inputs.doctor.response import RESPONSE_CHECKS, response_findings
from omnifold_pub.inputs.doctor.sheets import Book
from omnifold_pub.inputs.doctor.support import SUPPORT_CHECKS, support_findings
from omnifold_pub.inputs.doctor.values import VALUE_CHECKS, value_findings
from omnifold_pub.inputs.doctor.weights import WEIGHT_CHECKS, weight_findings
from omnifold_pub.inputs.reader import read_inputs
from omnifold_pub.progress import Progress, silent

__all__ = ["INPUT_CHECKS", "check_inputs"]

_STEPS: tuple[tuple[tuple[str, ...], Callable[[Book], Iterator[Finding]]], ...] = (
    (MISSING_CHECKS, missing_findings),
    (VALUE_CHECKS, value_findings),
    (DUPLICATE_CHECKS, duplicate_findings),
    (WEIGHT_CHECKS, weight_findings),
    (SUPPORT_CHECKS, support_findings),
    (NEIGHBOUR_CHECKS, neighbour_findings),
    (DRIFT_CHECKS, drift_findings),
    (RESPONSE_CHECKS, response_findings),
)

INPUT_CHECKS = ("analysis", *READING_CHECKS, *(code for codes, _ in _STEPS for code in codes), "refused")
"""Codes of all checks, in the order in which they are run."""


def check_inputs(path: str | Path, *, progress: Progress | None = None) -> InputReport:
    """Look at everything that an analysis file names before anything is trained, and report all that is found.

    What training would refuse is an error; it hides nothing else, as far as the files can be read. Thresholds are
    constants of the modules here.

    Parameters
    ----------
    path : str or path-like
        The analysis file.
    progress : callable, optional
        Called with (done, total, what).

    Returns
    -------
    InputReport
        Its ``usable`` is False if there is an error.

    Raises
    ------
    MissingExtraError
        If PyYAML or uproot is not installed.
    """
    path = Path(path)
    tell = progress or silent
    total = len(_STEPS) + 2
    tell(0, total, "checking inputs")
    try:
        analysis = read_analysis(path)
    except AnalysisError as error:
        hint = "Mend the analysis file; nothing else was looked at."
        found = str(error).removeprefix(f"{path}: ")
        finding = Finding("analysis", "error", str(path), "an analysis file", found, hint)
        return InputReport(str(path), INPUT_CHECKS[:1], (finding,))
    book, findings = read_book(analysis)
    for number, (_, look) in enumerate(_STEPS, 1):
        tell(number, total, "checking inputs")
        findings += look(book)
    tell(total - 1, total, "checking inputs")
    del book
    if not any(finding.level == "error" for finding in findings):
        findings += _refused(analysis)
    tell(total, total, "checking inputs")
    order = {code: number for number, code in enumerate(INPUT_CHECKS)}
    findings.sort(key=lambda finding: (LEVELS.index(finding.level), order[finding.code]))
    return InputReport(str(path), INPUT_CHECKS, tuple(findings))


def _refused(analysis: Analysis) -> Iterator[Finding]:
    """Ask the reader itself, so that no error here means that training takes the inputs."""
    try:
        read_inputs(analysis)
    except InputError as error:
        hint = "Training would stop here; mend this."
        yield Finding("refused", "error", str(analysis.path), "inputs that training takes", str(error), hint)
