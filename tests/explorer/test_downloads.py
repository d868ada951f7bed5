from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from omnifold_pub import Measurement
from omnifold_pub.errors import ObservableError
from omnifold_pub.explorer.desk import Desk
from omnifold_pub.explorer.downloads import KINDS, download
from omnifold_pub.explorer.questions import Question

SPECTRUM = Question("pT_l2 / pT_l1", "edges", "0.1, 0.3, 0.5, 0.7, 1")


def test_csv_is_that_of_the_measurement(desk: Desk) -> None:
    found = desk.measured(SPECTRUM)
    file = download(desk, found, "csv")
    assert file.content.decode() == found.measurement.to_csv()


def test_json_is_the_measurement_again(desk: Desk) -> None:
    found = desk.measured(SPECTRUM)
    again = Measurement.from_dict(json.loads(download(desk, found, "json").content))
    np.testing.assert_array_equal(again.covariance(), found.measurement.covariance())


def test_hepdata_is_read_back(desk: Desk, tmp_path: Path) -> None:
    found = desk.measured(SPECTRUM)
    path = tmp_path / "submission.tar.gz"
    path.write_bytes(download(desk, found, "hepdata").content)
    again = Measurement.from_hepdata(path)
    np.testing.assert_array_equal(again.values(), found.measurement.values())
    np.testing.assert_array_equal(again.covariance(), found.measurement.covariance())


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "start"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_pictures_are_of_their_kind(desk: Desk, kind: str, start: bytes) -> None:
    file = download(desk, desk.measured(SPECTRUM), kind)
    assert file.content.startswith(start)
    assert file.name.endswith(kind)
    assert len(file.content) > 5000


def test_every_kind_has_a_name_of_its_own() -> None:
    assert len({name for name, _, _ in KINDS.values()}) == len(KINDS)


def test_another_kind_is_refused(desk: Desk) -> None:
    with pytest.raises(ObservableError, match="did you mean"):
        download(desk, desk.measured(SPECTRUM), "cvs")
