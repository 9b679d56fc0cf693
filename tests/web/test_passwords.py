"""Passwords of the page: a file of hashes, the answers to right and wrong ones, and a browser that has one."""

from __future__ import annotations

import base64
import os
import stat
import time
from importlib.util import find_spec

import pytest
from browser import served
from requests_by_hand import FORM, ask, form

from deoldify_video.errors import UsageError
from deoldify_video.web.passwords import Passwords, TooManyFailuresError, add_user


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "users"
    add_user(path, "anna", "correct horse: battery")
    add_user(path, "jürgen", "größer")
    return path


def basic(name, password):
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def test_the_file_holds_no_password_and_nobody_else_reads_it(file):
    text = file.read_text("utf-8")
    assert [line.split(":")[:2] for line in text.splitlines()] == [["anna", "scrypt"], ["jürgen", "scrypt"]]
    assert "horse" not in text
    assert "größer" not in text
    if os.name != "nt":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_right_ones_are_let_in_and_others_not(file):
    passwords = Passwords(file)
    assert passwords.accept(basic("anna", "correct horse: battery"), "a")
    assert passwords.accept(basic("jürgen", "größer"), "a")
    for header in (
        *(basic("anna", "größer"), basic("anna", ""), basic("", ""), basic("nobody", "größer"), "", "Basic", "Basic !!!"),
        *("Bearer x", "Basic " + base64.b64encode(b"\xff\xfe").decode(), "Basic " + base64.b64encode(b"anna").decode()),
        "Basic " + "A" * 100_000,
    ):
        assert not passwords.accept(header, header[:40]), header[:40]


def test_a_new_password_takes_the_place_of_the_old_one(file):
    add_user(file, "anna", "new")
    passwords = Passwords(file)
    assert passwords.accept(basic("anna", "new"), "a")
    assert not passwords.accept(basic("anna", "correct horse: battery"), "a")
    assert passwords.accept(basic("jürgen", "größer"), "a")


def test_who_guesses_has_to_wait_and_others_need_not(file):
    passwords = Passwords(file)
    for number in range(10):
        assert not passwords.accept(basic("anna", str(number)), "guesser")
    with pytest.raises(TooManyFailuresError):
        passwords.accept(basic("anna", "correct horse: battery"), "guesser")
    assert passwords.accept(basic("anna", "correct horse: battery"), "another")


def test_a_right_one_costs_its_hash_only_once(file):
    passwords, header = Passwords(file), basic("anna", "correct horse: battery")
    began = time.perf_counter()
    passwords.accept(header, "a")
    first = time.perf_counter() - began
    began = time.perf_counter()
    for _ in range(100):
        assert passwords.accept(header, "a")
    assert time.perf_counter() - began < first


@pytest.mark.parametrize(
    "text",
    ["", "anna:secret\n", "anna\n", "anna:scrypt:16384:8:1:AAAA\n", "anna:scrypt:9999999999:8:1:AAAA:AAAA\n", "\0\xff"],
)
def test_what_is_no_file_of_users_is_refused(tmp_path, text):
    path = tmp_path / "users"
    path.write_text(text, "latin-1")
    with pytest.raises(UsageError, match="--add-user"):
        Passwords(path)
    with pytest.raises(UsageError, match="cannot be read"):
        Passwords(tmp_path / "nothing")


@pytest.mark.parametrize(("name", "password"), [("", "x"), ("a:b", "x"), ("a\nb", "x"), ("a", "")])
def test_names_and_passwords_that_cannot_be(tmp_path, name, password):
    with pytest.raises(UsageError):
        add_user(tmp_path / "users", name, password)


@pytest.mark.skipif(find_spec("gradio") is None, reason="the extra `web` is not installed")
def test_without_the_password_nothing_is_served_and_nothing_taken(file, tmp_path):
    with served(tmp_path, "--auth", file) as served_at:
        address = served_at.removeprefix("http://")
        upload = form(("a.png", b"x"))
        for header in ({}, {"Authorization": basic("anna", "wrong")}):
            for path in ("/", "/theme.css", "/session/guess/whole", "/gradio_api/queue/data", "/nothing"):
                assert ask(address, "GET", path, headers=header)[0] == 401
            assert ask(address, "POST", "/gradio_api/upload", upload, {**FORM, **header})[0] == 401
        assert not list(tmp_path.glob("deoldify-video-web-*/uploads/*"))
        right = {"Authorization": basic("anna", "correct horse: battery")}
        assert ask(address, "GET", "/", headers=right)[0] == 200
        assert ask(address, "POST", "/gradio_api/upload", upload, {**FORM, **right})[0] == 200
        guesses = [
            ask(address, "GET", "/", headers={"Authorization": basic("anna", str(n)), "X-Forwarded-For": "10.9.9.9"})[0]
            for n in range(12)
        ]
        assert guesses == [401] * 10 + [429] * 2
