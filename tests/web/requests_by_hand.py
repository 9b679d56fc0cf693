"""Asks a served page by plain HTTP, each time as another visitor."""

from __future__ import annotations

import http.client
import itertools
import json
import re

import cv2
import numpy as np

PATIENCE_S = 15  # for an answer; the page has it in milliseconds
FORM = {"Content-Type": "multipart/form-data; boundary=b"}
JSON = {"Content-Type": "application/json"}
LOOK = [21, 1, "natural", "compact"]  # what else the form holds
ADDRESSES = (
    f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}" for n in itertools.count()
)  # as a server before the page tells them
SESSIONS = map("visitor{}".format, itertools.count())


def ask(address, method, path, body=b"", headers=None, patience_s=PATIENCE_S):
    """The status and the whole body of an answer."""
    connection = http.client.HTTPConnection(address, timeout=patience_s)
    try:
        connection.request(
            method, path, body if method == "POST" else None, {"X-Forwarded-For": next(ADDRESSES), **(headers or {})}
        )
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def form(*files):
    """A form with files, each a name and what it holds."""
    parts = [
        f'--b\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'.encode() + data + b"\r\n"
        for name, data in files
    ]
    return b"".join([*parts, b"--b--\r\n"])


def upload(address, data, name="grandma.png", headers=None):
    """Upload a file; returns its key."""
    status, answer = ask(address, "POST", "/gradio_api/upload", form((name, data)), {**FORM, **(headers or {})})
    assert status == 200, answer
    (key,) = json.loads(answer)
    return key


def join(address, data, **others):
    """Drop what `data` says; returns the status, the answer, and the session."""
    session = next(SESSIONS)
    body = {"data": data, "fn_index": 0, "session_hash": session, **others}
    return *ask(address, "POST", "/gradio_api/queue/join", json.dumps(body), JSON), session


def outcome(address, data, patience_s=PATIENCE_S):
    """All that a visitor is shown of what they dropped."""
    status, answer, session = join(address, data)
    assert status == 200, answer
    status, told = ask(address, "GET", f"/gradio_api/queue/data?session_hash={session}", patience_s=patience_s)
    assert status == 200
    return told.decode()


def named(path, **others):
    """The form in which a browser sends a file."""
    return {"path": path, "meta": {"_type": "gradio.FileData"}, **others}


def pictures(address, told):
    """The pictures to which the visitor is sent."""
    found = sorted(set(re.findall(r"/session/[\w-]+/[\w-]+\.jpg", told)))
    answers = [ask(address, "GET", path) for path in found]
    assert {status for status, _ in answers} <= {200}
    return [cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) for _, data in answers]
