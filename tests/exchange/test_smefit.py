"""Data sets of SMEFiT: its covariance, as its authors define it, is ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from omnifold_pub import JointMeasurement, Release
from omnifold_pub.errors import ObservableError, PublishError
from omnifold_pub.exchange.methods import Exchangeable
from omnifold_pub.exchange.smefit import smefit_document, write_smefit
from tests.exchange.conftest import make_measurement

WITHIN = ("UNCORR", "CORR")
"""Names that SMEFiT takes for sources of one data set alone."""


def columns(document: dict[str, Any]) -> list[tuple[str, NDArray[np.float64]]]:
    names = document["sys_names"]
    names = [names] if isinstance(names, str) else names
    assert len(names) == len(document["systematics"]) == len(document["sys_type"]) == document["num_sys"]
    return list(zip(names, np.array(document["systematics"]).reshape(len(names), -1), strict=True))


def covariance_of(*data_sets: dict[str, Any]) -> NDArray[np.float64]:
    """Return the joint covariance after SMEFiT's documentation, source by source and bin by bin."""
    stops = np.cumsum([data["num_data"] for data in data_sets])
    whole = np.zeros((stops[-1], stops[-1]))
    shared: dict[str, NDArray[np.float64]] = {}
    for data, stop in zip(data_sets, stops, strict=True):
        start = stop - data["num_data"]
        for i, error in enumerate(np.atleast_1d(data["statistical_error"])):
            whole[start + i, start + i] += error**2
        for name, shift in columns(data):
            if name not in WITHIN:
                shared.setdefault(name, np.zeros(stops[-1]))[start:stop] = shift
                continue
            for i, one in enumerate(shift):
                for j, other in enumerate(shift):
                    if i == j or name == "CORR":
                        whole[start + i, start + j] += one * other
    return whole + sum(np.outer(shift, shift) for shift in shared.values())


def test_its_covariance_is_that_of_the_measurement(release: Release) -> None:
    measured = release.measure("x", [-2.0, -0.7, 0.1, 0.8, 2.5])
    document = smefit_document(measured, "TOY", metadata=release.metadata)
    np.testing.assert_allclose(covariance_of(document), measured.covariance(), rtol=1e-10, atol=1e-14)
    assert document["data_central"] == measured.nominal.tolist()
    kinds = dict(zip(document["sys_names"], document["sys_type"], strict=True))
    assert kinds["luminosity"] == "MULT"
    assert {kind for name, kind in kinds.items() if name != "luminosity"} == {"ADD"}
    assert (document["luminosity"], document["units"], document["dataset_name"]) == (1.0, "pb", "TOY")


def test_data_sets_of_one_release_are_correlated_by_name(release: Release) -> None:
    both = release.measure({"x": [-2.0, 0.1, 2.5], "z": [0.0, 0.5, 1.0]})
    apart = [smefit_document(both[name], name) for name in both.names]
    named = [c.name for c in both.components if c.kind in ("variation", "two_point", "hessian", "scale")]
    named.remove("model")  # its publisher says that it is not correlated
    expected = sum((both.covariance(name) for name in named), np.zeros((4, 4)))
    found = covariance_of(*apart)
    np.testing.assert_allclose(found[:2, 2:], expected[:2, 2:], rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(found[2:, 2:], both.covariance()[2:, 2:], rtol=1e-9, atol=1e-14)
    prefixed = smefit_document(both["z"], "z", prefix="TOY_")
    assert "TOY_luminosity" in prefixed["sys_names"]
    assert "CORR" in prefixed["sys_names"]


def test_a_diagonal_matrix_is_the_statistical_error(release: Release) -> None:
    measured = release.measure("x", [-2.0, 0.1, 2.5], components=["event_sampling", "luminosity"])
    document = smefit_document(measured, "TOY")
    np.testing.assert_allclose(document["statistical_error"], measured.uncertainties("event_sampling"), rtol=1e-12)
    assert document["sys_names"] == "luminosity"  # SMEFiT wants no list of one name
    np.testing.assert_allclose(covariance_of(document), measured.covariance(), rtol=1e-12)


def test_one_bin_is_a_number(release: Release) -> None:
    measured = release.measure("x", [-2.0, 2.5])
    document = smefit_document(measured, "TOY")
    assert document["data_central"] == measured.nominal[0]
    np.testing.assert_allclose(covariance_of(document), measured.covariance(), rtol=1e-12)


def test_the_file_is_the_document(release: Release, tmp_path: Path) -> None:
    measured = release.measure("x", [-2.0, 0.1, 2.5])
    path = write_smefit(measured, tmp_path / "TOY_X.yaml", metadata=release.metadata)
    assert yaml.safe_load(path.read_text()) == smefit_document(measured, "TOY_X", metadata=release.metadata)
    Exchangeable.to_smefit(measured, tmp_path / "other.yaml", name="TOY_X", metadata=release.metadata)
    assert (tmp_path / "other.yaml").read_bytes() == path.read_bytes()


def test_what_smefit_cannot_take_is_refused(pair: JointMeasurement, release: Release, tmp_path: Path) -> None:
    with pytest.raises(ObservableError, match="TOY: expected one unit of all values; found pb, pb / GeV"):
        smefit_document(pair, "TOY")
    with pytest.raises(ObservableError, match="bin 2 is zero; leave it out"):
        smefit_document(release.measure("x", [-1, 0, 1, 50, 60][1:]), "TOY")
    with pytest.raises(PublishError, match="not written: No such file or directory"):
        write_smefit(make_measurement(1), tmp_path / "absent" / "TOY.yaml")
