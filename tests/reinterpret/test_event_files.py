"""Theories from HepMC and Les Houches files."""

from __future__ import annotations

import gzip
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyhepmc
import pytest

from omnifold_pub import Theory
from omnifold_pub.definitions.definition import FiducialColumns, FiducialDefinition
from omnifold_pub.definitions.particles import Particles
from omnifold_pub.errors import InputError
from omnifold_pub.reinterpret import hepmc, lhe
from omnifold_pub.reinterpret.hepmc import hepmc_file
from omnifold_pub.reinterpret.weight_families import Combination


def leading(particles: Particles) -> FiducialColumns:
    """The leading prompt muon."""
    good = particles.select((np.abs(particles.pdg_id) == 13) & particles.prompt)
    pt = np.array([good.pt[a:b].max(initial=0) for a, b in zip(good.offsets, good.offsets[1:], strict=False)])
    return FiducialColumns(pt > 20, {"pt": np.where(pt > 20, pt, np.nan)})


LEADING = FiducialDefinition("leading", 1, "A muon above 20 GeV", ("pt",), leading, parton_columns=("pt",))
PTS = [10.0, 30.0, 50.0, 25.0, 70.0]
WEIGHTS = [[1.0, 1.1, 0.8], [2.0, 2.2, 1.8], [1.0, 0.9, 1.2], [-0.5, -0.5, -0.5], [3.0, 3.3, 2.5]]
NAMES = ["Default", "MUR2", "MUR0.5"]

Particle = tuple[float, int, int]


def write(
    path: Path,
    pts: Sequence[float] = PTS,
    weights: Sequence[Sequence[float]] = WEIGHTS,
    *,
    names: Sequence[str] = NAMES,
    cross_sections: Sequence[float] | None = (1.0, 2.0, 3.0, 4.0, 5.0),
    unit: Any = pyhepmc.Units.GEV,
) -> Path:
    """Write events of a Z that decays to two muons, one of them of a given transverse momentum."""
    run = pyhepmc.GenRunInfo()
    run.weight_names = list(names)
    scale = 1000 if unit == pyhepmc.Units.MEV else 1
    with pyhepmc.open(path, "w") as file:
        for number, pt in enumerate(pts):
            event = pyhepmc.GenEvent(unit, pyhepmc.Units.MM)
            event.run_info = run
            event.event_number = number
            vertex, decay = pyhepmc.GenVertex(), pyhepmc.GenVertex()
            for side in (1, -1):
                beam = pyhepmc.GenParticle((0, 0, side * 6500.0 * scale, 6500.0 * scale), 2212, 4)
                vertex.add_particle_in(beam)
            boson = pyhepmc.GenParticle((pt * scale, 0, 0, 3 * pt * scale), 23, 2)
            vertex.add_particle_out(boson)
            decay.add_particle_in(boson)
            decay.add_particle_out(pyhepmc.GenParticle((pt * scale, 0, 0, pt * scale), 13, 1))
            decay.add_particle_out(pyhepmc.GenParticle((5 * scale, 0, 0, 5 * scale), -13, 1))
            event.add_vertex(vertex)
            event.add_vertex(decay)
            event.weights = list(weights[number])
            if cross_sections is not None:
                section = pyhepmc.GenCrossSection()
                event.cross_section = section
                section.set_cross_section(cross_sections[number], 0.1)
            file.write(event)
    return path


@pytest.mark.parametrize("suffix", ["", ".gz", ".bz2"])
@pytest.mark.parametrize("piece", [1, 2, 1000])
def test_weights_sum_to_the_last_cross_section(
    tmp_path: Path, suffix: str, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hepmc, "PIECE", piece)
    path = write(tmp_path / f"events.hepmc{suffix}")
    theory = Theory.from_hepmc(path, definition=LEADING)
    np.testing.assert_allclose(theory.events["pt"], [30, 50, 25, 70])
    np.testing.assert_allclose(theory.weights, np.array([2.0, 1.0, -0.5, 3.0]) * 5 / 6.5)  # of all events
    assert (theory.name, theory.unit) == (path.name, "pb")


def test_another_weight_may_be_the_nominal_and_the_cross_section_stated(tmp_path: Path) -> None:
    path = write(tmp_path / "events.hepmc")
    theory = Theory.from_hepmc(path, definition=LEADING, weight="MUR2", cross_section=2.0, name="up")
    np.testing.assert_allclose(theory.weights, np.array([2.2, 0.9, -0.5, 3.3]) * 2 / 7.0)
    assert theory.name == "up"


