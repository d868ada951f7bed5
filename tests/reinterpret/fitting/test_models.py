"""Templates, grids and reweighting against weights written out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from omnifold_pub import Measurement, Theory
from omnifold_pub.errors import InputError
from omnifold_pub.estimators import Profile
from omnifold_pub.reinterpret.fitting import BoundModel, Function, Grid, Parameter, Reweighting, Templates, fit
from omnifold_pub.reinterpret.weight_families import Combination, Family, combine

Array = NDArray[np.float64]
MakeMeasurement = Callable[..., Measurement]

EDGES = np.array([0.0, 0.5, 1.0, 1.5, 2.0, 3.0])


def theory(seed: int, *, scale: float = 1.0, name: str = "theory", events: int = 4000, total: float = 100.0) -> Theory:
    rng = np.random.default_rng(seed)
    weights = rng.gamma(4, 1, events)
    columns = {"x": rng.exponential(scale, events), "y": rng.normal(size=events)}
    return Theory.from_arrays(columns, weights * total / weights.sum(), unit="pb", name=name)


def histogram(one: Theory, weights: Array | None = None) -> tuple[Array, Array]:
    """Return contents and their covariance, by numpy."""
    weights = one.weights if weights is None else weights
    x = one.events["x"].astype(float)
    contents = np.histogram(x, EDGES, weights=weights)[0]
    squares = np.histogram(x, EDGES, weights=weights**2)[0]
    return contents.astype(np.float64), np.diag(squares).astype(np.float64)


@pytest.fixture
def spectrum(make_measurement: MakeMeasurement) -> Measurement:
    nominal = np.array([40.0, 25, 15, 10, 10])
    return make_measurement(nominal, {"all": np.diag(nominal) / 50}, edges=EDGES)


def test_templates_add_up(spectrum: Measurement) -> None:
    signal, background, other = theory(1), theory(2, scale=2, name="background"), theory(3, scale=0.5)
    bound = Templates({"mu": signal, "nu": other}, background).of(spectrum)
    mu, nu = 1.3, -0.2
    parts = [histogram(one) for one in (signal, other, background)]
    factors = (mu, nu, 1.0)
    values = sum(f * v for f, (v, _) in zip(factors, parts, strict=True))
    covariance = sum(f**2 * c for f, (_, c) in zip(factors, parts, strict=True))
    np.testing.assert_allclose(bound.predict(np.array([mu, nu])), values, rtol=1e-9)
    np.testing.assert_allclose(bound.covariance(np.array([mu, nu])), covariance, rtol=1e-9)
    assert [(p.name, p.start) for p in bound.parameters] == [("mu", 1.0), ("nu", 1.0)]


def test_a_template_is_found_again(make_measurement: MakeMeasurement) -> None:
    signal, background = theory(1), theory(2, scale=2)
    nominal = 0.7 * histogram(signal)[0] + histogram(background)[0]
    measurement = make_measurement(nominal, {"all": np.diag(nominal) / 50}, edges=EDGES)
    found = fit(Templates({"mu": signal}, background, limits={"mu": (0, 3)}), measurement)
    assert found["mu"][0] == pytest.approx(0.7, abs=1e-3)
    covariance = np.diag(nominal) / 50 + 0.49 * histogram(signal)[1] + histogram(background)[1]
    slope = histogram(signal)[0]
    assert found["mu"][1] == pytest.approx((slope @ np.linalg.inv(covariance) @ slope) ** -0.5, rel=1e-3)


def test_templates_that_cannot_be(spectrum: Measurement) -> None:
    with pytest.raises(InputError, match="limits of a parameter 'nu' that is none; there are mu"):
        Templates({"mu": theory(1)}, limits={"nu": (0, 1)})
    away = Theory.from_arrays({"x": np.full(5, 9.0)}, np.ones(5), unit="pb", name="away")
    with pytest.raises(InputError, match="away: no event is in any of the 5 bins; leave this template out"):
        Templates({"mu": away}).of(spectrum)
    mean = replace(spectrum, statistics=(Profile("y", "x", EDGES),))
    with pytest.raises(InputError, match="is no sum of weights"):
        Templates({"mu": theory(1)}).of(mean)


def test_a_grid_with_as_many_nodes_as_monomials_goes_through_them(spectrum: Measurement) -> None:
    nodes: dict[Any, Theory] = {at: theory(i, scale=1 + at) for i, at in enumerate((0.0, 0.1, 0.3))}
    bound = Grid(["s"], nodes).of(spectrum)
    for at, node in nodes.items():
        np.testing.assert_allclose(bound.predict(np.array([at])), histogram(node)[0], rtol=1e-9)
        np.testing.assert_allclose(bound.covariance(np.array([at])), histogram(node)[1], rtol=1e-7, atol=1e-9)
    contents = np.array([histogram(node)[0] for node in nodes.values()])
    expected = [np.polyval(np.polyfit([0, 0.1, 0.3], column, 2), 0.22) for column in contents.T]
    np.testing.assert_allclose(bound.predict(np.array([0.22])), expected, rtol=1e-9)
    (parameter,) = bound.parameters
    assert (parameter.lower, parameter.upper) == (0.0, 0.3)
    assert not Grid(["s"], nodes).residuals(spectrum).any()


def parts_of(bound: BoundModel, at: Array) -> dict[str, Array]:
    return {part.component.name: part.covariance for part in bound.parts(at)}


def with_scales(one: Theory, up: float, down: float, rule: Any = "envelope", **more: Any) -> Theory:
    """Give a theory a family of two members, which depend on the events."""
    x = one.events["x"].astype(float)
    weights = np.stack([one.weights * (1 + up * x), one.weights * (1 - down * x)], axis=1)
    family = Family(Combination(rule, **more), ("up", "down"), weights)
    return replace(one, families={"scales": family})


@pytest.mark.parametrize(("rule", "more"), [("envelope", {}), ("hessian", {"paired": True}), ("replicas", {})])
def test_a_family_is_one_cause_of_all_samples_of_a_grid(spectrum: Measurement, rule: Any, more: dict[str, Any]) -> None:
    """Reweighting the events of all nodes by one variation is a grid of its own."""
    places = (0.0, 0.1, 0.3)
    nodes: dict[Any, Theory] = {
        at: with_scales(theory(i, scale=1 + at), 0.1, 0.05, rule, **more) for i, at in enumerate(places)
    }
    bound, at = Grid(["s"], nodes).of(spectrum), np.array([0.22])
    members = [
        Grid(
            ["s"],
            {s: replace(one, weights=one.families["scales"].weights[:, m], families={}) for s, one in nodes.items()},
        )
        .of(spectrum)
        .predict(at)
        for m in (0, 1)
    ]
    parts = parts_of(bound, at)
    assert set(parts) == {"theory: statistics", "theory: scales"}
    expected = combine("scales", Combination(rule, **more), np.array(members), bound.predict(at)).covariance
    np.testing.assert_allclose(parts["theory: scales"], expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(bound.covariance(at), sum(parts.values()))


def test_a_family_is_one_cause_of_all_templates(spectrum: Measurement) -> None:
    signal, background = with_scales(theory(1), 0.1, 0.1), with_scales(theory(2, scale=2), 0.02, 0.02)
    bare = theory(3, scale=0.5)
    bound = Templates({"mu": signal, "nu": bare}, background).of(spectrum)
    mu, nu = 1.4, 0.3
    mixed = [
        mu * histogram(signal, signal.families["scales"].weights[:, m])[0]
        + nu * histogram(bare)[0]
        + histogram(background, background.families["scales"].weights[:, m])[0]
        for m in (0, 1)
    ]
    at = np.array([mu, nu])
    expected = combine("scales", Combination("envelope"), np.array(mixed), bound.predict(at)).covariance
    np.testing.assert_allclose(parts_of(bound, at)["theory: scales"], expected, rtol=1e-9)
    found = fit(Templates({"mu": signal}, background), spectrum)
    assert set(found.components) == {"all", "theory: statistics", "theory: scales"}
    without = fit(Templates({"mu": replace(signal, families={})}, replace(background, families={})), spectrum)
    assert set(without.components) == {"all", "theory: statistics"}
    assert found["mu"][1] > without["mu"][1]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (("hessian", {}), r"expected 2 members \(envelope\), as in theory; found 2 members \(hessian, at 68.27 %\)"),
        (("hessian", {"paired": True, "confidence_level": 0.9}), r"found 2 members \(hessian, paired, at 90 %\)"),
    ],
)
def test_families_of_one_name_that_are_not_one_are_refused(spectrum: Measurement, other: Any, message: str) -> None:
    rule, more = other
    samples = {"mu": with_scales(theory(1), 0.1, 0.1), "nu": with_scales(theory(2, name="b"), 0.1, 0.1, rule, **more)}
    with pytest.raises(InputError, match=message):
        Templates(samples).of(spectrum)


def test_families_of_a_reweighted_theory_are_parts_of_its_covariance(spectrum: Measurement) -> None:
    base = with_scales(theory(5), 0.1, 0.1)
    parts = parts_of(Reweighting(base, {"c": base.weights * 0.1}).of(spectrum), np.array([0.5]))
    np.testing.assert_allclose(parts["theory: scales"], base.prediction(spectrum).covariance("scales"))
    np.testing.assert_allclose(parts["theory: statistics"], histogram(base, base.weights * 1.05)[1], rtol=1e-9)


def test_a_fit_knows_how_few_replicas_a_theory_has(make_measurement: MakeMeasurement) -> None:
    """Six replicas of the theory beside a covariance that is known: as six of the measurement."""
    base = theory(5, events=40_000)
    x = base.events["x"].astype(float)
    factors = 1 + 0.1 * np.random.default_rng(3).normal(size=(6, 3))
    replicas = base.weights[:, np.newaxis] * (np.stack([np.ones_like(x), x, x**2], axis=1) @ factors.T) / 3
    varied = replace(base, families={"pdf": Family(Combination("replicas"), tuple("abcdef"), replicas)})
    nominal = histogram(base)[0] * np.array([1.05, 1.0, 0.97, 1.02, 1.0])
    known = np.diag(nominal) / 500
    found = fit(Templates({"mu": varied}), make_measurement(nominal, {"all": known}, edges=EDGES))
    mu = found.values[0]
    bound = Templates({"mu": varied}).of(make_measurement(nominal, {"all": known}, edges=EDGES))
    parts = {part.component.name: part for part in bound.parts(np.array([mu]))}
    assert parts["theory: pdf"].replicas == 6
    members = nominal + parts["theory: pdf"].members - parts["theory: pdf"].members.mean(axis=0)
    other = {"all": known + parts["theory: statistics"].covariance, "bootstrap": members}
    line = Function([Parameter("mu", 1)], lambda p: p[0] * histogram(base)[0])
    expected = fit(line, make_measurement(nominal, other, edges=EDGES))
    assert found.freedom == pytest.approx(expected.freedom, rel=1e-3)
    assert found.freedom < 1000
    assert found["mu"] == pytest.approx(expected["mu"], rel=1e-3)
    assert (found.lower[0], found.upper[0]) == pytest.approx((expected.lower[0], expected.upper[0]), rel=1e-3)
    assert found.goodness is not None
    assert expected.goodness is not None
    assert found.goodness.p_value == pytest.approx(expected.goodness.p_value, abs=0.01)
    assert set(found.components) == {"all", "theory: statistics", "theory: pdf"}


def test_a_grid_of_two_parameters_is_least_squares(spectrum: Measurement) -> None:
    places = [(a, b) for a in (-1.0, 0.0, 2.0) for b in (10.0, 20.0, 40.0)]
    nodes = {place: theory(7 * i, scale=1 + 0.1 * place[0] + 0.01 * place[1]) for i, place in enumerate(places)}
    grid = Grid(["a", "b"], nodes)
    contents = np.array([histogram(node)[0] for node in nodes.values()])

    def design(a: Any, b: Any) -> Array:
        one = np.ones_like(np.asarray(a, dtype=float))
        return np.stack([one, a, b, a * a, a * b, b * b], axis=-1).astype(np.float64)

    x = np.array(places)
    coefficients = np.linalg.lstsq(design(x[:, 0], x[:, 1]), contents, rcond=None)[0]
    predicted = grid.of(spectrum).predict(np.array([0.7, 33.0]))
    np.testing.assert_allclose(predicted, design(0.7, 33.0) @ coefficients, rtol=1e-7)
    assert np.std(grid.residuals(spectrum)) == pytest.approx(1, abs=0.35)


def test_a_grid_finds_its_parameter_again(make_measurement: MakeMeasurement) -> None:
    nodes: dict[Any, Theory] = {
        at: theory(i, scale=at, events=50_000) for i, at in enumerate((0.8, 0.9, 1.0, 1.1, 1.2))
    }
    nominal, _ = histogram(theory(99, scale=0.97, events=200_000))
    found = fit(Grid(["scale"], nodes), make_measurement(nominal, {"all": np.diag(nominal) / 300}, edges=EDGES))
    assert found["scale"][0] == pytest.approx(0.97, abs=0.015)
    assert found.goodness is not None
    assert found.goodness.p_value > 0.01


@pytest.mark.parametrize(
    ("names", "nodes", "degree", "message"),
    [
        (["a"], {0: 0, 1: 0}, 2, "has 3 coefficients; found 2 nodes, so that they are too few"),
        (["a", "b"], {(i, 2 * i): 0 for i in range(8)}, 2, "8 nodes, of which they tell 3 apart"),
        (["a", "b"], {1.0: 0}, 1, "expected 2 finite numbers for each node"),
        (["a"], {np.nan: 0, 1.0: 0}, 1, "expected 1 finite numbers"),
        (["a"], {"low": 0, "high": 0}, 1, "expected 1 finite numbers for each node; found .*'low'"),
        (["a", "a"], {(0, 0): 0, (1, 0): 0, (0, 1): 0}, 1, "a more than once"),
    ],
)
def test_grids_that_cannot_be(names: list[str], nodes: dict[Any, Any], degree: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Grid(names, nodes, degree=degree)


def terms(one: Theory) -> tuple[Array, Array, Array, Array]:
    """Return first and second powers of two parameters: weights that depend on the events."""
    x, y = one.events["x"].astype(float), one.events["y"].astype(float)
    return one.weights * 0.3 * x, one.weights * 0.1 * x**2, one.weights * 0.2 * y, one.weights * 0.05 * x * y


@pytest.fixture
def reweighting() -> Reweighting:
    base = theory(5)
    a, aa, b, ab = terms(base)
    return Reweighting(base, {"a": a, "b": b}, {"a": aa}, {("a", "b"): ab})


def test_reweighted_histograms_are_those_of_the_weights(spectrum: Measurement, reweighting: Reweighting) -> None:
    base = reweighting.theory
    a, aa, b, ab = terms(base)
    weights = base.weights + 0.7 * a + 0.49 * aa - 1.2 * b - 0.84 * ab
    at = np.array([0.7, -1.2])
    np.testing.assert_allclose(reweighting.weights(at), weights, rtol=1e-12)
    bound, (values, covariance) = reweighting.of(spectrum), histogram(base, weights)
    np.testing.assert_allclose(bound.predict(at), values, rtol=1e-9)
    np.testing.assert_allclose(bound.covariance(at), covariance, rtol=1e-9)
    np.testing.assert_allclose(bound.predict(np.zeros(2)), base.predict(spectrum)[0], rtol=1e-12)


def test_statistics_that_are_not_linear_are_computed_anew(spectrum: Measurement, reweighting: Reweighting) -> None:
    profile = replace(spectrum, statistics=(Profile("y", "x", EDGES),))
    at = np.array([0.4, 0.3])
    x, y = (reweighting.theory.events[name].astype(float) for name in "xy")
    weights = reweighting.weights(at)
    expected = np.histogram(x, EDGES, weights=weights * y)[0] / np.histogram(x, EDGES, weights=weights)[0]
    np.testing.assert_allclose(reweighting.of(profile).predict(at), expected, rtol=1e-9)


def test_a_coupling_is_found_again(make_measurement: MakeMeasurement) -> None:
    truth = theory(50, events=100_000)
    a, aa, *_ = terms(truth)
    nominal, _ = histogram(truth, truth.weights + 0.5 * a + 0.25 * aa)
    base = theory(5, events=100_000)
    a, aa, *_ = terms(base)
    found = fit(Reweighting(base, {"c": a}, {"c": aa}), make_measurement(nominal, {"all": np.eye(5)}, edges=EDGES))
    assert found["c"][0] == pytest.approx(0.5, abs=2 * found["c"][1])
    assert found["c"][1] < 0.2


def test_reweightings_that_cannot_be() -> None:
    base = theory(5)
    with pytest.raises(InputError, match="weights of c: expected 4000 finite numbers, one for each event of theory"):
        Reweighting(base, {"c": np.ones(3)})
    with pytest.raises(InputError, match=r"weights of c \* c: expected 4000 finite"):
        Reweighting(base, {"c": base.weights}, {"c": np.full(4000, np.nan)})
    with pytest.raises(InputError, match="no parameter 'd'; there are c"):
        Reweighting(base, {"c": base.weights}, limits={"d": (0, 1)})
    with pytest.raises(InputError, match="found none"):
        Reweighting(base, {})


def test_another_unit_is_refused(spectrum: Measurement) -> None:
    femtobarn = Theory.from_arrays({"x": np.ones(5)}, np.ones(5), unit="fb", name="other")
    models = (
        Templates({"mu": femtobarn}),
        Reweighting(femtobarn, {"c": np.ones(5)}),
        Grid(["c"], {0: femtobarn, 1: femtobarn}, degree=1),
    )
    for model in models:
        with pytest.raises(InputError, match="other: weights in fb"):
            model.of(spectrum)


def test_arguments_in_the_wrong_order_and_theories_that_are_no_models(spectrum: Measurement) -> None:
    base: Any = theory(5)
    swapped: Any = (spectrum, Templates({"mu": base}))
    for arguments in (swapped, (base, spectrum)):
        with pytest.raises(
            InputError, match=r"expected a model and a measurement; found .* becomes a model with Templates"
        ):
            fit(*arguments)
    path: Any = "theory.root"
    for model in (Templates({"mu": path}), Grid(["c"], {0: path, 1: path}, degree=1)):
        with pytest.raises(InputError, match=r"expected a theory; found 'theory\.root'"):
            fit(model, spectrum)
