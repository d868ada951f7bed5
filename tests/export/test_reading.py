"""Back from an export: what was exported, bit for bit; or a clear refusal."""

from __future__ import annotations

import gc
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import uproot
from numpy.typing import NDArray
from pyarrow import parquet

from omnifold_pub import UnfoldingResult, open_release, publish
from omnifold_pub.errors import InputError, OmnifoldPubError
from omnifold_pub.export import ExportFormat, contents, export, frame, read_export
from omnifold_pub.format.layout import row_blocks

Arrays = dict[str, NDArray[Any]]
FORMATS: dict[ExportFormat, str] = {"pandas": ".h5", "parquet": ".parquet", "root": ".root"}
every_format = pytest.mark.parametrize("name", FORMATS)


@pytest.fixture
def exported(stand_in: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[ExportFormat], Path]:
    """Export in blocks of 64 events."""
    monkeypatch.setattr(contents, "_STEP", 64)
    monkeypatch.setattr(contents, "_BLOCK_BYTES", 1)
    monkeypatch.setattr(frame, "row_blocks", lambda rows, *_, **__: row_blocks(rows, 1, step=64, budget=1))
    return lambda name: export(stand_in, tmp_path / f"x{FORMATS[name]}", format=name).path


def datasets_of(result: UnfoldingResult, step: int) -> Arrays:
    """The datasets that publishing would write, read in blocks of ``step`` events."""
    sources = {"event_id": result.event_id, "weights/nominal": result.nominal}
    sources |= {f"events/{name}": column for name, column in result.columns.items()}
    sources |= {f"weights/{name}": family for name, family in result.families.items()}
    if result.prior is not None:
        sources["prior"] = result.prior
    for test, weights in result.closure.items():
        found = {"target": weights.target, "unfolded": weights.unfolded}
        sources |= {f"closure/{test}/{what}": array for what, array in found.items() if array is not None}
    for name, canvas in result.canvases.items():
        here = f"canvases/{name}"
        sources |= {f"{here}/event_id": canvas.event_id, f"{here}/weights/nominal": canvas.nominal}
        sources |= {f"{here}/events/{key}": column for key, column in canvas.columns.items()}
        sources |= {f"{here}/weights/{key}": family for key, family in canvas.families.items()}
    return {
        name: np.concatenate([source[row : row + step] for row in range(0, source.shape[0], step)])
        for name, source in sources.items()
    }


@every_format
@pytest.mark.parametrize("step", [64, 77, 10_000])
def test_the_round_trip_is_bit_exact(
    name: ExportFormat, step: int, exported: Any, metadata: dict[str, Any], base_arrays: Arrays
) -> None:
    result = read_export(exported(name))
    expected = {key: array for key, array in base_arrays.items() if not key.startswith("networks/")}
    found = datasets_of(result, step)
    assert sorted(found) == sorted(expected)
    for key, array in expected.items():
        assert (found[key].dtype, found[key].shape) == (array.dtype, array.shape), key
        assert found[key].tobytes() == array.tobytes(), key
    del metadata["networks"]
    assert result.metadata == metadata
    assert list(result.metadata) == list(metadata)
    assert dict(result.networks) == {}
    assert list(result.closure) == ["dd", "dd_target", "other"]
    assert list(result.families) == ["a", "a_1", "up"]


@every_format
def test_sources_say_what_they_are_before_they_are_read(name: ExportFormat, exported: Any) -> None:
    result = read_export(exported(name))
    assert result.families["a"].shape == (500, 12)
    assert result.families["a"].dtype == np.float32
    assert (result.families["up"].shape, result.nominal.shape) == ((500, 1), (500,))
    assert result.columns["jets"].dtype == np.int32
    assert result.canvases["truth"].event_id.shape == (7,)
    assert result.nominal[10:10].shape == (0,)
    assert result.nominal[490:600].shape == (10,)
    with pytest.raises(ValueError, match="step 1"):
        result.nominal[::2]
    whole = np.asarray(result.families["a"])
    assert whole.tobytes() == result.families["a"][:].tobytes()


