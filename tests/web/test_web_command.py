"""`web` before it serves: who is let in, what it needs, what it says."""

from __future__ import annotations

import base64
import socket
import subprocess
import sys
from types import ModuleType

import pytest

from deoldify_video.cli.app import main
from deoldify_video.cli.commands.web import is_local
from deoldify_video.web.passwords import Passwords, add_user


@pytest.fixture
def run(monkeypatch, capsys):
    """Calls the command with a server that only notes what it was told."""
    noted = {}
    fake = ModuleType("deoldify_video.web.server")
    fake.serve = lambda host, port, limits, **others: noted.update(host=host, port=port, limits=limits, **others)
    monkeypatch.setitem(sys.modules, fake.__name__, fake)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["deoldify-video", "web", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        return caught.value.code or 0, capsys.readouterr().err, noted

    return run


def test_by_default_it_serves_this_computer_alone(run):
    code, err, noted = run()
    assert (code, err, noted["host"], noted["port"], noted["local"]) == (0, "", "127.0.0.1", 8501, True)


def test_letting_others_in_is_warned_of(run):
    code, err, noted = run("--host", "0.0.0.0", "--max-megabytes", "7", "--max-minutes", "2")
    assert (code, noted["local"]) == (0, False)
    assert (noted["limits"].max_bytes, noted["limits"].max_duration_s) == (7_000_000, 120)
    assert err.startswith("Warning: everybody who can reach any network that this computer is in, the internet too")
    for words in ("without any password (--auth FILE", "unencrypted", "do not see each other"):
        assert words in err


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("192.168.1.7", False), ("old-pc", False)],
)
def test_which_addresses_are_local(host, local):
    assert is_local(host) is local


def test_without_gradio_the_way_to_get_it_is_said(run, monkeypatch):
    monkeypatch.setattr("deoldify_video.cli.commands.web.find_spec", lambda name: None)
    code, err, noted = run()
    assert (code, noted) == (5, {})
    assert "pip install 'deoldify-video[web]'" in err.replace("\n", "")


def test_limits_that_let_nothing_in_are_refused(run):
    assert run("--max-megabytes", "0")[0] == 2


def test_the_rest_of_the_program_needs_no_gradio():
    code = "import deoldify_video.cli.app, deoldify_video.film.colorize, sys; sys.exit('gradio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


def test_a_port_that_is_taken_is_said():
    pytest.importorskip("uvicorn", reason="the extra `web` is not installed")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        arguments = [sys.executable, "-m", "deoldify_video", "web", "--port", str(taken.getsockname()[1])]
        done = subprocess.run(arguments, check=False, timeout=100, capture_output=True, text=True)
    assert done.returncode == 2
    assert "choose another --port" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_user_is_added_and_asked_for(tmp_path):
    file = tmp_path / "users"
    arguments = [sys.executable, "-m", "deoldify_video", "web", "--auth", str(file), "--add-user", "anna"]
    done = subprocess.run(arguments, check=False, timeout=100, capture_output=True, text=True, input="secret\nsecret\n")
    assert done.returncode == 0, done.stderr
    assert Passwords(file).accept("Basic " + base64.b64encode(b"anna:secret").decode(), "a")
    assert "secret" not in done.stdout + done.stderr


def test_a_user_needs_a_file(run):
    code, err, _ = run("--add-user", "anna")
    assert code == 2
    assert "--auth FILE" in err


def test_with_a_password_the_warning_is_another(run, tmp_path):
    add_user(tmp_path / "users", "anna", "secret")
    _, err, noted = run("--host", "192.168.1.7", "--auth", tmp_path / "users")
    assert "everybody who can reach 192.168.1.7 and has a password" in err
    assert noted["passwords"] is not None


def test_a_file_of_users_that_is_none_is_refused(run, tmp_path):
    code, err, noted = run("--auth", tmp_path / "nothing")
    assert (code, noted) == (2, {})
    assert "--add-user" in err
