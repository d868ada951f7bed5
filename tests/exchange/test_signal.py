"""The strength of a signal in a measurement: in closed form, and as other programs find it in what is exported."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from omnifold_pub import JointMeasurement, Measurement
from omnifold_pub.errors import ObservableError, PublishError, StatisticsError
from omnifold_pub.exchange.gaussian import strength
from omnifold_pub.exchange.likelihoods import SignalIn, combined
from omnifold_pub.exchange.pyhf import combined_workspace, deviations, refitted
from omnifold_pub.exchange.pyhf_grid import signal_grid
from omnifold_pub.exchange.spey import spey_model
from omnifold_pub.exchange.whitening import stack, whiten, whiten_measurement
from tests.exchange.conftest import make_measurement

pytestmark = pytest.mark.filterwarnings("ignore:jsonschema.RefResolver:DeprecationWarning")

Vector = NDArray[np.float64]


@pytest.fixture(autouse=True)
def backend() -> Iterator[None]:
    """Put pyhf's backend back: its command line and cabinetry set it."""
    import pyhf

    before = pyhf.get_backend()
    yield
    pyhf.set_backend(*before)


@pytest.fixture
def measured() -> Measurement:
    return make_measurement(3, edges=(0.0, 1.0, 3.0, 4.0, 6.0), name="source_{}")


@pytest.fixture
def signal(measured: Measurement) -> Vector:
    return np.asarray(measured.nominal * [0.0, 0.1, 0.3, 0.2])


def cli(*arguments: object) -> Any:
    import pyhf.cli

    done = CliRunner().invoke(pyhf.cli.cli, [str(one) for one in arguments])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_the_strength_is_that_of_generalised_least_squares(measured: Measurement, signal: Vector) -> None:
    extra = np.diag(measured.nominal * 0.01) ** 2
    inverse = np.linalg.inv(measured.covariance() - measured.covariance("source_1") + extra)
    residual = measured.nominal * 0.1
    found = measured.signal_strength(
        signal, background=measured.nominal * 0.9, covariance=extra, leave_out=["source_1"]
    )
    assert found.error == pytest.approx((signal @ inverse @ signal) ** -0.5)
    assert found.best_fit == pytest.approx(signal @ inverse @ residual * found.error**2)
    left = residual - found.best_fit * signal
    assert found.chi2 == pytest.approx(left @ inverse @ left)
    assert found.dof == 3
    with pytest.raises(StatisticsError, match="expected a confidence level between 0 and 1"):
        measured.signal_strength(signal, level=95)
    with pytest.raises(ObservableError, match="the signal has 2 bins; expected 4"):
        measured.signal_strength([1.0, 2.0])
    with pytest.raises(ObservableError, match="no component 'source_9' to leave out; there are data, source_0"):
        measured.signal_strength(signal, leave_out=["source_9"])


@pytest.mark.parametrize("mode", ["whitened", "named"])
def test_the_command_line_of_pyhf_finds_the_strength(
    measured: Measurement, signal: Vector, mode: Any, tmp_path: Path
) -> None:
    path = tmp_path / "workspace.json"
    background = measured.nominal * 0.9
    document = measured.to_pyhf(signal, background=background, mode=mode, path=path)
    assert json.loads(path.read_text()) == document
    expected = measured.signal_strength(signal, background=background)
    assert cli("fit", path, "--measurement", "fit")["mle_parameters"]["mu"] == pytest.approx(
        [expected.best_fit], abs=5e-3 * expected.error
    )
    assert cli("cls", path, "--measurement", "limit", "--test-poi", expected.limit)["CLs_obs"] == pytest.approx(
        0.05, rel=0.02
    )
    bands = [
        cli("cls", path, "--measurement", "limit", "--test-poi", limit)["CLs_exp"][number]
        for number, limit in enumerate(expected.expected)
    ]
    assert bands == pytest.approx([0.05] * 5, rel=0.03)


