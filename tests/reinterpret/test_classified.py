"""The classifier test of a release and a theory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from omnifold_pub import Release, Theory
from omnifold_pub.errors import InputError, MissingExtraError, StatisticsError
from omnifold_pub.reinterpret.classified import classify, null_aucs
from omnifold_pub.statistics.components import Component


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    """Train in one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def theory(release: Release, **changed: NDArray[Any]) -> Theory:
    rng = np.random.default_rng(3)
    events = 1500
    columns = {"x": rng.normal(size=events), "z": rng.random(events)} | changed
    weights = np.full(events, release.nominal_weights.sum(dtype=np.float64) / events)
    return Theory.from_arrays(columns, weights, unit="pb", name="truth")


def test_another_law_is_told_apart_and_the_same_is_not(release: Release) -> None:
    options: dict[str, Any] = {"observables": ["x", "z"], "leave_out": ["generator"], "trainings": 19}
    (same,) = classify(release, theory(release), **options).tests
    assert same.p_value > 0.05
    wrong = theory(release, x=np.random.default_rng(5).normal(1.5, 1, 1500))
    found = classify(release, wrong, **options)
    assert found["classifier"].p_value == pytest.approx(0.05)
    assert found["classifier"].distance > 0.75
    assert found.components[-1] == "theory statistics"
    again = classify(release, wrong, **options)
    assert again.to_dict() == found.to_dict()


def test_what_fluctuates_together_is_learned() -> None:
    """A component that moves all events along is in both halves of them: networks find it, and the null must know."""
    rng = np.random.default_rng(1)
    points, nominal = rng.normal(size=(4000, 2)), np.ones(4000)
    tilt = (1 + 0.4 * np.tanh(points[:, :1])) * nominal[:, np.newaxis]
    alone, moved = (
        null_aucs(points, nominal, parts, theory_share=1 / 4000, central="single", trainings=6)
        for parts in ([], [(Component("tilt", "variation", members=1), tilt)])
    )
    assert abs(alone.mean() - 0.5) < 0.02
    assert moved.max() > 0.55


def test_the_noise_of_events_is_that_of_two_samples() -> None:
    """Without anything to learn, the AUC scatters as that of independent samples: sqrt((1/n + 1/m) / 12)."""
    rng = np.random.default_rng(2)
    points, nominal = rng.normal(size=(5000, 1)), np.ones(5000)
    sampling = [(Component("events", "event_sampling"), nominal[:, np.newaxis])]
    found = null_aucs(points, nominal, sampling, theory_share=1 / 2500, central="single", trainings=60)
    expected = np.sqrt((1 / 5000 + 1 / 2500) / 0.4 / 12)
    trained = found[found != 0.5]  # a network that learned nothing says one thing of all
    assert len(trained) > 20
    assert np.sqrt(np.mean((trained - 0.5) ** 2)) == pytest.approx(expected, rel=0.45)


def test_what_cannot_be_asked(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    femtobarn = Theory.from_arrays({"x": np.ones(5)}, np.ones(5), unit="fb", name="other")
    with pytest.raises(InputError, match="other: weights in fb"):
        classify(release, femtobarn, observables=["x"])
    with pytest.raises(StatisticsError, match="at least one training"):
        classify(release, theory(release), observables=["x"], trainings=0)
    monkeypatch.setattr("omnifold_pub.extras.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match="needs no network"):
        classify(release, theory(release), observables=["x"])
