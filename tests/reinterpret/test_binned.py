"""Theories that are histograms: of hist, boost-histogram, uproot and YODA."""

from __future__ import annotations

import functools
import gzip
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import boost_histogram as bh
import hist
import numpy as np
import pytest
import uproot
from babyyoda.grogu.histo1d_v2 import Histo1D_v2
from babyyoda.grogu.histo1d_v3 import Histo1D_v3
from babyyoda.grogu.histo2d_v3 import Histo2D_v3
from numpy.typing import NDArray

from omnifold_pub import Release, Theory, compare
from omnifold_pub.errors import InputError, StatisticsError
from omnifold_pub.estimators import Histogram, Moments
from omnifold_pub.exchange.warning import ExchangeWarning
from omnifold_pub.reinterpret.binned import BinnedTheory
from omnifold_pub.reinterpret.spectrum import Spectrum
from omnifold_pub.reinterpret.weight_families import Combination, Family

X_EDGES = [-2.0, -0.7, 0.1, 0.8, 2.5]
Y_EDGES = [0.0, 15.0, 40.0, 120.0]
SIZE = 400
RNG = np.random.default_rng(6)
X, Y = RNG.normal(0, 1, SIZE), RNG.exponential(30, SIZE)
WEIGHTS = RNG.gamma(4, 1 / 4 / SIZE, SIZE)
UP = WEIGHTS * (1.1 + 0.1 * X)


@pytest.fixture
def events() -> Theory:
    """The same events, not yet in bins."""
    family = Family(Combination("hessian"), ("up",), UP[:, np.newaxis])
    return Theory.from_arrays({"x": X, "y": Y}, WEIGHTS, unit="pb", name="events", families={"tune": family})


def of_hist(values: NDArray[Any], edges: list[float], weights: NDArray[Any]) -> Any:
    return hist.Hist.new.Var(edges).Weight().fill(values.astype(np.float32), weight=weights)


def of_boost(values: NDArray[Any], edges: list[float], weights: NDArray[Any]) -> Any:
    filled = bh.Histogram(bh.axis.Variable(edges), storage=bh.storage.Weight())
    return filled.fill(values.astype(np.float32), weight=weights)


def of_uproot(values: NDArray[Any], edges: list[float], weights: NDArray[Any], path: Path) -> Any:
    with uproot.recreate(path / "h.root") as file:
        file["h"] = of_hist(values, edges, weights)
    with uproot.open(path / "h.root") as file:
        return file["h"]


@pytest.mark.parametrize("kind", ["hist", "boost", "uproot"])
def test_histograms_predict_what_their_events_do(release: Release, events: Theory, tmp_path: Path, kind: str) -> None:
    makers: dict[str, Callable[..., Any]] = {
        "hist": of_hist,
        "boost": of_boost,
        "uproot": functools.partial(of_uproot, path=tmp_path),
    }
    make = makers[kind]
    filled, varied = make(X, X_EDGES, WEIGHTS), make(X, X_EDGES, UP)
    families = {"tune": (Combination("hessian"), {"up": {"x": varied}})}
    binned = BinnedTheory.from_histograms({"x": filled}, unit="pb", families=families)
    for density, normalise in ((False, False), (True, False), (True, True)):
        measurement = release.measure("x", X_EDGES, density=density, normalise=normalise)
        found, expected = binned.prediction(measurement), events.prediction(measurement)
        np.testing.assert_allclose(found.values(), expected.values(), rtol=1e-6)
        np.testing.assert_allclose(found.covariance("tune"), expected.covariance("tune"), rtol=1e-5, atol=1e-12)
        if not normalise:
            np.testing.assert_allclose(found.covariance(), expected.covariance(), rtol=1e-5, atol=1e-12)
    comparison = compare(release.measure("x", X_EDGES), binned)
    assert comparison.test.chi2 == pytest.approx(compare(release.measure("x", X_EDGES), events).test.chi2, rel=1e-5)


