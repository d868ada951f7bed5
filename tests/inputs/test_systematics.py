"""Backgrounds and systematics of an analysis file: what is refused, and what becomes of them."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from omnifold_pub.errors import AnalysisError, InputError
from omnifold_pub.inputs.analysis import luminosity_of, parse_analysis, read_analysis
from omnifold_pub.inputs.factors import expression_factor
from omnifold_pub.inputs.reader import Inputs, read_inputs
from omnifold_pub.schemas import check, load_schema
from omnifold_pub.unfold.config import CampaignConfig, OmniFoldConfig
from tests.conftest import change, drop
from tests.unfold.toys import BACKGROUND, DATA, LUMINOSITY, Document, Toy, make_document


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    return Toy(tmp_path)


def read(toy: Toy) -> Inputs:
    return read_inputs(read_analysis(toy.write()))


@pytest.mark.parametrize(("section", "config"), [("omnifold", OmniFoldConfig), ("campaign", CampaignConfig)])
def test_defaults_of_the_schema_are_those_of_the_settings(section: str, config: type[Any]) -> None:
    declared = load_schema("analysis")["properties"][section]["properties"]
    defaults = {key: value["default"] for key, value in declared.items()}
    assert defaults == json.loads(json.dumps(config().to_dict()))
    assert set(defaults) == {field.name for field in fields(config)}
    assert check(make_document() | {section: config().to_dict()}, "analysis") == []


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"stop_below": -1}, "omnifold.stop_below: expected minimum 0"),
        ({"classifier": "svm"}, "omnifold.classifier: expected one of mlp, bdt, module"),
        ({"classifier": "module"}, "omnifold: expected the keys module"),
        ({"classifier": "module", "module": ""}, "omnifold.module: expected minLength 1"),
        ({"module": "networks.py"}, "omnifold.module: expected text that matches"),
        ({"module": "a:b\n"}, "omnifold.module: expected text that matches"),
        ({"leaves": 1}, "omnifold.leaves: expected minimum 2"),
        ({"trees": 0}, "omnifold.trees: expected minimum 1"),
        ({"folds": 0}, "omnifold.folds: expected minimum 1"),
        ({"precision": "float16"}, "omnifold.precision: expected one of float32, bfloat16"),
        ({"schedule": "step"}, "omnifold.schedule: expected one of constant, cosine"),
        ({"splits": "new"}, "omnifold.splits: expected one of fixed, fresh"),
        ({"keep_iterations": 1}, "omnifold.keep_iterations: expected boolean"),
        ({"background": "ignore"}, "omnifold.background: expected one of negative_weights, neural_resampling"),
    ],
)
def test_a_setting_out_of_range_is_refused(settings: Document, problem: str) -> None:
    (found,) = check(make_document() | {"omnifold": settings}, "analysis")
    assert str(found).startswith(problem)


def test_a_module_of_the_user_s_own_is_taken() -> None:
    settings = {"classifier": "module", "module": "my.networks:build", "module_settings": {"depth": [3, {"a": None}]}}
    assert check(make_document() | {"omnifold": settings}, "analysis") == []


@pytest.mark.parametrize("section", ["backgrounds", "variations", "theory_weights", "generators", "priors", "closure"])
def test_every_systematic_may_be_left_out(section: str) -> None:
    document = make_document()
    del document["inputs"][section]
    assert parse_analysis(document, Path("a.yaml")).document is document


INPUTS = ("inputs",)


@pytest.mark.parametrize(
    ("mutate", "place"),
    [
        (drop(*INPUTS, "variations", 0, "tree"), "inputs.variations[0]"),
        (drop(*INPUTS, "variations", 1, "weight"), "inputs.variations[1]"),
        (drop(*INPUTS, "variations", 2, "down"), "inputs.variations[2]"),
        (drop(*INPUTS, "variations", 2, "up", "pass_reco"), "inputs.variations[2].up"),
        (change(*INPUTS, "variations", 0, "weight", to="sf_up"), "inputs.variations[0]"),
        (change(*INPUTS, "variations", 1, "file", to="a.root"), "inputs.variations[1]"),
        (change(*INPUTS, "variations", 1, "up", to={"weight": "a"}), "inputs.variations[1]"),
        (change(*INPUTS, "variations", 2, "up", to={}), "inputs.variations[2].up"),
        (change(*INPUTS, "variations", 3, "down", "tree", to="events"), "inputs.variations[3].down"),
        (drop(*INPUTS, "backgrounds", 0, "weight"), "inputs.backgrounds[0]"),
        (change(*INPUTS, "theory_weights", 0, "weights", to=["a", "b", "c"]), "inputs.theory_weights[0].weights"),
        (change(*INPUTS, "theory_weights", 2, "weights", to=[]), "inputs.theory_weights[2].weights"),
        (change(*INPUTS, "theory_weights", 2, "weights", to=["a", "a"]), "inputs.theory_weights[2].weights"),
        (change(*INPUTS, "theory_weights", 2, "kind", to="pdf"), "inputs.theory_weights[2].kind"),
        (drop(*INPUTS, "generators", 0, "correlated"), "inputs.generators[0]"),
        (drop(*INPUTS, "generators", 0, "simulation", "truth_weight"), "inputs.generators[0].simulation"),
        (change(*INPUTS, "priors", 0, "correlated", to="yes"), "inputs.priors[0].correlated"),
        (drop(*INPUTS, "closure", 0, "target"), "inputs.closure[0]"),
        (change(*INPUTS, "closure", 1, "target", to="x"), "inputs.closure[1]"),
        (change(*INPUTS, "closure", 1, "columns", to=["z"]), "inputs.closure[1]"),
        (change(*INPUTS, "closure", 1, "kind", to="bottom_line"), "inputs.closure[1].kind"),
        (change("campaign", "central_value", to="mode"), "campaign.central_value"),
    ],
)
def test_a_systematic_of_another_form_is_refused_with_its_place(mutate: Callable[[Any], None], place: str) -> None:
    document = make_document()
    mutate(document)
    problems = check(document, "analysis")
    assert problems
    assert {problem.path for problem in problems} == {place}


SECTIONS = ("variations", "backgrounds", "theory_weights", "generators", "priors", "closure")


@pytest.mark.parametrize("name", ["nominal", "ensemble", "data_bootstrap", "event_sampling", "luminosity"])
@pytest.mark.parametrize("section", SECTIONS)
def test_names_of_the_campaign_s_own_components_are_refused(section: str, name: str) -> None:
    document = make_document()
    document["inputs"][section][0]["name"] = name
    with pytest.raises(AnalysisError, match=rf"inputs\.{section}: '{name}' is the name of a component of its own"):
        parse_analysis(document, Path("a.yaml"))


@pytest.mark.parametrize("section", SECTIONS[1:])
def test_names_are_unique_over_all_sections(section: str) -> None:
    document = make_document()
    document["inputs"][section][0]["name"] = "scale"
    with pytest.raises(AnalysisError, match=rf"inputs\.{section}: 'scale' is a name in inputs\.variations already"):
        parse_analysis(document, Path("a.yaml"))


@pytest.mark.parametrize("section", SECTIONS)
def test_names_are_unique_within_a_section(section: str) -> None:
    document = make_document()
    document["inputs"][section].append(copy.deepcopy(document["inputs"][section][0]))
    with pytest.raises(AnalysisError, match=rf"inputs\.{section}: expected unique names; found \w+ more than once"):
        parse_analysis(document, Path("a.yaml"))


def test_a_closure_test_that_is_stated_already_is_refused() -> None:
    document = make_document()
    test = {"name": "hidden", "description": "Made elsewhere", "unfolded": "nominal", "canvas": "other"}
    document["publication"]["closure"]["tests"] = [test]
    with pytest.raises(
        AnalysisError, match=r"publication\.closure\.tests: 'hidden' is the name of one of inputs\.clos"
    ):
        parse_analysis(document, Path("a.yaml"))


@pytest.mark.parametrize(
    ("mutate", "message"),
    [
        (
            change("inputs", "priors", 0, "weight", to="exp(xx)"),
            r"priors\[0\]\.weight: 'xx' is no observable .* mean x",
        ),
        (change("inputs", "priors", 0, "weight", to="exp(z)"), r"priors\[0\]\.weight: 'z' is no observable"),
        (change("inputs", "priors", 0, "weight", to="open('f')"), r"priors\[0\]\.weight: expression .* quotes"),
        (change("inputs", "closure", 0, "target", to="exp(v)"), r"closure\[0\]\.target: 'v' is no observable"),
        (change("inputs", "closure", 0, "columns", to=["x"]), r"closure\[0\]\.columns: 'x' is an observable already"),
    ],
)
def test_a_factor_that_cannot_be_computed_is_refused(mutate: Callable[[Any], None], message: str) -> None:
    document = make_document()
    mutate(document)
    with pytest.raises(AnalysisError, match=rf"a\.yaml: inputs\.{message}"):
        parse_analysis(document, Path("a.yaml"))


@pytest.mark.parametrize(
    ("value", "unit", "weights", "expected"),
    [(139, "fb-1", "pb", 139e3), (139, "fb-1", "fb", 139), (5, "pb-1", "pb", 5), (5, "pb-1", "fb", 0.005)],
)
def test_the_luminosity_is_in_inverse_units_of_the_weights(
    value: float, unit: str, weights: str, expected: float
) -> None:
    document = {"luminosity": {"value": value, "unit": unit}, "weight_unit": weights}
    assert luminosity_of(document) == pytest.approx(expected)


def test_every_systematic_is_read(toy: Toy) -> None:
    inputs, mc = read(toy), toy.arrays["mc"]
    nominal = inputs.simulation
    assert list(inputs.variations) == ["alone", "factor", "scale/up", "scale/down", "mixed/up", "mixed/down"]
    factor = inputs.variations["factor"]
    np.testing.assert_array_equal(factor.reco_weight, mc["w_r"] * mc["sf_up"])
    np.testing.assert_array_equal(factor.truth_weight, mc["w"])
    assert factor.reco is nominal.reco
    down = inputs.variations["scale/down"]
    rows = mc["pass_reco"]
    np.testing.assert_array_equal(down.reco.values[rows, 0], toy.arrays["scale_down"]["reco_x"][rows])
    np.testing.assert_array_equal(down.reco_weight, mc["w_r"])
    assert list(inputs.theory_weights) == ["muf/0", "muf/1", "alphas/0", "pdf/0", "pdf/1", "pdf/2"]
    np.testing.assert_array_equal(inputs.theory_weights["pdf/2"], mc["w_theory2"])
    np.testing.assert_array_equal(inputs.generators["other"].truth_weight, toy.arrays["other"]["w"])
    truth = mc["pass_truth"]
    tilt, hidden = inputs.factors["tilt"], inputs.factors["hidden"]
    x, z = mc["x"][truth].astype(np.float64), mc["z"][truth].astype(np.float64)
    np.testing.assert_allclose(tilt[truth], np.exp(0.1 * x), rtol=1e-12)
    np.testing.assert_allclose(hidden[truth], np.exp(0.2 * z) * (1 + 0.1 * x**2), rtol=1e-12)
    assert (tilt[~truth] == 1).all()
    assert (hidden[~truth] == 1).all()
    assert set(inputs.factors) == {"tilt", "hidden"}


def test_background_weights_are_events_expected_in_the_data(toy: Toy) -> None:
    background = read(toy).backgrounds["false"]
    np.testing.assert_allclose(background.reco_weight, LUMINOSITY * toy.arrays["background"]["w"])
    assert background.reco_weight.sum() == pytest.approx(BACKGROUND)
    assert background.truth is None


def test_the_provenance_names_every_file_with_its_use(toy: Toy) -> None:
    records = read(toy).provenance
    assert [(record["role"], record["file"]) for record in records] == [
        ("simulation", "mc.root"),
        ("data", "data.root"),
        ("background false", "background.root"),
        ("variation alone", "scale_up.root"),
        ("variation scale/up", "scale_up.root"),
        ("variation scale/down", "scale_down.root"),
        ("variation mixed/up", "scale_up.root"),
        ("generator other", "other.root"),
    ]
    assert records[-1]["generator"] == "numpy, seed 2"


@pytest.mark.parametrize(
    ("sample", "branch", "role"),
    [
        ("mc", "sf_up", "mc"),
        ("mc", "w_theory1", "mc"),
        ("mc", "z", "mc"),
        ("background", "w", "background"),
        ("other", "pass_truth", "other"),
        ("scale_down", "reco_x", "scale_down"),
    ],
)
def test_a_branch_that_is_not_there_is_named(toy: Toy, sample: str, branch: str, role: str) -> None:
    del toy.arrays[sample][branch]
    with pytest.raises(InputError, match=rf"{role}\.root: tree 'events' lacks 1 of the .* '{branch}'"):
        read(toy)


@pytest.mark.parametrize(
    ("branch", "what"),
    [
        ("sf_up", r"variation factor, branch 'sf_up': 1 of 2000 reco weights are not finite, the first at row 7"),
        ("w_theory1", r"theory weight muf/1, branch 'w_theory1': 1 of 2000 \w+ weights are not finite, the first at r"),
    ],
)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_systematic_weight_that_is_not_finite_is_refused(toy: Toy, branch: str, what: str, bad: float) -> None:
    toy.arrays["mc"][branch][7] = bad
    with pytest.raises(InputError, match=rf"mc\.root: {what}"):
        read(toy)


def test_systematic_weights_that_sum_to_nothing_are_refused(toy: Toy) -> None:
    toy.arrays["mc"]["sf_down"][:] = 0
    with pytest.raises(InputError, match=r"variation mixed/down, branch 'sf_down': the reco weights .* sum to 0"):
        read(toy)


def test_backgrounds_that_sum_to_nothing_are_refused(toy: Toy) -> None:
    toy.arrays["background"]["w"][:] = 0
    with pytest.raises(InputError, match=r"background\.root: the reco weights of the selected events sum to 0"):
        read(toy)


def test_more_background_than_data_is_refused(toy: Toy) -> None:
    toy.arrays["background"]["w"] *= 1000
    with pytest.raises(InputError, match=rf"300000 background events are expected among {DATA} of the data"):
        read(toy)


def test_a_theory_weight_where_there_was_none_is_refused(toy: Toy) -> None:
    toy.arrays["mc"]["w"][5] = 0
    with pytest.raises(
        InputError, match=r"theory weight muf/0.*: the truth weight is 0 in 1 of 2000 .* first in row 5"
    ):
        read(toy)


def test_events_of_weight_0_keep_their_reco_weight(toy: Toy) -> None:
    """Some files have no truth weight for events that fail truth."""
    mc = toy.arrays["mc"]
    fail = ~mc["pass_truth"]
    for name in ("w", "w_theory0", "w_theory1", "w_theory2"):
        mc[name][fail] = 0
    inputs = read(toy)
    varied = inputs.simulation.with_truth_weight(inputs.theory_weights["muf/0"], "muf")
    np.testing.assert_array_equal(varied.reco_weight[fail], mc["w_r"][fail])
    ratio = mc["w_theory0"][~fail] / mc["w"][~fail]
    np.testing.assert_allclose(varied.reco_weight[~fail], (mc["w_r"][~fail] * ratio), rtol=1e-12)


@pytest.mark.parametrize(
    "shift", [lambda ids: ids[::-1].copy(), lambda ids: ids + 1, lambda ids: ids[:-1]], ids=["order", "ids", "rows"]
)
def test_one_side_of_a_pair_with_other_events_is_refused(toy: Toy, shift: Callable[[Any], Any]) -> None:
    columns = toy.arrays["scale_down"]
    ids = shift(columns["event_id"])
    toy.arrays["scale_down"] = {name: column[: len(ids)] for name, column in columns.items()} | {"event_id": ids}
    with pytest.raises(InputError, match=r"scale_down\.root: the event ids are not those of .*mc\.root, row by row"):
        read(toy)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ("y", r"prior tilt: 'y' is no finite number in \d+ of \d+ .* first in row \d+ \(y = nan\); give .* where\("),
        ("1 + x / 2", r"prior tilt: '1 \+ x / 2' is negative in \d+ of \d+ events that pass truth"),
        ("x / 0", r"prior tilt: 'x / 0' is no finite number"),
        ("0 * x", r"prior tilt: the reco weights of the selected events sum to"),
    ],
)
def test_a_factor_without_a_value_is_refused_with_its_row(toy: Toy, weight: str, message: str) -> None:
    if weight == "0 * x":
        toy.arrays["mc"]["pass_truth"][:] = True  # no fakes, which keep their weight
        toy.arrays["mc"]["x"][:] = 1
    toy.document["inputs"]["priors"][0]["weight"] = weight
    with pytest.raises(InputError, match=rf"mc\.root: {message}"):
        read(toy)


def test_an_absent_object_is_given_a_value_by_where(toy: Toy) -> None:
    toy.document["inputs"]["priors"][0]["weight"] = "where(y > 0, 2, 0.5)"
    inputs, mc = read(toy), toy.arrays["mc"]
    rows = mc["pass_truth"]
    np.testing.assert_array_equal(inputs.factors["tilt"][rows], np.where(mc["y"][rows] > 0, 2, 0.5))


@pytest.mark.parametrize(("sentinel", "count"), [(None, 0), (-999.9, 2)])
def test_the_sentinel_marks_absence_in_further_columns_too(toy: Toy, sentinel: float | None, count: int) -> None:
    sample = read(toy).simulation
    extra = np.ones(len(sample), dtype=np.float32)
    extra[np.flatnonzero(sample.pass_truth)[:2]] = -999.9
    factor = expression_factor("where(v < 5, 1, 3) + 0 * x", sample, "v", extra={"v": extra}, sentinel=sentinel)
    assert (factor == 3).sum() == count
