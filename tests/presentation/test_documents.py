"""JSON documents of measurements: bit by bit there and back, and nothing but our errors where they are damaged."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from referencing import Registry

from omnifold_pub import Estimate, JointMeasurement, Measurement, OmnifoldPubError, Release, Theory, UnfoldingResult
from omnifold_pub.errors import ObservableError, ReleaseError, StatisticsError
from omnifold_pub.estimators import Custom, Histogram, Moments, Ratio
from omnifold_pub.presentation.recipes import statistic_document
from omnifold_pub.schemas import SCHEMA_VERSION, check, load_schema
from omnifold_pub.statistics.components import Component, ComponentResult
from tests.conftest import change, drop

Document = dict[str, Any]


def made_by_hand() -> JointMeasurement:
    """Three statistics with a component of replicas and one of a scale."""
    over = Histogram("y_ll", [-2.5, 0, 2.5])
    values = np.array([3.0, 2.0, 0.5, 0.1, 0.6, 270.0, 7000.0])
    members = np.random.default_rng(1).normal(values, 0.1, (12, 7))
    scaled = values[np.newaxis] * 1.017
    return JointMeasurement(
        nominal=values,
        results=(
            ComponentResult(Component("data_bootstrap", "bootstrap", members=12), members, np.cov(members.T)),
            ComponentResult(
                Component("luminosity", "scale", relative_uncertainty=0.017),
                scaled,
                np.outer(scaled - values, scaled - values),
            ),
        ),
        statistics=(
            Histogram("pT_l1 / pT_l2", [1, 1.5, 2, 5]),
            Ratio(Histogram("y_ll", [-2.5, 0, 2.5], where="pT_ll > 300"), over, name="hard"),
            Moments("pT_ll", [1, 2]),
        ),
        sizes=(3, 2, 2),
        units=("pb", "1", ""),
        weight_unit="pb",
        effective_events=np.array([1e4, 5e3, 17.5, 0.0, 2e4, 4e4, np.nan]),
        central="mean",
    )


def stored(document: Document) -> Document:
    """Return what is left of a document in a file."""
    read: Document = json.loads(json.dumps(document, allow_nan=False))
    return read


def assert_same(found: Estimate, expected: Estimate) -> None:
    """Compare every number bit by bit, and everything else."""
    assert type(found) is type(expected)
    np.testing.assert_array_equal(found.nominal, expected.nominal)
    np.testing.assert_array_equal(found.effective_events, expected.effective_events)
    assert found.components == expected.components
    for one, other in zip(found.results, expected.results, strict=True):
        np.testing.assert_array_equal(one.members, other.members)
        np.testing.assert_array_equal(one.covariance, other.covariance)
    for key in ("sizes", "units", "unit", "weight_unit", "central", "labels", "names"):
        assert getattr(found, key) == getattr(expected, key)
    for a, b in zip(found.statistics, expected.statistics, strict=True):
        for own, its in zip(getattr(a, "axes", ()), getattr(b, "axes", ()), strict=True):
            assert own == its
            assert (own.label, own.unit) == (its.label, its.unit)


# There and back


def test_a_joint_measurement_comes_back_bit_by_bit(computable: JointMeasurement) -> None:
    document = computable.to_dict()
    assert check(document, "measurement") == []
    again = JointMeasurement.from_dict(stored(document))
    assert_same(again, computable)
    assert again.to_dict() == document
    assert [type(s) for s in again.statistics] == [type(s) for s in computable.statistics]


def test_a_measurement_and_an_estimate_come_back(release: Release, measurement: Measurement) -> None:
    assert_same(Measurement.from_dict(stored(measurement.to_dict())), measurement)
    single = release.measure(Moments("x"))
    assert_same(Estimate.from_dict(stored(single.to_dict())), single)
    assert isinstance(Estimate.from_dict(measurement.to_dict()), Measurement)


def test_what_python_functions_made_comes_back_as_numbers(functions: JointMeasurement) -> None:
    document = functions.to_dict()
    again = JointMeasurement.from_dict(stored(document))
    assert_same(again, functions)
    assert again.to_dict() == document
    assert JointMeasurement.from_dict(again.to_dict()).to_dict() == document
    assert again["doubled"].axes[0].edges.tolist() == [0, 1, 2]
    assert again["of x"].kind == "MEAN"


def test_tests_of_a_prediction_are_the_same(computable: JointMeasurement) -> None:
    again = JointMeasurement.from_dict(stored(computable.to_dict()))
    for name in ("x", "shares", "ratio", "quantiles"):
        own, its = computable.part(name), again.part(name)
        prediction = own.nominal + 0.7 * own.uncertainties()
        options: dict[str, Any] = {"pseudo_inverse": True} if name == "shares" else {}
        assert its.chi2(prediction, **options) == own.chi2(prediction, **options)
    own, its = computable["x"], again["x"]
    assert its.chi2(1.1 * own.nominal[::-1], shape_only=True) == own.chi2(1.1 * own.nominal[::-1], shape_only=True)
    np.testing.assert_array_equal(its.bias("data_bootstrap"), own.bias("data_bootstrap"))


def test_a_theory_is_measured_by_what_came_back(computable: JointMeasurement, result: UnfoldingResult) -> None:
    columns = {name: column[:] for name, column in result.columns.items()}
    theory = Theory.from_arrays(columns, result.nominal[:], unit="pb")
    again = JointMeasurement.from_dict(stored(computable.to_dict()))
    for found, expected in zip(theory.predict(again), theory.predict(computable), strict=True):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(theory.predict(again)[0], computable.nominal, rtol=1e-9)


@pytest.mark.parametrize("name", ["function", "doubled", "of x", "by function"])
def test_no_theory_is_measured_by_a_function_that_is_gone(
    functions: JointMeasurement, result: UnfoldingResult, name: str
) -> None:
    columns = {key: column[:] for key, column in result.columns.items()}
    theory = Theory.from_arrays(columns, result.nominal[:], unit="pb")
    again = JointMeasurement.from_dict(functions.to_dict()).part(name)
    with pytest.raises(ObservableError, match=r"was restored from a document.*measure it anew from the release"):
        theory.predict(again)


def test_without_members_numbers_and_p_values_stay(computable: JointMeasurement) -> None:
    document = computable.to_dict(members=False)
    assert "member_values" not in json.dumps(document)
    again = JointMeasurement.from_dict(stored(document))
    assert again.to_dict() == document == again.to_dict(members=False)
    own, its = computable["x"], again["x"]
    assert its.chi2(own.nominal * 1.1) == own.chi2(own.nominal * 1.1)
    assert its.chi2(own.nominal).replicas == 4
    assert np.isnan(its.members("data_bootstrap")).all()
    with pytest.raises(
        ObservableError, match=r"the document left its members out; write it with to_dict\(members=True"
    ):
        its.bias("data_bootstrap")
    with pytest.raises(StatisticsError):
        its.chi2(own.nominal, shape_only=True)


def test_ratios_of_ratios_come_back_however_deep() -> None:
    deep: Any = Histogram("x", [0, 1, 2])
    for level in range(40):
        deep = Ratio(deep, Histogram("x", [0, 1, 2], where=f"x > {level}"), name=f"level {level}")
    document = Measurement(
        nominal=np.ones(2),
        results=(),
        statistics=(deep,),
        sizes=(2,),
        units=("1",),
        weight_unit="pb",
        effective_events=np.ones(2),
        central="mean",
    ).to_dict()
    document["components"] = [
        {**made_by_hand().to_dict()["components"][1], "covariance": [[0, 0], [0, 0]], "member_values": [[1, 1]]}
    ]
    found = Measurement.from_dict(stored(document)).statistic
    for level in reversed(range(40)):
        assert isinstance(found, Ratio)
        assert found.name == f"level {level}"
        assert isinstance(found.denominator, Histogram)
        assert found.denominator.where == f"x > {level}"
        found = found.numerator


def test_inner_bins_of_a_normalised_spectrum_come_back(release: Release) -> None:
    inner = release.measure("x", [-1, 0, 1], flow=True, normalise=True).inner()
    again = Measurement.from_dict(stored(inner.to_dict()))
    assert_same(again, inner)
    assert again.to_dict() == inner.to_dict()


def test_a_unit_is_left_out_unless_all_share_that_of_the_weights(computable: JointMeasurement) -> None:
    assert "unit" not in computable.to_dict()
    assert computable["x"].to_dict()["unit"] == "pb"
    assert "unit" not in computable["density"].to_dict()
    assert computable["density"].to_dict()["observables"][0]["unit"] == "pb / GeV"


def test_infinite_edges_and_unknown_numbers_are_what_json_has(computable: JointMeasurement) -> None:
    document = computable.to_dict()
    by_name = {one["name"]: one for one in document["observables"]}
    assert by_name["x * z"]["axes"][0]["edges"] == ["-inf", -1, 0, 1, "inf"]
    assert "edges" not in by_name["x * z"]
    assert by_name["x"]["edges"] == by_name["x"]["axes"][0]["edges"]
    start = by_name["quantiles"]["start"]
    assert document["effective_events"][start : start + 2] == [None, None]


def test_numbers_that_json_has_not_are_refused(measurement: Measurement) -> None:
    with pytest.raises(ObservableError, match="expected finite values"):
        replace(measurement, nominal=measurement.nominal * np.nan).to_dict()


# Versions


def of_the_first_version(joint: JointMeasurement) -> Document:
    """Write plain histograms as version 1.0.0 had them."""
    return {
        "schema_version": "1.0.0",
        "kind": "measurement",
        "unit": "pb",
        "observables": [
            {"name": name, "edges": joint[name].axes[0].edges.tolist(), "start": joint.slice(name).start}
            for name in joint.names
        ],
        "values": joint.values().tolist(),
        "uncertainties": joint.uncertainties().tolist(),
        "effective_events": joint.effective_events.tolist(),
        "covariance": joint.covariance().tolist(),
        "components": [
            {
                "name": c.name,
                "kind": c.kind,
                **({"members": c.members} if c.members else {}),
                "covariance": joint.covariance(c.name).tolist(),
            }
            for c in joint.components
        ],
    }


def test_documents_of_the_first_version_are_read(project: Path, release: Release) -> None:
    joint = release.measure({"x": [-2, 0, 1, 2], "2 * y": [0, 30, 80]})
    document = of_the_first_version(joint)
    first = json.loads((project / "schemas/1.0.0/measurement.schema.json").read_text())
    Draft202012Validator(first, registry=Registry()).validate(document)
    again = JointMeasurement.from_dict(stored(document))
    np.testing.assert_array_equal(again.covariance(), joint.covariance())
    assert again.chi2(1.1 * joint.nominal) == joint.chi2(1.1 * joint.nominal)
    assert again.names == joint.names
    assert again.to_dict()["schema_version"] == SCHEMA_VERSION
    assert_same(JointMeasurement.from_dict(again.to_dict()), again)


@pytest.mark.parametrize("version", ["2.0.0", "0.9.0", "11.0.0", "one", ""])
def test_other_major_versions_are_refused(version: str) -> None:
    with pytest.raises(ReleaseError, match=r"schema_version: expected a version 1\.x, which this program reads; found"):
        Estimate.from_dict(made_by_hand().to_dict() | {"schema_version": version})


def test_another_class_is_named(measurement: Measurement) -> None:
    with pytest.raises(ReleaseError, match=r"expected joint; found measurement; read it with Measurement\.from_dict"):
        JointMeasurement.from_dict(measurement.to_dict())


# Damage


def scale(*steps: str | int, by: float) -> Callable[[Any], None]:
    def apply(document: Any) -> None:
        for step in steps[:-1]:
            document = document[step]
        document[steps[-1]] *= by

    return apply


AGAINST_THE_SCHEMA = [
    change("unit", to="nb"),
    change("weight_unit", to="nb"),
    change("form", to="histogram"),
    change("central", to="mode"),
    change("observables", to=[]),
    change("observables", 0, "edges", to=[1]),
    change("observables", 0, "edges", to=[1, "inf"]),
    change("observables", 0, "axes", 0, "edges", to=[1]),
    change("observables", 0, "axes", 0, "edges", to=[1, "infinity"]),
    change("observables", 0, "start", to=-1),
    change("observables", 0, "size", to=0),
    change("observables", 0, "uhi_kind", to="count"),
    change("observables", 0, "statistic", "type", to="guess"),
    change("observables", 0, "statistic", "nan", to="keep"),
    change("observables", 0, "statistic", "where", to="x > 1"),
    change("observables", 0, "statistic", "orders", to=[1]),  # which are of moments
    drop("observables", 0, "statistic", "density"),
    change("observables", 0, "statistic", "observables", 0, to={"expression": "x", "function": "f"}),
    change("observables", 0, "statistic", "observables", 0, to={}),
    change("observables", 1, "parts", to=[]),
    change("observables", 1, "statistic", "numerator", to=-1),
    change("observables", 2, "statistic", "orders", to=[9]),
    change("values", 0, to=None),
    change("uncertainties", 0, to=-0.1),
    change("effective_events", 0, to=-1),
    change("covariance", to=[1.0]),
    change("components", to={"data_bootstrap": [[1.0]]}),
    change("components", 0, "kind", to="guess"),
    change("components", 0, "members", to=0),
    change("components", 0, "seed", to=-1),
    change("components", 0, "computed_members", to=-1),
    change("components", 0, "member_values", 0, 0, to=None),
    change("components", 0, "member_values", 0, 0, to=True),
    drop("components", 0, "covariance"),
]


@pytest.mark.parametrize("mutate", AGAINST_THE_SCHEMA)
def test_the_schema_alone_refuses(mutate: Callable[[Any], None]) -> None:
    document = stored(made_by_hand().to_dict())
    mutate(document)
    assert not Draft202012Validator(load_schema("measurement"), registry=Registry()).is_valid(document)
    with pytest.raises(ReleaseError, match="measurement document: "):
        JointMeasurement.from_dict(document)


@pytest.mark.parametrize("key", sorted(set(made_by_hand().to_dict()) - {"unit"}))
def test_no_key_may_be_missing_or_unknown(key: str) -> None:
    document = made_by_hand().to_dict()
    without = {k: value for k, value in document.items() if k != key}
    for wrong in (without, document | {f"{key}s": 1}):
        assert check(wrong, "measurement") != []
        with pytest.raises(ReleaseError):
            Estimate.from_dict(wrong)


BEYOND_THE_SCHEMA = [
    (change("values", to=[1.0]), "values: expected one number for each of 7 bins; found 1"),
    (change("covariance", to=[[1.0]]), "covariance: expected 7 rows of 7 numbers; found 1 of 1"),
    (change("covariance", 2, to=[1.0]), "covariance: expected 7 rows of 7 finite numbers"),
    (change("covariance", 0, 1, to=0.5), r"covariance\[0\]\[1\]: expected a symmetric matrix; found 0.5"),
    (change("covariance", 3, 3, to=-1.0), r"covariance\[3\]\[3\]: expected a variance, not negative"),
    (scale("uncertainties", 3, by=1.01), r"uncertainties\[3\]: .*square root of the covariance's diagonal"),
    (scale("components", 0, "member_values", 3, 2, by=1.5), r"components\[0\]\.covariance.*of its members"),
    (scale("components", 1, "covariance", 0, 0, by=1.1), r"components\[1\]\.covariance\[0\]\[0\]: expected .* members"),
    (
        change("components", 0, "computed_members", to=5),
        r"\.member_values: expected 5 rows of 7 numbers; found 12 of 7",
    ),
    (change("observables", 1, "start", to=4), r"observables\[1\]\.start: expected 3, behind the bins before; found 4"),
    (change("observables", 0, "size", to=4), r"observables\[0\]\.size: expected 3 bins"),
    (change("observables", 0, "axes", 0, "edges", 1, to=0.5), r"observables\[0\]: .* strictly increasing edges"),
    (change("observables", 0, "edges", 1, to=1.6), r"observables\[0\]\.edges: expected the edges of the only axis"),
    (change("observables", 0, "axes", 0, "name", to="x"), r"observables\[0\]: .* the axes that its observables have"),
    (change("observables", 1, "axes", 0, "unit", to="GeV"), r"observables\[1\]: .* the axes that its observables have"),
    (change("observables", 0, "uhi_kind", to="MEAN"), r"observables\[0\]: expected a statistic that can be made"),
    (change("observables", 0, "uhi_kind", to=None), r"observables\[0\]: .* uhi_kind: expected COUNT or MEAN"),
    (change("observables", 1, "statistic", "numerator", to=0), r"parts: expected each of 2 to be used once"),
    (change("observables", 1, "statistic", "denominator", to=7), r"parts: expected each of 2 to be used once"),
    (change("form", to="measurement"), "observables: expected one of a document of the form measurement; found 3"),
    (change("components", 0, "covariance", 0, 0, to=10**400), "larger"),
    (change("values", 0, to=float("nan")), r"values\[0\]: expected a finite number; found nan"),
    (change("covariance", 0, 0, to=float("inf")), r"covariance\[0\]\[0\]: expected a finite number; found inf"),
]


@pytest.mark.parametrize(("mutate", "message"), BEYOND_THE_SCHEMA)
def test_what_a_schema_cannot_see_is_refused(mutate: Callable[[Any], None], message: str) -> None:
    document = made_by_hand().to_dict()
    mutate(document)
    with pytest.raises(ReleaseError, match=message):
        Estimate.from_dict(document)


def test_the_sum_of_the_components_is_compared() -> None:
    document = made_by_hand().to_dict()
    del document["components"][1]
    with pytest.raises(ReleaseError, match="the sum of the components'"):
        Estimate.from_dict(document)


@pytest.mark.parametrize("document", [None, [], "x", 3, {}, {"schema_version": 1}, {"schema_version": "1.0.0"}])
def test_something_else_is_refused(document: object) -> None:
    with pytest.raises(ReleaseError, match="measurement document"):
        Estimate.from_dict(document)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.sampled_from(["", "inf", "-inf", "1.0.0", "2.0", "mean", "histogram", "function", "x", "\x1b[31m"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["function", "expression", "type", "edges"]), inner, max_size=2)
    ),
    max_leaves=6,
)


def places(node: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    found: list[tuple[str | int, ...]] = [path] if path else []
    steps: Any = node.items() if isinstance(node, dict) else enumerate(node[:2]) if isinstance(node, list) else ()
    for step, part in steps:
        found += places(part, (*path, step))
    return found


DOCUMENTS = [stored(made_by_hand().to_dict()), stored(made_by_hand().to_dict(members=False))]
PLACES = [places(document) for document in DOCUMENTS]


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_damaged_documents_give_nothing_but_our_errors(data: st.DataObject) -> None:
    which = data.draw(st.integers(0, 1))
    document = copy.deepcopy(DOCUMENTS[which])
    for _ in range(data.draw(st.integers(1, 2))):
        path = data.draw(st.sampled_from(PLACES[which]))
        node: Any = document
        try:
            for step in path[:-1]:
                node = node[step]
            if data.draw(st.booleans()):
                node[path[-1]] = data.draw(JSON)
            else:
                del node[path[-1]]
        except (KeyError, IndexError, TypeError):
            continue  # the first damage took that place away
    try:
        found = Estimate.from_dict(document)
    except ReleaseError:
        return
    again = Estimate.from_dict(stored(found.to_dict()))
    np.testing.assert_array_equal(again.nominal, found.nominal)
    for use in (str, lambda m: m.chi2(m.nominal), lambda m: m.to_csv(), lambda m: m._repr_html_()):
        with contextlib.suppress(OmnifoldPubError):
            use(found)


def test_a_custom_statistic_says_its_function() -> None:
    recipe = statistic_document(Custom(lambda events, weights: 1.0, name="one"))
    assert recipe["statistic"] == {"type": "function", "function": "<lambda>"}
    assert (recipe["axes"], recipe["uhi_kind"], recipe["labels"]) == ([], None, [])
