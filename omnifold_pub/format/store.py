"""A release as it is stored: one file, or several with one manifest; nothing is checked against a schema here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from omnifold_pub.errors import ReleaseError
from omnifold_pub.files import Closing
from omnifold_pub.format.documents import MAX_BYTES, decode_document
from omnifold_pub.format.layout import DIGESTS, METADATA, declared_datasets
from omnifold_pub.format.manifest import is_manifest, read_manifest
from omnifold_pub.format.reading import Concatenated, StoredArray, StoredFile

__all__ = ["Part", "Store", "open_store"]


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

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a file and read its metadata.

        Raises
        ------
        ReleaseError
            If it is refused, or has no metadata.
        """
        file = StoredFile(path)
        try:
            return cls(file, read_document(file, METADATA))
        except BaseException:
            file.close()
            raise

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
    path : pathlib.Path
        File or manifest.
    parts : tuple of Part
        In the order of their events.
    """

    def __init__(self, path: Path, parts: Sequence[Part]) -> None:
        self.path = path
        self.parts = tuple(parts)

    def close(self) -> None:
        """Close the files."""
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


def open_store(path: str | Path, files: Sequence[Path] | None = None) -> Store:
    """Open a release: an HDF5 file, or the manifest of several.

    Parameters
    ----------
    path : str or path-like
        File or manifest.
    files : sequence of pathlib.Path, optional
        The files of the release, where ``path`` is but its name.

    Raises
    ------
    ReleaseError
        If a file is not there, refused, of another size than the manifest says, or without metadata.
    """
    path = Path(path)
    if files is None:
        files = [path]
        if is_manifest(path):
            entries = read_manifest(path)["files"]
            files = [path.parent / entry["file"] for entry in entries]
            for file, entry in zip(files, entries, strict=True):
                if file.is_file() and file.stat().st_size != entry["bytes"]:
                    msg = (
                        f"{file}: {file.stat().st_size} bytes; the manifest {path.name} says {entry['bytes']}. "
                        "One of them is of another release or was cut off; fetch both again"
                    )
                    raise ReleaseError(msg)
    parts: list[Part] = []
    try:
        parts.extend(Part.open(file) for file in files)
    except BaseException:
        for part in parts:
            part.file.close()
        raise
    return Store(path, parts)
