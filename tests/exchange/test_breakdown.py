"""Sources of uncertainty against the covariance that they are taken from."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnifold_pub import JointMeasurement
from omnifold_pub.exchange.breakdown import ErrorSource, error_sources
from omnifold_pub.statistics.components import Component, ComponentResult
from tests.exchange.conftest import make_measurement

CORRELATIONS = {
    "ensemble": "estimated",
    "data_bootstrap": "estimated",
    "mc_bootstrap": "estimated",
    "shift": "full",
    "up_down": "full",
    "model": "none",
    "generator": "full",
    "pdf": "full",
    "luminosity": "full",
    "event_sampling": "estimated",
}


def of_component(measured: JointMeasurement, name: str) -> list[ErrorSource]:
    return [source for source in error_sources(measured) if source.component.name == name]


@pytest.mark.parametrize("name", list(CORRELATIONS))
def test_sources_make_up_their_component(pair: JointMeasurement, name: str) -> None:
    sources, covariance = of_component(pair, name), pair.covariance(name)
    assert {source.correlation for source in sources} == {CORRELATIONS[name]}
    squares = sum(source.shift**2 for source in sources)
    np.testing.assert_allclose(squares, np.diag(covariance), rtol=1e-12)
    if CORRELATIONS[name] == "full":
        whole = sum(np.outer(source.shift, source.shift) for source in sources)
        np.testing.assert_allclose(whole, covariance, rtol=1e-9, atol=1e-15)


def test_they_keep_names_order_and_signs(pair: JointMeasurement) -> None:
    sources = error_sources(pair)
    names = [source.name for source in sources]
    assert names == [
        n for name in CORRELATIONS for n in ([f"pdf[{i}]" for i in (1, 2, 3)] if name == "pdf" else [name])
    ]
    by_name = {source.name: source for source in sources}
    assert (by_name["shift"].shift == pair.members("shift")[0] - pair.nominal).all()
    up, down = pair.members("up_down")
    assert (by_name["up_down"].shift == (up - down) / 2).all()
    assert [by_name[name].label("_") for name in ("model", "shift", "ensemble")] == [
        "uncor_model",
        "sys_shift",
        "stat_ensemble",
    ]


@pytest.mark.parametrize("name", ["shift", "up_down", "generator", "pdf", "luminosity", "model"])
def test_without_members_they_are_taken_from_the_covariance(pair: JointMeasurement, name: str) -> None:
    bare = JointMeasurement.from_dict(pair.to_dict(members=False))
    sources, covariance = of_component(bare, name), pair.covariance(name)
    whole = sum(np.outer(source.shift, source.shift) for source in sources)
    scale = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    expected = np.diag(np.diag(covariance)) if name == "model" else covariance
    found = np.diag(np.diag(whole)) if name == "model" else whole
    assert np.abs(found - expected).max() <= 1e-9 * scale.max()
    assert len(sources) <= 3
    if len(sources) == 1 and name != "model":
        (original,) = of_component(pair, name)
        sign = np.sign(original.shift @ sources[0].shift)
        np.testing.assert_allclose(sign * sources[0].shift, original.shift, rtol=1e-6, atol=1e-12)


@given(bins=st.integers(1, 6), rank=st.integers(0, 6), seed=st.integers(0, 1000))
def test_any_covariance_is_the_sum_of_its_directions(bins: int, rank: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(rank, bins)) * 10.0 ** rng.integers(-6, 6, bins)
    covariance = rows.T @ rows
    measured = make_measurement(0, edges=tuple(map(float, range(bins + 1))))
    component = Component("pdf", "hessian", members=rank)
    result = ComponentResult(component, np.full((rank, bins), np.nan), covariance)
    object.__setattr__(measured, "results", (result,))
    sources = error_sources(measured)
    whole = sum(np.outer(source.shift, source.shift) for source in sources)
    scale = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    assert (np.abs(whole - covariance) <= 1e-9 * scale).all()
    assert len(sources) == max(1, min(rank, bins))
