"""A release as it is stored: one file, or several with one manifest; nothing is checked against a schema here."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from omnifold_pub.errors import ReleaseError
from omnifold_pub.files import Closing
from omnifold_pub.format.address import Place, Url, locate
from omnifold_pub.format.bytes_source import ByteSource, Descriptors, open_source
from omnifold_pub.format.documents import MAX_BYTES, decode_document
from omnifold_pub.format.inspection import inspect_sources
from omnifold_pub.format.layout import DIGESTS, METADATA, declared_datasets
from omnifold_pub.format.manifest import is_manifest, read_manifest
from omnifold_pub.format.reading import Concatenated, StoredArray, StoredFile, open_pool

__all__ = ["Part", "Store", "open_store"]

_OPENERS = 8
"""Files that are asked for at the same time where each answer takes its time."""

_T = TypeVar("_T")
_R = TypeVar("_R")


@dataclass(frozen=True)
class Part:
    """One file of a release.

    Attributes
    ----------
    file : StoredFile
        Inspected and open.
    metadata : dict
        Its metadata.
    """

    file: StoredFile
    metadata: dict[str, Any]

    def digests(self) -> dict[str, Any]:
        """Return what the file says the SHA-256 of each of its datasets is.

        Raises
        ------
        ReleaseError
            If there are none.
        """
        return read_document(self.file, DIGESTS)


def read_document(file: StoredFile, name: str) -> dict[str, Any]:
    """Read a JSON document that is stored as bytes.

    Raises
    ------
    ReleaseError
        If it is not there, or is not strict JSON of a bearable size.
    """
    where = f"{file.path}: /{name}"
    dataset = file.datasets.get(name)
    if dataset is None:
        msg = f"{where}: no such dataset; this HDF5 file is not a release of omnifold_pub"
        raise ReleaseError(msg)
    if dataset.dtype.str != "|u1" or len(dataset.shape) != 1 or dataset.shape[0] > MAX_BYTES:
        msg = f"{where}: expected at most {MAX_BYTES} bytes as uint8 [byte]; found {dataset.dtype} {dataset.shape}"
        raise ReleaseError(msg)
    return decode_document(dataset.read().tobytes(), where)


class Store(Closing):
    """The files of a release, open; close it or use it in a ``with`` block.

    Attributes
    ----------
    path : pathlib.Path or Url
        File or manifest; its text has no secrets.
    parts : tuple of Part
        In the order of their events.
    """

    def __init__(self, path: Place, parts: Sequence[Part], pool: ThreadPoolExecutor) -> None:
        self.path = path
        self.parts = tuple(parts)
        self._pool = pool

    def close(self) -> None:
        """Close the files and let the threads go."""
        self._pool.shutdown()
        for part in self.parts:
            part.file.close()

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """Metadata of the whole; to be trusted after `omnifold_pub.validate.structure.check_structure` alone."""
        last = self.parts[-1].metadata  # written last: it knows the errors of rounded families
        if len(self.parts) == 1:
            return last
        total = sum(part.metadata["events"] for part in self.parts)
        return {key: value for key, value in last.items() if key != "shard"} | {"events": total}

    @cached_property
    def arrays(self) -> dict[str, StoredArray]:
        """Declared datasets of the whole, by path; to be used after the structure was checked alone."""
        arrays: dict[str, StoredArray] = {}
        for name, declared in declared_datasets(self.parts[0].metadata).items():
            everywhere = declared.by_event and len(self.parts) > 1
            pieces = [part.file.datasets[name] for part in (self.parts if everywhere else self.parts[:1])]
            arrays[name] = Concatenated(pieces) if everywhere else pieces[0]
        return arrays


def _each(call: Callable[[_T], _R], items: Sequence[_T], *, remote: bool) -> list[_R]:
    """Return the result for each item; several at a time where each waits for the network."""
    if not remote or len(items) < 2:
        return list(map(call, items))
    with ThreadPoolExecutor(_OPENERS) as openers:
        return list(openers.map(call, items))


def open_store(path: str | os.PathLike[str] | Url, files: Sequence[Path] | None = None) -> Store:
    """Open a release: an HDF5 file, or the manifest of several.

    However many the files, few processes inspect them, one set of threads reads them, and few of them are open at a
    time.

    Parameters
    ----------
    path : str, path-like or Url
        File or manifest; a str with ``://`` is a URL.
    files : sequence of pathlib.Path, optional
        The files of the release, where ``path`` is but its name.

    Raises
    ------
    ReleaseError
        If a file is not there, refused, of another size than the manifest says, or without metadata.
    MissingExtraError
        For a URL, if what reads it is not installed.
    """
    place = locate(path)
    places: list[Place] = [place] if files is None else list(files)
    stated: list[int] | None = None
    if files is None and is_manifest(place):
        entries = read_manifest(place)["files"]
        places = [place.with_name(entry["file"]) for entry in entries]
        stated = [entry["bytes"] for entry in entries]
    remote = isinstance(place, Url)
    sources: list[ByteSource] = []
    with contextlib.ExitStack() as undo:
        undo.callback(_close_all, sources)
        _open_all(places, sources, remote=remote)
        if stated is not None:
            _check_sizes(sources, stated, place.name)
        structures = inspect_sources(sources)
        pool = undo.enter_context(open_pool(remote=remote))
        opened = [StoredFile.inspected(*one, pool) for one in zip(sources, structures, strict=True)]
        documents = _each(lambda file: read_document(file, METADATA), opened, remote=remote)
        undo.pop_all()
    return Store(place, list(map(Part, opened, documents)), pool)


def _close_all(sources: Sequence[ByteSource]) -> None:
    for source in sources:
        source.close()


def _open_all(places: Sequence[Place], sources: list[ByteSource], *, remote: bool) -> None:
    """Add an open source for each place, in order; where one fails, those that are open."""
    descriptors = Descriptors()
    _each(lambda place: sources.append(open_source(place, descriptors)), places, remote=remote)
    order = {place: number for number, place in enumerate(places)}
    sources.sort(key=lambda source: order[source.place])


def _check_sizes(sources: Sequence[ByteSource], stated: Sequence[int], manifest: str) -> None:
    """Compare files with what the manifest says of them.

    Raises
    ------
    ReleaseError
        If one has another size.
    """
    for source, size in zip(sources, stated, strict=True):
        if source.size != size:
            msg = (
                f"{source.place}: {source.size} bytes; the manifest {manifest} says {size}. "
                "One of them is of another release or was cut off; fetch both again"
            )
            raise ReleaseError(msg)