@every_format
def test_a_row_is_read_once_by_who_reads_in_order(
    name: ExportFormat, exported: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    family: Any = read_export(exported(name)).families["a"]
    read: list[int] = []
    block = family._table.block

    def counted(index: int, names: tuple[str, ...]) -> list[NDArray[Any]]:
        read.append(index)
        return block(index, names)  # type: ignore[no-any-return]

    monkeypatch.setattr(family._table, "block", counted)
    for row in range(0, 500, 10):
        assert family[row : row + 10].shape == (10, 12)
    assert read == list(range(8))


@pytest.mark.slow
@every_format
def test_no_file_is_left_open_with_a_warning(name: ExportFormat, exported: Any) -> None:
    code = "import sys; from omnifold_pub.export import read_export; read_export(sys.argv[1]).nominal[:]"
    command = [sys.executable, "-W", "error", "-c", code, str(exported(name))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    gc.collect()


def test_a_pandas_export_is_read_without_pandas(exported: Any) -> None:
    code = (
        "import sys; from omnifold_pub.export import read_export; read_export(sys.argv[1]).nominal[:]; "
        "print(*{'pandas', 'tables', 'pickle'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", code, str(exported("pandas"))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert not {"pandas", "tables"} & set(done.stdout.split())


def test_a_file_is_known_by_its_bytes_and_not_by_its_name(exported: Any, tmp_path: Path) -> None:
    exported("root")
    for canvas in ("", ".sherpa", ".truth"):
        (tmp_path / f"x{canvas}.root").rename(tmp_path / f"y{canvas}.dat")
    assert read_export(tmp_path / "y.dat").nominal.shape == (500,)


@every_format
def test_a_lacking_canvas_is_named(name: ExportFormat, exported: Any, tmp_path: Path) -> None:
    path = exported(name)
    (tmp_path / f"x.sherpa{FORMATS[name]}").unlink()
    with pytest.raises(InputError, match=r"x\.sherpa\.\w+: no such file"):
        read_export(path)


@every_format
def test_a_canvas_of_another_export_is_refused(
    name: ExportFormat, exported: Any, stand_in: Any, tmp_path: Path
) -> None:
    path = exported(name)
    (tmp_path / "other").mkdir()
    stand_in.metadata["created"] = "2027-01-31T12:00:00+00:00"
    other = export(stand_in, tmp_path / "other" / path.name, format=name)
    shutil.copy(other.canvases["sherpa"], tmp_path)
    with pytest.raises(InputError, match="expected the canvas 'sherpa' of the same export"):
        read_export(path)


@every_format
def test_canvases_that_changed_places_are_refused(name: ExportFormat, exported: Any, tmp_path: Path) -> None:
    path = exported(name)
    shutil.copy(tmp_path / f"x.sherpa{FORMATS[name]}", tmp_path / f"x.truth{FORMATS[name]}")
    with pytest.raises(InputError, match="expected the canvas 'truth'"):
        read_export(path)


@every_format
def test_a_canvas_is_not_read_as_the_release(name: ExportFormat, exported: Any, tmp_path: Path) -> None:
    exported(name)
    with pytest.raises(InputError, match="is the canvas 'truth' of an export"):
        read_export(tmp_path / f"x.truth{FORMATS[name]}")


def _rewritten(path: Path, change: Callable[[pa.Table], pa.Table]) -> Path:
    table = parquet.read_table(path)
    parquet.write_table(change(table), path)
    return path


def _with_metadata(text: bytes) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.replace_schema_metadata({b"omnifold_pub": text})


def _with_null(table: pa.Table) -> pa.Table:
    nulls = pa.array([None, *([1.0] * 499)], pa.float32())
    return table.set_column(table.column_names.index("pT"), "pT", nulls)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop_columns(["weight_a_3"]), "lacks columns that its metadata announce: 'weight_a_3'"),
        (lambda t: t.append_column("mine", t.column("pT")), "holds columns .* not announce: 'mine'"),
        (lambda t: t.slice(0, 499), "expected 500 events, as its metadata say; found 499 rows"),
        (lambda t: t.set_column(1, "pT", t.column("mass")), "column 'pT': expected float32; found float64"),
        (lambda t: t.replace_schema_metadata(None), "holds no metadata of omnifold_pub"),
        (_with_metadata(b"{"), "expected strict JSON"),
        (_with_metadata(b'{"title": NaN}'), "NaN is not a number of JSON"),
        (_with_metadata(b"[]"), "the metadata: "),
        (_with_metadata(b"\xff"), "expected strict JSON"),
        (_with_metadata(b'{"title": "t"}'), "the metadata: .*expected the keys"),
    ],
)
def test_a_changed_export_is_refused(change: Callable[[pa.Table], pa.Table], message: str, exported: Any) -> None:
    with pytest.raises(InputError, match=rf"x\.parquet: .*{message}"):
        read_export(_rewritten(exported("parquet"), change))