def test_named_sources_stay_apart_and_what_was_measured_goes_along(measured: Measurement, signal: Vector) -> None:
    document = measured.to_pyhf(signal, background=measured.nominal, mode="named", channel="pT", leave_out=["source_1"])
    (channel,) = document["channels"]
    kinds = {one["name"]: one["type"] for one in channel["samples"][0]["modifiers"]}
    assert kinds == {"source_0": "histosys", "source_2": "histosys"}
    kept = {one["name"].partition(" ")[0]: one for one in document["observations"]}
    about = json.loads(kept["pT/about"]["name"].partition(" ")[2])
    assert about["bins"] == list(measured.labels)
    assert about["units"] == ["pb / GeV"]
    assert about["components"] == ["data", "source_0", "source_2"]
    transform = np.reshape(kept["pT/transform"]["data"], about["transform"])
    np.testing.assert_allclose(transform @ measured.covariance("data") @ transform.T, np.eye(4), atol=1e-10)
    np.testing.assert_allclose(kept["pT/measured"]["data"], measured.nominal)
    np.testing.assert_allclose(transform @ signal * about["scale"] ** 0.5, channel["samples"][1]["data"])


def test_a_source_with_the_name_of_the_strength_is_refused(signal: Vector) -> None:
    named_mu = make_measurement(1, edges=(0.0, 1.0, 3.0, 4.0, 6.0), name="mu")
    with pytest.raises(ObservableError, match="is called 'mu', as a parameter of the workspace"):
        named_mu.to_pyhf(signal, background=named_mu.nominal, mode="named")
    assert named_mu.to_pyhf(signal, background=named_mu.nominal)


@pytest.mark.parametrize("method", ["to_pyhf", "to_hs3"])
def test_a_mode_that_there_is_not_is_refused(measured: Measurement, signal: Vector, method: str) -> None:
    with pytest.raises(ObservableError, match="mode: expected whitened or named; found 'names'"):
        getattr(measured, method)(signal, background=measured.nominal, mode="names")


def test_a_joint_measurement_of_a_release_is_exported(pair: JointMeasurement, tmp_path: Path) -> None:
    """All kinds of components, named and whitened; each workspace is refitted by `to_pyhf` itself."""
    signal = pair.nominal * np.linspace(-0.1, 0.3, len(pair.nominal))
    results = {
        mode: pair.to_pyhf(signal, background=pair.nominal, mode=mode, covariance=np.diag(pair.nominal**2) * 1e-4)
        for mode in ("whitened", "named")
    }
    sizes = [len(results[mode]["channels"][0]["samples"][0]["modifiers"]) for mode in ("whitened", "named")]
    assert sizes[0] == 1
    assert sizes[1] > 3
    with pytest.raises(PublishError, match="not written"):
        pair.to_hs3(signal, background=pair.nominal, path=tmp_path / "absent" / "x.json")


def test_goodness_of_fit_of_cabinetry(measured: Measurement, signal: Vector) -> None:
    cabinetry = pytest.importorskip("cabinetry")
    import pyhf

    background = measured.nominal * np.array([0.8, 1.1, 0.9, 0.9])
    expected = measured.signal_strength(signal, background=background)
    for mode in ("whitened", "named"):
        workspace = pyhf.Workspace(measured.to_pyhf(signal, background=background, mode=mode))
        model = workspace.model(measurement_name="fit")
        found = cabinetry.fit.fit(model, workspace.data(model), goodness_of_fit=True)
        assert found.goodness_of_fit == pytest.approx(expected.p_value, rel=0.05)
        assert found.bestfit[model.config.poi_index] == pytest.approx(expected.best_fit, abs=0.01 * expected.error)
        assert found.uncertainty[model.config.poi_index] == pytest.approx(expected.error, rel=0.03)


