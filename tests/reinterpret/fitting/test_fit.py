"""Fits against generalised least squares, exact intervals, and pseudo-experiments."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import optimize, stats

from omnifold_pub import Measurement, Release
from omnifold_pub.errors import InputError, MissingExtraError, ObservableError, StatisticsError
from omnifold_pub.reinterpret.fitting import Fit, Function, Parameter, fit
from omnifold_pub.reinterpret.fitting.interval import STANDARD, chi2_rise

Array = NDArray[np.float64]
MakeMeasurement = Callable[..., Measurement]

BINS = 6
SLOPES = np.stack([np.linspace(1, 2, BINS), np.linspace(1, -1, BINS) ** 2], axis=1)
OFFSET = np.linspace(3, 5, BINS)
LINE = Function([Parameter("a", 1.0), Parameter("b")], lambda p: OFFSET + SLOPES @ p)
ONE = Function([Parameter("a", 1.0)], lambda p: OFFSET + SLOPES[:, 0] * p[0])


def correlated(rng: np.random.Generator, bins: int = BINS) -> Array:
    root = rng.normal(size=(bins, bins)) + 2 * np.eye(bins)
    covariance: Array = root @ root.T / 10
    return covariance


def least_squares(nominal: Array, covariance: Array, slopes: Array, offset: Array) -> tuple[Array, Array, float]:
    """Return the closed form: values, covariance, chi2 (Aitken, Proc. R. Soc. Edinburgh 55 (1936) 42)."""
    inverse = np.linalg.inv(covariance)
    spread = np.linalg.inv(slopes.T @ inverse @ slopes)
    values = spread @ slopes.T @ inverse @ (nominal - offset)
    residual = nominal - offset - slopes @ values
    return values, np.asarray(spread, dtype=np.float64), float(residual @ inverse @ residual)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1), scale=st.floats(1e-3, 1e3))
def test_a_linear_model_is_generalised_least_squares(
    make_measurement: MakeMeasurement, seed: int, scale: float
) -> None:
    rng = np.random.default_rng(seed)
    covariance = correlated(rng) * scale**2
    nominal = scale * (OFFSET + rng.normal(size=BINS))
    found = fit(
        Function(LINE.parameters, lambda p: scale * (OFFSET + SLOPES @ p)),
        make_measurement(nominal, {"all": covariance}),
    )
    values, spread, chi2 = least_squares(nominal, covariance, scale * SLOPES, scale * OFFSET)
    errors = np.sqrt(np.diag(spread))
    np.testing.assert_allclose((found.values - values) / errors, 0, atol=2e-3)
    np.testing.assert_allclose(found.errors, errors, rtol=1e-4)
    np.testing.assert_allclose(
        found.covariance / np.outer(errors, errors), spread / np.outer(errors, errors), atol=1e-4
    )
    np.testing.assert_allclose(found.upper - found.values, errors, rtol=5e-3)
    np.testing.assert_allclose(found.values - found.lower, errors, rtol=5e-3)
    assert found.goodness is not None
    assert found.goodness.chi2 == pytest.approx(chi2, rel=1e-4, abs=1e-6)
    assert found.goodness.dof == BINS - 2
    assert found.goodness.p_value == pytest.approx(stats.chi2.sf(chi2, BINS - 2), rel=1e-3)
    assert math.isinf(found.freedom)


@pytest.fixture
def toy(make_measurement: MakeMeasurement) -> Measurement:
    rng = np.random.default_rng(4)
    truth = OFFSET + SLOPES @ np.array([1.5, -0.5])
    replicas = rng.multivariate_normal(truth, correlated(rng) / 3, 30)
    parts = {"bootstrap": replicas, "sampling": np.diag(truth) / 20, "shift": truth[np.newaxis] * 1.05}
    return make_measurement(truth + rng.normal(size=BINS) / 4, parts)


def test_the_components_of_the_covariance_add_up(toy: Measurement) -> None:
    found = fit(LINE, toy)
    _, spread, _ = least_squares(toy.nominal, toy.covariance(), SLOPES, OFFSET)
    assert set(found.components) == {"bootstrap", "sampling", "shift"}
    np.testing.assert_allclose(sum(found.components.values()), spread, rtol=1e-6)
    gain = spread @ SLOPES.T @ np.linalg.inv(toy.covariance())
    np.testing.assert_allclose(found.components["shift"], gain @ toy.covariance("shift") @ gain.T, rtol=1e-5)
    ratio = found.covariance / spread
    assert ratio.min() == pytest.approx(ratio.max(), rel=1e-5)
    assert ratio.min() > 1  # replicas are few


def test_replicas_fitted_one_by_one_scatter_as_the_component_says(toy: Measurement) -> None:
    """For a linear model, exactly: each replica is fitted with the covariance of the whole."""
    found = fit(LINE, toy)
    each = [least_squares(member, toy.covariance(), SLOPES, OFFSET)[0] for member in toy.members("bootstrap")]
    np.testing.assert_allclose(np.cov(np.array(each).T), found.components["bootstrap"], rtol=1e-5)


def test_the_release_estimates_the_same_uncertainty(release: Release) -> None:
    """`Release.estimate` of a fit that knows nothing of ours: the fitted member by member, unbinned weights."""
    edges = np.array([-3.0, -1, -0.3, 0.3, 1, 3.0])
    measured = release.measure("x", edges, components=["data_bootstrap", "mc_bootstrap", "up_down", "luminosity"])

    def shape(centre: float, total: float) -> Array:
        law = total * np.diff(stats.norm.cdf(edges, centre))
        return np.asarray(law, dtype=np.float64)

    total = float(measured.nominal.sum())
    model = Function([Parameter("centre"), Parameter("total", total)], lambda p: shape(*p))
    found = fit(model, measured)
    inverse = np.linalg.inv(measured.covariance())

    def fitted(events: object, weights: Array) -> Array:
        contents = np.histogram(np.asarray(events["x"], dtype=float), edges, weights=weights)[0]  # type: ignore[index]

        def chi2(p: Array) -> float:
            residual = contents - shape(*p)
            return float(residual @ inverse @ residual)

        best: Array = optimize.minimize(
            chi2, [0, total], method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-9}
        ).x
        return best

    components = ["data_bootstrap", "mc_bootstrap", "up_down", "luminosity"]
    estimated = release.estimate(fitted, components=components)
    np.testing.assert_allclose(estimated.nominal, found.values, rtol=1e-3, atol=1e-3 * found.errors[0])
    for name in components:
        expected = np.sqrt(np.diag(found.components[name]))
        replicas = len(estimated.members(name))
        tolerance = 3 / np.sqrt(2 * (replicas - 1)) if replicas > 2 else 0.1
        np.testing.assert_allclose(estimated.uncertainties(name), expected, rtol=tolerance, atol=1e-3 * found.errors[0])


def test_a_fixed_parameter_stays_and_has_no_error(toy: Measurement) -> None:
    found = fit(LINE, toy, fixed={"b": -0.5})
    values, spread, chi2 = least_squares(toy.nominal, toy.covariance(), SLOPES[:, :1], OFFSET - 0.5 * SLOPES[:, 1])
    assert found["b"] == (-0.5, 0.0)
    assert (found.lower[1], found.upper[1]) == (-0.5, -0.5)
    assert found["a"][0] == pytest.approx(values[0], abs=1e-3 * spread[0, 0] ** 0.5)
    assert found.goodness is not None
    assert found.goodness.dof == BINS - 1
    assert found.goodness.chi2 == pytest.approx(chi2, rel=1e-4)


def test_the_interval_is_that_of_a_scan_of_chi2(make_measurement: MakeMeasurement) -> None:
    """Of a model that is not linear: chi2 minimised over the other parameter by another minimiser."""
    x = np.arange(1.0, 9.0)
    nominal = 20 * np.exp(-x / 3) + np.array([0.3, -0.2, 0.1, 0.2, -0.1, 0.0, 0.1, -0.1])
    variances = 0.02 * nominal
    model = Function([Parameter("height", 15), Parameter("length", 2, lower=0.1)], lambda p: p[0] * np.exp(-x / p[1]))
    found = fit(model, make_measurement(nominal, {"all": np.diag(variances)}), level=0.95)

    def profile(length: float) -> float:
        law = np.exp(-x / length)
        height = (law * nominal / variances).sum() / (law**2 / variances).sum()
        return float((((nominal - height * law) ** 2) / variances).sum())

    best = optimize.minimize_scalar(profile, bounds=(2, 4), options={"xatol": 1e-10}).x
    level = profile(best) + stats.chi2.ppf(0.95, 1)
    lower = optimize.brentq(lambda at: profile(at) - level, 2, best)
    upper = optimize.brentq(lambda at: profile(at) - level, best, 4.5)
    assert found.values[1] == pytest.approx(best, abs=1e-3)
    assert (found.lower[1], found.upper[1]) == pytest.approx((lower, upper), rel=2e-3)
    assert found.upper[1] - best > 1.02 * (best - found.lower[1])  # it is not symmetric


def test_an_interval_ends_at_a_limit(make_measurement: MakeMeasurement) -> None:
    model = Function([Parameter("a", 0.5, lower=0.0)], lambda p: p[0] * np.ones(3))
    found = fit(model, make_measurement(np.array([0.1, 0.0, 0.1]), {"all": np.eye(3)}))
    assert found.lower[0] == 0
    assert found.upper[0] == pytest.approx(np.mean([0.1, 0, 0.1]) + 1 / np.sqrt(3), rel=1e-3)


def test_the_lower_of_two_minima_is_found(make_measurement: MakeMeasurement) -> None:
    """A quadratic dependence has a mirror image; the search begins beside the worse one."""
    first, second = np.array([0.1, 0.4, 1.0, 1.5]), np.array([0.5, 1.0, 1.2, 1.5])
    model = Function([Parameter("c", -1.9)], lambda p: p[0] * first + p[0] ** 2 * second)
    nominal = model.function(np.array([1.0]))
    found = fit(model, make_measurement(nominal, {"all": 0.01 * np.eye(4)}))
    assert found.values[0] == pytest.approx(1, abs=1e-3)
    assert found.goodness is not None
    assert found.goodness.chi2 < 1e-3
    assert found.alternatives.shape == (0, 1)
    vague = fit(model, make_measurement(nominal, {"all": 4 * np.eye(4)}))
    assert vague.values[0] == pytest.approx(1, abs=0.01)
    other = optimize.minimize_scalar(
        lambda c: float(((nominal - model.function(np.array([c]))) ** 2).sum()), bounds=(-3, -1)
    ).x
    assert vague.alternatives[0, 0] == pytest.approx(other, rel=1e-3)
    assert "another minimum is as likely: c = -1.7" in str(vague)


def test_a_covariance_that_moves_with_the_parameters_does_not_pull_them(make_measurement: MakeMeasurement) -> None:
    """The prediction's own covariance, quadratic in the parameter, is that of the minimum."""
    template, own = np.array([2.0, 3.0, 4.0]), np.diag([0.5, 0.2, 0.1])
    model = Function([Parameter("mu", 1)], lambda p: p[0] * template, lambda p: p[0] ** 2 * own)
    nominal = np.array([4.4, 5.8, 8.1])
    found = fit(model, make_measurement(nominal, {"all": 0.1 * np.eye(3)}))
    mu = 1.0
    for _ in range(50):
        values, spread, _ = least_squares(nominal, 0.1 * np.eye(3) + mu**2 * own, template[:, np.newaxis], np.zeros(3))
        mu = float(values[0])
    assert found.values[0] == pytest.approx(mu, abs=0.02 * spread[0, 0] ** 0.5)
    assert found.errors[0] == pytest.approx(spread[0, 0] ** 0.5, rel=0.02)
    assert set(found.components) == {"all", "theory"}


