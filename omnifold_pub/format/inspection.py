"""Look at the structure of an HDF5 file that may be hostile, before anything in it is read.

Runs in a process of its own (see `guard`). What is refused here was seen to leak the content of system files, hang,
crash or fill the memory of a plain HDF5 reader: links that are not hard, external storage, virtual datasets, types of
variable length, unknown filters, chunks of gigabytes, chunks that were never written and read as zeros.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5d, h5g, h5l, h5o, h5t

from omnifold_pub.errors import ReleaseError
from omnifold_pub.format import guard
from omnifold_pub.format.bytes_source import ByteSource
from omnifold_pub.format.chunks import KNOWN_PIPELINES, SHUFFLE
from omnifold_pub.format.layout import MAX_CHUNK_BYTES, MAX_CHUNK_ROW_BYTES
from omnifold_pub.format.served import ServedFile

__all__ = ["Structure", "inspect", "inspect_guarded", "inspect_sources"]

Structure = dict[str, dict[str, Any]]
"""Type, shape, chunks, filters and places of each dataset, by its path; see `inspect`."""

MAX_DEPTH = 4
MAX_OBJECTS = 50_000
MAX_CHUNKS = 4_000_000
TYPES = {
    "uint8": h5t.STD_U8LE,
    "int32": h5t.STD_I32LE,
    "int64": h5t.STD_I64LE,
    "float32": h5t.IEEE_F32LE,
    "float64": h5t.IEEE_F64LE,
}

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_CHECKSUMMED = (2, 3)
_NAME = re.compile(rb"[A-Za-z][A-Za-z0-9_]{0,63}")
_FILES_EACH = 128
_PROCESSES = 4
_LAYOUTS = {h5d.COMPACT: "compact", h5d.CONTIGUOUS: "contiguous", h5d.VIRTUAL: "virtual"}


def _refuse(path: str, where: str, found: str, expected: str) -> ReleaseError:
    return ReleaseError(f"{path}: refused: {where}: found {found}; expected {expected}")


def _longest(nbytes: int) -> int:
    """Return the bytes that a chunk of so many can take in the file, where compression makes it longer."""
    return nbytes + nbytes // 100 + 4096


def _dataset(path: str, name: str, dataset: h5d.DatasetID, file_bytes: int) -> dict[str, Any]:
    """Check one dataset and return its type, shape, chunks, filters and the place of each chunk."""
    where = f"/{name}"
    properties = dataset.get_create_plist()
    layout = properties.get_layout()
    if layout != h5d.CHUNKED:
        raise _refuse(path, where, f"a dataset of layout {_LAYOUTS.get(layout, layout)}", "chunks")
    if properties.get_external_count():
        raise _refuse(path, where, "external storage", "its values in this file")
    kind = dataset.get_type()
    if kind.get_class() not in (h5t.INTEGER, h5t.FLOAT):
        raise _refuse(path, where, "a type that is no number", ", ".join(TYPES))
    dtype = kind.dtype
    if not any(kind == known for known in TYPES.values()):  # of numpy's name only, some have other bits
        raise _refuse(
            path, where, f"type {dtype.str}, {kind.get_precision()} bits", f"little-endian {', '.join(TYPES)}"
        )
    shape, chunk = dataset.shape, properties.get_chunk()
    if len(shape) not in (1, 2) or len(chunk) != len(shape) or min(shape) < 1:
        raise _refuse(path, where, f"shape {list(shape)}", "one or two axes, not empty")
    if dtype.itemsize * math.prod(chunk) > MAX_CHUNK_BYTES:
        raise _refuse(path, where, f"chunks of {list(chunk)}", f"at most {MAX_CHUNK_BYTES // 2**20} MB")
    if dtype.itemsize * chunk[0] * math.prod(shape[1:]) > MAX_CHUNK_ROW_BYTES:
        raise _refuse(path, where, f"chunks of {chunk[0]} rows", f"at most {MAX_CHUNK_ROW_BYTES // 2**20} MB in a row")
    used = [properties.get_filter(i) for i in range(properties.get_nfilters())]
    filters = tuple(number for number, *_ in used)
    if filters not in KNOWN_PIPELINES:
        raise _refuse(path, where, f"filters {list(filters)}", f"one of {sorted(map(list, KNOWN_PIPELINES))}")
    if any(number == SHUFFLE and values != (dtype.itemsize,) for number, _, values, _ in used):
        raise _refuse(path, where, "bytes that are shuffled in another width", f"{dtype.itemsize} bytes")
    grid = [-(-size // step) for size, step in zip(shape, chunk, strict=True)]
    expected = math.prod(grid)
    if expected > MAX_CHUNKS or expected > file_bytes:
        raise _refuse(path, where, f"{expected} chunks", "no more than the file can hold")
    stored: list[Any] = []
    dataset.chunk_iter(lambda info: stored.append(info) if len(stored) <= expected else True)
    if len(stored) != expected:
        raise _refuse(path, where, f"{len(stored)} chunks that were written", f"all {expected}")
    longest = _longest(dtype.itemsize * math.prod(chunk))
    places = np.zeros((expected, 2), dtype=np.int64)
    for info in stored:
        if info.filter_mask:
            raise _refuse(path, where, f"a chunk that skips filters (mask {info.filter_mask})", "mask 0")
        position = [start // step for start, step in zip(info.chunk_offset, chunk, strict=True)]
        number = int(np.ravel_multi_index(position, grid))
        inside = 0 < info.byte_offset < file_bytes and 0 < info.size <= file_bytes - info.byte_offset
        if info.size > longest:
            raise _refuse(path, where, f"a chunk of {info.size} bytes", f"at most {longest}")
        if not inside or places[number].any():
            raise _refuse(path, where, "a chunk outside the file, or stored twice", "each chunk once")
        places[number] = info.byte_offset, info.size
    return {
        "dtype": dtype.str,
        "shape": list(shape),
        "chunk": list(chunk),
        "filters": list(filters),
        "places": places.tolist(),
    }


def _check_overlaps(path: str, datasets: dict[str, dict[str, Any]]) -> None:
    places = np.concatenate([np.asarray(entry["places"]) for entry in datasets.values()])
    places = places[np.argsort(places[:, 0])]
    if (places[1:, 0] < places[:-1].sum(axis=1)).any():
        raise _refuse(path, "/", "chunks that share bytes of the file", "bytes of its own for each")


def inspect(path: str, *, file: ServedFile | None = None) -> Structure:
    """Return the datasets of a file by their path, after a look at everything that could harm a reader.

    Parameters
    ----------
    path : str
        The file, or what to call it.
    file : ServedFile, optional
        Its bytes, where it is not on this machine.

    Returns
    -------
    dict
        ``{path: {"dtype", "shape", "chunk", "filters", "places"}}``; ``places[chunk]`` is (offset, size) in bytes,
        chunks counted row by row.

    Raises
    ------
    ReleaseError
        At the first thing that a release must not hold.
    """
    file_bytes = Path(path).stat().st_size if file is None else file.size
    with h5py.File(path if file is None else file, "r", locking=False) as opened:
        if opened.userblock_size:
            raise _refuse(path, "/", "a user block", "HDF5 from the first byte on")
        attributes = h5o.get_info(opened["/"].id).num_attrs
        if attributes:
            raise _refuse(path, "/", f"{attributes} attributes", "none: metadata are in /metadata")
        datasets: Structure = {}
        seen = set()
        pending: list[tuple[str, h5g.GroupID, int]] = [("", opened["/"].id, 0)]
        objects = 0
        while pending:
            prefix, group, depth = pending.pop()
            objects += group.get_num_objs()
            if objects > MAX_OBJECTS or depth > MAX_DEPTH:
                raise _refuse(path, f"/{prefix}", "too many or too deep objects", f"{MAX_OBJECTS}, {MAX_DEPTH} deep")
            names: list[bytes] = []
            group.links.iterate(names.append)
            for name in names:
                shown = f"/{prefix}{name.decode('utf-8', 'replace')[:80]}"
                if not _NAME.fullmatch(name):
                    raise _refuse(path, shown, "this name", "letters, digits and underscores")
                link = group.links.get_info(name).type
                if link != h5l.TYPE_HARD:
                    what = {h5l.TYPE_SOFT: "a soft link", h5l.TYPE_EXTERNAL: "an external link"}.get(link, "a link")
                    raise _refuse(path, shown, what, "hard links alone")
                item = h5o.open(group, name)
                about = h5o.get_info(item)
                if about.rc != 1 or (about.fileno, about.addr) in seen:
                    raise _refuse(path, shown, "an object with several names", "one name for each")
                seen.add((about.fileno, about.addr))
                if about.num_attrs:
                    raise _refuse(path, shown, f"{about.num_attrs} attributes", "none: metadata are in /metadata")
                inner = f"{prefix}{name.decode()}"
                if isinstance(item, h5g.GroupID):
                    pending.append((f"{inner}/", item, depth + 1))
                elif isinstance(item, h5d.DatasetID):
                    datasets[inner] = _dataset(path, inner, item, file_bytes)
                else:
                    raise _refuse(path, shown, "a named type", "groups and datasets")
    if datasets:
        _check_overlaps(path, datasets)
    return datasets


def _check_start(path: str, start: bytes) -> None:
    if start[: len(_SIGNATURE)] != _SIGNATURE or start == _SIGNATURE:
        msg = f"{path}: not an HDF5 file, or a damaged one (its first bytes are {start[:8]!r})"
        raise ReleaseError(msg)
    if start[-1] not in _CHECKSUMMED:
        raise _refuse(path, "/", f"an HDF5 superblock of version {start[-1]}", "version 2 or 3, which has checksums")


def inspect_guarded(path: str) -> Structure:
    """Return what `inspect` does, from a process of its own.

    Raises
    ------
    ReleaseError
        If the file is no HDF5 file of the kind that checks its own metadata, or is refused.
    """
    with Path(path).open("rb") as file:
        _check_start(path, file.read(len(_SIGNATURE) + 1))
    result: Structure = guard.run_guarded(inspect, path, module=__name__)
    return result


def inspect_sources(sources: Sequence[ByteSource]) -> list[Structure]:
    """Return what `inspect` does for each of many files, from few processes.

    The bytes of a file that is not on this machine are fetched here and handed to the process that inspects it.

    Raises
    ------
    ReleaseError
        If a file is no HDF5 file of the kind that checks its own metadata, is refused, or cannot be fetched.
    """
    tasks = []
    for source in sources:
        name = str(source.place)
        _check_start(name, source.read(0, len(_SIGNATURE) + 1))
        tasks.append(guard.Task(name, source.size, source.read if source.remote else None))
    remote = any(task.fetch is not None for task in tasks)
    processes = max(1, min(_PROCESSES, -(-len(tasks) // (1 if remote else _FILES_EACH))))
    bounds = [len(tasks) * number // processes for number in range(processes + 1)]
    batches = [tasks[start:stop] for start, stop in itertools.pairwise(bounds)]

    def run(batch: Sequence[guard.Task]) -> list[Structure]:
        return list(guard.run_guarded_all(inspect, batch, module=__name__))

    if processes == 1:
        return run(batches[0])
    with ThreadPoolExecutor(processes) as pool:
        return [structure for found in pool.map(run, batches) for structure in found]


if __name__ == "__main__":
    guard.serve(inspect)
