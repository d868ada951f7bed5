"""Files that are not on this machine, read by range requests through fsspec.

A server is never taken at its word. Each answer must be the stretch that was asked for, of a file of the same size
and the same version as at the start. One that sends more is cut off before it has sent it: nothing is ever downloaded
whole without being asked for.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any, NamedTuple

from omnifold_pub.errors import MissingExtraError, ReleaseError
from omnifold_pub.extras import require
from omnifold_pub.format.address import Url
from omnifold_pub.format.bytes_source import ByteSource, closed_error

__all__ = ["HEAD", "FilesystemSource", "HttpSource", "open_remote"]

HEAD = 64 * 1024
"""Bytes that the first request asks for: it tells the size as well."""

_PAUSES = (0.2, 1.0)
"""Seconds before a second and a third attempt, where the network or the server failed and not the request."""

_SECONDS = {"total": 300.0, "sock_connect": 30.0, "sock_read": 30.0}
_PASSING = frozenset({429, 500, 502, 503, 504})
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")
_REFUSALS = {
    401: "the server asks for a user and a password (401)",
    403: "the server denies access (403)",
    404: "no such file on the server (404)",
    410: "no such file on the server any more (410)",
    416: "the file is empty, or shorter than it was (416)",
}
_VERSIONS = (
    *("ETag", "etag", "md5Hash", "content_md5", "generation", "version_id", "VersionId"),
    *("mtime", "LastModified", "last_modified", "modified", "updated", "created"),
)
"""What filesystems call that which tells two files of one name apart."""


def _changed(url: Url, before: tuple[int, str], now: tuple[int, str]) -> ReleaseError:
    was, is_now = (f"{size} bytes {version}".strip() for size, version in (before, now))
    msg = f"{url}: changed while it was read (it was {was}, it is {is_now}); open the release again"
    return ReleaseError(msg)


def _words(error: BaseException) -> str:
    """Return what an error says, without the addresses in it."""
    text = " ".join(re.sub(r"\S*://\S*", "...", str(error)).split())[:200]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


class _Passing(Exception):  # noqa: N818 - raised and caught here alone
    """What may go well the next time."""


class _Answer(NamedTuple):
    data: bytes
    size: int
    version: str


class HttpSource:
    """A file on a web server.

    Every request is a GET of a range, also the first: many servers that serve files refuse HEAD. Its answer must be
    206 with a ``Content-Range`` (RFC 9110, sections 14.4 and 15.3.7); ETag, or else Last-Modified, tells whether
    the file is still the same.

    Raises
    ------
    ReleaseError
        If there is no such file, the server does not know ranges, or it cannot be reached.
    """

    remote = True

    def __init__(self, url: Url, filesystem: Any) -> None:
        self.place = url
        self._filesystem = filesystem
        self._closed = False
        first = self._ask(0, HEAD)
        self.size, self._version, self._head = first.size, first.version, first.data

    def read(self, offset: int, size: int) -> bytes:
        """Return a stretch of the file; see `ByteSource`."""
        if self._closed:
            raise closed_error(self.place)
        size = min(size, self.size - offset)
        if size <= 0:
            return b""
        if offset + size <= len(self._head):
            return self._head[offset : offset + size]
        answer = self._ask(offset, size)
        before, now = (self.size, self._version), (answer.size, answer.version)
        if before != now:
            raise _changed(self.place, before, now)
        return answer.data

    def close(self) -> None:
        """Read no more; the connections are fsspec's, which keeps them for others."""
        self._closed = True

    def _ask(self, offset: int, size: int) -> _Answer:
        from fsspec.asyn import sync

        answer: _Answer = sync(self._filesystem.loop, self._ask_again, offset, size)
        return answer

    async def _ask_again(self, offset: int, size: int) -> _Answer:
        """Ask, and ask again where that may help."""
        import aiohttp

        for pause in (*_PAUSES, None):
            try:
                return await self._get(offset, size)
            except aiohttp.InvalidURL:
                msg = f"{self.place}: not a URL that can be asked for"
                raise ReleaseError(msg) from None
            except (_Passing, aiohttp.ClientError, asyncio.IncompleteReadError, TimeoutError, OSError) as error:
                found = str(error) if isinstance(error, _Passing) else f"the connection failed ({_words(error)})"
            if pause is None:
                break
            await asyncio.sleep(pause)
        msg = f"{self.place}: cannot be read: {found}, {len(_PAUSES) + 1} times. Try later, or download the file"
        raise ReleaseError(msg)

    async def _get(self, offset: int, size: int) -> _Answer:
        import aiohttp

        filesystem = self._filesystem
        session = await filesystem.set_session()
        options = dict(filesystem.kwargs)
        asked = {"Range": f"bytes={offset}-{offset + size - 1}", "Accept-Encoding": "identity"}
        options["headers"] = {**options.get("headers", {}), **asked}
        options.setdefault("timeout", aiohttp.ClientTimeout(**_SECONDS))
        async with session.get(filesystem.encode_url(self.place.address), **options) as response:
            total = self._check(response, offset, size)
            data = await response.content.readexactly(min(size, total - offset))
        version = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
        return _Answer(data, total, version[:200])

    def _check(self, response: Any, offset: int, size: int) -> int:
        """Look at an answer before its bytes are taken; return the size of the whole file."""
        status = int(response.status)
        if status in _PASSING:
            msg = f"the server answers {status}"
            raise _Passing(msg)
        if status == 200:
            msg = (
                f"{self.place}: the server sends whole files alone (it answers 200 to a request for {size} bytes, "
                "expected 206); download the file, and its manifest beside it, and open it there"
            )
            raise ReleaseError(msg)
        if status != 206:
            msg = f"{self.place}: {_REFUSALS.get(status, f'the server answers {status}, expected 206')}"
            raise ReleaseError(msg)
        stated = response.headers.get("Content-Range", "")
        match = _CONTENT_RANGE.fullmatch(stated.strip())
        first, last, total = map(int, match.groups()) if match else (-1, -1, 0)
        encoded = response.headers.get("Content-Encoding", "identity") != "identity"
        if first != offset or last != min(offset + size, total) - 1 or encoded:
            found = "compressed bytes" if encoded else f"Content-Range {stated[:80]!r}"
            expected = f"bytes {offset}-{offset + size - 1} of a file of known size"
            msg = f"{self.place}: the server does not answer what it is asked: found {found}; expected {expected}"
            raise ReleaseError(msg)
        return total