def test_two_measurements_share_a_strength_and_sources_of_one_name(measured: Measurement, signal: Vector) -> None:
    other = make_measurement(2, edges=(0.0, 1.0, 3.0, 4.0), name="source_{}")
    first = whiten_measurement(measured, signal, background=measured.nominal * 0.95, named=True)
    second = whiten_measurement(other, other.nominal * [0.1, 0, 0.2], background=other.nominal * 0.98, named=True)
    document = combined_workspace({"one": first, "two": second})
    assert [one["name"] for one in document["channels"]] == ["one", "two"]
    covariance = np.zeros((7, 7))
    covariance[:4, :4], covariance[4:, 4:] = measured.covariance(), other.covariance()
    for name in ("source_0", "source_1"):
        cross = np.outer(*(one.members(name)[0] - one.nominal for one in (measured, other)))
        covariance[:4, 4:] += cross
        covariance[4:, :4] += cross.T
    signals = np.concatenate([signal, other.nominal * [0.1, 0, 0.2]])
    residual = np.concatenate([measured.nominal * 0.05, other.nominal * 0.02])
    inverse = np.linalg.inv(covariance)
    expected = strength(stack([first, second]))
    assert expected.error == pytest.approx((signals @ inverse @ signals) ** -0.5)
    assert expected.best_fit == pytest.approx(signals @ inverse @ residual * expected.error**2)
    assert max(deviations(refitted(document, expected), expected).values()) < 5e-3
    with pytest.raises(ObservableError, match="at least one measurement"):
        combined_workspace({})


def test_a_grid_of_signals_is_a_patch_set(measured: Measurement, signal: Vector, tmp_path: Path) -> None:
    import pyhf

    background = measured.nominal * 0.97
    signals = {(500.0, "low"): signal, (750.5, "low"): signal * 30, (-1.0, "high"): signal[::-1] + 0.1}
    base, patches = signal_grid(
        measured,
        signals,
        labels=("mass", "width"),
        record="ins1234567",
        description="resonances",
        background=background,
    )
    names = [one["metadata"]["name"] for one in patches["patches"]]
    assert names == ["mass_500p0_width_low", "mass_750p5_width_low", "mass_m1p0_width_high"]
    for name, document in {"base": base, "patches": patches}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(document))
    patch_set = pyhf.PatchSet(patches)
    patch_set.verify(base)
    for point, one in signals.items():
        assert dict(patch_set.apply(base, point)) == measured.to_pyhf(one, background=background)
    done = cli("patchset", "apply", tmp_path / "base.json", tmp_path / "patches.json", "--name", names[1])
    assert done == measured.to_pyhf(signal * 30, background=background)
    assert pyhf.Workspace(base).model(measurement_name="fit").config.poi_name is None


def test_the_methods_write_a_grid_and_a_combination(measured: Measurement, signal: Vector, tmp_path: Path) -> None:
    grid: dict[str, Any] = {"labels": ("mass",), "record": "ins1234567", "description": "resonances"}
    grid["background"] = measured.nominal * 0.97
    workspace, patches = measured.to_pyhf_grid({(500.0,): signal}, **grid, path=tmp_path / "grid.json")
    assert (workspace, patches) == signal_grid(measured, {(500.0,): signal}, **grid)
    assert json.loads((tmp_path / "grid.json").read_text()) == workspace
    assert json.loads((tmp_path / "grid.patchset.json").read_text()) == patches

    other = make_measurement(2, edges=(0.0, 1.0, 3.0, 4.0), name="source_{}")
    more = np.asarray(other.nominal * [0.1, 0.0, 0.2])
    parts = {
        "one": SignalIn(measured, signal, background=measured.nominal * 0.95),
        "two": SignalIn(other, more, background=other.nominal * 0.98),
    }
    path = tmp_path / "both.json"
    document, expected = combined(parts, path=path)
    assert expected.error < measured.signal_strength(signal).error  # two know more than one
    assert json.loads(path.read_text()) == document
    assert cli("fit", path, "--measurement", "fit")["mle_parameters"]["mu"] == pytest.approx(
        [expected.best_fit], abs=5e-3 * expected.error
    )


