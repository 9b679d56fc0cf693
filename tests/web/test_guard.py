"""The door of the page by plain HTTP: uploads are had by their keys, and no other file, address or device by any route."""

from __future__ import annotations

import http.client
import http.server
import json
import os
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import cv2
import numpy as np
import pytest
from browser import served
from requests_by_hand import FORM, JSON, LOOK, SESSIONS, ask, form, join, named, outcome, pictures, upload

from deoldify_video.web.uploads import NO_UPLOAD

pytestmark = [
    pytest.mark.skipif(find_spec("gradio") is None, reason="the extra `web` is not installed"),
    pytest.mark.skipif(os.name == "nt", reason="Windows has no device files, and links only for administrators"),
    pytest.mark.timeout(240),
]

# A new version of gradio, or a new route of ours, has to be judged before it is open.
OPEN = {
    ("GET", "/"),
    ("HEAD", "/"),
    ("GET", "/assets/{path:path}"),
    ("GET", "/static/{path:path}"),
    ("GET", "/theme.css"),
    ("GET", "/favicon.ico"),
    ("GET", "/session/{key}/whole"),
    ("GET", "/session/{key}/{name}"),
    ("GET", "/gradio_api/app_id"),
    ("GET", "/gradio_api/heartbeat/{session_hash}"),
    ("GET", "/gradio_api/queue/data"),
    ("GET", "/gradio_api/upload_progress"),
    ("POST", "/gradio_api/upload"),
    ("POST", "/gradio_api/queue/join"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def address(folder):
    with served(folder) as address:
        yield address.removeprefix("http://")


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    """A picture that lies on the server's disk, and that nobody has uploaded."""
    path = tmp_path_factory.mktemp("private") / "secret.png"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (60, 90), np.uint8))
    return path


@pytest.fixture(scope="module")
def inside(photo, tmp_path_factory):
    """The routes of the application, and what gradio alone does with a forged path."""
    script, temporary = Path(__file__).with_name("inside.py"), tmp_path_factory.mktemp("inside")
    done = subprocess.run(
        [sys.executable, script, photo],
        check=True,
        timeout=100,
        capture_output=True,
        text=True,
        env=os.environ | {"TMPDIR": str(temporary)},
    )
    return json.loads(done.stdout)


@pytest.fixture
def elsewhere():
    """A server that notes what it is asked for: its address, and its notes."""
    asked = []

    class Noting(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Noting) as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


def hostile_paths(photo, folder, elsewhere, tmp_path):
    """Names of the private photo, and of other things that a visitor must not have, as [what, name]."""
    (uploads,) = folder.glob("deoldify-video-web-*/uploads")
    link, gone = tmp_path / "link.png", photo.with_name("gone.png")
    link.symlink_to(photo)
    inner_link = uploads / "link.png"
    inner_link.unlink(missing_ok=True)
    inner_link.symlink_to(photo)
    return {
        "absolute": str(photo),
        "not there": str(gone),
        "upwards": f"{uploads}/../../../{os.path.relpath(photo, folder.parent)}",
        "relative": os.path.relpath(photo),
        "link": str(link),
        "link among the uploads": str(inner_link),
        "name of a link": inner_link.name,
        "folder": str(photo.parent),
        "uploads": str(uploads),
        "the lock": str(uploads.parent / "lock"),
        "endless device": "/dev/zero",
        "terminal": "/dev/stdin",
        "own memory": "/proc/self/environ",
        "passwords": "/etc/passwd",
        "address": f"{elsewhere}/photo.png",
        "address in capitals": f"{elsewhere}/photo.png".replace("http", "HTTP"),
        "file address": f"file://{photo}",
        "data address": "data:image/png;base64,AAAA",
        "served by gradio": f"/gradio_api/file={photo}",
        "nothing": "",
        "zero": f"{photo}\0.png",
    }


