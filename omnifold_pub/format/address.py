"""Where a file of a release is: a path on this machine, or a URL that is shown without its secrets."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from omnifold_pub.errors import ReleaseError

__all__ = ["Place", "Url", "local_path", "locate", "must_be_file"]

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:(//|:.*://)")
"""Scheme of two letters or more: one is a drive of Windows."""

_HOST = re.compile(r"(\[[^\]]*\]|[^:\[\]]*)(:[0-9]*)?")

_CHAIN = re.compile(r"^[A-Za-z0-9+.-]+::|::[A-Za-z][A-Za-z0-9+.-]+:(:|//)")

_SCHEME_OF_PATH = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:[/\\]")
"""What ``pathlib`` makes of a URL: ``https:/host/release.h5``."""

_DOWNLOAD = "download the file, and its manifest beside it, and give its path"


def _without_secrets(address: str) -> str:
    """Hide who asks and what a query says: tokens and signatures are in there."""
    scheme, _, rest = address.partition("://")
    path, mark, _ = rest.partition("?")
    path, sharp, _ = path.partition("#")
    host, slash, path = path.partition("/")
    who, at, host = host.rpartition("@")
    if (at or not _HOST.fullmatch(host)) and "@" in rest[len(who + at + host) :]:
        return f"{scheme}://***@***"  # a password may have a slash in it
    host = f"***@{host}" if at else host
    return f"{scheme}://{host}{slash}{path}{'?***' if mark else ''}{'#***' if sharp else ''}"


@dataclass(frozen=True)
class Url:
    """A file that is read over the network, or by anything else that fsspec has a name for.

    Its text has neither user, password nor query, so that it can go into any message.

    Attributes
    ----------
    address : str
        As it was given, secrets and all.

    Examples
    --------
    >>> url = Url("https://me:secret@host/a/x.manifest.json?token=123")
    >>> str(url), url.name, str(url.with_name("b 1.h5"))
    ('https://***@host/a/x.manifest.json?***', 'x.manifest.json', 'https://***@host/a/b%201.h5?***')
    """

    address: str = field(repr=False)

    def __str__(self) -> str:
        """Return it as it may be shown."""
        return _without_secrets(self.address)

    def __repr__(self) -> str:
        """Return it as it may be shown."""
        return f"Url({str(self)!r})"

    @property
    def scheme(self) -> str:
        """Such as ``https``, in lower case."""
        return self.address.partition("://")[0].lower()

    @property
    def over_http(self) -> bool:
        """Whether a web server is asked."""
        return self.scheme in ("http", "https")

    @property
    def name(self) -> str:
        """Name of the file."""
        if self.over_http:
            return unquote(urlsplit(self.address).path.rpartition("/")[2])
        return self.address.rpartition("/")[2]

    def with_name(self, name: str) -> Url:
        """Return the address of another file in the same folder, with the same query."""
        head, mark, query = self.address, "", ""
        if self.over_http:
            head, mark, query = self.address.partition("#")[0].partition("?")
            name = quote(name)
        return Url(f"{head.rpartition('/')[0]}/{name}{mark}{query}")


Place = Path | Url


def locate(path: str | os.PathLike[str] | Url) -> Place:
    """Tell URLs, which are text with ``://``, from paths.

    Raises
    ------
    ReleaseError
        For several URLs chained by ``::``, or none that can be read.

    Examples
    --------
    >>> locate("s3://bucket/release.h5")
    Url('s3://bucket/release.h5')
    >>> locate("data/release.h5").name
    'release.h5'
    """
    if isinstance(path, Url):
        return path
    if not isinstance(path, str) or not _URL.match(path):
        return Path(path)
    if _CHAIN.search(path):
        msg = f"a chain of URLs: expected a single one, such as https://host/release.h5; or {_DOWNLOAD}"
        raise ReleaseError(msg)
    try:
        urlsplit(path)
    except ValueError as error:
        msg = f"{_without_secrets(path)}: not a URL ({error})"
        raise ReleaseError(msg) from None
    return Url(path)


def local_path(path: str | os.PathLike[str] | Url, purpose: str) -> Path:
    """Return the path of what is on this machine.

    Raises
    ------
    ReleaseError
        For a URL.

    Examples
    --------
    >>> local_path("https://host/release.h5", "To verify a release")
    Traceback (most recent call last):
    ...
    omnifold_pub.errors.ReleaseError: https://host/release.h5: a URL. To verify a release, every byte of it is read: \
download the file, and its manifest beside it, and give its path
    """
    place = locate(path)
    if isinstance(place, Url):
        msg = f"{place}: a URL. {purpose}, every byte of it is read: {_DOWNLOAD}"
        raise ReleaseError(msg)
    return place


def must_be_file(path: Path) -> None:
    """Refuse what is no file that can be opened without waiting: a folder, a pipe, nothing.

    Raises
    ------
    ReleaseError
        If it is none.
    """
    try:
        if path.is_file():
            return
        found = "not a file" if path.exists() else "no such file"
    except OSError as error:  # its folder may not be looked into
        found = f"cannot be read: {error.strerror}"
    shown = str(path)
    if _SCHEME_OF_PATH.match(shown):
        shown = _without_secrets(re.sub(r":[/\\]+", "://", shown, count=1))
        found = f"{found}. A URL is given as text, to open_release alone; for all else {_DOWNLOAD}"
    msg = f"{shown}: {found}"
    raise ReleaseError(msg)