def test_a_normalised_histogram_has_the_covariance_of_its_poisson_replicas(release: Release) -> None:
    counts = np.array([400.0, 900.0, 600.0, 500.0])
    binned = BinnedTheory("x", {"x": Spectrum.from_contents(X_EDGES, counts, variances=counts)}, "pb")
    measurement = release.measure("x", X_EDGES, normalise=True)
    _, covariance = binned.predict(measurement)
    toys = np.random.default_rng(1).poisson(counts, (40_000, 4)).astype(float)
    expected = np.cov((toys / toys.sum(axis=1, keepdims=True)).T)
    np.testing.assert_allclose(covariance, expected, rtol=0.05, atol=2e-6)


def test_several_observables_are_tied_by_the_families_alone(release: Release, events: Theory) -> None:
    joint = release.measure({"x": X_EDGES, "y": Y_EDGES})
    families = {"tune": (Combination("hessian"), {"up": {"x": of_hist(X, X_EDGES, UP), "y": of_hist(Y, Y_EDGES, UP)}})}
    nominal = {"y": of_hist(Y, Y_EDGES, WEIGHTS), "x": of_hist(X, X_EDGES, WEIGHTS)}
    found = BinnedTheory.from_histograms(nominal, unit="pb", families=families).prediction(joint)
    expected = events.prediction(joint)
    np.testing.assert_allclose(found.values(), expected.values(), rtol=1e-6)
    np.testing.assert_allclose(found.covariance("tune"), expected.covariance("tune"), rtol=1e-5, atol=1e-12)
    assert (found.covariance("statistics")[:4, 4:] == 0).all()


def test_two_axes_and_a_density(release: Release, events: Theory) -> None:
    measurement = release.measure(["x", "y"], [X_EDGES, Y_EDGES])
    filled = hist.Hist.new.Var(X_EDGES).Var(Y_EDGES).Weight()
    filled.fill(X.astype(np.float32), Y.astype(np.float32), weight=WEIGHTS)
    divided = hist.Hist.new.Var(X_EDGES).Var(Y_EDGES).Weight()
    area = np.outer(np.diff(X_EDGES), np.diff(Y_EDGES))
    divided.view()["value"] = filled.values() / area
    divided.view()["variance"] = filled.variances() / area**2
    for found, density in ((filled, False), (divided, True)):
        binned = BinnedTheory.from_histograms({measurement.statistics[0].name: found}, unit="pb", density=density)
        for one, other in zip(
            binned.predict(measurement), replace(events, families={}).predict(measurement), strict=True
        ):
            np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-15)


def spectrum(**changed: Any) -> Spectrum:
    return Spectrum.from_contents(
        **{"edges": X_EDGES, "contents": [1.0, 2.0, 2.0, 1.0], "variances": np.ones(4) / 100, **changed}
    )


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"contents": [1.0, 2.0, 3.0]}, InputError, "contents: expected a finite number for each of 4 bins"),
        ({"contents": [1.0, np.nan, 2.0, 1.0]}, InputError, "contents: expected a finite number"),
        ({"variances": [1.0, -1.0, 1.0, 1.0]}, InputError, "variances: expected numbers of at least 0; found -1"),
        ({"covariance": np.eye(4)}, InputError, "found both: leave out the variances"),
        ({"variances": None, "covariance": np.eye(3)}, InputError, r"for 4 bins; found shape \(3, 3\)"),
        ({"variances": None, "covariance": np.diag([1, 1, 1, -0.5])}, StatisticsError, "semi-definite matrix; found"),
        ({"variances": None, "covariance": np.ones((4, 4)) - np.eye(4)}, StatisticsError, "semi-definite matrix"),
        ({"variances": None, "covariance": np.triu(np.ones((4, 4)))}, StatisticsError, "a symmetric matrix"),
        ({"variances": None, "covariance": -np.eye(4)}, StatisticsError, "semi-definite matrix"),
        ({"members": {"up": [1.0]}}, InputError, "up: expected a finite number for each of 4 bins"),
    ],
)
def test_numbers_that_are_no_histogram_are_refused(changed: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        spectrum(**changed)


def test_a_covariance_of_lower_rank_is_fine() -> None:
    assert spectrum(variances=None, covariance=np.ones((4, 4))).covariance.sum() == 16


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"unit": "barn"}, "mine: unit: expected 'pb', 'fb', or None"),
        ({"spectra": {}}, "expected at least one histogram"),
        ({"spectra": {"x": spectrum(contents=[1.0, -3.0, 1.0, 0.5])}}, "x: the bins sum to -0.5"),
        ({"combinations": {"pdf": Combination("hessian", ("p*",))}}, r"mine: x: no weight 'p\*'"),
    ],
)
def test_theories_that_are_none_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        BinnedTheory(**{"name": "mine", "spectra": {"x": spectrum()}, "unit": "pb", **arguments})


