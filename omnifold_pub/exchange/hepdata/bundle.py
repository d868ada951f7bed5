"""The files of a submission: as a folder or an archive, written whole and read without unpacking."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import secrets
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from omnifold_pub.atomic import replacing, sync
from omnifold_pub.errors import PublishError, ReleaseError

__all__ = ["Fetch", "archive_bytes", "is_archive", "open_bundle", "write_bundle"]

Fetch = Callable[[str], bytes | None]
"""Returns the content of a file by its name, None if there is no such file."""

_SUBMISSION = "submission.yaml"
_ARCHIVES = (".tar.gz", ".tgz")
_READABLE = (*_ARCHIVES, ".tar", ".zip")
_LARGEST = 200_000_000  # bytes of a file in an archive, unpacked; HEPData takes 10 MB of YAML


def is_archive(path: Path) -> bool:
    """Tell whether a path is that of an archive that can be uploaded.

    >>> is_archive(Path("submission.tar.gz")), is_archive(Path("submission"))
    (True, False)
    """
    return path.name.lower().endswith(_ARCHIVES)


def archive_bytes(files: Mapping[str, bytes]) -> bytes:
    """Return a gzipped tar of files whose bytes depend on names and contents alone."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
    return gzip.compress(stream.getvalue(), compresslevel=6, mtime=0)


def write_bundle(files: Mapping[str, bytes], path: Path, *, overwrite: bool) -> None:
    """Write an archive, or a folder for any other name; whole or not at all.

    Raises
    ------
    PublishError
        If the name is taken, or the disk does not take it.
    """
    _require_free(path, overwrite=overwrite)
    try:
        if is_archive(path):
            with replacing(path) as temporary:
                temporary.write_bytes(archive_bytes(files))
        else:
            _write_folder(files, path)
    except OSError as error:
        msg = f"{path}: not written: {error.strerror or error}; nothing is left of it; choose another place"
        raise PublishError(msg) from error


def _require_free(path: Path, *, overwrite: bool) -> None:
    if not path.parent.is_dir():
        msg = f"{path}: there is no folder {path.parent}; make it first"
        raise PublishError(msg)
    if not os.path.lexists(path):
        return
    if not overwrite:
        msg = f"{path}: exists already; choose another name, or ask to overwrite it"
        raise PublishError(msg)
    wanted = path.is_file() if is_archive(path) else (path / _SUBMISSION).is_file()
    if path.is_symlink() or not wanted:
        kind = "an archive" if is_archive(path) else f"a submission, a folder with {_SUBMISSION}"
        msg = f"{path}: expected {kind} to overwrite; found something else, which is left as it is; choose another name"
        raise PublishError(msg)


def _write_folder(files: Mapping[str, bytes], folder: Path) -> None:
    mark = secrets.token_hex(4)
    temporary = folder.with_name(f".{folder.name}.{mark}.part")
    aside = folder.with_name(f".{folder.name}.{mark}.old")
    temporary.mkdir()
    try:
        for name, content in files.items():
            (temporary / name).write_bytes(content)
            sync(temporary / name)
        sync(temporary)
        if folder.exists():
            folder.rename(aside)
        try:
            temporary.rename(folder)
        except OSError:
            if aside.exists():
                aside.rename(folder)
            raise
        sync(folder.parent)
    finally:
        for left in (temporary, aside) if folder.exists() else (temporary,):
            shutil.rmtree(left, ignore_errors=True)


@contextlib.contextmanager
def _unreadable(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile, zlib.error) as error:
        msg = f"{path}: expected a submission, a folder or an archive of it; found {error}; download it anew"
        raise ReleaseError(msg) from None


def open_bundle(path: Path) -> Fetch:
    """Return how to get the files of a submission, wherever in an archive its folder is.

    Archives are read in memory: nothing is unpacked to the disk, whatever the names in them.

    Raises
    ------
    ReleaseError
        If there is no submission.
    """
    with _unreadable(path):
        fetch = _folder(path) if path.is_dir() else _archive(path)
        found = fetch(_SUBMISSION)
    if found is None:
        msg = f"{path}: expected a submission with {_SUBMISSION}; found none; name its folder or archive"
        raise ReleaseError(msg)
    return fetch


def _folder(path: Path) -> Fetch:
    def fetch(name: str) -> bytes | None:
        if name != Path(name).name or not (path / name).is_file():
            return None
        with _unreadable(path / name):
            return (path / name).read_bytes()

    return fetch


def _archive(path: Path) -> Fetch:
    if not path.name.lower().endswith(_READABLE):
        msg = f"{path}: expected a folder, or an archive ({', '.join(_READABLE)}); found another file"
        raise ReleaseError(msg)
    contents = dict(_zipped(path) if path.suffix.lower() == ".zip" else _tarred(path))
    places = sorted((name for name in contents if Path(name).name == _SUBMISSION), key=len)
    prefix = places[0].removesuffix(_SUBMISSION) if places else ""
    return lambda name: contents.get(prefix + name)


def _checked(path: Path, name: str, size: int, total: int) -> int:
    if total + size > _LARGEST:
        msg = f"{path}: {name}: expected at most {_LARGEST} bytes in all, unpacked; found more; this is no submission"
        raise ReleaseError(msg)
    return total + size


def _tarred(path: Path) -> Iterator[tuple[str, bytes]]:
    total = 0
    with tarfile.open(path) as tar:
        for entry in tar:
            if entry.isfile() and (stream := tar.extractfile(entry)) is not None:
                total = _checked(path, entry.name, entry.size, total)
                yield entry.name.removeprefix("./"), stream.read()


def _zipped(path: Path) -> Iterator[tuple[str, bytes]]:
    total = 0
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            if not entry.is_dir():
                total = _checked(path, entry.filename, entry.file_size, total)
                yield entry.filename.removeprefix("./"), archive.read(entry)