def test_the_cross_section_of_the_file_is_that_of_its_first_weight(tmp_path: Path) -> None:
    """So a variation is the same theory whether it is the nominal or the member of a family."""
    path = write(tmp_path / "events.hepmc")
    chosen = Theory.from_hepmc(path, definition=LEADING, weight="MUR2")
    np.testing.assert_allclose(chosen.weights, np.array([2.2, 0.9, -0.5, 3.3]) * 5 / 6.5)
    family = Theory.from_hepmc(path, definition=LEADING, families={"up": Combination("envelope", ("MUR2",))})
    np.testing.assert_allclose(chosen.weights, family.families["up"].weights[:, 0])
    first_sums_to_nothing = write(tmp_path / "bad.hepmc", weights=[[-1, 1, 1]] * 5)
    with pytest.raises(InputError, match="the weights of all 5 events sum to -5"):
        Theory.from_hepmc(first_sums_to_nothing, definition=LEADING, weight="MUR2")
    assert Theory.from_hepmc(first_sums_to_nothing, definition=LEADING, weight="MUR2", cross_section=5).unit == "pb"


def test_variations_keep_their_own_normalisation(tmp_path: Path) -> None:
    path = write(tmp_path / "events.hepmc")
    theory = Theory.from_hepmc(path, definition=LEADING, families={"scales": Combination("envelope", ("MUR*",))})
    family = theory.families["scales"]
    assert family.names == ("MUR2", "MUR0.5")
    expected = np.array([row[1:] for row in WEIGHTS])[1:] * 5 / 6.5
    np.testing.assert_allclose(family.weights, expected)


def test_without_a_cross_section_there_is_no_unit(tmp_path: Path) -> None:
    theory = Theory.from_hepmc(write(tmp_path / "events.hepmc", cross_sections=None), definition=LEADING)
    assert theory.unit is None
    np.testing.assert_allclose(theory.weights, np.array([2.0, 1.0, -0.5, 3.0]) / 6.5)


def test_mev_become_gev(tmp_path: Path) -> None:
    path = write(tmp_path / "events.hepmc", unit=pyhepmc.Units.MEV)
    np.testing.assert_allclose(Theory.from_hepmc(path, definition=LEADING).events["pt"], [30, 50, 25, 70])


def test_hepmc2_is_read_too(tmp_path: Path) -> None:
    path = write(tmp_path / "three.hepmc")
    with pyhepmc.open(path) as source, pyhepmc.open(tmp_path / "two.hepmc", "w", format="hepmc2") as target:
        for event in source:
            target.write(event)
    assert "HepMC::IO_GenEvent" in (tmp_path / "two.hepmc").read_text()
    theory = Theory.from_hepmc(tmp_path / "two.hepmc", definition=LEADING)
    np.testing.assert_allclose(theory.events["pt"], [30, 50, 25, 70])
    np.testing.assert_allclose(theory.weights.sum(), 5.5 * 5 / 6.5)


def chain(*generations: Sequence[int]) -> Any:
    """Return an event in which each particle of a generation decays to the next generation; the last one is stable."""
    event = pyhepmc.GenEvent(pyhepmc.Units.GEV, pyhepmc.Units.MM)
    parents = [pyhepmc.GenParticle((0, 0, side * 6500.0, 6500.0), 2212, 4) for side in (1, -1)]
    for depth, generation in enumerate(generations):
        vertex = pyhepmc.GenVertex()
        for parent in parents:
            vertex.add_particle_in(parent)
        status = 1 if depth == len(generations) - 1 else 2
        parents = [pyhepmc.GenParticle((1, depth, 3, 4), number, status) for number in generation]
        for particle in parents:
            vertex.add_particle_out(particle)
        event.add_vertex(vertex)
    event.weights = [1.0]
    return event


