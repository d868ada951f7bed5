"""What changed between two releases, against formulas written out and pseudo-experiments."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from omnifold_pub import Estimate, Release
from omnifold_pub.errors import InputError, ObservableError
from omnifold_pub.estimators import Histogram, Moments
from omnifold_pub.reinterpret.drift import drift, holm
from omnifold_pub.statistics import inference
from omnifold_pub.statistics.components import Component, ComponentResult, Kind, component_covariance

X = [-2.0, -0.7, 0.1, 0.8, 2.5]
Y = [0.0, 15.0, 40.0, 120.0]
Array = NDArray[np.float64]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20_261_124)


def estimate(nominal: Array, *results: ComponentResult, normalise: bool = False) -> Estimate:
    """A measurement of one spectrum, made by hand."""
    bins = len(nominal)
    spectrum = Histogram("x", np.arange(bins + 1.0), normalise=normalise)
    return Estimate(
        nominal=nominal,
        results=results,
        statistics=(spectrum,),
        sizes=(bins,),
        units=("pb",),
        weight_unit="pb",
        effective_events=np.full(bins, 1e4),
        central="mean",
    )


def component(name: str, kind: Kind, members: Array, nominal: Array, **more: Any) -> ComponentResult:
    declared = Component(name, kind, members=len(members), **more)
    return ComponentResult(declared, members, component_covariance(declared, members, nominal, central="mean"))


def analytic(covariance: Array) -> ComponentResult:
    return ComponentResult(Component("exact", "event_sampling"), np.empty((0, len(covariance))), covariance)


def test_chi2_has_the_covariance_of_both_and_a_known_distribution() -> None:
    first, second = np.array([[2.0, 0.5], [0.5, 1.0]]), np.array([[1.0, -0.2], [-0.2, 3.0]])
    old, new = np.array([10.0, 20.0]), np.array([13.0, 19.0])
    found = drift(estimate(old, analytic(first)), estimate(new, analytic(second)))
    d = new - old
    expected = d @ np.linalg.inv(first + second) @ d
    assert found.test.chi2 == pytest.approx(expected)
    assert found.test.p_value == pytest.approx(stats.chi2.sf(expected, 2))
    np.testing.assert_allclose(found.values(), d)
    np.testing.assert_allclose(found.covariance(), first + second)
    np.testing.assert_allclose(found.pulls(), d / np.sqrt(np.diag(first + second)))


def test_one_bin_of_two_variations_is_a_normal_test() -> None:
    old = estimate(np.array([5.0]), component("a", "variation", np.array([[5.3]]), np.array([5.0])))
    new = estimate(np.array([6.0]), component("b", "variation", np.array([[6.4]]), np.array([6.0])))
    assert drift(old, new).test.p_value == pytest.approx(2 * stats.norm.sf(1.0 / 0.5))


def test_replicas_of_one_side_alone_make_hotellings_test(rng: np.random.Generator) -> None:
    members = rng.normal(0, 1, (12, 3))
    old = estimate(np.zeros(3), component("replicas", "bootstrap", members, np.zeros(3)))
    new = estimate(np.array([1.0, 0.0, -1.0]), analytic(np.zeros((3, 3))))
    found = drift(old, new)
    t2 = new.nominal @ np.linalg.inv(np.cov(members.T)) @ new.nominal
    assert found.test.method == "hotelling"
    assert found.test.p_value == pytest.approx(stats.f.sf(t2 * 9 / (3 * 11), 3, 9))


def test_a_shared_cause_cancels_member_by_member(rng: np.random.Generator) -> None:
    base, common = np.array([10.0, 12.0]), np.array([3.0, -2.0])
    old = estimate(base, component("gauge", "variation", (base + common)[np.newaxis], base), analytic(np.eye(2)))
    later = base + np.array([1.0, 0.5])
    moved = (later + 1.1 * common)[np.newaxis]
    new = estimate(later, component("gauge", "variation", moved, later), analytic(np.eye(2)))
    apart, together = drift(old, new), drift(old, new, shared=["gauge"])
    np.testing.assert_allclose(apart.covariance(), 2 * np.eye(2) + (1 + 1.1**2) * np.outer(common, common))
    np.testing.assert_allclose(together.covariance(), 2 * np.eye(2) + 0.1**2 * np.outer(common, common))
    assert apart.possibly_shared == ("gauge",)
    assert together.possibly_shared == ()
    assert [r.component.name for r in together.results] == ["gauge", "old: exact", "new: exact"]


def test_shared_replicas_are_paired(rng: np.random.Generator) -> None:
    common = rng.normal(0, 1, (40, 2))
    first, second = common + rng.normal(0, 0.1, (40, 2)), common + rng.normal(0, 0.1, (40, 2))
    old = estimate(np.zeros(2), component("mc", "bootstrap", first, np.zeros(2), seed=4))
    new = estimate(np.zeros(2), component("mc", "bootstrap", second, np.zeros(2), seed=4))
    np.testing.assert_allclose(drift(old, new, shared="mc").covariance(), np.cov((second - first).T))
    assert drift(old, new).covariance()[0, 0] > 10 * drift(old, new, shared="mc").covariance()[0, 0]


def test_a_release_has_not_drifted_from_itself(release: Release) -> None:
    measured = release.measure({"x": X, "y": Y})
    found = drift(measured, measured)
    assert found.test.chi2 == 0
    assert found.test.p_value == 1
    np.testing.assert_allclose(found.covariance(), 2 * measured.covariance())
    assert "ensemble" not in found.possibly_shared
    assert {"shift", "up_down", "model", "data_bootstrap", "luminosity"} <= set(found.possibly_shared)
    assert "mc_bootstrap" not in found.possibly_shared  # nobody wrote its seed down


def test_what_is_shared_of_a_release_with_itself_is_gone(release: Release) -> None:
    measured = release.measure({"x": X, "y": Y})
    found = drift(measured, measured, shared=["shift", "luminosity"], leave_out=["pdf"])
    expected = sum(2 * measured.covariance(n) for n in found_names(measured) if n not in ("shift", "luminosity", "pdf"))
    np.testing.assert_allclose(found.covariance(), expected, atol=1e-18)


def found_names(measured: Estimate) -> list[str]:
    return [one.name for one in measured.components]


def test_shapes_lose_one_bin_of_each_observable(release: Release) -> None:
    spectra = {"x": Histogram("x", X, normalise=True), "y": Histogram("y", Y, normalise=True)}
    measured = release.measure(spectra)
    found = drift(measured, measured)
    assert found.test.dof == (4 - 1) + (3 - 1)
    assert [one.test.dof for one in found.observables] == [3, 2]


def test_any_statistic_can_drift(release: Release) -> None:
    measured = release.measure({"mean": Moments("x"), "x": Histogram("x", X)})
    assert drift(measured, measured).observables[0].observable == "mean"


def test_the_document_is_json(release: Release) -> None:
    measured = release.measure({"x": X, "y": Y})
    document = json.loads(json.dumps(drift(measured, measured, shared=["shift"]).to_dict(), allow_nan=False))
    assert document["shared"] == ["shift"]
    assert [len(one["bins"]) for one in document["observables"]] == [4, 3]
    assert document["observables"][0]["bins"][0]["change"] == 0


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (Histogram("x", [-2.0, -0.7, 0.1, 2.5]), "numbers of bins"),
        (Histogram("x", [-2.0, -0.7, 0.2, 0.8, 2.5]), "defined otherwise"),
        (Histogram("x", X, where="z < 0.5"), "defined otherwise"),
        (Histogram("2 * x", X, name="x"), "defined otherwise"),
        (Histogram("x", X, name="other"), "names"),
        (Histogram("x", X, normalise=True), "units"),
    ],
)
def test_different_things_are_refused(release: Release, other: Histogram, expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        drift(release.measure(Histogram("x", X)), release.measure(other))


@pytest.mark.parametrize(
    ("names", "error", "expected"),
    [
        (["mc_bootstrap"], InputError, "seeds"),
        (["event_sampling"], InputError, "no members"),
        (["nothing"], ObservableError, "no component"),
        (["shift", "pdf"], InputError, "both shared and left out"),
    ],
)
def test_what_cannot_be_shared(release: Release, names: list[str], error: type[Exception], expected: str) -> None:
    measured = release.measure("x", X)
    with pytest.raises(error, match=expected):
        drift(measured, measured, shared=names, leave_out=["pdf"])


def test_members_of_other_numbers_cannot_be_shared(rng: np.random.Generator) -> None:
    zero = np.zeros(2)
    old = estimate(zero, component("mc", "bootstrap", rng.normal(0, 1, (9, 2)), zero))
    new = estimate(zero, component("mc", "bootstrap", rng.normal(0, 1, (8, 2)), zero))
    with pytest.raises(InputError, match="9 members in the old release and 8"):
        drift(old, new, shared=["mc"])


def test_a_normalised_spectrum_of_one_bin_is_refused() -> None:
    one = estimate(np.ones(1), analytic(np.eye(1)), normalise=True)
    with pytest.raises(InputError, match="1 by definition"):
        drift(one, one)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holms_p_values_by_their_definition(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    order = sorted(p_values)
    for p, found in zip(p_values, adjusted, strict=True):
        worst = max(min(1, (len(order) - j) * order[j]) for j in range(len(order)) if order[j] <= p)
        assert found == pytest.approx(worst)


def test_without_a_change_the_p_value_is_uniform(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two periods of the same process, each with its own replicas: few, and of unequal precision."""
    monkeypatch.setattr(inference, "_TOYS", 2_000)  # known to 0.005 at 0.05: enough here
    p_values = [_no_change(rng, bins=3, replicas=(12, 20)) for _ in range(300)]
    assert stats.kstest(p_values, "uniform").pvalue > 0.01
    assert 0.005 <= np.mean(np.array(p_values) < 0.05) <= 0.1


def _no_change(rng: np.random.Generator, *, bins: int, replicas: tuple[int, int], offset: float = 0.0) -> float:
    """Return p of two measurements of one truth: noise that replicas know, and a gauge error that both share."""
    widths = (np.array([1.0, 2.0, 0.5])[:bins], np.array([0.7, 1.0, 1.5])[:bins])
    truth = np.full(bins, 30.0)
    gauge, bend = rng.normal(), np.linspace(1, -1, bins)
    sides = []
    for number, (width, count) in enumerate(zip(widths, replicas, strict=True)):
        response = (5 + number) * bend  # the newer line is more sensitive to it
        nominal = truth + rng.normal(0, 1, bins) * width + gauge * response + number * offset
        members = nominal + rng.normal(0, 1, (count, bins)) * width
        known = component("gauge", "variation", (nominal + response)[np.newaxis], nominal)
        sides.append(estimate(nominal, component("replicas", "bootstrap", members, nominal, seed=number), known))
    return drift(*sides, shared=["gauge"]).test.p_value


def test_a_change_is_seen(rng: np.random.Generator) -> None:
    assert np.median([_no_change(rng, bins=3, replicas=(25, 25), offset=5.0) for _ in range(9)]) < 0.02
