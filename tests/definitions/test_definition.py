"""Fiducial definitions: named by metadata, offered by packages."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from omnifold_pub.definitions import definition as module
from omnifold_pub.definitions.definition import (
    FiducialColumns,
    FiducialDefinition,
    definition_of,
    find_definition,
    known_definitions,
)
from omnifold_pub.definitions.particles import Particles
from omnifold_pub.definitions.zjets import DEFINITION, OBSERVABLES, zjets
from omnifold_pub.errors import InputError

TWO_EVENTS = Particles.of_events([[(11, 5.0, 0.0, 0.0, 5.0, True)], []])


def leading(particles: Particles) -> FiducialColumns:
    pt = np.array(
        [particles.pt[a:b].max(initial=0) for a, b in zip(particles.offsets, particles.offsets[1:], strict=False)]
    )
    return FiducialColumns(pt > 1, {"pt": pt})


LEADING = FiducialDefinition("leading", 3, "pT of the leading particle above 1 GeV", ("pt",), leading)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Entry points of a package that offers definitions."""
    points = {
        "leading": EntryPoint("leading", f"{__name__}:LEADING", module.GROUP),
        "broken": EntryPoint("broken", f"{__name__}:TWO_EVENTS", module.GROUP),
    }
    monkeypatch.setattr(module, "_entries", lambda: points)
    monkeypatch.setattr(EntryPoint, "load", lambda point: {"LEADING": LEADING, "TWO_EVENTS": TWO_EVENTS}[point.attr])


def test_the_definition_is_one_object_for_measurement_and_theory() -> None:
    assert find_definition("zjets") is DEFINITION
    assert definition_of({"fiducial": {"definition": {"name": "zjets", "version": 1}}}) is DEFINITION
    assert DEFINITION.compute is zjets
    assert DEFINITION.columns == OBSERVABLES
    assert len(OBSERVABLES) == 24


@pytest.mark.usefixtures("installed")
def test_other_packages_offer_theirs() -> None:
    assert known_definitions() == ("zjets", "leading", "broken")
    found = find_definition("leading", version=3)
    assert found is LEADING
    assert found(TWO_EVENTS).passes.tolist() == [True, False]
    with pytest.raises(InputError, match=r"expected version 2; found 3 installed"):
        find_definition("leading", version=2)
    with pytest.raises(InputError, match="'broken': expected a FiducialDefinition"):
        find_definition("broken")


def test_an_installed_package_registers_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As pip leaves it: a module, and a folder that says what it offers."""
    (tmp_path / "mine.py").write_text(
        "import numpy as np\n"
        "from omnifold_pub.definitions import FiducialColumns, FiducialDefinition\n"
        "def count(particles):\n"
        "    n = np.diff(particles.offsets).astype(float)\n"
        "    return FiducialColumns(n > 0, {'n': n})\n"
        "COUNT = FiducialDefinition('count', 2, 'Any particle', ('n',), count)\n"
    )
    about = tmp_path / "mine-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[omnifold_pub.definitions]\ncount = mine:COUNT\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert "count" in known_definitions()
    found = definition_of({"fiducial": {"definition": {"name": "count", "version": 2}}})
    assert found(TWO_EVENTS).columns["n"].tolist() == [1, 0]


@pytest.mark.parametrize("name", ["zjet", "os:system", "omnifold_pub.definitions.zjets", ""])
def test_a_file_can_name_only_what_is_installed(name: str) -> None:
    with pytest.raises(InputError, match="no fiducial definition"):
        find_definition(name)


def test_metadata_that_name_none_say_so() -> None:
    with pytest.raises(InputError, match=r"name no fiducial definition \(fiducial.definition\); choose one .*: zjets"):
        definition_of({"fiducial": {"description": "x", "selection": []}})


@pytest.mark.parametrize(
    ("passes", "columns"),
    [
        ([True], {"pt": [1.0, 2.0]}),
        ([True, True], {"pt": [1.0]}),
        ([True, True], {}),
        ([True, True], {"pt": [1.0, 1.0], "eta": [1.0, 1.0]}),
    ],
    ids=["passes", "column", "missing", "unknown"],
)
def test_a_function_that_returns_something_else_is_refused(passes: Any, columns: Any) -> None:
    found = {name: np.array(column) for name, column in columns.items()}
    bad = FiducialDefinition("bad", 1, "x", ("pt",), lambda _: FiducialColumns(np.array(passes), found))
    with pytest.raises(InputError, match="definition 'bad': expected its 1 columns and passes of 2 events"):
        bad(TWO_EVENTS)
