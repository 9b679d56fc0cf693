"""Serves the page: gradio's part of it, and the pictures and films of visitors from their own folders."""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when gradio is imported

import gradio as gr
import uvicorn
from fastapi import FastAPI, HTTPException
from fastapi.responses import FileResponse, PlainTextResponse
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from deoldify_video.errors import UsageError
from deoldify_video.web.desk import Desk
from deoldify_video.web.limits import Limits
from deoldify_video.web.page import build_page
from deoldify_video.web.photo import PhotoWork
from deoldify_video.web.visits import Visits

# Of gradio's routes those that hand out files or fetch from elsewhere: the page needs none of them.
_CLOSED = ("/gradio_api/file", "/gradio_api/proxy", "/gradio_api/stream", "/gradio_api/call", "/gradio_api/run", "/monitoring")
_NO_DOCS: dict[str, Any] = {"docs_url": None, "redoc_url": None, "openapi_url": None}
_FORM_BYTES = 1 << 20  # what an upload's request may have around the file
_GOODBYE_S = 2  # for open connections when the server ends
_LOCAL_NAMES = ("127.0.0.1", "localhost", "[::1]", "::1")
_FONT, _MONO = ("system-ui", "sans-serif"), ("ui-monospace", "monospace")  # of the system: nothing is fetched


def serve(host: str, port: int, limits: Limits, *, local: bool, on_ready: Callable[[str], None]) -> None:
    """Serve until interrupted; `on_ready` gets the page's address. Port 0 takes a free one. `local`: only browsers of this
    computer are answered.

    Raises `UsageError` where the address cannot be had.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whatever ends the server, it tidies up
    with ExitStack() as stack:
        listening = stack.enter_context(_listen(host, port))
        visits = stack.enter_context(Visits(limits))
        desk = Desk(visits)
        stack.callback(desk.close)
        os.environ["GRADIO_TEMP_DIR"] = str(visits.uploads)
        app = build_app(desk, local=local)
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=_GOODBYE_S, ws="none")
        shown = f"[{host}]" if ":" in host else host
        on_ready(f"http://{shown}:{listening.getsockname()[1]}")
        server = uvicorn.Server(config)
        # Pages that are open when the server ends are cut off, which is no error.
        logging.getLogger("uvicorn.error").addFilter(lambda record: not server.should_exit)
        server.run(sockets=[listening])


def build_app(desk: Desk, *, local: bool) -> FastAPI:
    """The page and its files as one application."""
    app = FastAPI(**_NO_DOCS)

    @app.get("/visit/{key}/whole")
    def whole_photo(key: str) -> FileResponse:
        work = desk.work(key)
        path = work.whole() if isinstance(work, PhotoWork) else None
        return _file(path, path.name if path else None)

    @app.get("/visit/{key}/{name}")
    def file(key: str, name: str) -> FileResponse:
        return _file(desk.visits.file(key, name))

    app.add_middleware(_Guard, max_bytes=desk.visits.limits.max_bytes)
    if local:  # a page from elsewhere must not reach this one by a name of its own for 127.0.0.1
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=[*_LOCAL_NAMES], www_redirect=False)
    return gr.mount_gradio_app(
        app,
        build_page(desk),
        path="/",
        app_kwargs=_NO_DOCS,
        max_file_size=desk.visits.limits.max_bytes,
        theme=gr.themes.Soft(font=_FONT, font_mono=_MONO),
        css_paths=[Path(__file__).with_name("page.css")],
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        show_error=False,
        pwa=False,
    )


class _Guard:
    """Refuses routes that the page does not need, and requests larger than any upload."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app, self._max_bytes = app, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            length = dict(scope["headers"]).get(b"content-length", b"0")
            if scope["path"].startswith(_CLOSED):
                await PlainTextResponse("Not found", 404)(scope, receive, send)
                return
            if not length.isdigit() or int(length) > self._max_bytes + _FORM_BYTES:
                await PlainTextResponse("The file is larger than this page takes.", 413)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _file(path: object, download_name: str | None = None) -> FileResponse:
    if path is None:
        raise HTTPException(404)
    headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "private, no-store"}
    return FileResponse(str(path), filename=download_name, headers=headers)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(
            f"the page cannot be served at {host}, port {port} ({reason}); choose another --port or --host."
        ) from error
