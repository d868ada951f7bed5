from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

ROWS = {"multifold.h5": 2000, "multifold_sherpa.h5": 1500, "multifold_nonDY.h5": 1800}


def make(project: Path, folder: Path, *options: str) -> dict[str, pd.DataFrame]:
    sizes = [
        f"--{name}={rows}"
        for name, rows in zip(("events", "sherpa-events", "nondy-events"), ROWS.values(), strict=True)
    ]
    command = [sys.executable, "-W", "error", "scripts/make_atlas_lookalike.py", str(folder), *sizes, *options]
    subprocess.run(command, cwd=project, check=True, capture_output=True)
    tables: dict[str, Any] = {path.name: pd.read_hdf(path, key="df") for path in folder.glob("*.h5")}
    return tables


@pytest.fixture(scope="module")
def tables(project: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, pd.DataFrame]:
    return make(project, tmp_path_factory.mktemp("atlas"))


def test_sizes_and_columns_are_the_public_ones(tables: dict[str, pd.DataFrame]) -> None:
    assert {name: len(table) for name, table in tables.items()} == ROWS
    columns = {name: table.shape[1] for name, table in tables.items()}
    assert columns == {"multifold.h5": 200, "multifold_sherpa.h5": 51, "multifold_nonDY.h5": 26}
    for table in tables.values():
        assert set(map(str, table.dtypes)) == {"float32", "int32"}


def test_the_dimuon_is_the_sum_of_its_muons(tables: dict[str, pd.DataFrame]) -> None:
    for table in tables.values():
        columns = {name: table[name].to_numpy(np.float64) for name in table.columns}
        x, y, z, e = np.zeros((4, len(table)))
        for muon in ("l1", "l2"):
            pt, eta, phi = (columns[f"{what}_{muon}"] for what in ("pT", "eta", "phi"))
            x, y, z, e = x + pt * np.cos(phi), y + pt * np.sin(phi), z + pt * np.sinh(eta), e + pt * np.cosh(eta)
            assert (pt > 25).all()
            assert (np.abs(eta) < 2.5).all()
        assert (columns["pT_l1"] >= columns["pT_l2"]).all()
        np.testing.assert_allclose(np.hypot(x, y), columns["pT_ll"], rtol=1e-5)
        np.testing.assert_allclose(np.arctanh(z / e), columns["y_ll"], atol=1e-5)
        mass = np.sqrt(e**2 - x**2 - y**2 - z**2)
        assert 81 < mass.min() < 88
        assert 94 < mass.max() < 101
        assert columns["pT_ll"].min() > 200
        assert np.median(columns["pT_ll"]) < 300


def test_jets_are_ordered_and_both_absent_or_whole(tables: dict[str, pd.DataFrame]) -> None:
    for table in tables.values():
        second = table[[name for name in table.columns if name.endswith("_trackj2")]] == -99
        assert (second.all(axis=1) == second.any(axis=1)).all()
        assert 0.005 < second.all(axis=1).mean() < 0.1
        whole = table[~second.all(axis=1)]
        assert (whole["pT_trackj1"] >= whole["pT_trackj2"]).all()
        assert (whole["tau1_trackj1"] >= whole["tau2_trackj1"]).all()
        assert (whole["tau2_trackj1"] >= whole["tau3_trackj1"]).all()


def test_weights_are_related_as_the_public_ones(tables: dict[str, pd.DataFrame]) -> None:
    main, sherpa = tables["multifold.h5"], tables["multifold_sherpa.h5"]
    ensemble = main[[f"weights_ensemble_{member}" for member in range(100)]].to_numpy()
    np.testing.assert_array_equal(main["weights_nominal"], np.median(ensemble, axis=1))
    np.testing.assert_allclose(main["weights_lumi"] / main["weights_nominal"], 1.017, rtol=1e-6)
    replicas = main[[f"weights_bootstrap_mc_{member}" for member in range(25)]].to_numpy()
    assert (replicas == 0).mean() == pytest.approx(np.exp(-1), abs=0.01)
    ratio = sherpa.filter(like="bootstrap_mc").sum().mean() / sherpa["weights_nominal"].sum()
    assert ratio == pytest.approx(26.5, rel=0.02)
    assert main["weights_nominal"].sum() == pytest.approx(1809.5, rel=0.05)
    totals = main.filter(regex="^(weights_|target)").sum()
    assert totals.between(0.8 * 1809.5, 1.2 * 1809.5).all()


def test_the_same_seed_makes_the_same_files_and_options_change_them(
    project: Path, tables: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    again = make(project, tmp_path / "again")
    for name, table in tables.items():
        pd.testing.assert_frame_equal(again[name], table)
    other = make(
        project, tmp_path / "other", "--seed=2", "--float64", "--absent=nan", "--no-multiplicities", "--sherpa-events=0"
    )
    assert set(other) == {"multifold.h5", "multifold_nonDY.h5"}
    main = other["multifold.h5"]
    assert str(main["weights_nominal"].dtype) == "float64"
    assert main["pT_trackj2"].isna().any()
    assert main["Ntracks_trackj2"].isna().any()
    assert not (main.filter(like="weights_bootstrap_mc") == 0).any(axis=None)
    assert not np.array_equal(main["pT_ll"], tables["multifold.h5"]["pT_ll"])
    for name, table in other.items():
        assert not np.array_equal(table["pT_l1"], tables[name]["pT_l1"])
