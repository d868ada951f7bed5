"""Four-momenta against formulas written out by hand, and against the muons and jets of the small real inputs."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uproot
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from omnifold_pub.errors import MissingExtraError, ObservableError
from omnifold_pub.observables.momenta import LARGEST_RAPIDITY, FourMomentum, VectorColumns, momenta_of, vector_of

MUON_MASS = 0.1056583755  # GeV, PDG 2024
NAN = math.nan
MUON = FourMomentum("l1", pt="pt", eta="eta", phi="phi", mass=MUON_MASS)
JET = FourMomentum("j1", pt="pt", rapidity="y", phi="phi", mass="m")

Columns = dict[str, NDArray[Any]]


def columns(**values: list[float]) -> Columns:
    return {name: np.array(column, dtype=np.float32) for name, column in values.items()}


def one(**values: float) -> Columns:
    return {name: np.array([value]) for name, value in values.items()}


def muon(pt: float, eta: float, phi: float) -> tuple[float, float, float, float]:
    """Return (E, px, py, pz) by hand."""
    px, py, pz = pt * math.cos(phi), pt * math.sin(phi), pt * math.sinh(eta)
    return math.sqrt(px**2 + py**2 + pz**2 + MUON_MASS**2), px, py, pz


PT = st.floats(0.5, 3000)
ETA = st.floats(-5, 5)
PHI = st.floats(-math.pi, math.pi)


@settings(deadline=None, max_examples=150, derandomize=True)
@given(st.tuples(PT, ETA, PHI), st.tuples(PT, ETA, PHI))
def test_the_mass_of_a_pair_is_the_hand_formula_s(
    first: tuple[float, float, float], second: tuple[float, float, float]
) -> None:
    vectors = [vector_of(MUON, one(pt=pt, eta=eta, phi=phi)) for pt, eta, phi in (first, second)]
    energies = np.array([muon(*first), muon(*second)])
    pair: Any = vectors[0] + vectors[1]  # its type information takes sums for arrays
    e, px, py, pz = energies.sum(axis=0)
    np.testing.assert_allclose(pair.E, e, rtol=1e-12)
    np.testing.assert_allclose(pair.pt, math.hypot(px, py), rtol=1e-9, atol=1e-9)
    expected = e**2 - px**2 - py**2 - pz**2
    np.testing.assert_allclose(pair.mass**2, expected, rtol=1e-7, atol=1e-9 * e**2)


@settings(deadline=None, max_examples=150, derandomize=True)
@given(st.tuples(PT, ETA, PHI), st.tuples(PT, ETA, PHI))
def test_the_distance_is_the_hand_formula_s(
    first: tuple[float, float, float], second: tuple[float, float, float]
) -> None:
    (_, eta1, phi1), (_, eta2, phi2) = first, second
    vectors = [vector_of(MUON, one(pt=pt, eta=eta, phi=phi)) for pt, eta, phi in (first, second)]
    across = math.atan2(math.sin(phi1 - phi2), math.cos(phi1 - phi2))
    expected = math.hypot(eta1 - eta2, across)
    np.testing.assert_allclose(vectors[0].deltaR(vectors[1]), expected, rtol=1e-9, atol=1e-9)


@settings(deadline=None, max_examples=150, derandomize=True)
@given(PT, st.floats(-8, 8), PHI, st.floats(0, 500))
def test_the_rapidity_comes_back(pt: float, y: float, phi: float, mass: float) -> None:
    jet = vector_of(JET, one(pt=pt, y=y, phi=phi, m=mass))
    transverse = math.hypot(mass, pt)
    np.testing.assert_allclose(jet.rapidity, y, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(jet.E, transverse * math.cosh(y), rtol=1e-12)
    np.testing.assert_allclose(jet.pz, transverse * math.sinh(y), rtol=1e-12)
    np.testing.assert_allclose([jet.pt[0], jet.mass[0]], [pt, mass], rtol=1e-12)


@settings(deadline=None, max_examples=50, derandomize=True)
@given(PT, ETA, PHI)
def test_rapidity_and_pseudorapidity_of_a_massless_object_are_one(pt: float, eta: float, phi: float) -> None:
    light = FourMomentum("g", pt="pt", eta="eta", phi="phi", mass=0)
    other = FourMomentum("g", pt="pt", rapidity="eta", phi="phi", mass=0)
    one_way, another = (vector_of(m, one(pt=pt, eta=eta, phi=phi)) for m in (light, other))
    np.testing.assert_allclose(one_way.pz, another.pz, rtol=1e-12)
    np.testing.assert_allclose(another.eta, eta, rtol=1e-9, atol=1e-9)


def test_it_is_computed_in_double_precision() -> None:
    events = columns(pt=[1000.1], eta=[2.3], phi=[1.1])
    expected = muon(float(np.float32(1000.1)), float(np.float32(2.3)), float(np.float32(1.1)))
    made = vector_of(MUON, events)
    np.testing.assert_allclose([made.E[0], made.px[0], made.py[0], made.pz[0]], expected, rtol=1e-13)
    # float32 would lose a mass of 0.1 GeV beside a momentum of 5 TeV
    np.testing.assert_allclose(np.sqrt(made.E**2 - made.p**2), MUON_MASS, rtol=1e-3)


@pytest.mark.parametrize("column", ["pt", "y", "phi", "m"])
def test_an_absent_object_is_nan_throughout(column: str) -> None:
    events = columns(pt=[30, 40], y=[1, 2], phi=[0, 1], m=[5, 6])
    events[column][1] = NAN
    jet = vector_of(JET, events)
    for name in ("pt", "phi", "pz", "mass", "E", "eta", "rapidity"):
        values = getattr(jet, name)
        assert np.isnan(values).tolist() == [False, True], name
    assert np.isnan(jet.deltaR(jet)).tolist() == [False, True]
    double: Any = jet + jet
    assert np.isnan(double.mass).tolist() == [False, True]


def test_integers_are_numbers() -> None:
    assert vector_of(MUON, {"pt": np.array([3]), "eta": np.array([0]), "phi": np.array([0])}).pt.tolist() == [3.0]


def test_no_events_are_no_vectors() -> None:
    assert len(vector_of(JET, columns(pt=[], y=[], phi=[], m=[]))) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"pt": [30, -99]},
            r"'j1': column 'pt': expected a finite transverse momentum .*; found -99 in row 1, and 1 such",
        ),
        ({"pt": [math.inf, 3]}, r"column 'pt': expected a finite transverse momentum .*; found inf in row 0"),
        ({"m": [-1, -2]}, r"column 'm': expected a finite mass of at least 0; found -1 in row 0, and 2 such"),
        ({"m": [math.inf, 1]}, r"column 'm': expected a finite mass of at least 0; found inf"),
        ({"phi": [0, -math.inf]}, r"column 'phi': expected a finite azimuth; found -inf in row 1"),
        ({"y": [0, -99]}, r"column 'y': expected a rapidity from -50 to 50; found -99 in row 1.*NaN marks"),
        ({"y": [0, 1, 2]}, r"'j1': expected columns of one length; found \[2, 3\]"),
    ],
)
def test_what_is_no_momentum_is_refused(change: dict[str, list[float]], message: str) -> None:
    sound: dict[str, list[float]] = {"pt": [30, 40], "y": [1, 2], "phi": [0, 1], "m": [5, 6]}
    events = columns(**(sound | change))
    with pytest.raises(ObservableError, match=message):
        vector_of(JET, events)


def test_a_sentinel_of_an_object_that_is_absent_anyway_is_not_looked_at() -> None:
    jet = vector_of(JET, columns(pt=[30, NAN], y=[1, -99], phi=[0, -99], m=[5, -99]))
    assert np.isnan(jet.E).tolist() == [False, True]


@pytest.mark.parametrize(("y", "largest"), [(0.0, 0.03), (3.0, 0.3)])
def test_a_mass_that_rounding_made_negative_counts_as_none(y: float, largest: float) -> None:
    jet = vector_of(JET, columns(pt=[30], y=[y], phi=[0], m=[-0.99 * largest]))
    assert jet.mass.tolist() == [0.0]
    np.testing.assert_allclose(jet.E, 30 * math.cosh(y), rtol=1e-6)
    with pytest.raises(ObservableError, match="expected a finite mass of at least 0"):
        vector_of(JET, columns(pt=[30], y=[y], phi=[0], m=[-1.01 * largest]))


def test_single_precision_makes_such_masses() -> None:
    """Four-momenta of light objects in float32, whose mass is computed as ROOT does it."""
    rng = np.random.default_rng(1)
    pt, y, phi = rng.exponential(100, 20000) + 10, rng.uniform(-2.5, 2.5, 20000), rng.uniform(-3, 3, 20000)
    e, px, py, pz = (
        x.astype(np.float32) for x in (pt * np.cosh(y), pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(y))
    )
    square = e**2 - px**2 - py**2 - pz**2
    mass = np.sign(square) * np.sqrt(np.abs(square))
    assert (mass < -0.01).sum() > 1000
    jets = vector_of(JET, {"pt": pt, "y": y, "phi": phi, "m": mass})
    assert jets.mass.min() == 0


def test_the_bound_on_rapidities_is_beyond_any_collider() -> None:
    assert math.acosh(100_000 / 0.000511) < LARGEST_RAPIDITY / 2  # an electron that takes all of 100 TeV


@pytest.mark.parametrize("values", [np.zeros((2, 2)), np.array(["a", "b"]), np.array([True, False])])
def test_a_column_holds_one_number_for_each_event(values: NDArray[Any]) -> None:
    events = columns(pt=[30, 40], y=[1, 2], phi=[0, 1]) | {"m": values}
    with pytest.raises(ObservableError, match="column 'm': expected one real number for each event; found an array"):
        vector_of(JET, events)


def test_an_unknown_column_is_told_the_nearest() -> None:
    with pytest.raises(ObservableError, match=r"'j1': there is no column 'm'; did you mean mm\?"):
        vector_of(JET, columns(pt=[30], y=[1], phi=[0], mm=[5]))


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"eta": "eta", "rapidity": "y"}, "expected a column of eta or one of rapidity; found 'eta' and 'y'"),
        ({}, "expected a column of eta or one of rapidity; found neither"),
        ({"eta": 0.5}, "eta or rapidity: expected the name of a column; found 0.5"),
        ({"eta": "eta", "pt": 3}, "pt: expected the name of a column; found 3"),
        ({"eta": "eta", "mass": -0.1}, "mass: expected the name of a column, or a number of GeV .* found -0.1"),
        ({"eta": "eta", "mass": math.nan}, "mass: expected the name of a column, or a number of GeV .* found nan"),
        ({"eta": "eta", "mass": math.inf}, "mass: expected .* found inf"),
        ({"eta": "eta", "mass": True}, "mass: expected .* found True"),
        ({"eta": "eta", "mass": None}, "mass: expected .* found None"),
    ],
)
def test_what_is_no_declaration_is_refused(entry: dict[str, Any], message: str) -> None:
    with pytest.raises(ObservableError, match=f"four-momentum 'a': {message}"):
        FourMomentum(**({"name": "a", "pt": "pt", "phi": "phi", "mass": "m"} | entry))


def test_a_declaration_names_each_column_once() -> None:
    assert JET.columns == ("pt", "y", "phi", "m")
    assert FourMomentum("a", pt="a", eta="b", phi="b", mass="a").columns == ("a", "b")


def test_without_vector_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "vector", raising=False)
    monkeypatch.setattr("omnifold_pub.extras.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"four-momenta needs the package vector.*omnifold-pub\[vector\]"):
        vector_of(MUON, one(pt=3, eta=0, phi=0))


class Toy(VectorColumns):
    """Columns that remember which of them were looked at."""

    def __init__(self, table: Columns, momenta: dict[str, FourMomentum]) -> None:
        self.table = table
        self.momenta = momenta
        self.used: set[str] = set()

    def __getitem__(self, name: str) -> NDArray[Any]:
        self.used.add(name)
        return self.table[name]

    def __contains__(self, name: object) -> bool:
        return name in self.table

    def __iter__(self) -> Iterator[str]:
        return iter(self.table)

    def __len__(self) -> int:
        return len(self.table)


@pytest.fixture
def toy() -> Toy:
    table = columns(pt=[30, 40], y=[1, NAN], phi=[0, 1], m=[5, 6], other=[0, 0])
    entry = {"name": "j1", "description": "a jet", "pt": "pt", "rapidity": "y", "phi": "phi", "mass": "m"}
    return Toy(table, momenta_of({"four_momenta": [entry]}))


def test_declared_momenta_are_asked_for_by_name(toy: Toy) -> None:
    assert toy.momenta == {"j1": JET}
    jet = toy.vector("j1")
    np.testing.assert_allclose(jet.E, [math.hypot(30, 5) * math.cosh(1), NAN])
    assert toy.used == {"pt", "y", "phi", "m"}


def test_others_by_their_columns(toy: Toy) -> None:
    np.testing.assert_array_equal(toy.vector(pt="pt", rapidity="y", phi="phi", mass="m").E, toy.vector("j1").E)
    assert toy.vector(pt="pt", eta="other", phi="phi", mass=0).E.tolist() == [30, 40]


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda e: e.vector("j2"), "no four-momentum 'j2' is declared; there are j1"),
        (lambda e: Toy(e.table, {}).vector("j2"), "no four-momentum 'j2' is declared; there is none at all"),
        (lambda e: e.vector(), r"expected a four-momentum's name, or columns \(pt, .*\); found neither"),
        (lambda e: e.vector("j1", pt="pt", mass=0), "found 'j1' and pt, mass"),
        (
            lambda e: e.vector(pt="pt", eta="y"),
            "expected the columns pt, eta or rapidity, phi, mass; phi, mass missing",
        ),
        (lambda e: e.vector(pt="pt", phi="phi", mass=0), "expected a column of eta or one of rapidity; found neither"),
        (lambda e: e.vector(pt="PT", eta="y", phi="phi", mass=0), "there is no column 'PT'; there are pt, y"),
    ],
)
def test_what_is_asked_for_amiss_is_told(toy: Toy, ask: Callable[[Toy], object], message: str) -> None:
    with pytest.raises(ObservableError, match=message):
        ask(toy)


@pytest.fixture(scope="module")
def declared(zjets_document: dict[str, Any]) -> dict[str, FourMomentum]:
    """The four-momenta that the analysis file of the small real inputs declares."""
    momenta = [FourMomentum.from_document(entry) for entry in zjets_document["four_momenta"]]
    return {momentum.name: momentum for momentum in momenta}


@pytest.fixture(scope="module")
def real(zjets: Path, declared: dict[str, FourMomentum]) -> Columns:
    """Their columns, of the events in the fiducial region; NaN for absent jets."""
    names = [name for momentum in declared.values() for name in momentum.columns]
    with uproot.open(zjets / "mc.root") as file:
        arrays = file["events"].arrays([*names, "y_ll", "pT_ll", "pass_truth"], library="np")
    inside = arrays.pop("pass_truth").astype(bool)
    return {name: np.where(column[inside] == -99, np.nan, column[inside]) for name, column in arrays.items()}


def test_the_dimuon_system_of_real_muons_is_the_column_s(declared: dict[str, FourMomentum], real: Columns) -> None:
    pair: Any = vector_of(declared["l1"], real) + vector_of(declared["l2"], real)
    assert len(pair) > 10_000
    # The columns are truncated to 16 bits, and a dressed muon has a mass of its own.
    np.testing.assert_allclose(pair.pt, real["pT_ll"], rtol=2e-3)
    np.testing.assert_allclose(pair.rapidity, real["y_ll"], atol=2e-3)
    hand = np.array(
        [
            [muon(*row) for row in zip(*(real[f"{q}_{name}"].tolist() for q in ("pT", "eta", "phi")), strict=True)]
            for name in ("l1", "l2")
        ]
    ).sum(axis=0)
    e, px, py, pz = hand.T
    np.testing.assert_allclose(pair.mass, np.sqrt(e**2 - px**2 - py**2 - pz**2), rtol=1e-7)
    assert (np.abs(pair.mass - 91) < 10.5).all()


def test_the_jets_of_real_events_keep_their_columns(declared: dict[str, FourMomentum], real: Columns) -> None:
    for name in ("trackj1", "trackj2"):
        jet = vector_of(declared[name], real)
        absent = np.isnan(real[f"pT_{name}"])
        assert 0 < absent.sum() < len(jet)
        np.testing.assert_array_equal(np.isnan(jet.E), absent)
        for column, values in (("pT", jet.pt), ("y", jet.rapidity), ("phi", jet.phi), ("m", jet.mass)):
            np.testing.assert_allclose(values, real[f"{column}_{name}"], rtol=1e-6, atol=1e-6, err_msg=column)
