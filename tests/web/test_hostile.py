"""Hostile requests by plain HTTP: from other sites, with values that cannot be, without end, or too many at once."""

from __future__ import annotations

import http.client
import json
import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

import cv2
import numpy as np
import pytest
from browser import served
from requests_by_hand import FORM, JSON, LOOK, PATIENCE_S, ask, form, join, named, outcome, pictures, upload

pytestmark = [
    pytest.mark.skipif(find_spec("gradio") is None, reason="the extra `web` is not installed"),
    pytest.mark.timeout(240),
]

MEGABYTES, DISK_MEGABYTES = 3, 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def address(folder):
    limits = ("--max-megabytes", MEGABYTES, "--disk-gigabytes", DISK_MEGABYTES / 1000)
    with served(folder, *limits) as address:  # fails where a traceback is written
        yield address.removeprefix("http://")


@pytest.fixture(scope="module")
def photo():
    return cv2.imencode(".png", np.random.default_rng(0).integers(0, 256, (60, 90), np.uint8))[1].tobytes()


def waiting(folder):
    return sorted(path.name for path in folder.glob("deoldify-video-web-*/uploads/*"))


OTHER_SITES = [
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "http://127.0.0.1:1"},
]


@pytest.mark.parametrize("headers", OTHER_SITES, ids=str)
def test_other_sites_cannot_write(address, folder, photo, headers):
    before = waiting(folder)
    assert ask(address, "POST", "/gradio_api/upload", form(("a.png", photo)), {**FORM, **headers})[0] == 403
    event = json.dumps({"data": [None, *LOOK], "fn_index": 0, "session_hash": "elsewhere"})
    assert ask(address, "POST", "/gradio_api/queue/join", event, {**JSON, **headers})[0] == 403
    assert waiting(folder) == before


def test_other_sites_may_link_to_the_page_and_no_more(address):
    def fetch(mode, dest, path="/"):
        headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": dest}
        return ask(address, "GET", path, headers=headers)[0]

    assert fetch("navigate", "document") == 200
    for mode, dest in (("navigate", "iframe"), ("no-cors", "image"), ("no-cors", "script"), ("cors", "empty")):
        assert fetch(mode, dest) == fetch(mode, dest, "/theme.css") == 403, dest


def test_the_page_itself_may_write(address, photo):
    for site in ({"Origin": f"http://{address}"}, {"Origin": f"http://{address}".upper(), "Sec-Fetch-Site": "same-origin"}):
        assert upload(address, photo, headers=site)


@pytest.mark.parametrize("path", ["/", "/theme.css", "/session/guess/before.jpg", "/gradio_api/queue/data", "/nothing"])
def test_every_answer_says_what_a_browser_must_not_do_with_it(address, path):
    connection = http.client.HTTPConnection(address, timeout=PATIENCE_S)
    connection.request("GET", path)
    headers = connection.getresponse().headers
    connection.close()
    assert headers["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"


BAD_VALUES = {
    "text for a slider": [None, "21", 1, "natural", "compact"],
    "nothing for a slider": [None, None, 1, "natural", "compact"],
    "too much detail": [None, 100_000, 1, "natural", "compact"],
    "no detail": [None, 0, 1, "natural", "compact"],
    "no number": [None, float("nan"), 1, "natural", "compact"],
    "endless": [None, 21, float("inf"), "natural", "compact"],
    "truth for a slider": [None, True, 1, "natural", "compact"],
    "a style that is none": [None, 21, 1, "sepia", "compact"],
    "a network that is none": [None, 21, 1, "natural", "../../weights"],
    "a list": [None, 21, 1, ["natural"], "compact"],
    "an object": [None, 21, 1, {"a": 1}, "compact"],
    "text for a file": ["/etc/passwd", 21, 1, "natural", "compact"],
    "too few": [None, 21],
    "none": [],
    "too many": [None, *LOOK, 1],
}


@pytest.mark.parametrize("what", BAD_VALUES)
def test_values_that_the_form_cannot_have_are_refused_at_once(address, what):
    assert join(address, BAD_VALUES[what])[0] == 422


@pytest.mark.parametrize(
    "others",
    [
        {"fn_index": 999},
        {"fn_index": -1},
        {"fn_index": "0"},
        {"fn_index": None},
        {"fn_index": True},
        {"session_hash": None},
        {"session_hash": ""},
        {"session_hash": "a" * 1000},
        {"session_hash": "../x"},
        {"session_hash": 7},
        {"data": None},
        {"data": {"0": 1}},
        {"data": "text"},
    ],
    ids=str,
)
def test_events_that_are_none_are_refused_at_once(address, others):
    body = json.dumps({"data": [None, *LOOK], "fn_index": 0, "session_hash": "odd", **others})
    assert ask(address, "POST", "/gradio_api/queue/join", body, JSON)[0] == 422


@pytest.mark.parametrize("body", ["7", "null", '"text"', "[1, 2]"])
def test_what_is_no_object_is_no_event(address, body):
    assert ask(address, "POST", "/gradio_api/queue/join", body, JSON)[0] == 422


def test_the_key_of_an_upload_is_good_in_its_own_place_only(address, photo):
    key = upload(address, photo)
    for values in ([None, named(key), *LOOK[1:]], [named(key), 21, 1, named(key), "compact"], [[named(key)], *LOOK]):
        assert join(address, values)[0] == 422
    assert len(pictures(address, outcome(address, [named(key), *LOOK]))) == 2


@pytest.mark.parametrize("query", ["", "?session_hash=unknown", "?session_hash=", "?session_hash=a&session_hash=b", "?x=1"])
def test_there_is_no_stream_for_a_session_that_has_sent_nothing(address, query):
    assert ask(address, "GET", f"/gradio_api/queue/data{query}")[0] == 404


def test_a_session_has_one_stream(address, photo):
    key = upload(address, photo)
    _, _, session = join(address, [named(key), *LOOK])
    path = f"/gradio_api/queue/data?session_hash={session}"
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: ask(address, "GET", path), range(3)))
    assert [status for status, _ in answers if status not in (404, 409)] == [200]


