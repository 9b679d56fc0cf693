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
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import FileResponse
from gradio.route_utils import MultiPartException, upload_fn
from gradio.routes import file_upload_statuses
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect

from deoldify_video.errors import UsageError
from deoldify_video.web.events import Events
from deoldify_video.web.guard import UPLOAD_ROUTE, Guard
from deoldify_video.web.limits import Limits, visitor_address
from deoldify_video.web.page import build_page
from deoldify_video.web.passwords import Passwords
from deoldify_video.web.photo import PhotoSession
from deoldify_video.web.store import SessionStore

log = logging.getLogger(__name__)

_NO_DOCS: dict[str, Any] = {"docs_url": None, "redoc_url": None, "openapi_url": None}
_MAX_CONNECTIONS = 1000
_GOODBYE_S = 2  # for open connections when the server ends
_LOCAL_NAMES = ("127.0.0.1", "localhost", "[::1]", "::1")
_FONT, _MONO = ("system-ui", "sans-serif"), ("ui-monospace", "monospace")  # of the system: nothing is fetched


def serve(
    host: str, port: int, limits: Limits, *, local: bool, passwords: Passwords | None, on_ready: Callable[[str], None]
) -> None:
    """Serve until interrupted; `on_ready` gets the page's address. Port 0 takes a free one. `local`: only browsers of this
    computer are answered. Without `passwords` nobody is asked for one.

    Raises `UsageError` where the address cannot be had.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whatever ends the server, it tidies up
    with ExitStack() as stack:
        listening = stack.enter_context(_listen(host, port))
        store = stack.enter_context(SessionStore(limits))
        os.environ["GRADIO_TEMP_DIR"] = str(store.uploads.root)
        app = build_app(store, local=local, passwords=passwords)
        config = uvicorn.Config(
            app, log_level="warning", timeout_graceful_shutdown=_GOODBYE_S, ws="none", limit_concurrency=_MAX_CONNECTIONS
        )
        shown = f"[{host}]" if ":" in host else host
        on_ready(f"http://{shown}:{listening.getsockname()[1]}")
        server = uvicorn.Server(config)
        # Pages that are open when the server ends are cut off, which is no error.
        logging.getLogger("uvicorn.error").addFilter(lambda record: not server.should_exit)
        server.run(sockets=[listening])


def build_app(store: SessionStore, *, local: bool, passwords: Passwords | None = None) -> FastAPI:
    """The page and its files as one application."""
    app = FastAPI(**_NO_DOCS)

    @app.get("/session/{key}/whole")
    def whole_photo(key: str) -> FileResponse:
        session = store.find(key)
        path = session.whole() if isinstance(session, PhotoSession) else None
        return _file(path, path.name if path else None)

    @app.get("/session/{key}/{name}")
    def file(key: str, name: str) -> FileResponse:
        return _file(store.file(key, name))

    # In the place of gradio's route, which names an upload by where it lies, and its folder by what it holds.
    @app.post(UPLOAD_ROUTE)
    async def upload(request: Request, upload_id: str | None = None) -> list[str]:
        return [await _receive(request, store, upload_id)]

    page = build_page(store)
    page.has_launched = True  # else gradio does not check paths, and being mounted does not set it
    events = Events(page)
    app.add_middleware(
        Guard, uploads=store.uploads, max_bytes=store.limits.max_bytes, check_event=events.check, passwords=passwords
    )
    if local:  # a page from elsewhere must not reach this one by a name of its own for 127.0.0.1
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=[*_LOCAL_NAMES], www_redirect=False)
    return gr.mount_gradio_app(
        app,
        page,
        path="/",
        app_kwargs=_NO_DOCS,
        max_file_size=store.limits.max_bytes,
        theme=gr.themes.Soft(font=_FONT, font_mono=_MONO),
        css_paths=[Path(__file__).with_name("page.css")],
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        show_error=False,
        pwa=False,
    )


async def _receive(request: Request, store: SessionStore, upload_id: str | None) -> str:
    """Take the one file of a form; returns its key. `upload_id` is where the browser asks how far it is."""
    address = visitor_address(request.client.host if request.client else None)
    length = int(request.headers.get("content-length", store.limits.max_bytes))
    progress = file_upload_statuses if upload_id else None
    try:
        with store.arriving(address, length) as upload:
            files, *_ = await upload_fn(
                request, str(upload.folder), store.limits.max_bytes, upload_id, upload_progress=progress
            )
            if len(files) != 1:
                raise HTTPException(400, "One file at a time.")
            upload.file = Path(files[0])
        return upload.key
    except StarletteHTTPException:
        raise
    except ClientDisconnect:
        raise HTTPException(400, "The upload was broken off.") from None
    except UsageError as error:
        raise HTTPException(429, str(error)) from error
    except MultiPartException as error:
        raise HTTPException(400, error.message) from error
    except OSError as error:
        log.warning("an upload cannot be kept: %s", error)
        raise HTTPException(507, "The page has no room for this file just now.") from error
    except Exception as error:  # gradio trusts that forms are well formed
        raise HTTPException(400, "The form cannot be read.") from error


def _file(path: object, download_name: str | None = None) -> FileResponse:
    if path is None:
        raise HTTPException(404)
    return FileResponse(str(path), filename=download_name, headers={"Cache-Control": "private, no-store"})


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(
            f"the page cannot be served at {host}, port {port} ({reason}); choose another --port or --host."
        ) from error