@pytest.mark.parametrize(
    ("points", "labels", "record", "said"),
    [
        ([], ("mass",), "ins1234567", "found 0 points and 1 labels"),
        ([(1.0, 2.0)], ("mass",), "ins1234567", "has 2 coordinates; expected 1: mass"),
        ([(1.0,)], ("m/TeV",), "ins1234567", "expected a name of letters"),
        ([("a.b",), ("apb",)], ("name",), "ins1234567", "two points have the same name: name_apb"),
        ([(1.0,)], ("mass",), "1234567", "the record is '1234567'; expected its name in HEPData"),
    ],
)
def test_a_grid_that_pyhf_would_not_take_is_refused(
    measured: Measurement, signal: Vector, points: Any, labels: Any, record: str, said: str
) -> None:
    signals = dict.fromkeys(points, signal)
    with pytest.raises(ObservableError, match=said):
        signal_grid(measured, signals, labels=labels, record=record, description="")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_spey_finds_the_strength(measured: Measurement, signal: Vector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPEY_CHECKUPDATE", "OFF")  # it asks the network for news
    spey = pytest.importorskip("spey")
    background = measured.nominal * np.array([1.05, 1.1, 1.02, 1.1])
    expected = measured.signal_strength(signal, background=background)
    assert expected.best_fit < 0  # which spey must be given room for
    model = measured.to_spey(signal, background=background, name="toy")
    found, _ = model.maximize_likelihood(allow_negative_signal=True)
    assert found == pytest.approx(expected.best_fit, abs=1e-3 * expected.error)
    assert model.poi_upper_limit() == pytest.approx(expected.limit, rel=2e-3)
    bands = model.poi_upper_limit(expected=spey.ExpectationType.apriori, expected_pvalue="2sigma")
    assert bands == pytest.approx(expected.expected, rel=2e-3)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_spey_is_right_where_the_covariance_has_no_inverse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a normalised spectrum: spey itself takes such a matrix, and answers wrongly without a word."""
    monkeypatch.setenv("SPEY_CHECKUPDATE", "OFF")
    pytest.importorskip("spey")
    shares = np.array([0.4, 0.3, 0.2, 0.1])
    project = np.eye(4) - shares[:, np.newaxis]
    covariance = project @ np.diag(shares / 1000) @ project.T
    signal = project @ np.array([0.0, 0.02, 0.03, 0.05])
    data = shares + project @ np.array([0.01, -0.01, 0.005, 0.008])
    white = whiten(data, signal, covariance, background=shares)
    inside = slice(0, 3)  # what is left when a bin is dropped has all that is known
    inverse = np.linalg.inv(covariance[inside, inside])
    error = (signal[inside] @ inverse @ signal[inside]) ** -0.5
    best = signal[inside] @ inverse @ (data - shares)[inside] * error**2
    expected = strength(white)
    assert (expected.best_fit, expected.error) == pytest.approx((best, error))
    model = spey_model(white)
    found, _ = model.maximize_likelihood(allow_negative_signal=True)
    assert found == pytest.approx(best, abs=1e-3 * error)
    assert model.poi_upper_limit() == pytest.approx(expected.limit, rel=2e-3)


def test_pyhs3_has_the_likelihood(measured: Measurement, signal: Vector, tmp_path: Path) -> None:
    pyhs3 = pytest.importorskip("pyhs3")
    pytensor = pytest.importorskip("pytensor")
    background = measured.nominal * 0.95
    path = tmp_path / "likelihood.json"
    document = measured.to_hs3(signal, background=background, mode="named", path=path)
    workspace = pyhs3.Workspace.load(path)
    model = workspace.model(workspace.analyses["measurement_fit"])
    inputs = [one for one in pytensor.graph.traversal.explicit_graph_inputs([model.log_prob]) if one.name]
    function = pytensor.function(inputs, model.log_prob, mode="FAST_COMPILE")
    assert sorted(document["misc"]["omnifold_pub"]["sources"].values()) == ["source_0", "source_1", "source_2"]
    white = whiten_measurement(measured, signal, background=background, named=True)
    fit = measured.signal_strength(signal, background=background)

    def log_likelihood(mu: float, alphas: Vector) -> float:
        values = {**model.data, "mu": mu, **{f"alpha_{i}": alpha for i, alpha in enumerate(alphas)}}
        return float(function(*(np.asarray(values[one.name], dtype=float) for one in inputs)).item())

    at_zero = log_likelihood(0.0, np.zeros(3))
    for mu, alphas in ((fit.best_fit, np.zeros(3)), (fit.limit, np.array([0.5, -1.0, 0.2]))):
        residual = white.data - mu * white.signal - alphas @ np.stack(list(white.shifts.values()))
        difference = -(residual @ residual + alphas @ alphas - white.data @ white.data) / 2
        assert log_likelihood(mu, alphas) - at_zero == pytest.approx(difference, abs=1e-6)
