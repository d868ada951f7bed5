"""A web server on this machine that counts what it sends, and can be made to misbehave."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

__all__ = ["RangeServer", "serving"]


class RangeServer(ThreadingHTTPServer):
    """Serves the files of a folder by ranges.

    Attributes
    ----------
    folder : pathlib.Path
        What is served.
    sent, requests : int
        Bytes of bodies, and requests.
    mode : str
        What is wrong with it; nothing at the start.
    after : int
        Requests that are still answered well before that.
    latency : float
        Seconds that each request waits.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.lock = threading.Lock()
        self.sent = self.requests = self.after = 0
        self.asked: list[tuple[int, int]] = []
        self.headers_seen: list[dict[str, str]] = []
        self.mode, self.latency = "", 0.0

    @property
    def url(self) -> str:
        """Address of the folder."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that hang up are expected."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: RangeServer

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is http.server's
        pass

    def do_HEAD(self) -> None:
        self._plain(405)

    def do_GET(self) -> None:
        server = self.server
        with server.lock:
            server.requests += 1
            server.headers_seen.append({key.lower(): value for key, value in self.headers.items()})
            mode = server.mode if server.after <= 0 else ""
            server.after -= 1
        time.sleep(server.latency)
        path = server.folder / unquote(urlsplit(self.path).path).lstrip("/")
        if mode.isdigit() or not path.is_file():
            self._plain(int(mode or 404))
            return
        size = path.stat().st_size
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        first, last = map(int, match.groups()) if match else (0, size - 1)
        last = min(last, size - 1)
        if match is None or mode == "whole":
            first, last = 0, size - 1
        if first > last:
            self._plain(416)
            return
        with path.open("rb") as file:
            file.seek(first)
            body = file.read(last - first + 1)
        self.send_response(200 if match is None or mode == "whole" else 206)
        if mode == "elsewhere":
            first += 1
        if match is not None and mode != "whole":
            total = {"unknown": "*", "grown": str(size + 1)}.get(mode, str(size))
            self.send_header("Content-Range", f"bytes {first}-{last}/{total}")
        self.send_header("ETag", '"another"' if mode == "etag" else f'"{path.stat().st_mtime_ns:x}"')
        self.send_header("Content-Length", str(len(body)))
        if mode == "compressed":
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        if mode == "break":
            body, self.close_connection = body[: len(body) // 2], True
        with server.lock:
            server.asked.append((first, last - first + 1))
        for start in range(0, len(body), 65536):
            self.wfile.write(body[start : start + 65536])
            with server.lock:
                server.sent += len(body[start : start + 65536])

    def _plain(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[RangeServer]:
    """Serve a folder."""
    with RangeServer(folder) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
