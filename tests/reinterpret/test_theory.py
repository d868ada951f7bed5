"""Theories: events of a generator, histogrammed as a measurement was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uproot
from numpy.typing import NDArray

from omnifold_pub import JointMeasurement, Theory, open_release
from omnifold_pub.errors import InputError, ObservableError
from omnifold_pub.reinterpret.weight_families import Combination, Family

PT_EDGES = np.array([200.0, 250.0, 300.0, 400.0, 1000.0])
JET_EDGES = np.array([10.0, 50.0, 150.0, 600.0])


@pytest.fixture(scope="module")
def arrays(zjets: Path) -> dict[str, NDArray[Any]]:
    with uproot.open(zjets / "theory.root") as file:
        found: dict[str, NDArray[Any]] = file["events"].arrays(library="np")
    return found


@pytest.fixture(scope="module")
def theory(zjets: Path) -> Theory:
    return Theory.from_root(
        zjets / "theory.root",
        tree="events",
        weight="weight",
        unit="pb",
        columns=["pT_ll", "y_ll", "pT_trackj1"],
        name="another tune",
        sentinel=-99,
    )


@pytest.fixture(scope="module")
def joint(quick_release: Path) -> JointMeasurement:
    with open_release(quick_release) as release:
        return release.measure({"pT_ll": PT_EDGES, "jet": ("pT_trackj1 * 1", JET_EDGES)})


def test_the_sentinel_becomes_an_absent_value(theory: Theory, arrays: dict[str, NDArray[Any]]) -> None:
    absent = arrays["pT_trackj1"] == -99
    assert 0 < absent.sum() < len(absent)
    np.testing.assert_array_equal(np.isnan(theory.events["pT_trackj1"]), absent)
    np.testing.assert_array_equal(theory.events["pT_trackj1"][~absent], arrays["pT_trackj1"][~absent])


def test_columns_and_weights_are_those_of_the_file(theory: Theory, arrays: dict[str, NDArray[Any]]) -> None:
    assert list(theory.events) == ["pT_ll", "y_ll", "pT_trackj1"]
    np.testing.assert_array_equal(theory.events["pT_ll"], arrays["pT_ll"].astype(np.float32))
    np.testing.assert_array_equal(theory.weights, arrays["weight"])
    assert theory.weights.dtype == np.float64
    assert (theory.name, theory.unit) == ("another tune", "pb")


def test_a_theory_is_named_after_its_file_unless_told_otherwise(zjets: Path) -> None:
    path = zjets / "theory.root"
    assert Theory.from_root(path, tree="events", weight="weight", unit="pb", columns=["y_ll"]).name == "theory.root"


def test_the_prediction_is_the_histogram_of_numpy(
    theory: Theory, joint: JointMeasurement, arrays: dict[str, NDArray[Any]]
) -> None:
    values, _ = theory.predict(joint)
    weights = arrays["weight"].astype(float)
    pt = np.histogram(arrays["pT_ll"].astype(np.float32).astype(float), PT_EDGES, weights=weights)[0]
    jet = np.histogram(arrays["pT_trackj1"].astype(np.float32).astype(float), JET_EDGES, weights=weights)[0]
    np.testing.assert_allclose(values, np.concatenate([pt, jet]), rtol=1e-12)


def test_the_covariance_is_the_sum_of_squared_weights_of_shared_events(
    theory: Theory, joint: JointMeasurement, arrays: dict[str, NDArray[Any]]
) -> None:
    _, covariance = theory.predict(joint)
    pt, jet = (arrays[name].astype(np.float32).astype(float) for name in ("pT_ll", "pT_trackj1"))
    squares = arrays["weight"].astype(float) ** 2
    diagonal = [np.histogram(v, edges, weights=squares)[0] for v, edges in ((pt, PT_EDGES), (jet, JET_EDGES))]
    between = np.histogram2d(pt, jet, bins=(PT_EDGES, JET_EDGES), weights=squares)[0]
    expected = np.block([[np.diag(diagonal[0]), between], [between.T, np.diag(diagonal[1])]])
    np.testing.assert_allclose(covariance, expected, rtol=1e-9)
    assert between.max() > 0


def test_a_prediction_in_another_unit_is_refused(theory: Theory, joint: JointMeasurement) -> None:
    with pytest.raises(InputError, match="another tune: weights in pb, the measurement is in 'fb'; convert them"):
        theory.predict(replace(joint, weight_unit="fb"))


def test_a_column_that_the_theory_lacks_is_named(zjets: Path, joint: JointMeasurement) -> None:
    path = zjets / "theory.root"
    theory = Theory.from_root(path, tree="events", weight="weight", unit="pb", columns=["pT_ll"])
    with pytest.raises(ObservableError, match=r"theory\.root has no column 'pT_trackj1'"):
        theory.predict(joint)


def test_a_missing_branch_is_named(zjets: Path) -> None:
    with pytest.raises(InputError, match="lacks 1 of the 2 branches"):
        Theory.from_root(zjets / "theory.root", tree="events", weight="w", unit="pb", columns=["pT_ll"])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.root: no such file"):
        Theory.from_root(tmp_path / "absent.root", tree="events", weight="w", unit="pb", columns=["pT_ll"])


ONES = np.ones(3)


@pytest.mark.parametrize(
    ("columns", "weights", "message"),
    [
        ({"x": ONES, "y": np.ones(4)}, ONES, r"of one length; found \[3, 4\]"),
        ({"x": ONES}, np.ones(2), r"of one length; found \[2, 3\]"),
        ({"x": ONES}, np.ones((3, 1)), "weights: expected one number per event"),
        ({"x": ONES}, np.array([1, np.nan, np.inf]), "2 of 3 weights are not finite"),
        ({"x": ONES}, np.array([1.0, -3.0, 1.0]), "the weights sum to -1; expected the fiducial cross section in pb"),
        ({"x": ONES}, np.zeros(3), "the weights sum to 0"),
        ({"x": np.ones(0)}, np.ones(0), "the weights sum to 0"),
        ({}, ONES, "column"),
        ({"x": np.ones((3, 2))}, ONES, "x"),
        ({"x": np.ma.masked_array(ONES, [False, True, False])}, ONES, "x: expected one number per event; found masked"),
    ],
    ids=[
        "columns",
        "weights",
        "two axes",
        "nan",
        "negative",
        "zero",
        "empty",
        "no columns",
        "column of two axes",
        "masked",
    ],
)
def test_arrays_that_are_no_theory_are_refused(
    columns: dict[str, NDArray[Any]], weights: NDArray[Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        Theory.from_arrays(columns, weights, unit="pb", name="mine")


def test_single_negative_weights_are_allowed() -> None:
    theory = Theory.from_arrays({"x": ONES}, np.array([2.0, -0.5, 1.0]), unit="pb")
    assert theory.weights.tolist() == [2.0, -0.5, 1.0]


def test_nan_marks_an_absent_value_beside_the_sentinel() -> None:
    theory = Theory.from_arrays({"x": np.array([1.0, np.nan, -99.0])}, ONES, unit="pb", sentinel=-99)
    np.testing.assert_array_equal(np.isnan(theory.events["x"]), [False, True, True])
    without = Theory.from_arrays({"x": np.array([1.0, np.nan, -99.0])}, ONES, unit="pb")
    np.testing.assert_array_equal(without.events["x"], np.array([1, np.nan, -99], dtype=np.float32))


def test_a_theory_has_the_four_momenta_of_the_release(quick_release: Path, arrays: dict[str, NDArray[Any]]) -> None:
    def dimuon_mass(events: Any) -> NDArray[np.float64]:
        dimuon = events.vector("l1") + events.vector("l2")
        return np.asarray(dimuon.mass)

    names = [f"{what}_{muon}" for muon in ("l1", "l2") for what in ("pT", "eta", "phi")]
    theory = Theory.from_arrays({name: arrays[name] for name in names}, arrays["weight"], unit="pb")
    edges = [81, 91, 101]
    with open_release(quick_release) as release:
        values, _ = theory.predict(release.measure(dimuon_mass, edges))
    pt1, eta1, phi1, pt2, eta2, phi2 = (arrays[name].astype(np.float32).astype(float) for name in names)
    light = np.sqrt(2 * pt1 * pt2 * (np.cosh(eta1 - eta2) - np.cos(phi1 - phi2)))  # of massless muons
    expected = np.histogram(light, edges, weights=arrays["weight"])[0]
    np.testing.assert_allclose(values, expected, rtol=0.01)


def test_a_theory_changes_its_unit_with_its_families() -> None:
    family = Family(Combination("envelope"), ("up",), np.array([[2.0], [3.0]]))
    theory = Theory.from_arrays({"x": np.ones(2)}, np.array([1.0, 2.0]), unit="pb", families={"scales": family})
    found = theory.in_unit("fb")
    assert (found.unit, found.weights.tolist()) == ("fb", [1000.0, 2000.0])
    assert found.families["scales"].weights.tolist() == [[2000.0], [3000.0]]
    assert found.in_unit("pb").weights.tolist() == pytest.approx(theory.weights.tolist())
    without = theory.in_unit(None)
    assert (without.unit, without.weights.tolist()) == (None, [1.0, 2.0])
    with pytest.raises(InputError, match="expected a cross section, and a unit of pb, fb; found no cross section"):
        without.in_unit("pb")
    with pytest.raises(InputError, match="found weights in 'pb' to be converted to 'nb'"):
        theory.in_unit("nb")
