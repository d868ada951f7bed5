"""Particles of many events, and what the numbers of particles mean."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from particle import Particle, pdgid

from omnifold_pub.definitions.particles import Particles, is_hadron, three_charge
from omnifold_pub.errors import InputError

KNOWN = [int(particle.pdgid) for particle in Particle.findall()]


def test_charges_are_those_of_the_particle_data_group() -> None:
    """Of every particle that a detector or a generator's final state can hold; exotic multiplets are not read."""
    ordinary = [n for n in KNOWN if abs(n) < 1_000_000 and (abs(n) < 100 or pdgid.is_hadron(n))]
    assert len(ordinary) > 500
    wrong = [n for n in ordinary if three_charge(n) != pdgid.three_charge(n)]
    assert [n for n in wrong if abs(n) > 50 or abs(n) < 25] == []


def test_hadrons_are_those_of_the_particle_data_group() -> None:
    wrong = [n for n in KNOWN if abs(n) < 1_000_000 and is_hadron(n) != pdgid.is_hadron(n)]
    assert [n for n in wrong if abs(n) not in (110, 990)] == []  # reggeon and pomeron


@pytest.mark.parametrize(("number", "charge"), [(1000010020, 3), (1000020040, 6), (-1000010020, -3)])
def test_nuclei_have_the_charge_of_their_protons(number: int, charge: int) -> None:
    assert three_charge(number) == charge


ROWS = st.lists(
    st.lists(
        st.tuples(st.sampled_from([13, -13, 22, 211, 130]), *[st.floats(-50, 50)] * 3, st.floats(50, 99), st.booleans())
    ),
    max_size=6,
)


@given(ROWS)
def test_events_stay_apart(rows: list[list[tuple[Any, ...]]]) -> None:
    particles = Particles.of_events(rows)
    assert len(particles) == len(rows)
    assert particles.event.tolist() == [number for number, event in enumerate(rows) for _ in event]
    charged = particles.select(particles.charged)
    for number, event in enumerate(rows):
        expected = [row[1] for row in event if row[0] in (13, -13, 211)]
        assert charged.px[charged.offsets[number] : charged.offsets[number + 1]].tolist() == expected


def test_directions_are_those_of_vector() -> None:
    import vector

    rng = np.random.default_rng(3)
    px, py, pz = rng.normal(0, 10, (3, 50))
    energy = np.sqrt(px**2 + py**2 + pz**2 + 0.1)
    particles = Particles.from_columns([0, 50], np.full(50, 211), px, py, pz, energy, np.ones(50))
    other = vector.array({"px": px, "py": py, "pz": pz, "E": energy})
    for what in ("pt", "eta", "phi"):
        np.testing.assert_allclose(getattr(particles, what), getattr(other, what), rtol=1e-12)


def test_along_the_beam_is_infinitely_far_forward() -> None:
    particles = Particles.of_events([[(2212, 0.0, 0.0, sign * 6500.0, 6500.0, True) for sign in (1, -1)]])
    assert particles.eta.tolist() == [np.inf, -np.inf]


@pytest.mark.parametrize(
    ("offsets", "energy", "message"),
    [
        ([0, 3], [1.0, 1.0], "rising offsets that end there"),
        ([1, 2], [1.0, 1.0], "rising offsets"),
        ([0, 2, 1, 2], [1.0, 1.0], "rising offsets"),
        ([0, 2], [1.0, 1.0, 1.0], "arrays of one length"),
        ([0, 1, 2], [1.0, np.nan], "1 momenta are not finite, the first in event 1"),
        ([0, 1, 1, 2], [np.inf, 1.0], "the first in event 0"),
    ],
)
def test_what_does_not_fit_is_refused(offsets: list[int], energy: list[float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Particles.from_columns(offsets, [13, 13], [1, 1], [1, 1], [1, 1], energy, [True, True])
