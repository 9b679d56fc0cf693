"""The door before the page: the routes that it needs, requests no larger than an upload, and no file named but by its key."""

from __future__ import annotations

import json
import re
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deoldify_video.web.uploads import NO_UPLOAD, UploadStore

UPLOAD_ROUTE = "/gradio_api/upload"
_OPEN = re.compile(
    r"(GET|HEAD) /((assets|static|session)/.+|theme\.css|favicon\.ico|gradio_api/(app_id|heartbeat/\w+|queue/data|upload_progress))?"
    rf"|POST ({UPLOAD_ROUTE}|/gradio_api/queue/join)"
)
_FORM_BYTES = 1 << 20  # what an upload's request may have around the file, and the most that any other may have
_FILE_FIELDS = {"path", "url", "meta"}  # gradio takes objects with these for files, wherever they stand


class Guard:
    """An application before `app` that lets only harmless requests through."""

    def __init__(self, app: ASGIApp, uploads: UploadStore, max_bytes: int) -> None:
        self._app, self._uploads, self._max_bytes = app, uploads, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, as ASGI has it."""
        if scope["type"] == "http":
            try:
                self._check_head(scope)
                if scope["method"] == "POST" and scope["path"] != UPLOAD_ROUTE:
                    receive = _again(self._checked(await _read(receive)), receive)
            except HTTPException as refusal:
                await PlainTextResponse(refusal.detail, refusal.status_code)(scope, receive, send)
                return
            if scope["path"] == "/":  # gradio would look on the disk for what `deep_link` names
                scope = {**scope, "query_string": b""}
        await self._app(scope, receive, send)

    def _check_head(self, scope: Scope) -> None:
        if not _OPEN.fullmatch(f"{scope['method']} {scope['path']}"):
            raise HTTPException(404, "Not found")
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if not length.isdigit() or int(length) > self._max_bytes + _FORM_BYTES:
            raise HTTPException(413, "The file is larger than this page takes.")

    def _checked(self, body: bytes) -> bytes:
        try:
            return json.dumps(self._with_paths(json.loads(body))).encode()
        except (ValueError, RecursionError):
            raise HTTPException(400, "The request cannot be read.") from None

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


async def _read(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        if message["type"] != "http.request" or len(body) > _FORM_BYTES:
            raise HTTPException(413, "The request is too large, or was broken off.")
        more = message.get("more_body", False)
    return body


def _again(body: bytes, receive: Receive) -> Receive:
    """Gives `body` first, then what comes after it."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return messages.pop() if messages else await receive()

    return receive_again
