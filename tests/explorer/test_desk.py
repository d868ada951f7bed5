from __future__ import annotations

import json
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from omnifold_pub import Theory, compare
from omnifold_pub.errors import ObservableError, ValidityError, ValidityWarning
from omnifold_pub.explorer.answers import about, answer, verdicts
from omnifold_pub.explorer.desk import Desk
from omnifold_pub.explorer.questions import Question
from omnifold_pub.explorer.theories import Offered

EDGES = (200, 230, 270, 350, 1000)
SPECTRUM = Question("pT_ll", "edges", "200, 230, 270, 350, 1000")
RATIO = Question("pT_l2 / pT_l1", "equal", "5, 0, 1", where="pT_ll > 250")


def test_the_answer_is_what_the_release_measures(desk: Desk) -> None:
    found = answer(desk, desk.measured(SPECTRUM))
    expected = desk.release.measure("pT_ll", EDGES, density=True)
    assert found["values"] == expected.values().tolist()
    assert found["total"] == expected.uncertainties().tolist()
    assert [one["name"] for one in found["components"]] == [one.name for one in expected.components]
    for one in found["components"]:
        assert one["errors"] == expected.uncertainties(one["name"]).tolist()
    np.testing.assert_allclose(found["correlation"], expected.correlation(), atol=1e-4)
    assert found["effective_events"] == expected.effective_events.tolist()
    assert (found["unit"], found["axis_unit"]) == ("pb / GeV", "GeV")
    json.dumps(found, allow_nan=False)


def test_components_add_up_in_quadrature_to_the_total(desk: Desk) -> None:
    """What the page relies on when it switches bands without asking."""
    found = answer(desk, desk.measured(RATIO))
    sums = np.sum([np.square(one["errors"]) for one in found["components"]], axis=0)
    np.testing.assert_allclose(np.sqrt(sums), found["total"], rtol=1e-12)


@pytest.mark.parametrize(
    ("observable", "density", "normalise", "unit"),
    [
        ("pT_l2 / pT_l1", True, False, "pb"),
        ("pT_l2 / pT_l1", True, True, ""),
        ("pT_l2 / pT_l1", False, False, "pb"),
        ("pT_l2 / pT_l1", False, True, ""),
        ("pT_l1 * phi_l1", True, False, "pb / (GeV rad)"),
        ("log(pT_l1)", True, False, "pb / unit of x"),
        ("log(pT_l1)", True, True, "1 / unit of x"),
    ],
)
def test_units_say_what_the_values_are(
    desk: Desk, observable: str, *, density: bool, normalise: bool, unit: str
) -> None:
    question = Question(observable, "equal", "2, 0, 10", density=density, normalise=normalise)
    assert answer(desk, desk.measured(question))["unit"] == unit


@pytest.mark.parametrize("normalise", [False, True])
def test_a_theory_is_drawn_as_it_predicts(desk: Desk, *, normalise: bool) -> None:
    """Against a prediction of the very statistic that is shown; and the errors of its shape against replicas."""
    question = Question("pT_ll", "edges", "200, 230, 270, 350, 1000", normalise=normalise)
    found = desk.measured(question)
    overlay, theory = found.overlays[0], desk.theories[0].theory
    values, covariance = theory.predict(found.measurement)
    np.testing.assert_allclose(overlay.values, values, rtol=1e-12)
    errors = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(overlay.errors, errors, rtol=0.25 if normalise else 1e-12)


def test_the_p_value_is_that_of_compare(desk: Desk) -> None:
    found = verdicts(desk.confronted(SPECTRUM))
    expected = compare(desk.release.measure("pT_ll", EDGES, density=True), desk.theories[0].theory).test
    assert (found[0]["chi2"], found[0]["dof"], found[0]["p_value"]) == (expected.chi2, 4, expected.p_value)
    assert found[0]["chi2"] == pytest.approx(found[1]["chi2"])  # the same events


def test_a_normalised_measurement_is_compared_in_shape(desk: Desk) -> None:
    question = Question("pT_ll", "edges", "200, 230, 270, 350, 1000", normalise=True)
    found = verdicts(desk.confronted(question))[0]
    expected = compare(desk.release.measure("pT_ll", EDGES), desk.theories[0].theory, shape_only=True).test
    assert (found["chi2"], found["dof"], found["p_value"]) == (expected.chi2, 3, expected.p_value)
    assert found["shape_only"]


def test_a_theory_without_the_columns_says_so_and_the_others_stand(desk: Desk) -> None:
    question = Question("y_ll", "equal", "4, -2, 2")
    full, narrow = answer(desk, desk.measured(question))["theories"]
    assert not full["problem"]
    assert len(full["values"]) == 4
    assert "no column 'y_ll'" in narrow["problem"]
    assert "no column 'y_ll'" in verdicts(desk.confronted(question))[1]["problem"]


