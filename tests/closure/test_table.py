"""The closure table against a release whose truth is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from omnifold_pub import Release, Theory, UnfoldingResult, open_release, publish
from omnifold_pub.closure import ClosureRow, ClosureTable, Metric, closure_table, prior_theory
from omnifold_pub.errors import InputError, MissingExtraError, ObservableError, ReleaseError
from omnifold_pub.reinterpret.two_sample.floor import Floor

BINS = {"x": [-10.0, -1.0, 0.0, 1.0, 10.0], "y": [0.0, 15.0, 40.0, 400.0]}


def theory(release: Release, seed: int = 3, events: int = 400, **changed: NDArray[Any]) -> Theory:
    """Return a truth of the same law as the release's columns, made anew."""
    rng = np.random.default_rng(seed)
    y = rng.exponential(30, events)
    y[rng.random(events) < 0.2] = np.nan
    columns = {"x": rng.normal(size=events), "y": y, "n": rng.poisson(3, events), "z": rng.random(events)}
    columns |= changed
    weights = np.full(events, release.nominal_weights.sum(dtype=np.float64) / events)
    return Theory.from_arrays(columns, weights, unit="pb", name="truth")


def row(unfolded: float, prior: float | None, bins: int = 8) -> ClosureRow:
    nothing = Metric(0, None, Floor(0, 0))
    chi2 = Metric(unfolded, prior, Floor(bins, np.sqrt(2 * bins)))
    return ClosureRow("x", np.arange(bins + 1.0), chi2, 0.5, nothing, nothing)


@pytest.mark.parametrize(
    ("unfolded", "prior", "verdict"),
    [(5, 5, "nearer"), (5, 100, "nearer"), (8.9, 5, "as near"), (9.1, 5, "further"), (5, None, "")],
)
def test_the_verdict(unfolded: float, prior: float | None, verdict: str) -> None:
    assert row(unfolded, prior).verdict == verdict


@pytest.fixture
def truth(release: Release) -> Theory:
    return theory(release)


@pytest.fixture
def table(release: Release, truth: Theory) -> ClosureTable:
    return closure_table(release, truth, observables=BINS, classifier=False)


def test_chi2_is_that_of_a_comparison_by_hand(release: Release, truth: Theory, table: ClosureTable) -> None:
    for found, (name, edges) in zip(table.rows, BINS.items(), strict=True):
        measured = release.measure(name, edges)
        covariance = measured.covariance()
        expected = np.histogram(truth.events[name].astype(float), edges, weights=truth.weights)[0]
        column = release.events[name].astype(float)
        before = np.histogram(column, edges, weights=release.prior_weights.astype(float))[0]
        distances = [r @ np.linalg.solve(covariance, r) for r in (measured.values() - expected, before - expected)]
        assert [found.chi2.unfolded, found.chi2.prior] == pytest.approx(distances, rel=1e-6)
        assert found.p_value == measured.chi2(expected).p_value
        assert (found.chi2.floor.mean, found.bins) == (len(edges) - 1, len(edges) - 1)
        assert found.chi2.floor.deviation == pytest.approx(np.sqrt(2 * found.bins))
        assert found.edges.tolist() == edges


def test_distances_are_those_of_scipy_and_by_hand(release: Release, truth: Theory, table: ClosureTable) -> None:
    for found, (name, edges) in zip(table.rows, BINS.items(), strict=True):
        x, y = release.events[name].astype(float), truth.events[name].astype(float)
        there, known = ~np.isnan(x), ~np.isnan(y)
        deviation = np.nanstd(y)  # the truth's weights are all equal
        weights = {"unfolded": release.nominal_weights, "prior": release.prior_weights}
        for which, weight in weights.items():
            expected = stats.wasserstein_distance(x[there], y[known], weight[there]) / deviation
            assert getattr(found.wasserstein, which) == pytest.approx(expected, rel=1e-5)
            p, q = (np.histogram(a, edges, weights=w.astype(float))[0] for a, w in ((x, weight), (y, truth.weights)))
            p, q = p / p.sum(), q / q.sum()
            assert getattr(found.triangular, which) == pytest.approx(500 * ((p - q) ** 2 / (p + q)).sum(), rel=1e-5)


def test_an_unfolding_that_found_the_truth_is_at_the_floor(release: Release) -> None:
    """Truths of the release's own law: distances scatter around their floors."""
    pulls = []
    for seed in range(6):
        found = closure_table(release, theory(release, seed), observables=BINS, classifier=False, projections=5)
        for one in found.rows:
            metrics = (one.triangular, one.wasserstein)
            pulls += [(metric.unfolded - metric.floor.mean) / metric.floor.deviation for metric in metrics]
    assert abs(np.mean(pulls)) < 1.5  # one release, its own fluctuation stays
    assert max(pulls) < 6


