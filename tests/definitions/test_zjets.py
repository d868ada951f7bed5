"""The definition of Z(mumu) + jets, against stored columns and against loops written out."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uproot
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from omnifold_pub import Theory
from omnifold_pub.definitions.particles import Particles, three_charge
from omnifold_pub.definitions.track_jets import cluster
from omnifold_pub.definitions.zjets import OBSERVABLES, zjets
from omnifold_pub.reinterpret.hepmc import hepmc_file

Row = tuple[int, float, float, float, float, bool]
Momentum = tuple[float, float, float, float]

STORED_ROW = {
    "pT_ll": 203.3765411376953,
    "y_ll": 0.07434684038162231,
    "pT_l1": 111.44822692871094,
    "pT_l2": 92.92264556884766,
    "eta_l1": 0.45774102210998535,
    "eta_l2": -0.3809383511543274,
    "phi_l1": 1.988747477531433,
    "phi_l2": 1.7905610799789429,
    "pT_trackj1": 87.59738159179688,
    "y_trackj1": -0.18741253018379211,
    "phi_trackj1": -1.2757898569107056,
    "m_trackj1": 9.460617065429688,
    "tau1_trackj1": 0.10645373165607452,
    "tau2_trackj1": 0.07920937985181808,
    "tau3_trackj1": 0.06425874680280685,
    "Ntracks_trackj1": 11.0,
}
"""Row 63,089 of the full pseudo-data's truth, which another program made of the same event; it has no second jet."""


@pytest.fixture(scope="module")
def folder(project: Path) -> Path:
    return project / "tests/data/hepmc"


def particles_of(path: Path) -> Particles:
    pieces = [piece.particles for piece in hepmc_file(path).pieces()]
    assert len(pieces) == 1
    return pieces[0]


def rows_of(particles: Particles, event: int) -> list[Row]:
    here = range(int(particles.offsets[event]), int(particles.offsets[event + 1]))
    arrays = (particles.pdg_id, particles.px, particles.py, particles.pz, particles.energy, particles.prompt)
    return [tuple(array[i].item() for array in arrays) for i in here]


def test_the_events_of_the_files_give_the_stored_columns(folder: Path) -> None:
    with uproot.open(folder / "zjets.root") as file:
        stored = file["events"].arrays(library="np")
    passes = stored["pass_truth"]
    assert passes.sum() > 200
    theory = Theory.from_hepmc(folder / "zjets.hepmc.gz", definition="zjets")
    for name in OBSERVABLES:
        expected = np.where(stored[name][passes] == -99, np.nan, stored[name][passes])
        np.testing.assert_allclose(theory.events[name], expected, rtol=1e-5, atol=1e-6, err_msg=name)
    np.testing.assert_allclose(theory.weights, stored["weight"][passes], rtol=1e-5)


def test_an_event_of_the_real_inputs_gives_its_stored_row(folder: Path) -> None:
    found = zjets(particles_of(folder / "data_row.hepmc.gz"))
    assert found.passes.tolist() == [True]
    for name in OBSERVABLES:
        expected = STORED_ROW.get(name, math.nan)
        np.testing.assert_allclose(found.columns[name], [expected], rtol=1e-6, err_msg=name)


# What follows takes FastJet's and numpy's place: one particle after the other, from the papers' definitions.


def pt(p: Momentum) -> float:
    return math.hypot(p[0], p[1])


def rapidity(p: Momentum) -> float:
    return 0.5 * math.log((p[3] + p[2]) / (p[3] - p[2]))


def eta(p: Momentum) -> float:
    return -math.log(math.tan(math.atan2(pt(p), p[2]) / 2))


def turn(one: Momentum, other: Momentum) -> float:
    apart = abs(math.atan2(one[1], one[0]) - math.atan2(other[1], other[0]))
    return min(apart, 2 * math.pi - apart)


def added(parts: list[Momentum]) -> Momentum:
    return tuple(math.fsum(p[i] for p in parts) for i in range(4))  # type: ignore[return-value]


def mass(p: Momentum) -> float:
    return math.sqrt(max(p[3] ** 2 - p[0] ** 2 - p[1] ** 2 - p[2] ** 2, 0))


def recombine(tracks: list[Momentum], power: int, radius: float, stop: int = 0) -> list[list[Momentum]]:
    """Combine by d_ij = min(pt^2p) dR^2 / R^2 and d_iB = pt^2p; exclusively, if ``stop`` groups are to stay."""
    groups = [[track] for track in tracks]
    jets = []
    while len(groups) > stop:
        sums = [added(group) for group in groups]
        best = (math.inf, 0, -1)
        for i, one in enumerate(sums):
            if not stop:
                best = min(best, (pt(one) ** (2 * power), i, -1))
            for j in range(i):
                distance = (rapidity(one) - rapidity(sums[j])) ** 2 + turn(one, sums[j]) ** 2
                scale = min(pt(one) ** (2 * power), pt(sums[j]) ** (2 * power))
                best = min(best, (scale * distance / radius**2, i, j))
        _, i, j = best
        if j < 0:
            jets.append(groups.pop(i))
        else:
            groups[j] += groups.pop(i)
    return jets if not stop else groups


