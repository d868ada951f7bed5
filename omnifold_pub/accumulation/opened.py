"""Releases as the processes of a cluster know them: where one is, which one it is, and the few that are open."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from omnifold_pub.accumulation.evaluation import WeightedEvents
from omnifold_pub.errors import ReleaseError
from omnifold_pub.format.address import Place
from omnifold_pub.format.documents import encode_document
from omnifold_pub.format.store import Store
from omnifold_pub.messages import shorten

__all__ = ["Identity", "Opened", "Origin", "identify", "opened"]

_KEPT = 4
"""Releases that a process keeps open beyond those in use."""


@dataclass(frozen=True)
class Identity:
    """Which release it is.

    Attributes
    ----------
    title, created : str
        As its metadata say.
    sha256 : str
        Of metadata and digests of all of its files; the digests are those of all data.
    """

    title: str
    created: str
    sha256: str

    def __str__(self) -> str:
        """Return title, date and the first digits."""
        return f"{shorten(self.title)} of {self.created} (metadata and digests {self.sha256[:12]})"


def identify(store: Store) -> Identity:
    """Return which release is open.

    Raises
    ------
    ReleaseError
        If a file has no digests.
    """
    state = hashlib.sha256()
    for part in store.parts:
        for document in (part.metadata, part.digests()):
            state.update(hashlib.sha256(encode_document(document)).digest())
    return Identity(store.metadata["title"], store.metadata["created"], state.hexdigest())


@dataclass(frozen=True, eq=False)
class Opened:
    """A release that this process has open.

    Attributes
    ----------
    identity : Identity
        Which.
    data : WeightedEvents
        What is in it.
    close : callable
        Closes it.
    """

    identity: Identity
    data: WeightedEvents
    close: Callable[[], None]


@dataclass(frozen=True)
class Origin:
    """Where a release is, for any process that sees the same files.

    Attributes
    ----------
    place : pathlib.Path or Url
        An absolute path, or a URL.
    identity : Identity
        Which release is meant.
    open : callable
        Opens what is there.
    """

    place: Place
    identity: Identity
    open: Callable[[Place], Opened] = field(repr=False, compare=False)


@dataclass(eq=False)
class _Entry:
    opened: Opened
    users: int = 0


class _Kept:
    """Releases that are open in this process, the one used last at the end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[Origin, _Entry] = {}

    @contextlib.contextmanager
    def use(self, origin: Origin) -> Iterator[WeightedEvents]:
        with self._lock:
            entry = self._entries.pop(origin, None) or _Entry(_open(origin))
            self._entries[origin] = entry
            entry.users += 1
            self._close_surplus()
        try:
            yield entry.opened.data
        finally:
            with self._lock:
                entry.users -= 1
                self._close_surplus()

    def _close_surplus(self) -> None:
        """Close what nobody uses: of those at the same place all but the one used last, and the oldest of too many."""
        order = list(self._entries)
        many = len(order) - _KEPT
        for number, origin in enumerate(order):
            replaced = any(later.place == origin.place for later in order[number + 1 :])
            if not self._entries[origin].users and (replaced or many > 0):
                self._entries.pop(origin).opened.close()
                many -= 1


def _open(origin: Origin) -> Opened:
    try:
        found = origin.open(origin.place)
    except ReleaseError as error:
        msg = f"{error}. All workers of a cluster read the release themselves, under the same path or URL"
        raise ReleaseError(msg) from error
    if found.identity == origin.identity:
        return found
    found.close()
    msg = (
        f"{origin.place}: another release is there than the one to be measured: found {found.identity}; expected "
        f"{origin.identity}. Open the release anew, and give all workers of the cluster the same files"
    )
    raise ReleaseError(msg)


_KEPT_OPEN = _Kept()
"""Of this process, as its files are: tasks come and go."""


def opened(origin: Origin) -> contextlib.AbstractContextManager[WeightedEvents]:
    """Return the events of a release for a ``with`` block; it is opened where it is not yet, once in a process.

    Raises
    ------
    ReleaseError
        If it is not there, or another is.
    """
    return _KEPT_OPEN.use(origin)