def test_bins_must_be_those_of_the_measurement(release: Release) -> None:
    theory = BinnedTheory("mine", {"x": spectrum()}, "pb")
    rounded = BinnedTheory("mine", {"x": spectrum(edges=np.array(X_EDGES) + 1e-8)}, "pb")
    assert rounded.predict(release.measure("x", X_EDGES))[0].tolist() == [1, 2, 2, 1]
    for edges in ([-2, -0.7, 0.1, 2.5], [-2, -0.7, 0.1, 0.8, 2.4], [-2, -0.7, 0.1, 0.8, np.inf]):
        with pytest.raises(
            InputError, match=r"mine: 'x': expected the measurement's bins .*; found .*; fill the theory"
        ):
            theory.predict(release.measure("x", edges))
    with pytest.raises(InputError, match="expected the measurement's bins"):
        theory.predict(release.measure({"x": Histogram(["x", "y"], [X_EDGES, Y_EDGES], name="x")}))


def test_bins_between_infinite_edges_are_compared_too(release: Release) -> None:
    edges = [-np.inf, 0.0, 1.0, np.inf]
    theory = BinnedTheory("mine", {"x": Spectrum.from_contents(edges, [1.0, 2.0, 1.0])}, "pb")
    assert theory.predict(release.measure("x", edges))[0].tolist() == [1, 2, 1]
    with pytest.raises(InputError, match="expected the measurement's bins"):
        theory.predict(release.measure("x", [-10.0, 0.0, 1.0, np.inf]))
    halves = BinnedTheory("mine", {"x": Spectrum.from_contents([-np.inf, 0.0, np.inf], [1.0, 2.0])}, "pb")
    with pytest.raises(InputError, match="expected the measurement's bins"):
        halves.predict(release.measure("x", [-np.inf, 0.1, np.inf]))


def test_what_the_theory_cannot_predict_is_named(release: Release) -> None:
    theory = BinnedTheory("mine", {"x": spectrum()}, "pb")
    with pytest.raises(InputError, match="mine: no histogram of 'y'; there are x"):
        theory.predict(release.measure("y", Y_EDGES))
    with pytest.raises(InputError, match="a theory of histograms predicts histograms; found moments"):
        theory.predict(release.measure({"x": Moments("x", [1])}))
    with pytest.raises(InputError, match="mine: weights in fb, the measurement is in 'pb'"):
        replace(theory, unit="fb").predict(release.measure("x", X_EDGES))
    with pytest.raises(InputError, match="mine: has no cross section"):
        replace(theory, unit=None).predict(release.measure("x", X_EDGES))
    assert replace(theory, unit=None).predict(release.measure("x", X_EDGES), shape=True)[0].sum() == 6


def test_families_need_all_observables_in_the_same_bins() -> None:
    nominal = {"x": of_hist(X, X_EDGES, WEIGHTS), "y": of_hist(Y, Y_EDGES, WEIGHTS)}
    with pytest.raises(InputError, match=r"member 'up': expected histograms of \['x', 'y'\]; found \['x'\]"):
        BinnedTheory.from_histograms(
            nominal, unit="pb", families={"f": (Combination("hessian"), {"up": {"x": nominal["x"]}})}
        )
    other = {"x": of_hist(X, [-2.0, 0.0, 2.5], WEIGHTS), "y": nominal["y"]}
    with pytest.raises(InputError, match="expected the measurement's bins"):
        BinnedTheory.from_histograms(nominal, unit="pb", families={"f": (Combination("hessian"), {"up": other})})


@pytest.mark.parametrize("thing", [None, 3, np.ones(3), "x"])
def test_what_is_no_histogram_is_refused(thing: Any) -> None:
    with pytest.raises(InputError, match="x: expected a histogram with axes"):
        BinnedTheory.from_histograms({"x": thing}, unit="pb")


