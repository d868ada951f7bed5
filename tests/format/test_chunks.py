"""Chunks against HDF5 itself: it writes and we decode, we encode and it reads; and bytes that lie about themselves."""

from __future__ import annotations

import itertools
import struct
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from omnifold_pub.errors import ReleaseError
from omnifold_pub.format.chunks import BLOSC2, DEFLATE, FLETCHER32, KNOWN_PIPELINES, SHUFFLE, Pipeline, fletcher32

DTYPES = ("u1", "<i4", "<i8", "<f4", "<f8")
BLOSC = dict(hdf5plugin.Blosc2(cname="zstd", clevel=1, filters=hdf5plugin.Blosc2.SHUFFLE))
PIPELINES = sorted(KNOWN_PIPELINES)
every_pipeline = pytest.mark.parametrize("filters", PIPELINES, ids=str)
every_own_pipeline = pytest.mark.parametrize("filters", [p for p in PIPELINES if BLOSC2 not in p], ids=str)

ARRAYS = st.sampled_from(DTYPES).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=1, max_dims=2, min_side=1, max_side=40))
)


def memory_file() -> h5py.File:
    return h5py.File("memory.h5", "w", driver="core", backing_store=False)


def create(file: h5py.File, filters: tuple[int, ...], block: NDArray[Any]) -> h5py.Dataset:
    """Make a dataset of one chunk with the filters, by HDF5's own means."""
    options: dict[str, Any] = {"shuffle": SHUFFLE in filters}
    if DEFLATE in filters:
        options |= {"compression": "gzip", "compression_opts": 6}
    elif BLOSC2 in filters:
        options = BLOSC
    dataset = file.create_dataset(
        "block", shape=block.shape, dtype=block.dtype, chunks=block.shape, fletcher32=True, **options
    )
    plist = dataset.id.get_create_plist()
    assert tuple(plist.get_filter(i)[0] for i in range(plist.get_nfilters())) == filters
    return dataset


def written_by_hdf5(filters: tuple[int, ...], block: NDArray[Any]) -> bytes:
    """Return the bytes of a chunk as HDF5 writes it."""
    with memory_file() as file:
        dataset = create(file, filters, block)
        dataset[...] = block
        mask, data = dataset.id.read_direct_chunk((0,) * block.ndim)
    assert mask == 0
    return bytes(data)


def sealed(body: bytes) -> bytes:
    """Return bytes with the checksum that belongs to them."""
    return body + struct.pack("<I", fletcher32(body))


@settings(deadline=None, max_examples=200)
@given(data=st.binary(min_size=1, max_size=3000))
def test_the_checksum_is_the_one_that_hdf5_writes(data: bytes) -> None:
    stored = written_by_hdf5((FLETCHER32,), np.frombuffer(data, dtype=np.uint8))
    assert stored == sealed(data)


@pytest.mark.parametrize("size", [1, 2, 719, 720, 8191, 8192, 8193, 16384, 100_001, 3_000_000])
@pytest.mark.parametrize("byte", [0x00, 0xFF, None], ids=["zeros", "ones", "random"])
def test_the_checksum_of_long_and_of_extreme_bytes_is_that_of_hdf5(size: int, byte: int | None) -> None:
    rng = np.random.default_rng(size)
    data = rng.integers(0, 256, size, dtype=np.uint8) if byte is None else np.full(size, byte, dtype=np.uint8)
    assert written_by_hdf5((FLETCHER32,), data) == sealed(data.tobytes())