@pytest.mark.parametrize(
    ("generations", "expected"),
    [
        (([23], [13, -13]), True),
        (([21], [2, -2], [23], [23], [13], [13, 22]), True),
        (([21], [111], [22, 22]), False),
        (([511], [-413], [421], [13]), False),
        (([23], [15], [13]), False),
        (([92], [130, 211]), True),
        (([553], [21, 21, 21], [22]), False),
        (([2, 1], [92], [511], [511], [413], [15], [15], [13], [13, 22]), False),
    ],
    ids=["z", "shower", "pi0", "b hadron", "tau", "string", "upsilon", "long"],
)
def test_what_hadrons_and_taus_decay_to_is_not_prompt(tmp_path: Path, generations: Any, expected: Any) -> None:
    path = tmp_path / "chain.hepmc"
    with pyhepmc.open(path, "w") as file:
        file.write(chain(*generations))
    (piece,) = hepmc_file(path).pieces()
    assert sorted(piece.particles.pdg_id.tolist()) == sorted(generations[-1])
    assert piece.particles.prompt.tolist() == [expected] * len(generations[-1])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"pts": [5.0] * 5}, r"none of its 5 events is in the fiducial region of definition 'leading' \(A muon"),
        ({"weights": [[1, 1e999, 1]] * 5}, "number of weights|weight 'MUR2' of event 0 is"),
        ({"weights": [[-1, 1, 1]] * 5}, "the weights of all 5 events sum to -5"),
        ({"cross_sections": (1, 1, 1, 1, -2.0)}, "the file states a cross section of -2 pb"),
        ({"cross_sections": (1, 1, 1, 1, 0.0)}, "a cross section of 0 pb; expected more than 0"),
        ({"pts": [], "weights": []}, "expected a listing of HepMC events; found a file that starts with b''"),
    ],
    ids=["overlap", "nan", "negative", "cross section", "no cross section", "empty"],
)
def test_events_that_are_no_theory_are_refused(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    path = write(tmp_path / "bad.hepmc", **changed)
    with pytest.raises(InputError, match=message):
        Theory.from_hepmc(path, definition=LEADING)


def test_a_listing_without_events_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "bad.hepmc")
    text = path.read_text()
    path.write_text(text[: text.index("E 0 ")] + text[text.rindex("HepMC::") :])
    with pytest.raises(InputError, match="there are no events"):
        Theory.from_hepmc(path, definition=LEADING)


def test_fiducial_events_must_weigh_something(tmp_path: Path) -> None:
    path = write(tmp_path / "bad.hepmc", weights=[[9, 1, 1], *([[-1, 1, 1]] * 4)])
    with pytest.raises(InputError, match="weights of the fiducial events sum to -4; expected more than 0"):
        Theory.from_hepmc(path, definition=LEADING, cross_section=5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weight": "MUR"}, "no weight 'MUR'; did you mean MUR2"),
        ({"families": {"pdf": Combination("hessian", ("PDF*",))}}, r"no weight 'PDF\*'"),
        ({"cross_section": -3.0}, "cross_section is a cross section of -3 pb"),
        ({"definition": "lead"}, "no fiducial definition 'lead'"),
    ],
)
def test_what_the_file_lacks_is_named(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Theory.from_hepmc(write(tmp_path / "events.hepmc"), **{"definition": LEADING, **arguments})


def rubbish(path: Path) -> None:
    path.write_bytes(b"PK\x03\x04 rubbish\n" * 20)


def rubbish_inside(path: Path) -> None:
    path.write_bytes(gzip.compress(b"rubbish\n" * 20))


def cut_archive(path: Path) -> None:
    write(path)
    path.write_bytes(path.read_bytes()[:-40])


def cut_event(path: Path) -> None:
    write(path)
    text = path.read_text()
    path.write_text(text[: text.rindex("P 4 ")])


def cut_listing(path: Path) -> None:
    write(path)
    text = path.read_text()
    path.write_text(text[: text.rindex("E 4 ")])


def two_in_one(path: Path) -> None:
    write(path)
    path.write_bytes(2 * path.read_bytes())


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("a.hepmc", rubbish, "expected a listing of HepMC events; found a file that starts with b'PK"),
        ("a.hepmc.gz", rubbish_inside, "expected a listing of HepMC events; found a file that starts with b'rubb"),
        ("a.hepmc.gz", cut_archive, "not a HepMC file, or a damaged one|not one whole listing"),
        ("a.hepmc.bz2", cut_archive, "not a HepMC file, or a damaged one|not one whole listing"),
        ("a.hepmc", cut_event, "not a HepMC file, or a damaged one|not one whole listing"),
        ("a.hepmc", cut_listing, "not one whole listing of events: it is cut"),
        ("a.hepmc", two_in_one, "several files stand in one"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, name: str, damage: Callable[[Path], None], message: str) -> None:
    damage(tmp_path / name)
    with pytest.raises(InputError, match=message):
        Theory.from_hepmc(tmp_path / name, definition=LEADING)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for read in (Theory.from_hepmc, Theory.from_lhe):
        with pytest.raises(InputError, match=r"absent: no such file"):
            read(tmp_path / "absent", definition=LEADING)


LHE_EVENT = """<event>
 5 1 {weight:.8e} 9.1e+01 7.5e-03 1.1e-01
 2 -1 0 0 501 0 0.0 0.0 100.0 100.0 0.0 0.0 9.0
 -2 -1 0 0 0 501 0.0 0.0 -100.0 100.0 0.0 0.0 9.0
 23 2 1 2 0 0 0.0 0.0 0.0 200.0 91.0 0.0 9.0
 13 1 3 3 0 0 {pt:.8e} 0.0 0.0 {pt:.8e} 0.0 0.0 1.0
 -13 1 3 3 0 0 -5.0 0.0 0.0 5.0 0.0 0.0 -1.0
<rwgt>
<wgt id='1001'> {up:.8e} </wgt>
<wgt id='1002'> {down:.8e} </wgt>
</rwgt>
</event>
"""
LHE_HEAD = """<LesHouchesEvents version="3.0">
<header>
<initrwgt>
<weightgroup name="scale" combine="envelope">
<weight id="1001"> muR=2 </weight>
<weight id="1002"> muR=0.5 </weight>
</weightgroup>
</initrwgt>
</header>
<init>
2212 2212 6500.0 6500.0 0 0 303400 303400 -4 2
{first} 0.1 1.0 1
2.0 0.1 1.0 2
</init>
"""


def write_lhe(
    path: Path, *, first: float = 3.0, pts: Sequence[float] = PTS, end: str = "</LesHouchesEvents>\n"
) -> Path:
    events = [LHE_EVENT.format(weight=w[0], up=w[1], down=w[2], pt=pt) for w, pt in zip(WEIGHTS, pts, strict=False)]
    text = LHE_HEAD.format(first=first) + "".join(events) + end
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["events.lhe", "events.lhe.gz"])
@pytest.mark.parametrize("piece", [2, 1000])
def test_leptons_of_les_houches_events(tmp_path: Path, name: str, piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lhe, "PIECE", piece)
    scales = {"scales": Combination("envelope", ("100*",))}
    theory = Theory.from_lhe(write_lhe(tmp_path / name), definition=LEADING, families=scales)
    np.testing.assert_allclose(theory.events["pt"], [30, 50, 25, 70])
    np.testing.assert_allclose(theory.weights, np.array([2.0, 1.0, -0.5, 3.0]) * 5 / 6.5)
    np.testing.assert_allclose(theory.families["scales"].weights, np.array([w[1:] for w in WEIGHTS])[1:] * 5 / 6.5)


