"""The manifest beside a release: which files it is made of, with their sizes and checksums."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from omnifold_pub.errors import ReleaseError
from omnifold_pub.files import sha256_of
from omnifold_pub.format.address import Place, Url
from omnifold_pub.format.bytes_source import Descriptors, open_source
from omnifold_pub.format.documents import MAX_BYTES, decode_document, encode_document
from omnifold_pub.format.layout import FORMAT_VERSION
from omnifold_pub.progress import Progress
from omnifold_pub.schemas import check

__all__ = ["SUFFIX", "file_entry", "is_manifest", "make_manifest", "manifest_path", "read_manifest"]

SUFFIX = ".manifest.json"


def is_manifest(path: Place) -> bool:
    """Return whether a path is named as manifests are."""
    return path.name.endswith(SUFFIX)


def manifest_path(release: Path) -> Path:
    """Return where the manifest of a release is.

    >>> manifest_path(Path("a/release.h5")).name
    'release.manifest.json'
    """
    if is_manifest(release):
        return release
    stem = release.stem if release.suffix in {".h5", ".hdf5"} else release.name  # release-1.0 has no suffix
    return release.with_name(stem + SUFFIX)


def file_entry(path: Path, name: str, events: int, *, progress: Progress | None = None) -> dict[str, Any]:
    """Return a manifest's entry of a file that is going to have the given name."""
    digest = sha256_of(path, progress=progress)
    return {"file": name, "sha256": digest, "bytes": path.stat().st_size, "events": events}


def make_manifest(metadata: dict[str, Any], files: list[dict[str, Any]]) -> bytes:
    """Return the bytes of a manifest of some files, in the order of their events."""
    document = {
        "schema_version": FORMAT_VERSION,
        "kind": "manifest",
        "title": metadata["title"],
        "created": metadata["created"],
        "events": sum(entry["events"] for entry in files),
        "files": files,
    }
    return encode_document(document) + b"\n"


def read_manifest(path: Place) -> dict[str, Any]:
    """Read a manifest.

    Raises
    ------
    ReleaseError
        If it is not there, not strict JSON, or not what its schema asks for.
    """
    document = decode_document(_fetched(path) if isinstance(path, Url) else _read(path), str(path))
    if problems := check(document, "manifest"):
        msg = f"{path}: not a manifest of a release: {problems[0]}"
        raise ReleaseError(msg)
    return document


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(64 * 1024 * 1024)
    except OSError as error:
        msg = f"{path}: the manifest cannot be read: {error.strerror}"
        raise ReleaseError(msg) from None


def _fetched(url: Url) -> bytes:
    with contextlib.closing(open_source(url, Descriptors())) as source:
        if source.size > MAX_BYTES:
            msg = f"{url}: expected a manifest of at most {MAX_BYTES} bytes; found {source.size}"
            raise ReleaseError(msg)
        return source.read(0, source.size)
