"""Write the datasets of a release in bounded memory, compressed on all cores."""

from __future__ import annotations

import hashlib
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self, get_args

import h5py
import numpy as np
from numpy.typing import NDArray

from omnifold_pub.atomic import ErrorKeepingFile
from omnifold_pub.errors import PublishError
from omnifold_pub.extras import require
from omnifold_pub.format import layout
from omnifold_pub.format.chunks import DEFLATE, FLETCHER32, SHUFFLE, Codec, Pipeline
from omnifold_pub.format.documents import encode_document
from omnifold_pub.format.reading import cores

__all__ = ["BLOCK_BYTES", "ReleaseWriter"]

BLOCK_BYTES = 64 * 1024 * 1024
"""Bytes that are taken from a source at once. Two blocks and their compressed chunks are in memory at a time."""


class ReleaseWriter:
    """A new file, and the digests of what is written to it; use it in a ``with`` block.

    Parameters
    ----------
    path : pathlib.Path
        Must not exist.
    codec : {"gzip", "blosc2-zstd"}
        How chunks are compressed. Every HDF5 reads ``gzip``; the other needs a plug-in.

    Raises
    ------
    OSError
        On leaving the block and while writing, if the disk does not take the data.
    """

    def __init__(self, path: Path, *, codec: Codec = "gzip") -> None:
        if codec not in get_args(Codec):
            msg = f"codec: expected one of {', '.join(get_args(Codec))}; found {codec!r}"
            raise PublishError(msg)
        if codec != "gzip":
            require("hdf5plugin", "blosc2", extra="codecs", purpose=f"Writing with {codec}")
        self.codec = codec
        self.digests: dict[str, str] = {}
        self._raw = ErrorKeepingFile(path)
        self._file = h5py.File(self._raw, "w", libver=layout.LIBVER)
        self._pool = ThreadPoolExecutor(cores(), thread_name_prefix="omnifold_pub-write")

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the file, and say so if the disk did not take it."""
        self._pool.shutdown(cancel_futures=True)
        self._file.close()
        self._raw.close()
        if error is None:
            self._raw.check()

    def _create(self, name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> h5py.Dataset:
        chunks = layout.chunk_shape(shape, dtype.itemsize)
        filters: dict[str, Any] = {"shuffle": True, "compression": "gzip", "compression_opts": 1}
        if self.codec != "gzip":
            import hdf5plugin

            filters = dict(hdf5plugin.Blosc2(cname="zstd", clevel=1, filters=hdf5plugin.Blosc2.SHUFFLE))
        return self._file.create_dataset(name, shape=shape, dtype=dtype, chunks=chunks, fletcher32=True, **filters)

    def write(self, name: str, dtype: str, shape: tuple[int, ...], blocks: Iterable[NDArray[Any]]) -> None:
        """Write a dataset whose rows come in blocks, each but the last a multiple of the chunks' rows.

        Raises
        ------
        OSError
            If the disk does not take it.
        """
        kind = np.dtype(dtype).newbyteorder("<")
        dataset = self._create(name, kind, shape)
        state = hashlib.sha256()
        if self.codec == "gzip":
            self._write_chunks(dataset, blocks, state.update)
        else:
            start = 0
            for block in blocks:
                rows = np.ascontiguousarray(block, dtype=kind)
                dataset[start : start + len(rows)] = rows
                state.update(rows.data)
                start += len(rows)
                self._raw.check()
        self._raw.check()
        self.digests[name] = state.hexdigest()

    def _write_chunks(
        self, dataset: h5py.Dataset, blocks: Iterable[NDArray[Any]], update: Callable[[Any], None]
    ) -> None:
        """Encode chunks on all cores and write them in order."""
        pipeline = Pipeline((SHUFFLE, DEFLATE, FLETCHER32), dataset.dtype, dataset.chunks)
        pending: deque[tuple[tuple[int, ...], Future[bytes]]] = deque()
        most = 4 * cores() + 4

        def write_first() -> None:
            offset, future = pending.popleft()
            dataset.id.write_direct_chunk(offset, future.result(), 0)
            self._raw.check()

        start = 0
        for block in blocks:
            rows = np.ascontiguousarray(block, dtype=dataset.dtype)
            hashed = self._pool.submit(update, rows.data)
            for offset, part in _parts(rows, dataset.chunks, start):
                pending.append((offset, self._pool.submit(pipeline.encode, part)))
                if len(pending) > most:
                    write_first()
            hashed.result()
            start += len(rows)
        while pending:
            write_first()

    def write_bytes(self, name: str, data: bytes) -> None:
        """Write a dataset of bytes."""
        array = np.frombuffer(data, dtype=np.uint8)
        step = layout.chunk_shape(array.shape, 1)[0]
        self.write(name, "uint8", array.shape, (array[i : i + step] for i in range(0, len(array), step)))

    def write_documents(self, metadata: dict[str, Any]) -> None:
        """Write the metadata and, last of all, the digests."""
        self.write_bytes(layout.METADATA, encode_document(metadata))
        self.write_bytes(layout.DIGESTS, encode_document(dict(self.digests)))


def _parts(rows: NDArray[Any], chunks: tuple[int, ...], start: int) -> Iterator[tuple[tuple[int, ...], NDArray[Any]]]:
    """Yield (offset in the dataset, values) of every chunk of a block."""
    steps = [range(0, size, step) for size, step in zip(rows.shape, chunks, strict=True)]
    for corner in itertools.product(*steps):
        where = tuple(slice(low, low + step) for low, step in zip(corner, chunks, strict=True))
        yield (start + corner[0], *corner[1:]), rows[where]
