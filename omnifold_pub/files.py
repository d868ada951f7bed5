"""What is done with files everywhere: checksums, and objects that hold one open."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Self

from omnifold_pub.progress import Progress, megabytes

__all__ = ["Closing", "sha256_of"]

_BLOCK = 8 * 1024 * 1024


class Closing(ABC):
    """Something that is open, to be closed or used in a ``with`` block."""

    @abstractmethod
    def close(self) -> None:
        """Let go of what it holds."""

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()


def sha256_of(path: Path, *, progress: Progress | None = None) -> str:
    """Return the SHA-256 of a file, in hexadecimal.

    Parameters
    ----------
    progress : callable, optional
        Called with (done, total, what).

    Examples
    --------
    >>> len(sha256_of(Path(__file__)))
    64
    """
    state = hashlib.sha256()
    advance = megabytes(progress, path.stat().st_size, "checksum")
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            state.update(block)
            advance(len(block))
    return state.hexdigest()
