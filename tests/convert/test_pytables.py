from __future__ import annotations

import importlib.util
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import tables

from omnifold_pub.convert import foreign, pytables
from omnifold_pub.convert.pytables import PyTablesFrame
from omnifold_pub.errors import InputError, MissingExtraError

ROWS = 50


def mixed(rows: int = ROWS) -> pd.DataFrame:
    """Columns of several types, those of one type not side by side."""
    rng = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "a32": rng.normal(size=rows).astype(np.float32),
            "b64": rng.normal(size=rows),
            "c_int": rng.integers(-99, 10**12, rows),
            "d32": np.where(rng.random(rows) < 0.3, np.nan, rng.normal(size=rows)).astype(np.float32),
            "é64": rng.normal(size=rows) * 1e-300,
            "f_int32": rng.integers(-99, 100, rows).astype(np.int32),
            "g32": np.full(rows, np.inf, dtype=np.float32),
            "h_uint8": rng.integers(0, 255, rows).astype(np.uint8),
            "i16": rng.normal(size=rows).astype(np.float16),
        }
    )


def write(frame: Any, path: Path, **options: Any) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas warns of the pickles that some tests are about
        frame.to_hdf(path, key="df", mode="w", **options)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(mixed(), tmp_path / "mixed.h5")


@pytest.mark.parametrize(
    "options",
    [{}, *({"complevel": 5, "complib": library} for library in ("zlib", "blosc", "blosc:zstd"))],
    ids=["plain", "zlib", "blosc", "blosc_zstd"],
)
def test_columns_are_those_that_pandas_reads(tmp_path: Path, options: dict[str, Any]) -> None:
    path = write(mixed(), tmp_path / "mixed.h5", **options)
    expected: Any = pd.read_hdf(path, key="df")
    with PyTablesFrame(path) as frame:
        assert frame.columns == tuple(expected.columns)
        assert frame.rows == ROWS
        for name in frame.columns:
            column = frame.column(name)
            truth = expected[name].to_numpy()
            assert column.shape == (ROWS,)
            assert column.dtype == truth.dtype
            assert column[0:ROWS].tobytes() == truth.tobytes()
            assert column[7:13].tobytes() == truth[7:13].tobytes()


@pytest.mark.parametrize(
    ("names", "dtype"),
    [
        (["g32", "a32", "d32"], np.float32),
        (["é64", "a32", "f_int32", "b64"], np.float64),
        (["f_int32"], np.int32),
        (["a32", "a32"], np.float32),
    ],
)
def test_families_keep_the_order_asked_for(path: Path, names: list[str], dtype: type) -> None:
    with PyTablesFrame(path) as frame:
        family = frame.family(names)
        assert (family.shape, family.dtype) == ((ROWS, len(names)), np.dtype(dtype))
        for rows in (slice(0, ROWS), slice(3, 9), slice(40, 1000), slice(9, 3), slice(None), slice(0, ROWS, 7)):
            np.testing.assert_array_equal(family[rows], mixed()[names].to_numpy(dtype)[rows])


def test_a_frame_of_one_type_that_was_selected_from_another(tmp_path: Path) -> None:
    expected = mixed()[["a32", "d32", "g32"]][lambda frame: frame["a32"] > 0]
    with PyTablesFrame(write(expected, tmp_path / "selected.h5")) as frame:
        np.testing.assert_array_equal(frame.family(frame.columns)[:], expected.to_numpy())


def test_conditions_read_as_numbers(tmp_path: Path) -> None:
    with PyTablesFrame(write(pd.DataFrame({"x": [True, False, True]}), tmp_path / "bool.h5")) as frame:
        assert frame.column("x")[:].tolist() == [1, 0, 1]


def test_wide_frames_are_read_in_bounded_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(2).normal(size=(300, 5000)).astype(np.float32)
    path = write(pd.DataFrame(values, columns=[f"weights_ensemble_{i}" for i in range(5000)]), tmp_path / "wide.h5")
    pieces: list[int] = []

    def counting(dataset: h5py.Dataset, rows: Any) -> Any:
        read = foreign.read(dataset, rows)
        pieces.append(read.nbytes)
        return read

    monkeypatch.setattr(pytables, "READ_BYTES", 1_000_000)
    with PyTablesFrame(path) as frame:
        monkeypatch.setattr(pytables, "read", counting)
        ends = frame.family(["weights_ensemble_4999", "weights_ensemble_0"])
        np.testing.assert_array_equal(ends[10:290], values[10:290, [4999, 0]])
        assert max(pieces) <= 1_000_000
        assert len(pieces) == 6
        pieces.clear()
        np.testing.assert_array_equal(frame.column("weights_ensemble_17")[:], values[:, 17])
        assert pieces == [300 * 4]


def test_row_blocks_cover_the_rows_once(path: Path) -> None:
    with PyTablesFrame(path) as frame:
        assert [(rows.start, rows.stop) for rows in frame.row_blocks(20)] == [(0, 20), (20, 40), (40, 50)]


