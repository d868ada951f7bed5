"""Exports, read by the libraries that people will read them with: the same bits under the promised names."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import tables
import uproot
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pyarrow import parquet

from omnifold_pub.errors import MissingExtraError, PublishError, ReleaseError
from omnifold_pub.export import ExportFormat, contents, export, frame
from omnifold_pub.export.columns import plan
from omnifold_pub.format.layout import declared_datasets

Arrays = dict[str, NDArray[Any]]
FORMATS: dict[ExportFormat, str] = {"pandas": ".h5", "parquet": ".parquet", "root": ".root"}
every_format = pytest.mark.parametrize("name", FORMATS)


def third_party(path: Path) -> tuple[Arrays, str]:
    """Columns and metadata as pandas, pyarrow and uproot read them."""
    if path.suffix == ".parquet":
        table = parquet.read_table(path)
        return {name: table.column(name).to_numpy() for name in table.column_names}, table.schema.metadata[
            b"omnifold_pub"
        ].decode()
    if path.suffix == ".root":
        with uproot.open(path) as file:
            return file["events"].arrays(library="np"), str(file["metadata"])
    table = pd.read_hdf(path, key="df")
    with h5py.File(path) as file:
        return {name: table[name].to_numpy() for name in map(str, table.columns)}, bytes(file["metadata"][()]).decode()


def promised(arrays: Arrays, canvas: str | None = None) -> Arrays:
    """The columns that the documentation promises."""
    here = {
        name.removeprefix(f"canvases/{canvas}/" if canvas else ""): array
        for name, array in arrays.items()
        if not name.startswith("networks/") and name.startswith(f"canvases/{canvas}/" if canvas else "")
    }
    columns: Arrays = {}
    for name, array in here.items():
        kind, *rest = name.split("/")
        if kind == "canvases":
            continue
        if kind == "event_id":
            columns["event_id"] = array
        elif kind == "events":
            columns[rest[0]] = array
        elif kind == "prior":
            columns["weight_prior"] = array
        elif kind == "closure":
            columns[f"closure_{rest[0]}_{rest[1]}"] = array
        elif array.ndim == 1:
            columns["weight_nominal"] = array
        else:
            columns |= {f"weight_{rest[0]}_{member}": array[:, member] for member in range(array.shape[1])}
    return columns


def assert_same_bits(found: Arrays, expected: Arrays) -> None:
    assert sorted(found) == sorted(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype, name
        assert found[name].tobytes() == array.tobytes(), name


@contextmanager
def small_disk(limit: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(
        resource.RLIMIT_FSIZE, (limit, hard)
    )  # Python ignores the signal: writing fails as on a full disk
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> int:
    """Blocks of 64 events in place of 64 MiB."""
    monkeypatch.setattr(contents, "_STEP", 64)
    monkeypatch.setattr(contents, "_BLOCK_BYTES", 1)
    return 64


@every_format
def test_every_dataset_is_there_with_its_bits_and_its_type(
    name: ExportFormat, stand_in: Any, base_arrays: Arrays, metadata: dict[str, Any], tmp_path: Path, small_blocks: int
) -> None:
    path = tmp_path / f"my.release{FORMATS[name]}"
    done = export(stand_in, path, format=name)
    canvases = {canvas: tmp_path / f"my.release.{canvas}{FORMATS[name]}" for canvas in ("sherpa", "truth")}
    assert (done.path, done.canvases) == (path, canvases)
    assert done.paths == (path, *canvases.values())
    assert set(tmp_path.iterdir()) == set(done.paths)
    for canvas, where in ((None, path), *canvases.items()):
        columns, text = third_party(where)
        assert_same_bits(columns, promised(base_arrays, canvas))
        assert json.loads(text) == metadata


@pytest.mark.parametrize("name", ["parquet", "root"])
def test_columns_stand_in_the_promised_order(name: ExportFormat, stand_in: Any, tmp_path: Path) -> None:
    columns, _ = third_party(export(stand_in, tmp_path / f"x{FORMATS[name]}").path)
    family = [f"weight_a_{member}" for member in range(12)]
    closure = ["closure_dd_target", "closure_dd_target_target", "closure_dd_target_unfolded"]
    assert list(columns) == [
        *("event_id", "pT", "mass", "jets", "run", "class", "weight_nominal", "weight_prior"),
        *family,
        *("weight_a_1_0", "weight_a_1_1", "weight_up_0"),
        *closure,
    ]


@every_format
def test_networks_are_left_out_and_named(name: ExportFormat, stand_in: Any, tmp_path: Path) -> None:
    done = export(stand_in, tmp_path / f"x{FORMATS[name]}", format=name)
    assert done.networks_left_out == ("ensemble_0000",)


ODD = [0x00000001, 0x007FFFFF, 0x80000001, 0x80000000, 0x7F7FFFFF, 0xFF7FFFFF, 0x7F800000, 0xFF800000]
NANS = [0x7FC00000, 0xFFC00000, 0x7FC12345, 0x7F800001, 0xFFBFFFFF, 0x7FFFFFFF]
words = st.sampled_from(ODD + NANS) | st.integers(0, 2**32 - 1)


@every_format
@settings(max_examples=15, deadline=None)
@given(bits=st.lists(words, min_size=1, max_size=40))
def test_any_float32_comes_back_bit_for_bit(
    name: ExportFormat,
    bits: list[int],
    make_release: Callable[..., Any],
    base_metadata: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    column = np.array(bits, dtype=np.uint32).view(np.float32)
    metadata = {
        **base_metadata,
        "events": len(bits),
        "observables": base_metadata["observables"][:1],
        "components": base_metadata["components"][1:2],
        "weights": {**base_metadata["weights"], "prior": False},
        "closure": {**base_metadata["closure"], "tests": []},
    }
    del metadata["canvases"]
    arrays: Arrays = {
        "event_id": np.arange(len(bits)),
        "events/pT": column,
        "weights/nominal": column[::-1],
        "weights/a_1": np.stack([column, column[::-1]], axis=1),
    }
    path = tmp_path_factory.mktemp("odd") / f"x{FORMATS[name]}"
    export(make_release(metadata, arrays), path, format=name)
    assert_same_bits(third_party(path)[0], promised(arrays))


@every_format
def test_metadata_may_be_long(name: ExportFormat, stand_in: Any, metadata: dict[str, Any], tmp_path: Path) -> None:
    metadata["validity"]["notes"] = ["µ" * 10000] * 100  # beyond the 64 KiB of an HDF5 attribute
    path = export(stand_in, tmp_path / f"x{FORMATS[name]}", format=name).path
    assert json.loads(third_party(path)[1]) == metadata


def _structure(path: Path) -> dict[str, Any]:
    """Everything of a pandas file but its values and the pickles (attribute ``name``, always None)."""
    found: dict[str, Any] = {}

    def look(name: str, node: Any) -> None:
        found[name] = (getattr(node, "dtype", None), getattr(node, "shape", None), getattr(node, "chunks", None))
        for attribute in set(node.attrs) - {"name"}:
            stored = node.attrs.get_id(attribute)
            text = stored.get_type().get_cset() if stored.dtype.kind == "S" else None
            value = None if stored.shape is None else node.attrs[attribute]
            found[f"{name}@{attribute}"] = (stored.dtype, stored.shape, text, value)

    with h5py.File(path) as file:
        look("", file)
        file.visititems(look)
    return found


def test_a_pandas_file_is_laid_out_as_pandas_does_it(stand_in: Any, base_arrays: Arrays, tmp_path: Path) -> None:
    path = export(stand_in, tmp_path / "x.h5", format="pandas").path
    pd.DataFrame(pd.read_hdf(path, key="df")).to_hdf(tmp_path / "pandas.h5", key="df", mode="w", format="fixed")
    with tables.open_file(str(tmp_path / "pandas.h5"), "a") as file:
        file.create_array(
            "/", "metadata", obj=np.zeros(len(json.dumps(stand_in.metadata, ensure_ascii=False).encode()), "u1")
        )
    assert _structure(path).keys() == _structure(tmp_path / "pandas.h5").keys() | {"metadata@transposed"}
    ours, theirs = _structure(path), _structure(tmp_path / "pandas.h5")
    assert {name: ours[name] for name in theirs} == theirs


def test_the_pandas_file_holds_no_pickle(stand_in: Any, tmp_path: Path) -> None:
    path = export(stand_in, tmp_path / "x.h5", format="pandas").path
    texts = {
        name: entry[-1] for name, entry in _structure(path).items() if "@" in name and isinstance(entry[-1], bytes)
    }
    assert len(texts) > 20
    assert not [name for name, text in texts.items() if text.endswith(b".")]  # as every pickle does
    with h5py.File(path) as file:
        assert file["metadata"].dtype == np.uint8
    assert len(pd.read_hdf(path)) == 500  # the only frame: no key needed


@every_format
def test_rows_are_read_and_written_in_blocks(
    name: ExportFormat, stand_in: Any, tmp_path: Path, small_blocks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[int] = []
    told: list[tuple[int, int, str]] = []
    read = type(stand_in.datasets["prior"]).read

    def recorded(stored: Any, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        block: NDArray[Any] = read(stored, start, stop)
        rows.append(len(block))
        return block

    monkeypatch.setattr(type(stand_in.datasets["prior"]), "read", recorded)
    path = export(
        stand_in, tmp_path / f"x{FORMATS[name]}", format=name, progress=lambda *told_: told.append(told_)
    ).path
    assert max(rows) == small_blocks
    edges = [*range(64, 500, 64), 500]
    assert [done for done, _, what in told if what == "export"] == edges
    assert {(total, what) for _, total, what in told} == {(500, "export"), (300, "canvas sherpa"), (7, "canvas truth")}
    if name == "parquet":
        layout = parquet.ParquetFile(path).metadata
        assert [layout.row_group(i).num_rows for i in range(layout.num_row_groups)] == list(np.diff([0, *edges]))
    elif name == "root":
        with uproot.open(path) as file:
            assert file["events/weight_a_1_0"].entry_offsets == [0, *edges]


def test_a_block_is_of_whole_chunks_and_some_64_mib(stand_in: Any) -> None:
    def rows(row_bytes: int) -> int:
        made = contents.Contents(stand_in, (), None, lambda *_: None)
        made.__dict__.update(row_bytes=row_bytes, events=10**7)
        return made.edges[1]

    assert rows(500) == 8 * 16384
    assert rows(10**6) == 16384


@pytest.mark.parametrize("canvas", [None, "sherpa"])
def test_the_plan_is_what_the_format_declares(canvas: str | None, metadata: dict[str, Any]) -> None:
    prefix = f"canvases/{canvas}/" if canvas else ""
    declared = {
        name: (entry.dtype, entry.shape[1:])
        for name, entry in declared_datasets(metadata).items()
        if name.startswith(prefix) and not name.startswith("networks/") and (canvas or not name.startswith("canvases/"))
    }
    columns = plan(metadata, canvas)
    planned = {entry.dataset: (entry.dtype.name, (len(entry.names),) if entry.family else ()) for entry in columns}
    assert planned == declared


@pytest.mark.parametrize(
    "clashing", ["event_id", "weight_nominal", "weight_prior", "weight_a_1", "weight_a_1_0", "closure_dd_target"]
)
def test_an_observable_that_is_called_like_another_column_is_refused(
    clashing: str, make_release: Callable[..., Any], metadata: dict[str, Any], base_arrays: Arrays, tmp_path: Path
) -> None:
    metadata["observables"][0]["name"] = clashing
    arrays = {name.replace("events/pT", f"events/{clashing}"): array for name, array in base_arrays.items()}
    with pytest.raises(PublishError, match=rf"x\.parquet: not written: the column '{clashing}' .*/events/{clashing}"):
        export(make_release(metadata, arrays), tmp_path / "x.parquet")
    assert not list(tmp_path.iterdir())


def test_a_clash_in_a_canvas_alone_is_refused(
    make_release: Callable[..., Any], metadata: dict[str, Any], base_arrays: Arrays, tmp_path: Path
) -> None:
    metadata["observables"][0]["name"] = "weight_mc_2"
    arrays = {name.replace("events/pT", "events/weight_mc_2"): array for name, array in base_arrays.items()}
    with pytest.raises(PublishError, match=r"x\.sherpa\.parquet: .*'weight_mc_2'"):
        export(make_release(metadata, arrays), tmp_path / "x.parquet")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("extra", ["closure/new/target", "weights/undeclared", "canvases/sherpa/weights/other"])
def test_no_dataset_is_dropped_in_silence(
    extra: str, make_release: Callable[..., Any], metadata: dict[str, Any], base_arrays: Arrays, tmp_path: Path
) -> None:
    arrays = {**base_arrays, extra: base_arrays["prior"]}
    with pytest.raises(ReleaseError, match=f"disagree about /{extra}"):
        export(make_release(metadata, arrays), tmp_path / "x.root")
    assert not list(tmp_path.iterdir())


def test_one_file_of_a_release_in_several_is_not_taken_for_the_whole(
    stand_in: Any, metadata: dict[str, Any], tmp_path: Path
) -> None:
    metadata["shard"] = {"index": 0, "count": 2, "events_total": 1000}
    with pytest.raises(ReleaseError, match="open their manifest"):
        export(stand_in, tmp_path / "x.root")


@every_format
@pytest.mark.parametrize("there", ["x", "x.truth"])
def test_a_file_that_is_there_is_replaced_on_demand_only(
    name: ExportFormat, there: str, stand_in: Any, base_arrays: Arrays, tmp_path: Path
) -> None:
    path, old = tmp_path / f"x{FORMATS[name]}", tmp_path / f"{there}{FORMATS[name]}"
    old.write_bytes(b"old")
    with pytest.raises(PublishError, match="exists already"):
        export(stand_in, path, format=name)
    assert list(tmp_path.iterdir()) == [old]
    assert old.read_bytes() == b"old"
    export(stand_in, path, format=name, overwrite=True)
    assert_same_bits(third_party(path)[0], promised(base_arrays))


def test_the_release_is_never_replaced_by_its_export(stand_in: Any, tmp_path: Path) -> None:
    path = tmp_path / "release.h5"
    path.write_bytes(b"release")
    with pytest.raises(PublishError, match="is the release itself"):
        export(
            replace(stand_in, path=path),
            tmp_path / ".." / tmp_path.name / "release.h5",
            format="pandas",
            overwrite=True,
        )
    assert path.read_bytes() == b"release"


@every_format
@pytest.mark.parametrize("limit", [100, 30_000])
def test_a_full_disk_is_one_clear_error_and_leaves_what_was_there(
    name: ExportFormat, limit: int, stand_in: Any, tmp_path: Path
) -> None:
    path = tmp_path / f"x{FORMATS[name]}"
    path.write_bytes(b"old")
    with small_disk(limit), pytest.raises(PublishError, match=r"not written: .*Free some space"):
        export(stand_in, path, format=name, overwrite=True)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"old"


def test_a_canvas_that_fails_leaves_nothing(stand_in: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(stored: Any, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        if stored.values is stand_in.datasets["canvases/truth/weights/nominal"].values:
            msg = "damaged"
            raise ReleaseError(msg)
        rows: NDArray[Any] = stored.values[start:stop]
        return rows

    monkeypatch.setattr(type(stand_in.datasets["prior"]), "read", fail)
    with pytest.raises(ReleaseError, match="damaged"):
        export(stand_in, tmp_path / "x.root")
    assert not list(tmp_path.iterdir())


def test_a_frame_too_large_for_the_memory_is_refused_before_anything_is_read(
    stand_in: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = 8 + (4 + 8 + 4 + 8 + 4) + 4 * (2 + 15 + 3)
    monkeypatch.setattr(frame, "MAX_FRAME_BYTES", 500 * row - 1)
    with pytest.raises(
        PublishError,
        match=r"500 events and 26 columns takes .* GB of memory.*Export to parquet, which is read in parts",
    ):
        export(stand_in, tmp_path / "x.h5", format="pandas")
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(frame, "MAX_FRAME_BYTES", 500 * row)
    export(stand_in, tmp_path / "x.h5", format="pandas")


@pytest.mark.parametrize(
    ("target", "wanted", "message"),
    [
        ("x.h5", None, "the suffix '.h5' tells no format"),
        ("x.hdf", None, "the suffix '.hdf' tells no format"),
        ("x", None, "the suffix '' tells no format"),
        ("x.root", "csv", "no format 'csv'; expected one of pandas, parquet, root"),
        ("nowhere/x.root", None, "there is no folder"),
    ],
)
def test_a_call_that_cannot_be_meant_is_refused(
    target: str, wanted: Any, message: str, stand_in: Any, tmp_path: Path
) -> None:
    with pytest.raises(PublishError, match=message):
        export(stand_in, tmp_path / target, format=wanted)


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [("parquet", "pyarrow", "export"), ("root", "uproot", "root")],
)
def test_a_missing_package_is_named_with_its_extra(
    name: ExportFormat, package: str, extra: str, stand_in: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("omnifold_pub.extras.find_spec", lambda wanted: None if wanted == package else wanted)
    with pytest.raises(MissingExtraError, match=rf"{package}, .*omnifold-pub\[{extra}\]"):
        export(stand_in, tmp_path / f"x{FORMATS[name]}", format=name)
    assert not list(tmp_path.iterdir())
