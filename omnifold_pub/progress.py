"""How long work tells how far it is."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Progress", "megabytes", "silent"]

Progress = Callable[[int, int, str], None]
"""Called with (done, total, what)."""


def megabytes(progress: Progress | None, total: int, what: str) -> Callable[[int], None]:
    """Return a function that takes bytes as they are done and tells the sum of them in MB.

    >>> told = []
    >>> advance = megabytes(lambda *state: told.append(state), 3 * 2**20, "writing")
    >>> advance(2**20), told
    (None, [(1, 3, 'writing MB')])
    """
    done = 0

    def advance(size: int) -> None:
        nonlocal done
        done += size
        if progress is not None:
            progress(-(-done // 2**20), -(-total // 2**20), f"{what} MB")

    return advance


def silent(done: int, total: int, what: str) -> None:
    """Tell nobody."""
