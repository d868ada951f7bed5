"""Reference data of YODA, read by babyyoda, which knows nothing of ours."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import babyyoda
import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from omnifold_pub import JointMeasurement, Measurement, Release
from omnifold_pub.errors import ObservableError, PublishError
from omnifold_pub.estimators import Histogram
from omnifold_pub.exchange.breakdown import error_sources
from omnifold_pub.exchange.methods import Exchangeable
from omnifold_pub.exchange.warning import ExchangeWarning
from omnifold_pub.exchange.yoda import FEWEST_SYSTEMATICS, write_yoda, yoda_text
from omnifold_pub.measurement import Estimate
from tests.exchange.conftest import make_measurement

Matrix = NDArray[np.float64]


def read(measured: Estimate, path: Path, **options: Any) -> dict[str, Any]:
    return dict(babyyoda.read(str(write_yoda(measured, path, analysis="TOY_2026_I1", **options))))


TURNS = "the shift changes its sign along the bins"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "reference.yoda"


def test_values_and_signed_errors_come_back(release: Release, path: Path) -> None:
    measured = release.measure("x", [-2.0, -0.7, 0.1, 0.8, 2.5], density=True)
    with pytest.warns(ExchangeWarning, match=TURNS):
        found = read(measured, path)["/REF/TOY_2026_I1/d01-x01-y01"]
    assert found.xEdges() == [-2.0, -0.7, 0.1, 0.8, 2.5]
    assert [one.val() for one in found.bins()] == measured.nominal.tolist()
    assert np.isnan([found.values()[0], found.values()[-1]]).all()  # under- and overflow are not ours to tell
    labels = found.error_labels()
    assert labels == [source.label("_").replace("[", "_").replace("]", "") for source in error_sources(measured)]
    for i, source in enumerate(error_sources(measured)):
        assert found.errors_up(i)[1:-1] == source.shift.tolist()
        assert found.errors_dn(i)[1:-1] == (-source.shift).tolist()
    shifted = found.errors_up(labels.index("sys_shift"))[1:-1]
    assert shifted == (measured.members("shift")[0] - measured.nominal).tolist()
    totals = [one.totalErr()[1] for one in found.bins()]
    np.testing.assert_allclose(totals, measured.uncertainties(), rtol=1e-12)


def test_the_breakdown_gives_the_covariance_that_rivet_can_have(release: Release, path: Path) -> None:
    measured = release.measure("x", [-2.0, -0.7, 0.1, 0.8, 2.5], density=True)
    with pytest.warns(ExchangeWarning, match=TURNS):
        found = read(measured, path)["/REF/TOY_2026_I1/d01-x01-y01"]
    whole = np.zeros((4, 4))
    for i, label in enumerate(found.error_labels()):
        shift = (np.array(found.errors_up(i)) - np.array(found.errors_dn(i)))[1:-1] / 2
        alone = re.match("^stat|^uncor", label)
        whole += np.diag(shift**2) if alone else np.outer(shift, shift)
    expected = np.zeros((4, 4))
    for component in measured.components:
        own = measured.covariance(component.name)
        expected += np.diag(np.diag(own)) if component.is_replicated or not component.correlated else own
    np.testing.assert_allclose(whole, expected, rtol=1e-9, atol=1e-15)


def test_the_whole_covariance_stands_beside_it(release: Release, path: Path) -> None:
    measured = release.measure(Histogram("x", [-2.0, -0.7, 0.1, 2.5], flow=True))
    with pytest.warns(ExchangeWarning, match="contents of bins"):
        found = read(measured, path)
    matrix = np.reshape([one.val() for one in found["/REF/TOY_2026_I1/d01-x01-y01_cov"].bins()], (3, 3))
    assert (matrix == measured.inner().covariance()).all()


def test_flow_bins_are_those_of_yoda(release: Release, path: Path) -> None:
    measured = release.measure(Histogram("x", [-2.0, -0.7, 0.1, 2.5], flow=True))
    with pytest.warns(ExchangeWarning, match="contents of bins"):
        found = read(measured, path)["/REF/TOY_2026_I1/d01-x01-y01"]
    assert found.xEdges() == [-2.0, -0.7, 0.1, 2.5]
    assert found.values() == measured.nominal.tolist()


def test_of_two_axes_the_first_runs_fastest(release: Release, path: Path) -> None:
    measured = release.measure(["x", "n"], [[-1.0, 0.0, 0.5, 1.0], [0, 2.5, 20]], density=True)
    with pytest.warns(ExchangeWarning, match=TURNS):
        found = read(measured, path)["/REF/TOY_2026_I1/d01-x01-y01"]
    assert (found.xEdges(), found.yEdges()) == ([-1.0, 0.0, 0.5, 1.0], [0.0, 2.5, 20.0])
    values, shifts = measured.values(), measured.members("shift")[0].reshape(3, 2) - measured.values()
    label = found.error_labels().index("sys_shift")
    numbers = iter(found.bins())
    for j in range(2):
        for i in range(3):
            one = next(numbers)
            assert (one.val(), one.errors_up()[label]) == (values[i, j], shifts[i, j])


def test_several_statistics_are_numbered(pair: JointMeasurement, path: Path) -> None:
    with pytest.warns(ExchangeWarning, match="; x: contents of bins"):
        found = read(pair, path)
    assert list(found) == [f"/REF/TOY_2026_I1/d0{i}-x01-y01{end}" for i in (1, 2) for end in ("", "_cov")]
    second = found["/REF/TOY_2026_I1/d02-x01-y01"]
    assert [one.val() for one in second.bins()] == pair["y"].nominal.tolist()
    assert (second.title(), second.annotation("YLabel"), second.annotation("XLabel")) == (
        "y",
        "y [pb / GeV]",
        "$y$ [GeV]",
    )


def test_labels_hold_nothing_that_readers_take_for_their_own(path: Path) -> None:
    measured = make_measurement(FEWEST_SYSTEMATICS)
    found = read(measured, path)["/REF/TOY_2026_I1/d01-x01-y01"]
    labels = found.error_labels()
    assert labels == ["stat_data", *(f"sys_source_{i}_a" for i in range(FEWEST_SYSTEMATICS))]
    assert all(len(one.errors_up()) == len(labels) for one in found.bins())


@pytest.mark.parametrize("systematics", [0, 4, 5, 6])
def test_contur_ignores_correlations_of_few_systematics(systematics: int) -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        yoda_text(make_measurement(systematics), "TOY")
    expected = [f"{systematics} systematic sources: below 5 Contur ignores"] if systematics < 5 else []
    assert [str(one.message)[: len(e)] for one, e in zip(said, expected, strict=True)] == expected


def test_signs_that_yoda_would_lose_are_told() -> None:
    steady, turning = make_measurement(5), make_measurement(5)
    members = turning.results[3].members
    members[0, 0] = turning.nominal[0] - 0.1
    yoda_text(steady, "TOY")
    with pytest.warns(ExchangeWarning, match=f"^sys_source_2_a: {TURNS}"):
        yoda_text(turning, "TOY")


@pytest.mark.parametrize(
    ("name", "version", "told"), [("status {}", 1, True), ("status {}", 2, False), ("a {}", 1, False)]
)
def test_names_that_yoda_1_takes_as_uncorrelated_are_told(name: str, version: Any, *, told: bool) -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        yoda_text(make_measurement(5, name=name), "TOY", version=version)
    assert ["YODA 1 takes sources as uncorrelated" in str(one.message) for one in said] == [True] * told


def test_yoda_1_has_the_breakdown_in_an_annotation(release: Release) -> None:
    measured = release.measure(Histogram("x", [-2.0, -0.7, 0.1, 2.5], flow=True, name="x"))
    with pytest.warns(ExchangeWarning, match="contents of bins"):
        text = yoda_text(measured, "TOY", version=1)
    inner = measured.inner()
    begin, *annotations = text.partition("\n---\n")[0].splitlines()
    assert begin == "BEGIN YODA_SCATTER2D_V2 /REF/TOY/d01-x01-y01"
    known = yaml.safe_load("\n".join(line for line in annotations if not line.startswith(("XLabel", "YLabel"))))
    assert (known["Path"], known["Type"]) == ("/REF/TOY/d01-x01-y01", "Scatter2D")
    for source in error_sources(inner):
        label = source.label("_").replace("[", "_").replace("]", "")
        errors = [known["ErrorBreakdown"][i][label] for i in range(3)]
        assert [error["up"] for error in errors] == source.shift.tolist()
        assert [error["dn"] for error in errors] == (-source.shift).tolist()
    rows = np.array([line.split() for line in text.splitlines() if re.match(r"[-\d]", line) and line != "---"], float)
    centres, widths = inner.axes[0].centers, inner.axes[0].widths
    total = inner.uncertainties()
    assert (rows == np.column_stack([centres, widths / 2, widths / 2, inner.nominal, total, total])).all()


def test_the_method_writes_the_same(path: Path, tmp_path: Path) -> None:
    measured = make_measurement(5)
    write_yoda(measured, path, analysis="TOY")
    Exchangeable.to_yoda(measured, tmp_path / "other.yoda", analysis="TOY")
    assert (tmp_path / "other.yoda").read_bytes() == path.read_bytes()
    Exchangeable.to_yoda(measured, tmp_path / "other.yoda", analysis="TOY", version=1)
    assert "SCATTER2D" in (tmp_path / "other.yoda").read_text()


@pytest.mark.parametrize("analysis", ["", "TOY/x", "TOY x", "TOY\nEND"])
def test_a_name_that_would_break_the_path_is_refused(analysis: str) -> None:
    with pytest.raises(ObservableError, match="expected letters, digits and underscores"):
        yoda_text(make_measurement(5), analysis)


def test_what_yoda_cannot_take_is_refused(release: Release, tmp_path: Path) -> None:
    moments = release.estimate(lambda events, weights: np.array([weights.sum()]))
    with pytest.raises(ObservableError, match="expected one or two axes, as YODA has; found 0"):
        yoda_text(moments, "TOY")
    three: Measurement = release.measure(["x", "z", "n"], [[-1, 1], [0, 1], [0, 20]])
    with pytest.raises(ObservableError, match="found 3"):
        yoda_text(three, "TOY")
    two = release.measure(["x", "z"], [[-1, 1], [0, 1]])
    with pytest.raises(ObservableError, match="expected one axis for YODA 1; found 2"):
        yoda_text(two, "TOY", version=1)
    with pytest.raises(ObservableError, match="version: expected 1 or 2, of YODA; found 3"):
        yoda_text(make_measurement(5), "TOY", version=3)  # type: ignore[arg-type]
    with pytest.raises(PublishError, match="not written: No such file or directory"):
        write_yoda(make_measurement(5), tmp_path / "absent/r.yoda", analysis="TOY")
