"""The files of a deposit: what they are called, how large they are, and what they hash to."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from omnifold_pub.errors import PublishError
from omnifold_pub.files import sha256_of
from omnifold_pub.progress import Progress, megabytes

__all__ = ["MEDIA_TYPES", "DepositFile", "copy_file", "describe_file", "media_type", "write_file"]

MEDIA_TYPES = {
    ".h5": "application/x-hdf5",
    ".hdf5": "application/x-hdf5",
    ".json": "application/json",
    ".md": "text/markdown",
    ".cff": "text/yaml",
}
"""Media type by suffix; anything else in a deposit is plain text."""

_BLOCK = 1 << 20


@dataclass(frozen=True)
class DepositFile:
    """One file as it lies in the deposit.

    Attributes
    ----------
    name : str
        Without a folder.
    bytes : int
        Size.
    sha256 : str
        In lower-case hexadecimal.
    """

    name: str
    bytes: int
    sha256: str

    @property
    def size(self) -> str:
        """Size for people.

        >>> DepositFile("a", 999, "").size, DepositFile("a", 12_345_678, "").size
        ('999 bytes', '12.3 MB')
        """
        amount, unit = float(self.bytes), "bytes"
        for larger in ("kB", "MB", "GB", "TB"):
            if amount < 1000:
                break
            amount, unit = amount / 1000, larger
        return f"{self.bytes} bytes" if unit == "bytes" else f"{amount:.1f} {unit}"


def media_type(name: str) -> str:
    """Return the media type of a file of a deposit.

    >>> media_type("release.h5"), media_type("LICENSE")
    ('application/x-hdf5', 'text/plain')
    """
    return MEDIA_TYPES.get(Path(name).suffix, "text/plain")


def describe_file(path: Path) -> DepositFile:
    """Read a file and return its description.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    return DepositFile(path.name, path.stat().st_size, sha256_of(path))


def copy_file(source: Path, target: Path, *, expected: DepositFile, progress: Progress | None = None) -> None:
    """Copy a file byte for byte, flush it to the disk, read it again and compare its hash.

    Raises
    ------
    PublishError
        If the copy is not what was expected: the source was changed meanwhile, or the disk is at fault.
    OSError
        If the disk does not take it.
    """
    advance = megabytes(progress, expected.bytes, "copying")
    with source.open("rb") as reader, target.open("xb") as writer:
        while block := reader.read(_BLOCK):
            writer.write(block)
            advance(len(block))
        writer.flush()
        os.fsync(writer.fileno())
    found = describe_file(target)
    if found.sha256 != expected.sha256:
        msg = (
            f"{source}: its copy in the deposit: expected sha256 {expected.sha256}; found {found.sha256}. "
            "Was the release written to meanwhile? Try again"
        )
        raise PublishError(msg)


def write_file(path: Path, content: str | bytes) -> DepositFile:
    """Write a new file, text in UTF-8 with Unix line ends, and flush it to the disk.

    Raises
    ------
    OSError
        If the disk does not take it.
    """
    content = content.encode("utf-8") if isinstance(content, str) else content
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return DepositFile(path.name, len(content), hashlib.sha256(content).hexdigest())