@settings(deadline=None, max_examples=100)
@given(data=st.binary(min_size=1, max_size=200), where=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_the_checksum_finds_every_single_bit(data: bytes, where: int, bit: int) -> None:
    flipped = bytearray(data)
    flipped[where % len(data)] ^= 1 << bit
    assert fletcher32(bytes(flipped)) != fletcher32(data)


@every_pipeline
@settings(deadline=None, max_examples=60)
@given(block=ARRAYS)
def test_what_hdf5_writes_is_decoded_bit_by_bit(filters: tuple[int, ...], block: NDArray[Any]) -> None:
    data = written_by_hdf5(filters, block)
    decoded = Pipeline(filters, block.dtype, block.shape).decode(data, "here")
    assert decoded.dtype == block.dtype
    assert decoded.shape == block.shape
    assert decoded.tobytes() == block.tobytes()


@pytest.mark.parametrize("fill", [None, 0.0, 2.5, np.nan])
@pytest.mark.parametrize("shape", [(16384, 16), (16384, 9), (777, 13), (16384,), (1,), (1, 1)])
def test_blosc2_chunks_of_full_size_are_decoded(shape: tuple[int, ...], fill: float | None) -> None:
    block = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    if fill is not None:
        block[...] = fill  # Blosc2 has shorthands for these
    data = written_by_hdf5((BLOSC2, FLETCHER32), block)
    assert Pipeline((BLOSC2, FLETCHER32), block.dtype, shape).decode(data, "here").tobytes() == block.tobytes()


@every_own_pipeline
@settings(deadline=None, max_examples=60)
@given(block=ARRAYS)
def test_hdf5_reads_what_is_encoded(filters: tuple[int, ...], block: NDArray[Any]) -> None:
    with memory_file() as file:
        dataset = create(file, filters, block)
        dataset.id.write_direct_chunk((0,) * block.ndim, Pipeline(filters, block.dtype, block.shape).encode(block), 0)
        assert dataset[...].tobytes() == block.tobytes()


@every_own_pipeline
def test_a_block_that_does_not_fill_its_chunk_is_filled_up_with_zeros(filters: tuple[int, ...]) -> None:
    block = np.arange(1, 16, dtype="<i4").reshape(5, 3)
    pipeline = Pipeline(filters, block.dtype, (8, 4))
    whole = pipeline.decode(pipeline.encode(block), "here")
    np.testing.assert_array_equal(whole[:5, :3], block)
    assert whole.sum() == block.sum()


def test_big_endian_and_strided_blocks_are_encoded_by_their_values() -> None:
    values = np.arange(24, dtype="<f4").reshape(6, 4)
    pipeline = Pipeline((SHUFFLE, DEFLATE, FLETCHER32), values.dtype, (4, 6))
    for same in (values.T.astype(">f4"), values.T, np.asfortranarray(values.T)):
        assert pipeline.encode(same) == pipeline.encode(np.ascontiguousarray(values.T))


@every_pipeline
@settings(deadline=None, max_examples=60)
@given(where=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_every_flipped_bit_is_refused(filters: tuple[int, ...], where: int, bit: int) -> None:
    block = np.random.default_rng(3).normal(size=(30, 5)).astype("<f4")
    data = bytearray(written_by_hdf5(filters, block))
    data[where % len(data)] ^= 1 << bit
    with pytest.raises(
        ReleaseError, match=r"file\.h5: /weights/x: .*damaged .a checksum does not fit.; fetch it again"
    ):
        Pipeline(filters, block.dtype, block.shape).decode(bytes(data), "file.h5: /weights/x")


@every_pipeline
@pytest.mark.parametrize("size", range(5))
def test_a_chunk_of_next_to_no_bytes_is_refused(filters: tuple[int, ...], size: int) -> None:
    for data in (b"\0" * size, b"\xff" * size, sealed(b"\1" * size)):
        with pytest.raises(ReleaseError, match="cannot be read"):
            Pipeline(filters, np.dtype("<f8"), (100,)).decode(data, "here")


@pytest.mark.parametrize("filters", [(DEFLATE, FLETCHER32), (SHUFFLE, DEFLATE, FLETCHER32)], ids=str)
@pytest.mark.parametrize(
    "body",
    [
        zlib.compress(bytes(399)),
        zlib.compress(bytes(401)),
        zlib.compress(b""),
        zlib.compress(bytes(400))[:-1],
        zlib.compress(bytes(400))[:-5],
        zlib.compress(bytes(400))[:-4] + b"\0\0\0\0",
        zlib.compress(bytes(400), wbits=-15),
        zlib.compress(bytes(400), wbits=31),
        b"no deflate at all",
    ],
    ids=["short", "long", "none", "cut", "cut-more", "adler", "raw", "gzip", "text"],
)
def test_a_stream_that_is_no_chunk_is_refused(filters: tuple[int, ...], body: bytes) -> None:
    with pytest.raises(ReleaseError, match="here: cannot be read"):
        Pipeline(filters, np.dtype("<f4"), (100,)).decode(sealed(body), "here")


@pytest.mark.parametrize("filters", [(DEFLATE, FLETCHER32), (SHUFFLE, DEFLATE, FLETCHER32)], ids=str)
def test_bytes_behind_a_stream_change_nothing(filters: tuple[int, ...]) -> None:
    block = np.arange(100, dtype="<f4")
    pipeline = Pipeline(filters, block.dtype, (100,))
    body = pipeline.encode(block)[:-4]
    with memory_file() as file:
        dataset = create(file, filters, block)
        dataset.id.write_direct_chunk((0,), sealed(body + b"more"), 0)
        np.testing.assert_array_equal(dataset[...], block)  # HDF5 itself does not mind
    np.testing.assert_array_equal(pipeline.decode(sealed(body + b"more"), "here"), block)


@every_own_pipeline
@pytest.mark.parametrize("surplus", [-1, 1, 400])
def test_a_chunk_of_another_size_is_refused(filters: tuple[int, ...], surplus: int) -> None:
    body = bytes(400 + surplus)
    if DEFLATE in filters:
        body = zlib.compress(body)
    with pytest.raises(ReleaseError, match=r"here: cannot be read: a chunk .* 400"):
        Pipeline(filters, np.dtype("<f4"), (100,)).decode(sealed(body), "here")


def test_a_bomb_of_gigabytes_is_refused_in_bounded_memory() -> None:
    packer = zlib.compressobj(9)
    head = packer.compress(bytes(2**24)) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(bytes(2**24)) + packer.flush(zlib.Z_FULL_FLUSH)
    bomb = head + 255 * again  # 4 GiB in 4 MB
    assert len(bomb) < 5_000_000
    data = sealed(bomb)
    tracemalloc.start()
    try:
        with pytest.raises(ReleaseError, match="expands to more or to less than its 400 bytes"):
            Pipeline((DEFLATE, FLETCHER32), np.dtype("<f4"), (100,)).decode(data, "here")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 * len(data)


def blosc_chunk(shape: tuple[int, ...], dtype: str = "<f8") -> tuple[NDArray[Any], bytes]:
    block = np.random.default_rng(1).gamma(2.0, size=shape).astype(dtype)
    return block, written_by_hdf5((BLOSC2, FLETCHER32), block)[:-4]


@pytest.mark.parametrize(
    ("shape", "other"),
    [
        ((500,), (499,)),
        ((500,), (501,)),
        ((500,), (1,)),
        *(((125, 4), other) for other in ((124, 4), (126, 4), (125, 5), (4, 125), (500, 1), (500,), (1, 1))),
    ],
)
def test_a_blosc2_frame_of_another_shape_is_refused(shape: tuple[int, ...], other: tuple[int, ...]) -> None:
    _, body = blosc_chunk(other)
    with pytest.raises(ReleaseError, match="here: cannot be read: expected a Blosc2 frame of 4000 bytes"):
        Pipeline((BLOSC2, FLETCHER32), np.dtype("<f8"), shape).decode(sealed(body), "here")


@pytest.mark.parametrize("shape", [(500,), (125, 4)])
def test_a_blosc2_frame_of_other_items_is_refused(shape: tuple[int, ...]) -> None:
    _, body = blosc_chunk(shape, "<f4")
    with pytest.raises(ReleaseError, match="here: cannot be read: expected a Blosc2 frame"):
        Pipeline((BLOSC2, FLETCHER32), np.dtype("<f8"), shape).decode(sealed(body), "here")


IN_ANOTHER_PROCESS = """
import sys
import numpy as np
from omnifold_pub.errors import ReleaseError
from omnifold_pub.format.chunks import BLOSC2, FLETCHER32, Pipeline
pipeline = Pipeline((BLOSC2, FLETCHER32), np.dtype("<f8"), tuple(map(int, sys.argv[1].split(","))))
data = sys.stdin.buffer.read()
for first in range(0, len(data), int(sys.argv[2])):
    try:
        pipeline.decode(data[first : first + int(sys.argv[2])], "here")
    except ReleaseError:
        pass
print("survived")
"""


def decode_elsewhere(bodies: list[bytes], shape: tuple[int, ...], folder: Path) -> subprocess.CompletedProcess[bytes]:
    """Decode frames of one size in another process, whose current folder is the given one."""
    return subprocess.run(
        [sys.executable, "-c", IN_ANOTHER_PROCESS, ",".join(map(str, shape)), str(len(bodies[0]) + 4)],
        input=b"".join(map(sealed, bodies)),
        capture_output=True,
        cwd=folder,
        check=False,
    )


def test_a_blosc2_frame_that_says_that_its_items_are_python_objects_is_refused(tmp_path: Path) -> None:
    # numpy would follow the file's bytes as pointers
    _, body = blosc_chunk((125, 4))
    assert body.count(b"|V8") == 1
    done = decode_elsewhere([body.replace(b"|V8", b"|O8")], (125, 4), tmp_path)
    assert (done.returncode, done.stdout) == (0, b"survived\n"), done.stderr.decode()


@pytest.mark.parametrize("shape", [(500,), (125, 4)])
def test_a_blosc2_frame_does_not_make_python_run_a_file_of_the_current_folder(
    shape: tuple[int, ...], tmp_path: Path
) -> None:
    # Blosc2 looks for codecs that it does not have with ``python -c "import blosc2_grok"`` and the like
    names = ("openhtj2k", "grok", "openzl", "j2k", "htj2k")
    for name in names:
        (tmp_path / f"blosc2_{name}.py").write_text(f"open('{name}.ran', 'w')")
    _, body = blosc_chunk(shape)
    chunk = body.index(b"\x05\x01")
    bodies = []
    for codec in range(32, 48):
        forged = bytearray(body)
        forged[chunk + 2] = forged[chunk + 2] & 0x1F | 6 << 5  # a codec of the registry's
        forged[chunk + 22] = codec
        bodies.append(bytes(forged))
    done = decode_elsewhere(bodies, shape, tmp_path)
    assert sorted(path.name for path in tmp_path.glob("*.ran")) == []
    assert (done.returncode, done.stdout) == (0, b"survived\n"), done.stderr.decode()


@pytest.mark.parametrize("shape", [(500,), (125, 4)])
def test_forged_blosc2_frames_do_no_worse_than_be_refused(shape: tuple[int, ...], tmp_path: Path) -> None:
    _, body = blosc_chunk(shape)
    chunk = body.index(b"\x05\x01")
    places = [*range(chunk + 40), *range(len(body) - 120, len(body))]
    bodies = []
    for place, value in itertools.product(places, (0x00, 0x7F, 0x80, 0xFF, None)):
        forged = bytearray(body)
        forged[place] = forged[place] ^ 1 if value is None else value
        bodies.append(bytes(forged))
    done = decode_elsewhere(bodies, shape, tmp_path)
    assert (done.returncode, done.stdout) == (0, b"survived\n"), done.stderr.decode()[-600:]