def subjettiness(tracks: list[Momentum], axes: int) -> float:
    if len(tracks) <= axes:
        return 0.0
    sums = [added(group) for group in recombine(tracks, 1, 1.0, stop=axes)]
    nearest = [min(math.hypot(rapidity(t) - rapidity(a), turn(t, a)) for a in sums) for t in tracks]
    return math.fsum(pt(t) * d for t, d in zip(tracks, nearest, strict=True)) / (0.4 * math.fsum(map(pt, tracks)))


def by_hand(rows: list[Row]) -> dict[str, float] | None:
    muons = [row for row in rows if abs(row[0]) == 13 and row[5]]
    dressed = [[row[1:5]] for row in muons]
    for row in rows:
        if row[0] == 22 and row[5]:
            distances = [math.hypot(eta(row[1:5]) - eta(m[1:5]), turn(row[1:5], m[1:5])) for m in muons]
            if distances and min(distances) < 0.1:
                dressed[distances.index(min(distances))].append(row[1:5])
    pairs = [
        (abs(mass(added([added(dressed[i]), added(dressed[j])])) - 91.1876), i, j)
        for i, j in itertools.combinations(range(len(muons)), 2)
        if muons[i][0] == -muons[j][0]
    ]
    if not pairs:
        return None
    _, i, j = min(pairs)
    one, two = sorted((added(dressed[i]), added(dressed[j])), key=pt, reverse=True)
    both = added([one, two])
    if not (pt(both) > 200 and 81 < mass(both) < 101 and pt(two) > 25 and max(abs(eta(one)), abs(eta(two))) < 2.5):
        return None
    found = {"pT_ll": pt(both), "y_ll": rapidity(both)}
    for number, muon in ((1, one), (2, two)):
        found |= {
            f"pT_l{number}": pt(muon),
            f"eta_l{number}": eta(muon),
            f"phi_l{number}": math.atan2(muon[1], muon[0]),
        }
    tracks = [
        row[1:5]
        for row in rows
        if row not in (muons[i], muons[j]) and three_charge(row[0]) and pt(row[1:5]) > 0.5 and abs(eta(row[1:5])) < 2.5
    ]
    jets = [jet for jet in recombine(tracks, -1, 0.4) if pt(added(jet)) > 10]
    jets.sort(key=lambda jet: -pt(added(jet)))
    for number, jet in enumerate(jets[:2], 1):
        total = added(jet)
        numbers = {"pT": pt(total), "y": rapidity(total), "phi": math.atan2(total[1], total[0]), "m": mass(total)}
        numbers |= {f"tau{axes}": subjettiness(jet, axes) for axes in (1, 2, 3)} | {"Ntracks": float(len(jet))}
        found |= {f"{what}_trackj{number}": value for what, value in numbers.items()}
    return found


@pytest.mark.parametrize("event", [0, 7, 100, 199])
def test_the_loops_agree(folder: Path, event: int) -> None:
    particles = particles_of(folder / "zjets.hepmc.gz")
    rows = rows_of(particles, event)
    expected = by_hand(rows)
    assert expected is not None
    found = zjets(Particles.of_events([rows])).columns
    for name in OBSERVABLES:
        np.testing.assert_allclose(found[name], [expected.get(name, math.nan)], rtol=1e-7, atol=1e-9, err_msg=name)


def muon(pt: float, eta: float, phi: float, number: int = 13, *, prompt: bool = True) -> Row:
    px, py, pz = pt * math.cos(phi), pt * math.sin(phi), pt * math.sinh(eta)
    m = {13: 0.10566, 22: 0.0, 211: 0.13957}.get(abs(number), 0.0)
    return (number, px, py, pz, math.sqrt(px**2 + py**2 + pz**2 + m**2), prompt)


BESIDE_ROUND_NUMBERS = 1.0000123
"""A factor: at a threshold, such as 10 GeV, the last digit decides, and sums in another order have another one."""

