"""Tests without bins: of a release, and how often they reject true theories."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from omnifold_pub import Release, Theory
from omnifold_pub.accumulation.evaluation import EVENT_SAMPLING_REPLICAS
from omnifold_pub.errors import InputError, ObservableError, StatisticsError
from omnifold_pub.reinterpret.unbinned import compare_unbinned, theory_modes
from omnifold_pub.reinterpret.weight_families import Combination, Family

NAMES = ("sliced Wasserstein", "energy", "discriminant")


def theory(release: Release, seed: int = 3, events: int = 600, **changed: NDArray[Any]) -> Theory:
    """Return events of the law of the release's columns, made anew."""
    rng = np.random.default_rng(seed)
    y = rng.exponential(30, events)
    y[rng.random(events) < 0.2] = np.nan
    columns = {"x": rng.normal(size=events), "y": y, "n": rng.poisson(3, events), "z": rng.random(events)}
    columns |= changed
    weights = np.full(events, release.nominal_weights.sum(dtype=np.float64) / events)
    return Theory.from_arrays(columns, weights, unit="pb", name="truth")


def test_the_law_itself_is_not_rejected_and_others_are(release: Release) -> None:
    rng = np.random.default_rng(5)
    true = compare_unbinned(release, theory(release), leave_out=["generator"], projections=20)
    assert true.observables == ("x", "y", "n", "z")
    assert [test.name for test in true.tests] == list(NAMES)
    assert min(test.p_value for test in true.tests) > 0.02
    wrong = theory(release, x=rng.normal(0.7, 1, 600))
    found = compare_unbinned(release, wrong, leave_out=["generator"], projections=20)
    for name in NAMES:
        assert found[name].p_value < 0.01
        assert found[name].distance > found[name].expected + 3 * found[name].deviation


def test_what_cannot_be_compared_is_told(release: Release) -> None:
    with pytest.raises(ObservableError, match="expected at least one observable; found none"):
        compare_unbinned(release, theory(release), observables=[])
    with pytest.raises(StatisticsError, match="at least one draw of the null distribution; found 0"):
        compare_unbinned(release, theory(release), number=0)
    one = compare_unbinned(release, theory(release), observables="x", leave_out=["generator"], number=10)
    assert one.observables == ("x",)


def test_what_fluctuates_is_said_and_can_be_left_out(release: Release) -> None:
    def run(*leave_out: str) -> Any:
        return compare_unbinned(release, theory(release), observables=["x", "z"], leave_out=leave_out, number=500)

    whole, less = run("generator"), run("generator", "event_sampling", "data_bootstrap", "mc_bootstrap")
    assert whole.components[-1] == "theory statistics"
    assert "event_sampling" in whole.components
    assert "luminosity" not in whole.components  # it has no shape
    assert set(whole.components) - set(less.components) == {"event_sampling", "data_bootstrap", "mc_bootstrap"}
    for name in NAMES:
        assert less[name].distance == pytest.approx(whole[name].distance, rel=1e-12)
        assert less[name].expected < 0.9 * whole[name].expected
        assert less[name].p_value <= whole[name].p_value


def test_the_spread_of_the_theory_is_that_of_its_events(release: Release) -> None:
    few, many = (
        compare_unbinned(release, theory(release, events=n), observables=["x"], leave_out=["generator"], number=500)
        for n in (40, 4000)
    )
    assert few["energy"].expected > 3 * many["energy"].expected


def test_the_replicas_of_a_theory_are_few_too() -> None:
    """Their fluctuation is of unknown size, that of an eigenvector is not."""
    rng = np.random.default_rng(4)
    weights = np.ones((3, 6))
    families = {
        "pdf": Family(Combination("replicas"), tuple("abcdef"), weights),
        "tune": Family(Combination("hessian"), ("up",), weights[:, :1]),
    }
    varied = Theory.from_arrays({"x": np.arange(3.0)}, np.ones(3), unit="pb", families=families)
    means = rng.normal(size=(1 + EVENT_SAMPLING_REPLICAS + 7, 4))
    _, pdf, tune = theory_modes(varied, means)
    np.testing.assert_allclose(pdf.modes.T @ pdf.modes, np.cov(means[-7:-1].T))
    np.testing.assert_allclose(tune.modes, means[-1:] - means[:1])
    assert (pdf.name, tune.name) == ("theory pdf", "theory tune")
    assert 5 <= pdf.freedom < np.inf
    assert np.isinf(tune.freedom)


def test_expressions_and_functions(release: Release) -> None:
    wanted: dict[str, Any] = {"sum": "x + z", "square": lambda events: events["x"] ** 2}
    found = compare_unbinned(release, theory(release), observables=wanted, leave_out=["generator"], number=100)
    assert found.observables == ("sum", "square")
    with pytest.raises(ObservableError, match="infinite for"):
        compare_unbinned(release, theory(release), observables=["1 / (n - n)"], leave_out=["generator"], nan="drop")


def test_the_same_question_has_the_same_answer_and_is_json(release: Release) -> None:
    first, second = (
        compare_unbinned(release, theory(release), observables=["x", "y"], leave_out=["generator"], number=200)
        for _ in range(2)
    )
    assert first.to_dict() == second.to_dict()
    assert json.loads(json.dumps(first.to_dict(), allow_nan=False)) == first.to_dict()
    assert str(first).splitlines()[0] == "truth: distances to the release in 2 observables"
    with pytest.raises(StatisticsError, match="did you mean energy"):
        first["energie"]


def test_what_cannot_be_compared(release: Release) -> None:
    femtobarn = Theory.from_arrays({"x": np.ones(5)}, np.ones(5), unit="fb", name="other")
    with pytest.raises(InputError, match="other: weights in fb, the release is in pb"):
        compare_unbinned(release, femtobarn, observables=["x"])
    with pytest.raises(ObservableError, match="'generator' lives on events of its own"):
        compare_unbinned(release, theory(release), observables=["x"])
    with pytest.raises(ObservableError, match="no component 'lumi' to leave out"):
        compare_unbinned(release, theory(release), observables=["x"], leave_out=["lumi"])
    flat = theory(release, z=np.ones(600))
    with pytest.raises(StatisticsError, match="z: its values in the reference have the variance"):
        compare_unbinned(release, flat, observables=["z"], leave_out=["generator"])


@pytest.fixture(scope="module")
def study() -> ModuleType:
    import importlib.util

    path = Path(__file__).parents[2] / "scripts" / "study_rejection.py"
    spec = importlib.util.spec_from_file_location("study_rejection", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["study_rejection"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_a_true_theory_is_rejected_as_often_as_it_should_be(study: ModuleType) -> None:
    """Events, data, replicas and theory drawn anew: right with the event-sampling term, far too often without."""
    rng = np.random.default_rng(2)
    drawn = [study.toy_p_values(rng) for _ in range(200)]
    for name in NAMES:
        rate, naive = (
            np.mean([one[name, label] <= 0.05 for one in drawn]) for label in ("with event sampling", "replicas alone")
        )
        assert rate == pytest.approx(0.05, abs=3 * np.sqrt(0.05 * 0.95 / 200) + 0.01)
        assert naive > 0.15