def yoda_text(values: NDArray[Any], edges: list[float], weights: NDArray[Any], key: str, make: Any = Histo1D_v3) -> str:
    filled = make(edges)
    filled.d_key = key
    for value, weight in zip(values.astype(np.float32), weights, strict=True):
        filled.fill(float(value), float(weight))
    return str(filled.to_string()) + "\n"


@pytest.mark.parametrize("make", [Histo1D_v2, Histo1D_v3])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_yoda_histograms_predict_what_their_events_do(
    release: Release, events: Theory, tmp_path: Path, make: Any, suffix: str
) -> None:
    text = "".join(
        yoda_text(X, X_EDGES, weights, f"/MINE/x{weight}", make)
        for weight, weights in (("", WEIGHTS), ("[MUR2]", UP), ("_other", UP))
    )
    text += "BEGIN YODA_SCATTER9D_V3 /MINE/unknown\nPath: /MINE/unknown\n---\n1\nEND YODA_SCATTER9D_V3\n"
    path = tmp_path / f"rivet.yoda{suffix}"
    path.write_bytes(gzip.compress(text.encode()) if suffix else text.encode())
    families = {"tune": Combination("hessian", ("MUR2",))}
    theory = BinnedTheory.from_yoda(path, {"x": "/MINE/x"}, unit="pb", families=families)
    measurement = release.measure("x", X_EDGES)
    found, expected = theory.prediction(measurement), events.prediction(measurement)
    assert theory.name == path.name
    np.testing.assert_allclose(found.values(), expected.values(), rtol=1e-5)
    for component in ("statistics", "tune"):
        np.testing.assert_allclose(found.covariance(component), expected.covariance(component), rtol=1e-4, atol=1e-12)


def test_yoda_histograms_of_two_axes(release: Release, events: Theory, tmp_path: Path) -> None:
    filled = Histo2D_v3(X_EDGES, Y_EDGES)
    filled.d_key = "/MINE/xy"
    for x, y, weight in zip(X.astype(np.float32), Y.astype(np.float32), WEIGHTS, strict=True):
        filled.fill(float(x), float(y), float(weight))
    path = tmp_path / "two.yoda"
    path.write_text(filled.to_string() + "\n")
    measurement = release.measure(["x", "y"], [X_EDGES, Y_EDGES])
    theory = BinnedTheory.from_yoda(path, {measurement.statistics[0].name: "/MINE/xy"}, unit="pb")
    np.testing.assert_allclose(theory.predict(measurement)[0], events.predict(measurement)[0], rtol=1e-5)


ESTIMATE = """BEGIN YODA_ESTIMATE1D_V3 /MINE/est
Path: /MINE/est
Title:
Type: Estimate1D
---
Edges(A1): [0.0, 1.0, 3.0]
ErrorLabels: ["stats", "scale,up"]
# value\terrDn(1)\terrUp(1)\terrDn(2)\terrUp(2)
nan\t---\t---\t---\t---
5.0\t-0.3\t0.3\t-0.2\t0.4
2.0\t-0.1\t0.1\t0.1\t-0.3
nan\t---\t---\t---\t---
END YODA_ESTIMATE1D_V3
"""


def test_errors_of_a_yoda_estimate_are_signed_and_tied_by_label(tmp_path: Path) -> None:
    path = tmp_path / "estimate.yoda"
    path.write_text(ESTIMATE.replace("scale,up", "scale"))
    spectrum = BinnedTheory.from_yoda(path, {"x": "/MINE/est"}, unit="pb").spectra["x"]
    np.testing.assert_allclose(spectrum.contents, [5, 4])  # densities times widths
    scale = np.array([0.3, -0.4])
    np.testing.assert_allclose(spectrum.covariance, np.diag([0.3**2, 0.2**2]) + np.outer(scale, scale))


