"""The writer of datasets: what plain HDF5 finds on the disk, bit by bit, and in how much memory it got there."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import math
import os
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from numpy.typing import NDArray

from omnifold_pub.errors import MissingExtraError, PublishError
from omnifold_pub.format import writing
from omnifold_pub.format.chunks import Codec
from omnifold_pub.format.reading import StoredFile
from omnifold_pub.format.writing import ReleaseWriter

Array = NDArray[Any]

SHAPES = [(1,), (2,), (300,), (16384,), (16385,), (40_000,), (1, 1), (500, 3), (300, 16), (300, 17), (20_000, 40)]
DTYPES = ["int32", "int64", "float32", "float64"]


def numbers(shape: tuple[int, ...], dtype: str, seed: int = 1) -> Array:
    """Return random bits as numbers: every NaN, infinity and subnormal among them."""
    raw = np.random.default_rng(seed).bytes(math.prod(shape) * np.dtype(dtype).itemsize)
    return np.frombuffer(raw, dtype=dtype).reshape(shape)


def cut(array: Array, rows: int) -> Iterator[Array]:
    return (array[start : start + rows] for start in range(0, len(array), rows))


def write(path: Path, arrays: dict[str, Array], *, rows: int = 1 << 30, codec: Codec = "gzip") -> dict[str, str]:
    """Write arrays and return their digests."""
    with ReleaseWriter(path, codec=codec) as writer:
        for name, array in arrays.items():
            writer.write(name, array.dtype.name, array.shape, cut(array, rows))
    return writer.digests


def raw(path: Path, name: str = "a/b") -> bytes:
    with h5py.File(path) as file:
        return bytes(file[name][()].tobytes())


def raw_ours(path: Path, name: str = "a/b") -> bytes:
    with StoredFile(path) as file:
        return bytes(file.datasets[name].read().tobytes())


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_numbers_come_back_bit_by_bit_in_the_documented_form(
    tmp_path: Path, shape: tuple[int, ...], dtype: str
) -> None:
    array, path = numbers(shape, dtype), tmp_path / "x.h5"
    digests = write(path, {"a/b": array})
    assert raw(path) == raw_ours(path) == array.tobytes()
    little = array.astype(array.dtype.newbyteorder("<"))
    assert digests == {"a/b": hashlib.sha256(little.tobytes()).hexdigest()}
    chunk = (min(shape[0], 16384),) if len(shape) == 1 else (min(shape[0], 16384), min(shape[1], 16))
    with h5py.File(path) as file:
        check_form(file["a/b"], dtype, shape, chunk)
        assert len(file.attrs) == len(file["a"].attrs) == 0
    assert path.read_bytes()[:9] == b"\x89HDF\r\n\x1a\n\x03"


def check_form(dataset: h5py.Dataset, dtype: str, shape: tuple[int, ...], chunk: tuple[int, ...]) -> None:
    types = {
        "int32": h5py.h5t.STD_I32LE,
        "int64": h5py.h5t.STD_I64LE,
        "float32": h5py.h5t.IEEE_F32LE,
        "float64": h5py.h5t.IEEE_F64LE,
        "uint8": h5py.h5t.STD_U8LE,
    }
    assert dataset.id.get_type() == types[dtype]
    assert (dataset.shape, dataset.maxshape, dataset.chunks) == (shape, shape, chunk)
    properties = dataset.id.get_create_plist()
    filters = [properties.get_filter(i)[0] for i in range(properties.get_nfilters())]
    assert filters == [h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_FLETCHER32]
    assert properties.get_filter(1)[2] == (1,)
    assert properties.get_external_count() == 0
    assert len(dataset.attrs) == 0
    places = [dataset.id.get_chunk_info(i) for i in range(dataset.id.get_num_chunks())]
    assert len(places) == math.prod(-(-size // step) for size, step in zip(shape, chunk, strict=True))
    assert {place.filter_mask for place in places} == {0}
    assert all(place.byte_offset is not None and place.size > 0 for place in places)


def test_bytes_have_chunks_of_a_mebibyte(tmp_path: Path) -> None:
    path, data = tmp_path / "x.h5", np.random.default_rng(1).bytes((1 << 20) + 7)
    with ReleaseWriter(path) as writer:
        writer.write_bytes("networks", data)
    assert raw(path, "networks") == raw_ours(path, "networks") == data
    assert writer.digests == {"networks": hashlib.sha256(data).hexdigest()}
    with h5py.File(path) as file:
        check_form(file["networks"], "uint8", (len(data),), (1 << 20,))


@settings(max_examples=25, deadline=None)
@given(
    array=arrays_of.arrays(
        st.sampled_from([np.dtype(name) for name in DTYPES]),
        arrays_of.array_shapes(min_dims=1, max_dims=2, max_side=40),
    )
)
def test_any_small_array_comes_back(tmp_path_factory: pytest.TempPathFactory, array: Array) -> None:
    path = tmp_path_factory.mktemp("any") / "x.h5"
    write(path, {"a/b": array})
    assert raw(path) == raw_ours(path) == array.tobytes()


@pytest.mark.parametrize("shape", [(50_000,), (50_000, 20)], ids=str)
def test_blocks_of_any_size_make_the_same_file(tmp_path: Path, shape: tuple[int, ...]) -> None:
    array = numbers(shape, "float32")
    files = []
    for number, rows in enumerate([16384, 32768, 1 << 20]):
        files.append(tmp_path / f"{number}.h5")
        write(files[-1], {"a/b": array}, rows=rows)
    assert len({path.read_bytes() for path in files}) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a.astype(a.dtype.newbyteorder(">")),
        np.asfortranarray,
        lambda a: np.repeat(a, 2, axis=0)[::2],
        lambda a: np.ascontiguousarray(a[::-1])[::-1],
    ],
    ids=["big-endian", "columns first", "every second row", "backwards"],
)
def test_the_order_of_bytes_in_memory_does_not_matter(tmp_path: Path, change: Any) -> None:
    array = np.random.default_rng(1).normal(size=(300, 20)).astype(np.float32)
    with ReleaseWriter(tmp_path / "x.h5") as writer:
        writer.write("a/b", "float32", array.shape, iter([change(array)]))
    assert raw(tmp_path / "x.h5") == raw_ours(tmp_path / "x.h5") == array.astype("<f4").tobytes()
    assert writer.digests["a/b"] == hashlib.sha256(array.astype("<f4").tobytes()).hexdigest()


def test_documents_are_canonical_and_digests_come_last(tmp_path: Path) -> None:
    path, metadata = tmp_path / "x.h5", {"b": [1, 2.5, None], "a": {"µ": "ü", "x": True}}
    ids = np.arange(5)
    with ReleaseWriter(path) as writer:
        writer.write("event_id", "int64", ids.shape, [ids])
        writer.write_documents(metadata)
    text = json.dumps(metadata, ensure_ascii=False, indent=1, sort_keys=True).encode()
    assert raw(path, "metadata") == text
    stated = {"event_id": ids.astype("<i8").tobytes(), "metadata": text}
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in stated.items()}
    assert raw(path, "digests") == json.dumps(digests, indent=1, sort_keys=True).encode()


def test_two_blocks_at_most_are_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "cores", lambda: 2)
    alive: list[weakref.ref[Array]] = []
    most = 0

    def blocks() -> Iterator[Array]:
        nonlocal most
        for number in range(6):
            block = np.full((16384, 320), number, dtype=np.float32)
            alive.append(weakref.ref(block))
            most = max(most, sum(reference() is not None for reference in alive))
            yield block
            del block

    with ReleaseWriter(tmp_path / "x.h5") as writer:
        writer.write("a", "float32", (6 * 16384, 320), blocks())
    assert most <= 2
    with h5py.File(tmp_path / "x.h5") as file:
        assert np.array_equal(file["a"][::16384, 0], np.arange(6))


def test_an_error_of_the_source_comes_out_as_it_is(tmp_path: Path) -> None:
    def blocks() -> Iterator[Array]:
        yield np.zeros((16384, 3), dtype=np.float32)
        msg = "the disk of the source broke"
        raise OSError(msg)

    with pytest.raises(OSError, match="disk of the source"), ReleaseWriter(tmp_path / "x.h5") as writer:
        writer.write("a", "float32", (40_000, 3), blocks())


def test_an_unknown_codec_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(PublishError, match=r"codec: expected one of gzip, blosc2-zstd; found 'lzf'"):
        ReleaseWriter(tmp_path / "x.h5", codec=cast("Codec", "lzf"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("missing", ["hdf5plugin", "blosc2"])
def test_a_codec_without_its_package_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr("omnifold_pub.extras.find_spec", lambda name: None if name == missing else real(name))
    with pytest.raises(MissingExtraError, match=rf"{missing}.*pip install 'omnifold-pub\[codecs\]'"):
        ReleaseWriter(tmp_path / "x.h5", codec="blosc2-zstd")
    assert not list(tmp_path.iterdir())
    with ReleaseWriter(tmp_path / "x.h5"):
        pass  # gzip needs neither


@pytest.mark.parametrize("shape", [(1,), (300,), (40_000,), (1, 1), (300, 17), (20_000, 40)], ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_other_codec_loses_nothing_either(tmp_path: Path, shape: tuple[int, ...], dtype: str) -> None:
    pytest.importorskip("hdf5plugin")
    pytest.importorskip("blosc2")
    array, path = numbers(shape, dtype), tmp_path / "x.h5"
    digests = write(path, {"a/b": array}, rows=16384, codec="blosc2-zstd")
    assert raw(path) == raw_ours(path) == array.tobytes()
    assert digests == {"a/b": hashlib.sha256(array.astype(array.dtype.newbyteorder("<")).tobytes()).hexdigest()}
    with h5py.File(path) as file:
        properties = file["a/b"].id.get_create_plist()
        filters = [properties.get_filter(i)[0] for i in range(properties.get_nfilters())]
        assert filters == [32026, h5py.h5z.FILTER_FLETCHER32]
        places = [file["a/b"].id.get_chunk_info(i) for i in range(file["a/b"].id.get_num_chunks())]
        assert {place.filter_mask for place in places} == {0}


def test_what_the_disk_does_not_take_is_an_error_and_no_crash(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    writer = ReleaseWriter(tmp_path / "x.h5")
    full = os.open("/dev/full", os.O_RDWR)
    os.dup2(full, writer._raw._file.fileno())
    os.close(full)
    with pytest.raises(OSError, match="No space left"), writer:
        writer.write("a", "float32", (40_000,), iter([np.zeros(40_000, dtype=np.float32)]))
