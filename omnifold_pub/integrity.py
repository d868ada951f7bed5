"""Is a release still what its publisher wrote? Checksums of files and of the values in them."""

from __future__ import annotations

from pathlib import Path

from omnifold_pub.errors import ReleaseError
from omnifold_pub.files import sha256_of
from omnifold_pub.format.address import local_path, must_be_file
from omnifold_pub.format.layout import declared_bytes
from omnifold_pub.format.manifest import is_manifest, manifest_path, read_manifest
from omnifold_pub.format.store import open_store
from omnifold_pub.progress import Progress, megabytes
from omnifold_pub.validate.findings import Finding, Report
from omnifold_pub.validate.passes import Passes
from omnifold_pub.validate.structure import check_structure

__all__ = ["VERIFICATIONS", "verify"]

VERIFICATIONS = ("manifest", "file", "structure", "digest")
"""What is looked at: the manifest beside the release, its files, what is in them, and the values' digests."""


def verify(path: str | Path, *, progress: Progress | None = None) -> Report:
    """Compare a release with its checksums: files with the manifest, values and metadata with the digests inside.

    The manifest tells whether a file is the very one; the digests tell whether its content is the publisher's, also
    after it was packed into another HDF5 file. Neither says who the publisher is.

    Parameters
    ----------
    path : str or path-like
        The file, or the manifest.
    progress : callable, optional
        Called with (done, total, what).

    Returns
    -------
    Report
        Its ``checks`` say what was compared: ``manifest`` and ``file`` are missing where no manifest is there.

    Raises
    ------
    ReleaseError
        If there is no such file, or it is a URL: every byte is read, so download it first.
    """
    path = local_path(path, "To verify a release")
    must_be_file(path)
    beside = manifest_path(path)
    checks: list[str] = []
    findings: list[Finding] = []
    if beside.is_file():
        checks += ["manifest", "file"]
        findings += _file_findings(path, beside, progress)
    checks.append("structure")
    try:
        with open_store(path) as store:
            found = check_structure(store)
            findings += found
            if beside.is_file() and not findings:
                findings += _event_findings(beside, [part.metadata["events"] for part in store.parts])
            if not found:
                checks.append("digest")
                total = declared_bytes(store.metadata)
                with Passes(store, megabytes(progress, total, "verifying")) as passes:
                    passes.compare_metadata()
                    for name in store.arrays:
                        for _ in passes.blocks(name):
                            pass
                    findings += passes.findings
    except ReleaseError as error:
        hint = "Fetch it again."
        findings.append(Finding(checks[-1], "required", str(path), "a release that can be read", str(error), hint))
    return Report(str(path), tuple(checks), tuple(findings))


def _event_findings(beside: Path, events: list[int]) -> list[Finding]:
    document = read_manifest(beside)
    stated = [entry["events"] for entry in document["files"]]
    if stated == events and document["events"] == sum(events):
        return []
    expected = f"{sum(events)} events, by file {events}"
    hint = "The manifest was changed; fetch it again."
    return [Finding("manifest", "required", str(beside), expected, f"{document['events']}, by file {stated}", hint)]


def _file_findings(path: Path, beside: Path, progress: Progress | None) -> list[Finding]:
    hint = "One of them is of another release, was changed, or was damaged on its way; fetch both again."
    try:
        entries = read_manifest(beside)["files"]
    except ReleaseError as error:
        return [Finding("manifest", "required", str(beside), "a manifest", str(error), hint)]
    if not is_manifest(path) and [entry["file"] for entry in entries] != [path.name]:
        names = ", ".join(entry["file"] for entry in entries[:5])
        return [Finding("manifest", "required", str(beside), f"the file {path.name}", names, hint)]
    findings = []
    for entry in entries:
        file = beside.with_name(entry["file"])
        found = sha256_of(file, progress=progress) if file.is_file() else "no such file"
        if found != entry["sha256"]:
            findings.append(Finding("file", "required", str(file), f"SHA-256 {entry['sha256']}", found, hint))
        elif len(entries) == 1 and file.stat().st_size != entry["bytes"]:  # of several, opening compares it
            size = f"{entry['bytes']} bytes"
            findings.append(Finding("manifest", "required", str(beside), f"{file.stat().st_size} bytes", size, hint))
    return findings
