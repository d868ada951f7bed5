"""Theories from ROOT and Parquet files, with their weight families."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import uproot
from numpy.typing import NDArray

from omnifold_pub import Theory
from omnifold_pub.errors import InputError
from omnifold_pub.reinterpret.weight_families import Combination

SIZE = 40
RNG = np.random.default_rng(2)
WEIGHT = RNG.gamma(3, 0.01, SIZE)
COLUMNS: dict[str, NDArray[Any]] = {
    "pT_ll": RNG.uniform(200, 500, SIZE).astype(np.float32),
    "Ntracks": RNG.integers(0, 30, SIZE).astype(np.int32),
    "weight": WEIGHT,
    "muR_up": 1.1 * WEIGHT,
    "muR_down": 0.92 * WEIGHT,
    "muR_down_test": np.full(SIZE, np.nan),
}
FAMILIES = {"scales": Combination("envelope", ("muR_down", "muR_u?"))}

Writer = Callable[[Path], dict[str, Any]]


def write_root(path: Path) -> dict[str, Any]:
    with uproot.recreate(path) as file:
        file.mktree("events", {name: column.dtype for name, column in COLUMNS.items()})
        file["events"].extend(COLUMNS)
    return {"tree": "events"}


def write_parquet(path: Path) -> dict[str, Any]:
    pq.write_table(pa.table(COLUMNS), path)
    return {}


READERS = [(Theory.from_root, write_root), (Theory.from_parquet, write_parquet)]


@pytest.mark.parametrize(("read", "write"), READERS, ids=["root", "parquet"])
def test_tables_give_columns_weights_and_families(tmp_path: Path, read: Any, write: Writer) -> None:
    path = tmp_path / "theory"
    more = write(path)
    theory = read(path, weight="weight", unit="fb", columns=["pT_ll", "Ntracks"], families=FAMILIES, **more)
    assert (theory.name, theory.unit, list(theory.events)) == ("theory", "fb", ["pT_ll", "Ntracks"])
    for name in theory.events:
        np.testing.assert_array_equal(theory.events[name], COLUMNS[name].astype(np.float32))
    np.testing.assert_array_equal(theory.weights, WEIGHT)
    assert theory.families["scales"].names == ("muR_down", "muR_up")
    np.testing.assert_allclose(theory.families["scales"].weights, np.outer(WEIGHT, [0.92, 1.1]))


@pytest.mark.parametrize(("read", "write"), READERS, ids=["root", "parquet"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"columns": ["pT_l"]}, "lacks 1 of the 2 .* did you mean pT_ll"),
        ({"weight": "weights"}, "lacks 1 of the 2 .* did you mean weight"),
        ({"families": {"pdf": Combination("hessian", ("pdf_*",))}}, r"no weight 'pdf_\*'"),
        ({"families": {"mu": Combination("envelope", ("muR_*",))}}, "'mu': weights of member 'muR_down_test' are not"),
        ({"weight": "muR_down_test"}, "40 of 40 weights are not finite"),
    ],
    ids=["column", "weight", "family", "nan family", "nan"],
)
def test_what_a_table_lacks_is_named(
    tmp_path: Path, read: Any, write: Writer, arguments: dict[str, Any], message: str
) -> None:
    more = write(tmp_path / "theory")
    every = {"weight": "weight", "unit": "pb", "columns": ["pT_ll"], **more, **arguments}
    with pytest.raises(InputError, match=message):
        read(tmp_path / "theory", **every)


def test_nulls_of_parquet_are_absent_values_and_no_weights(tmp_path: Path) -> None:
    table = pa.table({"n": pa.array([1, None, 3]), "w": [1.0, 1.0, 1.0], "v": [1.0, None, 1.0]})
    pq.write_table(table, tmp_path / "t.parquet")
    theory = Theory.from_parquet(tmp_path / "t.parquet", weight="w", unit="pb", columns=["n"])
    np.testing.assert_array_equal(theory.events["n"], np.array([1, np.nan, 3], dtype=np.float32))
    with pytest.raises(InputError, match="1 of 3 weights are not finite"):
        Theory.from_parquet(tmp_path / "t.parquet", weight="v", unit="pb", columns=["n"])


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"x": pa.array([], pa.float32()), "w": pa.array([], pa.float32())}, "there are no rows"),
        ({"x": ["a", "b"], "w": [1.0, 1.0]}, "column 'x': expected one number per event; found string"),
        ({"x": [[1.0], [2.0]], "w": [1.0, 1.0]}, "column 'x': expected one number per event; found list"),
    ],
    ids=["empty", "text", "lists"],
)
def test_parquet_files_that_are_no_theory_are_refused(tmp_path: Path, table: dict[str, Any], message: str) -> None:
    pq.write_table(pa.table(table), tmp_path / "t.parquet")
    with pytest.raises(InputError, match=message):
        Theory.from_parquet(tmp_path / "t.parquet", weight="w", unit="pb", columns=["x"])


@pytest.mark.parametrize("content", [b"", b"PAR1rubbishPAR1", b"x" * 100])
def test_what_is_no_parquet_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.parquet").write_bytes(content)
    with pytest.raises(InputError, match="not a Parquet file, or a damaged one"):
        Theory.from_parquet(tmp_path / "t.parquet", weight="w", unit="pb", columns=["x"])


def test_a_missing_parquet_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.parquet: no such file"):
        Theory.from_parquet(tmp_path / "absent.parquet", weight="w", unit="pb", columns=["x"])
