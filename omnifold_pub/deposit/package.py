"""Write the folder that goes to an archive such as Zenodo or HEPData: whole, checked, or not at all.

::

    release.h5               as it was given, byte for byte (a sharded release: all its files)
    release.manifest.json    its files, their checksums and events
    README.md                the data sheet
    datacite.json            DataCite 4.5
    ro-crate-metadata.json   RO-Crate 1.1
    croissant.json           Croissant 1.1
    CITATION.cff             Citation File Format 1.2.0
    LICENSE                  the licence's text, or where it is

The same release gives the same bytes: every date in the folder is the release's own.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from omnifold_pub.atomic import sync
from omnifold_pub.deposit import sources
from omnifold_pub.deposit.citation import citation_file
from omnifold_pub.deposit.croissant import croissant_document, croissant_issues
from omnifold_pub.deposit.data_sheet import data_sheet
from omnifold_pub.deposit.datacite import datacite_document
from omnifold_pub.deposit.files import DepositFile, copy_file, write_file
from omnifold_pub.deposit.licence import licence_text
from omnifold_pub.deposit.rocrate import CRATE, crate_document, require_sound_crate
from omnifold_pub.deposit.sources import Source, find_source, manifest_bytes
from omnifold_pub.errors import PublishError
from omnifold_pub.extras import require
from omnifold_pub.messages import shorten
from omnifold_pub.progress import Progress

__all__ = ["Deposit", "package"]

_PACKAGES = ("datacite", "jinja2", "mlcroissant", "rocrate", "yaml")

_DESCRIPTIONS = {
    "README.md": "Data sheet, for people",
    "datacite.json": "DataCite 4.5 metadata, for registering a DOI",
    "croissant.json": "Croissant 1.1 metadata, for tools of machine learning",
    "CITATION.cff": "How to cite the data, for a machine",
    "LICENSE": "Licence of all files here",
}
_PORTABLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_CRATE_DESCRIPTION = "RO-Crate 1.1 metadata: every file here with its checksum, makers and inputs"


@dataclass(frozen=True)
class Deposit:
    """A deposit that was written.

    Attributes
    ----------
    folder : pathlib.Path
        Where.
    files : tuple of DepositFile
        All files in it.
    remarks : tuple of str
        What the validation of the release recommends, and what Croissant would like to have.
    """

    folder: Path
    files: tuple[DepositFile, ...]
    remarks: tuple[str, ...]


def package(
    release: str | Path, folder: str | Path, *, overwrite: bool = False, progress: Progress | None = None
) -> Deposit:
    """Write the folder that goes to an archive.

    It is built beside its final name, checked and flushed to the disk before it takes that name.

    Parameters
    ----------
    release : str or path-like
        A release's file, or the manifest of one that is split into several.
    folder : str or path-like
        Must not exist, unless ``overwrite``: then it must be a deposit with no other files in it.
    progress : callable, optional
        Called with (done, total, what).

    Returns
    -------
    Deposit
        What was written.

    Raises
    ------
    MissingExtraError
        If a package of the extra ``deposit`` is not installed.
    ReleaseError
        If the release cannot be read, is not valid, or is not what its manifest says.
    PublishError
        If the folder is there already, or a document breaks its own rules; nothing is left then.
    OSError
        If the disk does not take it.
    """
    require(*_PACKAGES, extra="deposit", purpose="Packaging a release")
    release, folder = Path(release), Path(folder)
    source = find_source(release)
    _require_free(folder, source, overwrite=overwrite)
    remarks = sources.check_release(release, progress)
    metadata = sources.read_metadata(release)
    with _taking_name(folder) as temporary:
        for path, file in zip(source.paths, source.files, strict=True):
            copy_file(path, temporary / file.name, expected=file, progress=progress)
        written, issues = _write_documents(temporary, source, metadata)
    return Deposit(folder, (*source.files, *written), (*remarks, *issues))


def _write_documents(folder: Path, source: Source, metadata: dict[str, Any]) -> tuple[list[DepositFile], list[str]]:
    """Write and check all that stands beside the release's files; return it, and what Croissant would like."""
    opened = source.files[0].name if len(source.files) == 1 else source.manifest_name
    count = len(source.files)
    parts_of = [f", part {i} of {count}" if count > 1 else "" for i in range(1, count + 1)]
    releases = {file.name: f"Events and weights{part}" for file, part in zip(source.files, parts_of, strict=True)}
    manifest = {source.manifest_name: "Manifest: files of the release, their checksums and events"}
    descriptions = {**releases, **manifest, **_DESCRIPTIONS, CRATE: _CRATE_DESCRIPTION}
    written = [write_file(folder / source.manifest_name, manifest_bytes(source, metadata))]
    sheet = data_sheet(
        metadata,
        source.files,
        manifest=written[0],
        opened=opened,
        plugin=sources.needs_plugin(source.paths[0]),
        descriptions=descriptions,
    )
    datacite = datacite_document(metadata, {file.name: file.bytes for file in source.files})
    written += [
        write_file(folder / "README.md", sheet),
        write_file(folder / "datacite.json", _json(datacite)),
        write_file(folder / "croissant.json", _json(croissant_document(metadata, source.files))),
        write_file(folder / "CITATION.cff", citation_file(metadata)),
        write_file(folder / "LICENSE", licence_text(metadata)),
    ]
    errors, warnings = croissant_issues(folder / "croissant.json")
    if errors:
        msg = f"croissant.json: {'; '.join(errors)}"
        raise PublishError(msg)
    parts = [*source.files, *written]
    crate = crate_document(metadata, parts, descriptions=descriptions, results=[file.name for file in source.files])
    written.append(write_file(folder / CRATE, _json(crate)))
    require_sound_crate(folder)
    return written, [f"croissant.json: {warning}" for warning in warnings]


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def _require_free(folder: Path, source: Source, *, overwrite: bool) -> None:
    """Refuse names that are taken.

    Raises
    ------
    PublishError
        If a folder is there and may not be replaced, or a file of the release has a name that cannot be used.
    """
    reserved = {*_DESCRIPTIONS, CRATE, source.manifest_name}
    if taken := sorted(reserved & {file.name for file in source.files}):
        msg = f"{source.paths[0].parent}: {', '.join(taken)}: the deposit has a document of that name; rename the file"
        raise PublishError(msg)
    for name in (source.manifest_name, *(file.name for file in source.files)):
        if not _PORTABLE.fullmatch(name):
            msg = (
                f"{shorten(name)}: expected letters, digits, '.', '_' and '-', as every archive takes; rename the file"
            )
            raise PublishError(msg)
    if not folder.parent.is_dir():
        msg = f"{folder.parent}: no such folder; make it first"
        raise PublishError(msg)
    if not os.path.lexists(folder):
        return
    if not overwrite:
        msg = f"{folder} is already there; choose another name, or ask to overwrite it"
        raise PublishError(msg)
    if folder.is_symlink() or not folder.is_dir():
        msg = f"{folder}: expected a folder; found a link or a file. It is left as it is"
        raise PublishError(msg)
    there = {path.name for path in folder.iterdir()}
    if foreign := sorted(there - _listed(folder)):
        msg = (
            f"{folder} holds what its {CRATE} does not list: {', '.join(foreign[:5])}. "
            "Only a deposit is overwritten: move these files, or choose another name"
        )
        raise PublishError(msg)


def _listed(folder: Path) -> set[str]:
    """Return the names that the crate of a folder lists; none if there is no crate that can be read."""
    try:
        graph = json.loads((folder / CRATE).read_text(encoding="utf-8"))["@graph"]
        return {CRATE, *(unquote(entity["@id"]) for entity in graph)}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


@contextlib.contextmanager
def _taking_name(folder: Path) -> Iterator[Path]:
    """Yield a new folder beside the final one, which it replaces when the block ends well.

    If the block raises, the new folder is removed and the final name holds what it held. A folder that was there
    goes aside first and comes back if the second renaming fails.
    """
    mark = secrets.token_hex(4)
    temporary = folder.with_name(f".{folder.name}.{mark}.part")
    aside = folder.with_name(f".{folder.name}.{mark}.old")
    temporary.mkdir()
    try:
        yield temporary
        sync(temporary)
        if os.path.lexists(folder):
            folder.rename(aside)
        try:
            temporary.rename(folder)
        except OSError:
            if aside.exists():
                aside.rename(folder)
            raise
        sync(folder.parent)
        shutil.rmtree(aside, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