def test_what_is_exported_as_reference_data_is_read_as_a_theory(release: Release, tmp_path: Path) -> None:
    """Along two axes: values, and of the errors what a breakdown can say."""
    edges = [[-1.0, 0.0, 0.5, 1.0], [0.0, 2.5, 20.0]]
    measured = release.measure(["x", "n"], edges, density=True, components=["shift", "pdf", "data_bootstrap"])
    with pytest.warns(ExchangeWarning):
        measured.to_yoda(tmp_path / "two.yoda", analysis="MINE")
    name = measured.statistics[0].name
    theory = BinnedTheory.from_yoda(tmp_path / "two.yoda", {name: "/REF/MINE/d01-x01-y01"}, unit="pb")
    for shown in (measured, release.measure(["x", "n"], edges, components=["shift", "pdf", "data_bootstrap"])):
        values, covariance = theory.predict(shown)
        np.testing.assert_allclose(values, shown.nominal, rtol=1e-12)
        expected = sum(shown.covariance(one) for one in ("shift", "pdf"))
        expected = expected + np.diag(np.diag(shown.covariance("data_bootstrap")))
        np.testing.assert_allclose(covariance, expected, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ESTIMATE, r"no object '/MINE/x' of a kind with bins; did you mean /MINE/est\?|not a YODA file"),
        ("", "there is none at all"),
        (ESTIMATE.replace("0.4", "rubbish"), "not a YODA file, or a damaged one"),
        ("BEGIN YODA_HISTO1D_V3 /MINE/x\n---\n1 2\nEND YODA_HISTO1D_V3\n", "not a YODA file, or a damaged one"),
        ("BEGIN YODA_COUNTER_V3 /MINE/x\n---\n# x\n1.0 1.0 1.0\nEND YODA_COUNTER_V3\n", "expected a Histo1D"),
    ],
    ids=["missing", "empty", "rubbish", "short", "counter"],
)
def test_yoda_files_without_it_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad.yoda").write_text(text)
    with pytest.raises(InputError, match=message):
        BinnedTheory.from_yoda(tmp_path / "bad.yoda", {"x": "/MINE/x"}, unit="pb")


def test_a_root_file_has_histograms_of_one_axis_and_of_two(release: Release, events: Theory, tmp_path: Path) -> None:
    filled = hist.Hist.new.Var(X_EDGES).Var(Y_EDGES).Weight()
    filled.fill(X.astype(np.float32), Y.astype(np.float32), weight=WEIGHTS)
    with uproot.recreate(tmp_path / "h.root") as file:
        file["mine/xy"], file["x"] = filled, of_hist(X, X_EDGES, WEIGHTS)
        file["x[MUR2]"], file["tree"] = of_hist(X, X_EDGES, UP), {"x": X}
    measurement = release.measure(["x", "y"], [X_EDGES, Y_EDGES])
    theory = BinnedTheory.from_root(tmp_path / "h.root", {measurement.statistics[0].name: "mine/xy"}, unit="pb")
    np.testing.assert_allclose(theory.predict(measurement)[0], events.predict(measurement)[0], rtol=1e-6)
    one = release.measure("x", X_EDGES)
    families = {"tune": Combination("hessian", ("MUR2",))}
    varied = BinnedTheory.from_root(tmp_path / "h.root", {"x": "x"}, unit="pb", families=families)
    for component in ("statistics", "tune"):
        expected = events.prediction(one).covariance(component)
        np.testing.assert_allclose(varied.prediction(one).covariance(component), expected, rtol=1e-5, atol=1e-12)
    divided = BinnedTheory.from_root(tmp_path / "h.root", {"x": "x"}, unit="pb", density=True)
    np.testing.assert_allclose(divided.spectra["x"].contents, varied.spectra["x"].contents * np.diff(X_EDGES))
    for key, message in (
        ("y", r"no histogram \(TH1, TH2\) 'y'; there are"),
        ("tree", r"'tree' \(it is a ROOT::RNTuple\)"),
    ):
        with pytest.raises(InputError, match=message):
            BinnedTheory.from_root(tmp_path / "h.root", {"x": key}, unit="pb")
    (tmp_path / "bad.root").write_bytes(b"root rubbish")
    for name, message in (("bad", "not a ROOT file, or a damaged one"), ("absent", "no such file")):
        with pytest.raises(InputError, match=message):
            BinnedTheory.from_root(tmp_path / f"{name}.root", {"x": "x"}, unit="pb")


def test_a_missing_yoda_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="absent: no such file"):
        BinnedTheory.from_yoda(tmp_path / "absent", {"x": "/MINE/x"}, unit="pb")
