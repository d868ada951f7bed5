"""The reference release at the desk, with a theory and one that fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from omnifold_pub import Theory, open_release
from omnifold_pub.explorer.desk import Desk
from omnifold_pub.explorer.theories import Offered, Recipe

TABLE = ("--tree", "events", "--weight", "weight", "--unit", "pb", "--sentinel", "-99")


@pytest.fixture(scope="session")
def reference(project: Path) -> Path:
    """The reference release."""
    return project / "release/zjets/zjets.h5"


@pytest.fixture(scope="session")
def theory_file(zjets: Path) -> Path:
    """Events of another tune."""
    return zjets / "theory.root"


@pytest.fixture(scope="session")
def desk(reference: Path, theory_file: Path) -> Iterator[Desk]:
    """The reference release in memory, beside a theory of all columns and one of a single column."""
    options: dict[str, object] = {"tree": "events", "weight": "weight", "unit": "pb", "sentinel": -99}
    recipe = Recipe("from_root", str(theory_file), options, arguments=(str(theory_file), *TABLE))
    with open_release(reference) as release:
        release.load()
        theory = Theory.from_root(
            theory_file, tree="events", weight="weight", unit="pb", sentinel=-99, columns=list(release.events)
        )
        narrow = Theory.from_arrays({"pT_ll": theory.events["pT_ll"]}, theory.weights, unit="pb", name="narrow")
        yield Desk(release, [Offered(theory, recipe), Offered(narrow)])
