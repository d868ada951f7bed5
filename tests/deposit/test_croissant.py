from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlcroissant
import pytest

from omnifold_pub.deposit.croissant import croissant_issues


@pytest.fixture
def dataset(folder: Path) -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "ConjunctiveGraph is deprecated", DeprecationWarning)
        yield mlcroissant.Dataset(jsonld=folder / "croissant.json")


def test_only_what_a_release_does_not_have_is_missed(folder: Path) -> None:
    errors, issues = croissant_issues(folder / "croissant.json")
    assert errors == []
    assert len(issues) == 1
    assert 'Property "https://schema.org/version" is recommended' in issues[0]


def test_nothing_is_written_to_the_streams(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    croissant_issues(folder / "croissant.json")
    assert capfd.readouterr() == ("", "")


def test_file_and_columns_as_mlcroissant_reads_them(folder: Path, dataset: Any) -> None:
    (file,) = dataset.metadata.distribution
    crate = json.loads((folder / "ro-crate-metadata.json").read_text())["@graph"]
    (stored,) = (entity for entity in crate if entity["@id"] == "release.h5")
    assert (file.content_url, file.sha256) == ("release.h5", stored["sha256"])
    (events,) = (entry for entry in dataset.metadata.record_sets if entry.uuid == "events")
    columns = {field.source.extract.column: field for field in events.fields}
    assert set(columns) == {
        "event_id", "events/n_jets", "events/pT_ll", "events/y_j2", "prior", "weights/nominal",
        "weights/ensemble", "weights/data_bootstrap", "weights/track_eff",
    }  # fmt: skip
    assert columns["events/n_jets"].data_types == [mlcroissant.DataType.INT32]
    assert columns["events/y_j2"].data_types == [mlcroissant.DataType.FLOAT64]
    assert columns["weights/data_bootstrap"].array_shape_tuple == (6,)
    assert columns["events/y_j2"].description == (
        "Rapidity of the second track jet [1]; NaN: The event has no second jet"
    )


def test_tables_inside_can_be_read(dataset: Any) -> None:
    rows = {row["observables/name"]: row for row in dataset.records("observables")}
    assert rows["pT_ll"]["observables/unit"] == "GeV"
    assert rows["pT_ll"]["observables/minimum"] == 200
    assert math.isnan(rows["pT_ll"]["observables/maximum"])
    components = {row["components/name"]: row for row in dataset.records("components")}
    assert components["data_bootstrap"]["components/divisor"] == "R - 1"


def test_events_in_hdf5_are_beyond_mlcroissant(folder: Path, dataset: Any) -> None:
    # The docstring says so; the day this fails, it can say better.
    with pytest.raises(Exception, match=r"Read\(release\.h5\)") as caught:
        next(iter(dataset.records("events")))
    assert "None of the provided encoding formats" in str(caught.value.__cause__)


def test_errors_are_returned(folder: Path) -> None:
    path = folder / "croissant.json"
    document = json.loads(path.read_text())
    del document["distribution"][0]["sha256"]
    path.write_text(json.dumps(document))
    errors, _ = croissant_issues(path)
    assert "sha256" in errors[0]
    document["recordSet"][0]["field"][0]["source"]["fileObject"]["@id"] = "none.h5"
    path.write_text(json.dumps(document))
    assert croissant_issues(path)[0]