def test_a_null_is_not_taken_for_nan(exported: Any) -> None:
    result = read_export(_rewritten(exported("parquet"), _with_null))
    with pytest.raises(InputError, match="column 'pT': found null values"):
        result.columns["pT"][0:10]


def test_a_parquet_file_written_anew_with_other_row_groups_is_still_the_same(
    exported: Any, base_arrays: Arrays
) -> None:
    path = exported("parquet")
    table = parquet.read_table(path)
    parquet.write_table(table, path, row_group_size=33, compression="zstd")
    found = datasets_of(read_export(path), 50)
    for key, array in found.items():
        assert array.tobytes() == base_arrays[key].tobytes(), key


@every_format
def test_columns_are_found_by_name_and_not_by_place(name: ExportFormat, exported: Any, base_arrays: Arrays) -> None:
    path = exported(name)
    if name == "parquet":
        _rewritten(path, lambda table: table.select(table.column_names[::-1]))
    elif name == "pandas":
        with h5py.File(path) as file:
            text = file["metadata"][()]
        table = pd.read_hdf(path)
        table[list(table)[::-1]].to_hdf(path, key="df", mode="w", format="fixed")
        with h5py.File(path, "a") as file:
            file["metadata"] = text
    else:
        with uproot.open(path) as file:
            arrays, text = file["events"].arrays(library="np"), str(file["metadata"])
        with uproot.recreate(path) as file:
            file.mktree("events", {key: arrays[key].dtype for key in reversed(arrays)}).extend(arrays)
            file["metadata"] = text
    found = datasets_of(read_export(path), 50)
    for key, array in found.items():
        assert array.tobytes() == base_arrays[key].tobytes(), key


@every_format
def test_damage_is_an_error_of_ours_or_harmless(name: ExportFormat, exported: Any, base_arrays: Arrays) -> None:
    path = exported(name)
    whole = path.read_bytes()
    refused = []
    for size in (0, 3, 4, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        try:
            found = datasets_of(read_export(path), 100)
        except OmnifoldPubError as error:
            refused.append((size, path.name in str(error)))
        else:
            assert all(array.tobytes() == base_arrays[key].tobytes() for key, array in found.items())
    assert refused[:5] == [(size, True) for size in (0, 3, 4, 100, len(whole) // 2)]


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    with pytest.raises(InputError, match="no such file"):
        read_export(path)
    path.write_text(json.dumps({}))
    with pytest.raises(InputError, match="expected a Parquet, ROOT or HDF5 file"):
        read_export(path)
    with uproot.recreate(path) as file:
        file["other"] = "text"
    with pytest.raises(InputError, match="no tree 'events'"):
        read_export(path)
    parquet.write_table(pa.table({"a": ["text"]}), path)
    with pytest.raises(InputError, match="holds no metadata"):
        read_export(path)


@every_format
@pytest.mark.parametrize("sharded", [False, True], ids=["one file", "shards"])
def test_a_release_published_from_its_export_is_the_same(
    name: ExportFormat, *, sharded: bool, result: UnfoldingResult, tmp_path: Path
) -> None:
    first = (
        publish(result, tmp_path / "first.manifest.json", shard_events=200)
        if sharded
        else publish(result, tmp_path / "first.h5")
    )
    with open_release(first) as release:
        done = export(release, tmp_path / f"x{FORMATS[name]}", format=name)
        assert done.networks_left_out == ("tiny",)
        again = publish(read_export(done.path), tmp_path / "again.h5")
        with open_release(again) as second:
            assert second.datasets.keys() == release.datasets.keys() - {"networks/tiny"}
            for key, stored in second.datasets.items():
                expected = release.datasets[key]
                assert (stored.dtype, stored.shape) == (expected.dtype, expected.shape), key
                assert stored.read().tobytes() == expected.read().tobytes(), key
            assert _without(second.metadata, "created") == _without(release.metadata, "created", "networks")


def _without(metadata: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in metadata.items() if key not in keys}
