"""Answers for someone who must decide on a result: how uncertain, how trustworthy, where it ends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from omnifold_pub.presentation.tables import rounded
from omnifold_pub.report.budget import Budget
from omnifold_pub.report.evidence import Calibration, Evidence, Repeated
from omnifold_pub.report.numbers import number, p_value, percent, pull
from omnifold_pub.report.reach import Reach
from omnifold_pub.report.spectra import Spectra
from omnifold_pub.training_summary import IterationRow
from omnifold_pub.validate import Report
from omnifold_pub.validity import Limits

__all__ = ["Answer", "how_large", "how_trustworthy", "where_not_valid"]

_LISTED = 4


@dataclass(frozen=True)
class Answer:
    """A question, its answer in a sentence, and what it rests on.

    Attributes
    ----------
    question, verdict : str
        One sentence each.
    facts : tuple of str
        What the verdict rests on.
    section : str
        Where the page has the details.
    """

    question: str
    verdict: str
    facts: tuple[str, ...]
    section: str


def _some(names: Sequence[str]) -> str:
    """Return names as a list that fits into a sentence.

    >>> _some(["a", "b"]), _some(list("abcdef"))
    ('a, b', 'a, b, c, d and 2 more')
    """
    more = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {more} more" if more > 0 else "")


def how_large(budget: Budget, metadata: dict[str, Any]) -> Answer:
    """Answer how large the uncertainties are, and which dominate."""
    question = "How large are the uncertainties, and which dominate?"
    if not budget.rows:
        verdict = "Unknown: the release declares no component of uncertainty."
        facts = ["Its values have no covariance, and nothing can be tested with them."]
        return Answer(question, verdict, tuple(facts), "uncertainties")
    facts = []
    value, error = rounded(budget.value, budget.error)
    relative = budget.error / abs(budget.value) if budget.value else math.nan
    verdict = f"{percent(relative)} on the fiducial cross section ({value} \N{PLUS-MINUS SIGN} {error} "
    verdict += f"{metadata['weights']['unit']})"
    drawn = [one for one in budget.spectra if one.bins]
    if drawn:
        medians = sorted(one.median for one in drawn)
        worst = max(drawn, key=lambda one: one.largest)
        verdict += f", {percent(medians[len(medians) // 2])} in a typical bin"
        facts.append(
            f"Bins of the {len(drawn)} spectra: from {percent(min(one.least for one in drawn))} to "
            f"{percent(worst.largest)} ({worst.observable} in {worst.widest})."
        )
    largest = budget.rows[0]
    mostly = [largest.component.name] if largest.error else []
    if largest.error:
        what = largest.component.description.rstrip(".")
        facts.append(f"Cross section: {largest.component.name} has {percent(largest.share)} of the variance ({what}).")
    if budget.dominants:
        counted = [f"{name} in {count}" for name, count in budget.dominants.items()]
        facts.append(f"Largest in the bins of the spectra: {_some(counted)} of {len(drawn)}.")
        if largest.share > 0.5:
            mostly += [name for name in list(budget.dominants)[:1] if name not in mostly]
    rank = "mostly" if largest.share > 0.5 else "the largest part is"
    verdict += f"; {rank} {' and '.join(mostly[:2])}." if mostly else "."
    replicas = [row.component.members for row in budget.rows if row.component.kind == "bootstrap"]
    if replicas and min(replicas) > 1:
        known = percent(1 / math.sqrt(2 * (min(replicas) - 1)))
        facts.append(f"The smallest bootstrap has {min(replicas)} replicas: standard deviations are known to {known}.")
    return Answer(question, verdict, tuple(facts), "uncertainties")


def _of_closure(evidence: Sequence[Evidence], repeated: Sequence[Repeated]) -> tuple[str, list[str]]:
    """Return the verdict of the closure tests, and what it rests on."""
    facts = []
    for one in evidence:
        count, smallest = len(one.tested), one.smallest
        text = f"{one.source[0].upper()}{one.source[1:]}: {count} p-value{'s' if count > 1 else ''}, the smallest "
        facts.append(f"{text}{p_value(smallest.p_value)} ({smallest.what}).")
    failed = [one for source in evidence for one in source.failed]
    if failed:
        verdict = f"Not in everything: closure fails for {_some(list(dict.fromkeys(one.what for one in failed)))}"
        passed = sum(len(one.tested) for one in evidence) - len(failed)
        verdict += f", and passes in {passed} other tests." if passed else "."
    elif evidence:
        count = sum(len(one.tested) for one in evidence)
        verdict = f"Closure holds: of {count} test{'s' if count > 1 else ''}, none fails at 5\N{NO-BREAK SPACE}% "
        verdict += "(corrected for their number)."
    elif repeated:
        verdict = "Judge by the pulls: the closure tests of this release have no p-value."
    else:
        verdict = "Nothing shows it: the release carries no closure test."
    if repeated:
        worst = max(repeated, key=lambda one: abs(one.largest))
        small = "" if worst.chi2 is not None else ", small by construction where a component was made of this test"
        facts.append(
            f"Largest pull of a bin in {len(repeated)} spectra: {pull(worst.largest)} published standard deviations "
            f"({worst.observable} in {worst.widest}, test {worst.test}{small})."
        )
    return verdict, facts


def _of_training(calibration: Calibration | None, iterations: Sequence[IterationRow]) -> tuple[str, list[str]]:
    """Return what the diagnostics of the trainings add to the verdict, and what that rests on."""
    if not iterations:
        return "", ["The release records no diagnostics of its trainings."]
    verdict, facts = "", []
    if calibration is not None:
        odds = (
            f"Odds of the classifiers, last iteration, held-out rows: {calibration.failed} of {calibration.fits} fits "
        )
        odds += "are off by more than chance"
        if calibration.failed:
            verdict = " The classifiers' odds are not calibrated to within their errors."
            ratio, error = rounded(calibration.ratio, calibration.error)
            odds += f"; the worst bin has a ratio of {ratio} \N{PLUS-MINUS SIGN} {error} ({calibration.step})"
        facts.append(f"{odds}.")
    last = iterations[-1]
    if "step 1" in last.auc:
        found = last.auc["step 1"]
        overtrained = " Below 0.5 in every fit: fluctuations of the rows that were trained on have been learned."
        facts.append(
            f"AUC of step 1 in the last iteration {found.mean:.3f}: at 0.5, the reweighted simulation cannot be told "
            f"from the data.{overtrained if found.largest < 0.5 else ''}"
        )
    return verdict, facts


def how_trustworthy(
    *,
    evidence: Sequence[Evidence],
    repeated: Sequence[Repeated],
    calibration: Calibration | None,
    iterations: Sequence[IterationRow],
    report: Report | None,
) -> Answer:
    """Answer whether the unfolding is trustworthy: closure, pulls, calibration of odds."""
    verdict, facts = _of_closure(evidence, repeated)
    more, trained = _of_training(calibration, iterations)
    facts += trained
    if report is not None:
        found = len(report.findings)
        facts.append(
            f"The file is {'valid' if report.valid else 'NOT VALID'}: {len(report.checks)} checks, {found} "
            f"finding{'' if found == 1 else 's'}."
        )
        verdict = verdict if report.valid else f"No: the file is not valid. {verdict}"
    return Answer("Is the unfolding trustworthy?", verdict + more, tuple(facts), "trust")


def where_not_valid(limits: Limits, metadata: dict[str, Any], spectra: Spectra, reaches: Sequence[Reach]) -> Answer:
    """Answer where the result is not valid: limits, bins below them, ranges."""
    facts, asked = [], []
    if limits.effective_events:
        asked.append(f"{number(limits.effective_events)} effective events")
    if limits.data_events:
        asked.append(f"{number(limits.data_events)} effective data events")
    if asked:
        what = "are refused" if limits.severity == "error" else "get a warning"
        facts.append(f"Bins with fewer than {' or '.join(asked)} {what}.")
    if limits.ranges:
        facts.append(f"Vouched for only where {_some([str(limit) for limit in limits.ranges])}.")
    if spectra.refused:
        facts.append(f"No bin can be vouched for in {_some(list(spectra.refused))}.")
    if spectra.warnings:
        facts.append("Some of the bins shown here are outside of the limits; they are named below.")
    beyond = [reach for reach in reaches if reach.outside >= 0.001]
    if beyond:
        most = max(beyond, key=lambda reach: reach.outside)
        facts.append(
            f"Beyond the bins of its spectrum, {most.observable} has {percent(most.outside)} of its cross section, the "
            "largest share."
        )
    facts += [note if note.endswith(".") else f"{note}." for note in metadata["validity"]["notes"][:_LISTED]]
    kind = {"pseudodata": "pseudo-data", "simulation": "simulation", "toy": "a toy"}.get(metadata["data_kind"])
    where = [f"in nature (this is {kind})"] if kind is not None else []
    where += ["outside of the fiducial region"] + (["in bins with too few events"] if asked else [])
    where += ["outside of the ranges of its observables"] if limits.ranges else []
    verdict = " and ".join([", ".join(where[:-1]), where[-1]] if len(where) > 1 else where)
    verdict = verdict[0].upper() + verdict[1:]
    if not asked and not limits.ranges:
        verdict += "; the publisher declares no other limit"
    return Answer("Where is it not valid?", f"{verdict}.", tuple(facts), "validity")