class Evil:
    """Makes a folder when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.mkdir, (self.trace,)


def test_a_pickled_column_is_refused_and_not_unpickled(tmp_path: Path) -> None:
    trace = tmp_path / "executed"
    path = write(pd.DataFrame({"x": [1.0], "evil": [Evil(trace)]}), tmp_path / "evil.h5")
    with pytest.raises(InputError, match=r"/df/block1_values: expected numbers.*Python objects, pickled"):
        PyTablesFrame(path)
    assert not trace.exists()
    pd.read_hdf(path, key="df")
    assert trace.exists()  # the trap works


@pytest.mark.parametrize("attribute", ["name", "title", "encoding"])
def test_pickled_attributes_are_not_unpickled(path: Path, tmp_path: Path, attribute: str) -> None:
    trace = tmp_path / "executed"
    with h5py.File(path, "r+") as file:
        for node in (file["df"], file["df/axis0"], file["df/block0_values"]):
            node.attrs[attribute] = np.bytes_(pickle.dumps(Evil(trace), 0))
    with PyTablesFrame(path) as frame:
        frame.family(frame.columns)[:]
    assert not trace.exists()
    with tables.open_file(path) as file:
        getattr(file.get_node("/df")._v_attrs, attribute)
    assert trace.exists()


@pytest.mark.parametrize(
    ("node", "attribute", "message"),
    [
        ("df", "pandas_type", "pandas_type 'frame'"),
        ("df", "nblocks", "attribute nblocks"),
        ("df/block0_values", "transposed", "attribute transposed = 1"),
        ("df/block0_values", "value_type", "expected plain numbers"),
    ],
)
def test_an_attribute_that_is_needed_and_pickled_is_refused(
    path: Path, tmp_path: Path, node: str, attribute: str, message: str
) -> None:
    trace = tmp_path / "executed"
    with h5py.File(path, "r+") as file:
        file[node].attrs[attribute] = np.bytes_(pickle.dumps(Evil(trace), 0))
    with pytest.raises(InputError, match=message):
        PyTablesFrame(path)
    assert not trace.exists()


@pytest.mark.parametrize(
    ("frame", "options", "message"),
    [
        (pd.DataFrame({"s": ["text"]}), {}, "pickled"),
        (pd.DataFrame({"t": pd.date_range("2024", periods=3)}), {}, "stands for 'datetime64"),
        (pd.DataFrame({"z": np.zeros(3, dtype=complex)}), {}, "complex128"),
        (pd.DataFrame({"x": [1.0]}).iloc[:0], {}, "expected plain numbers"),
        (pd.DataFrame({1: [1.0], "b": [2.0]}), {}, "pickled"),
        (pd.DataFrame(np.zeros((2, 2))), {}, r"names as text \[column\]; found int64"),
        (pd.DataFrame({("a", "x"): [1.0]}), {}, "block0_items: not there"),
        (pd.DataFrame({"x": [1.0]}), {"format": "table"}, "found pandas_type 'frame_table'"),
        (pd.Series([1.0]), {}, "found pandas_type 'series'"),
    ],
    ids=["text", "dates", "complex", "empty", "mixed names", "no names", "levels", "table", "series"],
)
def test_what_is_no_table_of_numbers_is_refused(tmp_path: Path, frame: Any, options: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        PyTablesFrame(write(frame, tmp_path / "odd.h5", **options))


def _move(file: h5py.File, link: Callable[[], Any], name: str = "df/block0_values") -> None:
    file.move(name, "elsewhere")
    file[name] = link()


def _virtual(file: h5py.File) -> None:
    values = file["df/block0_values"]
    layout = h5py.VirtualLayout(values.shape, values.dtype)
    layout[:] = h5py.VirtualSource("secret.h5", "values", values.shape, values.dtype)
    shape = values.shape
    del file["df/block0_values"]
    assert file.create_virtual_dataset("df/block0_values", layout).shape == shape


def _external(file: h5py.File) -> None:
    values = file["df/block0_values"]
    shape, dtype = values.shape, values.dtype
    del file["df/block0_values"]
    file.create_dataset("df/block0_values", shape, dtype, external=[("secret.bin", 0, h5py.h5f.UNLIMITED)])


def _replace(name: str, values: Any) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        attributes = dict(file[name].attrs)
        del file[name]
        node = file.create_dataset(name, data=values)
        node.attrs.update({key: value for key, value in attributes.items() if not isinstance(value, h5py.Empty)})

    return change


def _twice(file: h5py.File) -> None:
    names, items = file["df/axis0"][:], file["df/block1_items"][:]
    names[names == items[0]] = items[1]
    _replace("df/axis0", names)(file)
    _replace("df/block1_items", items[[1, 1]])(file)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_twice, "each column once in axis0 and once in the blocks; found otherwise 'é64'"),
        (lambda file: _move(file, lambda: h5py.SoftLink("/elsewhere")), "found a SoftLink to elsewhere"),
        (lambda file: _move(file, lambda: h5py.ExternalLink("x.h5", "/x")), "found a ExternalLink to elsewhere"),
        (lambda file: _move(file, lambda: h5py.SoftLink("/elsewhere"), "df"), "/df: expected an object of this file"),
        (lambda file: _move(file, lambda: h5py.ExternalLink("x.h5", "/x"), "df"), "found a ExternalLink"),
        (lambda file: _move(file, lambda: h5py.SoftLink("/elsewhere"), "df/axis0"), "axis0: expected an object"),
        (_virtual, "points to other files"),
        (_external, "points to other files"),
        (_replace("df/block0_values", np.zeros((ROWS, 2), np.float32)), r"\[row, item\] with \d items"),
        (_replace("df/block0_values", np.zeros(ROWS, np.float32)), r"\[row, item\]"),
        (_replace("df/block1_values", np.zeros((ROWS - 1, 2))), r"\[49, 50\] rows"),
        (_replace("df/axis0", np.array([b"a32", b"other"])), "each column once"),
        (_replace("df/axis0", np.array([b"\xff"])), "names in UTF-8"),
        (_replace("df/axis0", 3.0), r"names as text \[column\]"),
        (lambda file: (file.pop("df/axis0"), file.create_group("df/axis0")), "expected a dataset; found Group"),
        (lambda file: file["df"].attrs.create("nblocks", 10**9), "nblocks, 1 to 1000"),
        (lambda file: file["df"].attrs.create("nblocks", 0), "nblocks, 1 to 1000"),
        (lambda file: file["df/block0_values"].attrs.create("transposed", 0), "transposed = 1"),
        (lambda file: file.pop("df"), "/df: not there"),
        (lambda file: (file.pop("df"), file.create_dataset("df", data=1.0)), "found Dataset"),
    ],
)
def test_a_table_that_is_not_whole_is_refused(path: Path, change: Callable[[h5py.File], object], message: str) -> None:
    with h5py.File(path, "r+") as file:
        first = file["df/block0_values"].shape[1]
        assert first != 2  # what the replacements rely on
        assert file["df/block1_values"].shape == (ROWS, 2)
        change(file)
    with pytest.raises(InputError, match=message):
        PyTablesFrame(path)


def test_limits_of_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(mixed(), tmp_path / "compressed.h5", complevel=1)
    monkeypatch.setattr(pytables, "MAX_NAMES_BYTES", 10)
    with pytest.raises(InputError, match="at most 10 bytes of names"):
        PyTablesFrame(path)
    monkeypatch.setattr(foreign, "MAX_CHUNK_BYTES", 10)
    with pytest.raises(InputError, match="chunks of at most 10 bytes"):
        PyTablesFrame(path)


def test_a_compression_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(mixed(), tmp_path / "compressed.h5", complevel=1, complib="blosc")
    monkeypatch.setattr(h5py.h5z, "filter_avail", lambda number: number != 32001)
    with pytest.raises(InputError, match=r"hdf5plugin reads; found HDF5 filter 32001 \('blosc'\)"):
        PyTablesFrame(path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr("omnifold_pub.extras.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"filter 32001, needs the package hdf5plugin"):
        PyTablesFrame(path)


@pytest.mark.parametrize("key", ["", ".", "/", "df/axis0", "../df", "df2"])
def test_other_keys_are_not_there(path: Path, key: str) -> None:
    with pytest.raises(InputError, match="not there"):
        PyTablesFrame(path, key)


def test_files_that_are_not_there_or_broken(path: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        PyTablesFrame(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("not HDF5")
    with pytest.raises(InputError, match="not an HDF5 file"):
        PyTablesFrame(tmp_path / "text.h5")
    compressed = write(pd.DataFrame({"x": np.random.default_rng(3).random(1000)}), tmp_path / "c.h5", complevel=1)
    with h5py.File(compressed) as file:
        stored = file["df/block0_values"].id.get_chunk_info(0)
    with compressed.open("r+b") as raw:
        raw.seek(stored.byte_offset)
        raw.write(b"\xff" * stored.size)
    with PyTablesFrame(compressed) as frame, pytest.raises(InputError, match=r"block0_values: cannot be read"):
        frame.column("x")[:]


def test_names_that_are_not_there_and_closed_tables(path: Path) -> None:
    with PyTablesFrame(path) as frame:
        assert repr(frame) == "<PyTablesFrame mixed.h5: 50 rows, 9 columns>"
        with pytest.raises(InputError, match=r"no column 'a23'; did you mean a32"):
            frame.column("a23")
        with pytest.raises(InputError, match="at least one column"):
            frame.family([])
        column = frame.column("a32")
    with pytest.raises(InputError, match="closed"):
        column[0:3]
