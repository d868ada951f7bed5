from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import uproot

FULL = os.environ.get("OMNIFOLD_PUB_FULL_SAMPLES")


def read(path: Path) -> dict[str, np.ndarray]:
    with uproot.open(path) as file:
        columns: dict[str, np.ndarray] = file["events"].arrays(library="np")
    return columns


def test_the_inputs_are_what_their_description_says(zjets: Path) -> None:
    described = json.loads((zjets / "samples.json").read_text())
    assert sum(path.stat().st_size for path in zjets.glob("*.root")) < 10_000_000
    for name, sample in described["samples"].items():
        columns = read(zjets / name)
        assert {len(column) for column in columns.values()} == {sample["rows"]}
        if "weight" in columns:
            fiducial = columns.get("pass_truth", np.ones(sample["rows"], dtype=bool))
            total = columns["weight"][fiducial].sum(dtype=np.float64)
            assert total == pytest.approx(sample["sigma_fid_pb"], rel=1e-6)


def test_luminosity_is_that_of_the_rows_that_are_left(zjets: Path) -> None:
    described = json.loads((zjets / "samples.json").read_text())
    scale = described["samples"]["data.root"]["rows"] / 108_575
    assert described["integrated_luminosity_per_pb"] == pytest.approx(
        scale * described["integrated_luminosity_per_pb_full"]
    )
    assert f"value: {described['integrated_luminosity_per_pb']}" in (zjets / "analysis.yaml").read_text()


def test_variations_have_the_rows_of_the_simulation(zjets: Path) -> None:
    event_id = read(zjets / "mc.root")["event_id"]
    for path in zjets.glob("mc_*.root"):
        assert np.array_equal(read(path)["event_id"], event_id)


def test_truth_rows_are_those_behind_the_data(zjets: Path) -> None:
    rows = read(zjets / "data_truth.root")["data_row"]
    recorded = rows[rows >= 0]
    assert recorded.max() < len(read(zjets / "data.root")["event_id"])
    assert (np.diff(recorded) > 0).all()


@pytest.mark.skipif(FULL is None, reason="OMNIFOLD_PUB_FULL_SAMPLES does not name the folder of the full samples")
def test_the_script_makes_the_same_files_again(tmp_path: Path, project: Path, zjets: Path) -> None:
    command = [sys.executable, "scripts/make_small_inputs.py", str(FULL), str(tmp_path)]
    subprocess.run(command, cwd=project, check=True, capture_output=True)
    assert (tmp_path / "samples.json").read_text() == (zjets / "samples.json").read_text()
    for path in zjets.glob("*.root"):
        made, kept = read(tmp_path / path.name), read(path)
        assert made.keys() == kept.keys()
        for name in kept:
            assert hashlib.sha256(made[name].tobytes()).digest() == hashlib.sha256(kept[name].tobytes()).digest(), name
