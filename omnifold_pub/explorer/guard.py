"""Who may talk to the explorer: whoever knows the token, on this machine, by its own name."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

__all__ = ["HEADERS", "MOST_BYTES", "Guard"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MOST_BYTES = 65_536
"""Of what a request carries."""

_NAMES = ("127.0.0.1", "localhost")
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)

HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}
"""Of every answer: nothing inline, nothing from elsewhere, in no other page, and the token goes nowhere."""


class Guard:
    """Lets through what has the right token and host, and puts `HEADERS` on every answer.

    The token is the first part of the path, so that all links of the page are relative and nothing is stored in the
    browser. A page from elsewhere does not know it, and one whose name points to this machine (DNS rebinding) has
    another host. No other origin is ever allowed to read an answer.

    Parameters
    ----------
    app : callable
        The ASGI application; it sees paths without the token.
    token : str
        That the path must begin with.
    """

    def __init__(self, app: App, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # no web sockets
            await send({"type": "websocket.close", "code": 1008})
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message.get("headers", ()), *own]}
            await send(message)

        refusal = self._refusal(scope)
        if refusal is not None:
            status, text = refusal
            headers = [(b"content-type", b"text/plain; charset=utf-8")]
            await guarded({"type": "http.response.start", "status": status, "headers": headers})
            await guarded({"type": "http.response.body", "body": text.encode()})
            return
        path = "/" + scope["path"].lstrip("/").partition("/")[2]
        await self._app({**scope, "path": path, "raw_path": path.encode()}, receive, guarded)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Return status and text for what is not let through."""
        headers = [(name.lower(), value) for name, value in scope["headers"]]
        hosts = [value.decode("latin-1") for name, value in headers if name == b"host"]
        if len(hosts) != 1 or hosts[0].rpartition(":")[0 if ":" in hosts[0] else 2] not in _NAMES:
            return 403, "host: expected 127.0.0.1; take the address that the program printed\n"
        first, slash, _ = scope["path"].lstrip("/").partition("/")
        if not secrets.compare_digest(first.encode("utf-8", "replace"), self._token) or not slash:
            return 403, "token: wrong or missing; take the address that the program printed\n"
        sizes = [value for name, value in headers if name == b"content-length"]
        chunked = any(name == b"transfer-encoding" for name, _ in headers)
        if chunked or any(not size.isdigit() or int(size) > MOST_BYTES for size in sizes):
            return 413, f"request: expected {MOST_BYTES} bytes at most, their number stated\n"
        return None