def test_no_direction_is_left_to_judge_by(make_measurement: MakeMeasurement) -> None:
    single = Function([Parameter("a", 1)], lambda p: p)
    found = fit(single, make_measurement(np.array([4.0]), {"all": np.eye(1)}))
    assert found.goodness is None
    assert found.to_dict()["p_value"] is None
    assert found["a"] == pytest.approx((4, 1), rel=1e-4)


def test_a_normalised_spectrum_is_fitted_in_the_directions_it_knows(make_measurement: MakeMeasurement) -> None:
    rng = np.random.default_rng(3)
    law = np.array([0.4, 0.3, 0.2, 0.1])
    projection = np.eye(4) - np.outer(law, np.ones(4))
    covariance = projection @ np.diag(law / 500) @ projection.T
    nominal = law + rng.multivariate_normal(np.zeros(4), covariance)
    tilt = np.array([1.0, 0.3, -0.3, -1.0])
    model = Function([Parameter("tilt")], lambda p: law + p[0] * tilt)
    measurement = make_measurement(nominal, {"all": covariance})
    with pytest.raises(
        StatisticsError, match=r"rank 3 .* or ask for the directions that it knows \(pseudo_inverse=True\)"
    ):
        fit(model, measurement)
    found = fit(model, measurement, pseudo_inverse=True)
    values, spread, chi2 = least_squares(nominal[:3], covariance[:3, :3], tilt[:3, np.newaxis], law[:3])
    assert found["tilt"] == pytest.approx((values[0], spread[0, 0] ** 0.5), rel=1e-3)
    assert found.goodness is not None
    assert found.goodness.dof == 2
    assert found.goodness.chi2 == pytest.approx(chi2, rel=1e-3)


