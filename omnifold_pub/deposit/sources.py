"""What a deposit is made of: the files of a release, its manifest, its metadata and its validity."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omnifold_pub.deposit.files import DepositFile, describe_file
from omnifold_pub.errors import ReleaseError
from omnifold_pub.format import manifest as manifests
from omnifold_pub.format.chunks import BLOSC2
from omnifold_pub.format.layout import NOMINAL, WEIGHTS
from omnifold_pub.format.reading import StoredFile, must_be_file
from omnifold_pub.progress import Progress

__all__ = ["Source", "check_release", "find_source", "manifest_bytes", "needs_plugin", "read_metadata"]

_FINDINGS = 5
_AGAIN = ". Fetch the file again, or write the release again"


@dataclass(frozen=True)
class Source:
    """The files of a release.

    Attributes
    ----------
    paths : tuple of pathlib.Path
        Where they lie now.
    files : tuple of DepositFile
        What they are.
    manifest_name : str
        Name of the manifest.
    manifest : bytes or None
        The manifest that stands beside them, if there is one.
    """

    paths: tuple[Path, ...]
    files: tuple[DepositFile, ...]
    manifest_name: str
    manifest: bytes | None


def check_release(release: Path, progress: Progress | None) -> tuple[str, ...]:
    """Validate a release; return the findings that do not make it invalid.

    Raises
    ------
    ReleaseError
        If it is not valid.
    """
    from omnifold_pub.validate import validate

    report = validate(release, progress=progress)
    if not report.valid:
        required = [finding for finding in report.findings if finding.level == "required"]
        more = f"; and {len(required) - _FINDINGS} more" if len(required) > _FINDINGS else ""
        msg = (
            f"{release}: not valid, so it is not packaged: {'; '.join(map(str, required[:_FINDINGS]))}{more}. "
            f"Run omnifold-pub validate {release}"
        )
        raise ReleaseError(msg)
    return tuple(str(finding) for finding in report.findings)


def read_metadata(release: Path) -> dict[str, Any]:
    """Return the metadata of a release, checked against its schema.

    Raises
    ------
    ReleaseError
        If it cannot be read.
    """
    from omnifold_pub.release import open_release

    with open_release(release) as opened:
        return opened.metadata


def needs_plugin(path: Path) -> bool:
    """Return whether a release's file is compressed by a filter that does not come with HDF5 itself.

    The datasets of a release have one compression: the nominal weights stand for all.

    Raises
    ------
    ReleaseError
        If the file cannot be read.
    """
    with StoredFile(path) as file:
        nominal = file.datasets.get(f"{WEIGHTS}/{NOMINAL}")
        if nominal is None:
            msg = f"{path}: not an HDF5 file of a release, or a damaged one (it has no /{WEIGHTS}/{NOMINAL})"
            raise ReleaseError(msg)
        return BLOSC2 in nominal.pipeline.filters


def find_source(release: Path) -> Source:
    """Describe the files of a release, and compare them with the manifest that stands beside them, if there is one.

    Parameters
    ----------
    release : pathlib.Path
        A file, or a manifest.

    Raises
    ------
    ReleaseError
        If a file is not there, or is not what the manifest says.
    """
    beside = manifests.manifest_path(release)
    if release != beside and not beside.exists():
        must_be_file(release)
        return Source((release,), (describe_file(release),), beside.name, None)
    must_be_file(beside)
    entries = manifests.read_manifest(beside)["files"]
    paths = tuple(beside.with_name(entry["file"]) for entry in entries)
    if release != beside and paths != (release,):
        names = ", ".join(path.name for path in paths)
        msg = f"{release}: {beside.name} beside it names {names}. Package the manifest, or move it away"
        raise ReleaseError(msg)
    for path, entry in zip(paths, entries, strict=True):
        must_be_file(path)
        if path.stat().st_size != entry["bytes"]:
            msg = f"{path}: expected {entry['bytes']} bytes, as its manifest says; found {path.stat().st_size}"
            raise ReleaseError(msg + _AGAIN)
    files = tuple(map(describe_file, paths))
    for path, file, entry in zip(paths, files, entries, strict=True):
        if file.sha256 != entry["sha256"]:
            msg = f"{path}: expected sha256 {entry['sha256']}, as its manifest says; found {file.sha256}"
            raise ReleaseError(msg + _AGAIN)
    return Source(paths, files, beside.name, beside.read_bytes())


def manifest_bytes(source: Source, metadata: dict[str, Any]) -> bytes:
    """Return the manifest: the one that is there, byte for byte, or else one for a single file.

    Raises
    ------
    ReleaseError
        If a file is one of several and the manifest that names them all is not there.
    """
    if source.manifest is not None:
        return source.manifest
    if metadata.get("shard", {}).get("count", 1) > 1:
        msg = f"{source.paths[0]}: one file of several; package their manifest, {source.manifest_name}"
        raise ReleaseError(msg)
    (file,) = source.files
    entry = {"file": file.name, "sha256": file.sha256, "bytes": file.bytes, "events": metadata["events"]}
    return manifests.make_manifest(metadata, [entry])
