"""Shared by the tests of the format: files that are made to do harm."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from omnifold_pub import UnfoldingResult, publish
from omnifold_pub.format import layout


@pytest.fixture
def small_result(result: UnfoldingResult) -> UnfoldingResult:
    """The first 20 events and 3 replicas of the result made by hand, and the first 14 events of its canvas."""
    metadata = copy.deepcopy(result.metadata)
    metadata["canvases"][0]["events"] = 14
    for component in metadata["components"]:
        if component.get("members", 0) > 4:
            component["members"] = 3
    nominal = np.asarray(result.nominal[:20])
    metadata["cross_section"]["value"] = float(nominal.sum(dtype=np.float64))

    def cut(arrays: Any, rows: int) -> dict[str, Any]:
        return {name: array[:rows, :3] if array.shape[1:] == (12,) else array[:rows] for name, array in arrays.items()}

    other, test = result.canvases["other"], result.closure["dd"]
    assert test.target is not None
    assert test.unfolded is not None
    canvas = dataclasses.replace(
        other,
        event_id=other.event_id[:14],
        columns=cut(other.columns, 14),
        nominal=other.nominal[:14],
        families=cut(other.families, 14),
    )
    return dataclasses.replace(
        result,
        event_id=result.event_id[:20],
        columns=cut(result.columns, 20),
        nominal=nominal,
        families=cut(result.families, 20),
        metadata=metadata,
        prior=nominal,
        canvases={"other": canvas},
        closure={"dd": dataclasses.replace(test, target=test.target[:20], unfolded=test.unfolded[:20])},
    )


@pytest.fixture
def chunked_release(tmp_path: Path, small_result: UnfoldingResult, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Its release in chunks of 16 events and 2 members, so that a small file has every kind of chunk and edge."""
    with monkeypatch.context() as patch:
        patch.setattr(layout, "COLUMN_CHUNK", 16)
        patch.setattr(layout, "FAMILY_CHUNK", (16, 2))
        return publish(small_result, tmp_path / "chunked.h5")