def test_components_are_left_out_or_decorrelated(make_measurement: MakeMeasurement) -> None:
    nominal = np.linspace(5, 8, BINS)
    parts = {"sampling": np.diag(nominal) / 10, "model": nominal[np.newaxis] * 1.1}
    measurement = make_measurement(nominal, parts)
    less = fit(ONE, measurement, leave_out=["model"])
    assert less.errors[0] == pytest.approx(
        least_squares(nominal, parts["sampling"], SLOPES[:, :1], OFFSET)[1][0, 0] ** 0.5, rel=1e-3
    )
    diagonal = fit(ONE, measurement, decorrelate=["model"])
    covariance = parts["sampling"] + np.diag((0.1 * nominal) ** 2)
    assert diagonal.errors[0] == pytest.approx(
        least_squares(nominal, covariance, SLOPES[:, :1], OFFSET)[1][0, 0] ** 0.5, rel=1e-3
    )
    with pytest.raises(ObservableError, match="no component 'modle' to leave out; did you mean model"):
        fit(ONE, measurement, leave_out=["modle"])


def test_what_a_fit_says(toy: Measurement) -> None:
    found = fit(LINE, toy)
    document = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert [one["name"] for one in document["parameters"]] == ["a", "b"]
    assert document["dof"] == BINS - 2
    assert document["freedom"] > 29
    assert str(found).splitlines()[0] == "Fit"
    assert f"p = {document['p_value']:.3g}" in str(found)
    with pytest.raises(StatisticsError, match="no parameter 'c' in this fit; there are a, b"):
        found["c"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fixed": {"c": 1.0}}, "no parameter 'c'; there are a, b"),
        ({"fixed": {"a": 1.0, "b": 1.0}}, "are fixed; leave one free"),
        ({"level": 1.5}, "a number between 0 and 1; found 1.5"),
    ],
)
def test_arguments_that_make_no_sense(toy: Measurement, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(StatisticsError, match=message):
        fit(LINE, toy, **arguments)  # type: ignore[arg-type]


def test_values_out_of_limits_and_parameters_that_do_the_same(toy: Measurement) -> None:
    narrow = Function([Parameter("a", 1, 0, 2)], ONE.function)
    with pytest.raises(StatisticsError, match=r"expected a value in \[0, 2\]; found 3"):
        fit(narrow, toy, start={"a": 3})
    twice = Function([Parameter("a"), Parameter("b")], lambda p: OFFSET + SLOPES[:, 0] * (p[0] + p[1]))
    with pytest.raises(StatisticsError, match=r"fix a parameter|fix another parameter"):
        fit(twice, toy)
    with pytest.raises(StatisticsError, match=r"fix another parameter|fix a parameter"):
        fit(Function([Parameter("a")], lambda p: OFFSET), toy)
    many = Function([Parameter(f"p{i}") for i in range(BINS + 1)], lambda p: p[:BINS] + p[BINS])
    with pytest.raises(StatisticsError, match=r"7 parameters for 6 bins|fix a parameter"):
        fit(many, toy)


def test_models_that_make_no_sense(toy: Measurement) -> None:
    with pytest.raises(InputError, match="expected 6 finite numbers"):
        fit(Function([Parameter("a")], lambda p: p * np.ones(3)), toy)
    with pytest.raises(InputError, match="a more than once"):
        Function([Parameter("a"), Parameter("a")], lambda p: p)
    with pytest.raises(InputError, match="found none"):
        Function([], lambda p: p)
    with pytest.raises(InputError, match=r"expected a finite start within limits that leave room; found 3 in \[0, 1\]"):
        Parameter("a", 3, 0, 1)
    with pytest.raises(InputError, match="expected a finite covariance of 6 bins"):
        fit(Function(ONE.parameters, ONE.function, lambda p: np.eye(2)), toy)


def test_without_the_extra(toy: Measurement, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("omnifold_pub.extras.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"iminuit.*omnifold-pub\[fit\]"):
        fit(LINE, toy)


def test_the_rise_of_chi2() -> None:
    assert chi2_rise(0.95, freedom=math.inf, residual_dof=5, chi2=9.0) == pytest.approx(stats.chi2.ppf(0.95, 1))
    expected = stats.t.ppf(0.975, 15) ** 2 * (19 + 6) / 15
    assert chi2_rise(0.95, freedom=19, residual_dof=4, chi2=6.0) == pytest.approx(expected)
    with pytest.raises(StatisticsError, match="merge bins, or add replicas"):
        chi2_rise(STANDARD, freedom=4, residual_dof=4, chi2=1)


def _coverage(
    make: MakeMeasurement, trials: int, replicas: int, analytic: float, *, level: float = STANDARD
) -> tuple[float, float, float]:
    """Return how often the interval holds the truth, how often without the correction, how often p is below 5 %."""
    rng = np.random.default_rng(11)
    covariance = correlated(np.random.default_rng(2))
    root, known = np.linalg.cholesky(covariance), analytic * np.diag(np.diag(covariance))
    truth, held, naive, rejected = OFFSET + SLOPES[:, 0] * 1.5, 0, 0, 0
    for _ in range(trials):
        nominal = truth + root @ rng.normal(size=BINS) + np.sqrt(np.diag(known)) * rng.normal(size=BINS)
        parts = {"bootstrap": nominal + rng.normal(size=(replicas, BINS)) @ root.T}
        if analytic:
            parts["known"] = known
        measurement = make(nominal, parts)
        found = _quick(measurement, level=level)
        held += found[0] <= 1.5 <= found[1]
        naive += abs(found[2] - 1.5) <= found[3]
        rejected += found[4] < 0.05
    return held / trials, naive / trials, rejected / trials


def _quick(measurement: Measurement, *, level: float) -> tuple[float, float, float, float, float]:
    found: Fit = fit(ONE, measurement, level=level)
    naive = math.sqrt(sum(part[0, 0] for part in found.components.values()))
    assert found.goodness is not None
    return found.lower[0], found.upper[0], found.values[0], naive, found.goodness.p_value


def test_the_interval_of_few_replicas_covers_what_it_says(make_measurement: MakeMeasurement) -> None:
    """12 replicas of 6 bins: exact with the correction, far too short without; and the p-value is exact."""
    trials = 300
    held, naive, rejected = _coverage(make_measurement, trials, 12, 0.0)
    assert held == pytest.approx(STANDARD, abs=3 * math.sqrt(STANDARD * (1 - STANDARD) / trials))
    assert naive < 0.55
    assert rejected == pytest.approx(0.05, abs=3 * math.sqrt(0.05 * 0.95 / trials))


@pytest.mark.slow
@pytest.mark.parametrize("analytic", [0.1, 1.0, 10.0])
def test_the_interval_of_a_mixture_covers_what_it_says(
    make_measurement: MakeMeasurement, analytic: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("omnifold_pub.statistics.inference._TOYS", 199)
    trials = 1000
    for level in (STANDARD, 0.95):
        held, _, rejected = _coverage(make_measurement, trials, 12, analytic, level=level)
        assert held == pytest.approx(level, abs=0.01 + 3 * math.sqrt(level * (1 - level) / trials))
    assert rejected == pytest.approx(0.05, abs=0.01 + 3 * math.sqrt(0.05 * 0.95 / trials))
