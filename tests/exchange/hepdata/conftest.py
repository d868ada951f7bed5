"""Submissions of measurements of every kind of statistic, and HEPData's own validator."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from omnifold_pub import JointMeasurement, Measurement, Release, open_release
from omnifold_pub.estimators import Histogram, Moments, Profile, Ratio
from omnifold_pub.exchange.hepdata import Record, write_submission
from omnifold_pub.measurement import Estimate

EDGES = [-2.0, -0.7, 0.1, 0.8, 2.5]
EVERY_KIND: dict[str, Any] = {
    "x": EDGES,
    "x * z": Histogram("x * z", [-1, 0, 1], where="n >= 2 & x < 3", flow=True, nan="drop"),
    "shares": Histogram(["x", "n"], [[-1.0, 0.0, 1.0], [0, 2.5, 20]], normalise=True),
    "density": Histogram("y", [0, 15, 40, 120], density=True),
    "profile": Profile("y", "x", EDGES, where="z > 0.2"),
    "ratio": Ratio(Histogram("x", EDGES, where="n > 2"), Histogram("x", EDGES)),
    "moments": Moments("x", [1, 2, 3]),
}

Write = Callable[..., Path]


@pytest.fixture
def x(release: Release) -> Measurement:
    return release.measure("x", EDGES)


@pytest.fixture(scope="session")
def every_kind(published: Path) -> JointMeasurement:
    """Several statistics of every kind; every kind of component is in the release made by hand."""
    with open_release(published) as release:
        return release.measure(EVERY_KIND)


@pytest.fixture(scope="session")
def every_kind_folder(every_kind: JointMeasurement, published: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its submission; do not write to it."""
    with open_release(published) as release:
        record = Record(release.metadata)
    path = tmp_path_factory.mktemp("hepdata") / "submission"
    return write_submission(every_kind, every_kind.to_dict(), path, record=record, overwrite=False)


@pytest.fixture(scope="session")
def every_table(every_kind_folder: Path) -> dict[str, dict[str, Any]]:
    """Its tables by name."""
    return documents(every_kind_folder)[1]


@pytest.fixture
def write(tmp_path: Path, release: Release) -> Write:
    """Write a submission and return where it is."""

    def written(measured: Estimate, name: str = "submission", *, overwrite: bool = False, **record: Any) -> Path:
        known = Record(**({"metadata": release.metadata} | record))
        return write_submission(measured, measured.to_dict(), tmp_path / name, record=known, overwrite=overwrite)

    return written


def complaints(path: Path) -> dict[str, list[str]]:
    """Return what HEPData's validator says of a folder or archive; it looks at nothing outside of it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # jsonschema.RefResolver, which it uses
        warnings.simplefilter("ignore", ResourceWarning)  # files that it leaves open
        from hepdata_validator.full_submission_validator import FullSubmissionValidator

        validator = FullSubmissionValidator(autoload_remote_schemas=False)
        place = {"directory": str(path)} if path.is_dir() else {"archive": str(path)}
        is_valid = validator.validate(**place)
    found = {file: [message.message for message in messages] for file, messages in validator.get_messages().items()}
    assert is_valid == (not found)
    return found


def documents(folder: Path) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Return what a submission says of the whole, and its tables by name with their data."""
    whole, *tables = load(folder / "submission.yaml")
    return whole, {table["name"]: table | {"data": load(folder / table["data_file"])[0]} for table in tables}


def load(path: Path) -> list[Any]:
    """Return the documents of a YAML file; in Python alone it would take most of the tests' time."""
    return list(yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader))


def numbers(table: dict[str, Any], column: int = 0) -> list[Any]:
    return [cell["value"] for cell in table["data"]["dependent_variables"][column]["values"]]