def test_a_definition_gives_of_partons_only_what_leptons_decide(tmp_path: Path) -> None:
    hadrons = FiducialDefinition("jets", 1, "Jets", ("pt",), leading)
    with pytest.raises(InputError, match="have seen no shower, and all that definition 'jets' computes needs hadrons"):
        Theory.from_lhe(write_lhe(tmp_path / "events.lhe"), definition=hadrons)
    pair = LHE_EVENT.replace("-5.0 0.0 0.0 5.0", "{pt} 88.0 0.0 {energy}").replace(
        "{pt:.8e} 0.0 0.0 {pt:.8e}", "{pt} 0 0 {pt}"
    )
    event = pair.format(weight=1, up=1, down=1, pt=130.0, energy=math.hypot(130, 88))
    (tmp_path / "z.lhe").write_text(LHE_HEAD.format(first=3.0) + event + "</LesHouchesEvents>\n")
    theory = Theory.from_lhe(tmp_path / "z.lhe", definition="zjets")
    assert list(theory.events) == ["pT_ll", "y_ll", "pT_l1", "pT_l2", "eta_l1", "eta_l2", "phi_l1", "phi_l2"]
    np.testing.assert_allclose(theory.events["pT_ll"], [math.hypot(260, 88)], rtol=1e-6)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"first": -9.0}, "the file states a cross section of -7 pb"),
        ({"pts": [1.0] * 5}, "none of its 5 events is in the fiducial region"),
        ({"pts": []}, "there are no events"),
        ({"end": ""}, "not a Les Houches file, or a damaged one"),
        ({"end": "<event> 1 2"}, "not a Les Houches file, or a damaged one"),
    ],
    ids=["cross section", "overlap", "empty", "cut", "cut event"],
)
def test_les_houches_files_that_are_no_theory_are_refused(
    tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        Theory.from_lhe(write_lhe(tmp_path / "bad.lhe", **changed), definition=LEADING)


def test_what_is_no_les_houches_file_is_refused(tmp_path: Path) -> None:
    for content in (b"", b"<xml/>", b"\x1f\x8b rubbish", b"<LesHouchesEvents></LesHouchesEvents>"):
        (tmp_path / "bad.lhe").write_bytes(content)
        with pytest.raises(InputError, match="not a Les Houches file, or a damaged one"):
            Theory.from_lhe(tmp_path / "bad.lhe", definition=LEADING)