PAIR = [muon(130, 0.3, 0.35), muon(130, 0.3, -0.35, -13)]  # mass 89 GeV


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_the_loops_agree_on_events_that_no_generator_makes(data: st.DataObject) -> None:
    momenta, etas = (st.floats(*ends).map(BESIDE_ROUND_NUMBERS.__mul__) for ends in ((0.4, 60), (-2.7, 2.7)))
    directions = st.tuples(momenta, etas, st.floats(-3.1, 3.1))
    numbers = st.sampled_from([211, -211, 22, 130, 13, -13, 2212])
    prompts = st.booleans()
    extra = data.draw(st.lists(st.tuples(directions, numbers, prompts), max_size=12, unique_by=lambda e: e[0][2]))
    rows = [*PAIR, *(muon(*d, number, prompt=prompt) for d, number, prompt in extra)]
    found = zjets(Particles.of_events([rows]))
    expected = by_hand(rows)
    assert bool(found.passes[0]) == (expected is not None)
    for name in OBSERVABLES:
        there = (expected or {}).get(name, math.nan)
        np.testing.assert_allclose(found.columns[name], [there], rtol=1e-6, atol=1e-5, err_msg=name)


def one(rows: list[Row]) -> tuple[bool, dict[str, Any]]:
    found = zjets(Particles.of_events([rows]))
    return bool(found.passes[0]), {name: float(column[0]) for name, column in found.columns.items()}


def test_photons_are_added_to_the_muon_only_if_near_and_prompt() -> None:
    bare = one(PAIR)[1]["pT_l1"]
    for phi, prompt, gained in ((0.40, True, 5.0), (0.46, True, 0.0), (0.40, False, 0.0)):
        _, columns = one([*PAIR, muon(5, 0.3, phi, 22, prompt=prompt)])
        assert columns["pT_l1"] == pytest.approx(bare + gained, abs=0.01)


def test_muons_of_decays_are_tracks() -> None:
    passes, columns = one([*PAIR, muon(30, 0.3, 3.0, 13, prompt=False)])
    assert passes
    assert columns["Ntracks_trackj1"] == 1
    assert columns["pT_trackj1"] == pytest.approx(30)


def test_of_four_muons_those_nearest_the_z_are_taken_and_the_others_are_tracks() -> None:
    soft = [muon(20, 0.3, 2.9), muon(12, 0.3, -2.9, -13)]
    passes, columns = one([*soft, *PAIR])
    assert passes
    assert columns["pT_l1"] == pytest.approx(130)
    assert (columns["pT_trackj1"], columns["pT_trackj2"]) == (pytest.approx(20), pytest.approx(12))


@pytest.mark.parametrize(
    "rows",
    [
        [],
        PAIR[:1],
        [PAIR[0], muon(130, 0.3, -0.35, 13)],
        [PAIR[0], muon(130, 0.3, -0.35, -13, prompt=False)],
        [muon(130, 0.3, 0.2), muon(130, 0.3, -0.2, -13)],
        [muon(130, 2.6, 0.35), muon(130, 2.6, -0.35, -13)],
        [muon(100, 0.3, 0.46), muon(100, 0.3, -0.46, -13)],
        [muon(260, 0.3, 0.0), muon(20, 0.3, 1.24, -13)],
    ],
    ids=["nothing", "one muon", "charge", "decay", "mass", "eta", "pair", "soft muon"],
)
def test_events_outside_have_no_values(rows: list[Row]) -> None:
    passes, columns = one(rows)
    assert not passes
    assert all(math.isnan(value) for value in columns.values())


def test_no_jet_is_nan_and_few_tracks_have_no_substructure() -> None:
    passes, columns = one([*PAIR, muon(9.9, 0, 3.0, 211), muon(40, 1.5, 3.0, 211), muon(15, 1.6, 3.0, -211)])
    assert passes
    assert columns["Ntracks_trackj1"] == 2
    assert (columns["tau2_trackj1"], columns["tau3_trackj1"]) == (0, 0)
    assert columns["tau1_trackj1"] > 0
    assert math.isnan(columns["pT_trackj2"])


def test_nothing_depends_on_the_order_of_events_or_particles(folder: Path) -> None:
    particles = particles_of(folder / "zjets.hepmc.gz")
    rows = [rows_of(particles, event) for event in range(20)]
    expected = zjets(Particles.of_events(rows)).columns
    shuffled = zjets(Particles.of_events([event[::-1] for event in rows[::-1]])).columns
    for name in OBSERVABLES:
        np.testing.assert_allclose(shuffled[name][::-1], expected[name], rtol=1e-9, err_msg=name)


def test_fastjet_writes_nothing_where_results_go(capfd: pytest.CaptureFixture[str]) -> None:
    cluster(Particles.of_events([[muon(30, 0, 0, 211)]]))
    assert capfd.readouterr().out == ""


def test_no_tracks_at_all() -> None:
    jets = cluster(Particles.of_events([[], []]))
    shapes: list[NDArray[Any]] = [jets.pt, jets.mass, jets.tracks]
    assert all(array.shape == (2, 2) and np.isnan(array).all() for array in shapes)
