"""The door before the page: who comes in, from where, by which routes, and with how much; no file is named but by its key."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections import OrderedDict
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deoldify_video.web.limits import visitor_address
from deoldify_video.web.passwords import Passwords, TooManyFailuresError
from deoldify_video.web.uploads import NO_UPLOAD, UploadStore

UPLOAD_ROUTE = "/gradio_api/upload"
_STREAM_ROUTE = "/gradio_api/queue/data"
_OPEN = re.compile(
    rf"(GET|HEAD) /((assets|static|session)/.+|theme\.css|favicon\.ico|gradio_api/(app_id|heartbeat/\w+|upload_progress))?"
    rf"|(GET|HEAD) {_STREAM_ROUTE}|POST ({UPLOAD_ROUTE}|/gradio_api/queue/join)"
)
_FORM_BYTES = 1 << 20  # what an upload's request may have around the file, and the most that any other may have
_FILE_FIELDS = {"path", "url", "meta"}  # gradio takes objects with these for files, wherever they stand
_MAX_SESSIONS = 10_000  # whose streams are answered
_TOO_LARGE = "The file is larger than this page takes."
# Gradio's page has its scripts and styles inside, and makes functions of templates; nothing may come from, or go, elsewhere.
_POLICY = "; ".join(
    [
        *("default-src 'none'", "script-src 'self' 'unsafe-inline' 'unsafe-eval'", "style-src 'self' 'unsafe-inline'"),
        *("img-src 'self' data: blob:", "media-src 'self' blob:", "font-src 'self' data:", "connect-src 'self'"),
        *("worker-src 'self' blob:", "manifest-src 'self'", "base-uri 'self'", "form-action 'self'", "frame-ancestors 'none'"),
    ]
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class Guard:
    """An application before `app` that lets only harmless requests through.

    `check_event` gives the parts of an event that count, or raises `ValueError`; without `passwords` everybody is let in.
    """

    def __init__(
        self,
        app: ASGIApp,
        uploads: UploadStore,
        max_bytes: int,
        check_event: Callable[[object], dict[str, Any]],
        passwords: Passwords | None = None,
    ) -> None:
        self._app, self._uploads, self._max_bytes = app, uploads, max_bytes
        self._check_event, self._passwords = check_event, passwords
        self._sessions: OrderedDict[str, None] = OrderedDict()  # that have sent an event
        self._streaming: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, as ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        send = _with_headers(send)
        try:
            _check_origin(scope)
            await self._check_password(scope)
            self._check_route(scope)
            if scope["path"] == UPLOAD_ROUTE:
                receive = _counted(receive, self._max_bytes + _FORM_BYTES)
            elif scope["method"] == "POST":
                receive = _again(self._checked(await _read(receive)), receive)
        except HTTPException as refusal:
            await PlainTextResponse(refusal.detail, refusal.status_code, refusal.headers)(scope, receive, send)
            return
        if scope["path"] == "/":  # gradio would look on the disk for what `deep_link` names
            scope = {**scope, "query_string": b""}
        if scope["path"] == _STREAM_ROUTE:
            await self._stream(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with a session's stream. Of two at once gradio would leave one waiting for ever."""
        session = _session_of(scope)
        self._streaming.add(session)
        try:
            with contextlib.suppress(HTTPException):  # gradio ends a stream with it whose session is over
                await self._app(scope, receive, send)
        finally:
            self._streaming.discard(session)

    async def _check_password(self, scope: Scope) -> None:
        if self._passwords is None:
            return
        header, address = Headers(scope=scope).get("authorization", ""), visitor_address((scope.get("client") or ("",))[0])
        try:
            right = await asyncio.to_thread(self._passwords.accept, header, address)
        except TooManyFailuresError:
            raise HTTPException(429, "Too many wrong passwords; wait a minute.", {"Retry-After": "60"}) from None
        if not right:
            challenge = {"WWW-Authenticate": 'Basic realm="deoldify-video", charset="UTF-8"'}
            raise HTTPException(401, "This page asks for a name and a password.", challenge)

    def _check_route(self, scope: Scope) -> None:
        if not _OPEN.fullmatch(f"{scope['method']} {scope['path']}"):
            raise HTTPException(404, "Not found")
        length = Headers(scope=scope).get("content-length", "0")
        if not length.isdecimal() or int(length) > self._max_bytes + _FORM_BYTES:
            raise HTTPException(413, _TOO_LARGE)
        if scope["path"] == _STREAM_ROUTE:
            session = _session_of(scope)
            if session not in self._sessions:
                raise HTTPException(404, "There is no such session.")
            if session in self._streaming:
                raise HTTPException(409, "This session has its stream already.")

    def _checked(self, body: bytes) -> bytes:
        try:
            event = json.loads(body)
        except (ValueError, RecursionError):
            raise HTTPException(400, "The request cannot be read.") from None
        try:
            checked = self._check_event(self._with_paths(event))
        except (ValueError, RecursionError) as error:
            raise HTTPException(422, str(error)) from None
        self._sessions[checked["session_hash"]] = None
        self._sessions.move_to_end(checked["session_hash"])
        if len(self._sessions) > _MAX_SESSIONS:
            self._sessions.popitem(last=False)
        return json.dumps(checked).encode()

    def _with_paths(self, value: Any) -> Any:
        """A request in which uploads are named by the paths where they lie. Refuses any other file."""
        if isinstance(value, list):
            return [self._with_paths(item) for item in value]
        if not isinstance(value, dict):
            return value
        if _FILE_FIELDS.isdisjoint(value):
            return {name: self._with_paths(item) for name, item in value.items()}
        path = self._uploads.find(value.get("path"))
        if path is None:
            raise HTTPException(400, NO_UPLOAD)
        return {"path": str(path), "meta": {"_type": "gradio.FileData"}}


def _check_origin(scope: Scope) -> None:
    """Refuse what another site has a visitor's browser do: all writes, and all reads but a link to the page."""
    headers = Headers(scope=scope)
    origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
    writes = scope["method"] not in ("GET", "HEAD")
    if writes and origin is not None and urlsplit(origin).netloc.lower() != headers.get("host", "").lower():
        raise HTTPException(403, "Other sites must not write here.")
    is_link = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    if site not in ("same-origin", "none") and (writes or not is_link):
        raise HTTPException(403, "Other sites must not look in here.")


def _session_of(scope: Scope) -> str:
    sessions = parse_qs(scope["query_string"].decode("latin-1")).get("session_hash", [])
    return sessions[0] if len(sessions) == 1 else ""


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(_HEADERS)
        await send(message)

    return send_with_headers


async def _read(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        if message["type"] != "http.request" or len(body) > _FORM_BYTES:
            raise HTTPException(413, "The request is too large, or was broken off.")
        more = message.get("more_body", False)
    return body


def _counted(receive: Receive, most_bytes: int) -> Receive:
    """Gives a body that does not say how long it is, until it is too long."""
    left = most_bytes

    async def receive_counted() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise HTTPException(413, _TOO_LARGE)
        return message

    return receive_counted


def _again(body: bytes, receive: Receive) -> Receive:
    """Gives `body` first, then what comes after it."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return messages.pop() if messages else await receive()

    return receive_again