class FilesystemSource:
    """A file in a store that fsspec has a name for, such as S3.

    After each request the store is asked once more which version it has: most do not say so with the bytes.

    Raises
    ------
    ReleaseError
        If there is no such file, or the store cannot be reached.
    """

    remote = True

    def __init__(self, url: Url, filesystem: Any, path: str) -> None:
        self.place = url
        self._filesystem, self._path = filesystem, path
        self._closed = False
        self.size, self._version = self._about()

    def _call(self, name: str, **options: int) -> Any:
        try:
            return getattr(self._filesystem, name)(self._path, **options)
        except FileNotFoundError:
            found = "no such file"
        except PermissionError:
            found = "access is denied"
        except Exception as error:  # noqa: BLE001 - each store has errors of its own
            found = f"cannot be read: {_words(error)}"
        msg = f"{self.place}: {found}"
        raise ReleaseError(msg)

    def _about(self) -> tuple[int, str]:
        about = self._call("info")
        size, kind = about.get("size"), about.get("type", "file")
        if kind != "file" or not isinstance(size, int):
            msg = f"{self.place}: expected a file of known size; found a {kind} of size {size}"
            raise ReleaseError(msg)
        return size, ", ".join(f"{key} {about[key]}" for key in _VERSIONS if about.get(key))[:300]

    def read(self, offset: int, size: int) -> bytes:
        """Return a stretch of the file; see `ByteSource`."""
        if self._closed:
            raise closed_error(self.place)
        size = min(size, self.size - offset)
        if size <= 0:
            return b""
        data = bytes(self._call("cat_file", start=offset, end=offset + size))
        before, now = (self.size, self._version), self._about()
        if before != now:
            raise _changed(self.place, before, now)
        if len(data) != size:
            msg = f"{self.place}: cannot be read: found {len(data)} bytes at {offset}; expected {size}"
            raise ReleaseError(msg)
        return data

    def close(self) -> None:
        """Read no more."""
        self._closed = True


def open_remote(url: Url) -> ByteSource:
    """Open what a URL names.

    Raises
    ------
    MissingExtraError
        If fsspec, or what it needs for this kind of URL, is not installed.
    ReleaseError
        If there is no such file, or it cannot be read by ranges.
    """
    packages = ("fsspec", "aiohttp") if url.over_http else ("fsspec",)
    require(*packages, extra="remote", purpose=f"Reading {url}")
    import fsspec

    if url.over_http:
        return HttpSource(url, fsspec.filesystem(url.scheme))
    try:
        filesystem, path = fsspec.core.url_to_fs(url.address)
    except ImportError as error:
        msg = f"Reading {url} needs one more package: {_words(error)}"
        raise MissingExtraError(msg) from None
    except Exception as error:  # noqa: BLE001 - each store has errors of its own
        msg = f"{url}: cannot be opened: {_words(error)}"
        raise ReleaseError(msg) from None
    return FilesystemSource(url, filesystem, path)