@pytest.mark.parametrize(
    "body",
    [
        b'--b\r\nContent-Disposition: form-data; name="files"\r\n\r\ntext\r\n--b--\r\n',
        b'--b\r\nContent-Disposition: form-data; filename="a.png"\r\n\r\ntext\r\n--b--\r\n',
        b'--b\r\nContent-Disposition: form-data; name="other"; filename="a.png"\r\n\r\ntext\r\n--b--\r\n',
        b"--b\r\n\r\n\r\n--b--\r\n",
        b"no form at all",
        b"",
        b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n' + b"X: y\r\n" * 5000,
    ],
    ids=["plain field", "nameless", "another name", "no headers", "no form", "nothing", "endless headers"],
)
@pytest.mark.parametrize("query", ["", "?upload_id=abc"])
def test_a_form_that_is_none_is_refused_and_leaves_nothing(address, folder, body, query):
    before = waiting(folder)
    assert ask(address, "POST", f"/gradio_api/upload{query}", body, FORM)[0] == 400
    for kind in (
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "text/plain",
        "multipart/form-data; boundary=b; charset=x",
    ):
        assert ask(address, "POST", f"/gradio_api/upload{query}", body, {"Content-Type": kind})[0] == 400
    assert waiting(folder) == before


def send_chunks(address, data, count, headers=""):
    """Send an upload that does not say how long it is; returns the status, None where the server hangs up."""
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE_S) as connection:
        connection.sendall(
            f"POST /gradio_api/upload HTTP/1.1\r\nHost: {address}\r\nX-Forwarded-For: 10.99.0.1\r\n{headers}"
            "Content-Type: multipart/form-data; boundary=b\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        try:
            for _ in range(count):
                connection.sendall(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            connection.sendall(b"0\r\n\r\n")
        except OSError:
            pass
        try:
            return int(connection.recv(4096).split()[1])
        except (OSError, IndexError):
            return None


@pytest.mark.parametrize(
    "chunk",
    [
        form(("a.png", bytes(100_000)))[:-7],
        b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + bytes(100_000) + b"\r\n",
        b"x" * 100_000,
    ],
    ids=["many files", "many fields", "no form"],
)
def test_an_upload_without_a_length_is_bounded_in_all(address, folder, chunk):
    before = waiting(folder)
    assert send_chunks(address, chunk, 200) in (413, 400, None)  # 20 MB
    deadline = time.monotonic() + PATIENCE_S
    while waiting(folder) != before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert waiting(folder) == before


def test_an_upload_without_a_length_is_taken_where_it_is_small(address, photo):
    assert send_chunks(address, form(("a.png", photo)), 1) == 200


@pytest.mark.parametrize("length", ["-1", "x", "1e3", str(10**30), "٣"])
def test_lengths_that_are_none_are_refused(address, length):
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE_S) as connection:
        head = f"POST /gradio_api/upload HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(4096).split()[1] in (b"400", b"413")


def test_an_upload_that_is_broken_off_leaves_nothing(address, folder):
    before = waiting(folder)
    host, port = address.split(":")
    for _ in range(5):
        with socket.create_connection((host, int(port)), timeout=PATIENCE_S) as connection:
            head = (
                f"POST /gradio_api/upload HTTP/1.1\r\nHost: {address}\r\nContent-Length: 1000000\r\n"
                "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
            )
            connection.sendall(head.encode() + form(("a.png", bytes(50_000)))[:-7])
            time.sleep(0.1)
    deadline = time.monotonic() + PATIENCE_S
    while waiting(folder) != before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert waiting(folder) == before


def test_one_address_cannot_fill_the_disk_and_its_limit_is_its_own(tmp_path):
    with served(tmp_path, "--max-megabytes", 1, "--disk-gigabytes", 0.006) as served_at:
        address, file = served_at.removeprefix("http://"), form(("a.bin", bytes(900_000)))

        def send(host):
            return ask(address, "POST", "/gradio_api/upload", file, {**FORM, "X-Forwarded-For": host})

        assert [send("10.1.1.1")[0] for _ in range(4)] == [200, 200, 200, 429]
        assert b"too many files here" in send("10.1.1.1")[1]
        assert [send(f"10.1.1.{number}")[0] for number in (2, 3, 4, 5, 6)] == [200, 200, 200, 429, 429]
        status, answer = send("10.1.1.7")
        assert (status, b"no room" in answer) == (429, True)


def test_one_address_cannot_have_many_uploads_on_their_way(tmp_path):
    with served(tmp_path) as served_at:
        address = served_at.removeprefix("http://")

        def send(host):
            return ask(address, "POST", "/gradio_api/upload", form(("a.bin", b"x")), {**FORM, "X-Forwarded-For": host})[0]

        statuses = [send("10.1.1.1") for _ in range(40)]
        assert set(statuses[:12]) == {200}
        assert set(statuses[12:]) == {429}
        assert send("2001:db8::1") == 200
        assert [send(f"2001:db8::{number:x}") for number in range(2, 14)][-1] == 429, "a household's addresses are one"
        assert send("2001:db8:0:1::1") == 200


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="only Linux tells a process's largest size")
def test_hostile_pictures_share_a_budget_of_memory(tmp_path):
    """Each is small on the disk, and 500 MB or more in memory."""
    pictures_of = [hostile_png(), hostile_jpeg(), hostile_png(channels=1, depth=8), small_picture()]
    with served(tmp_path) as served_at:
        address = served_at.removeprefix("http://")
        with ThreadPoolExecutor(20) as pool:
            told = list(pool.map(lambda number: drop(address, pictures_of[number % 4]), range(20)))
        (lock,) = tmp_path.glob("deoldify-video-web-*/lock")
        peak = peak_bytes(owner_of(lock))
    assert sum("would take" in text for text in told) == 15, "said why"
    assert sum("before.jpg" in text for text in told) == 5
    print(f"{peak / 1e6:.0f} MB")
    assert peak < 1.5e9


def drop(address, data):
    key = upload(address, data, "big.png")
    return outcome(address, [named(key), *LOOK], patience_s=120)


def owner_of(lock):
    """The process that holds a file open."""
    for process in os.listdir("/proc"):
        try:
            names = [os.readlink(f"/proc/{process}/fd/{number}") for number in os.listdir(f"/proc/{process}/fd")]
        except OSError:
            continue
        if str(lock) in names:
            return process
    raise AssertionError(lock)


def peak_bytes(process):
    with open(f"/proc/{process}/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


def hostile_png(channels=4, depth=16):
    picture = np.zeros((8000, 8000, channels), np.uint16 if depth == 16 else np.uint8)
    return cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()


def hostile_jpeg():
    return cv2.imencode(".jpg", np.zeros((8000, 8000, 3), np.uint8))[1].tobytes()


def small_picture():
    return cv2.imencode(".png", np.zeros((5000, 6000), np.uint8))[1].tobytes()  # within the budget