def test_bins_that_are_not_vouched_for_are_said_one_by_one_and_nothing_is_printed(desk: Desk) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = answer(desk, desk.measured(Question("pT_ll", "edges", "200, 300, 999, 1000, 2000")))
    assert found["warnings"][0] == []
    assert "effective events of at least 200" in found["warnings"][2][0]
    assert any("reaches beyond pT_ll <= 1000" in text for text in found["warnings"][3])
    with pytest.warns(ValidityWarning) as caught:
        desk.release.measure("pT_ll", [200, 300, 999, 1000, 2000], density=True)
    for said in found["warnings"][2]:
        assert said in str(caught[0].message)


def test_empty_bins_are_values_of_zero(desk: Desk) -> None:
    found = answer(desk, desk.measured(Question("pT_ll", "edges", "0, 100, 250, 400")))
    assert found["values"][0] == 0
    assert found["total"][0] == 0
    json.dumps(found, allow_nan=False)


def test_suggested_bins_are_those_of_the_release(desk: Desk) -> None:
    question = Question("m_trackj1", "suggested", "6", where="pT_ll > 250")
    expected = desk.release.suggest_bins("m_trackj1", 6, where="pT_ll > 250").edges.tolist()
    assert answer(desk, desk.measured(question))["edges"] == expected


@pytest.mark.parametrize(
    "observable",
    [
        "__import__('os').system('true')",
        "().__class__.__bases__",
        "open(pT_ll)",
        "pT_ll; import os",
        "lambda: pT_ll",
        "[pT_ll for pT_ll in pT_ll]",
        "<script>alert(1)</script>",
        "pT_ll" + "+pT_ll" * 400,
        "(" * 1500 + "pT_ll" + ")" * 1500,
        "-" * 200 + "pT_ll",
        "9**9**9**9",
        "no_such_column",
        "pT_ll\x00",
        "\ud800",
    ],
)
def test_hostile_expressions_are_refused(desk: Desk, observable: str) -> None:
    for question in (Question(observable), Question("pT_ll", where=observable)):
        with pytest.raises(ObservableError):
            desk.measured(question)


def test_the_same_question_is_measured_once(desk: Desk) -> None:
    assert desk.measured(SPECTRUM) is desk.measured(Question("pT_ll", "edges", "200, 230, 270, 350, 1000"))


def test_only_the_last_answers_are_kept(desk: Desk) -> None:
    small = Desk(desk.release, kept=1)
    first = small.measured(SPECTRUM)
    for top in range(300, 308):
        small.measured(Question("pT_ll", "edges", f"200, {top}"))
    assert small.measured(SPECTRUM) is not first


def test_an_error_is_not_kept(desk: Desk) -> None:
    for _ in range(2):
        with pytest.raises(ObservableError):
            desk.measured(Question("no_such_column"))


def test_many_threads_get_the_answers_that_one_gets(desk: Desk) -> None:
    questions = [Question("pT_ll", "edges", f"200, {top}, 1000", where=f"pT_l1 > {top / 4}") for top in range(300, 312)]
    busy = Desk(desk.release, desk.theories, kept=4)
    start = threading.Barrier(4)

    def work(_: int) -> list[list[float]]:
        start.wait()
        return [answer(busy, busy.measured(question))["values"] for question in questions]

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(work, range(4)))
    expected = [
        desk.release.measure("pT_ll", [200, t, 1000], where=f"pT_l1 > {t / 4}", density=True) for t in range(300, 312)
    ]
    for one in found:
        assert one == [measurement.values().tolist() for measurement in expected]


def test_what_is_said_of_the_release(desk: Desk) -> None:
    found = about(desk)
    assert [one["name"] for one in found["columns"]] == list(desk.release.events)
    assert found["theories"] == ["theory.root", "narrow"]
    assert "hypot(x, y)" in found["functions"]
    assert desk.memory > 24_431 * 4 * 24
    json.dumps(found, allow_nan=False)


def test_what_the_publisher_refuses_is_refused(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(desk.release.metadata["validity"], "severity", "error")
    strict = Desk(desk.release)
    assert strict.measured(SPECTRUM).violations == {}
    with pytest.raises(ValidityError, match="does not vouch"):
        strict.measured(Question("pT_ll", "edges", "200, 300, 2000"))


def test_a_theory_without_a_cross_section_is_shown_in_shape_alone(desk: Desk) -> None:
    events = desk.release.events
    theory = Theory.from_arrays({"pT_ll": events["pT_ll"]}, 7 * desk.release.nominal_weights, unit=None, name="shape")
    alone = Desk(desk.release, [Offered(theory)])
    assert "no cross section" in alone.measured(SPECTRUM).overlays[0].problem
    assert "no cross section" in alone.confronted(SPECTRUM)[0].problem
    shape = replace(SPECTRUM, normalise=True)
    found = alone.measured(shape)
    np.testing.assert_allclose(found.overlays[0].values, found.measurement.values(), rtol=1e-6)
    assert verdicts(alone.confronted(shape))[0]["chi2"] == pytest.approx(0, abs=1e-6)