def forged(path):
    """A path at all places where a request could have a file."""
    there = "/etc/hosts"
    yield {"data": [named(path), *LOOK]}
    yield {"data": [[named(path)], *LOOK]}
    yield {"data": [{"files": [{"file": named(path)}]}, *LOOK]}
    yield {"data": [named(path, orig_name="a.png", url=path, size=1, mime_type="image/png"), *LOOK]}
    yield {"data": [named(path, is_stream=True), *LOOK]}
    yield {"data": [named("key", url=path), *LOOK]}
    yield {"data": [named("key", orig_name=path), *LOOK]}
    yield {"data": [{"path": path}, *LOOK]}
    yield {"data": [{"url": path}, *LOOK]}
    yield {"data": [{"path": path, "meta": "gradio.FileData"}, *LOOK]}
    yield {"data": [{"path": [path], "meta": {"_type": "gradio.FileData"}}, *LOOK]}
    yield {"data": [None, named(path), 1, "natural", "compact"]}
    yield {"data": [None, *LOOK[:3], [named(path)]]}
    yield {"data": [None, *LOOK], "event_data": {"file": named(path)}}
    yield {"data": [None, *LOOK], "event_data": named(there, url=path)}


def test_a_photo_that_is_uploaded_comes_back_in_colour_once(address, photo):
    """Else the other tests would show nothing."""
    key = upload(address, photo.read_bytes())
    told = outcome(address, [named(key, orig_name="grandma.png", url=f"/gradio_api/file={key}"), *LOOK])
    assert [picture.shape for picture in pictures(address, told)] == [(60, 90, 3)] * 2
    assert "grandma.png" in told
    status, answer, _ = join(address, [named(key), *LOOK])
    assert (status, answer.decode()) == (400, NO_UPLOAD)


def test_no_file_is_had_by_its_path_and_none_is_told_of(address, photo, folder, elsewhere, tmp_path):
    there, asked = elsewhere
    for what, path in hostile_paths(photo, folder, there, tmp_path).items():
        for body in forged(path):
            sent = json.dumps({"fn_index": 0, "session_hash": next(SESSIONS), **body})
            status, answer = ask(address, "POST", "/gradio_api/queue/join", sent, JSON)
            assert (status, answer.decode()) == (400, NO_UPLOAD), (what, body)
    assert not asked


def test_the_last_of_two_equal_fields_is_the_one_that_is_judged(address, photo):
    key = upload(address, photo.read_bytes())
    for paths in (f'"path": "{key}", "path": "{photo}"', f'"path": "{key}", "\\u0070ath": "{photo}"'):
        body = f'{{"data": [{{{paths}, "meta": {{"_type": "gradio.FileData"}}}}], "fn_index": 0, "session_hash": "twice"}}'
        assert ask(address, "POST", "/gradio_api/queue/join", body, JSON)[0] == 400


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 400), (b"{", 400), (b"\xff\xfe", 400), (b"[" * 100_000, 400), (b'"' + b"a" * 1_100_000 + b'"', 413)],
    ids=["nothing", "half", "no text", "deep", "large"],
)
def test_what_cannot_be_read_is_refused(address, body, status):
    assert ask(address, "POST", "/gradio_api/queue/join", body, JSON)[0] == status


def test_a_file_of_another_visitor_is_not_had_by_where_it_lies(address, photo, folder):
    key = upload(address, photo.read_bytes(), "another.png")
    (path,) = folder.glob(f"deoldify-video-web-*/uploads/{key}/**/another.png")
    uploads = path.parents[2]
    for name in (
        path,
        path.relative_to(uploads),
        path.parent,
        f"{uploads}/x/../{path.relative_to(uploads)}",
        f"{key}/",
        f"./{key}",
    ):
        status, answer, _ = join(address, [named(str(name)), *LOOK])
        assert (status, answer.decode()) == (400, NO_UPLOAD), name
    assert len(pictures(address, outcome(address, [named(key), *LOOK]))) == 2, "its owner has it still"


def test_two_visitors_who_drop_the_same_photo_both_have_it(address, photo):
    with ThreadPoolExecutor() as pool:
        keys = list(pool.map(lambda _: upload(address, photo.read_bytes()), range(6)))
        told = list(pool.map(lambda key: outcome(address, [named(key), *LOOK]), keys))
    assert len(set(keys)) == 6
    for each in told:
        assert len(pictures(address, each)) == 2


