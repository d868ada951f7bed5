"""The explorer's web server: a page, five questions that it may ask, and nothing else."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable
from importlib import resources
from typing import Annotated, Any, cast

from omnifold_pub.errors import OmnifoldPubError
from omnifold_pub.explorer.answers import about, answer, correlation, verdicts
from omnifold_pub.explorer.desk import Desk
from omnifold_pub.explorer.downloads import download
from omnifold_pub.explorer.guard import App, Guard
from omnifold_pub.explorer.questions import Question
from omnifold_pub.extras import require

__all__ = ["create_app", "new_token", "serve"]

HOST = "127.0.0.1"

PAGE = {
    "": ("index.html", "text/html; charset=utf-8"),
    "explorer.css": ("explorer.css", "text/css; charset=utf-8"),
    "icon.svg": ("icon.svg", "image/svg+xml"),
    **{
        f"{name}.js": (f"{name}.js", "text/javascript; charset=utf-8")
        for name in ("explorer", "controls", "drawing", "matrix", "spectrum", "tables")
    },
}
"""Files of the page by path."""


def new_token() -> str:
    """Return a token that nobody guesses."""
    return secrets.token_urlsafe(24)


def create_app(desk: Desk, token: str) -> App:
    """Return the ASGI application.

    It answers ``GET /TOKEN/`` with the page, ``GET /TOKEN/api/release`` with what is known of the release, and ``POST``
    of a question as JSON to ``api/measure``, ``api/compare``, ``api/correlation/COMPONENT`` and ``api/download/KIND``.
    Errors of ours have status 422 and their message as plain text; others have 500, and their traceback in the log.

    Parameters
    ----------
    desk : Desk
        That answers the questions.
    token : str
        First part of every path, see `omnifold_pub.explorer.guard.Guard`.

    Raises
    ------
    MissingExtraError
        If FastAPI is not installed.
    """
    require("fastapi", extra="explore", purpose="Exploring a release")
    from fastapi import Body, FastAPI
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import JSONResponse, PlainTextResponse, Response
    from starlette.exceptions import HTTPException

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    body = Annotated[Any, Body()]

    def page(file: str, content_type: str) -> Callable[[], Any]:
        content = resources.files("omnifold_pub.explorer").joinpath("page", file).read_bytes()
        return lambda: Response(content, media_type=content_type)

    for path, (file, content_type) in PAGE.items():
        app.get(f"/{path}", response_model=None)(page(file, content_type))

    def release() -> Any:
        return JSONResponse(about(desk))

    def measure(document: Any) -> Any:
        return JSONResponse(answer(desk, desk.measured(Question.from_document(document))))

    def confront(document: Any) -> Any:
        return JSONResponse(verdicts(desk.confronted(Question.from_document(document))))

    def correlate(component: str, document: Any) -> Any:
        return JSONResponse(correlation(desk.measured(Question.from_document(document)), component))

    def take(kind: str, document: Any) -> Any:
        file = download(desk, desk.measured(Question.from_document(document)), kind)
        headers = {"content-disposition": f'attachment; filename="{file.name}"'}
        return Response(file.content, media_type=file.content_type, headers=headers)

    for asked in (measure, confront, correlate, take):
        asked.__annotations__["document"] = body
    app.get("/api/release", response_model=None)(release)
    app.post("/api/measure", response_model=None)(measure)
    app.post("/api/compare", response_model=None)(confront)
    app.post("/api/correlation/{component}", response_model=None)(correlate)
    app.post("/api/download/{kind}", response_model=None)(take)

    @app.exception_handler(OmnifoldPubError)
    async def ours(_: Any, error: OmnifoldPubError) -> Any:
        return PlainTextResponse(str(error), status_code=422)

    @app.exception_handler(RequestValidationError)
    async def no_json(_: Any, __: Any) -> Any:
        return PlainTextResponse("question: expected JSON; found something else", status_code=422)

    @app.exception_handler(HTTPException)
    async def no_request(_: Any, error: HTTPException) -> Any:
        return PlainTextResponse(f"request: {error.detail}", status_code=error.status_code)

    @app.exception_handler(Exception)  # it is raised again after this answer, for the log
    async def other(_: Any, __: Any) -> Any:
        return PlainTextResponse("this should not have happened; the terminal says more", status_code=500)

    return Guard(cast("App", app), token)


def serve(app: App, *, port: int = 0, started: Callable[[int], None]) -> None:
    """Serve an application on 127.0.0.1 until it is interrupted (Ctrl-C).

    Parameters
    ----------
    app : callable
        From `create_app`.
    port : int
        To listen at; 0: any that is free.
    started : callable
        Called with the port when connections are taken.

    Raises
    ------
    OmnifoldPubError
        If the port is taken.
    MissingExtraError
        If uvicorn is not installed.
    """
    require("uvicorn", extra="explore", purpose="Exploring a release")
    import uvicorn

    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError as error:
            msg = f"port {port}: cannot be had: {error.strerror}; choose another, or 0 for any that is free"
            raise OmnifoldPubError(msg) from error
        listener.listen()
        started(listener.getsockname()[1])
        config = uvicorn.Config(
            cast("Any", app),
            log_level="warning",
            access_log=False,
            server_header=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=3,
        )
        uvicorn.Server(config).run(sockets=[listener])
