"""Strength of a signal in closed form, and as pyhf and HS3 give it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from omnifold_pub.errors import ObservableError, StatisticsError
from omnifold_pub.exchange import pyhf as pyhf_export
from omnifold_pub.exchange.gaussian import Strength, strength
from omnifold_pub.exchange.hs3 import hs3_document
from omnifold_pub.exchange.pyhf import Document, workspace_of
from omnifold_pub.exchange.whitening import Whitened, whiten


def problem(bins: int, *, error: float = 0.05, pull: float = 0.0, seed: int = 1) -> tuple[Whitened, np.ndarray]:
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(bins, bins + 3))
    covariance = root @ root.T
    signal = rng.normal(size=bins)
    signal *= 1 / (error * np.sqrt(signal @ np.linalg.solve(covariance, signal)))
    noise = np.linalg.cholesky(covariance) @ rng.normal(size=bins)
    return whiten(noise + pull * error * signal, signal, covariance), covariance


@pytest.mark.parametrize("pull", [-5.0, 0.0, 5.0])
def test_closed_form_is_that_of_the_textbook(pull: float) -> None:
    white, covariance = problem(6, pull=pull)
    x, s = white.measured, np.linalg.pinv(white.transform) @ white.signal
    inverse = np.linalg.inv(covariance)
    found = strength(white)
    assert found.error == pytest.approx((s @ inverse @ s) ** -0.5)
    assert found.best_fit == pytest.approx(s @ inverse @ x * found.error**2)

    def cls(mu: float) -> float:
        return float(norm.sf((mu - found.best_fit) / found.error) / norm.cdf(found.best_fit / found.error)) - 0.05

    assert found.limit == pytest.approx(brentq(cls, max(found.best_fit, 0), found.limit + 1), rel=1e-6)


@pytest.mark.filterwarnings("ignore:jsonschema.RefResolver:DeprecationWarning")
@pytest.mark.parametrize(("bins", "pull"), [(5, 0.0), (10, 5.0)])
def test_pyhf_gives_the_closed_form(bins: int, pull: float) -> None:
    pyhf = pytest.importorskip("pyhf")
    white, _ = problem(bins, pull=pull)
    document = workspace_of(white)
    workspace = pyhf.Workspace(document)
    model = workspace.model(measurement_name="limit")
    expected = strength(white)
    observed, bands = pyhf.infer.intervals.upper_limits.toms748_scan(
        workspace.data(model), model, 0.1 * expected.error, 20 * expected.error
    )
    assert float(observed) == pytest.approx(expected.limit, rel=5e-3)
    assert [float(one) for one in bands] == pytest.approx(expected.expected, rel=5e-3)
    kept = {one["name"]: one["data"] for one in document["observations"]}
    np.testing.assert_array_equal(kept["measurement/measured"], white.measured)


def test_what_pyhf_would_get_wrong_is_refused() -> None:
    pytest.importorskip("pyhf")
    with pytest.raises(StatisticsError, match="multiply the signal by"):
        workspace_of(problem(6, error=1e4)[0])


def test_a_signal_for_all_of_the_data_is_refused_with_a_hint() -> None:
    pytest.importorskip("pyhf")
    with pytest.raises(StatisticsError, match=r"give the background: without it, mu is 9[0-9] times its error"):
        workspace_of(problem(4, pull=95.0)[0])


def off_by(found: Strength, what: str, share: float) -> Strength:
    """Return what a fit that is off would find."""
    if what == "best fit":
        return replace(found, best_fit=found.best_fit + share * max(found.error, abs(found.best_fit)))
    if what == "error":
        return replace(found, error=found.error * (1 + share))
    if what == "observed limit":
        return replace(found, limit=found.limit * (1 - share))
    low, below, median, above, high = found.expected
    return replace(found, expected=(low, below, median, above, high * (1 + share)))


@pytest.mark.parametrize("what", ["best fit", "error", "observed limit", "expected limits"])
def test_half_a_percent_off_is_refused_whatever_it_is_of(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyhf")
    white, _ = problem(4, pull=2.0)
    monkeypatch.setattr(pyhf_export, "refitted", lambda _, expected: off_by(expected, what, 0.0045))
    assert workspace_of(white)["version"] == "1.0.0"
    for share in (0.0055, float("nan")):
        monkeypatch.setattr(pyhf_export, "refitted", lambda _, expected, share=share: off_by(expected, what, share))
        with pytest.raises(StatisticsError, match=f"it is off by: .*{what} (0.55|nan) %.*; expected at most 0.5 %"):
            workspace_of(white)


def test_of_those_that_agree_the_best_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyhf")
    shares = iter([0.0045, float("nan"), 0.003, 0.004, 0.0015, 0.0])
    found = []

    def fitted(document: Document, expected: Strength) -> Strength:
        found.append(document)
        return off_by(expected, "error", next(shares))

    monkeypatch.setattr(pyhf_export, "refitted", fitted)
    assert workspace_of(problem(4)[0]) is found[4]
    assert len(found) == 5


def test_named_sources_leave_every_bin_near_its_scale() -> None:
    """However far they move it: by thirty standard deviations here."""
    pytest.importorskip("pyhf")
    white = whiten([3.0, 3.1, 2.9, 3.2], [0.0, 0.1, 0.1, 0.0], np.eye(4) * 0.01, shifts={"scale": np.full(4, 3.0)})
    document = workspace_of(white)
    kept = {one["name"].partition(" ")[0]: np.array(one["data"]) for one in document["observations"]}
    scale = kept["measurement/about"][0]
    (background, _), (source,) = (
        document["channels"][0]["samples"],
        document["measurements"][0]["config"]["parameters"][1:],
    )
    shift = np.subtract(background["modifiers"][0]["data"]["hi_data"], background["data"])
    for counts in (document["observations"][0]["data"], background["data"] + source["inits"][0] * shift):
        assert (np.abs(np.array(counts) / scale - 1) < 0.02).all()
    assert (np.abs(np.array(background["data"]) / scale - 1) > 0.05).all()  # far off if the source stays where it was
    root = scale**0.5
    np.testing.assert_allclose(
        document["observations"][0]["data"], scale + root * (white.data - kept["measurement/centre"])
    )
    expected = strength(white)
    assert max(pyhf_export.deviations(pyhf_export.refitted(document, expected), expected).values()) < 2e-3


def test_directions_without_variance_are_dropped_only_where_nothing_is_lost() -> None:
    project = np.eye(4) - 0.25
    shares = np.array([0.4, 0.3, 0.2, 0.1])
    white = whiten(shares, [0.1, -0.1, 0, 0], project * 0.01, background=np.full(4, 0.25))
    assert len(white.data) == 3
    with pytest.raises(StatisticsError, match="knows nothing"):
        whiten(shares, shares, project * 0.01)
    with pytest.raises(ObservableError, match="zero in every bin"):
        whiten(shares, np.zeros(4), np.eye(4))


def test_hs3_has_the_same_likelihood() -> None:
    white, _ = problem(3)
    document = hs3_document(white)
    t = [one["factors"][1] for one in document["functions"] if one["type"] == "product"]
    np.testing.assert_array_equal(t, white.signal)
    np.testing.assert_array_equal([one["entries"][0][0] for one in document["data"]], white.data)