@pytest.mark.parametrize(
    "files",
    [
        pytest.param([], id="none"),
        pytest.param([("a.png", b"a"), ("b.png", b"b")], id="two"),
        pytest.param([("", b"a")] * 2, id="nameless"),
    ],
)
def test_a_form_without_one_file_leaves_nothing(address, folder, files):
    before = sorted(folder.glob("deoldify-video-web-*/uploads/*"))
    status, answer = ask(address, "POST", "/gradio_api/upload", form(*files), FORM)
    assert status == 400, answer
    assert sorted(folder.glob("deoldify-video-web-*/uploads/*")) == before


@pytest.mark.parametrize("name", ["../../../evil.png", "..\\\\evil.png", "/etc/evil.png", "..", ".", "a/..", "evil\0.png"])
def test_the_name_of_an_upload_does_not_say_where_it_lies(address, folder, photo, name):
    status, answer = ask(address, "POST", "/gradio_api/upload", form((name, photo.read_bytes())), FORM)
    assert status in (200, 400), answer
    (uploads,) = folder.glob("deoldify-video-web-*/uploads")
    if status == 200:
        (key,) = json.loads(answer)
        assert [path for path in (uploads / key).rglob("*") if path.is_file()]
    assert not list(folder.glob("evil*")) + list(uploads.glob("evil*")) + list(uploads.parent.glob("evil*"))
    assert not Path("/etc/evil.png").exists()


def test_only_the_routes_that_the_page_needs_are_open(address, inside):
    routes = {tuple(route) for route in inside["routes"]}
    assert routes >= OPEN
    closed = set()
    for method, path in routes:
        if ask(address, method, re.sub(r"\{[^}]+\}", "..", path), b"{}", JSON) == (
            404,
            b"Not found" if method != "HEAD" else b"",
        ):
            closed.add((method, path))
    # What is open says that it has nothing under that name, in other words.
    assert routes - closed == OPEN - {("GET", "/gradio_api/heartbeat/{session_hash}")}


def test_no_route_hands_out_or_fetches_what_a_path_names(address, photo, folder, elsewhere, tmp_path, inside):
    there, asked = elsewhere
    paths = hostile_paths(photo, folder, there, tmp_path)
    private = (photo.read_bytes(), Path("/etc/passwd").read_bytes(), b"TMPDIR=")
    for method, route in inside["routes"]:
        said = {}
        for what, path in paths.items():
            raw, coded = path.replace("\0", "%00").replace(" ", "%20"), quote(path, safe="")
            address_of = [re.sub(r"\{[^}]+\}", lambda _, name=name: name, route) for name in (raw, coded, f"..%2F..%2F{coded}")]
            if "upload_progress" not in route:  # waits for an upload of that name
                query = "&".join(f"{name}={coded}" for name in ("path", "url", "file", "deep_link", "page", "view", "name"))
                address_of.append(re.sub(r"\{[^}]+\}", "x", route) + f"?{query}")
            if "{" not in route:
                address_of = address_of[-1:]
            for asking in address_of:
                if "heartbeat/x" in asking:
                    continue  # goes on as long as the page is open
                body = json.dumps({"fn_index": 0, "session_hash": "x", "data": [named(path), *LOOK]})
                status, answer = ask(address, method, asking, body, JSON)
                assert not [text for text in private if text in answer], (method, asking)
                assert status < 500, (method, asking)
                said.setdefault(asking.replace(raw, "").replace(coded, ""), {})[what] = status, answer
        for asking, answers in said.items():  # neither whether a file exists
            if {"absolute", "not there"} <= answers.keys():
                assert answers["absolute"] == answers["not there"], (method, asking)
    assert not asked


def test_gradio_itself_refuses_what_was_not_uploaded(inside):
    assert "process_completed" in inside["events"]
    assert "process_generating" not in inside["events"]
