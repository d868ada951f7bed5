"""The study of rejection rates: its arithmetic by default, its statements over real unfoldings if asked for."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from omnifold_pub import Release, Theory, open_release
from omnifold_pub.closure import prior_theory

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def study() -> ModuleType:
    spec = importlib.util.spec_from_file_location("study_rejection", ROOT / "scripts" / "study_rejection.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["study_rejection"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def real() -> Iterator[Release]:
    with open_release(ROOT / "release" / "zjets" / "zjets.h5") as release:
        yield release


def truth(release: Release, name: str = "the truth", file: str = "data_truth.root") -> Theory:
    path = ROOT / "tests" / "data" / "zjets" / file
    columns = list(release.events)
    return Theory.from_root(path, tree="events", weight="weight", unit="pb", columns=columns, sentinel=-99, name=name)


def rates(printed: str, row: str) -> list[float]:
    """Return the numbers of a row of a printed table, errors aside."""
    (line,) = [line for line in printed.splitlines() if line.startswith(f"| {row} |")]
    return [float(cell.split("+-")[0]) for cell in line.split("|")[2:-1]]


def test_members_left_out_have_the_covariance_of_members(study: ModuleType) -> None:
    members = np.random.default_rng(1).normal(size=(9, 4))
    shifts = np.array([study.left_out(members, number)[0] for number in range(9)])
    np.testing.assert_allclose(shifts.T @ shifts / 9, np.cov(members.T), rtol=1e-9)
    _, others = study.left_out(members, 3)
    np.testing.assert_array_equal(others, np.delete(members, 3, axis=0))


def test_rates_have_the_error_of_independent_groups(study: ModuleType) -> None:
    p_values = [0.01, 0.02, 0.5, 0.6, 0.7, 0.8, 0.9, 0.04]
    assert study.rate(p_values, [1, 1, 2, 2, 3, 3, 4, 4]) == "37.5 +- 23.9"
    assert study.rate(p_values).startswith("37.5 +- ")


def test_each_part_prints_a_table(study: ModuleType, real: Release, capsys: pytest.CaptureFixture[str]) -> None:
    theories = {"the truth": truth(real), "the MC prior": prior_theory(real)}
    study.study_bins(real, theories, 3, 1)
    study.study_fit(real, theories["the truth"], 3, 1)
    study.study_toy(2, 1)
    printed = capsys.readouterr().out
    assert len(rates(printed, "tau1_trackj1")) == 3
    assert len(rates(printed, "energy")) == 2
    assert printed.count("| pT_ll + m_trackj1 |") == 3


@pytest.mark.slow
def test_true_theories_are_rejected_as_often_as_they_should_be(
    study: ModuleType, real: Release, capsys: pytest.CaptureFixture[str]
) -> None:
    theories = {"the truth": truth(real), "the MC prior": prior_theory(real)}
    theories["theory.root"] = truth(real, "theory.root", "theory.root")
    study.study_bins(real, theories, 200, 1)
    printed = capsys.readouterr().out
    found = {name: rates(printed, name)[1:] for name in [*study.BINS, "pT_ll + m_trackj1"]}
    assert np.mean([rate for rate, _, _ in found.values()]) == pytest.approx(5, abs=3)
    assert min(prior for _, prior, _ in found.values()) > 70
    powers = {name: power for name, (_, _, power) in found.items()}
    assert 20 < powers.pop("pT_ll") < 70  # the tunes differ in jets, hardly in the recoil
    assert min(powers.values()) > 90


@pytest.mark.slow
def test_a_coupling_is_found_with_honest_errors(
    study: ModuleType, real: Release, capsys: pytest.CaptureFixture[str]
) -> None:
    study.study_fit(real, truth(real), 100, 1)
    rows = [line.split("|")[2:6] for line in capsys.readouterr().out.splitlines()[2:]]
    assert [float(row[0]) for row in rows] == [0.0, 0.2]
    for row in rows:
        mean, width = (float(cell.split("+-")[0]) for cell in row[1:3])
        assert abs(mean) < 0.3
        # Three times 7 % of a hundred toys and 16 % of twenty replicas, which all toys have in common.
        assert width == pytest.approx(1, abs=3 * np.hypot(0.07, 0.16))