def test_a_shifted_observable_is_seen_in_it_alone(release: Release) -> None:
    shifted = theory(release, x=np.random.default_rng(5).normal(1.0, 1, 400))
    found = closure_table(release, shifted, observables=BINS, classifier=False)
    x, y = found.rows
    assert x.wasserstein.unfolded > x.wasserstein.floor.mean + 5 * x.wasserstein.floor.deviation
    assert x.wasserstein.unfolded == pytest.approx(1, abs=0.25)
    assert y.wasserstein.unfolded < y.wasserstein.floor.mean + 5 * y.wasserstein.floor.deviation
    assert found.sliced_wasserstein.unfolded > 3 * found.sliced_wasserstein.floor.mean


def test_bins_are_proposed_where_none_are_given(release: Release, truth: Theory) -> None:
    found = closure_table(release, truth, bins=4, classifier=False, projections=3)
    assert [one.observable for one in found.rows] == ["x", "y", "n", "z"]
    for one in found.rows:
        assert one.edges.tolist() == release.suggest_bins(one.observable, 4).edges.tolist()


def test_expressions_functions_and_undefined_values(release: Release, truth: Theory) -> None:
    def squared(events: Any) -> Any:
        return events["x"] ** 2

    wanted: dict[str, Any] = {"x / n": [-10.0, 0.0, 10.0], "x2": (squared, [0.0, 0.5, 1.0, 50.0])}
    with pytest.raises(ObservableError, match=r"infinite|NaN"):
        closure_table(release, truth, observables=wanted, classifier=False)
    wanted = {"x / (n + 1)": [-10.0, 0.0, 10.0], "x2": (squared, [0.0, 0.5, 1.0, 50.0])}
    found = closure_table(release, truth, observables=wanted, classifier=False)
    assert [one.observable for one in found.rows] == list(wanted)


def test_one_observable_is_its_own_slice(release: Release, truth: Theory) -> None:
    found = closure_table(release, truth, observables={"x": BINS["x"]}, classifier=False)
    assert found.sliced_wasserstein.unfolded == pytest.approx(found.rows[0].wasserstein.unfolded)


def test_without_a_prior(release: Release, truth: Theory) -> None:
    found = closure_table(release, truth, observables=BINS, prior=False, classifier=False)
    assert found.rows[0].chi2.prior is found.rows[0].wasserstein.prior is found.sliced_wasserstein.prior is None
    assert found.rows[0].verdict == ""


def test_json_holds_all_of_it(table: ClosureTable) -> None:
    document = json.loads(json.dumps(table.to_dict(), allow_nan=False))
    assert document["classifier_auc"] is None
    assert document["observables"][0]["chi2"] == table.rows[0].chi2.to_dict()
    assert document["observables"][1]["edges"] == BINS["y"]


def test_the_prior_is_the_simulation(release: Release) -> None:
    prior = prior_theory(release)
    np.testing.assert_array_equal(prior.weights, release.prior_weights)
    np.testing.assert_array_equal(prior.events["z"], release.events["z"].astype(np.float32))


def test_a_classifier_is_trained_on_all_observables(release: Release) -> None:
    shifted = theory(release, events=4_000, z=np.random.default_rng(5).random(4_000) ** 4)
    found = closure_table(release, shifted, observables={"z": [0.0, 0.5, 1.0]})
    assert found.classifier is not None
    assert found.classifier.unfolded > 0.6
    assert found.classifier.floor.mean == 0.5
    assert found.to_dict()["classifier_auc"] == found.classifier.to_dict()


def test_another_unit_is_refused(release: Release, truth: Theory) -> None:
    femtobarn = Theory.from_arrays({"x": truth.events["x"]}, truth.weights * 1000, unit="fb")
    with pytest.raises(InputError, match="fb"):
        closure_table(release, femtobarn, observables={"x": BINS["x"]}, classifier=False)


def test_a_selection_is_no_observable(release: Release, truth: Theory) -> None:
    from omnifold_pub.estimators import Histogram

    selected: Any = {"x": Histogram("x", BINS["x"], where="z > 0.5")}
    with pytest.raises(ObservableError, match="without selection"):
        closure_table(release, truth, observables=selected, classifier=False)


def test_a_release_without_a_prior_says_so(tmp_path: Path, result: UnfoldingResult) -> None:
    from dataclasses import replace

    metadata = {**result.metadata, "weights": {**result.metadata["weights"], "prior": False}}
    path = publish(replace(result, prior=None, metadata=metadata), tmp_path / "release.h5")
    with open_release(path) as release, pytest.raises(ReleaseError, match="no prior weights"):
        closure_table(release, theory(release), observables=BINS, classifier=False)


def test_the_classifier_needs_its_extra(release: Release, truth: Theory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("omnifold_pub.extras.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match="can be left out"):
        closure_table(release, truth, observables={"x": BINS["x"]})
