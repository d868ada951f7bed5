"""What a report computes, against loops by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from omnifold_pub.report.answers import how_trustworthy
from omnifold_pub.report.evidence import Evidence, PValue, Repeated, calibration_of, evidence_of
from omnifold_pub.report.reach import reach_of, tail_limit
from omnifold_pub.training_summary import Range

Events = list[tuple[int, float]]


def by_hand(events: Events, least: float) -> float | None:
    """Try every value, from the largest down."""
    for x in sorted({value for value, _ in events}, reverse=True):
        w = [weight for value, weight in events if value >= x]
        if sum(w) ** 2 >= least * sum(one**2 for one in w) * (1 - 1e-12):
            return float(x)
    return None


@settings(max_examples=200, deadline=None)
@given(
    events=st.lists(st.tuples(st.integers(-5, 5), st.sampled_from([0.5, 1.0, 2.0, 4.0])), min_size=1, max_size=25),
    least=st.sampled_from([0.75, 1.25, 3.3, 10.1]),
)
def test_the_tail_runs_out_where_a_loop_says(events: Events, least: float) -> None:
    values, weights = np.array(events, dtype=np.float64).T
    assert tail_limit(values, weights, least) == by_hand(events, least)


def test_reach_counts_what_is_outside_and_what_is_absent() -> None:
    values = np.array([np.nan, -1.0, 0.0, 1.0, 2.0, 5.0])
    weights = np.array([4.0, 1.0, 2.0, 3.0, 4.0, 2.0])
    found = reach_of("x", values, weights, edges=np.array([0.0, 1.0, 2.0]), least=0)
    assert found.outside == pytest.approx(3 / 12)
    assert found.absent == pytest.approx(4 / 16)
    assert (found.lowest, found.highest) == (None, None)


def fits(chi2: float, ratio: float, count: int = 4) -> list[dict[str, Any]]:
    """Diagnostics of some trainings whose first iteration is far worse than their last."""

    def entry(number: int, chi2: float, ratio: float) -> dict[str, Any]:
        fit = {"calibration": {"chi2": chi2, "ndf": 9, "ratios": [1.0, ratio, None], "errors": [0.1, 0.05, 0.1]}}
        return {"iteration": number, "step1": [fit], "step2": []}

    return [{"iterations": [entry(2, chi2, ratio), entry(1, 1000.0, 9.0)]} for _ in range(count)]


@pytest.mark.parametrize(("share", "failed"), [(1.01, 0), (0.99, 4)])
def test_calibration_is_tested_with_a_correction_for_the_number_of_fits(share: float, failed: int) -> None:
    chi2 = stats.chi2.isf(share * 0.05 / 4, 9)
    found = calibration_of(fits(float(chi2), 1.2))
    assert found is not None
    assert (found.fits, found.failed, found.ratio, found.error, found.step) == (4, failed, 1.2, 0.05, "step 1")
    assert calibration_of([]) is None


def test_a_failed_closure_is_never_hidden_by_others_that_pass() -> None:
    good = Evidence("one source", tuple(PValue(f"g{i}", 0.5) for i in range(20)))
    bad = Evidence("another", (PValue("tau21", 0.001), PValue("x", 0.3)))
    answer = how_trustworthy(evidence=(good, bad), repeated=(), calibration=None, iterations=(), report=None)
    assert answer.verdict == "Not in everything: closure fails for tau21, and passes in 21 other tests."
    assert [one.what for one in bad.failed] == ["tau21"]
    one_of_many = Evidence("many", tuple(PValue(f"x{i}", 0.04 if i == 3 else 0.9) for i in range(10)))
    assert one_of_many.failed == ()
    assert one_of_many.smallest.what == "x3"


def test_pulls_alone_are_no_verdict() -> None:
    repeated = (Repeated("dd", "x", 4, 1.1, -2.5, "0 - 1", None, None),)
    metadata = {"closure": {"performed": True, "results": [{"name": "x", "statistic": "bias", "value": 0.1}]}}
    evidence = evidence_of(metadata, repeated, None)
    assert evidence == ()
    answer = how_trustworthy(evidence=evidence, repeated=repeated, calibration=None, iterations=(), report=None)
    assert answer.verdict.startswith("Judge by the pulls")
    assert "\N{MINUS SIGN}2.5 published standard deviations (x in 0 - 1, test dd, small by" in answer.facts[0]


@pytest.mark.parametrize(("largest", "told"), [(0.499, True), (0.501, False)])
def test_networks_that_learned_fluctuations_are_told(*, largest: float, told: bool) -> None:
    row: Any = SimpleNamespace(auc={"step 1": Range(0.48, 0.46, largest)})  # all that is read of an iteration
    answer = how_trustworthy(evidence=(), repeated=(), calibration=None, iterations=(row,), report=None)
    (fact,) = [one for one in answer.facts if "AUC of step 1" in one]
    assert ("Below 0.5 in every fit" in fact) == told
